//! The log from which the bootloader decides: what was confirmed, what is on trial, what was given up.
//!
//! ```text
//! kind         payload
//! 1 Confirmed  0 sequence u32   4 0
//! 2 Trial      0 sequence u32   4 slot u8, 0 for A
//! 3 Attempt    0 sequence u32   4 0
//! 4 Reverted   0 sequence u32   4 reason u8
//! ```
//!
//! Nothing else is stored: [`BootLogState`] is the fold of the records. A compaction keeps as many of each kind as give
//! the same state, so counts are repeated records.

use embedded_storage::nor_flash::NorFlash;

use crate::{AppendError, FlashError, Live, Record, RecordLog, Region, Slot, word};

/// How many times an image may boot on trial. Three: one lost to a power cut and one to a dead link leave one.
pub const TRIAL_BOOTS_MAX: u8 = 3;

/// How many trials may fail before an image is given up for good, together with all that are older: then only one with a
/// higher sequence number is tried. Without a bound a gateway that keeps offering an image known to be bad keeps the
/// device in its trial, at the price of a slot erased each time. Ten leave an operator room to mend a link and retry.
pub const FAILED_TRIALS_MAX: u8 = 10;

/// Why a trial ended without confirmation. The numbers are those of the check-in's outcome codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum RevertReason {
    /// The image ran and never completed a check-in.
    NoContact = 10,
    /// The watchdog fired.
    Watchdog = 11,
    /// A processor fault or a panic.
    Fault = 12,
    /// What lay in the slot did not verify when it was to be booted.
    BootVerification = 13,
    /// The image ran and did not pass its application's self-test, or not in time.
    SelfTest = 16,
}

impl RevertReason {
    /// As stored and as reported.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The inverse of [`RevertReason::code`].
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            10 => Some(Self::NoContact),
            11 => Some(Self::Watchdog),
            12 => Some(Self::Fault),
            13 => Some(Self::BootVerification),
            16 => Some(Self::SelfTest),
            _ => None,
        }
    }
}

impl RevertReason {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::NoContact => "no contact",
            Self::Watchdog => "watchdog",
            Self::Fault => "fault",
            Self::BootVerification => "boot verification",
            Self::SelfTest => "self-test",
        }
    }
}

impl core::fmt::Display for RevertReason {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(self.text())
    }
}

/// One entry of the boot log. `sequence` is the manifest's sequence number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootRecord {
    /// The image of this sequence number proved itself. Writing this record *is* the confirmation, and the
    /// highest one is the anti-rollback counter.
    Confirmed {
        /// Of the confirmed image.
        sequence: u32,
    },
    /// The image in `slot` is complete and may be booted on trial. Also begins a new trial of an image reverted before.
    Trial {
        /// Of the image to try.
        sequence: u32,
        /// Where it lies.
        slot: Slot,
    },
    /// The bootloader is about to start the image on trial; written before each such start.
    Attempt {
        /// Of the image being tried.
        sequence: u32,
    },
    /// The trial is over and failed.
    Reverted {
        /// Of the image given up.
        sequence: u32,
        /// Why.
        reason: RevertReason,
    },
}

const CONFIRMED: u8 = 1;
const TRIAL: u8 = 2;
const ATTEMPT: u8 = 3;
const REVERTED: u8 = 4;

impl BootRecord {
    fn encode(self) -> Record {
        let (kind, sequence, extra) = match self {
            Self::Confirmed { sequence } => (CONFIRMED, sequence, 0),
            Self::Trial { sequence, slot } => (TRIAL, sequence, slot.index()),
            Self::Attempt { sequence } => (ATTEMPT, sequence, 0),
            Self::Reverted { sequence, reason } => (REVERTED, sequence, reason.code()),
        };
        let [a, b, c, d] = sequence.to_le_bytes();
        Record::of(kind, [a, b, c, d, extra])
    }

