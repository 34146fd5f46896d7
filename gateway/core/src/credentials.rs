//! Key id and secret of a device, and the record in which they are brought onto it.
//!
//! `docs/identity.md` has the record byte by byte:
//!
//! ```text
//! "DGC0" ‖ length 1 ‖ version 1 ‖ master secret 16 ‖ salt 1 + 0..=16 ‖ ID context 1 + 0..=16
//!        ‖ device's Sender ID 1 + 1..=7 ‖ device's Recipient ID 1 + 0..=7 ‖ CRC-32, little-endian
//! ```

use crate::identity::hex;
use crate::secret::{SECRET_BYTES, Secret};
use core::fmt;
use core::str::FromStr;
use zeroize::Zeroizing;

/// A few bytes of which the number varies, at most `MAX`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Octets<const MAX: usize> {
    // Unused bytes stay zero, and the length comes second, so that the derived order is that of the byte strings.
    bytes: [u8; MAX],
    len: u8,
}

impl<const MAX: usize> Octets<MAX> {
    /// None at all.
    pub const EMPTY: Octets<MAX> = Octets {
        bytes: [0; MAX],
        len: 0,
    };

    /// `None` when there are more than `MAX`.
    pub fn new(from: &[u8]) -> Option<Octets<MAX>> {
        let mut bytes = [0; MAX];
        bytes.get_mut(..from.len())?.copy_from_slice(from);
        let len = u8::try_from(from.len()).ok()?;
        Some(Octets { bytes, len })
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

impl<const MAX: usize> fmt::Display for Octets<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(self.as_bytes()))
    }
}

impl<const MAX: usize> fmt::Debug for Octets<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Octets({self})")
    }
}

/// What messages name a device's key by: 1 to 7 bytes, unique on a gateway. RFC 8613's `kid`, the device's Sender ID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid(Octets<KID_BYTES_MAX>);

/// RFC 8613 §3.3: the nonce of AES-CCM-16-64-128 has 13 bytes, 6 of which are taken.
pub const KID_BYTES_MAX: usize = 7;
/// Longest master salt that a record has room for.
pub const SALT_BYTES_MAX: usize = 16;
/// Longest ID context that a record has room for.
pub const ID_CONTEXT_BYTES_MAX: usize = 16;

impl Kid {
    /// Before every other, and none itself.
    pub(crate) const FIRST: Kid = Kid(Octets::EMPTY);

    /// `None` when there are no bytes or more than [`KID_BYTES_MAX`].
    pub fn new(bytes: &[u8]) -> Option<Kid> {
        let octets = Octets::new(bytes)?;
        (!bytes.is_empty()).then_some(Kid(octets))
    }

    /// The bytes, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// The text is not 2 to 14 hex digits, an even number of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a key id is an even number of 2 to {} hex digits", 2 * KID_BYTES_MAX)]
pub struct NotAKid;

impl FromStr for Kid {
    type Err = NotAKid;

    fn from_str(text: &str) -> Result<Kid, NotAKid> {
        let digits = text.as_bytes();
        let byte = |pair: &[u8]| {
            let text = core::str::from_utf8(pair).ok()?;
            text.bytes()
                .all(|digit| digit.is_ascii_hexdigit())
                .then_some(())?;
            u8::from_str_radix(text, 16).ok()
        };
        let bytes: Option<Vec<u8>> = digits.chunks(2).map(byte).collect();
        let even = digits.len().is_multiple_of(2);
        bytes
            .filter(|_| even)
            .and_then(|bytes| Kid::new(&bytes))
            .ok_or(NotAKid)
    }
}

/// Key id, secret and what else their keys are derived from (RFC 8613 §3.2). Algorithms are its defaults.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The device's Sender ID.
    pub kid: Kid,
    /// The gateway's Sender ID; unlike the device's.
    pub gateway_id: Octets<KID_BYTES_MAX>,
    /// The master secret.
    pub secret: Secret,
    /// The master salt; empty: none.
    pub salt: Octets<SALT_BYTES_MAX>,
    /// The ID context; empty: none.
    pub id_context: Octets<ID_CONTEXT_BYTES_MAX>,
}

/// By their key id, and nothing that is worth hiding.
impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credentials({})", self.kid)
    }
}

