//! What became of addresses that were not foreseen: a table in the decoder memory.

use crate::cells::{Cells, Region};

/// Cells of a lesson: 8 bits to check the address, 24 bits of shift.
const LESSON_CELLS: u32 = 2;

/// The table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lessons {
    lessons: Region,
}

impl Lessons {
    /// A table from cell `first` on, in a memory of so many bytes.
    pub(crate) fn new(first: u32, memory_bytes: u32) -> Self {
        Self {
            lessons: Region {
                first,
                len: memory_bytes / 16 / 2,
            },
        }
    }

    /// The first cell behind the table.
    pub(crate) fn end(&self) -> u32 {
        self.lessons.first + self.lessons.len
    }

    /// The shift of an address that was seen before, or of one that cannot be told from it.
    pub(crate) fn shift(&self, cells: &Cells<'_>, address: u32) -> Option<u32> {
        let (cell, check) = self.cell(address);
        let (low, high) = (u32::from(cells.read(cell)), u32::from(cells.read(cell + 1)));
        let shift = low | (high & 0xFF) << 16;
        (high >> 8 == check && (check | shift) != 0)
            .then_some(((shift << 8).cast_signed() >> 8).cast_unsigned())
    }

    pub(crate) fn remember(&self, cells: &mut Cells<'_>, address: u32, shift: u32) {
        let (cell, check) = self.cell(address);
        cells.write(cell, shift as u16);
        cells.write(cell + 1, (shift >> 16 & 0xFF) as u16 | (check as u16) << 8);
    }

    fn cell(&self, address: u32) -> (usize, u32) {
        // Code addresses are the same with and without the Thumb bit.
        let hash = (address & !1).wrapping_mul(0x9E37_79B1);
        let at = ((hash >> 16) * (self.lessons.len / LESSON_CELLS)) >> 16;
        (
            (self.lessons.first + at * LESSON_CELLS) as usize,
            hash >> 8 & 0xFF,
        )
    }
}
