//! AArch64: pointers should land on the starts of functions, which save frame pointer and return address.

use super::word;

/// Images are loaded at multiples of this.
const ALIGNMENT: u32 = 0x1000;

/// RET.
pub(super) fn returns(image: &[u8]) -> usize {
    let words = image.as_chunks::<4>().0.iter();
    words.filter(|word| **word == [0xC0, 0x03, 0x5F, 0xD6]).count()
}

/// The address of the image's first byte, if its pointers agree on one.
pub(super) fn address(image: &[u8]) -> Option<u32> {
    let words = || (0..image.len() / 4).map(|at| at * 4);
    // STP x29, x30, [sp, #-n]!
    let starts = words().filter(|at| word(image, *at) & 0xFFE0_7FFF == 0xA9A0_7BFD);
    let pointers = (0..image.len() / 8).map(|at| at * 8);
    let pointers = pointers.filter(|at| word(image, at + 4) == 0);
    super::vote(
        starts.map(|at| at as u32).collect(),
        pointers.map(|at| word(image, at)).collect(),
        ALIGNMENT,
    )
}
