//! The decoder memory as 16-bit cells: adaptive bit counters and mixer weights.

use crate::coder::BitCoder;
use crate::logistic::{squash, stretch};

/// `RATES[n]`: how far, of 65536, a counter that has seen `n` bits moves towards the next one.
const RATES: [u16; 16] = [
    32_768, 26_214, 18_724, 14_563, 11_915, 10_082, 8_738, 7_710, 6_898, 6_241, 5_698, 5_242, 4_854, 4_519,
    4_228, 4_200,
];

/// A probability of `p` / (`one` + 1) after a bit, the counter having seen `count` before, at most 15.
#[inline(always)]
pub(crate) fn moved(p: u32, one: u32, count: u16, bit: bool) -> u32 {
    let rate = u32::from(RATES[usize::from(count & 15)]);
    if bit {
        p + (((one - p) * rate) >> 16)
    } else {
        p - ((p * rate) >> 16)
    }
}

/// A counter that has seen nothing: one half.
pub(crate) const COUNTER_START: u16 = 2_048 << 4;

/// Weights are in units of 1/8192.
const WEIGHT_ONE_LOG2: u32 = 13;

/// Most contexts of a bit.
const INPUTS_MAX: usize = 8;

/// How fast weights follow the error: the product of error and input is shifted right by this.
const LEARNING_SHIFT: u32 = 17;

/// A cell to be looked at and changed: its bounds were checked once.
#[derive(Debug)]
pub(crate) struct Cell<'m>(pub(crate) &'m mut [u8; 2]);

/// The memory that [`crate::Decoder::new`] was given, as cells of two bytes, little-endian.
///
/// All tables lie inside it, which [`crate::Decoder::new`] has made sure of and tests assert. The compiler cannot know; so that
/// nothing here panics, a cell outside reads as zero and keeps nothing, and the result is another, which its digest tells.
#[derive(Debug)]
pub(crate) struct Cells<'m> {
    bytes: &'m mut [[u8; 2]],
}

/// Cells that belong together: `len` of them from `first`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Region {
    pub(crate) first: u32,
    pub(crate) len: u32,
}

impl Region {
    /// The cell of a hashed context: the hash's upper half scaled to the region.
    pub(crate) fn cell(self, hash: u32) -> usize {
        (self.first + (((hash >> 16) * self.len) >> 16)) as usize
    }
}

/// What was looked for, which is there.
#[inline(always)]
fn inside<T>(found: Option<T>) -> Option<T> {
    debug_assert!(found.is_some(), "tables lie inside the memory");
    found
}

impl<'m> Cells<'m> {
    pub(crate) fn new(memory: &'m mut [u8]) -> Self {
        Self {
            bytes: memory.as_chunks_mut().0,
        }
    }

