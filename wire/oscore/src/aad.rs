//! What a message is bound to besides its text (RFC 8613 §5.4): the request that it is, or answers.
//!
//! ```text
//! 83                        array of three (RFC 9052 §5.3, Enc_structure)
//!    68 "Encrypt0"
//!    40                     no protected header
//!    40 + n                 external_aad, n bytes of CBOR:
//!       85 01               array of five: version 1
//!          81 0a            algorithms: AES-CCM-16-64-128
//!          40 + n request_kid
//!          40 + n request_piv
//!          40               class I options: there are none
//! ```

use crate::bytes::Bytes;
use crate::context::ALGORITHM;
use crate::id::Id;
use crate::sequence::PartialIv;

const EXTERNAL_BYTES_MAX: usize = 4 + 1 + Id::BYTES_MAX + 1 + PartialIv::BYTES_MAX + 1;
const HEAD: [u8; 11] = *b"\x83\x68Encrypt0\x40";
pub(crate) const BYTES_MAX: usize = HEAD.len() + 1 + EXTERNAL_BYTES_MAX;
const _: () = assert!(EXTERNAL_BYTES_MAX < 24, "the byte string's head has one byte");

/// The Additional Authenticated Data of a request and of all that answers it.
pub(crate) fn aad(request_kid: &Id, request_piv: PartialIv) -> Bytes<BYTES_MAX> {
    let kid = request_kid.as_bytes();
    let piv = request_piv.encode();
    let external_bytes = 4 + 1 + kid.len() + 1 + piv.as_slice().len() + 1;
    let mut aad = Bytes::new();
    aad.append(&HEAD);
    aad.append(&[0x40 | external_bytes as u8]);
    aad.append(&[0x85, 0x01, 0x81, ALGORITHM, 0x40 | kid.len() as u8]);
    aad.append(kid);
    aad.append(&[0x40 | piv.as_slice().len() as u8]);
    aad.append(piv.as_slice());
    aad.append(&[0x40]);
    aad
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8613 C.5: kid 00, Partial IV 14.
    #[test]
    fn is_that_of_appendix_c() {
        let aad = aad(&Id::new(&[0]).unwrap(), PartialIv::new(0x14).unwrap());
        assert_eq!(
            aad.as_slice(),
            b"\x83\x68Encrypt0\x40\x49\x85\x01\x81\x0a\x41\x00\x41\x14\x40"
        );
    }

    #[test]
    fn the_longest_has_room() {
        let aad = aad(&Id::new(&[1; 7]).unwrap(), PartialIv::MAX);
        assert_eq!(aad.as_slice().len(), BYTES_MAX);
    }
}
