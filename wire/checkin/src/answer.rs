//! The response body.

use core::fmt;
use core::str;

use crate::reader::{Known, Reader};
use crate::writer::{Entries, encode};
use crate::{DecodeError, EncodeError, Format, Severity};

/// Longest path segment of a job: with the slash, 8 characters of the path stay one short option.
pub const JOB_PATH_BYTES_MAX: usize = 7;

/// Longest envelope an answer carries, and a device holds: the bound of our SUIT profile with the text severed.
pub const ENVELOPE_BYTES_MAX: usize = 512;

/// Longest statement of what is newest that an answer carries. Those of today have 80 bytes.
pub const STATEMENT_BYTES_MAX: usize = 128;

/// Longest job: map header, 7 keys of one byte, and the longest value of each key in the order of their numbers.
const JOB_BYTES_MAX: usize = 1 + 7 + (1 + JOB_PATH_BYTES_MAX) + 1 + 5 + 17 + 9 + 1 + 5;

/// Longest body [`Answer::encode`] writes: the map header, 5 keys of one byte, and the longest value of each key in
/// the order of their numbers. Keys 4 and 5 are never both there.
pub const ANSWER_BYTES_MAX: usize =
    1 + 5 + 5 + 5 + JOB_BYTES_MAX + (3 + ENVELOPE_BYTES_MAX) + (2 + STATEMENT_BYTES_MAX);

/// The one Uri-Path segment under which a device fetches its payload: 1 to 7 characters of `[0-9A-Za-z]`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobPath {
    bytes: [u8; JOB_PATH_BYTES_MAX],
    len: u8,
}

impl JobPath {
    /// The path made of this segment, or `None` when it is empty, too long or has other characters.
    pub fn new(segment: &str) -> Option<Self> {
        Self::of_bytes(segment.as_bytes())
    }

    /// The same of a text that nobody has looked at yet: what these characters are written with is UTF-8 in any case.
    pub fn of_bytes(segment: &[u8]) -> Option<Self> {
        if segment.is_empty() || !segment.iter().all(u8::is_ascii_alphanumeric) {
            return None;
        }
        let mut bytes = [0; JOB_PATH_BYTES_MAX];
        bytes.get_mut(..segment.len())?.copy_from_slice(segment);
        Some(Self {
            bytes,
            len: segment.len() as u8,
        })
    }

    /// The segment, without a slash.
    pub fn as_str(&self) -> &str {
        // of_bytes() took ASCII only, so the default is never taken.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// The same as it is on the wire, without the check of UTF-8, which is 400 bytes of code on a device.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl fmt::Display for JobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for JobPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobPath({self})")
    }
}

/// What a device is to fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Job {
    /// Key 1: where the payload lies; its manifest lies under `/path/m`.
    pub path: JobPath,
    /// Key 2: how the payload encodes the image.
    pub format: Format,
    /// Key 3: bytes of the payload.
    pub payload_bytes: u32,
    /// Key 4: first 16 bytes of the SHA-256 of the payload as served. The ETag of every block is its first 4 bytes.
    pub artefact_digest: [u8; 16],
    /// Key 5: sequence number of the image that the payload makes.
    pub sequence_number: u64,
    /// Key 6: how much the operator wants it; [`Severity::Mandatory`] is not sent.
    pub severity: Severity,
    /// Key 7: for how many seconds the device may put it off at most, within bounds of its own; `None`: as long as its
    /// own bounds allow.
    pub defer_s_max: Option<u32>,
}

impl Job {
    /// The ETag every block of this payload must carry.
    pub fn etag(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.artefact_digest;
        [a, b, c, d]
    }
}

/// What the gateway answers to a check-in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer<'a> {
    /// Key 1: seconds until the device asks again, unless it has a job to do.
    pub next_check_in_s: u32,
    /// Key 2: ACK timeout of the device's link in milliseconds (RFC 7252 §4.8 `ACK_TIMEOUT`); `None`: keep yours.
    pub ack_timeout_ms: Option<u32>,
    /// Key 3: what to fetch; `None`: nothing to do.
    pub job: Option<Job>,
    /// Key 4: the signed envelope with its text severed, at most [`ENVELOPE_BYTES_MAX`] bytes; `None` with a job:
    /// fetch it from `/path/m`.
    pub envelope: Option<&'a [u8]>,
    /// Key 5: a newer set of trust anchors than the device has, at most [`ENVELOPE_BYTES_MAX`] bytes. With a job as well the job's envelope
    /// is to be fetched: one datagram does not hold both.
    pub anchors: Option<&'a [u8]>,
    /// Key 6: a newer statement of what is newest than key 19 of the check-in named, written with at most [`STATEMENT_BYTES_MAX`]
    /// bytes; who reads it knows how long one is: `docs/freeze.md`.
    pub statement: Option<&'a [u8]>,
}

