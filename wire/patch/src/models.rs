//! Which counters predict which bit: the contexts of numbers, hits, differences and literals.

use crate::cells::{COUNTER_START, Cells, Region};
use crate::coder::BitCoder;
use crate::control::Triple;
use crate::header::MemoryClass;
use crate::map::{ENTRY_CELLS, Moved};
use crate::relocate::{Group, Kind, Place, Relocation, Relocator, Walk};

/// After this many predicted bytes in a row, whole blocks of them are offered.
const HITS_BEFORE_BLOCK: u32 = 32;

/// Bytes of the largest block.
const BLOCK_BYTES_MAX: u32 = 4_096;

/// The numbers in a patch, each with its own counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Number {
    /// Bytes of a triple that are copied with differences.
    CopyBytes,
    /// Bytes of a triple that follow without a source.
    ExtraBytes,
    /// How far the source of a copy lies from where the last one led to, zigzag-coded.
    Seek,
}

/// A number with more bits than any legal one. Only a decoder meets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLarge;

/// What the encoder chose for the whole patch; the first thing in the coded stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether and how addresses are moved.
    pub relocation: Option<Relocation>,
    /// log2 of the shortest copy that enters the map.
    pub map_copy_bytes_log2: u32,
}

/// No number has as many bits. A source lies below 2^25 and the expected one below 2^26, so that a zigzag-coded seek,
/// plus one, stays below 2^28.
const NUMBER_BITS_MAX: u32 = 28;
const NUMBER_CELLS: u32 = 2 * NUMBER_BITS_MAX;
const NUMBERS: Region = Region {
    first: 0,
    len: 3 * NUMBER_CELLS,
};
const BLOCKS: Region = after(NUMBERS, 32);
const HIT_INPUTS: u32 = 7;
const HIT_WEIGHTS: Region = after(BLOCKS, 8 * HIT_INPUTS);
const BYTE_INPUTS: u32 = 5;
const BYTE_WEIGHTS: Region = after(HIT_WEIGHTS, 8 * BYTE_INPUTS);
const DIFFERENCE_INPUTS: u32 = 7;
const DIFFERENCE_WEIGHTS: Region = after(BYTE_WEIGHTS, 8 * DIFFERENCE_INPUTS);
const LITERAL_INPUTS: u32 = 6;
const LITERAL_WEIGHTS: Region = after(DIFFERENCE_WEIGHTS, 24 * LITERAL_INPUTS);
/// Cells before the tables whose size depends on the memory.
const FIXED_CELLS: u32 = LITERAL_WEIGHTS.first + LITERAL_WEIGHTS.len;

const fn after(region: Region, len: u32) -> Region {
    Region {
        first: region.first + region.len,
        len,
    }
}

/// Every weight starts at 0.4.
const WEIGHT_START: u16 = 2400;

/// The adaptive models and the history they look at. Encoder and decoder drive the same code.
#[derive(Debug)]
pub struct Models<'m> {
    cells: Cells<'m>,
    class: MemoryClass,
    setup: Setup,
    hits: Region,
    bytes: Region,
    differences: Region,
    literals: Region,
    relocator: Relocator,
    history: History,
    /// The last difference at each alignment.
    difference_at: [u8; 4],
    /// The newest difference overall.
    difference: u8,
}

/// What was coded last.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// Bytes of the result so far: its two lowest bits are the alignment.
    position: u32,
    /// The last four bytes of the result, the newest lowest.
    last: u32,
    /// One bit per group, the newest lowest: 1 for one that was predicted.
    groups: u32,
    /// The same for the groups of each kind.
    of_kind: [u8; 8],
    /// Predicted bytes in a row.
    streak: u32,
}

/// Where the models stand between two groups, for an encoder that looks ahead.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    history: History,
    walk: Walk,
}

