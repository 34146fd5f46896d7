//! HKDF (RFC 5869) over any SHA-256, for outputs of one block: a device's may be in its ROM.

use sha2::Digest;

use crate::ccm::xor;

/// Bytes of a SHA-256.
pub const HASH_BYTES: usize = 32;
/// FIPS 180-4: what HMAC pads keys to.
const BLOCK_BYTES: usize = 64;

/// Hashes the concatenation of what it is given.
pub type Sha256<'h> = &'h mut dyn FnMut(&[&[u8]]) -> [u8; HASH_BYTES];

/// HKDF-Extract.
pub fn extract(sha256: Sha256<'_>, salt: &[u8], secret: &[u8]) -> [u8; HASH_BYTES] {
    let hashed;
    let salt = match salt.len() <= BLOCK_BYTES {
        true => salt,
        false => {
            hashed = sha256(&[salt]);
            &hashed
        }
    };
    hmac(sha256, salt, &[secret, &[], &[]])
}

/// SHA-256 of whoever has none in ROM.
pub(crate) fn sha2(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// HKDF-Expand, the first block: outputs of up to 32 bytes are its beginning.
pub(crate) fn expand(sha256: Sha256<'_>, key: &[u8; HASH_BYTES], info: &[u8]) -> [u8; HASH_BYTES] {
    hmac(sha256, key, &[info, &[1], &[]])
}

/// RFC 2104, with a key of at most a block, of the concatenation of the parts.
#[inline(never)]
pub fn hmac(sha256: Sha256<'_>, key: &[u8], parts: &[&[u8]; 3]) -> [u8; HASH_BYTES] {
    const INNER: u8 = 0x36;
    const OUTER: u8 = 0x5C;
    let [first, second, third] = parts;
    let mut pad = [INNER; BLOCK_BYTES];
    xor(&mut pad, key);
    let inner = sha256(&[&pad, first, second, third]);
    xor(&mut pad, &[INNER ^ OUTER; BLOCK_BYTES]);
    sha256(&[&pad, &inner])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_what_the_crate_hkdf_derives(
            salt in proptest::collection::vec(any::<u8>(), 0..140),
            secret in proptest::collection::vec(any::<u8>(), 0..140),
            info in proptest::collection::vec(any::<u8>(), 0..140),
        ) {
            let key = extract(&mut sha2, &salt, &secret);
            let ours = expand(&mut sha2, &key, &info);
            let mut theirs = [0; 32];
            hkdf::Hkdf::<sha2::Sha256>::new(Some(&salt), &secret).expand(&info, &mut theirs).unwrap();
            prop_assert_eq!(ours, theirs);
        }
    }
}
