//! Checked counters: 8 bits of probability, 5 bits of their context's hash, and a count of 3.
//!
//! Most contexts of literals are rare, and their counters many more than cells. A counter that another context has
//! left behind misleads; here it is noticed, and a new context starts with a fresh one, or with none while the cell
//! belongs to one that has proved useful.

use crate::cells::{Cell, moved};
use crate::logistic::stretch_byte;

/// A count from which on a counter is not given up at once.
const COUNT_KEPT: u16 = 3;
const COUNT_MAX: u16 = 7;

const COUNT: u16 = 7;
const CHECK: u16 = 31 << 3;
/// One half, seen nothing.
const FRESH: u16 = 128 << 8;

impl Cell<'_> {
    /// What the checked counter says, in log-odds, if it belongs to the context with this hash. One that belongs to
    /// another is replaced, unless it has seen much: that costs it a count.
    #[inline(always)]
    pub(crate) fn claim(self, hash: u32) -> Option<i32> {
        let Self(slot) = self;
        let counter = u16::from_le_bytes(*slot);
        let check = (hash as u16) << 3 & CHECK;
        if counter & CHECK == check {
            return Some(stretch_byte(counter >> 8));
        }
        let kept = counter & COUNT >= COUNT_KEPT;
        *slot = (if kept { counter - 1 } else { FRESH | check }).to_le_bytes();
        // A fresh one says nothing.
        (!kept).then_some(0)
    }

    /// Moves a checked counter towards a bit.
    #[inline(always)]
    pub(crate) fn learn_checked(self, bit: bool) {
        let Self(slot) = self;
        let counter = u16::from_le_bytes(*slot);
        let count = counter & COUNT;
        let p = moved(u32::from(counter >> 8), 255, count, bit) as u16;
        *slot = (p << 8 | counter & CHECK | (count + 1).min(COUNT_MAX)).to_le_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::Cells;

    #[test]
    fn a_useful_counter_outlives_passers_by() {
        let mut memory = [0; 2];
        let mut cells = Cells::new(&mut memory);
        cells.write(0, FRESH);
        for _ in 0..5 {
            assert!(cells.at(0).expect("a cell").claim(0).is_some());
            cells.at(0).expect("a cell").learn_checked(true);
        }
        let mut claim = |hash| cells.at(0).expect("a cell").claim(hash);
        let sure = claim(0);
        assert!(sure.is_some_and(|sure| sure > 256));
        for _ in 0..3 {
            assert_eq!(claim(9), None, "counts 5, 4 and 3 are kept");
        }
        assert_eq!(claim(0), sure);
        assert_eq!(claim(9), Some(0));
        assert_eq!(claim(9), Some(0), "one half");
    }
}
