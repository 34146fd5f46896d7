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
}

/// A number with more bits than any legal one. Only a decoder meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// No number has as many bits. A source lies below 2^25 and the expected one below 2^26, so that a zigzag-coded seek,
/// plus one, stays below 2^28.
const NUMBER_BITS_MAX: u32 = 28;
const NUMBER_CELLS: u32 = 2 * NUMBER_BITS_MAX;

/// Cells of the counters of all numbers.
pub(super) const CELLS: u32 = 3 * NUMBER_CELLS;

impl Models<'_> {
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
