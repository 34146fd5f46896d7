//! What outlives a restart: the link's timing, the update under way, what still has to be reported, the count of starts.

use deltagate_flash::{AppendError, FlashError, Record, RecordLog, Region};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{Format, Job, JobPath, LastUpdate, Outcome, Severity};
use wire_coap::BlockSize;

const LINK: u8 = 1;
const JOB_STARTED: u8 = 2;
const STAGED: u8 = 3;
const ARMED: u8 = 4;
const JOB_ENDED: u8 = 5;
const OUTCOME: u8 = 6;
const REPORTED: u8 = 7;
const SMALLER_BLOCKS: u8 = 8;
const STARTED: u8 = 9;
const MENDING: u8 = 10;
const FIRM: u8 = 11;
const VERIFIED: u8 = 12;
const TERMS: u8 = 13;
const DEFERRED: u8 = 14;

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
}

impl JournalState {
    fn after(mut self, record: JournalRecord) -> Self {
        match record {
            JournalRecord::Link(link) => self.link = Some(link),
            JournalRecord::JobStarted(job) => {
                // The same under another path goes on where it is.
                let known = self.job.filter(|known| is_same_payload(&known.job, &job));
                // Read back, the record says nothing of terms: they have one of their own.
                let terms = known.map_or(Terms::DEFAULT, |known| Terms::of(&known.job));
                self.job = Some(JournalJob {
                    job: terms.on(job),
                    stage: known.map_or(Stage::Started, |known| known.stage.before_trial()),
                    block_size: known.and_then(|known| known.block_size),
                    mending: known.and_then(|known| known.mending),
                    firm_bytes: known.map_or(0, |known| known.firm_bytes),
                });
            }
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
                let tried = self.job.map(|job| job.job.sequence_number);
                self.reported = self.reported.filter(|told| Some(told.sequence) != tried);
                self.deferred = self
                    .deferred
                    .filter(|put_off| Some(put_off.sequence_number) != tried);
            }
            JournalRecord::JobEnded => self.job = None,
            JournalRecord::Outcome(outcome) => {
                self.outcome = Some(outcome);
                let ended = outcome.sequence_number;
                self.deferred = self.deferred.filter(|put_off| put_off.sequence_number != ended);
            }
            JournalRecord::Reported(told) => {
                self.outcome = self.outcome.filter(|outcome| Told::of(outcome) != told);
                if Outcome::from_code(told.code).is_revert() {
                    self.reported = Some(told);
                }
            }
            JournalRecord::Started(starts) => self.starts = starts,
        }
        self
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

    /// Gives the fewest records whose fold is this state, oldest first. One at a time: all of them would be a kilobyte of stack.
    fn each_live(&self, put: &mut dyn FnMut(JournalRecord)) {
        put(JournalRecord::Started(self.starts));
        if let Some(link) = self.link {
            put(JournalRecord::Link(link));
        }
        if let Some(job) = &self.job {
            job.each_live(put);
        }
        if let Some(told) = self.reported {
            put(JournalRecord::Reported(told));
        }
        if let Some(outcome) = self.outcome {
            put(JournalRecord::Outcome(outcome));
        }
        if let Some(deferred) = self.deferred {
            put(JournalRecord::Deferred(deferred));
        }
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
        for (stage, record) in [
            (Stage::Staged, JournalRecord::Staged),
            (Stage::Verified, JournalRecord::Verified),
            (Stage::Armed, JournalRecord::Armed),
        ] {
            if self.stage >= stage {
                put(record);
            }
        }
    }
}

