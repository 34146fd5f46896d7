//! What outlives a restart: the link's timing, the update under way, what still has to be reported, the count of starts.

mod codec;

use deltagate_flash::{AppendError, FlashError, Live, Record, RecordLog, Region};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{Job, LastUpdate, Outcome, Severity};
use wire_coap::BlockSize;

use crate::channel::Trace;

/// The timing of the link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) ack_timeout_ms: u32,
    pub(crate) round_trip_ms: u32,
}

/// One entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JournalRecord {
    /// What the link was found to be.
    Link(Link),
    /// The spare slot is prepared for this payload and holds its envelope.
    JobStarted(Job),
    /// The gateway answers in blocks of this size, smaller than the device asked for.
    SmallerBlocks(BlockSize),
    /// The payload is complete and its digest right.
    Staged,
    /// The image is verified, and put off.
    Verified,
    /// The image is verified; the boot log's Trial record comes next.
    Armed,
    /// How urgent the update is and how long it may wait, when that is not the default.
    Terms(Terms),
    /// Since when an update is put off.
    Deferred(Deferred),
    /// There is no update under way any more.
    JobEnded,
    /// How an update ended.
    Outcome(LastUpdate),
    /// The gateway knows how an update ended.
    Reported(Told),
    /// So many bytes of the payload are good, and its sectors from there on are being erased.
    Mending(u32),
    /// So many bytes of the payload are good, and surely so, even where they look erased; no mending is under way.
    Firm(u32),
    /// The agent started, for this many times in all, modulo 2^32.
    Started(u32),
    /// Messages were protected with keys of which this is a trace.
    Protected(Trace),
    /// The newest statement of what is newest, and how far time has come since.
    #[cfg(feature = "freshness")]
    Heard(Heard),
}

/// A statement, and a time that is never later than its publisher's: `freshness`.
#[cfg(feature = "freshness")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard {
    pub(crate) statement: wire_manifest::Latest,
    /// Seconds since 1970.
    pub(crate) time_s: u32,
    /// Since when, by that time, it has known of a release that it does not run, without being offered one.
    pub(crate) newer_since_s: u32,
    /// What the caller's clock was at that time.
    pub(crate) at_ms: u64,
}

/// What the gateway says of an update's urgency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) severity: Severity,
    pub(crate) defer_s_max: Option<u32>,
}

impl Terms {
    pub(crate) const fn of(job: &Job) -> Self {
        Self {
            severity: job.severity,
            defer_s_max: job.defer_s_max,
        }
    }

    const DEFAULT: Self = Self {
        severity: Severity::Mandatory,
        defer_s_max: None,
    };

    /// The job with these terms.
    const fn on(self, job: Job) -> Job {
        Job {
            severity: self.severity,
            defer_s_max: self.defer_s_max,
            ..job
        }
    }
}

/// Since when an image is put off, by the caller's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deferred {
    pub(crate) sequence_number: u64,
    pub(crate) since_ms: u64,
}

/// Identifies an outcome that was reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) sequence: u64,
    pub(crate) code: u8,
}

impl Told {
    pub(crate) const fn of(update: &LastUpdate) -> Self {
        Self {
            sequence: update.sequence_number,
            code: update.outcome.code(),
        }
    }
}

/// How far an update got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stage {
    Started,
    Staged,
    Verified,
    Armed,
}

impl Stage {
    /// How far an update is that is offered anew: one that was tried may be tried again from what is staged, for its
    /// image may be what was wrong; one that was put off is still verified.
    const fn before_trial(self) -> Self {
        match self {
            Self::Armed => Self::Staged,
            earlier => earlier,
        }
    }
}

/// An update under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JournalJob {
    pub(crate) job: Job,
    pub(crate) stage: Stage,
    /// The size of the blocks it is staged in, when not the device's largest.
    pub(crate) block_size: Option<BlockSize>,
    /// A mending under way, with the number of good bytes.
    pub(crate) mending: Option<u32>,
    /// So many bytes need not be looked for: they are there.
    pub(crate) firm_bytes: u32,
}

/// What the journal says, all of it that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(crate) struct JournalState {
    pub(crate) link: Option<Link>,
    pub(crate) job: Option<JournalJob>,
    /// To be reported.
    pub(crate) outcome: Option<LastUpdate>,
    /// The last revert reported, so that the one in the boot log is not reported for ever. Forgotten when the same image
    /// is tried again, not when something else is reported: the gateway, told of the revert twice, would undo its
    /// operator's `update retry`.
    pub(crate) reported: Option<Told>,
    /// The image put off last, until it is tried or its update has ended.
    pub(crate) deferred: Option<Deferred>,
    /// How often the agent started, modulo 2^32.
    pub(crate) starts: u32,
    /// A trace of the keys that messages were protected with last.
    pub(crate) protected: Option<Trace>,
    /// The newest statement of what is newest.
    #[cfg(feature = "freshness")]
    pub(crate) heard: Option<Heard>,
}

