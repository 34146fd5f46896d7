//! Numbers of the triples: bit lengths and leading bits have counters.

use super::{Models, layout};
use crate::coder::BitCoder;

/// The numbers in a patch, each with its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Bytes of a triple that are copied with differences.
    CopyBytes,
    /// Bytes of a triple that follow without a source.
    ExtraBytes,
    /// How far the source of a copy lies from where the last one led to, zigzag-coded.
    Seek,
    /// How far an address lies from where it was expected, in words, zigzag-coded.
    Address,
}

/// A number with more bits than any legal one. In a triple, only a decoder meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// No number has as many bits. A source lies below 2^25 and the expected one below 2^26, so that a zigzag-coded seek,
/// plus one, stays below 2^28.
const NUMBER_BITS_MAX: u32 = 28;
const NUMBER_CELLS: u32 = 2 * NUMBER_BITS_MAX;

/// Contexts of the two lowest bits: four alignments of a seek, addresses in the image and in RAM.
const LOW_CONTEXTS: u32 = 6;
const LOW_CELLS: u32 = 4;

/// Cells of the counters of all numbers.
pub(super) const CELLS: u32 = 4 * NUMBER_CELLS + LOW_CONTEXTS * LOW_CELLS;

impl Models<'_> {
    /// Codes the two lowest bits of a number, in one of six contexts.
    pub(crate) fn low_bits<C: BitCoder>(
        &mut self,
        coder: &mut C,
        context: u32,
        low: u32,
    ) -> Result<u32, C::Error> {
        let first = layout::NUMBERS.first + 4 * NUMBER_CELLS + context * LOW_CELLS;
        let bit = self.cells.code(coder, first, low & 1 == 1)?;
        let high = self.cells.code(coder, first + 1 + u32::from(bit), low & 2 == 2)?;
        Ok(u32::from(bit) | u32::from(high) << 1)
    }

    /// Codes a number: its bit length in unary, then the bits below the leading one, of which the first is modelled.
    pub fn number<C: BitCoder>(
        &mut self,
        coder: &mut C,
        kind: Number,
        value: u32,
    ) -> Result<Result<u32, TooLarge>, C::Error> {
        let first = layout::NUMBERS.first + kind as u32 * NUMBER_CELLS;
        let biased = value.wrapping_add(1);
        let hint = biased.checked_ilog2().unwrap_or(0);
        let mut bits = 0;
        while self.cells.code(coder, first + bits, bits < hint)? {
            bits += 1;
            if bits == NUMBER_BITS_MAX {
                return Ok(Err(TooLarge));
            }
        }
        let mut decoded = 1;
        for index in (0..bits).rev() {
            let bit = biased >> index & 1 == 1;
            let bit = if index + 1 == bits {
                self.cells.code(coder, first + NUMBER_BITS_MAX + bits, bit)?
            } else {
                coder.code(bit, 0x8000)?
            };
            decoded = decoded << 1 | u32::from(bit);
        }
        Ok(Ok(decoded - 1))
    }
}

/// 0, -1, 1, -2, 2, … become 0, 1, 2, 3, 4, …
pub(crate) fn zigzag(x: u32) -> u32 {
    (x << 1) ^ ((x.cast_signed() >> 31).cast_unsigned())
}

pub(crate) fn unzigzag(x: u32) -> u32 {
    (x >> 1) ^ (x & 1).wrapping_neg()
}
