//! What every state works with, and the small decisions that all of them share.

use core::cell::RefCell;

use deltagate_flash::{
    BootLog, BootLogState, BootRecord, FlashError, Hashing, Provision, Region, Reverted, Slot,
    SlotHeaderFault, SlotRegion,
};
use deltagate_services::{Services, SignedImage};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{Format, Formats, LastUpdate, Outcome};
use wire_coap::scatter;

use crate::accept::{Device, Place, Refusal, Update};
use crate::anchors::Kept;
use crate::client::Client;
use crate::config::Config;
use crate::decoder;
use crate::event::{Effect, Event};
use crate::gate::{Gate, PutOff};
use crate::in_place::InPlace;
use crate::journal::{Journal, JournalRecord, Link, Told};
use crate::services::Hasher;
use crate::state::State;

/// Events that wait for [`crate::Agent::poll_effect`]: no call yields more than five.
const EVENTS_MAX: usize = 8;

/// The longest a gateway may keep the device waiting before it checks in again: an answer is not authenticated, and
/// must not silence the device for ever.
const WAIT_S_MAX: u32 = 7 * 24 * 3_600;

/// How long a failed update makes the next one wait longer. An offer with a right manifest and a wrong payload costs the
/// spare slot an erase; with waits that grow to [`Config::backoff_ms_max`], an hour, and are forgotten after a day
/// without failure, that is 34 a day at most, and eight years of a sector that bears 100,000.
const SETBACKS_FORGOTTEN_MS: u64 = 24 * 3_600_000;

/// How often the flash may fail under way to one image, in one uptime, before the update is given up. Single failures are
/// a sagging supply's; five, with waits that double between them, are a part's that is worn out, and each costs an erase.
const FLASH_FAILURES_MAX: u8 = 5;

/// How often the link's timing may be written at most: a gateway that changes its mind with each answer would wear the
/// journal out in months.
const LINK_KEPT_MS: u64 = 3_600_000;

/// The flash did not do what it was asked; what was under way is abandoned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FlashFailed;

impl From<FlashError> for FlashFailed {
    fn from(_: FlashError) -> Self {
        Self
    }
}

impl From<SlotHeaderFault> for FlashFailed {
    fn from(_: SlotHeaderFault) -> Self {
        Self
    }
}

/// Everything but the state.
pub(crate) struct Core<'m, F> {
    pub(crate) flash: &'m RefCell<F>,
    pub(crate) services: &'m dyn Services,
    pub(crate) config: Config,
    pub(crate) provision: Provision,
    pub(crate) running: SignedImage,
    pub(crate) spare: Slot,
    pub(crate) boot_log: BootLogState,
    pub(crate) journal: Journal<'m, F>,
    pub(crate) client: Client,
    pub(crate) effects: Effects,
    /// `None` while a decoder has it.
    pub(crate) memory: Option<&'m mut [u8]>,
    pub(crate) memory_bytes: u32,
    /// The running image waits for its confirmation.
    pub(crate) trial: Option<TrialLimit>,
    /// Requests in a row that nobody answered usably.
    pub(crate) unanswered: u8,
    /// When [`crate::Agent::handle_timeout`] was called last.
    pub(crate) called_ms: u64,
    /// The application's say.
    pub(crate) gate: Gate,
    /// The update that waits for it.
    pub(crate) put_off: Option<PutOff>,
    /// How long until the next check-in, as the gateway said last, seconds.
    pub(crate) checkin_interval_s: u32,
    /// Updates that ended without an image, and flash failures.
    pub(crate) setbacks: Setbacks,
    /// The image last offered or gone on with.
    pub(crate) offered: Option<u64>,
    /// How often the flash failed under way to it.
    pub(crate) flash_failures: u8,
    /// An outcome that the journal did not take.
    pub(crate) unwritten: Option<LastUpdate>,
    /// A set of trust anchors that is not in force yet.
    pub(crate) kept: Kept,
    /// What was counted of the publisher's time.
    #[cfg(feature = "freshness")]
    pub(crate) watch: crate::freshness::Watch,
    /// When the link's timing may be written again.
    pub(crate) link_kept_until_ms: u64,
    pub(crate) seed: u64,
    /// The application wants other keys.
    #[cfg(feature = "edhoc")]
    pub(crate) wants_keys: bool,
    /// What the application has of chance.
    #[cfg(feature = "edhoc")]
    pub(crate) random: [u8; 32],
}

/// What went wrong on the device's own side, so that a gateway's answers do not excuse it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct Setbacks {
    count: u8,
    last_ms: u64,
}

