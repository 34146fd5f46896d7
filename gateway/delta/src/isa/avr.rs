//! AVR: images start with address 0.

/// RET and RETI.
pub(super) fn returns(image: &[u8]) -> usize {
    let halves = image.as_chunks::<2>().0.iter();
    halves.filter(|half| matches!(half, [0x08 | 0x18, 0x95])).count()
}
