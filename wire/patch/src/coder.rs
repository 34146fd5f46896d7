//! The binary range coder, decoding side, and the trait through which both ends drive the same models.

use crate::checkpoint::Fields;
use crate::error::{DecodeError, Fault};
use crate::io::ReadAt;

/// Smallest and largest probability, of 65536, that a bit is coded with.
const PROBABILITY_MIN: u16 = 16;

/// The range is refilled, a byte at a time, when it falls below this.
const RANGE_MIN: u32 = 1 << 24;

/// Zero bytes that the decoder may read past the end of the patch: the encoder cuts trailing zeros off.
const VIRTUAL_BYTES_MAX: u32 = 4;

/// Codes one bit with a given probability: the models do not know in which direction.
///
/// The gateway's encoder implements it by writing the bit it is told, the decoder by ignoring that and reading one.
/// So there is one copy of every model, and the two ends cannot disagree.
pub trait BitCoder {
    /// What may go wrong: nothing when encoding.
    type Error;

    /// Codes a bit that is 1 with a probability of `p1` / 65536. Returns the bit.
    fn code(&mut self, bit: bool, p1: u16) -> Result<bool, Self::Error>;
}

/// The part of `range` that stands for a 1, `0 < part < range`: 32-bit arithmetic only.
pub fn one_part(range: u32, p1: u16) -> u32 {
    let p1 = u32::from(p1.clamp(PROBABILITY_MIN, u16::MAX - PROBABILITY_MIN));
    (range >> 16) * p1 + (((range & 0xFFFF) * p1) >> 16)
}

/// Bytes of the patch that are read at a time.
const WINDOW_BYTES: usize = 32;

/// Where the range decoder stands. 52 bytes.
#[derive(Clone, Debug)]
pub(crate) struct RangeDecoder {
    range: u32,
    code: u32,
    /// Offset in the patch of the next byte to take: at most [`VIRTUAL_BYTES_MAX`] past its end, and no storage of a patch is
    /// so near to 2^32 bytes.
    position: u32,
    window: [u8; WINDOW_BYTES],
    window_start: u32,
}

impl RangeDecoder {
    /// A decoder of the stream at `position` of the patch; [`Self::start`] comes first.
    pub(crate) fn new(position: u32) -> Self {
        Self {
            range: u32::MAX,
            code: 0,
            position,
            window: [0; WINDOW_BYTES],
            window_start: u32::MAX,
        }
    }

    /// Offset in the patch of the next byte to take.
    pub(crate) fn position(&self) -> u32 {
        self.position
    }

    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            range,
            code,
            position,
            window: _, // read again
            window_start: _,
        } = self;
        fields.u32(range);
        fields.u32(code);
        fields.u32(position);
        fields.require(*range >= RANGE_MIN);
    }

    /// Reads the first four bytes.
    pub(crate) fn start(&mut self, patch: &mut impl ReadAt) -> Result<(), Fault> {
        for _ in 0..4 {
            self.code = (self.code << 8) | u32::from(self.next_byte(patch)?);
        }
        Ok(())
    }

    /// Where the next byte is taken from, and the range: 8 bits for each byte of the one less log2 of the other are what was
    /// read so far.
    pub(crate) fn taken(&self) -> (u32, u32) {
        (self.position, self.range)
    }

    /// Whether the stream ended where the patch does.
    pub(crate) fn finish(&self, patch: &impl ReadAt) -> Result<(), DecodeError> {
        if self.position < patch.len() {
            Err(DecodeError::TrailingBytes)
        } else {
            Ok(())
        }
    }

    fn next_byte(&mut self, patch: &mut impl ReadAt) -> Result<u8, Fault> {
        let len = patch.len();
        let at = self.position;
        if at >= len {
            if at - len >= VIRTUAL_BYTES_MAX {
                return Err(Fault::Truncated);
            }
            self.position += 1;
            return Ok(0);
        }
        let start = at - at % WINDOW_BYTES as u32;
        if self.window_start != start {
            let bytes = (len - start).min(WINDOW_BYTES as u32) as usize;
            patch
                .read_at(start, &mut self.window[..bytes])
                .map_err(|_| Fault::PatchUnreadable)?;
            self.window_start = start;
        }
        self.position += 1;
        Ok(self.window[(at - start) as usize])
    }
}

/// A range decoder together with the patch it reads.
pub(crate) struct BitReader<'a, P> {
    pub(crate) decoder: &'a mut RangeDecoder,
    pub(crate) patch: &'a mut P,
}

impl<P: ReadAt> BitCoder for BitReader<'_, P> {
    type Error = Fault;

    fn code(&mut self, _bit: bool, p1: u16) -> Result<bool, Fault> {
        let decoder = &mut *self.decoder;
        let ones = one_part(decoder.range, p1);
        let bit = decoder.code < ones;
        if bit {
            decoder.range = ones;
        } else {
            decoder.code -= ones;
            decoder.range -= ones;
        }
        while decoder.range < RANGE_MIN {
            decoder.range <<= 8;
            decoder.code = (decoder.code << 8) | u32::from(decoder.next_byte(self.patch)?);
        }
        Ok(bit)
    }
}