    /// The memory back, but for the last byte of an odd number.
    pub(crate) fn into_memory(self) -> &'m mut [u8] {
        self.bytes.as_flattened_mut()
    }

    /// The first bytes of the memory.
    pub(crate) fn first_bytes(&mut self, count: usize) -> &mut [u8] {
        let bytes = self.bytes.as_flattened_mut();
        bytes.get_mut(..count).unwrap_or_default()
    }

    // Once in the program, and never as a call of another kind of memset.
    #[inline(never)]
    pub(crate) fn fill(&mut self, region: Region, value: u16) {
        self.part(region.first, region.len as usize)
            .fill(value.to_le_bytes());
    }

    /// Moves a region to higher cells, over those behind it.
    #[inline(never)]
    pub(crate) fn shift_up(&mut self, region: Region, by: u32) {
        // Not `copy_within`: with it comes a memmove that is larger than the whole map.
        for cell in (region.first..region.first + region.len).rev() {
            self.write((cell + by) as usize, self.read(cell as usize));
        }
    }

    /// So many cells from `first` on.
    #[inline(always)]
    fn part(&mut self, first: u32, len: usize) -> &mut [[u8; 2]] {
        let first = first as usize;
        inside(self.bytes.get_mut(first..first + len)).unwrap_or_default()
    }

    pub(crate) fn read(&self, cell: usize) -> u16 {
        inside(self.bytes.get(cell)).map_or(0, |cell| u16::from_le_bytes(*cell))
    }

    pub(crate) fn write(&mut self, cell: usize, value: u16) {
        if let Some(Cell(bytes)) = self.at(cell) {
            *bytes = value.to_le_bytes();
        }
    }

    /// The cell to look at and to change; where there is none, whoever asked stops there.
    #[inline(always)]
    pub(crate) fn at(&mut self, cell: usize) -> Option<Cell<'_>> {
        inside(self.bytes.get_mut(cell)).map(Cell)
    }

    // Once in the program, like `write_wide`.
    #[inline(never)]
    pub(crate) fn read_wide(&self, cell: u32) -> u32 {
        u32::from(self.read(cell as usize)) | u32::from(self.read(cell as usize + 1)) << 16
    }

    #[inline(never)]
    pub(crate) fn write_wide(&mut self, cell: u32, value: u32) {
        self.write(cell as usize, value as u16);
        self.write(cell as usize + 1, (value >> 16) as u16);
    }

    /// Codes a bit with one counter alone.
    pub(crate) fn code<C: BitCoder>(
        &mut self,
        coder: &mut C,
        cell: u32,
        bit: bool,
    ) -> Result<bool, C::Error> {
        let cell = cell as usize;
        let bit = coder.code(bit, self.read(cell) | 8)?;
        self.learn(cell, bit);
        Ok(bit)
    }

    /// Moves the counter at `cell` towards a bit.
    #[inline(always)]
    pub(crate) fn learn(&mut self, cell: usize, bit: bool) {
        if let Some(counter) = self.at(cell) {
            counter.learn(bit);
        }
    }

    /// Codes a bit with one counter per context hash, mixed by the weights that start at cell `weights`.
    pub(crate) fn code_mixed<C: BitCoder, const N: usize>(
        &mut self,
        coder: &mut C,
        region: Region,
        hashes: [u32; N],
        weights: u32,
        bit: bool,
    ) -> Result<bool, C::Error> {
        const { assert!(N <= INPUTS_MAX) };
        let slice = Region {
            first: region.first,
            len: region.len / N as u32,
        };
        self.mix_counters(coder, slice, &hashes, weights, bit)
    }

    /// [`Self::code_mixed`] with the slice of the first context. Once in the program, whatever the number of contexts.
    #[inline(never)]
    fn mix_counters<C: BitCoder>(
        &mut self,
        coder: &mut C,
        mut slice: Region,
        hashes: &[u32],
        weights: u32,
        bit: bool,
    ) -> Result<bool, C::Error> {
        let (mut cells, mut inputs) = ([0_u16; INPUTS_MAX], [0; INPUTS_MAX]);
        for ((hash, cell), input) in hashes.iter().zip(&mut cells).zip(&mut inputs) {
            let at = slice.cell(*hash);
            slice.first += slice.len;
            // 65,536 cells at most.
            *cell = at as u16;
            let Some(counter) = self.at(at) else { break };
            *input = counter.input();
        }
        let inputs = inputs.get(..hashes.len()).unwrap_or_default();
        let bit = self.mix(coder, inputs, weights, bit)?;
        for (cell, _) in cells.iter().zip(hashes) {
            let Some(counter) = self.at(usize::from(*cell)) else {
                break;
            };
            counter.learn(bit);
        }
        Ok(bit)
    }

    /// Codes a bit with inputs mixed by the weights that start at cell `weights`, which learn from it.
    #[inline(never)]
    pub(crate) fn mix<C: BitCoder>(
        &mut self,
        coder: &mut C,
        inputs: &[i32],
        weights: u32,
        bit: bool,
    ) -> Result<bool, C::Error> {
        // Cut once: no bounds are checked in the loops.
        let first = weights as usize;
        let Some(weights) = inside(self.bytes.get_mut(first..first + inputs.len())) else {
            return Ok(false);
        };
        // At most 8 inputs: 8 × 3072 × 32768 stays inside 31 bits.
        let sum: i32 = (inputs.iter().zip(&*weights))
            .map(|(input, weight)| input * i32::from(i16::from_le_bytes(*weight)))
            .sum();
        let p1 = squash(sum >> WEIGHT_ONE_LOG2);
        let bit = coder.code(bit, p1)?;
        let error = (i32::from(bit) << 16) - i32::from(p1) - i32::from(bit);
        for (input, weight) in inputs.iter().zip(weights) {
            let moved = i32::from(i16::from_le_bytes(*weight)) + ((input * error) >> LEARNING_SHIFT);
            let clamped = moved.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
            *weight = clamped.to_le_bytes();
        }
        Ok(bit)
    }
}

impl Cell<'_> {
    /// What a counter says, in log-odds.
    #[inline(always)]
    pub(crate) fn input(&self) -> i32 {
        stretch(u16::from_le_bytes(*self.0) >> 4)
    }

    /// Moves a counter (12 bits of probability, 4 bits of count) towards a bit.
    // In the innermost loop.
    #[inline(always)]
    pub(crate) fn learn(self, bit: bool) {
        let counter = u16::from_le_bytes(*self.0);
        let (p, count) = (u32::from(counter >> 4), counter & 15);
        let p = moved(p, 4_095, count, bit) as u16;
        *self.0 = (p << 4 | (count + 1).min(15)).to_le_bytes();
    }
}