/// One record for each of the six fields of the state, and seven beside JobStarted for those of the job.
const LIVE_MAX: usize = 13;
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
        for record in records.records() {
            if let Some(record) = JournalRecord::decode(&record?) {
                state = state.after(record);
            }
        }
        Ok(Self { records, state })
    }

    pub(crate) const fn state(&self) -> &JournalState {
        &self.state
    }

    /// Counts this start, and settles what the last one left in doubt. It takes two cells of 60 in a sector of 4,096 bytes,
    /// so one is erased about once in twenty restarts: two that bear 100,000 each last for four million.
    pub(crate) fn count_start(&mut self) -> Result<(), FlashError> {
        let (live, count) = self.live();
        let settled = self.records.settle(live.get(..count).unwrap_or(&[]));
        settled.map_err(failed)?;
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
        if after == self.state {
            return Ok(());
        }
        let (live, count) = self.live();
        let appended = self
            .records
            .append(&record.encode(), live.get(..count).unwrap_or(&[]));
        appended.map_err(failed)?;
        self.state = after;
        Ok(())
    }

    /// The records whose fold is the state, and how many of them there are.
    fn live(&self) -> ([Record; LIVE_MAX], usize) {
        let mut live = [JournalRecord::JobEnded.encode(); LIVE_MAX];
        let mut count = 0;
        self.state.each_live(&mut |record| {
            if let Some(place) = live.get_mut(count) {
                *place = record.encode();
                count += 1;
            }
        });
        (live, count)
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

impl JournalRecord {
    fn encode(self) -> Record {
        let mut bytes = Bytes {
            buffer: [0; 40],
            length: 0,
        };
        let kind = match self {
            Self::Link(link) => {
                bytes.put(&link.ack_timeout_ms.to_le_bytes());
                bytes.put(&link.round_trip_ms.to_le_bytes());
                LINK
            }
            Self::JobStarted(job) => {
                bytes.put(&job.artefact_digest);
                bytes.put(&[job.format.code()]);
                bytes.put(&job.payload_bytes.to_le_bytes());
                bytes.put(&job.sequence_number.to_le_bytes());
                bytes.put(job.path.as_str().as_bytes());
                JOB_STARTED
            }
            Self::SmallerBlocks(size) => {
                bytes.put(&[size.szx()]);
                SMALLER_BLOCKS
            }
            Self::Terms(terms) => {
                bytes.put(&[terms.severity.code(), u8::from(terms.defer_s_max.is_some())]);
                bytes.put(&terms.defer_s_max.unwrap_or(0).to_le_bytes());
                TERMS
            }
            Self::Deferred(deferred) => {
                bytes.put(&deferred.sequence_number.to_le_bytes());
                bytes.put(&deferred.since_ms.to_le_bytes());
                DEFERRED
            }
            Self::Staged => STAGED,
            Self::Verified => VERIFIED,
            Self::Armed => ARMED,
            Self::JobEnded => JOB_ENDED,
            Self::Outcome(update) => {
                bytes.put(&update.sequence_number.to_le_bytes());
                bytes.put(&[update.outcome.code(), u8::from(update.detail.is_some())]);
                bytes.put(&update.detail.unwrap_or(0).to_le_bytes());
                OUTCOME
            }
            Self::Reported(told) => {
                bytes.put(&told.sequence.to_le_bytes());
                bytes.put(&[told.code]);
                REPORTED
            }
            Self::Mending(good) => {
                bytes.put(&good.to_le_bytes());
                MENDING
            }
            Self::Firm(bytes_before) => {
                bytes.put(&bytes_before.to_le_bytes());
                FIRM
            }
            Self::Started(starts) => {
                bytes.put(&starts.to_le_bytes());
                STARTED
            }
        };
        let payload = bytes.buffer.get(..bytes.length).unwrap_or(&[]);
        Record::new(kind, payload).expect("40 bytes fit a record")
    }

    /// `None` for a record of a kind or value that this version does not know.
    fn decode(record: &Record) -> Option<Self> {
        let mut bytes = record.payload();
        let decoded = match record.kind() {
            LINK => Self::Link(Link {
                ack_timeout_ms: u32::from_le_bytes(take(&mut bytes)?),
                round_trip_ms: u32::from_le_bytes(take(&mut bytes)?),
            }),
            JOB_STARTED => Self::JobStarted(Job {
                artefact_digest: take(&mut bytes)?,
                format: Format::from_code(u8::from_le_bytes(take(&mut bytes)?))?,
                payload_bytes: u32::from_le_bytes(take(&mut bytes)?),
                sequence_number: u64::from_le_bytes(take(&mut bytes)?),
                path: JobPath::new(core::str::from_utf8(core::mem::take(&mut bytes)).ok()?)?,
                severity: Terms::DEFAULT.severity,
                defer_s_max: Terms::DEFAULT.defer_s_max,
            }),
            SMALLER_BLOCKS => Self::SmallerBlocks(BlockSize::from_szx(u8::from_le_bytes(take(&mut bytes)?))?),
            TERMS => {
                let [severity, has_longest] = take(&mut bytes)?;
                let longest_s = u32::from_le_bytes(take(&mut bytes)?);
                Self::Terms(Terms {
                    severity: Severity::from_code(severity)?,
                    defer_s_max: (has_longest == 1).then_some(longest_s),
                })
            }
            DEFERRED => Self::Deferred(Deferred {
                sequence_number: u64::from_le_bytes(take(&mut bytes)?),
                since_ms: u64::from_le_bytes(take(&mut bytes)?),
            }),
            STAGED => Self::Staged,
            VERIFIED => Self::Verified,
            ARMED => Self::Armed,
            JOB_ENDED => Self::JobEnded,
            OUTCOME => {
                let sequence_number = u64::from_le_bytes(take(&mut bytes)?);
                let [code, has_detail] = take(&mut bytes)?;
                let detail = u32::from_le_bytes(take(&mut bytes)?);
                let outcome = Outcome::from_code(code);
                Self::Outcome(LastUpdate {
                    sequence_number,
                    outcome,
                    detail: (has_detail == 1).then_some(detail),
                })
            }
            REPORTED => {
                let sequence = u64::from_le_bytes(take(&mut bytes)?);
                Self::Reported(Told {
                    sequence,
                    code: u8::from_le_bytes(take(&mut bytes)?),
                })
            }
            MENDING => Self::Mending(u32::from_le_bytes(take(&mut bytes)?)),
            FIRM => Self::Firm(u32::from_le_bytes(take(&mut bytes)?)),
            STARTED => Self::Started(u32::from_le_bytes(take(&mut bytes)?)),
            _ => return None,
        };
        bytes.is_empty().then_some(decoded)
    }
}

/// A payload being put together; 40 bytes hold the longest, a JobStarted of 36.
struct Bytes {
    buffer: [u8; 40],
    length: usize,
}

impl Bytes {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.length + bytes.len();
        if let Some(place) = self.buffer.get_mut(self.length..end) {
            place.copy_from_slice(bytes);
            self.length = end;
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use deltagate_flash::Layout;
    use deltagate_flash::sim::{SimFlash, explore_power_cuts};

    use super::*;

    const LAYOUT: Layout = Layout::packed(4096, 4 * 4096);

    fn job(sequence_number: u64) -> Job {
        Job {
            path: JobPath::new("k3Tq9Za").unwrap(),
            format: Format::Patch,
            payload_bytes: 2_913,
            artefact_digest: core::array::from_fn(|i| i as u8),
            sequence_number,
            severity: Severity::Mandatory,
            defer_s_max: None,
        }
    }

    fn refusal(sequence_number: u64) -> LastUpdate {
        LastUpdate {
            sequence_number,
            outcome: Outcome::NoSpace,
            detail: Some(77),
        }
    }

    #[test]
    fn every_record_comes_back_and_has_the_documented_layout() {
        let records = [
            JournalRecord::Link(Link {
                ack_timeout_ms: 15_000,
                round_trip_ms: 2_100,
            }),
            JournalRecord::JobStarted(job(u64::MAX)),
            JournalRecord::SmallerBlocks(BlockSize::B128),
            JournalRecord::Staged,
            JournalRecord::Verified,
            JournalRecord::Armed,
            JournalRecord::Terms(Terms {
                severity: Severity::Critical,
                defer_s_max: Some(3_600),
            }),
            JournalRecord::Terms(Terms::DEFAULT),
            JournalRecord::Deferred(Deferred {
                sequence_number: u64::MAX,
                since_ms: 77,
            }),
            JournalRecord::JobEnded,
            JournalRecord::Outcome(refusal(9)),
            JournalRecord::Outcome(LastUpdate {
                detail: None,
                ..refusal(9)
            }),
            JournalRecord::Reported(Told::of(&refusal(9))),
            JournalRecord::Started(0x0102_0304),
            JournalRecord::Mending(0x0506_0708),
            JournalRecord::Firm(0x090A_0B0C),
        ];
        for record in records {
            assert_eq!(JournalRecord::decode(&record.encode()), Some(record));
        }
        let started = JournalRecord::JobStarted(job(2)).encode();
        assert_eq!(started.kind(), 2);
        assert_eq!(
            started.payload()[..16],
            core::array::from_fn::<u8, 16, _>(|i| i as u8)
        );
        assert_eq!(
            started.payload()[16..29],
            [3, 0x61, 0x0B, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
        );
        assert_eq!(&started.payload()[29..], b"k3Tq9Za");
    }

    #[test]
    fn unknown_kinds_and_odd_lengths_are_no_records() {
        assert_eq!(JournalRecord::decode(&Record::new(99, &[]).unwrap()), None);
        assert_eq!(JournalRecord::decode(&Record::new(STAGED, &[0]).unwrap()), None);
        assert_eq!(JournalRecord::decode(&Record::new(LINK, &[0; 7]).unwrap()), None);
    }

    #[test]
    fn arming_forgets_that_the_same_image_was_reported() {
        let told = Told {
            sequence: 2,
            code: Outcome::RevertedFault.code(),
        };
        let state = JournalState::default().after(JournalRecord::Reported(told));
        let started = state
            .after(JournalRecord::JobStarted(job(2)))
            .after(JournalRecord::Staged);
        assert_eq!(
            started.reported,
            Some(told),
            "its old revert is still in the boot log"
        );
        assert_eq!(started.after(JournalRecord::Armed).reported, None);
        let other = state
            .after(JournalRecord::JobStarted(job(3)))
            .after(JournalRecord::Armed);
        assert_eq!(other.reported, Some(told));
    }

    #[test]
    fn the_same_under_another_path_and_terms_goes_on_where_it_is() {
        let terms = Terms {
            severity: Severity::Optional,
            defer_s_max: Some(60),
        };
        let known = [
            JournalRecord::JobStarted(job(2)),
            JournalRecord::Terms(terms),
            JournalRecord::SmallerBlocks(BlockSize::B128),
            JournalRecord::Firm(256),
            JournalRecord::Mending(128),
        ];
        let known = known
            .into_iter()
            .fold(JournalState::default(), JournalState::after);
        let elsewhere = Job {
            path: JobPath::new("elsewhr").unwrap(),
            ..job(2)
        };
        for (reached, goes_on_from) in [
            (None, Stage::Started),
            (Some(JournalRecord::Staged), Stage::Staged),
            (Some(JournalRecord::Verified), Stage::Verified),
            (Some(JournalRecord::Armed), Stage::Staged),
        ] {
            let known = reached.map_or(known, |record| known.after(record));
            let there = JournalJob {
                job: terms.on(elsewhere),
                stage: goes_on_from,
                ..known.job.unwrap()
            };
            assert_eq!(known.after(JournalRecord::JobStarted(elsewhere)).job, Some(there));
        }
        let other = known.after(JournalRecord::JobStarted(job(3))).job.unwrap();
        assert_eq!((other.job, other.stage), (job(3), Stage::Started));
        assert_eq!(
            (other.block_size, other.mending, other.firm_bytes),
            (None, None, 0)
        );
    }

    #[test]
    fn a_report_takes_away_only_the_outcome_it_is_about() {
        let state = JournalState::default().after(JournalRecord::Outcome(refusal(4)));
        let other = Told {
            sequence: 3,
            code: refusal(4).outcome.code(),
        };
        assert_eq!(
            state.after(JournalRecord::Reported(other)).outcome,
            Some(refusal(4))
        );
        assert_eq!(
            state
                .after(JournalRecord::Reported(Told::of(&refusal(4))))
                .outcome,
            None
        );
    }

    #[test]
    fn compaction_and_power_cuts_keep_the_state() {
        let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
        let region = Region::new(&flash, LAYOUT.journal);
        let mut journal = Journal::open(region).unwrap();
        journal.count_start().unwrap();
        for sequence in 0..200 {
            journal
                .append(JournalRecord::Link(Link {
                    ack_timeout_ms: 1,
                    round_trip_ms: sequence as u32,
                }))
                .unwrap();
            journal.append(JournalRecord::JobStarted(job(sequence))).unwrap();
            journal.append(JournalRecord::Outcome(refusal(sequence))).unwrap();
            assert_eq!(Journal::open(region).unwrap().state(), journal.state());
        }
        let before = *journal.state();
        assert_eq!(before.starts, 1);
        let initial = flash.into_inner();
        for record in [
            JournalRecord::Staged,
            JournalRecord::Reported(Told::of(&refusal(199))),
            JournalRecord::Started(2),
        ] {
            explore_power_cuts(
                &initial,
                &[0, 3, 63, 4096],
                |flash| {
                    let cell = RefCell::new(flash);
                    let mut journal = Journal::open(Region::new(&cell, LAYOUT.journal)).unwrap();
                    let _ = journal.append(record);
                },
                |flash, _| {
                    let cell = RefCell::new(flash);
                    let state = *Journal::open(Region::new(&cell, LAYOUT.journal)).unwrap().state();
                    assert!(state == before || state == before.after(record));
                },
            );
        }
    }

    #[test]
    fn what_is_known_already_is_not_written_again() {
        let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
        let mut journal = Journal::open(Region::new(&flash, LAYOUT.journal)).unwrap();
        journal.append(JournalRecord::JobEnded).unwrap();
        assert_eq!(flash.borrow().operations(), 0);
    }
}
