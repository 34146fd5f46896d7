//! Halfwords that became others before: what a structure's new layout does to every instruction that uses it.

use super::context::scramble;
use super::{Models, layout};
use crate::coder::BitCoder;
use crate::relocate::{Group, Kind};

/// Cells of an entry: a halfword, and what it became.
const ENTRY_CELLS: u32 = 2;

impl Models<'_> {
    /// Codes whether a halfword that is not the predicted one became what it became the last time; `None` if not, or if
    /// nothing is known about it.
    pub(super) fn half<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        actual: u32,
    ) -> Result<Option<u32>, C::Error> {
        let Some(cell) = self.half_cell(group) else {
            return Ok(None);
        };
        let (old, new) = (self.cells.read(cell), self.cells.read(cell + 1));
        if old != group.bytes as u16 || new == old {
            return Ok(None);
        }
        let counter = layout::HALVES.first + group.kind as u32;
        let same = self.cells.code(coder, counter, u32::from(new) == actual)?;
        Ok(same.then_some(u32::from(new)))
    }

    /// Remembers what a halfword became.
    pub(super) fn learn_half(&mut self, group: &Group, actual: u32) {
        if let Some(cell) = self.half_cell(group) {
            self.cells.write(cell, group.bytes as u16);
            self.cells.write(cell + 1, actual as u16);
        }
    }

    /// The first cell of a halfword's entry.
    fn half_cell(&self, group: &Group) -> Option<usize> {
        let known = group.len == 2 && matches!(group.kind, Kind::Plain | Kind::Wide | Kind::Near);
        let entries = self.halves.len / ENTRY_CELLS;
        let entry = ((scramble(group.bytes & 0xFFFF) >> 16) * entries) >> 16;
        known.then_some((self.halves.first + entry * ENTRY_CELLS) as usize)
    }
}
