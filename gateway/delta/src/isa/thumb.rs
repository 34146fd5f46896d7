//! Thumb: pointers with the Thumb bit set should land on the starts of functions.

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x40;

/// BX LR and POP {…, pc}: the common ones.
pub(super) fn returns(image: &[u8]) -> usize {
    let halves = image.as_chunks::<2>().0.iter();
    halves
        .filter(|half| matches!(half, [0x70, 0x47] | [0x10 | 0x30 | 0x70 | 0xF0 | 0xF8, 0xBD]))
        .count()
}

/// The address of the image's first byte, if its pointers agree on one.
pub(super) fn address(image: &[u8]) -> Option<u32> {
    super::vote(function_starts(image), code_pointers(image), ALIGNMENT)
}

/// Offsets of instructions that push the link register: PUSH {…, lr} and STMDB sp!, {…, lr}.
fn function_starts(image: &[u8]) -> Vec<u32> {
    let halves = image.as_chunks::<2>().0;
    let starts = halves.iter().enumerate().filter(|(at, half)| match half {
        [_, 0xB5] => true,
        [0x2D, 0xE9] => halves.get(at + 1).is_some_and(|half| half[1] & 0x40 != 0),
        _ => false,
    });
    starts.map(|(at, _)| at as u32 * 2).collect()
}

/// Words, without their Thumb bit, that may point to functions.
fn code_pointers(image: &[u8]) -> Vec<u32> {
    let words = image.as_chunks::<4>().0.iter();
    words
        .map(|word| u32::from_le_bytes(*word))
        .filter(|word| word & 1 == 1 && (word >> 28 < 2 || word >> 28 == 6))
        .map(|word| word - 1)
        .collect()
}
