//! The journal's records in bytes.

use deltagate_flash::{RECORD_PAYLOAD_BYTES_MAX, Record};
use wire_checkin::{Format, Job, JobPath, LastUpdate, Outcome, Severity};
use wire_coap::BlockSize;

use crate::channel::Trace;

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
const PROTECTED: u8 = 15;
#[cfg(feature = "freshness")]
const HEARD: u8 = 16;

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
                bytes.put(job.path.as_bytes());
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
            Self::Protected(keys) => {
                bytes.put(&keys.word().to_le_bytes());
                PROTECTED
            }
            #[cfg(feature = "freshness")]
            Self::Heard(heard) => {
                let statement = heard.statement;
                for word in [
                    statement.number,
                    statement.sequence,
                    statement.issued_s,
                    statement.valid_s,
                    heard.time_s,
                    heard.newer_since_s,
                ] {
                    bytes.put(&word.to_le_bytes());
                }
                bytes.put(&heard.at_ms.to_le_bytes());
                HEARD
            }
        };
        let payload = bytes.buffer.get(..bytes.length).unwrap_or(&[]);
        Record::new(kind, payload).expect("40 bytes fit a record")
    }

    /// `None` for a record of a kind, length or value that this version does not know.
    pub(super) fn decode(record: &Record) -> Option<Self> {
        let kind = record.kind();
        let length = match kind {
            STAGED | ARMED | VERIFIED | JOB_ENDED => 0,
            SMALLER_BLOCKS => 1,
            MENDING | FIRM | STARTED | PROTECTED => 4,
            TERMS => 6,
            LINK => 8,
            REPORTED => 9,
            OUTCOME => 14,
            DEFERRED => 16,
            #[cfg(feature = "freshness")]
            HEARD => 32,
            JOB_STARTED => JOB_PATH_AT,
            _ => return None,
        };
        let path = record.payload().get(length..)?;
        if !path.is_empty() && kind != JOB_STARTED {
            return None;
        }
        let bytes = record.padded();
        Some(match kind {
            LINK => Self::Link(Link {
                ack_timeout_ms: word_at(bytes, 0),
                round_trip_ms: word_at(bytes, 4),
            }),
            JOB_STARTED => Self::JobStarted(Job {
                artefact_digest: *bytes.first_chunk()?,
                format: Format::from_code(byte_at(bytes, 16))?,
                payload_bytes: word_at(bytes, 17),
                sequence_number: long_at(bytes, 21),
                path: JobPath::of_bytes(path)?,
                severity: Terms::DEFAULT.severity,
                defer_s_max: Terms::DEFAULT.defer_s_max,
            }),
            SMALLER_BLOCKS => Self::SmallerBlocks(BlockSize::from_szx(byte_at(bytes, 0))?),
            TERMS => Self::Terms(Terms {
                severity: Severity::from_code(byte_at(bytes, 0))?,
                defer_s_max: present(byte_at(bytes, 1), word_at(bytes, 2)),
            }),
            DEFERRED => Self::Deferred(Deferred {
                sequence_number: long_at(bytes, 0),
                since_ms: long_at(bytes, 8),
            }),
            STAGED => Self::Staged,
            VERIFIED => Self::Verified,
            ARMED => Self::Armed,
            JOB_ENDED => Self::JobEnded,
            OUTCOME => Self::Outcome(LastUpdate {
                sequence_number: long_at(bytes, 0),
                outcome: Outcome::from_code(byte_at(bytes, 8)),
                detail: present(byte_at(bytes, 9), word_at(bytes, 10)),
            }),
            REPORTED => Self::Reported(Told {
                sequence: long_at(bytes, 0),
                code: byte_at(bytes, 8),
            }),
            MENDING => Self::Mending(word_at(bytes, 0)),
            FIRM => Self::Firm(word_at(bytes, 0)),
            #[cfg(feature = "freshness")]
            HEARD => Self::Heard(super::Heard {
                statement: wire_manifest::Latest {
                    number: word_at(bytes, 0),
                    sequence: word_at(bytes, 4),
                    issued_s: word_at(bytes, 8),
                    valid_s: word_at(bytes, 12),
                },
                time_s: word_at(bytes, 16),
                newer_since_s: word_at(bytes, 20),
                at_ms: long_at(bytes, 24),
            }),
            PROTECTED => Self::Protected(Trace::from_word(word_at(bytes, 0))?),
            _ => Self::Started(word_at(bytes, 0)),
        })
    }
}

/// Where the path begins in a JobStarted.
const JOB_PATH_AT: usize = 29;

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

// What lies at an offset of a payload. Whether it is part of it was checked by its length.

fn byte_at(bytes: &[u8; RECORD_PAYLOAD_BYTES_MAX], at: usize) -> u8 {
    bytes.get(at).copied().unwrap_or_default()
}

fn word_at(bytes: &[u8; RECORD_PAYLOAD_BYTES_MAX], at: usize) -> u32 {
    let word = bytes.get(at..).and_then(|rest| rest.first_chunk());
    word.map_or(0, |&word| u32::from_le_bytes(word))
}

fn long_at(bytes: &[u8; RECORD_PAYLOAD_BYTES_MAX], at: usize) -> u64 {
    u64::from(word_at(bytes, at)) | u64::from(word_at(bytes, at + 4)) << 32
}

/// A field that a byte before it says is there.
fn present(flag: u8, value: u32) -> Option<u32> {
    (flag == 1).then_some(value)
}
