//! Literals: bytes that have no source.

use core::array;

use super::context::{hash, scramble};
use super::matched::{CONFIDENCE_CELLS, MATCHES};
use super::{Models, layout};
use crate::cells::{Cells, Region};
use crate::coder::BitCoder;
use crate::header::MemoryClass;

/// A hashed context: which bits of the last four bytes it sees, the newest lowest, and which of the offset.
struct Context {
    last: u32,
    offset: u32,
    /// Its part of the cells.
    share: u32,
}

const fn context(last: u32, offset: u32, share: u32) -> Context {
    Context { last, offset, share }
}

const CONTEXTS: [Context; 5] = [
    context(0xFF, 1, 14),
    context(0xFF00, 0, 4),
    context(0xFFFF_0000, 0, 2),
    context(0xFFF0, 0, 1),
    context(0x00F0_F0F0, 0, 1),
];

/// Below this class there are cells for the first context only.
const ALL_CONTEXTS_CLASS: u8 = 14;

/// Inputs of a bit: the matches, order 0, each hashed context.
pub(super) const INPUTS: u32 = (MATCHES + 1 + CONTEXTS.len()) as u32;

/// log2 of the order-0 counters: one for each node and parity of the offset.
const ORDER_0_CELLS_LOG2: u32 = 9;

/// Positions of the last byte: one for each value.
const BYTE_POSITIONS_MAX: u32 = 256;

/// How literals share out their cells.
#[derive(Clone, Copy)]
pub(super) struct Shares {
    order_0: Region,
    confidence: Region,
    pub(super) positions: [Region; MATCHES],
    hashed: Region,
}

impl Shares {
    /// With 192 cells or more each gets some.
    pub(super) fn of(region: Region) -> Self {
        let order_0 = Region {
            first: region.first,
            len: 1 << (region.len / 2).max(1).ilog2().min(ORDER_0_CELLS_LOG2),
        };
        let confidence = layout::after(order_0, CONFIDENCE_CELLS);
        let of_one = layout::after(confidence, (region.len / 8).min(BYTE_POSITIONS_MAX));
        let of_two = layout::after(of_one, region.len / 5);
        let mut hashed = layout::after(of_two, 0);
        hashed.len = (region.first + region.len).saturating_sub(hashed.first);
        Self {
            order_0,
            confidence,
            positions: [of_one, of_two],
            hashed,
        }
    }
}

/// The counters of a literal byte, for any of its bits.
struct Slots {
    shares: Shares,
    offset: u32,
    /// Cells and hash of each context in use; without cells if it is not.
    hashed: [(Region, u32); CONTEXTS.len()],
}

/// The counters of one bit: order 0, and each context that has one, others 0.
struct Counters {
    order_0: usize,
    hashed: [usize; CONTEXTS.len()],
}

impl Slots {
    fn new(literals: Region, class: MemoryClass, last: u32, offset: u32) -> Self {
        let shares = Shares::of(literals);
        let used = if class.exponent() < ALL_CONTEXTS_CLASS {
            1
        } else {
            CONTEXTS.len()
        };
        let contexts = &CONTEXTS[..used];
        let sum: u32 = contexts.iter().map(|context| context.share).sum();
        let mut cells = layout::after(shares.positions[MATCHES - 1], 0);
        let mut hashed = [(cells, 0); CONTEXTS.len()];
        for ((slot, context), k) in hashed.iter_mut().zip(contexts).zip(1..) {
            cells = layout::after(cells, shares.hashed.len * context.share / sum);
            *slot = (cells, hash(k, last & context.last, offset & context.offset));
        }
        Self {
            shares,
            offset,
            hashed,
        }
    }

    /// The counters of the bit at `node`; in shared cells they are claimed.
    fn counters(&self, cells: &mut Cells<'_>, node: u32) -> Counters {
        let order_0 = self.shares.order_0;
        let index = (node | self.offset << 8) & (order_0.len - 1);
        Counters {
            order_0: (order_0.first + index) as usize,
            hashed: self.hashed.map(|(slice, context)| {
                let hash = scramble(context ^ node);
                let cell = slice.cell(hash);
                if slice.len > 0 && cells.claim(cell, hash) {
                    cell
                } else {
                    0
                }
            }),
        }
    }
}