    /// `None` for a record of a kind or value that this version does not know.
    /// A longer record is a later version's, which says more: what it says here holds all the same, and a confirmation that
    /// went unread would let an older image run.
    fn decode(record: &Record) -> Option<Self> {
        let payload = record.payload();
        let &extra = payload.get(4)?;
        let sequence = word(payload, 0);
        match record.kind() {
            CONFIRMED => Some(Self::Confirmed { sequence }),
            TRIAL => Some(Self::Trial {
                sequence,
                slot: Slot::from_index(extra)?,
            }),
            ATTEMPT => Some(Self::Attempt { sequence }),
            REVERTED => Some(Self::Reverted {
                sequence,
                reason: RevertReason::from_code(extra)?,
            }),
            _ => None,
        }
    }
}

/// An image that may be booted and is not confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trial {
    /// Of the image.
    pub sequence: u32,
    /// Where it lies.
    pub slot: Slot,
}

/// The last image that was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reverted {
    /// Of the image.
    pub sequence: u32,
    /// Why.
    pub reason: RevertReason,
}

/// The trials that failed since the last confirmation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailedTrials {
    /// The highest sequence number among them.
    pub newest: u32,
    /// How many there were since that image's first one, of it or of older ones; saturates at [`FAILED_TRIALS_MAX`].
    pub count: u8,
}

/// What the log says, all of it that matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BootLogState {
    /// The highest confirmed sequence number: nothing below it may ever boot.
    pub confirmed: Option<u32>,
    /// The trial under way; `None` once it is confirmed, overtaken or reverted.
    pub trial: Option<Trial>,
    /// How often the image on trial was started, saturating at [`TRIAL_BOOTS_MAX`].
    pub attempts: u8,
    /// The last failed trial, until an image of the same or a higher sequence number is confirmed.
    pub reverted: Option<Reverted>,
    /// Present exactly when `reverted` is.
    pub failed: Option<FailedTrials>,
}

impl BootLogState {
    /// The sequence number up to which images are not to be tried again, however often they are offered.
    #[must_use]
    pub fn given_up(&self) -> Option<u32> {
        self.failed
            .filter(|failed| failed.count >= FAILED_TRIALS_MAX)
            .map(|failed| failed.newest)
    }

    /// The state after one more record. Folding the records oldest first, from the default, gives the log's state.
    #[must_use]
    pub fn after(mut self, record: BootRecord) -> Self {
        self.add(record);
        self
    }

    /// The same in its place.
    // Not inlined: who adds records would move the state once for each.
    #[inline(never)]
    fn add(&mut self, record: BootRecord) {
        match record {
            BootRecord::Confirmed { sequence } => {
                self.confirmed = self.confirmed.max(Some(sequence));
                if self.trial.is_some_and(|trial| trial.sequence <= sequence) {
                    self.end_trial();
                }
                self.reverted = self
                    .reverted
                    .filter(|reverted| Some(reverted.sequence) > self.confirmed);
                self.failed = self.failed.filter(|_| self.reverted.is_some());
            }
            BootRecord::Trial { sequence, slot } => {
                self.trial = Some(Trial { sequence, slot });
                self.attempts = 0;
            }
            BootRecord::Attempt { sequence } => {
                if self.trial.is_some_and(|trial| trial.sequence == sequence) {
                    self.attempts = (self.attempts + 1).min(TRIAL_BOOTS_MAX);
                }
            }
            // A confirmation is final: the image is the one to go back to.
            BootRecord::Reverted { sequence, .. } if Some(sequence) <= self.confirmed => {}
            BootRecord::Reverted { sequence, reason } => {
                self.reverted = Some(Reverted { sequence, reason });
                self.failed = Some(match self.failed {
                    Some(failed) if sequence <= failed.newest => FailedTrials {
                        count: (failed.count + 1).min(FAILED_TRIALS_MAX),
                        ..failed
                    },
                    _ => FailedTrials {
                        newest: sequence,
                        count: 1,
                    },
                });
                if self.trial.is_some_and(|trial| trial.sequence == sequence) {
                    self.end_trial();
                }
            }
        }
    }

