//! How far addresses moved that were not where they were expected: short lists of such shifts, the newest first.

use crate::cells::{Cells, Region};

/// Shifts in each list.
pub(crate) const SHIFTS: u32 = 8;

/// Cells of an entry: the address it was last seen with, and the shift.
const ENTRY_CELLS: u32 = 4;

/// Cells of a list.
pub(crate) const LIST_CELLS: u32 = SHIFTS * ENTRY_CELLS;

/// Different shifts, each with the last address that had it. Address 0 is no entry; its shift is 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shifts {
    first: u32,
}

impl Shifts {
    /// A list in [`LIST_CELLS`] cells from `first` on.
    pub(crate) fn new(first: u32) -> Self {
        Self { first }
    }

    /// The shift at a place of the list, below [`SHIFTS`].
    pub(crate) fn at(self, cells: &Cells<'_>, at: u32) -> u32 {
        cells.read_wide(self.cell(at) + 2)
    }

    /// The shift of the nearest address, the newest one among equals.
    pub(crate) fn nearest(self, cells: &Cells<'_>, address: u32) -> Option<u32> {
        let mut best = None;
        for at in 0..SHIFTS {
            let known = cells.read_wide(self.cell(at));
            let distance = known.abs_diff(address);
            if known != 0 && best.is_none_or(|(best, _)| distance < best) {
                best = Some((distance, self.at(cells, at)));
            }
        }
        best.map(|(_, shift)| shift)
    }

    /// Puts a shift to the front, from where it is in the list or instead of the last.
    pub(crate) fn remember(self, cells: &mut Cells<'_>, address: u32, shift: u32) {
        let place = (0..SHIFTS - 1).find(|at| self.at(cells, *at) == shift);
        let before = place.unwrap_or(SHIFTS - 1) * ENTRY_CELLS;
        let region = Region {
            first: self.first,
            len: before,
        };
        cells.shift_up(region, ENTRY_CELLS);
        cells.write_wide(self.first, address);
        cells.write_wide(self.first + 2, shift);
    }

    fn cell(self, at: u32) -> u32 {
        self.first + at * ENTRY_CELLS
    }
}
