//! SHA-256 and SHA-512 (FIPS 180-4) of what lies in memory: the block functions are `sha2`'s, the padding is here, in a loop over bytes.
//! The buffers and states with which `sha2` takes messages in pieces are 500 bytes more of a bootloader.

use sha2::block_api::{compress256, compress512};

/// FIPS 180-4 §5.3.3: the chain before the first block.
const INITIAL_256: [u32; 8] = [
    0x6A09_E667,
    0xBB67_AE85,
    0x3C6E_F372,
    0xA54F_F53A,
    0x510E_527F,
    0x9B05_688C,
    0x1F83_D9AB,
    0x5BE0_CD19,
];
/// FIPS 180-4 §5.3.5.
const INITIAL_512: [u64; 8] = [
    0x6A09_E667_F3BC_C908,
    0xBB67_AE85_84CA_A73B,
    0x3C6E_F372_FE94_F82B,
    0xA54F_F53A_5F1D_36F1,
    0x510E_527F_ADE6_82D1,
    0x9B05_688C_2B3E_6C1F,
    0x1F83_D9AB_FB41_BD6B,
    0x5BE0_CD19_137E_2179,
];

/// SHA-256 of `parts`, one after the other.
pub(crate) fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut chain = INITIAL_256;
    padded(parts, 64, &mut |block| {
        if let Some(block) = block.first_chunk() {
            compress256(&mut chain, core::slice::from_ref(block));
        }
    });
    let mut digest = [0; 32];
    for (place, word) in digest.as_chunks_mut().0.iter_mut().zip(chain) {
        *place = word.to_be_bytes();
    }
    digest
}

/// SHA-512 of `parts`, one after the other.
pub(crate) fn sha512(parts: &[&[u8]]) -> [u8; 64] {
    let mut chain = INITIAL_512;
    padded(parts, 128, &mut |block| {
        compress512(&mut chain, core::slice::from_ref(block))
    });
    let mut digest = [0; 64];
    for (place, word) in digest.as_chunks_mut().0.iter_mut().zip(chain) {
        *place = word.to_be_bytes();
    }
    digest
}

/// FIPS 180-4 §5.1: gives the blocks of `parts`, then a one, zeros, and the length in bits in the last eighth of a block, of which but
/// four bytes are zero: nothing here has 2^32 bits. A block is the first `block_bytes` of what `take` gets.
///
/// One function for both hashes, and by bytes: each copy of it, and each part copied by its length, is code.
#[inline(never)]
fn padded(parts: &[&[u8]], block_bytes: usize, take: &mut dyn FnMut(&[u8; 128])) {
    let mut block = [0; 128];
    let mut at = 0;
    let mut put = |byte: u8| {
        if let Some(place) = block.get_mut(at) {
            *place = byte;
        }
        at += 1;
        if at == block_bytes {
            take(&block);
            at = 0;
        }
        at
    };
    let mut bits: u32 = 0;
    for part in parts {
        for &byte in *part {
            put(byte);
            bits = bits.wrapping_add(8);
        }
    }
    let mut end = put(0x80);
    while end != block_bytes - block_bytes / 8 {
        end = put(0);
    }
    while end != block_bytes - 4 {
        end = put(0);
    }
    for byte in bits.to_be_bytes() {
        put(byte);
    }
}

#[cfg(test)]
mod tests {
    use sha2::{Digest, Sha256, Sha512};

    use super::*;

    #[test]
    fn every_length_around_a_block_has_the_digest_of_sha2() {
        let bytes: std::vec::Vec<u8> = (0..300).map(|i| (i * 7 % 251) as u8).collect();
        for length in 0..=bytes.len() {
            let message = &bytes[..length];
            let (front, back) = message.split_at(length / 3);
            assert_eq!(
                sha256(&[front, back])[..],
                Sha256::digest(message)[..],
                "{length}"
            );
            assert_eq!(
                sha512(&[front, &[], back])[..],
                Sha512::digest(message)[..],
                "{length}"
            );
        }
    }
}
