//! RISC-V: pointers should land on the starts of functions, which make room on the stack.

use super::word;

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x1000;

/// C.JR ra.
pub(super) fn returns(image: &[u8]) -> usize {
    let halves = image.as_chunks::<2>().0.iter();
    halves.filter(|half| **half == [0x82, 0x80]).count()
}

/// Whether returns restore 64-bit registers (C.LDSP ra) rather than 32-bit ones (C.LWSP ra).
pub(super) fn is_wide(image: &[u8]) -> bool {
    let count = |top: u16| {
        let halves = image.as_chunks::<2>().0.iter();
        halves
            .filter(|half| u16::from_le_bytes(**half) & 0xEF83 == top << 13 | 0x82)
            .count()
    };
    count(0b011) > count(0b010)
}

/// The address of the image's first byte, if its pointers agree on one.
pub(super) fn address(image: &[u8], wide: bool) -> Option<u32> {
    super::vote(function_starts(image), pointers(image, wide), ALIGNMENT)
}

/// Offsets of C.ADDI sp and C.ADDI16SP with something negative.
fn function_starts(image: &[u8]) -> Vec<u32> {
    let halves = image.as_chunks::<2>().0.iter().enumerate();
    halves
        .filter(|(_, half)| {
            let half = u16::from_le_bytes(**half);
            half & 0xFF83 == 0x1101 || half & 0xFF83 == 0x7101
        })
        .map(|(at, _)| at as u32 * 2)
        .collect()
}

/// Even words that are followed by zero if pointers have 64 bits.
fn pointers(image: &[u8], wide: bool) -> Vec<u32> {
    let step = if wide { 8 } else { 4 };
    let places = (0..image.len() / step).map(|at| at * step);
    places
        .filter(|at| !wide || word(image, at + 4) == 0)
        .map(|at| word(image, at))
        .filter(|word| word & 1 == 0)
        .collect()
}
