//! One patch, decoded at a stretch and with a power cut in the middle.

use core::fmt;

use board::Clock;
use wire_patch::{
    CheckpointError, CheckpointStorage, DecodeError, Decoder, Header, IoFailed, OUTPUT_PIECE_BYTES, Output,
    Progress,
};

use crate::jobs::Job;

/// Steps for which a device would not look after anything else.
const STEPS: u32 = 1_000;

/// What is in memory that nobody wrote.
const UNTOUCHED: u8 = 0xA5;

/// Why there is no result, or not the right one.
pub(crate) enum Failed {
    Decode(DecodeError),
    Checkpoint(CheckpointError),
    /// The decoder wrote outside its memory class.
    Overrun,
    /// The result is not the target.
    Different,
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Decode(error) => error.fmt(f),
            Self::Checkpoint(error) => error.fmt(f),
            Self::Overrun => f.write_str("decoder wrote outside its memory class"),
            Self::Different => f.write_str("result is not the target"),
        }
    }
}

impl From<DecodeError> for Failed {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

impl From<CheckpointError> for Failed {
    fn from(error: CheckpointError) -> Self {
        Self::Checkpoint(error)
    }
}

/// Bytes that are appended.
struct Appended<'a> {
    bytes: &'a mut [u8],
    len: usize,
}

impl Appended<'_> {
    fn push(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let place = self.bytes.get_mut(self.len..).ok_or(IoFailed)?;
        place
            .get_mut(..bytes.len())
            .ok_or(IoFailed)?
            .copy_from_slice(bytes);
        self.len += bytes.len();
        Ok(())
    }
}

impl Output for Appended<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.push(bytes)
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let produced = self.bytes.get(offset as usize..self.len).ok_or(IoFailed)?;
        buf.copy_from_slice(produced.get(..buf.len()).ok_or(IoFailed)?);
        Ok(())
    }
}

impl CheckpointStorage for Appended<'_> {
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
        self.push(piece)
    }
}

fn run(
    decoder: &mut Decoder<'_>,
    job: &Job<'_>,
    out: &mut Appended<'_>,
    until: u32,
) -> Result<(), DecodeError> {
    let (mut base, mut patch) = (job.base, job.patch);
    while decoder.produced() < until || until == decoder.target_bytes() {
        if decoder.step(&mut base, &mut patch, out, STEPS)? == Progress::Done {
            break;
        }
    }
    Ok(())
}

fn same(out: &Appended<'_>, job: &Job<'_>) -> Result<(), Failed> {
    if out.bytes.get(..out.len) == Some(job.target) {
        Ok(())
    } else {
        Err(Failed::Different)
    }
}

/// Decodes a job into `room`: ticks it took. `memory` may be longer than the patch needs; what is too much stays as it is.
#[inline(never)]
pub(crate) fn decode(
    clock: &mut Clock,
    job: &Job<'_>,
    memory: &mut [u8],
    room: &mut [u8],
) -> Result<u64, Failed> {
    let header = Header::parse(job.patch)?;
    let class_bytes = header.memory.bytes() as usize;
    memory.fill(UNTOUCHED);
    let mut out = Appended { bytes: room, len: 0 };
    let began = clock.ticks();
    let mut decoder = Decoder::new(header, memory)?;
    run(&mut decoder, job, &mut out, header.target_bytes)?;
    let took = clock.ticks() - began;
    same(&out, job)?;
    let beyond = memory.get(class_bytes..).unwrap_or_default();
    if beyond.iter().all(|byte| *byte == UNTOUCHED) {
        Ok(took)
    } else {
        Err(Failed::Overrun)
    }
}

/// Decodes a job with a power cut half-way: ticks for writing the checkpoint, and for resuming from it.
#[inline(never)]
pub(crate) fn decode_with_cut(
    clock: &mut Clock,
    job: &Job<'_>,
    memory: &mut [u8],
    room: &mut [u8],
    stored: &mut [u8],
) -> Result<(u64, u64), Failed> {
    room.fill(UNTOUCHED);
    let mut out = Appended { bytes: room, len: 0 };
    let writing = until_cut(clock, job, memory, &mut out, stored)?;
    memory.fill(UNTOUCHED);
    let resuming = from_cut(clock, job, memory, &mut out, stored)?;
    same(&out, job)?;
    Ok((writing, resuming))
}

/// Decodes the first half of a job and writes a checkpoint: ticks for that.
#[inline(never)]
fn until_cut(
    clock: &mut Clock,
    job: &Job<'_>,
    memory: &mut [u8],
    out: &mut Appended<'_>,
    stored: &mut [u8],
) -> Result<u64, Failed> {
    let header = Header::parse(job.patch)?;
    let mut decoder = Decoder::new(header, memory)?;
    run(&mut decoder, job, out, header.target_bytes / 2)?;
    let mut patch = job.patch;
    let mut storage = Appended {
        bytes: stored,
        len: 0,
    };
    let began = clock.ticks();
    decoder.checkpoint(&mut patch, &mut storage)?;
    Ok(clock.ticks() - began)
}

/// Goes on from a checkpoint to the end: ticks for reading it.
// As the other half, a function of its own: there is never more than one decoder on a device's stack.
#[inline(never)]
fn from_cut(
    clock: &mut Clock,
    job: &Job<'_>,
    memory: &mut [u8],
    out: &mut Appended<'_>,
    mut stored: &[u8],
) -> Result<u64, Failed> {
    let header = Header::parse(job.patch)?;
    let mut patch = job.patch;
    let began = clock.ticks();
    let mut decoder = Decoder::new(header, memory)?;
    decoder.resume(&mut patch, &mut stored)?;
    let resuming = clock.ticks() - began;
    out.len = decoder.appended() as usize;
    run(&mut decoder, job, out, header.target_bytes)?;
    Ok(resuming)
}