/// What the running image still has to prove, and by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TrialLimit {
    /// `None` when there is nothing to go back to.
    pub(crate) deadline_ms: Option<u64>,
    /// The gateway answered.
    pub(crate) contact: bool,
    /// The application passed its self-test, or needs none.
    pub(crate) self_test: bool,
}

impl<'m, F: NorFlash> Core<'m, F> {
    pub(crate) fn spare_slot(&self) -> SlotRegion<'m, F> {
        SlotRegion::new(Region::new(self.flash, self.config.layout.slot(self.spare)))
    }

    /// Where the payload of `update` goes, in whole sectors.
    pub(crate) fn payload_region(&self, update: &Update) -> Result<Region<'m, F>, FlashError> {
        let bytes = update
            .job
            .payload_bytes
            .next_multiple_of(Region::<F>::SECTOR_BYTES);
        match (update.place, self.config.layout.staging) {
            (Place::SpareSlot(at), _) => self.spare_slot().image()?.sub(at, bytes),
            (Place::StagingArea, Some(area)) => Region::new(self.flash, area).sub(0, bytes),
            (Place::StagingArea, None) => Err(FlashError::OutOfBounds),
        }
    }

    /// Room for image and payload in a slot, without the scratch sector where one is needed.
    pub(crate) const fn capacity_bytes(&self) -> u32 {
        let capacity_bytes = self.config.layout.image_capacity_bytes();
        match self.config.in_place {
            None => capacity_bytes.saturating_sub(self.scratch_bytes()),
            Some(_) => capacity_bytes,
        }
    }

    /// The staging area, if there is one, without the scratch sector where that lies in it: it is the last sector of the spare
    /// slot, whose part the staging area has with a single slot.
    pub(crate) fn staging_bytes(&self) -> Option<u32> {
        let area_bytes = self.config.layout.staging?.bytes;
        Some(match self.config.in_place {
            None => area_bytes,
            Some(_) => area_bytes.saturating_sub(self.scratch_bytes()),
        })
    }

    const fn scratch_bytes(&self) -> u32 {
        if self.config.program_once {
            Region::<F>::SECTOR_BYTES
        } else {
            0
        }
    }

    /// A hash of `bytes` bytes of a region.
    #[inline(never)]
    pub(crate) fn hashing(&self, bytes: u32) -> Hashing<Hasher<'m>> {
        Hashing::with(Hasher::new(self.services), 0, bytes)
    }

    pub(crate) fn running_image(&self) -> Result<Region<'m, F>, FlashError> {
        let slot = self.config.layout.slot(self.spare.other());
        SlotRegion::new(Region::new(self.flash, slot)).image()
    }

    /// The formats reported and accepted.
    pub(crate) fn formats(&self) -> Formats {
        let wanted = |format: Format| self.takes_jobs() && self.config.formats.contains(format);
        // The updater takes patches only: a whole image in the only slot would leave nothing to fetch the rest with.
        let full = wanted(Format::Full) && self.config.in_place.is_none();
        let patch = wanted(Format::Patch) && (decoder::IS_LINKED || self.config.in_place.is_some());
        match (full, patch) {
            (true, true) => Config::FORMATS_DECODED,
            (true, false) => Formats::of(&[Format::Full]),
            (false, true) => Formats::of(&[Format::Patch]),
            (false, false) => Formats::NONE,
        }
    }

    pub(crate) fn device(&self) -> Device<'_> {
        Device {
            services: self.services,
            provision: &self.provision,
            running: &self.running,
            confirmed: self.boot_log.confirmed,
            given_up: self.boot_log.given_up(),
            formats: self.formats(),
            capacity_bytes: self.capacity_bytes(),
            staging_bytes: self.staging_bytes(),
            sector_bytes: Region::<F>::SECTOR_BYTES,
            memory_bytes: self.memory_bytes,
            reach_bytes: self.reach_bytes(),
        }
    }

    /// With a single slot, the longest reach of a patch from the running image.
    pub(crate) fn reach_bytes(&self) -> Option<u32> {
        let (capacity_bytes, sector_bytes) = (self.capacity_bytes(), Region::<F>::SECTOR_BYTES);
        let in_place = self.config.in_place.as_ref()?;
        Some(in_place.reach_bytes(capacity_bytes, self.running.bytes, sector_bytes))
    }

    /// Whether jobs are taken over this channel. With two slots from anybody: what lies costs airtime. A single one is erased before
    /// a patch is found out.
    pub(crate) fn takes_jobs(&self) -> bool {
        let in_place = self.config.in_place.as_ref();
        self.client.channel.is_protected() || in_place.is_none_or(InPlace::trusts_anybody)
    }

    /// Whether the spare slot may be written: never while the image in it is the one to go back to. With a single slot there is
    /// none: an image that failed its trial and runs as the last resort is best replaced.
    pub(crate) fn may_update(&self) -> bool {
        match self.trial {
            None => self.boot_log.confirmed == Some(self.running.sequence),
            Some(limit) => self.config.in_place.is_some() && limit.deadline_ms.is_none(),
        }
    }

    /// Appends to the boot log.
    pub(crate) fn append_boot_record(&mut self, record: BootRecord) -> Result<(), FlashFailed> {
        let mut log = BootLog::open(Region::new(self.flash, self.config.layout.boot_log))?;
        let written = log.append(record);
        self.boot_log = log.state();
        written.map_err(|_| FlashFailed)
    }

    /// Whether a request may be sent: not before a number for it is stored as used.
    pub(crate) fn may_send(&mut self) -> bool {
        let channel = &mut self.client.channel;
        let (services, journal) = (self.services, &mut self.journal);
        let reserved = channel.reserve(services, self.flash, &self.config, journal, self.unanswered);
        if let Err(event) = reserved {
            self.effects.event(event);
        }
        reserved.is_ok()
    }

    /// Whether a datagram makes other keys with the gateway: what was asked is due again, under them.
    #[cfg(feature = "oscore")]
    pub(crate) fn is_renewed(&mut self, datagram: &mut [u8]) -> bool {
        let region = self.config.credentials.map(|at| Region::new(self.flash, at));
        let awaited = self.client.awaited();
        let channel = &mut self.client.channel;
        let is_renewed = channel.renew(self.services, region, &mut self.journal, awaited, datagram);
        if is_renewed {
            self.client.cancel();
            self.unanswered = 0;
        }
        is_renewed
    }

    /// What the next check-in has to report: a revert first, for only the boot log knows of it. The running image's own is
    /// no news while it is tried again.
    pub(crate) fn pending_outcome(&self) -> Option<LastUpdate> {
        let of_another = |reverted: &Reverted| reverted.sequence != self.running.sequence;
        let reverted = self
            .boot_log
            .reverted
            .filter(of_another)
            .map(|reverted| LastUpdate {
                sequence_number: reverted.sequence.into(),
                outcome: Outcome::from_code(reverted.reason.code()),
                detail: None,
            });
        let journal = self.journal.state();
        reverted
            .filter(|update| journal.reported != Some(Told::of(update)))
            .or(journal.outcome)
            .or(self.unwritten)
    }

    /// Ends the update that is under way without an image.
    #[inline(never)]
    pub(crate) fn end_update(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        refusal: Refusal,
    ) -> Result<(), FlashFailed> {
        if let Some(sequence_number) = state.sequence_number() {
            state.idle_until(self.drop_update(now_ms, sequence_number, refusal)?);
        }
        Ok(())
    }

    /// Ends an update without an image: the outcome is kept until it is reported, which is tried at once, unless
    /// updates keep ending like this: when to check in.
    pub(crate) fn drop_update(
        &mut self,
        now_ms: u64,
        sequence_number: u64,
        refusal: Refusal,
    ) -> Result<u64, FlashFailed> {
        let Refusal { outcome, detail } = refusal;
        self.client.cancel();
        self.put_off = None;
        self.effects.event(Event::Dropped {
            sequence: narrow(sequence_number),
            outcome,
        });
        self.journal.append(JournalRecord::Outcome(LastUpdate {
            sequence_number,
            outcome,
            detail,
        }))?;
        self.journal.append(JournalRecord::JobEnded)?;
        Ok(match self.set_back(now_ms) {
            0 => now_ms,
            earlier => now_ms.saturating_add(self.backoff_ms(earlier - 1)),
        })
    }

    /// Waits after a failure, longer each time.
    pub(crate) fn back_off(&mut self, now_ms: u64) -> u64 {
        let wait_ms = self.backoff_ms(self.unanswered);
        self.unanswered = self.unanswered.saturating_add(1);
        self.effects.event(Event::Unanswered {
            retry_s: seconds(wait_ms),
        });
        now_ms.saturating_add(wait_ms)
    }

    /// The flash failed: nothing of it is known for sure, so the agent begins anew from what is stored, later: when.
    pub(crate) fn flash_failed(&mut self, now_ms: u64) -> u64 {
        self.client.cancel();
        self.effects.event(Event::FlashFailed);
        self.count_flash_failure();
        let earlier = self.set_back(now_ms);
        now_ms.saturating_add(self.backoff_ms(earlier))
    }

    /// Notes which image is under way.
    pub(crate) fn begin(&mut self, sequence_number: u64) {
        if self.offered != Some(sequence_number) {
            self.offered = Some(sequence_number);
            self.flash_failures = 0;
        }
    }

    /// Ends an update under way to which the flash failed too often. The outcome is told even if it cannot be kept: a
    /// flash that takes no record is what it is about.
    fn count_flash_failure(&mut self) {
        let Some(sequence_number) = self.offered else {
            return;
        };
        self.flash_failures = self.flash_failures.saturating_add(1);
        if self.flash_failures < FLASH_FAILURES_MAX {
            return;
        }
        let update = LastUpdate {
            sequence_number,
            outcome: Outcome::FlashFailed,
            detail: None,
        };
        let kept = self.journal.append(JournalRecord::Outcome(update));
        if kept
            .and_then(|()| self.journal.append(JournalRecord::JobEnded))
            .is_err()
        {
            self.unwritten = Some(update);
        }
        self.offered = None;
        self.effects.event(Event::Dropped {
            sequence: narrow(sequence_number),
            outcome: Outcome::FlashFailed,
        });
    }

    /// Counts a setback; how many there were before it.
    fn set_back(&mut self, now_ms: u64) -> u8 {
        let Setbacks { count, last_ms } = self.setbacks;
        let forgotten = now_ms.saturating_sub(last_ms) > SETBACKS_FORGOTTEN_MS;
        let earlier = if forgotten { 0 } else { count };
        self.setbacks = Setbacks {
            count: earlier.saturating_add(1),
            last_ms: now_ms,
        };
        earlier
    }

    /// Writes the link's timing into the journal, unless that was done a short while ago.
    pub(crate) fn keep_link(&mut self, now_ms: u64, link: Link) -> Result<(), FlashFailed> {
        if now_ms < self.link_kept_until_ms {
            return Ok(());
        }
        self.link_kept_until_ms = now_ms.saturating_add(LINK_KEPT_MS);
        Ok(self.journal.append(JournalRecord::Link(link))?)
    }

    /// Doubles from the least to the greatest wait, and up to a quarter more by chance, so that devices that lost
    /// their gateway together do not come back together.
    fn backoff_ms(&self, failures: u8) -> u64 {
        let (min_ms, max_ms) = (self.config.backoff_ms_min, self.config.backoff_ms_max);
        let wait_ms = match u32::from(failures) < min_ms.leading_zeros() {
            true => max_ms.min(min_ms << failures),
            false => max_ms,
        };
        let chance = scatter(self.seed.wrapping_add(u64::from(failures)));
        wait_ms.saturating_add(chance % (wait_ms / 4 + 1))
    }

    /// When to check in again that was told to in so many seconds.
    pub(crate) fn next_check_in_ms(&self, now_ms: u64, wait_s: u32) -> u64 {
        Self::wait_until(now_ms, wait_s.max(self.config.check_in_s_min))
    }

    /// When a wait that the gateway asked for is over.
    pub(crate) fn wait_until(now_ms: u64, wait_s: u32) -> u64 {
        now_ms.saturating_add(u64::from(wait_s.clamp(1, WAIT_S_MAX)) * 1_000)
    }
}

