//! A party's credential: a raw public key as a CWT Claims Set, named by a kid (RFC 9528 §3.5.2).
//!
//! ```text
//! A1                      map of 1: the claims set
//!    08 A1 01             cnf: map of 1: COSE_Key
//!       A4                map of 4
//!          01 02          kty: EC2
//!          02 4n ‹kid›    kid: n bytes
//!          20 01          crv: P-256
//!          21 58 20 ‹x›   x: 32 bytes
//! ```
//!
//! Both sides feed these bytes into the transcript, so both make them of kid and x alone and need not agree on anything else. There is
//! no y (RFC 9528 §3.5.2 lets it go where only x counts) and no subject: who it is, is what the kid says.

use crate::error::Fault;
use crate::key::PublicKey;

/// Longest kid: a device's identifier.
pub const KID_BYTES_MAX: usize = 16;
/// Head 4, map 1, kty 2, kid 2 and its bytes, crv 2, x 35: 62 at most. Those of others, RFC 9529's for instance, have subject
/// and y; the bound keeps whatever lakers puts together of it below its buffers: see `guard`.
pub const CREDENTIAL_BYTES_MAX: usize = 112;

/// A credential.
#[derive(Clone, Debug, PartialEq)]
pub struct Credential {
    claims: [u8; CREDENTIAL_BYTES_MAX],
    claims_bytes: usize,
    kid: [u8; KID_BYTES_MAX],
    kid_bytes: usize,
    pub(crate) key: PublicKey,
}

impl Credential {
    /// The credential of this key under this kid.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for a kid of no bytes or more than [`KID_BYTES_MAX`].
    pub fn new(kid: &[u8], key: &PublicKey) -> Result<Credential, Fault> {
        let mut bytes = [0; CREDENTIAL_BYTES_MAX];
        let mut writer = wire_cbor::Writer::new(&mut bytes);
        writer.map(1).uint(8).map(1).uint(1).map(4);
        writer.uint(1).uint(2).uint(2).bytes(kid).int(-1).uint(1);
        writer.int(-2).bytes(key.as_bytes());
        let bytes = writer.finish().ok_or(Fault::Malformed)?;
        Credential::of(bytes, kid, key)
    }

    /// A claims set that somebody else made, with the kid and the key that are in it.
    ///
    /// # Errors
    /// [`Fault::Malformed`] when it is longer than [`CREDENTIAL_BYTES_MAX`], or the kid's length out of range.
    pub fn of(claims: &[u8], kid: &[u8], key: &PublicKey) -> Result<Credential, Fault> {
        if claims.len() > CREDENTIAL_BYTES_MAX || kid.is_empty() || kid.len() > KID_BYTES_MAX {
            return Err(Fault::Malformed);
        }
        let mut credential = Credential {
            claims: [0; CREDENTIAL_BYTES_MAX],
            claims_bytes: claims.len(),
            kid: [0; KID_BYTES_MAX],
            kid_bytes: kid.len(),
            key: *key,
        };
        let places = credential.claims.get_mut(..claims.len());
        places.ok_or(Fault::Malformed)?.copy_from_slice(claims);
        let places = credential.kid.get_mut(..kid.len());
        places.ok_or(Fault::Malformed)?.copy_from_slice(kid);
        Ok(credential)
    }

    /// As lakers has it.
    #[cfg(feature = "responder")]
    pub(crate) fn for_lakers(&self) -> Result<lakers::Credential, Fault> {
        let claims = lakers::BufferCred::new_from_slice(self.as_bytes()).map_err(|_| Fault::Malformed)?;
        let kid = lakers::BufferKid::new_from_slice(self.kid()).map_err(|_| Fault::Malformed)?;
        Ok(lakers::Credential::new_ccs(claims, *self.key.as_bytes()).with_kid(kid))
    }

    /// The claims set.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.claims.get(..self.claims_bytes).unwrap_or_default()
    }

    /// Its kid.
    #[must_use]
    pub fn kid(&self) -> &[u8] {
        self.kid.get(..self.kid_bytes).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::PrivateKey;

    #[test]
    fn it_is_the_layout_above_and_others_read_it_so() {
        let key = PrivateKey::of_seed(&[1; 32]).unwrap();
        let credential = Credential::new(&[0xAB, 0xCD], key.public()).unwrap();
        let mut expected = std::vec![
            0xA1, 0x08, 0xA1, 0x01, 0xA4, 1, 2, 2, 0x42, 0xAB, 0xCD, 0x20, 1, 0x21, 0x58, 0x20
        ];
        expected.extend(key.public().as_bytes());
        assert_eq!(credential.as_bytes(), expected);
        let read = lakers::Credential::parse_ccs(credential.as_bytes()).unwrap();
        assert_eq!(read.public_key(), Some(*key.public().as_bytes()));
        assert_eq!(read.kid.unwrap().as_slice(), [0xAB, 0xCD]);
    }

    #[test]
    fn a_kid_has_1_to_16_bytes() {
        let key = PrivateKey::of_seed(&[1; 32]).unwrap();
        assert!(Credential::new(&[], key.public()).is_err());
        assert!(Credential::new(&[1; 17], key.public()).is_err());
        assert_eq!(
            Credential::new(&[1; 16], key.public()).unwrap().as_bytes().len(),
            62
        );
    }
}