impl Counters {
    /// What they say, in log-odds, behind the inputs of the matches.
    fn inputs(&self, cells: &Cells<'_>, [one, two]: [i32; MATCHES]) -> [i32; INPUTS as usize] {
        let mut inputs = [0; INPUTS as usize];
        inputs[0] = one;
        inputs[1] = two;
        inputs[2] = cells.input(self.order_0);
        for (input, cell) in inputs[3..].iter_mut().zip(self.hashed) {
            if cell > 0 {
                *input = cells.checked_input(cell);
            }
        }
        inputs
    }

    fn learn(&self, cells: &mut Cells<'_>, bit: bool) {
        cells.learn(self.order_0, bit);
        for cell in self.hashed {
            if cell > 0 {
                cells.learn_checked(cell, bit);
            }
        }
    }
}

impl Models<'_> {
    /// Codes a byte that has no source. `past` reads the result so far.
    pub fn literal<C: BitCoder, E: From<C::Error>>(
        &mut self,
        coder: &mut C,
        byte: u8,
        mut past: impl FnMut(u32) -> Result<u8, E>,
    ) -> Result<u8, E> {
        let expected = self.matched_bytes(&mut past)?;
        self.remember_position();
        let slots = Slots::new(
            self.literals,
            self.class,
            self.history.last,
            self.history.position,
        );
        let first = slots.shares.confidence.first;
        let mut node = 1;
        for index in 0..8 {
            let foreseen = expected.map(|byte| byte >> (7 - index) & 1 == 1);
            let confidence: [_; MATCHES] = array::from_fn(|which| {
                let so_far = (expected[which] | 0x100) >> (8 - index) == node;
                let counter = self.matched[which].confidence(which)?;
                so_far.then_some((first + counter) as usize)
            });
            let matched = array::from_fn(|which| {
                let sure = confidence[which].map_or(0, |cell| self.cells.input(cell));
                if foreseen[which] { sure } else { -sure }
            });
            let counters = slots.counters(&mut self.cells, node);
            let inputs = counters.inputs(&self.cells, matched);
            let weights = layout::LITERAL_WEIGHTS.first + index * INPUTS;
            let bit = byte >> (7 - index) & 1 == 1;
            let bit = self.cells.mix(coder, &inputs, weights, bit)?;
            for (cell, foreseen) in confidence.into_iter().zip(foreseen) {
                if let Some(cell) = cell {
                    self.cells.learn(cell, bit == foreseen);
                }
            }
            counters.learn(&mut self.cells, bit);
            node = node << 1 | u32::from(bit);
        }
        for (matched, expected) in self.matched.iter_mut().zip(expected) {
            matched.advance(node & 0xFF == expected);
        }
        self.history.push_literal(node & 0xFF);
        Ok(node as u8)
    }

    /// Learns a byte of the base that literals replace, at `offset` of it and after the bytes `last`, the newest lowest.
    pub fn train(&mut self, byte: u8, last: u32, offset: u32) {
        let slots = Slots::new(self.literals, self.class, last, offset);
        let mut node = 1;
        for index in 0..8 {
            let bit = byte >> (7 - index) & 1 == 1;
            slots.counters(&mut self.cells, node).learn(&mut self.cells, bit);
            node = node << 1 | u32::from(bit);
        }
    }
}

impl super::History {
    fn push_literal(&mut self, byte: u32) {
        self.position = self.position.wrapping_add(1);
        self.last = self.last << 8 | byte;
        self.streak = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Literals never get fewer cells: 4 KiB with a full map and the largest share for copies leave 275.
    const CELLS_MIN: u32 = 192;

    #[test]
    fn shares_follow_each_other_to_the_end() {
        for len in CELLS_MIN..40_000 {
            let region = Region { first: 7, len };
            let shares = Shares::of(region);
            let [of_one, of_two] = shares.positions;
            let mut next = region.first;
            for share in [shares.order_0, shares.confidence, of_one, of_two, shares.hashed] {
                assert!(share.first == next && share.len > 0, "{len}");
                next += share.len;
            }
            assert_eq!(next, region.first + len);
        }
    }

    #[test]
    fn every_context_stays_inside_its_share() {
        for (exponent, len) in [(12, CELLS_MIN), (14, CELLS_MIN), (17, 50_000)] {
            let region = Region { first: 7, len };
            let class = MemoryClass::from_exponent(exponent).expect("a class");
            let slots = Slots::new(region, class, 0x1234_5678, 3);
            let mut next = slots.shares.hashed.first;
            for (slice, _) in slots.hashed.iter().filter(|(slice, _)| slice.len > 0) {
                assert_eq!(slice.first, next);
                next += slice.len;
            }
            assert!(next <= region.first + region.len);
        }
    }
}
