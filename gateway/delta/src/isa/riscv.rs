//! RISC-V: pointers should land on the starts of functions, which make room on the stack. Where hardly a function is ever
//! pointed to, the addresses that instructions build should lie in the image.

use super::word;

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x1000;

/// Instructions between the two that build an address, at most.
const APART_MAX: usize = 6;

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
    let by_functions = super::vote(function_starts(image), pointers(image, wide), ALIGNMENT);
    by_functions.or_else(|| super::covering(image, built(image)).filter(|_| !wide))
}

/// What LUI and, a few instructions later, ADDI or C.ADDI to the same register add up to.
fn built(image: &[u8]) -> Vec<u32> {
    let places = (0..image.len().saturating_sub(3)).step_by(2);
    places.filter_map(|at| built_at(image, at)).collect()
}

fn built_at(image: &[u8], lui_at: usize) -> Option<u32> {
    let lui = word(image, lui_at);
    let register = lui >> 7 & 0x1F;
    if lui & 0x7F != 0x37 || register == 0 {
        return None;
    }
    let mut at = lui_at + 4;
    for _ in 0..APART_MAX {
        // A compressed instruction may be the image's last two bytes.
        if at + 4 > image.len() {
            return None;
        }
        let next = word(image, at);
        let is_compressed = next & 3 != 3;
        let low = if is_compressed {
            (next & 0xE003 == 0x0001 && next >> 7 & 0x1F == register)
                .then(|| (next >> 2 & 0x1F).wrapping_sub((next >> 12 & 1) << 5))
        } else {
            (next & 0x707F == 0x0013 && next >> 15 & 0x1F == register).then_some((next as i32 >> 20) as u32)
        };
        if let Some(low) = low {
            return Some((lui & 0xFFFF_F000).wrapping_add(low));
        }
        at += if is_compressed { 2 } else { 4 };
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_built_with_either_length_of_addition() {
        // LUI a0 and ADDI a0, -4; LUI a0 and C.ADDI a0, -1.
        let wide = [0x8010_1537_u32, 0xFFC5_0513].map(u32::to_le_bytes).concat();
        assert_eq!(built(&wide), [0x8010_0FFC]);
        let compressed = [0x3537_u16, 0x8010, 0x157D, 0x0001]
            .map(u16::to_le_bytes)
            .concat();
        assert_eq!(built(&compressed), [0x8010_2FFF]);
        assert_eq!(built(&compressed[..6]), [], "the image ends before it is sure");
    }
}
