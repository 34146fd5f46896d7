//! Inference of the load address: pointers with the Thumb bit set should land on the starts of functions.

use std::collections::HashMap;

/// Votes below this are chance.
const VOTES_MIN: u32 = 12;

/// Functions and pointers that are looked at, each.
const SAMPLE_MAX: usize = 3_000;

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x40;

/// The address of the image's first byte, if its pointers agree on one; `None` for what is not Thumb code.
pub(crate) fn infer(image: &[u8]) -> Option<u32> {
    let starts = function_starts(image);
    let pointers = code_pointers(image);
    let mut votes: HashMap<u32, u32> = HashMap::new();
    for pointer in &pointers {
        for start in &starts {
            let address = pointer.wrapping_sub(*start);
            if address.is_multiple_of(ALIGNMENT) && address < 0xE000_0000 {
                *votes.entry(address).or_default() += 1;
            }
        }
    }
    let (address, votes) = votes
        .into_iter()
        .max_by_key(|(address, votes)| (*votes, u32::MAX - address))?;
    (votes >= VOTES_MIN).then_some(address)
}

/// Offsets of instructions that push the link register: PUSH {…, lr} and STMDB sp!, {…, lr}.
fn function_starts(image: &[u8]) -> Vec<u32> {
    let halves = image.as_chunks::<2>().0;
    let starts = halves.iter().enumerate().filter(|(at, half)| match half {
        [_, 0xB5] => true,
        [0x2D, 0xE9] => halves.get(at + 1).is_some_and(|half| half[1] & 0x40 != 0),
        _ => false,
    });
    thinned(starts.map(|(at, _)| at as u32 * 2).collect())
}

/// Different words, without their Thumb bit, that may point to functions.
fn code_pointers(image: &[u8]) -> Vec<u32> {
    let words = image.as_chunks::<4>().0.iter();
    let mut pointers: Vec<u32> = words
        .map(|word| u32::from_le_bytes(*word))
        .filter(|word| word & 1 == 1 && (word >> 28 < 2 || word >> 28 == 6))
        .map(|word| word - 1)
        .collect();
    pointers.sort_unstable();
    pointers.dedup();
    thinned(pointers)
}

/// Evenly chosen members, at most [`SAMPLE_MAX`].
fn thinned(all: Vec<u32>) -> Vec<u32> {
    let step = all.len().div_ceil(SAMPLE_MAX).max(1);
    all.into_iter().step_by(step).collect()
}