impl<'a> Answer<'a> {
    /// The answer that gives no work.
    pub const fn idle(next_check_in_s: u32) -> Self {
        Self {
            next_check_in_s,
            ack_timeout_ms: None,
            job: None,
            envelope: None,
            anchors: None,
            statement: None,
        }
    }

    /// Reads a whole body.
    pub fn decode(body: &'a [u8]) -> Result<Self, DecodeError> {
        let mut answer = Self::idle(0);
        let mut reader = Reader::new(body);
        let keys = reader.map(&mut |reader, key| answer.read_entry(reader, key))?;
        reader.end()?;
        let (key, envelope) = match (answer.envelope, answer.anchors) {
            (Some(_), Some(_)) => return Err(DecodeError::OutOfRange { key: 5 }),
            (envelope, None) => (4, envelope),
            (None, anchors) => (5, anchors),
        };
        if envelope.is_some_and(|envelope| envelope.len() > ENVELOPE_BYTES_MAX) {
            return Err(DecodeError::OutOfRange { key });
        }
        keys.require(1..=1)?;
        Ok(answer)
    }

    fn read_entry(&mut self, reader: &mut Reader<'a>, key: i32) -> Result<Known, DecodeError> {
        match key {
            1 => self.next_check_in_s = reader.uint_as(key)?,
            2 => self.ack_timeout_ms = Some(reader.uint_as(key)?),
            3 => self.job.insert(Job::NONE).read(reader)?,
            // One place that reads bytes: each is code on a device.
            4..=6 => {
                let bytes = Some(reader.bytes()?);
                match key {
                    4 => self.envelope = bytes,
                    5 => self.anchors = bytes,
                    _ => self.statement = bytes,
                }
            }
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }

    /// Writes the body into `buffer`, of which [`ANSWER_BYTES_MAX`] bytes always suffice, and returns it.
    pub fn encode<'b>(&self, buffer: &'b mut [u8]) -> Result<&'b [u8], EncodeError> {
        if self.envelope.is_some() && self.anchors.is_some() {
            return Err(EncodeError::OutOfRange { key: 5 });
        }
        for (key, value, bytes_max) in [
            (4, self.envelope, ENVELOPE_BYTES_MAX),
            (5, self.anchors, ENVELOPE_BYTES_MAX),
            (6, self.statement, STATEMENT_BYTES_MAX),
        ] {
            if value.is_some_and(|value| value.len() > bytes_max) {
                return Err(EncodeError::OutOfRange { key });
            }
        }
        encode(buffer, |entries| self.write(entries))
    }

    fn write(&self, entries: &mut Entries<'_, '_>) {
        entries.number(1, self.next_check_in_s);
        entries.number_if_any(2, self.ack_timeout_ms);
        if let Some(job) = &self.job {
            Entries::map(entries.key(3), |entries| job.write(entries));
        }
        for (key, value) in [(4, self.envelope), (5, self.anchors), (6, self.statement)] {
            if let Some(value) = value {
                entries.bytes(key, value);
            }
        }
    }
}

impl Job {
    /// Before anything was read.
    const NONE: Self = Self {
        path: JobPath {
            bytes: [0; JOB_PATH_BYTES_MAX],
            len: 0,
        },
        format: Format::Full,
        payload_bytes: 0,
        artefact_digest: [0; 16],
        sequence_number: 0,
        severity: Severity::Mandatory,
        defer_s_max: None,
    };

    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let keys = reader.map(&mut |reader, key| self.read_entry(reader, key))?;
        keys.require(1..=5)
    }

    fn read_entry(&mut self, reader: &mut Reader<'_>, key: i32) -> Result<Known, DecodeError> {
        let out_of_range = DecodeError::OutOfRange { key };
        match key {
            1 => self.path = JobPath::of_bytes(reader.text_bytes()?).ok_or(out_of_range)?,
            2 => self.format = Format::from_code(reader.uint_as(key)?).ok_or(out_of_range)?,
            3 => self.payload_bytes = reader.uint_as(key)?,
            4 => self.artefact_digest = reader.byte_array(key)?,
            5 => self.sequence_number = reader.uint()?,
            6 => self.severity = Severity::from_code(reader.uint_as(key)?).ok_or(out_of_range)?,
            7 => self.defer_s_max = Some(reader.uint_as(key)?),
            _ => return Ok(Known::No),
        }
        Ok(Known::Yes)
    }

    fn write(&self, entries: &mut Entries<'_, '_>) {
        entries.key(1).text_bytes(self.path.as_bytes());
        entries.number(2, self.format.code().into());
        entries.number(3, self.payload_bytes);
        entries.bytes(4, &self.artefact_digest);
        entries.key(5).uint(self.sequence_number);
        if self.severity != Severity::default() {
            entries.number(6, self.severity.code().into());
        }
        entries.number_if_any(7, self.defer_s_max);
    }
}