/// For people only; a sequence number that does not fit is refused before it matters.
pub(crate) fn narrow(sequence_number: u64) -> u32 {
    u32::try_from(sequence_number).unwrap_or(u32::MAX)
}

/// Milliseconds as seconds, rounded up; not by `div_ceil`, which multiplies the quotient again.
pub(crate) fn seconds(ms: u64) -> u32 {
    u32::try_from(ms.saturating_add(999) / 1_000).unwrap_or(u32::MAX)
}

/// What waits for the caller.
#[derive(Debug)]
pub(crate) struct Effects {
    events: [Option<Event>; EVENTS_MAX],
    reboot: bool,
}

impl Effects {
    pub(crate) const NONE: Self = Self {
        events: [None; EVENTS_MAX],
        reboot: false,
    };

    /// Appends an event. A caller that does not drain loses the newest.
    #[inline(never)]
    pub(crate) fn event(&mut self, event: Event) {
        if let Some(place) = self.events.iter_mut().find(|place| place.is_none()) {
            *place = Some(event);
        }
    }

    pub(crate) fn reboot(&mut self) {
        self.reboot = true;
    }

    /// The next one, a restart last.
    pub(crate) fn poll(&mut self) -> Option<Effect> {
        // Each moves up, and the first comes out.
        let mut first = None;
        for place in self.events.iter_mut().rev() {
            core::mem::swap(place, &mut first);
        }
        if let Some(event) = first {
            return Some(Effect::Event(event));
        }
        core::mem::take(&mut self.reboot).then_some(Effect::Reboot)
    }
}
