//! Checkpoints: a decoder written to storage, to go on from there after a power cut.
//!
//! A checkpoint is the decoder memory, [`CHECKPOINT_STATE_BYTES`] behind it for everything else, and a CRC-32 as the last of
//! these: `1 << class` + 384 bytes. It is for the same decoder on the same device, not for the air: an update of the firmware
//! may bring another layout, with another version.
//!
//! | offset behind the memory | bytes | field |
//! |---|---|---|
//! | 0 | 3 | magic `dGc` |
//! | 3 | 1 | version, 1 |
//! | 4 | 4 | which patch: CRC-32 of its first 64 bytes (or all, if it has fewer) and its length in 4 bytes |
//! | 8 | 4 | position: bytes of the result appended before, a multiple of 64 or all |
//! | 12 | … | fields of [`crate::Decoder`] and what it owns, in the order in which the `saved` functions name them |
//! | … | … | zeros |
//! | 380 | 4 | CRC-32 (ISO-HDLC) of the memory and of the 380 bytes behind it |
//!
//! The fields of version 1, all little-endian:
//!
//! | bytes | field |
//! |---|---|
//! | 1, 4 | phase (0 start, 1 map, 2 control, 3 copy, 4 train, 5 extra, 6 finish, 7 done); its number: bytes mapped, left of the block or to learn from |
//! | 12, 12 | both range decoders: range, code, offset in the patch |
//! | 4, 4 | expected source, target offset of the next triple |
//! | 12 | the triple in work: source, bytes left to copy, extra bytes left |
//! | 4 | bytes to learn from after its copy |
//! | 64, 1, 4 | the piece that is not full, how many bytes of it there are, CRC-32 register |
//! | 2 | entries of the map |
//! | 32, 4, 4, 4, 12 | trail: words, place, old and new address; the copy in progress (source, bytes, shift) |
//! | 4, 4, 4, 8, 4, 1 | history: bytes so far, last bytes, groups, groups of each kind, streak, bytes left of the instruction |
//! | 1 | the same of the bytes learned from |
//! | 4, 1 | newest difference at each alignment, and of all |
//! | 3, 1, 3, 1 | the matches: expected at, bytes |
//! | 1 | whether the last address had a known shift |
//!
//! The windows on base and patch are not in it, nor is the patch's setup: they are read again.

use core::fmt;

use crate::error::DecodeError;
use crate::io::{IoFailed, OUTPUT_PIECE_BYTES, ReadAt};
use crate::source::{CRC_START, crc_over};

/// Bytes of a checkpoint besides the decoder memory: a multiple of [`OUTPUT_PIECE_BYTES`].
pub const CHECKPOINT_STATE_BYTES: usize = 384;

const MAGIC: [u8; 3] = *b"dGc";
const VERSION: u8 = 1;
/// Where the position stands.
const POSITION_AT: usize = 8;
/// Where the first field of the decoder stands.
const FIELDS_AT: usize = 12;
const CRC_AT: usize = CHECKPOINT_STATE_BYTES - 4;

/// Where a checkpoint is written, from its first byte to its last.
///
/// It is read back through [`ReadAt`]. Power may fail between any two calls and inside one: a checkpoint that was not
/// completed is refused. To have one at any time, write them alternately to two places.
pub trait CheckpointStorage {
    /// Takes the next [`OUTPUT_PIECE_BYTES`] bytes.
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed>;
}

/// Why a checkpoint was not written, or not accepted. After any of them, decode from the beginning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Malformed: torn, damaged, or no checkpoint at all.
    Damaged,
    /// Unsupported: a checkpoint of another decoder.
    UnknownVersion(u8),
    /// A checkpoint of another patch.
    OtherPatch,
    /// The patch itself is at fault, or could not be read.
    Patch(DecodeError),
    /// The caller's storage for checkpoints could not be written or read.
    StorageFailed,
    /// Misuse: the decoder met an error before and has nothing worth keeping, or has begun and cannot resume.
    Misused,
}

impl fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("checkpoint is damaged"),
            Self::UnknownVersion(version) => write!(f, "checkpoint of unknown version {version}"),
            Self::OtherPatch => f.write_str("checkpoint is of another patch"),
            Self::Patch(error) => error.fmt(f),
            Self::StorageFailed => f.write_str("checkpoint could not be written or read"),
            Self::Misused => f.write_str("decoder is not in a state to write a checkpoint or to resume"),
        }
    }
}

impl core::error::Error for CheckpointError {}

/// The fields of a decoder on their way to a checkpoint, or back: one list of them serves both directions.
///
/// Every `saved` function takes its struct apart without `..`, so that a new field does not compile until someone
/// decided whether a checkpoint needs it.
pub(crate) struct Fields {
    state: [u8; CHECKPOINT_STATE_BYTES],
    at: usize,
    direction: Direction,
    /// Whether every field had its place and, coming back, a possible value.
    valid: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Saving,
    Restoring,
}

impl Fields {
    pub(crate) fn is_restoring(&self) -> bool {
        self.direction == Direction::Restoring
    }

    /// Says that a value cannot be.
    pub(crate) fn require(&mut self, possible: bool) {
        self.valid &= possible;
    }

