//! Literals: bytes that have no source.

use core::array;

use super::context::{hash, scramble};
use super::matched::{CONFIDENCE_CELLS, MATCHES};
use super::{Models, layout};
use crate::cells::{Cells, Region};
use crate::coder::BitCoder;
use crate::header::MemoryClass;
use crate::isa::Isa;

/// A hashed context: which bits of the last four bytes it sees, the newest lowest, and whether that of the offset, 0 or 1.
struct Context {
    last: u32,
    parity: u32,
    /// Its part of the cells.
    share: u32,
}

const fn context(last: u32, parity: u32, share: u32) -> Context {
    Context { last, parity, share }
}

const CONTEXTS: [Context; 5] = [
    context(0xFF, 1, 14),
    context(0xFF00, 0, 4),
    context(0xFFFF_0000, 0, 2),
    context(0xFFF0, 0, 1),
    context(0x00F0_F0F0, 0, 1),
];

/// The shares of all of them.
const SHARES_SUM: u32 = 22;

/// Below this class there are cells for the first context only.
const ALL_CONTEXTS_CLASS: u8 = 14;

/// Inputs of a bit: the matches, order 0, each hashed context.
pub(super) const INPUTS: u32 = (MATCHES + 1 + CONTEXTS.len()) as u32;

type Inputs = [i32; INPUTS as usize];

/// log2 of the order-0 counters: one for each node and parity, or bytes left: none or some.
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
    #[inline(never)]
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

/// Where a byte is in its instruction, as far as its contexts know.
#[derive(Clone, Copy)]
enum Within {
    /// Whether the offset is odd.
    Parity(u32),
    /// How many bytes are left.
    Left(u8),
}

impl Within {
    fn of(isa: Isa, offset: u32, left: u8) -> Self {
        if isa.counts_bytes() {
            Self::Left(left)
        } else {
            Self::Parity(offset & 1)
        }
    }

    /// What order 0 sees of it: 0 or 1.
    fn order_0(self) -> u32 {
        match self {
            Self::Parity(odd) => odd,
            Self::Left(left) => u32::from(left > 0),
        }
    }

    /// What a hashed context sees of it.
    fn hashed(self, context: &Context) -> u32 {
        match self {
            Self::Parity(odd) => odd & context.parity,
            Self::Left(left) => left.into(),
        }
    }
}

/// A hashed context in use: its cells, and the hash for any bit of the byte.
#[derive(Clone, Copy)]
struct Slot {
    cells: Region,
    hash: u32,
}

/// The counters of a literal byte, for any of its bits.
struct Slots {
    order_0: Region,
    within: Within,
    hashed: [Slot; CONTEXTS.len()],
    /// How many of them are in use.
    used: usize,
}

/// The counters of one bit: order 0, and each context that has one, others 0.
#[derive(Default)]
struct Counters {
    order_0: usize,
    hashed: [usize; CONTEXTS.len()],
}

impl Slots {
    fn new(shares: &Shares, class: MemoryClass, last: u32, within: Within) -> Self {
        let used = if class.exponent() < ALL_CONTEXTS_CLASS {
            1
        } else {
            CONTEXTS.len()
        };
        let sum = if used == 1 { CONTEXTS[0].share } else { SHARES_SUM };
        let mut cells = layout::after(shares.positions[MATCHES - 1], 0);
        let mut hashed = [Slot { cells, hash: 0 }; CONTEXTS.len()];
        for ((slot, context), k) in hashed.iter_mut().zip(&CONTEXTS).zip(1..).take(used) {
            cells = layout::after(cells, shares.hashed.len * context.share / sum);
            *slot = Slot {
                cells,
                hash: hash(k, last & context.last, within.hashed(context)),
            };
        }
        Self {
            order_0: shares.order_0,
            within,
            hashed,
            used,
        }
    }

    /// The counters of the bit at `node`, the checked ones claimed, and what they say, in log-odds, into `inputs`. Both are
    /// kept from bit to bit: clearing them would take as long as mixing.
    // Not inlined, nor is `learn`: literals and training share them.
    #[inline(never)]
    fn claim(&self, cells: &mut Cells<'_>, node: u32, counters: &mut Counters, inputs: &mut Inputs) {
        let order_0 = (node | self.within.order_0() << 8) & (self.order_0.len - 1);
        counters.order_0 = (self.order_0.first + order_0) as usize;
        let Some(order_0) = cells.at(counters.order_0) else {
            return;
        };
        inputs[MATCHES] = order_0.input();
        let slots = self.hashed.get(..self.used).unwrap_or_default();
        for ((slot, input), counter) in slots
            .iter()
            .zip(&mut inputs[MATCHES + 1..])
            .zip(&mut counters.hashed)
        {
            let hash = scramble(slot.hash ^ node);
            let cell = slot.cells.cell(hash);
            let Some(checked) = cells.at(cell) else { return };
            (*input, *counter) = match checked.claim(hash) {
                Some(said) => (said, cell),
                None => (0, 0),
            };
        }
    }
}

