//! The response body.

use core::fmt;
use core::str;

use wire_cbor::Writer;

use crate::check_in::required;
use crate::reader::{Known, Reader};
use crate::writer::encode;
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
        let mut next_check_in_s = None;
        let mut answer = Self::idle(0);
        let mut reader = Reader::new(body);
        reader.map(&mut |reader, key| {
            match key {
                1 => next_check_in_s = Some(reader.uint_as(key)?),
                2 => answer.ack_timeout_ms = Some(reader.uint_as(key)?),
                3 => answer.job = Some(Job::read(reader)?),
                // One place that reads bytes: each is code on a device.
                4..=6 => {
                    let bytes = Some(reader.bytes()?);
                    match key {
                        4 => answer.envelope = bytes,
                        5 => answer.anchors = bytes,
                        _ => answer.statement = bytes,
                    }
                }
                _ => return Ok(Known::No),
            }
            Ok(Known::Yes)
        })?;
        reader.end()?;
        let (key, envelope) = match (answer.envelope, answer.anchors) {
            (Some(_), Some(_)) => return Err(DecodeError::OutOfRange { key: 5 }),
            (envelope, None) => (4, envelope),
            (None, anchors) => (5, anchors),
        };
        if envelope.is_some_and(|envelope| envelope.len() > ENVELOPE_BYTES_MAX) {
            return Err(DecodeError::OutOfRange { key });
        }
        answer.next_check_in_s = required(next_check_in_s, 1)?;
        Ok(answer)
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
        encode(buffer, |writer| self.write(writer))
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let optional = [
            self.ack_timeout_ms.is_some(),
            self.job.is_some(),
            self.envelope.is_some(),
            self.anchors.is_some(),
            self.statement.is_some(),
        ];
        writer.map(1 + optional.iter().filter(|present| **present).count() as u64);
        writer.uint(1).uint(self.next_check_in_s.into());
        if let Some(timeout) = self.ack_timeout_ms {
            writer.uint(2).uint(timeout.into());
        }
        if let Some(job) = &self.job {
            job.write(writer.uint(3));
        }
        if let Some(envelope) = self.envelope {
            writer.uint(4).bytes(envelope);
        }
        if let Some(anchors) = self.anchors {
            writer.uint(5).bytes(anchors);
        }
        if let Some(statement) = self.statement {
            writer.uint(6).bytes(statement);
        }
    }
}

impl Job {
    fn read(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let (mut path, mut format, mut payload_bytes) = (None, None, None);
        let (mut artefact_digest, mut sequence_number) = (None, None);
        let (mut severity, mut defer_s_max) = (Severity::default(), None);
        reader.map(&mut |reader, key| {
            let out_of_range = DecodeError::OutOfRange { key };
            match key {
                1 => path = Some(JobPath::of_bytes(reader.text_bytes()?).ok_or(out_of_range)?),
                2 => format = Some(Format::from_code(reader.uint_as(key)?).ok_or(out_of_range)?),
                3 => payload_bytes = Some(reader.uint_as(key)?),
                4 => artefact_digest = Some(reader.byte_array(key)?),
                5 => sequence_number = Some(reader.uint()?),
                6 => severity = Severity::from_code(reader.uint_as(key)?).ok_or(out_of_range)?,
                7 => defer_s_max = Some(reader.uint_as(key)?),
                _ => return Ok(Known::No),
            }
            Ok(Known::Yes)
        })?;
        Ok(Self {
            path: required(path, 1)?,
            format: required(format, 2)?,
            payload_bytes: required(payload_bytes, 3)?,
            artefact_digest: required(artefact_digest, 4)?,
            sequence_number: required(sequence_number, 5)?,
            severity,
            defer_s_max,
        })
    }

    fn write(&self, writer: &mut Writer<'_>) {
        let is_default = self.severity == Severity::default();
        writer.map(5 + u64::from(!is_default) + u64::from(self.defer_s_max.is_some()));
        writer.uint(1).text_bytes(self.path.as_bytes());
        writer.uint(2).uint(self.format.code().into());
        writer.uint(3).uint(self.payload_bytes.into());
        writer.uint(4).bytes(&self.artefact_digest);
        writer.uint(5).uint(self.sequence_number);
        if !is_default {
            writer.uint(6).uint(self.severity.code().into());
        }
        if let Some(seconds) = self.defer_s_max {
            writer.uint(7).uint(seconds.into());
        }
    }
}
