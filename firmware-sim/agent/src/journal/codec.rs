//! The journal's records in bytes.

use deltagate_flash::Record;
use wire_checkin::{Format, Job, JobPath, LastUpdate, Outcome, Severity};
use wire_coap::BlockSize;

use super::{Deferred, JournalRecord, Link, Terms, Told};

pub(super) const LINK: u8 = 1;
const JOB_STARTED: u8 = 2;
pub(super) const STAGED: u8 = 3;
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

impl JournalRecord {
    pub(super) fn encode(self) -> Record {
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
    pub(super) fn decode(record: &Record) -> Option<Self> {
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