impl Counters {
    #[inline(never)]
    fn learn(&self, cells: &mut Cells<'_>, bit: bool) {
        let Some(order_0) = cells.at(self.order_0) else {
            return;
        };
        order_0.learn(bit);
        for cell in &self.hashed {
            if *cell > 0 {
                let Some(checked) = cells.at(*cell) else { return };
                checked.learn_checked(bit);
            }
        }
    }
}

/// What a match says about the byte.
#[derive(Clone, Copy)]
struct Guess {
    /// The expected byte behind a leading 1, as nodes are; 0 without a match.
    byte: u32,
    /// The counter of how often such a match is right.
    counter: usize,
}

impl Guess {
    /// The bit that is expected at `node`, with so many bits behind it; `None` when one before was another.
    #[inline(always)]
    fn bit(&self, node: u32, behind: u32) -> Option<bool> {
        let so_far = self.byte >> behind;
        (so_far >> 1 == node).then_some(so_far & 1 == 1)
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
        let shares = Shares::of(self.literals);
        let expected = self.matched_bytes(&shares, &mut past)?;
        let first = shares.confidence.first;
        let guesses = array::from_fn(|which| match self.matched[which].confidence(which) {
            Some(counter) => Guess {
                byte: expected[which] | 0x100,
                counter: (first + counter) as usize,
            },
            None => Guess { byte: 0, counter: 0 },
        });
        let node = self.literal_bits(coder, &shares, &guesses, byte)?;
        for (matched, expected) in self.matched.iter_mut().zip(expected) {
            matched.advance(node & 0xFF == expected);
        }
        self.history.left = self.isa().bytes_left(self.history.left, node as u8);
        self.history.push_literal(node & 0xFF);
        Ok(node as u8)
    }

    /// Codes the bits of a literal, behind a leading 1.
    fn literal_bits<C: BitCoder>(
        &mut self,
        coder: &mut C,
        shares: &Shares,
        guesses: &[Guess; MATCHES],
        byte: u8,
    ) -> Result<u32, C::Error> {
        let within = Within::of(self.isa(), self.history.position, self.history.left);
        let slots = Slots::new(shares, self.class, self.history.last, within);
        let (mut counters, mut inputs) = (Counters::default(), [0; INPUTS as usize]);
        let mut weights = layout::LITERAL_WEIGHTS.first;
        let mut node = 1;
        for behind in (0..8).rev() {
            for (guess, input) in guesses.iter().zip(&mut inputs) {
                *input = guess.bit(node, behind).map_or(0, |one| {
                    let counter = self.cells.at(guess.counter);
                    let said = counter.map_or(0, |counter| counter.input());
                    if one { said } else { -said }
                });
            }
            slots.claim(&mut self.cells, node, &mut counters, &mut inputs);
            let bit = byte >> behind & 1 == 1;
            let bit = self.cells.mix(coder, &inputs, weights, bit)?;
            weights += INPUTS;
            for guess in guesses {
                if let Some(foreseen) = guess.bit(node, behind) {
                    self.cells.learn(guess.counter, bit == foreseen);
                }
            }
            counters.learn(&mut self.cells, bit);
            node = node << 1 | u32::from(bit);
        }
        Ok(node)
    }

    /// Learns a byte of the base that literals replace, at `offset` of it and after the bytes `last`, the newest lowest.
    pub fn train(&mut self, byte: u8, last: u32, offset: u32) {
        let within = Within::of(self.isa(), offset, self.history.trained_left);
        self.history.trained_left = self.isa().bytes_left(self.history.trained_left, byte);
        let slots = Slots::new(&Shares::of(self.literals), self.class, last, within);
        let (mut counters, mut unused) = (Counters::default(), [0; INPUTS as usize]);
        let mut node = 1;
        for behind in (0..8).rev() {
            let bit = byte >> behind & 1 == 1;
            slots.claim(&mut self.cells, node, &mut counters, &mut unused);
            counters.learn(&mut self.cells, bit);
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
            let shares = Shares::of(region);
            let slots = Slots::new(&shares, class, 0x1234_5678, Within::Parity(1));
            let mut next = shares.hashed.first;
            for slot in &slots.hashed[..slots.used] {
                assert_eq!(slot.cells.first, next);
                assert!(slot.cells.len > 0);
                next += slot.cells.len;
            }
            assert!(next <= region.first + region.len);
        }
    }
}
