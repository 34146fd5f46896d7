//! What of the models a checkpoint keeps beside the decoder memory.

use super::{History, Models};
use crate::checkpoint::Fields;
use crate::header::IMAGE_BYTES_MAX;

/// A streak is one of all bytes at most, after one that a copy begins with.
const STREAK_MAX: u32 = 2 * IMAGE_BYTES_MAX;

/// Bytes that an instruction can have left: it has three at most.
const LEFT_MAX: u8 = 2;

impl Models<'_> {
    /// The decoder memory, all of which a checkpoint keeps.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        self.cells.first_bytes(self.class.bytes() as usize)
    }

    /// When fields come back, the setup has been read before: from it the tables have their places.
    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            cells: _,               // the decoder memory
            class: _,               // in the patch's header
            map_copy_bytes_log2: _, // the setup is read again from the patch
            copies_share: _,
            hits: _, // regions follow from the setup and the map
            bytes: _,
            differences: _,
            literals: _,
            halves: _,
            relocator,
            history,
            difference_at,
            difference,
            matched,
            shift_found,
        } = self;
        relocator.saved(fields);
        history.saved(fields);
        fields.bytes(difference_at);
        fields.u8(difference);
        for one in matched {
            one.saved(fields);
        }
        fields.flag(shift_found);
        if fields.is_restoring() {
            self.place_counters();
        }
    }
}

impl History {
    fn saved(&mut self, fields: &mut Fields) {
        let Self {
            position,
            last,
            groups,
            of_kind,
            streak,
            left,
            trained_left,
        } = self;
        fields.u32(position);
        fields.u32(last);
        fields.u32(groups);
        fields.bytes(of_kind);
        fields.at_most(streak, STREAK_MAX, 4);
        for left in [left, trained_left] {
            fields.u8(left);
            fields.require(*left <= LEFT_MAX);
            *left = (*left).min(LEFT_MAX);
        }
    }
}
