//! MCS-51: images start with address 0.

/// Not returns, whose single byte is common, but reads and writes of data at a fixed address: MOV DPTR, MOVX.
pub(super) fn returns(image: &[u8]) -> usize {
    let windows = image.windows(4);
    windows
        .filter(|window| matches!(window, [0x90, _, _, 0xE0 | 0xF0]))
        .count()
}
