//! Where an update stands: records in flash, and the state that they add up to.
//!
//! ```text
//! kind          payload
//! 1 Requested   0 patch bytes u32   4 SHA-256 of the patch [32]
//! 2 Began       0 base sectors u32   4 gap u32   8 interval u32   both in sectors
//! 3 Moved       0 sectors u32   of the base, those from here on lie a gap further up
//! 4 Checkpoint  0 position u32   4 place u8
//! 5 Written
//! 6 Ended       0 outcome u8
//! 7 Lost        0 reason u8
//! 8 Accepted    0 SHA-256 of the image [32]
//! 9 Fetched     0 sectors u32   of that image
//! ```
//!
//! Every record says what is done already, never what is about to be done: a record that was lost with the power costs one
//! repetition.

use deltagate_flash::{AppendError, FlashError, Record, RecordLog, Region};
use embedded_storage::nor_flash::NorFlash;

use crate::outcome::{Lost, Outcome};

/// A patch that was staged, and asked to be applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request {
    /// Length of the patch.
    pub patch_bytes: u32,
    /// Its SHA-256.
    pub patch_digest: [u8; 32],
}

/// How the slot is used, in sectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Of the base.
    pub base: u32,
    /// By which it is moved up.
    pub gap: u32,
    /// From one checkpoint to the next.
    pub interval: u32,
}

/// A decoder in flash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checkpoint {
    /// Bytes of the result before it.
    pub position: u32,
    /// Which of the two places holds it, 0 or 1.
    pub place: u8,
}

/// What the journal adds up to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JournalState {
    /// Nothing to do. What became of the last update.
    Idle(Option<Outcome>),
    /// A patch waits. Nothing was touched yet.
    Requested(Request),
    /// The base is being moved up; so many of its sectors are still in their old places.
    Moving(Request, Geometry, u32),
    /// The result is being written, from the last checkpoint on or from the beginning.
    Writing(Request, Geometry, Option<Checkpoint>),
    /// The slot holds a whole image, which has to be verified.
    Written,
    /// The slot holds no image. One with this digest was accepted, and so many of its sectors are there.
    Fetching(Lost, Option<[u8; 32]>, u32),
}

/// A record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Entry {
    Requested(Request),
    Began(Geometry),
    Moved(u32),
    Checkpoint(Checkpoint),
    Written,
    Ended(Outcome),
    Lost(Lost),
    Accepted([u8; 32]),
    Fetched(u32),
}

impl JournalState {
    /// The state after one more record: every cell is in `tests.rs`. A record that does not belong to a state is
    /// ignored.
    #[must_use]
    pub(crate) fn after(self, entry: Entry) -> Self {
        match (self, entry) {
            (Self::Idle(_), Entry::Requested(request)) => Self::Requested(request),
            (Self::Requested(_) | Self::Written | Self::Fetching(..), Entry::Ended(outcome)) => {
                Self::Idle(Some(outcome))
            }
            (Self::Requested(request), Entry::Began(geometry)) => {
                Self::Moving(request, geometry, geometry.base)
            }
            (Self::Moving(request, geometry, _), Entry::Moved(0)) => Self::Writing(request, geometry, None),
            (Self::Moving(request, geometry, _), Entry::Moved(sectors)) => {
                Self::Moving(request, geometry, sectors)
            }
            (Self::Writing(request, geometry, _), Entry::Checkpoint(checkpoint)) => {
                Self::Writing(request, geometry, Some(checkpoint))
            }
            (Self::Writing(..) | Self::Fetching(_, Some(_), _), Entry::Written) => Self::Written,
            (_, Entry::Lost(lost)) => Self::Fetching(lost, None, 0),
            (Self::Fetching(lost, ..), Entry::Accepted(digest)) => Self::Fetching(lost, Some(digest), 0),
            (Self::Fetching(lost, digest @ Some(_), _), Entry::Fetched(sectors)) => {
                Self::Fetching(lost, digest, sectors)
            }
            (other, _) => other,
        }
    }

    /// Records that add up to this state, oldest first.
    fn live(self) -> [Option<Entry>; LIVE_MAX] {
        let head = |request, geometry| [Some(Entry::Requested(request)), Some(Entry::Began(geometry))];
        match self {
            Self::Idle(None) => [None; LIVE_MAX],
            // Of its request nothing is known any more, nor needed.
            Self::Idle(Some(outcome)) => [
                Some(Entry::Requested(NOTHING)),
                Some(Entry::Ended(outcome)),
                None,
                None,
            ],
            Self::Requested(request) => [Some(Entry::Requested(request)), None, None, None],
            Self::Moving(request, geometry, sectors) => {
                let [requested, began] = head(request, geometry);
                [requested, began, Some(Entry::Moved(sectors)), None]
            }
            Self::Writing(request, geometry, checkpoint) => {
                let [requested, began] = head(request, geometry);
                [
                    requested,
                    began,
                    Some(Entry::Moved(0)),
                    checkpoint.map(Entry::Checkpoint),
                ]
            }
            Self::Written => [
                Some(Entry::Lost(Lost::GivenUp)),
                Some(Entry::Accepted([0; 32])),
                Some(Entry::Written),
                None,
            ],
            Self::Fetching(lost, digest, sectors) => [
                Some(Entry::Lost(lost)),
                digest.map(Entry::Accepted),
                digest.map(|_| Entry::Fetched(sectors)),
                None,
            ],
        }
    }
}

const LIVE_MAX: usize = 4;

const NOTHING: Request = Request {
    patch_bytes: 0,
    patch_digest: [0; 32],
};

