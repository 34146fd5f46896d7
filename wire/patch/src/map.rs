//! The alignment map: where the bytes of the base went, for addresses that have to follow them.

use crate::cells::{Cells, Region};
use crate::checkpoint::Fields;

/// Cells of an entry: 24 bits of source, 24 bits of shift, 16 bits of length.
pub(crate) const ENTRY_CELLS: u32 = 4;

/// Lengths from here on are kept in units of `1 << LENGTH_UNIT_LOG2` bytes, so that every length fits 16 bits.
const LENGTH_LONG: u32 = 0x8000;
const LENGTH_UNIT_LOG2: u32 = 9;

/// Entries before an address that are looked at for one that covers it.
const LOOK_BACK: u32 = 4;

/// Images have 24-bit offsets, and so have shifts, modulo 2^24.
const OFFSET_MASK: u32 = 0x00FF_FFFF;

/// Copies from the base in the order of their sources, in the decoder memory from cell `first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Map {
    first: u32,
    capacity: u32,
    len: u32,
}

/// A stretch of the base that moved as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moved {
    pub(crate) source: u32,
    pub(crate) bytes: u32,
    /// Target offset minus source offset, modulo 2^24.
    pub(crate) shift: u32,
}

impl Moved {
    pub(crate) fn covers(self, offset: u32) -> bool {
        offset >= self.source && offset - self.source < self.bytes
    }

    pub(crate) fn apply(self, offset: u32) -> u32 {
        offset.wrapping_add(self.shift) & OFFSET_MASK
    }
}

impl Map {
    pub(crate) fn new(first: u32, capacity: u32) -> Self {
        Self {
            first,
            capacity,
            len: 0,
        }
    }

    /// Cells up to the end of the last entry.
    pub(crate) fn region(self) -> Region {
        Region {
            first: self.first,
            len: self.len * ENTRY_CELLS,
        }
    }

    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            first: _, // follow from the memory class
            capacity,
            len,
        } = self;
        fields.at_most(len, *capacity, 2);
    }

    /// Entries that are used, and the most there can be.
    pub(crate) fn usage(self) -> (u32, u32) {
        (self.len, self.capacity)
    }

    /// Adds a copy behind the entries whose source is not above its own. A full map ignores it.
    pub(crate) fn add(&mut self, cells: &mut Cells<'_>, moved: Moved) {
        if self.len == self.capacity {
            return;
        }
        let at = self.after(cells, moved.source);
        let start = self.first + at * ENTRY_CELLS;
        cells.shift_up(
            Region {
                first: start,
                len: (self.len - at) * ENTRY_CELLS,
            },
            ENTRY_CELLS,
        );
        let start = start as usize;
        cells.write(start, moved.source as u16);
        cells.write(
            start + 1,
            (moved.source >> 16 & 0xFF) as u16 | (moved.shift as u16) << 8,
        );
        cells.write(start + 2, (moved.shift >> 8) as u16);
        cells.write(start + 3, packed_length(moved.bytes));
        self.len += 1;
    }

    /// The longest of the nearest entries that cover `offset`, the last one among equals, and whether one covers it;
    /// else the last entry before it, or, before all, nothing.
    pub(crate) fn find(self, cells: &Cells<'_>, offset: u32) -> Option<(Moved, bool)> {
        let end = self.after(cells, offset);
        let last = self.entry(cells, end.checked_sub(1)?);
        let mut best: Option<Moved> = None;
        for at in end.saturating_sub(LOOK_BACK)..end {
            let entry = self.entry(cells, at);
            if entry.covers(offset) && best.is_none_or(|best| entry.bytes >= best.bytes) {
                best = Some(entry);
            }
        }
        Some(best.map_or((last, false), |best| (best, true)))
    }

    /// How many entries have a source of at most `offset`.
    fn after(self, cells: &Cells<'_>, offset: u32) -> u32 {
        let (mut low, mut high) = (0, self.len);
        while low < high {
            let middle = u32::midpoint(low, high);
            if self.entry(cells, middle).source <= offset {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn entry(self, cells: &Cells<'_>, at: u32) -> Moved {
        let start = (self.first + at * ENTRY_CELLS) as usize;
        let middle = u32::from(cells.read(start + 1));
        Moved {
            source: u32::from(cells.read(start)) | (middle & 0xFF) << 16,
            shift: middle >> 8 | u32::from(cells.read(start + 2)) << 8,
            bytes: length(cells.read(start + 3)),
        }
    }
}

/// A length in 16 bits: what is lost of a long one is less than a unit.
fn packed_length(bytes: u32) -> u16 {
    if bytes < LENGTH_LONG {
        bytes as u16
    } else {
        (LENGTH_LONG | bytes >> LENGTH_UNIT_LOG2) as u16
    }
}

fn length(packed: u16) -> u32 {
    let packed = u32::from(packed);
    if packed < LENGTH_LONG {
        packed
    } else {
        (packed - LENGTH_LONG) << LENGTH_UNIT_LOG2
    }
}
