//! Which counters predict which bit: the contexts of numbers, hits, differences and literals.

use crate::cells::{COUNTER_START, Cells, Region};
use crate::coder::BitCoder;
use crate::header::MemoryClass;

/// After this many hits in a row, the length of the run is coded instead of one hit at a time.
const HITS_BEFORE_RUN: u32 = 64;

/// What the base image says about the next byte of a copy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Predicted {
    /// The byte it will be, unless it was changed.
    pub byte: u8,
    /// The byte after it in the source, 0 when that is not known.
    pub next: u8,
}

/// The numbers in a patch, each with its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Bytes of a triple that are copied with differences.
    CopyBytes,
    /// Bytes of a triple that follow without a source.
    ExtraBytes,
    /// How far the source of a copy lies from where the last one led to, zigzag-coded.
    Seek,
    /// Unchanged bytes up to the next changed one, after a change.
    Run,
    /// Unchanged bytes up to the first changed one of a copy.
    FirstRun,
}

/// A number with more bits than any legal one. Only a decoder meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// No number has as many bits. A source lies below 2^25 and the expected one below 2^26, so that a zigzag-coded seek,
/// plus one, stays below 2^28.
const NUMBER_BITS_MAX: u32 = 28;
const NUMBER_CELLS: u32 = 2 * NUMBER_BITS_MAX;
const NUMBERS: Region = Region {
    first: 0,
    len: 5 * NUMBER_CELLS,
};

const HIT_INPUTS: u32 = 6;
const HIT_WEIGHTS: Region = Region {
    first: NUMBERS.first + NUMBERS.len,
    len: 8 * HIT_INPUTS,
};
const DIFFERENCE_INPUTS: u32 = 6;
const DIFFERENCE_WEIGHTS: Region = Region {
    first: HIT_WEIGHTS.first + HIT_WEIGHTS.len,
    len: 8 * DIFFERENCE_INPUTS,
};
const LITERAL_INPUTS: u32 = 6;
const LITERAL_WEIGHTS: Region = Region {
    first: DIFFERENCE_WEIGHTS.first + DIFFERENCE_WEIGHTS.len,
    len: 16 * LITERAL_INPUTS,
};
/// Cells before the hashed regions.
const FIXED_CELLS: u32 = LITERAL_WEIGHTS.first + LITERAL_WEIGHTS.len;

/// Every weight starts at 0.4.
const WEIGHT_START: u16 = 3_277;

/// The adaptive models and the history they look at. Encoder and decoder drive the same code.
#[derive(Debug)]
pub struct Models<'m> {
    cells: Cells<'m>,
    hits: Region,
    differences: Region,
    literals: Region,
    /// Bytes of the result so far: its two lowest bits are the alignment.
    position: u32,
    /// The last four bytes of the result, the newest lowest.
    last: u32,
    /// One bit per byte of the result, the newest lowest: 1 for a copied byte that was predicted.
    history: u32,
    /// Predicted copied bytes in a row.
    streak: u32,
    /// The last difference at each alignment.
    difference_at: [u8; 4],
    /// The newest difference overall.
    difference: u8,
}

impl<'m> Models<'m> {
    /// Untrained models in `memory`, of which the first `class.bytes()` are used; `None` if there are fewer.
    pub fn new(class: MemoryClass, memory: &'m mut [u8]) -> Option<Self> {
        if memory.len() < class.bytes() as usize {
            return None;
        }
        let all = class.bytes() / 2;
        let hashed = all - FIXED_CELLS;
        let hits = Region {
            first: FIXED_CELLS,
            len: hashed / 4,
        };
        let differences = Region {
            first: hits.first + hits.len,
            len: hashed / 4,
        };
        let first = differences.first + differences.len;
        let literals = Region {
            first,
            len: all - first,
        };
        let mut cells = Cells::new(memory);
        cells.fill(Region { first: 0, len: all }, COUNTER_START);
        for weights in [HIT_WEIGHTS, DIFFERENCE_WEIGHTS, LITERAL_WEIGHTS] {
            cells.fill(weights, WEIGHT_START);
        }
        Some(Self {
            cells,
            hits,
            differences,
            literals,
            position: 0,
            last: 0,
            history: 0,
            streak: 0,
            difference_at: [0; 4],
            difference: 0,
        })
    }

