//! Pre-shared keys of DTLS, for devices that speak `coaps://` and were given theirs by somebody else.
//!
//! What travels from a command to the gateway, version 1:
//!
//! ```text
//! version 1 ‖ identity: length 1, 1..=64 bytes ‖ key: 16..=32 bytes
//! ```

use crate::credentials::Octets;
use crate::identities::Phase;
use crate::identity::hex;
use core::fmt;
use core::str::FromStr;
use sha2::{Digest, Sha256};
use std::sync::Arc;
use wire_checkin::DeviceId;
use zeroize::Zeroizing;

/// Longest identity: RFC 4279 §5.3 asks for 128 bytes of whoever takes any, RFC 7925 §4.2 names domain names; LwM2M's endpoint names of
/// an EUI, IMEI or UUID have at most 45.
pub const PSK_IDENTITY_BYTES_MAX: usize = 64;
/// Shortest key: 128 bits, what the cipher has. RFC 4279 §5.4.
pub const PSK_BYTES_MIN: usize = 16;
/// Longest key: more than 256 bits adds nothing.
pub const PSK_BYTES_MAX: usize = 32;

/// What a device's DTLS handshake names its key by; unique on a gateway. It travels in the clear.
///
/// As text: itself where it is printable ASCII without blanks and does not begin with `0x`; else `0x` and its hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PskIdentity(Octets<PSK_IDENTITY_BYTES_MAX>);

impl PskIdentity {
    /// Before every other, and none itself.
    pub(crate) const FIRST: PskIdentity = PskIdentity(Octets::EMPTY);

    /// `None` when there are no bytes or more than [`PSK_IDENTITY_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<PskIdentity> {
        let octets = Octets::new(bytes)?;
        (!bytes.is_empty()).then_some(PskIdentity(octets))
    }

    /// The bytes, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for PskIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = self.as_bytes();
        let text = core::str::from_utf8(bytes).ok();
        match text.filter(|text| is_written_as_it_is(text)) {
            Some(text) => f.write_str(text),
            None => write!(f, "{HEX}{}", hex(bytes)),
        }
    }
}

const HEX: &str = "0x";

fn is_written_as_it_is(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.starts_with(HEX)
}

impl fmt::Debug for PskIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskIdentity({self})")
    }
}

/// The text names no identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a PSK identity is 1 to {PSK_IDENTITY_BYTES_MAX} printable characters without blanks, or 0x and as many bytes in hex digits"
)]
pub struct NotAPskIdentity;

impl FromStr for PskIdentity {
    type Err = NotAPskIdentity;

    fn from_str(text: &str) -> Result<PskIdentity, NotAPskIdentity> {
        let Some(digits) = text.strip_prefix(HEX) else {
            let identity = PskIdentity::new(text.as_bytes());
            return identity
                .filter(|_| is_written_as_it_is(text))
                .ok_or(NotAPskIdentity);
        };
        let byte = |pair: &[u8]| {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            u8::try_from(digit(0)? << 4 | digit(1)?).ok()
        };
        let bytes: Option<Vec<u8>> = digits.as_bytes().chunks(2).map(byte).collect();
        bytes
            .and_then(|bytes| PskIdentity::new(&bytes))
            .ok_or(NotAPskIdentity)
    }
}

/// A pre-shared key, [`PSK_BYTES_MIN`] to [`PSK_BYTES_MAX`] bytes. Copies share one place in memory, which is overwritten with zeros
/// when the last one goes.
#[derive(Clone)]
pub struct PskKey(Arc<Zeroizing<Vec<u8>>>);

impl PskKey {
    /// `None` for a key that is too short or too long. Whoever owns the bytes wipes them.
    pub fn new(bytes: &[u8]) -> Option<PskKey> {
        let fits = (PSK_BYTES_MIN..=PSK_BYTES_MAX).contains(&bytes.len());
        fits.then(|| PskKey(Arc::new(Zeroizing::new(bytes.to_vec()))))
    }

    /// The bytes: for a handshake, or to seal or write them, and for nothing else.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Tells keys apart; in memory only.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(self.expose()).into()
    }
}

/// By digests, so that the time tells nothing.
impl PartialEq for PskKey {
    fn eq(&self, other: &PskKey) -> bool {
        self.fingerprint() == other.fingerprint()
    }
}

impl Eq for PskKey {}

impl fmt::Debug for PskKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PskKey(…)")
    }
}

