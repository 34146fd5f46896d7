//! Xtensa: ESP8266 and ESP32. Pointers should land on the starts of functions, which make room on the stack.

use wire_patch::Layout;

use super::word;

/// Functions and pointers that vote for a load address, each: any multiple of 4 can be one.
const VOTERS_MAX: usize = 1_000;

/// Bytes of what an address points to by which it is told from others.
const SEEN_BYTES: usize = 12;

/// RET.N and RETW.N.
pub(super) fn returns(image: &[u8]) -> usize {
    let pairs = image.windows(2);
    pairs.filter(|pair| matches!(pair, [0x0D | 0x1D, 0xF0])).count()
}

/// The address of the image's first byte, if its pointers agree on one.
pub(super) fn address(image: &[u8]) -> Option<u32> {
    let starts = words(image).filter(|(_, word)| starts_function(*word));
    let starts = starts.map(|(at, _)| at as u32).collect();
    let pointers = words(image).map(|(_, word)| word);
    let pointers = pointers.filter(|word| word >> 23 == 0x4000_0000 >> 23 && word & 3 == 0);
    super::vote(
        super::thinned(starts, VOTERS_MAX),
        super::thinned(pointers.collect(), VOTERS_MAX),
        4,
    )
}

fn words(image: &[u8]) -> impl Iterator<Item = (usize, u32)> {
    let words = image.as_chunks::<4>().0.iter().enumerate();
    words.map(|(at, word)| (at * 4, u32::from_le_bytes(*word)))
}

/// The image for alignment: what an address points to takes its place, so that functions that differ in nothing but where
/// things are match, and others do not.
pub(super) fn normalised(image: &[u8], layout: &Layout) -> Vec<u8> {
    let view = View { image, layout };
    let mut normal = image.to_vec();
    let mut at = 0;
    while at + 4 <= image.len() {
        at += view.blank(&mut normal, at);
    }
    normal
}

struct View<'a> {
    image: &'a [u8],
    layout: &'a Layout,
}

impl View<'_> {
    /// Replaces what is at `at` if it is an address, and returns its bytes.
    fn blank(&self, normal: &mut [u8], at: usize) -> usize {
        let instruction = word(self.image, at);
        if at.is_multiple_of(4) && self.moves(instruction) {
            let seen = self.seen(instruction);
            normal[at..at + 4].copy_from_slice(&(seen & 0xFFFF | 0x08FD_0000).to_le_bytes());
            return 4;
        }
        let next_word = at.wrapping_neg() & 3;
        if matches!(next_word, 1 | 2) && self.moves(self.word(at + next_word)) {
            return next_word;
        }
        let seen = match instruction & 15 {
            1 => {
                let literal = ((at + 3) & !3)
                    .wrapping_add(instruction as usize >> 6 & 0x3_FFFC)
                    .wrapping_sub(1 << 18);
                instruction & 0xFF | self.seen(self.word(literal)) << 8
            }
            5 => {
                let target = (self.layout.address(at as u32) & !3)
                    .wrapping_add(4)
                    .wrapping_add((instruction.cast_signed() << 8 >> 14 << 2).cast_unsigned());
                instruction & 0x3F | self.seen(target) << 6
            }
            0..=7 => return 3,
            _ => return 2,
        };
        normal[at..at + 3].copy_from_slice(&seen.to_le_bytes()[..3]);
        3
    }

    /// The word at `at`, zero if it is not inside the image.
    fn word(&self, at: usize) -> u32 {
        (self.image.get(at..))
            .filter(|rest| rest.len() >= 4)
            .map_or(0, |rest| word(rest, 0))
    }

    fn offset(&self, address: u32) -> Option<usize> {
        let offset = self.layout.offset(address, self.image.len() as u32)?;
        Some(offset as usize)
    }

    /// Whether a word is an address that may be another one in another build.
    fn moves(&self, word: u32) -> bool {
        self.offset(word).is_some() || is_ram(word)
    }

    /// What can be said of an address or a number without saying where things are.
    fn seen(&self, word: u32) -> u32 {
        if let Some(start) = self.offset(word) {
            self.content(start)
        } else if is_ram(word) {
            0
        } else {
            mixed(1, word)
        }
    }

    /// A hash of the instructions from `at` on without their addresses.
    fn content(&self, start: usize) -> u32 {
        let (mut at, mut hash) = (start, 0);
        while at < start + SEEN_BYTES {
            let instruction = self.word(at);
            let (bytes, keeps) = match instruction & 15 {
                1 => (3, 0xFF),
                5 => (3, 0x3F),
                0..=7 => (3, 0x00FF_FFFF),
                _ => (2, 0xFFFF),
            };
            hash = mixed(hash, instruction & keeps);
            at += bytes;
        }
        hash
    }
}

fn mixed(hash: u32, word: u32) -> u32 {
    let x = (hash ^ word).wrapping_mul(0x9E37_79B1);
    x ^ x >> 15
}

/// Data RAM of the ESP8266 and the ESP32; the former's instruction RAM.
fn is_ram(word: u32) -> bool {
    word >> 20 == 0x3FF || word >> 16 == 0x4010
}

/// ADDI a1, a1, less than 0; ENTRY a1.
fn starts_function(word: u32) -> bool {
    word & 0x0080_FFFF == 0x0080_C112 || word & 0x00F0_0FFF == 0x0000_0136
}