    fn end_trial(&mut self) {
        self.trial = None;
        self.attempts = 0;
    }

    /// Gives the records whose fold is this state, oldest first, at most [`LIVE_MAX`]. Of failed trials the newest is first, then
    /// the last one as often as the count still wants.
    #[inline(never)]
    fn each_live(&self, put: &mut dyn FnMut(BootRecord)) {
        if let Some(sequence) = self.confirmed {
            put(BootRecord::Confirmed { sequence });
        }
        if let (Some(failed), Some(Reverted { sequence, reason })) = (self.failed, self.reverted) {
            for nth in 0..failed.count {
                let sequence = if nth == 0 { failed.newest } else { sequence };
                put(BootRecord::Reverted { sequence, reason });
            }
        }
        if let Some(Trial { sequence, slot }) = self.trial {
            put(BootRecord::Trial { sequence, slot });
            for _ in 0..self.attempts {
                put(BootRecord::Attempt { sequence });
            }
        }
    }
}

impl Live for BootLogState {
    fn each(&self, put: &mut dyn FnMut(&Record)) {
        self.each_live(&mut |record| put(&record.encode()));
    }
}

/// Confirmed and Trial once each, the failed trials, and the attempts.
const LIVE_MAX: usize = 2 + FAILED_TRIALS_MAX as usize + TRIAL_BOOTS_MAX as usize;
const _: () = assert!(LIVE_MAX <= crate::RECORD_LIVE_MAX && FAILED_TRIALS_MAX > 1);

/// The boot log, opened: its state, and the way to add to it.
pub struct BootLog<'f, F> {
    records: RecordLog<'f, F>,
    state: BootLogState,
    /// A confirmation found outside the log, which the next [`BootLog::settle`] puts into it.
    stray: Option<u32>,
}

impl<'f, F: NorFlash> BootLog<'f, F> {
    /// Reads the log in `region`. A blank region is an empty log; records of unknown kinds are skipped.
    ///
    /// A confirmation counts wherever it stands, in the other bank and behind a damaged header too: it stays
    /// true for ever, and to lose it would let an older image run.
    ///
    /// # Errors
    /// The part's own error.
    pub fn open(region: Region<'f, F>) -> Result<Self, FlashError> {
        let records = RecordLog::open(region)?;
        let mut state = BootLogState::default();
        records.each(&mut |record| {
            if let Some(record) = BootRecord::decode(record) {
                state.add(record);
            }
        })?;
        let mut confirmed = state.confirmed;
        records.remains(&mut |record| {
            if let Some(BootRecord::Confirmed { sequence }) = BootRecord::decode(record) {
                confirmed = confirmed.max(Some(sequence));
            }
        })?;
        let stray = confirmed.filter(|_| confirmed > state.confirmed);
        if let Some(sequence) = stray {
            state.add(BootRecord::Confirmed { sequence });
        }
        Ok(Self {
            records,
            state,
            stray,
        })
    }

    /// Makes a newest record in doubt one that counts at every boot, or at none. The bootloader does this before it decides,
    /// so that all who read the log after it, and it itself at the next boot, read the same. Writes nothing when
    /// nothing is in doubt.
    ///
    /// # Errors
    /// The flash failed: the state holds for this boot only.
    pub fn settle(&mut self) -> Result<(), AppendError> {
        self.records.settle_keeping(&self.state)?;
        match self.stray.take() {
            Some(sequence) => self.append(BootRecord::Confirmed { sequence }),
            None => Ok(()),
        }
    }

    /// What the log says now.
    #[must_use]
    pub const fn state(&self) -> BootLogState {
        self.state
    }

    /// Appends `record`, atomically.
    ///
    /// # Errors
    /// The flash failed: whether the record is in the log is known only after opening it again.
    pub fn append(&mut self, record: BootRecord) -> Result<(), AppendError> {
        self.records.append_keeping(&record.encode(), &self.state)?;
        self.state.add(record);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
