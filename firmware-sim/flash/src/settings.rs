//! Settings of the application that an image on trial may change, and that the old image finds as it left them when the trial
//! fails.
//!
//! ```text
//! kind           payload
//! 1..=254 id     0 author u32   4 version u8   5 value, 0..=51 bytes
//! ```
//!
//! - A [`RecordLog`] in a region of its own, two banks long. It has no place in [`Layout`](crate::Layout), for neither bootloader nor
//!   agent looks at it: the firmware's author gives it one that [`Layout::leaves_free`](crate::Layout::leaves_free). Each write is one record, and atomic.
//! - The *author* is the sequence number of the image that wrote. What an image on trial wrote counts for itself alone until it
//!   is confirmed, and for nobody when it was given up: [`Settings::open`] removes it for good.
//! - The *version* is that of the value's form, as the firmware's author counts it. An image asks for the newest value of a version
//!   that it knows, so that one sent back on purpose reads what it understands. Of each setting two versions are kept.
//! - Five settings fit: a log keeps 16 records, and each setting may need three of them.

use embedded_storage::nor_flash::NorFlash;

use crate::{
    AppendError, FlashError, RECORD_LIVE_MAX, RECORD_PAYLOAD_BYTES_MAX, Record, RecordLog, Region, word,
};

/// What a setting can hold.
pub const SETTING_BYTES_MAX: usize = RECORD_PAYLOAD_BYTES_MAX - VALUE_AT;
/// How many settings there can be: each takes up to three of the records that a log keeps.
pub const SETTINGS_MAX: usize = RECORD_LIVE_MAX / RECORDS_EACH;

/// Two versions that are confirmed and one on trial.
const RECORDS_EACH: usize = 3;
const VERSION_AT: usize = 4;
const VALUE_AT: usize = 5;

/// A value as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setting {
    record: Record,
}

impl Setting {
    /// Which setting it is.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.record.kind()
    }

    /// The version of its form.
    #[must_use]
    pub fn version(&self) -> u8 {
        self.record.payload().get(VERSION_AT).copied().unwrap_or(0)
    }

    /// The value.
    #[must_use]
    pub fn value(&self) -> &[u8] {
        self.record.payload().get(VALUE_AT..).unwrap_or(&[])
    }

    fn author(&self) -> u32 {
        word(self.record.payload(), 0)
    }

    fn decode(record: Record) -> Option<Self> {
        (record.payload().len() >= VALUE_AT).then_some(Self { record })
    }
}

/// The settings, opened by a running image.
pub struct Settings<'f, F> {
    records: RecordLog<'f, F>,
    running: u32,
    confirmed: u32,
}

impl<'f, F: NorFlash> Settings<'f, F> {
    /// Opens the settings in `region` for the image with the sequence number `running`; `confirmed` is the highest confirmed one,
    /// as the boot log says. Both are equal unless the image is on trial.
    ///
    /// Settles what a power cut left in doubt, and removes what images wrote that were given up; else writes nothing. The same
    /// image opens them again once it is confirmed.
    ///
    /// # Errors
    /// The flash failed, or `region` is shorter than two banks.
    pub fn open(region: Region<'f, F>, running: u32, confirmed: Option<u32>) -> Result<Self, AppendError> {
        let mut settings = Self {
            records: RecordLog::open(region)?,
            running,
            confirmed: confirmed.unwrap_or(running),
        };
        let (live, count) = settings.live(None)?;
        settings.records.settle(&live[..count])?;
        let mut is_foreign = false;
        for record in settings.records.records() {
            is_foreign |= Setting::decode(record?).is_none_or(|setting| !settings.counts(&setting));
        }
        if is_foreign {
            settings.records.rewrite(&live[..count])?;
        }
        Ok(settings)
    }