impl JournalState {
    fn after(mut self, record: JournalRecord) -> Self {
        self.add(record);
        self
    }

    #[inline(never)]
    fn add(&mut self, record: JournalRecord) {
        match record {
            JournalRecord::Link(link) => self.link = Some(link),
            JournalRecord::JobStarted(job) => match &mut self.job {
                // The same under another path goes on where it is.
                Some(known) if is_same_payload(&known.job, &job) => {
                    known.job.path = job.path;
                    known.stage = known.stage.before_trial();
                }
                _ => {
                    self.job = Some(JournalJob {
                        // Read back, the record says nothing of terms: they have one of their own.
                        job: Terms::DEFAULT.on(job),
                        stage: Stage::Started,
                        block_size: None,
                        mending: None,
                        firm_bytes: 0,
                    });
                }
            },
            JournalRecord::SmallerBlocks(size) => {
                if let Some(job) = &mut self.job {
                    job.block_size = Some(size);
                }
            }
            JournalRecord::Mending(good) => self.mend(Some(good)),
            JournalRecord::Firm(bytes) => {
                self.mend(None);
                if let Some(job) = &mut self.job {
                    job.firm_bytes = bytes;
                }
            }
            JournalRecord::Terms(terms) => {
                if let Some(known) = &mut self.job {
                    known.job = terms.on(known.job);
                }
            }
            JournalRecord::Deferred(deferred) => self.deferred = Some(deferred),
            JournalRecord::Staged => self.advance(Stage::Staged),
            JournalRecord::Verified => self.advance(Stage::Verified),
            JournalRecord::Armed => {
                self.advance(Stage::Armed);
                if let Some(tried) = self.job.as_ref().map(|known| known.job.sequence_number) {
                    forget(&mut self.reported, |told| told.sequence == tried);
                    forget(&mut self.deferred, |put_off| put_off.sequence_number == tried);
                }
            }
            JournalRecord::JobEnded => self.job = None,
            JournalRecord::Outcome(outcome) => {
                self.outcome = Some(outcome);
                let ended = outcome.sequence_number;
                // With one record: an update that is reported as over does not go on, wherever the power goes away.
                forget(&mut self.job, |known| known.job.sequence_number == ended);
                forget(&mut self.deferred, |put_off| put_off.sequence_number == ended);
            }
            JournalRecord::Reported(told) => {
                forget(&mut self.outcome, |outcome| Told::of(outcome) == told);
                if Outcome::from_code(told.code).is_revert() {
                    self.reported = Some(told);
                }
            }
            JournalRecord::Started(starts) => self.starts = starts,
            JournalRecord::Protected(keys) => self.protected = Some(keys),
            #[cfg(feature = "freshness")]
            JournalRecord::Heard(heard) => self.heard = Some(heard),
        }
    }

    fn advance(&mut self, stage: Stage) {
        if let Some(job) = &mut self.job {
            job.stage = job.stage.max(stage);
        }
    }

    fn mend(&mut self, good: Option<u32>) {
        if let Some(job) = &mut self.job {
            job.mending = good;
        }
    }

    /// The record at this place of those whose fold is the state.
    #[inline(never)]
    fn live(&self, place: usize) -> Option<Record> {
        let (mut at, mut found) = (0, None);
        self.each_live(&mut |record| {
            if at == place {
                found = Some(record.encode());
            }
            at += 1;
        });
        found
    }

    /// Gives the fewest records whose fold is this state, oldest first.
    #[inline(never)]
    fn each_live(&self, put: &mut dyn FnMut(JournalRecord)) {
        put(JournalRecord::Started(self.starts));
        if let Some(keys) = self.protected {
            put(JournalRecord::Protected(keys));
        }
        #[cfg(feature = "freshness")]
        if let Some(heard) = self.heard {
            put(JournalRecord::Heard(heard));
        }
        if let Some(link) = self.link {
            put(JournalRecord::Link(link));
        }
        // Before the update under way, which may be another try of the same image.
        if let Some(outcome) = self.outcome {
            put(JournalRecord::Outcome(outcome));
        }
        if let Some(job) = &self.job {
            job.each_live(put);
        }
        if let Some(told) = self.reported {
            put(JournalRecord::Reported(told));
        }
        if let Some(deferred) = self.deferred {
            put(JournalRecord::Deferred(deferred));
        }
    }
}