/// Why bytes are not a credentials record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CredentialsError {
    /// It does not begin with "DGC0".
    #[error("it does not begin with \"DGC0\"")]
    Magic,
    /// A later program's.
    #[error("it is of version {0}, this program knows version {VERSION}")]
    Version(u8),
    /// The length said is not that of its parts, or not that of the bytes.
    #[error("its length is not that of its parts")]
    Length,
    /// A part is longer than may be, or too short.
    #[error("its {0} has a length that cannot stand")]
    Part(&'static str),
    /// Both ends would have the same identifier.
    #[error("device and gateway have the same identifier in it")]
    SameIds,
    /// A bit is not what was written.
    #[error("its CRC does not match")]
    Crc,
}

const MAGIC: &[u8; 4] = b"DGC0";
const VERSION: u8 = 1;
const LENGTH_AT: usize = 4;
/// Magic 4, length, version, secret, four lengths, and their parts at their longest, CRC 4: 76 bytes.
pub const RECORD_BYTES_MAX: usize =
    4 + 1 + 1 + SECRET_BYTES + 4 + SALT_BYTES_MAX + ID_CONTEXT_BYTES_MAX + 2 * KID_BYTES_MAX + 4;
const _: () = assert!(RECORD_BYTES_MAX == 76);
const CRC: crc::Crc<u32> = crc::Crc::<u32>::new(&crc::CRC_32_ISO_HDLC);

impl Credentials {
    /// Both ends must not have the same identifier: their nonces would coincide (RFC 8613 §5.2).
    pub fn check(self) -> Result<Credentials, CredentialsError> {
        match self.kid.as_bytes() == self.gateway_id.as_bytes() {
            true => Err(CredentialsError::SameIds),
            false => Ok(self),
        }
    }