const REQUESTED: u8 = 1;
const BEGAN: u8 = 2;
const MOVED: u8 = 3;
const CHECKPOINT: u8 = 4;
const WRITTEN: u8 = 5;
const ENDED: u8 = 6;
const LOST: u8 = 7;
const ACCEPTED: u8 = 8;
const FETCHED: u8 = 9;

/// The longest payload: a request's.
const PAYLOAD_BYTES_MAX: usize = 36;

/// A payload being put together.
struct Payload {
    bytes: [u8; PAYLOAD_BYTES_MAX],
    len: usize,
}

impl Payload {
    fn with(mut self, bytes: &[u8]) -> Self {
        let end = self.len + bytes.len();
        if let Some(place) = self.bytes.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
            self.len = end;
        }
        self
    }
}

impl Entry {
    fn encode(self) -> Option<Record> {
        let none = Payload {
            bytes: [0; PAYLOAD_BYTES_MAX],
            len: 0,
        };
        let (kind, payload) = match self {
            Self::Requested(request) => (
                REQUESTED,
                none.with(&request.patch_bytes.to_le_bytes())
                    .with(&request.patch_digest),
            ),
            Self::Began(Geometry { base, gap, interval }) => (
                BEGAN,
                none.with(&base.to_le_bytes())
                    .with(&gap.to_le_bytes())
                    .with(&interval.to_le_bytes()),
            ),
            Self::Moved(sectors) => (MOVED, none.with(&sectors.to_le_bytes())),
            Self::Checkpoint(Checkpoint { position, place }) => {
                (CHECKPOINT, none.with(&position.to_le_bytes()).with(&[place]))
            }
            Self::Written => (WRITTEN, none),
            Self::Ended(outcome) => (ENDED, none.with(&[outcome.code()])),
            Self::Lost(lost) => (LOST, none.with(&[lost.code()])),
            Self::Accepted(digest) => (ACCEPTED, none.with(&digest)),
            Self::Fetched(sectors) => (FETCHED, none.with(&sectors.to_le_bytes())),
        };
        Record::new(kind, payload.bytes.get(..payload.len)?)
    }

    /// `None` for what this version does not know.
    fn decode(record: &Record) -> Option<Self> {
        let (word, rest) = match *record.payload() {
            [a, b, c, d, ref rest @ ..] => (u32::from_le_bytes([a, b, c, d]), rest),
            _ => (0, &[][..]),
        };
        let first = record.payload().first().copied();
        Some(match record.kind() {
            REQUESTED => Self::Requested(Request {
                patch_bytes: word,
                patch_digest: *rest.first_chunk()?,
            }),
            BEGAN => match *rest {
                [a, b, c, d, e, f, g, h] => Self::Began(Geometry {
                    base: word,
                    gap: u32::from_le_bytes([a, b, c, d]),
                    interval: u32::from_le_bytes([e, f, g, h]),
                }),
                _ => return None,
            },
            MOVED if record.payload().len() == 4 => Self::Moved(word),
            CHECKPOINT => match *rest {
                [place @ 0..=1] => Self::Checkpoint(Checkpoint {
                    position: word,
                    place,
                }),
                _ => return None,
            },
            WRITTEN => Self::Written,
            ENDED => Self::Ended(Outcome::from_code(first?)?),
            LOST => Self::Lost(Lost::from_code(first?)?),
            ACCEPTED => Self::Accepted(*record.payload().first_chunk()?),
            FETCHED if record.payload().len() == 4 => Self::Fetched(word),
            _ => return None,
        })
    }
}

/// The journal, opened.
pub(crate) struct Journal<'f, F> {
    records: RecordLog<'f, F>,
    state: JournalState,
}

impl<'f, F: NorFlash> Journal<'f, F> {
    /// Reads the journal. A blank one is idle.
    pub(crate) fn open(region: Region<'f, F>) -> Result<Self, FlashError> {
        let records = RecordLog::open(region)?;
        let mut state = JournalState::Idle(None);
        for record in records.records() {
            if let Some(entry) = Entry::decode(&record?) {
                state = state.after(entry);
            }
        }
        Ok(Self { records, state })
    }

    pub(crate) fn state(&self) -> JournalState {
        self.state
    }

    /// Appends a record, atomically.
    pub(crate) fn append(&mut self, entry: Entry) -> Result<(), AppendError> {
        let record = entry.encode().ok_or(AppendError::TooManyLive)?;
        let (live, count) = self.live()?;
        self.records.append(&record, live.get(..count).unwrap_or(&[]))?;
        self.state = self.state.after(entry);
        Ok(())
    }

    /// Makes up its mind about a newest record that was half written when the power went away, and might read differently the
    /// next time: what is erased next must not depend on it.
    pub(crate) fn settle(&mut self) -> Result<(), AppendError> {
        let (live, count) = self.live()?;
        self.records.settle(live.get(..count).unwrap_or(&[]))
    }

    /// The records that the state consists of, and how many.
    fn live(&self) -> Result<([Record; LIVE_MAX], usize), AppendError> {
        let misuse = AppendError::TooManyLive;
        let blank = Entry::Written.encode().ok_or(misuse)?;
        let mut live = [blank; LIVE_MAX];
        let mut count = 0;
        for (place, entry) in live.iter_mut().zip(self.state.live().into_iter().flatten()) {
            *place = entry.encode().ok_or(misuse)?;
            count += 1;
        }
        Ok((live, count))
    }
}

#[cfg(test)]
mod tests;
