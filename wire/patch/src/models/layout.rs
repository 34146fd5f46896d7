//! Where in the decoder memory the counters and weights of fixed size are.

use super::{addresses, copies, literals, numbers};
use crate::cells::Region;

pub(super) const NUMBERS: Region = Region {
    first: 0,
    len: numbers::CELLS,
};
pub(super) const ADDRESSES: Region = after(NUMBERS, addresses::COUNTERS);
/// For each kind, whether a halfword became what it became before.
pub(super) const HALVES: Region = after(ADDRESSES, 8);
pub(super) const BLOCKS: Region = after(HALVES, 32);
pub(super) const HIT_WEIGHTS: Region = after(BLOCKS, 8 * copies::HIT_INPUTS);
pub(super) const BYTE_WEIGHTS: Region = after(HIT_WEIGHTS, 8 * copies::BYTE_INPUTS);
pub(super) const DIFFERENCE_WEIGHTS: Region = after(BYTE_WEIGHTS, 8 * copies::DIFFERENCE_INPUTS);
pub(super) const LITERAL_WEIGHTS: Region = after(DIFFERENCE_WEIGHTS, 8 * literals::INPUTS);
/// All of these counters.
pub(super) const COUNTERS: Region = Region {
    first: 0,
    len: HIT_WEIGHTS.first,
};
/// All of these weights.
pub(super) const WEIGHTS: Region = after(COUNTERS, FIXED_CELLS - COUNTERS.len);
/// Cells before the tables whose size depends on the memory.
pub(super) const FIXED_CELLS: u32 = LITERAL_WEIGHTS.first + LITERAL_WEIGHTS.len;

pub(super) const fn after(region: Region, len: u32) -> Region {
    Region {
        first: region.first + region.len,
        len,
    }
}
