//! Thumb: pointers with the Thumb bit set should land on the starts of functions. Where hardly a function is ever pointed to,
//! the addresses that instructions build should lie in the image.

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x40;

/// Halfwords between the two instructions that build an address, at most.
const APART_MAX: usize = 8;

/// BX LR and POP {…, pc}: the common ones.
pub(super) fn returns(image: &[u8]) -> usize {
    let halves = image.as_chunks::<2>().0.iter();
    halves
        .filter(|half| matches!(half, [0x70, 0x47] | [0x10 | 0x30 | 0x70 | 0xF0 | 0xF8, 0xBD]))
        .count()
}

/// The address of the image's first byte, if its pointers agree on one.
pub(super) fn address(image: &[u8]) -> Option<u32> {
    let by_functions = super::vote(function_starts(image), code_pointers(image), ALIGNMENT);
    by_functions.or_else(|| super::covering(image, built(image)))
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

/// What MOVW and, a little later, MOVT of the same register put together.
fn built(image: &[u8]) -> Vec<u32> {
    let halves: Vec<u32> = image
        .as_chunks::<2>()
        .0
        .iter()
        .map(|half| u16::from_le_bytes(*half).into())
        .collect();
    let at = |place: usize, opcode: u32| {
        let (first, second) = (*halves.get(place)?, *halves.get(place + 1)?);
        // MOVW (T3) and MOVT (T1): i and imm4 in the first half, imm3, Rd and imm8 in the second.
        let low = (first & 0xF) << 12 | (first >> 10 & 1) << 11 | (second >> 12 & 7) << 8 | second & 0xFF;
        (first & 0xFBF0 == opcode && second & 0x8000 == 0).then_some((second >> 8 & 0xF, low))
    };
    let places = 0..halves.len();
    let pairs = places.filter_map(|place| {
        let (register, low) = at(place, 0xF240)?;
        let mut tops = (place + 2..place + 2 + APART_MAX).filter_map(|place| at(place, 0xF2C0));
        tops.find(|top| top.0 == register)
            .map(|(_, high)| high << 16 | low)
    });
    pairs.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_built_of_two_halves_of_one_register() {
        // MOVW r0, #0x1234; MOVW r1, #0xABCD; MOVT r0, #0x0010; MOVT r1, #0x2000.
        let halves = [0xF241_u16, 0x2034, 0xF64A, 0x31CD, 0xF2C0, 0x0010, 0xF2C2, 0x0100];
        assert_eq!(
            built(&halves.map(u16::to_le_bytes).concat()),
            [0x0010_1234, 0x2000_ABCD]
        );
    }
}