    #[inline(never)]
    pub(crate) fn bytes(&mut self, value: &mut [u8]) {
        let end = self.at + value.len();
        let Some(place) = self.state[..CRC_AT].get_mut(self.at..end) else {
            self.valid = false;
            return;
        };
        match self.direction {
            Direction::Saving => place.copy_from_slice(value),
            Direction::Restoring => value.copy_from_slice(place),
        }
        self.at = end;
    }

    pub(crate) fn u8(&mut self, value: &mut u8) {
        self.bytes(core::slice::from_mut(value));
    }

    #[inline(never)]
    pub(crate) fn u32(&mut self, value: &mut u32) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes);
        *value = u32::from_le_bytes(bytes);
    }

    /// A number of at most `max`, in `count` bytes. A larger one comes back as `max`, in a checkpoint that is refused.
    pub(crate) fn at_most(&mut self, value: &mut u32, max: u32, count: usize) {
        let mut bytes = value.to_le_bytes();
        self.bytes(&mut bytes[..count]);
        let found = u32::from_le_bytes(bytes);
        self.valid &= found <= max;
        *value = found.min(max);
    }

    pub(crate) fn flag(&mut self, value: &mut bool) {
        let mut byte = u32::from(*value);
        self.at_most(&mut byte, 1, 1);
        *value = byte == 1;
    }

    /// No fields yet, on their way to a checkpoint.
    pub(crate) fn to_save() -> Self {
        Self {
            state: [0; CHECKPOINT_STATE_BYTES],
            at: FIELDS_AT,
            direction: Direction::Saving,
            valid: true,
        }
    }

    /// No fields yet, on their way back.
    pub(crate) fn to_restore() -> Self {
        Self {
            direction: Direction::Restoring,
            ..Self::to_save()
        }
    }

    /// Reads a checkpoint of the patch: `memory`, and the fields behind it.
    pub(crate) fn read(
        &mut self,
        patch: &mut impl ReadAt,
        stored: &mut impl ReadAt,
        memory: &mut [u8],
    ) -> Result<(), CheckpointError> {
        if (stored.len() as usize) < memory.len() + CHECKPOINT_STATE_BYTES {
            return Err(CheckpointError::Damaged);
        }
        let mut read = |offset, bytes: &mut [u8]| {
            let read = stored.read_at(offset, bytes);
            read.map_err(|_| CheckpointError::StorageFailed)
        };
        read(memory.len() as u32, &mut self.state)?;
        let [m0, m1, m2, version, i0, i1, i2, i3, ..] = self.state;
        if [m0, m1, m2] != MAGIC {
            return Err(CheckpointError::Damaged);
        }
        if version != VERSION {
            return Err(CheckpointError::UnknownVersion(version));
        }
        if u32::from_le_bytes([i0, i1, i2, i3]) != identity(patch)? {
            return Err(CheckpointError::OtherPatch);
        }
        read(0, memory)?;
        if self.state[CRC_AT..] == crc_of(memory, &self.state) {
            Ok(())
        } else {
            Err(CheckpointError::Damaged)
        }
    }

    /// Bytes appended before the checkpoint.
    pub(crate) fn position(&self) -> u32 {
        let [.., p0, p1, p2, p3] = self.state[..FIELDS_AT] else {
            return 0;
        };
        u32::from_le_bytes([p0, p1, p2, p3])
    }

    /// How many bytes the fields took.
    #[cfg(test)]
    pub(crate) fn bytes_so_far(&self) -> usize {
        self.at - FIELDS_AT
    }

    /// Whether all fields that came back can be.
    pub(crate) fn are_possible(&self) -> bool {
        self.valid
    }

    /// Writes `memory`, and the fields behind it.
    pub(crate) fn write(
        &mut self,
        patch: &mut impl ReadAt,
        position: u32,
        memory: &[u8],
        storage: &mut impl CheckpointStorage,
    ) -> Result<(), CheckpointError> {
        debug_assert!(self.valid, "the fields fit");
        let identity = identity(patch)?.to_le_bytes();
        self.state[..3].copy_from_slice(&MAGIC);
        self.state[3] = VERSION;
        self.state[4..POSITION_AT].copy_from_slice(&identity);
        self.state[POSITION_AT..FIELDS_AT].copy_from_slice(&position.to_le_bytes());
        let crc = crc_of(memory, &self.state);
        self.state[CRC_AT..].copy_from_slice(&crc);
        for part in [memory, &self.state] {
            for piece in part.as_chunks().0 {
                storage
                    .append(piece)
                    .map_err(|_| CheckpointError::StorageFailed)?;
            }
        }
        Ok(())
    }
}

fn crc_of(memory: &[u8], state: &[u8; CHECKPOINT_STATE_BYTES]) -> [u8; 4] {
    (!crc_over(crc_over(CRC_START, memory), &state[..CRC_AT])).to_le_bytes()
}

/// Tells patches apart: the first bytes, which hold the header and the beginning of the stream, and the length.
fn identity(patch: &mut impl ReadAt) -> Result<u32, CheckpointError> {
    let mut first = [0; 64];
    let bytes = &mut first[..patch.len().min(64) as usize];
    if !bytes.is_empty() {
        patch
            .read_at(0, bytes)
            .map_err(|_| CheckpointError::Patch(DecodeError::PatchUnreadable))?;
    }
    Ok(!crc_over(crc_over(CRC_START, bytes), &patch.len().to_le_bytes()))
}