/// Identity and key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Psk {
    /// What a handshake names it by.
    pub identity: PskIdentity,
    /// What it proves.
    pub key: PskKey,
}

const VERSION: u8 = 1;
/// Version 1, length 1, identity and key at their longest: 98 bytes.
pub const PSK_RECORD_BYTES_MAX: usize = 2 + PSK_IDENTITY_BYTES_MAX + PSK_BYTES_MAX;

impl Psk {
    /// As it travels to the gateway.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Never grown, so that no copy is left behind.
        let mut record = Zeroizing::new(Vec::with_capacity(PSK_RECORD_BYTES_MAX));
        let identity = self.identity.as_bytes();
        // At most 64.
        record.extend([VERSION, identity.len() as u8]);
        record.extend_from_slice(identity);
        record.extend_from_slice(self.key.expose());
        record
    }

    /// Reads what [`Psk::encode`] wrote.
    pub fn decode(record: &[u8]) -> Option<Psk> {
        let [VERSION, length, rest @ ..] = record else {
            return None;
        };
        let (identity, key) = rest.split_at_checked(usize::from(*length))?;
        Some(Psk {
            identity: PskIdentity::new(identity)?,
            key: PskKey::new(key)?,
        })
    }

    /// What says that a session was made under this very key.
    pub fn proof(&self) -> PskProof {
        PskProof {
            identity: self.identity,
            fingerprint: self.key.fingerprint(),
        }
    }
}

/// Under which key a session was made, without the key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PskProof {
    /// The key's identity.
    pub identity: PskIdentity,
    fingerprint: [u8; 32],
}

/// Nothing of the key, not even what tells it from others: it may be a weak one.
impl fmt::Debug for PskProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PskProof({})", self.identity)
    }
}

/// A device's key of DTLS, and how far it counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PskRecord {
    /// Whose it is.
    pub device: DeviceId,
    /// What it is.
    pub psk: Psk,
    /// How far it counts.
    pub phase: Phase,
    /// Since when the gateway has it.
    pub enrolled_unix_s: u64,
    /// When the device first proved that it has it.
    pub used_unix_s: Option<u64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_read_back_and_nothing_else_is_one() {
        for (text, bytes) in [
            ("dev1", &b"dev1"[..]),
            ("urn:imei:356938035643809", b"urn:imei:356938035643809"),
            ("0x00ff20", &[0, 0xFF, 0x20]),
            ("0x3078", b"0x"),
        ] {
            let identity: PskIdentity = text.parse().unwrap();
            assert_eq!(identity.as_bytes(), bytes);
            assert_eq!(identity.to_string(), text);
        }
        let long = "x".repeat(65);
        for text in ["", "0x", "0x0", "0xzz", "0x+1", "a b", "ü", &long] {
            assert_eq!(text.parse::<PskIdentity>(), Err(NotAPskIdentity), "{text}");
        }
        assert_eq!(
            PskIdentity::new(b"two words").unwrap().to_string(),
            "0x74776f20776f726473"
        );
    }

    #[test]
    fn a_record_is_read_back_and_nothing_that_cannot_stand_is() {
        let psk = |identity: &[u8], key: &[u8]| Psk {
            identity: PskIdentity::new(identity).unwrap(),
            key: PskKey::new(key).unwrap(),
        };
        for made in [psk(b"d", &[7; 16]), psk(&[b'd'; 64], &[7; 32])] {
            let record = made.encode();
            assert_eq!(Psk::decode(&record), Some(made));
        }
        let record = psk(b"dev1", &[7; 16]).encode();
        assert_eq!(record[..6], *b"\x01\x04dev1");
        for end in 0..record.len() {
            assert_eq!(Psk::decode(&record[..end]), None, "{end} bytes");
        }
        assert_eq!(Psk::decode(&[&record[..], &[0; 17]].concat()), None);
        assert!(PskKey::new(&[0; 15]).is_none() && PskKey::new(&[0; 33]).is_none());
    }

    #[test]
    fn nothing_that_is_printed_holds_the_key() {
        let identity = PskIdentity::new(b"dev1").unwrap();
        let key = PskKey::new(&[0xA7; 16]).unwrap();
        assert_eq!(
            format!("{:?}", Psk { identity, key }),
            "Psk { identity: PskIdentity(dev1), key: PskKey(…) }"
        );
    }
}