    /// The record, which is wiped when it is dropped.
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Never grown, so that no copy is left behind.
        let mut record = Zeroizing::new(Vec::with_capacity(RECORD_BYTES_MAX));
        record.extend_from_slice(MAGIC);
        record.extend([0, VERSION]);
        record.extend_from_slice(self.secret.expose());
        let parts = [
            self.salt.as_bytes(),
            self.id_context.as_bytes(),
            self.kid.as_bytes(),
            self.gateway_id.as_bytes(),
        ];
        for part in parts {
            // At most 16.
            record.push(part.len() as u8);
            record.extend_from_slice(part);
        }
        // At most RECORD_BYTES_MAX.
        record[LENGTH_AT] = (record.len() + 4) as u8;
        let crc = CRC.checksum(&record);
        record.extend_from_slice(&crc.to_le_bytes());
        record
    }

    /// Reads a record and nothing behind it.
    pub fn decode(record: &[u8]) -> Result<Credentials, CredentialsError> {
        let rest = record.strip_prefix(MAGIC).ok_or(CredentialsError::Magic)?;
        let [length, version, rest @ ..] = rest else {
            return Err(CredentialsError::Length);
        };
        if *version != VERSION {
            return Err(CredentialsError::Version(*version));
        }
        if usize::from(*length) != record.len() {
            return Err(CredentialsError::Length);
        }
        let (secret, mut rest) = rest
            .split_first_chunk::<SECRET_BYTES>()
            .ok_or(CredentialsError::Length)?;
        let mut part = || {
            let (length, behind) = rest.split_first()?;
            let (part, behind) = behind.split_at_checked(usize::from(*length))?;
            rest = behind;
            Some(part)
        };
        let mut next = || part().ok_or(CredentialsError::Length);
        let (salt, id_context, kid, gateway_id) = (next()?, next()?, next()?, next()?);
        let crc: [u8; 4] = rest.try_into().map_err(|_| CredentialsError::Length)?;
        if CRC.checksum(&record[..record.len() - crc.len()]) != u32::from_le_bytes(crc) {
            return Err(CredentialsError::Crc);
        }
        Credentials {
            kid: Kid::new(kid).ok_or(CredentialsError::Part("device's identifier"))?,
            gateway_id: Octets::new(gateway_id).ok_or(CredentialsError::Part("gateway's identifier"))?,
            secret: Secret::new(secret),
            salt: Octets::new(salt).ok_or(CredentialsError::Part("salt"))?,
            id_context: Octets::new(id_context).ok_or(CredentialsError::Part("ID context"))?,
        }
        .check()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The second example of docs/identity.md.
    const EXAMPLE: &str = "4447433020010102030405060708090a0b0c0d0e0f10000002010200d0a89211";

    fn bytes(text: &str) -> Vec<u8> {
        let pairs = text.as_bytes().chunks(2);
        pairs
            .map(|pair| u8::from_str_radix(core::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    fn secret() -> Secret {
        Secret::new(&core::array::from_fn(|at| at as u8 + 1))
    }

    #[test]
    fn a_record_is_what_its_documentation_says() {
        let made = Credentials {
            kid: Kid::new(&[1, 2]).unwrap(),
            gateway_id: Octets::EMPTY,
            secret: secret(),
            salt: Octets::EMPTY,
            id_context: Octets::EMPTY,
        };
        assert_eq!(hex(&made.encode()), EXAMPLE);
        assert_eq!(Credentials::decode(&bytes(EXAMPLE)), Ok(made));
    }

    /// Its CRC is Python's.
    #[test]
    fn the_golden_record_is_read() {
        let golden = include_bytes!("../../../fixtures/identity/credentials.dgc");
        let read = Credentials::decode(golden).unwrap();
        assert_eq!(
            (read.kid.as_bytes(), read.gateway_id.as_bytes()),
            (&[1][..], &[][..])
        );
        assert_eq!(read.salt.to_string(), "9e7ca92223786340");
        assert_eq!(read.secret, secret());
        assert_eq!(*read.encode(), golden);
    }

    #[test]
    fn whatever_is_changed_is_noticed() {
        let whole = bytes(EXAMPLE);
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut touched = whole.clone();
                touched[at] ^= 1 << bit;
                assert!(Credentials::decode(&touched).is_err(), "bit {bit} of byte {at}");
            }
            assert!(Credentials::decode(&whole[..at]).is_err(), "{at} bytes");
        }
        let longer = [&whole[..], &[0]].concat();
        assert_eq!(Credentials::decode(&longer), Err(CredentialsError::Length));
    }

    /// Right in every other respect, its CRC included.
    fn forged(parts: [&[u8]; 4], version: u8) -> Vec<u8> {
        let mut record = [&MAGIC[..], &[0, version], &[7; 16]].concat();
        for part in parts {
            record.push(part.len() as u8);
            record.extend(part);
        }
        record[LENGTH_AT] = (record.len() + 4) as u8;
        let crc = CRC.checksum(&record);
        record.extend(crc.to_le_bytes());
        record
    }

    #[test]
    fn what_cannot_stand_is_refused_by_name() {
        for (parts, version, error) in [
            (
                [&[][..], &[], &[], &[]],
                1,
                CredentialsError::Part("device's identifier"),
            ),
            (
                [&[], &[], &[1; 8], &[]],
                1,
                CredentialsError::Part("device's identifier"),
            ),
            (
                [&[], &[], &[1], &[2; 8]],
                1,
                CredentialsError::Part("gateway's identifier"),
            ),
            ([&[0; 17], &[], &[1], &[]], 1, CredentialsError::Part("salt")),
            (
                [&[], &[0; 17], &[1], &[]],
                1,
                CredentialsError::Part("ID context"),
            ),
            ([&[], &[], &[1], &[1]], 1, CredentialsError::SameIds),
            ([&[], &[], &[1], &[]], 2, CredentialsError::Version(2)),
        ] {
            assert_eq!(Credentials::decode(&forged(parts, version)), Err(error));
        }
        assert!(Credentials::decode(&forged([&[0; 16], &[0; 16], &[1; 7], &[2; 7]], 1)).is_ok());
        assert_eq!(
            Credentials::decode(b"\xff\xff\xff\xff"),
            Err(CredentialsError::Magic)
        );
    }

    #[test]
    fn a_kid_is_read_back_and_nothing_else_is_one() {
        let kid: Kid = "0aB1".parse().unwrap();
        assert_eq!(kid.to_string(), "0ab1");
        for text in ["", "0", "+1", "0a0", "zz", "0011223344556677"] {
            assert_eq!(text.parse::<Kid>(), Err(NotAKid), "{text}");
        }
    }

    #[test]
    fn nothing_that_is_printed_holds_the_secret() {
        let read = Credentials::decode(&bytes(EXAMPLE)).unwrap();
        assert_eq!(format!("{read:?}"), "Credentials(0102)");
    }
}