impl<'m> Models<'m> {
    /// Models in `memory`, of which the first `class.bytes()` are used; `None` if there are fewer. Numbers can be coded
    /// at once, [`Self::set_up`] and [`Self::ready`] make the rest ready.
    pub fn new(class: MemoryClass, memory: &'m mut [u8]) -> Option<Self> {
        if memory.len() < class.bytes() as usize {
            return None;
        }
        let none = Region { first: 0, len: 0 };
        let mut cells = Cells::new(memory);
        cells.fill(NUMBERS, COUNTER_START);
        Some(Self {
            cells,
            class,
            setup: Setup::default(),
            hits: none,
            bytes: none,
            differences: none,
            literals: none,
            relocator: Relocator::new(None, 0, FIXED_CELLS, class.bytes(), 0),
            history: History::default(),
            difference_at: [0; 4],
            difference: 0,
        })
    }

    /// The memory back, for the next decoder.
    pub fn into_memory(self) -> &'m mut [u8] {
        self.cells.into_memory()
    }

    /// Codes the setup with even odds and makes the map ready for [`Self::enter`].
    pub fn set_up<C: BitCoder>(
        &mut self,
        coder: &mut C,
        setup: Setup,
        base_bytes: u32,
    ) -> Result<Setup, C::Error> {
        let mut relocation = None;
        let mut map_copy_bytes_log2 = 0;
        if coder.code(setup.relocation.is_some(), 0x8000)? {
            let named = setup.relocation.unwrap_or_default();
            map_copy_bytes_log2 = plain_bits(coder, setup.map_copy_bytes_log2, 4)?;
            let base_address = address(coder, named.base_address)?;
            let moved = coder.code(named.target_address != named.base_address, 0x8000)?;
            let target_address = if moved {
                address(coder, named.target_address)?
            } else {
                base_address
            };
            relocation = Some(Relocation {
                base_address,
                target_address,
            });
        }
        self.setup = Setup {
            relocation,
            map_copy_bytes_log2,
        };
        let memory = self.class.bytes();
        let entries_max = memory / 4 / 2 / ENTRY_CELLS;
        self.relocator = Relocator::new(relocation, base_bytes, FIXED_CELLS, memory, entries_max);
        Ok(self.setup)
    }

    /// Puts the copy of a triple into the map, if it belongs there.
    pub fn enter(&mut self, triple: Triple, target: u32, base_bytes: u32) {
        let long_enough = triple.copy_bytes >> self.setup.map_copy_bytes_log2 > 0;
        if self.relocator.is_on() && long_enough && triple.source < base_bytes {
            let moved = Moved {
                source: triple.source,
                bytes: triple.copy_bytes,
                shift: target.wrapping_sub(triple.source) & 0x00FF_FFFF,
            };
            self.relocator.map.add(&mut self.cells, moved);
        }
    }

    /// Resets the numbers and everything else but the map, behind which the hashed counters get what is left.
    pub fn ready(&mut self) {
        let map = self.relocator.map.region();
        let first = if self.relocator.is_on() {
            self.relocator.clear(&mut self.cells);
            map.first + map.len
        } else {
            FIXED_CELLS
        };
        let hashed = self.class.bytes() / 2 - first;
        self.hits = Region {
            first,
            len: hashed / 4,
        };
        self.bytes = after(self.hits, hashed / 16);
        self.differences = after(self.bytes, hashed / 4);
        self.literals = after(self.differences, 0);
        self.literals.len = self.class.bytes() / 2 - self.literals.first;
        for counters in [NUMBERS, BLOCKS, Region { first, len: hashed }] {
            self.cells.fill(counters, COUNTER_START);
        }
        for weights in [HIT_WEIGHTS, BYTE_WEIGHTS, DIFFERENCE_WEIGHTS, LITERAL_WEIGHTS] {
            self.cells.fill(weights, WEIGHT_START);
        }
    }

    /// Where the models stand.
    pub fn mark(&self) -> Mark {
        Mark {
            history: self.history,
            walk: self.relocator.walk(),
        }
    }

    /// Goes back to `mark`, which must be of the same block.
    pub fn back_to(&mut self, mark: Mark) {
        self.history = mark.history;
        self.relocator.set_walk(mark.walk);
    }

    /// A copy begins: with the offer of a block.
    pub fn begin_copy(&mut self, place: Place) {
        self.relocator.begin_copy(place);
        self.history.streak = self.history.streak.max(HITS_BEFORE_BLOCK);
    }

    /// What comes next in a copy from the base, of which `old` holds up to four bytes, the first lowest.
    pub fn group(&mut self, old: u32, place: Place) -> Group {
        self.relocator.group(&self.cells, old, place)
    }

    /// What comes next in a copy from the target, of which `old` holds up to two bytes that are there.
    pub fn repeated(&self, old: u32, there: u32, place: Place) -> Group {
        Group::repeated(
            old,
            if place.target & 1 == 1 {
                1
            } else {
                there.min(2).min(place.left)
            },
        )
    }

    /// Bytes of the block that comes next, or 0 if a group does.
    pub fn block_bytes(&self) -> u32 {
        if self.history.streak < HITS_BEFORE_BLOCK {
            return 0;
        }
        (1 << self.history.streak.ilog2()).min(BLOCK_BYTES_MAX)
    }

    /// Codes whether all groups of a block, up to the one that fills it, are predicted.
    pub fn block<C: BitCoder>(&mut self, coder: &mut C, all: bool) -> Result<bool, C::Error> {
        let cell = BLOCKS.first + self.history.streak.max(1).ilog2().min(15) * 2 + (self.history.groups & 1);
        let all = self.cells.code(coder, cell, all)?;
        if !all {
            self.history.streak = 0;
        }
        Ok(all)
    }

    /// Takes a group as predicted, in a block.
    pub fn predicted(&mut self, group: &Group) {
        self.push_group(group, group.bytes, true);
    }

    /// Codes a group of a copy: its bytes, the first lowest.
    pub fn copied<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        actual: u32,
        place: Place,
    ) -> Result<u32, C::Error> {
        let mask = u32::MAX >> (32 - 8 * group.len);
        let hit = self.hit(coder, group, (actual ^ group.bytes) & mask == 0)?;
        if hit {
            self.push_group(group, group.bytes, true);
            return Ok(group.bytes);
        }
        let mut misses = 0;
        let mut decoded = 0;
        for index in 0..group.len {
            let expected = group.bytes >> (8 * index) & 0xFF;
            let byte = actual >> (8 * index) & 0xFF;
            let implied = misses == 0 && index + 1 == group.len;
            let wrong = implied || !self.byte_hit(coder, group, index, misses, byte == expected)?;
            let byte = if wrong {
                misses |= 1 << index;
                self.changed(coder, group, index, misses, byte)?
            } else {
                expected
            };
            decoded |= byte << (8 * index);
        }
        self.relocator.learn(&mut self.cells, group, decoded, place);
        self.push_group(group, decoded, false);
        Ok(decoded)
    }

    /// Codes one or two bytes that have no source, the first lowest. Of two, the second (an instruction's upper half)
    /// is coded first.
    pub fn literal<C: BitCoder>(&mut self, coder: &mut C, bytes: u32, value: u32) -> Result<u32, C::Error> {
        let last = self.history.last;
        let align = self.history.position & 3;
        if bytes == 1 {
            let contexts = [
                hash(1, align, 0),
                hash(2, last & 0xFF, align & 1),
                hash(3, last & 0xFFFF, align & 1),
                hash(4, last & 0x00FF_FFFF, align & 1),
                hash(5, last & 0xFF00, align & 1),
                hash(6, last, 0),
            ];
            let byte = self.literal_byte(coder, contexts, 0, value)?;
            self.push_literal(byte);
            return Ok(byte);
        }
        let contexts = [
            hash(7, align, 0),
            hash(8, last & 0xFF, align),
            hash(9, last & 0xFFFF, 0),
            hash(10, last & 0x00FF_00FF, 0),
            hash(11, last, 0),
            hash(12, last & 0x00FF_FFFF, 0),
        ];
        let upper = self.literal_byte(coder, contexts, 1, value >> 8)?;
        let contexts = [
            hash(13, upper, align),
            hash(14, upper | last << 8 & 0xFF00, 0),
            hash(15, upper | last << 8 & 0x00FF_FF00, 0),
            hash(16, upper | last << 8 & 0xFF_0000, 0),
            hash(17, upper, last),
            hash(18, upper | last & 0xFF00_FF00, 0),
        ];
        let lower = self.literal_byte(coder, contexts, 2, value & 0xFF)?;
        self.push_literal(lower);
        self.push_literal(upper);
        Ok(lower | upper << 8)
    }

    /// Bytes of the next literal, when so many are left of the extra bytes.
    pub fn literal_bytes(&self, left: u32) -> u32 {
        if self.history.position & 1 == 1 {
            1
        } else {
            left.min(2)
        }
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

    /// Codes whether a group is the predicted one.
    fn hit<C: BitCoder>(&mut self, coder: &mut C, group: &Group, hit: bool) -> Result<bool, C::Error> {
        let History {
            position,
            last,
            groups,
            of_kind,
            streak,
        } = self.history;
        let kind = group.kind as u32;
        let class = kind | group.trust << 3 | (position & 3) << 6;
        let half = group.bytes & if group.len == 1 { 0xFF } else { 0xFFFF };
        let recent = (groups | u32::MAX << 16).count_zeros();
        let hashes = [
            hash(1, class, groups & 0xFF),
            hash(2, half, class),
            hash(3, half | last << 16, kind),
            hash(4, class, (streak + 1).ilog2().min(15) | recent << 4),
            hash(5, half >> 8, class | (groups & 7) << 8),
            hash(6, group.old, kind),
            hash(7, class, u32::from(of_kind[kind as usize]) | (groups & 3) << 8),
        ];
        let weights = HIT_WEIGHTS.first + kind * HIT_INPUTS;
        self.cells.code_mixed(coder, self.hits, hashes, weights, hit)
    }

    /// Codes whether a byte of a group that is not the predicted one is as predicted.
    fn byte_hit<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        index: u32,
        misses: u32,
        hit: bool,
    ) -> Result<bool, C::Error> {
        let ahead = group.bytes >> (8 * index) & 0xFFFF;
        let at = index | misses << 2 | (group.kind as u32) << 6;
        let align = (self.history.position + index) & 3;
        let hashes = [
            hash(1, at, align),
            hash(2, at, ahead & 0xFF),
            hash(3, at, ahead),
            hash(4, at, u32::from(self.difference_at[align as usize])),
            hash(5, at, self.history.groups & 0xF),
        ];
        let set = index | u32::from(misses != 0) << 2;
        let weights = BYTE_WEIGHTS.first + set * BYTE_INPUTS;
        self.cells.code_mixed(coder, self.bytes, hashes, weights, hit)
    }

    /// Codes a byte of a copy that is not the predicted one, as its difference to it.
    fn changed<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        index: u32,
        misses: u32,
        byte: u32,
    ) -> Result<u32, C::Error> {
        let expected = group.bytes >> (8 * index) & 0xFF;
        let next = group.bytes >> (8 * index) >> 8 & 0xFF;
        let align = (self.history.position + index) & 3;
        let at = index | misses << 2 | (group.kind as u32) << 6;
        let here = u32::from(self.difference_at[align as usize]);
        let contexts = [
            hash(1, here, align & 1),
            hash(2, expected, align & 1),
            hash(3, u32::from(self.difference), at),
            hash(4, expected | (self.history.last & 0xFF) << 8, 0),
            hash(5, expected | next << 8, here),
            hash(6, align, self.history.groups & 0xF),
            hash(7, at, 0),
        ];
        let tree = Tree {
            region: self.differences,
            weights: DIFFERENCE_WEIGHTS.first,
            inputs: DIFFERENCE_INPUTS,
        };
        let difference = byte.wrapping_sub(expected) & 0xFF;
        let difference = self.byte(coder, tree, contexts, difference)?;
        self.difference = difference as u8;
        self.difference_at[align as usize] = difference as u8;
        Ok(expected.wrapping_add(difference) & 0xFF)
    }

    fn literal_byte<C: BitCoder>(
        &mut self,
        coder: &mut C,
        contexts: [u32; LITERAL_INPUTS as usize],
        set: u32,
        byte: u32,
    ) -> Result<u32, C::Error> {
        let tree = Tree {
            region: self.literals,
            weights: LITERAL_WEIGHTS.first + set * 8 * LITERAL_INPUTS,
            inputs: LITERAL_INPUTS,
        };
        self.byte(coder, tree, contexts, byte)
    }

    fn push_group(&mut self, group: &Group, bytes: u32, hit: bool) {
        let history = &mut self.history;
        for index in 0..group.len {
            history.last = history.last << 8 | bytes >> (8 * index) & 0xFF;
        }
        history.position = history.position.wrapping_add(group.len);
        history.groups = history.groups << 1 | u32::from(hit);
        let of_kind = &mut history.of_kind[group.kind as usize];
        *of_kind = *of_kind << 1 | u8::from(hit);
        history.streak = if hit {
            history.streak.saturating_add(group.len)
        } else {
            0
        };
    }

    fn push_literal(&mut self, byte: u32) {
        self.history.position = self.history.position.wrapping_add(1);
        self.history.last = self.history.last << 8 | byte & 0xFF;
        self.history.streak = 0;
    }

    /// Codes the eight bits of a byte, the highest first.
    fn byte<C: BitCoder, const N: usize>(
        &mut self,
        coder: &mut C,
        tree: Tree,
        contexts: [u32; N],
        byte: u32,
    ) -> Result<u32, C::Error> {
        let mut node = 1;
        for index in 0..8 {
            let hashes = contexts.map(|context| scramble(context ^ node));
            let weights = tree.weights + index * tree.inputs;
            let bit = byte >> (7 - index) & 1 == 1;
            let bit = self.cells.code_mixed(coder, tree.region, hashes, weights, bit)?;
            node = node << 1 | u32::from(bit);
        }
        Ok(node & 0xFF)
    }
}

impl Group {
    /// A group of bytes that the target has had before.
    pub(crate) fn repeated(old: u32, len: u32) -> Self {
        Self {
            bytes: old,
            len,
            kind: Kind::Repeat,
            trust: 0,
            old,
            key: 0,
        }
    }
}

/// Where the counters and weights of a coded byte lie.
#[derive(Clone, Copy)]
struct Tree {
    region: Region,
    weights: u32,
    inputs: u32,
}

/// Codes the lowest `bits` of a value, the highest of them first.
fn plain_bits<C: BitCoder>(coder: &mut C, value: u32, bits: u32) -> Result<u32, C::Error> {
    let mut decoded = 0;
    for index in (0..bits).rev() {
        decoded = decoded << 1 | u32::from(coder.code(value >> index & 1 == 1, 0x8000)?);
    }
    Ok(decoded)
}

/// Codes an address that is a multiple of 4: how many zero bits it ends with, then the others.
fn address<C: BitCoder>(coder: &mut C, value: u32) -> Result<u32, C::Error> {
    let zeros = plain_bits(coder, value.trailing_zeros().min(31), 5)?.max(2);
    Ok(plain_bits(coder, value >> zeros, 32 - zeros)? << zeros)
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