    /// The memory back, for the next decoder.
    pub fn into_memory(self) -> &'m mut [u8] {
        self.cells.into_memory()
    }

    /// Whether the next thing in a copy is a run length rather than a single hit or miss.
    pub fn wants_run(&self) -> bool {
        self.streak >= HITS_BEFORE_RUN
    }

    /// A copy begins: it does so with a run.
    pub fn begin_copy(&mut self) {
        self.streak = HITS_BEFORE_RUN;
    }

    /// Codes a number: its bit length in unary, then the bits below the leading one, of which the first is modelled.
    pub fn number<C: BitCoder>(
        &mut self,
        coder: &mut C,
        kind: Number,
        value: u32,
    ) -> Result<Result<u32, TooLarge>, C::Error> {
        let first = NUMBERS.first + kind as u32 * NUMBER_CELLS;
        let biased = value.wrapping_add(1);
        let hint = biased.checked_ilog2().unwrap_or(0);
        let mut bits = 0;
        while self.cells.code(coder, first + bits, bits < hint)? {
            bits += 1;
            if bits == NUMBER_BITS_MAX {
                return Ok(Err(TooLarge));
            }
        }
        let mut decoded = 1;
        for index in (0..bits).rev() {
            let bit = biased >> index & 1 == 1;
            let bit = if index + 1 == bits {
                self.cells.code(coder, first + NUMBER_BITS_MAX + bits, bit)?
            } else {
                coder.code(bit, 0x8000)?
            };
            decoded = decoded << 1 | u32::from(bit);
        }
        Ok(Ok(decoded - 1))
    }

    /// Codes whether the next byte of a copy is the predicted one.
    pub fn hit<C: BitCoder>(
        &mut self,
        coder: &mut C,
        predicted: Predicted,
        hit: bool,
    ) -> Result<bool, C::Error> {
        let (byte, next) = (u32::from(predicted.byte), u32::from(predicted.next));
        let align = self.position & 3;
        let last = self.last & 0xFF;
        let hashes = [
            hash(1, self.history & 0xFF, align),
            hash(2, byte, align << 2 | self.history & 3),
            hash(3, byte | next << 8, align & 1),
            hash(4, byte | last << 8, align & 1),
            hash(
                5,
                u32::from(self.difference_at[align as usize]),
                self.history & 0xF,
            ),
            hash(
                6,
                last | (self.last >> 8 & 0xFF) << 8 | byte << 16 | next << 24,
                self.history & 1,
            ),
        ];
        let weights = HIT_WEIGHTS.first + (self.history & 7) * HIT_INPUTS;
        self.cells.code_mixed(coder, self.hits, hashes, weights, hit)
    }

    /// Codes a byte of a copy that is not the predicted one, as its difference to it.
    pub fn changed<C: BitCoder>(
        &mut self,
        coder: &mut C,
        predicted: Predicted,
        byte: u8,
    ) -> Result<u8, C::Error> {
        let (expected, next) = (u32::from(predicted.byte), u32::from(predicted.next));
        let align = self.position & 3;
        let last = self.last & 0xFF;
        let contexts = [
            hash(1, u32::from(self.difference_at[align as usize]), align & 1),
            hash(2, expected, align & 1),
            hash(3, u32::from(self.difference), self.history & 7),
            hash(4, expected | last << 8, 0),
            hash(
                5,
                expected | next << 8,
                u32::from(self.difference_at[align as usize]),
            ),
            hash(6, align, self.history & 0xF),
        ];
        let tree = Tree {
            region: self.differences,
            weights: DIFFERENCE_WEIGHTS.first,
            inputs: DIFFERENCE_INPUTS,
        };
        let difference = byte.wrapping_sub(predicted.byte);
        let difference = self.byte(coder, tree, contexts, difference)?;
        self.difference = difference;
        self.difference_at[align as usize] = difference;
        Ok(predicted.byte.wrapping_add(difference))
    }

    /// Codes a byte that has no source.
    pub fn literal<C: BitCoder>(&mut self, coder: &mut C, byte: u8) -> Result<u8, C::Error> {
        let align = self.position & 3;
        let last = self.last;
        let contexts = [
            hash(1, align, 0),
            hash(2, last & 0xFF, align & 1),
            hash(3, last & 0xFFFF, 0),
            hash(4, last & 0x00FF_FFFF, 0),
            hash(5, last & 0x0000_FF00, align & 1),
            hash(6, last & 0xFF00_FF00, align & 1),
        ];
        let weights = LITERAL_WEIGHTS.first + (align & 1) * 8 * LITERAL_INPUTS;
        let tree = Tree {
            region: self.literals,
            weights,
            inputs: LITERAL_INPUTS,
        };
        self.byte(coder, tree, contexts, byte)
    }

    /// The next byte of the result is known: a predicted one, a changed one or a literal.
    pub fn push(&mut self, byte: u8, hit: bool) {
        self.position = self.position.wrapping_add(1);
        self.last = self.last << 8 | u32::from(byte);
        self.history = self.history << 1 | u32::from(hit);
        self.streak = if hit { self.streak.saturating_add(1) } else { 0 };
    }

    /// Codes the eight bits of a byte, the highest first.
    fn byte<C: BitCoder, const N: usize>(
        &mut self,
        coder: &mut C,
        tree: Tree,
        contexts: [u32; N],
        byte: u8,
    ) -> Result<u8, C::Error> {
        let mut node = 1;
        for index in 0..8 {
            let hashes = contexts.map(|context| scramble(context ^ node));
            let weights = tree.weights + index * tree.inputs;
            let bit = byte >> (7 - index) & 1 == 1;
            let bit = self.cells.code_mixed(coder, tree.region, hashes, weights, bit)?;
            node = node << 1 | u32::from(bit);
        }
        Ok(node as u8)
    }
}

/// Where the counters and weights of a coded byte lie.
#[derive(Clone, Copy)]
struct Tree {
    region: Region,
    weights: u32,
    inputs: u32,
}

/// The hash of one context: which one it is, and its two parts.
fn hash(context: u32, a: u32, b: u32) -> u32 {
    scramble(
        scramble(a.wrapping_add(context << 28))
            .wrapping_add(b << 3)
            .wrapping_add(context),
    )
}

/// Mixes all bits into the upper ones.
fn scramble(x: u32) -> u32 {
    let x = x.wrapping_mul(0x9E37_79B1);
    x ^ (x >> 15)
}
