//! SHA-256 (FIPS 180-4) as a value that may be given across a boundary: the block function is `sha2`'s, the padding is here.

use sha2::block_api::compress256;

/// FIPS 180-4 §5.1.1: a block.
const BLOCK_BYTES: usize = 64;
/// FIPS 180-4 §5.3.3: the chain before the first block.
const INITIAL: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];
/// What the table's contract gives a state: this and room for an engine of the part that remembers more.
const STATE_BYTES: usize = 128;

/// A hash under way. Any bytes at all are a value of it: one that nobody started gives a wrong digest and no harm.
///
/// To whom it is given through the [`table`](crate::table) it is 128 bytes, aligned to 8, of which only the bootloader
/// knows what they mean.
#[derive(Clone, Debug)]
#[repr(C, align(8))]
pub struct Sha256 {
    bytes: u64,
    chain: [u32; 8],
    block: [u8; BLOCK_BYTES],
    spare: [u32; 6],
}

const _: () = assert!(size_of::<Sha256>() == STATE_BYTES && align_of::<Sha256>() == 8);

impl Default for Sha256 {
    fn default() -> Self {
        Self::new()
    }
}

impl Sha256 {
    /// A hash of nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: 0,
            chain: INITIAL,
            block: [0; BLOCK_BYTES],
            spare: [0; 6],
        }
    }

    /// Hashes `bytes` after what was hashed before. At most 2^61 bytes in all, which no device reads.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let at = (self.bytes % BLOCK_BYTES as u64) as usize;
            let whole = if at == 0 { bytes.as_chunks().0 } else { &[] };
            let taken = if whole.is_empty() {
                let taken = bytes.len().min(BLOCK_BYTES - at);
                let part = self.block.get_mut(at..at + taken).zip(bytes.get(..taken));
                if let Some((place, part)) = part {
                    // Both are as long as each other, which the compiler does not always see: no `copy_from_slice`, which could panic.
                    place
                        .iter_mut()
                        .zip(part)
                        .for_each(|(place, byte)| *place = *byte);
                }
                if at + taken == BLOCK_BYTES {
                    compress256(&mut self.chain, &[self.block]);
                }
                taken
            } else {
                compress256(&mut self.chain, whole);
                whole.as_flattened().len()
            };
            self.bytes = self.bytes.wrapping_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
    }

    /// The digest of all that was hashed. To be made anew before it is used again.
    pub fn finish(&mut self) -> [u8; 32] {
        // FIPS 180-4 §5.1.1: a one, zeros up to 8 bytes before the end of a block, the length in bits.
        let bits = self.bytes.wrapping_mul(8);
        self.update(&[0x80]);
        while self.bytes % BLOCK_BYTES as u64 != BLOCK_BYTES as u64 - 8 {
            self.update(&[0]);
        }
        self.update(&bits.to_be_bytes());
        let mut digest = [0; 32];
        for (place, word) in digest.as_chunks_mut().0.iter_mut().zip(self.chain) {
            *place = word.to_be_bytes();
        }
        digest
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sha2::Digest;

    use super::*;

    #[test]
    fn every_length_around_a_block_has_the_digest_of_sha2() {
        let bytes: std::vec::Vec<u8> = (0..300).map(|i| (i * 7 % 251) as u8).collect();
        for length in 0..=bytes.len() {
            let mut hash = Sha256::new();
            hash.update(&bytes[..length]);
            let expected: [u8; 32] = sha2::Sha256::digest(&bytes[..length]).into();
            assert_eq!(hash.finish(), expected, "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_chopping_gives_the_same_digest(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..8)) {
            let mut hash = Sha256::new();
            for piece in &pieces {
                hash.update(piece);
            }
            let expected: [u8; 32] = sha2::Sha256::digest(pieces.concat()).into();
            prop_assert_eq!(hash.finish(), expected);
        }

        #[test]
        fn a_state_of_any_bytes_harms_nobody(bytes in any::<u64>(), chain in any::<[u32; 8]>(), piece in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut hash = Sha256 { bytes, chain, ..Sha256::new() };
            hash.update(&piece);
            let _ = hash.finish();
        }
    }
}
