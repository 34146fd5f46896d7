//! Checked counters: 8 bits of probability, 5 bits of their context's hash, and a count of 3.
//!
//! Most contexts of literals are rare, and their counters many more than cells. A counter that another context has
//! left behind misleads; here it is noticed, and a new context starts with a fresh one, or with none while the cell
//! belongs to one that has proved useful.

use crate::cells::{Cells, rate};
use crate::logistic::stretch;

/// A count from which on a counter is not given up at once.
const COUNT_KEPT: u16 = 3;
const COUNT_MAX: u16 = 7;

const COUNT: u16 = 7;
const CHECK: u16 = 31 << 3;
/// One half, seen nothing.
const FRESH: u16 = 128 << 8;

impl Cells<'_> {
    /// Whether the checked counter at `cell` belongs to the context with this hash. One that belongs to another is
    /// replaced, unless it has seen much: that costs it a count.
    pub(crate) fn claim(&mut self, cell: usize, hash: u32) -> bool {
        let counter = self.read(cell);
        let check = (hash as u16) << 3 & CHECK;
        if counter & CHECK == check {
            return true;
        }
        let kept = counter & COUNT >= COUNT_KEPT;
        self.write(cell, if kept { counter - 1 } else { FRESH | check });
        !kept
    }

    /// What a checked counter says, in log-odds.
    pub(crate) fn checked_input(&self, cell: usize) -> i32 {
        stretch(self.read(cell) >> 8 << 4)
    }

    /// Moves a checked counter towards a bit.
    pub(crate) fn learn_checked(&mut self, cell: usize, bit: bool) {
        let counter = self.read(cell);
        let (p, count) = (u32::from(counter >> 8), counter & COUNT);
        let rate = rate(count);
        let p = if bit {
            p + (((255 - p) * rate) >> 16)
        } else {
            p - ((p * rate) >> 16)
        };
        self.write(
            cell,
            (p as u16) << 8 | counter & CHECK | (count + 1).min(COUNT_MAX),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_useful_counter_outlives_passers_by() {
        let mut memory = [0; 2];
        let mut cells = Cells::new(&mut memory);
        cells.write(0, FRESH);
        for _ in 0..5 {
            assert!(cells.claim(0, 0));
            cells.learn_checked(0, true);
        }
        let sure = cells.checked_input(0);
        assert!(sure > 256);
        for _ in 0..3 {
            assert!(!cells.claim(0, 9), "counts 5, 4 and 3 are kept");
        }
        assert!(cells.claim(0, 0) && cells.checked_input(0) == sure);
        assert!(cells.claim(0, 9) && cells.checked_input(0) < 16);
    }
}
