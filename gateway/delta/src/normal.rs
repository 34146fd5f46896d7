//! Images for alignment: with the addresses in them blanked, so that functions that differ in nothing else match.

/// What replaces a pointer: no instruction, and nothing else that is common.
const POINTER: [u8; 4] = [0xFF, 0xFE, 0xFD, 0x08];

/// The image with its BL and B.W displacements, and the words that point into it, blanked.
pub(crate) fn normalised(image: &[u8], address: u32) -> Vec<u8> {
    let mut normal = image.to_vec();
    let mut at = 0;
    while at + 4 <= image.len() {
        let word = u32::from_le_bytes([image[at], image[at + 1], image[at + 2], image[at + 3]]);
        if at.is_multiple_of(4) && (word.wrapping_sub(address) as usize) < image.len() {
            normal[at..at + 4].copy_from_slice(&POINTER);
            at += 4;
        } else if word & 0x9000_F800 == 0x9000_F000 {
            let blank = (word & 0xD000_F800).to_le_bytes();
            normal[at..at + 4].copy_from_slice(&blank);
            at += 4;
        } else {
            at += 2;
        }
    }
    normal
}
