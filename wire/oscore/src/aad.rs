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

use wire_cbor::Writer;

use crate::context::ALGORITHM;
use crate::id::Id;
use crate::request::Bound;
use crate::sequence::PartialIv;

const HEAD: [u8; 11] = *b"\x83\x68Encrypt0\x40";
const EXTERNAL_HEAD: [u8; 4] = [0x85, 1, 0x81, ALGORITHM];
const EXTERNAL_BYTES_MAX: usize = EXTERNAL_HEAD.len() + 1 + Id::BYTES_MAX + 1 + PartialIv::BYTES_MAX + 1;
pub(crate) const AAD_BYTES_MAX: usize = HEAD.len() + 1 + EXTERNAL_BYTES_MAX;
const _: () = assert!(EXTERNAL_BYTES_MAX < 24, "the byte string's head has one byte");

/// The Additional Authenticated Data of a request and of all that answers it.
pub(crate) fn aad<'r>(request: &Bound, room: &'r mut [u8; AAD_BYTES_MAX]) -> &'r [u8] {
    let (kid, piv) = (request.kid.as_bytes(), request.partial_iv.trimmed());
    let external_bytes = EXTERNAL_HEAD.len() + 1 + kid.len() + 1 + piv.len() + 1;
    let mut writer = Writer::new(room);
    writer
        .raw(&HEAD)
        .bytes_head(external_bytes as u64)
        .raw(&EXTERNAL_HEAD)
        .bytes(kid)
        .bytes(piv)
        .bytes(&[]);
    writer.finish().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(kid: &[u8], partial_iv: PartialIv) -> Bound {
        let kid = Id::new(kid).unwrap();
        Bound { kid, partial_iv }
    }

    /// RFC 8613 C.5: kid 00, Partial IV 14.
    #[test]
    fn is_that_of_appendix_c() {
        let request = request(&[0], PartialIv::new(0x14).unwrap());
        assert_eq!(
            aad(&request, &mut [0; AAD_BYTES_MAX]),
            b"\x83\x68Encrypt0\x40\x49\x85\x01\x81\x0a\x41\x00\x41\x14\x40"
        );
    }

    #[test]
    fn the_longest_has_room() {
        let request = request(&[1; 7], PartialIv::MAX);
        assert_eq!(aad(&request, &mut [0; AAD_BYTES_MAX]).len(), AAD_BYTES_MAX);
    }
}