/// Forgets what is known, if it is such. Where it is: to filter it would be to copy it.
fn forget<T>(known: &mut Option<T>, is_such: impl FnOnce(&T) -> bool) {
    if known.as_ref().is_some_and(is_such) {
        *known = None;
    }
}

impl Live for JournalState {
    fn each(&self, put: &mut dyn FnMut(&Record)) {
        self.each_live(&mut |record| put(&record.encode()));
    }
}

impl JournalJob {
    fn each_live(&self, put: &mut dyn FnMut(JournalRecord)) {
        put(JournalRecord::JobStarted(self.job));
        if let Some(size) = self.block_size {
            put(JournalRecord::SmallerBlocks(size));
        }
        let terms = Terms::of(&self.job);
        if terms != Terms::DEFAULT {
            put(JournalRecord::Terms(terms));
        }
        if self.firm_bytes > 0 {
            put(JournalRecord::Firm(self.firm_bytes));
        }
        if let Some(mending) = self.mending {
            put(JournalRecord::Mending(mending));
        }
        if self.stage >= Stage::Staged {
            put(JournalRecord::Staged);
        }
        if self.stage >= Stage::Verified {
            put(JournalRecord::Verified);
        }
        if self.stage >= Stage::Armed {
            put(JournalRecord::Armed);
        }
    }
}

/// One record for each of the seven or eight fields of the state, and seven beside JobStarted for those of the job.
const LIVE_MAX: usize = if cfg!(feature = "freshness") { 15 } else { 14 };
const _: () = assert!(LIVE_MAX <= deltagate_flash::RECORD_LIVE_MAX);

/// The journal, opened: its state, and the way to add to it.
pub(crate) struct Journal<'f, F> {
    records: RecordLog<'f, F>,
    state: JournalState,
}

impl<'f, F: NorFlash> Journal<'f, F> {
    /// Reads the journal. A blank region is an empty one; records of unknown kinds are skipped.
    pub(crate) fn open(region: Region<'f, F>) -> Result<Self, FlashError> {
        let records = RecordLog::open(region)?;
        let mut state = JournalState::default();
        records.each(&mut |record| {
            if let Some(record) = JournalRecord::decode(record) {
                state.add(record);
            }
        })?;
        Ok(Self { records, state })
    }

    pub(crate) const fn state(&self) -> &JournalState {
        &self.state
    }

    /// Counts this start, and settles what the last one left in doubt. It takes two cells of 60 in a sector of 4,096 bytes,
    /// so one is erased about once in twenty restarts: two that bear 100,000 each last for four million.
    pub(crate) fn count_start(&mut self) -> Result<(), FlashError> {
        self.records.settle_keeping(&self.state).map_err(failed)?;
        self.append(JournalRecord::Started(self.state.starts.wrapping_add(1)))
    }

    /// An update put off at a time that this start's clock has not reached is put off since now: the clock began anew.
    pub(crate) fn restart_deferral(&mut self, now_ms: u64) -> Result<(), FlashError> {
        match self.state.deferred {
            Some(deferred) if deferred.since_ms > now_ms => self.append(JournalRecord::Deferred(Deferred {
                since_ms: now_ms,
                ..deferred
            })),
            _ => Ok(()),
        }
    }

    /// Appends `record`, atomically, unless it would change nothing.
    pub(crate) fn append(&mut self, record: JournalRecord) -> Result<(), FlashError> {
        let after = self.state.after(record);
        // The records give the state back, so that equal ones are those of equal states.
        if (0..LIVE_MAX).all(|place| self.state.live(place) == after.live(place)) {
            return Ok(());
        }
        let appended = self.records.append_keeping(&record.encode(), &self.state);
        appended.map_err(failed)?;
        self.state = after;
        Ok(())
    }
}

/// Whether two jobs are one, under whatever path and terms: what is fetched is known by its digest.
pub(crate) fn is_same_payload(one: &Job, other: &Job) -> bool {
    *one == Job {
        path: one.path,
        ..Terms::of(one).on(*other)
    }
}

fn failed(error: AppendError) -> FlashError {
    match error {
        AppendError::Flash(error) => error,
        // Ruled out by the assertion on LIVE_MAX and by the bank size that RecordLog asserts.
        _ => FlashError::OutOfBounds,
    }
}

#[cfg(test)]
mod tests;
