//! Chance that can be repeated, and what it does to patches.

use wire_patch::HEADER_BYTES;

/// A generator that is the same everywhere (Vigna's splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let x = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let x = (x ^ x >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        x ^ x >> 31
    }

    /// Below `end`; 0 if that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }
}

/// Damages a patch in one of the ways in which patches are damaged, or made up.
pub(crate) fn damage(patch: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    if patch.is_empty() {
        return;
    }
    let at = random.below(patch.len());
    let bytes = random.below(40).min(patch.len() - at);
    match random.below(8) {
        0 => patch[at] ^= 1 << random.below(8),
        1 => patch[at] = random.next() as u8,
        2 => patch[at..at + bytes].fill([0, 0xFF, 0x80][random.below(3)]),
        3 => patch.truncate(at),
        4 => patch.extend((0..bytes).map(|_| random.next() as u8)),
        5 => _ = patch.drain(at..at + bytes),
        6 => {
            // The header of the one, the stream of the other.
            patch.truncate(HEADER_BYTES);
            patch.extend(other.get(HEADER_BYTES..).unwrap_or_default());
        }
        _ => {
            // A header that is right, and any stream.
            patch.truncate(HEADER_BYTES);
            patch.extend((0..bytes * 4).map(|_| random.next() as u8));
        }
    }
}