    /// The newest value of setting `id` in a version up to `version_max`; `None` if there is none.
    ///
    /// # Errors
    /// The flash failed.
    pub fn get(&self, id: u8, version_max: u8) -> Result<Option<Setting>, FlashError> {
        for record in self.records.records().rev() {
            let setting = Setting::decode(record?);
            let wanted = |setting: &Setting| {
                setting.id() == id && setting.version() <= version_max && self.counts(setting)
            };
            if let Some(setting) = setting.filter(wanted) {
                return Ok(Some(setting));
            }
        }
        Ok(None)
    }

    /// Writes setting `id`, from 1 to 254, in this version of its form. Writes nothing if that is its value already.
    ///
    /// # Errors
    /// [`AppendError::TooManyLive`] if there are [`SETTINGS_MAX`] others or the value is longer than [`SETTING_BYTES_MAX`]; or
    /// the flash failed: the old value stands, or the new one.
    pub fn set(&mut self, id: u8, version: u8, value: &[u8]) -> Result<(), AppendError> {
        let known = self.get(id, version)?;
        if known.is_some_and(|known| known.version() == version && known.value() == value) {
            return Ok(());
        }
        let mut payload = [0; RECORD_PAYLOAD_BYTES_MAX];
        payload[..VERSION_AT].copy_from_slice(&self.running.to_le_bytes());
        payload[VERSION_AT] = version;
        let end = VALUE_AT + value.len();
        let place = payload.get_mut(VALUE_AT..end).ok_or(AppendError::TooManyLive)?;
        place.copy_from_slice(value);
        let record = Record::new(id, &payload[..end]).filter(|_| id != u8::MAX);
        let new = Setting {
            record: record.ok_or(AppendError::TooManyLive)?,
        };
        let others = self.live(Some(&new))?;
        self.records.append(&new.record, &others.0[..others.1])
    }

    /// What an image wrote counts for itself, and for all once it is confirmed.
    fn counts(&self, setting: &Setting) -> bool {
        setting.author() == self.running || setting.author() <= self.confirmed
    }

    /// The records to keep beside `new`, oldest first: of each setting the newest of two confirmed versions, and of the
    /// image on trial the newest.
    fn live(&self, new: Option<&Setting>) -> Result<([Record; RECORD_LIVE_MAX], usize), AppendError> {
        let mut live = [EMPTY; RECORD_LIVE_MAX];
        let mut first = RECORD_LIVE_MAX;
        for record in self.records.records().rev() {
            let Some(setting) = Setting::decode(record?).filter(|setting| self.counts(setting)) else {
                continue;
            };
            let newer = live[first..].iter().chain(new.map(|new| &new.record));
            if self.is_kept(&setting, newer) {
                first = first.checked_sub(1).ok_or(AppendError::TooManyLive)?;
                live[first] = setting.record;
            }
        }
        if let Some(new) = new {
            self.check_count(new, &live[first..])?;
        }
        live.rotate_left(first);
        Ok((live, RECORD_LIVE_MAX - first))
    }

    fn is_kept<'r>(&self, setting: &Setting, newer: impl Iterator<Item = &'r Record>) -> bool {
        let on_trial = |setting: &Setting| setting.author() > self.confirmed;
        let (mut same, mut others) = (false, 0);
        for record in newer.filter(|record| record.kind() == setting.id()) {
            let newer = Setting { record: *record };
            if on_trial(&newer) == on_trial(setting) {
                same |= on_trial(setting) || newer.version() == setting.version();
                others += 1;
            }
        }
        !same && others < 2
    }

    fn check_count(&self, new: &Setting, live: &[Record]) -> Result<(), AppendError> {
        let first_of = |(at, record): (usize, &Record)| {
            record.kind() != new.id() && live[..at].iter().all(|before| before.kind() != record.kind())
        };
        if live.iter().enumerate().filter(|each| first_of(*each)).count() < SETTINGS_MAX {
            Ok(())
        } else {
            Err(AppendError::TooManyLive)
        }
    }
}

/// Fills an array of records.
const EMPTY: Record = Record::void();

#[cfg(test)]
mod tests;
