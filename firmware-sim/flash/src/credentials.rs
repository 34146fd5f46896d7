//! What a device was given to prove who it is, and to believe only its gateway: keys and names of its OSCORE context (RFC 8613).
//!
//! ```text
//! first sector
//!   0 "DGC1"   4 kid length u8, 0..=7   5 gateway's id length u8, 0..=7   6 ID Context length u8, 0..=16, 0xFF: none
//!   7 flags u8: bit 0 set, requests carry the ID Context; the others are 0
//!   8 kid [7]   15 gateway's id [7]   22 sender key [16]   38 recipient key [16]   54 Common IV [13]   67 0
//!   68 ID Context [16]   84 crc32 of 0..84
//! behind it, two banks
//!   the log of sequence numbers: see SequenceLog
//! ```
//!
//! Keys are stored derived: a device then needs no HKDF, and one that is taken apart yields no master secret. What is shorter than
//! its place has zeros behind it.
//!
//! The sector is written when the device is provisioned, and by nobody else: it lies outside of slots and logs. New keys are a new
//! sector over an old log, which goes on counting, so that even the same keys, written again, are safe. Whoever erases the log
//! as well has to write keys that were never used.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::layout::log_bank_bytes;
use crate::{CRC, FlashError, Partition, Region, put, word};

/// The stored record, in bytes.
pub const CREDENTIALS_BYTES: usize = CRC_AT + 4;

const MAGIC: [u8; 4] = *b"DGC1";
const ID_BYTES_MAX: usize = 7;
const ID_CONTEXT_BYTES_MAX: usize = 16;
const NO_ID_CONTEXT: u8 = 0xFF;
const ANNOUNCES: u8 = 1;

const KID_AT: usize = 8;
const GATEWAY_AT: usize = KID_AT + ID_BYTES_MAX;
const SENDER_KEY_AT: usize = GATEWAY_AT + ID_BYTES_MAX;
const RECIPIENT_KEY_AT: usize = SENDER_KEY_AT + 16;
const COMMON_IV_AT: usize = RECIPIENT_KEY_AT + 16;
const ID_CONTEXT_AT: usize = COMMON_IV_AT + 13 + 1;
const CRC_AT: usize = ID_CONTEXT_AT + ID_CONTEXT_BYTES_MAX;

/// What the partition takes on a part with sectors of so many bytes: the sector of the credentials, and the log.
#[must_use]
pub const fn credentials_bytes(sector_bytes: u32) -> u32 {
    sector_bytes + 2 * log_bank_bytes(sector_bytes)
}

/// A device's credentials, as stored.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Who the device is: its Sender ID.
    pub kid: Name<ID_BYTES_MAX>,
    /// Who its gateway is.
    pub gateway: Name<ID_BYTES_MAX>,
    /// What tells the context from others with the same ids.
    pub id_context: Option<Name<ID_CONTEXT_BYTES_MAX>>,
    /// Whether requests carry it.
    pub announces: bool,
    /// Protects what the device sends.
    pub sender_key: [u8; 16],
    /// Protects what the gateway sends.
    pub recipient_key: [u8; 16],
    /// What nonces are made of.
    pub common_iv: [u8; 13],
}

/// Up to `N` bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Name<const N: usize> {
    /// Bytes past `length` are zero, so that the derived equality holds.
    bytes: [u8; N],
    length: u8,
}

impl<const N: usize> Name<N> {
    /// `None` when longer than `N` bytes.
    #[must_use]
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.len() > N {
            return None;
        }
        let mut name = Self {
            bytes: [0; N],
            length: bytes.len() as u8,
        };
        put(&mut name.bytes, 0, bytes);
        Some(name)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// Of a place in the record.
    fn stored(bytes: &[u8], at: usize, length: u8) -> Option<Self> {
        let end = at.checked_add(usize::from(length))?;
        Self::new(bytes.get(at..end)?)
    }
}

/// Shows who, and never a key.
impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Credentials")
            .field("kid", &self.kid.as_bytes())
            .field("gateway", &self.gateway.as_bytes())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// The stored form: what a provisioning tool writes to the start of the partition.
    #[must_use]
    pub fn encode(&self) -> [u8; CREDENTIALS_BYTES] {
        let mut bytes = [0; CREDENTIALS_BYTES];
        let id_context_length = match &self.id_context {
            Some(name) => {
                put(&mut bytes, ID_CONTEXT_AT, name.as_bytes());
                name.length
            }
            None => NO_ID_CONTEXT,
        };
        let flags = if self.announces { ANNOUNCES } else { 0 };
        put(&mut bytes, 0, &MAGIC);
        put(
            &mut bytes,
            4,
            &[self.kid.length, self.gateway.length, id_context_length, flags],
        );
        put(&mut bytes, KID_AT, self.kid.as_bytes());
        put(&mut bytes, GATEWAY_AT, self.gateway.as_bytes());
        put(&mut bytes, SENDER_KEY_AT, &self.sender_key);
        put(&mut bytes, RECIPIENT_KEY_AT, &self.recipient_key);
        put(&mut bytes, COMMON_IV_AT, &self.common_iv);
        let crc = CRC.checksum(bytes.get(..CRC_AT).unwrap_or_default());
        put(&mut bytes, CRC_AT, &crc.to_le_bytes());
        bytes
    }

    /// The inverse of [`Credentials::encode`]; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8; CREDENTIALS_BYTES]) -> Option<Self> {
        let checked = bytes.get(..CRC_AT)?;
        if word(bytes, CRC_AT) != CRC.checksum(checked) {
            return None;
        }
        let &[
            m,
            a,
            g,
            i,
            kid_length,
            gateway_length,
            id_context_length,
            flags,
            ..,
        ] = bytes;
        if [m, a, g, i] != MAGIC || flags & !ANNOUNCES != 0 {
            return None;
        }
        let id_context = match id_context_length {
            NO_ID_CONTEXT => None,
            length => Some(Name::stored(bytes, ID_CONTEXT_AT, length)?),
        };
        Some(Self {
            kid: Name::stored(bytes, KID_AT, kid_length)?,
            gateway: Name::stored(bytes, GATEWAY_AT, gateway_length)?,
            id_context,
            announces: flags & ANNOUNCES != 0,
            sender_key: *bytes.get(SENDER_KEY_AT..)?.first_chunk()?,
            recipient_key: *bytes.get(RECIPIENT_KEY_AT..)?.first_chunk()?,
            common_iv: *bytes.get(COMMON_IV_AT..)?.first_chunk()?,
        })
    }

    /// Reads them from the partition; `None` when the device was given none, or its sector is damaged.
    ///
    /// # Errors
    /// The flash's.
    pub fn read<F: NorFlash>(region: Region<'_, F>) -> Result<Option<Self>, FlashError> {
        let mut bytes = [0; CREDENTIALS_BYTES];
        region.read(0, &mut bytes)?;
        Ok(Self::decode(&bytes))
    }

    /// Erases and writes their sector, and leaves the log behind it alone.
    ///
    /// # Errors
    /// The flash's.
    pub fn write<F: NorFlash>(&self, region: Region<'_, F>) -> Result<(), FlashError> {
        let mut padded = [0xFF; CREDENTIALS_BYTES.next_multiple_of(32)];
        put(&mut padded, 0, &self.encode());
        region.erase(0, Region::<F>::SECTOR_BYTES)?;
        let whole = CREDENTIALS_BYTES.next_multiple_of(F::WRITE_SIZE);
        region.program(0, padded.get(..whole).ok_or(FlashError::Misaligned)?)
    }
}

/// The partition for credentials right behind everything that a layout has: where the emulated boards have theirs.
#[must_use]
pub const fn credentials_behind(layout: &crate::Layout) -> Partition {
    Partition::new(layout.end_bytes(), credentials_bytes(layout.sector_bytes))
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::Layout;
    use crate::sim::SimFlash;

    fn credentials() -> Credentials {
        Credentials {
            kid: Name::new(&[1, 2, 3]).unwrap(),
            gateway: Name::new(b"g").unwrap(),
            id_context: None,
            announces: false,
            sender_key: [0xa1; 16],
            recipient_key: [0xa2; 16],
            common_iv: [0xa3; 13],
        }
    }

    #[test]
    fn credentials_come_back_from_the_flash() {
        let partition = credentials_behind(&Layout::EMULATED);
        assert!(Layout::EMULATED.leaves_free(partition));
        let flash = RefCell::new(SimFlash::new(0x12_0000));
        let region = Region::new(&flash, partition);
        assert_eq!(Credentials::read(region), Ok(None));
        for id_context in [None, Name::new(&[]), Name::new(&[9; 16])] {
            let credentials = Credentials {
                id_context,
                announces: id_context.is_some(),
                ..credentials()
            };
            credentials.write(region).unwrap();
            assert_eq!(Credentials::read(region), Ok(Some(credentials)));
        }
    }

    /// The layout of the front page, byte by byte: a device in the field was provisioned with it.
    #[test]
    fn the_record_is_what_the_front_page_says() {
        let bytes = credentials().encode();
        let mut expected = std::vec![];
        expected.extend(b"DGC1\x03\x01\xff\x00");
        expected.extend([1, 2, 3, 0, 0, 0, 0]);
        expected.extend(b"g\0\0\0\0\0\0");
        expected.extend([0xa1; 16]);
        expected.extend([0xa2; 16]);
        expected.extend([0xa3; 13]);
        expected.extend([0; 1 + 16]);
        assert_eq!(bytes[..CRC_AT], expected);
        assert_eq!(CREDENTIALS_BYTES, 88);
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for bit in 0..CREDENTIALS_BYTES * 8 {
            let mut bytes = credentials().encode();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Credentials::decode(&bytes), None, "bit {bit}");
        }
    }

    #[test]
    fn lengths_that_do_not_fit_are_refused() {
        for (at, length) in [(4, 8), (5, 8), (6, 17)] {
            let mut bytes = credentials().encode();
            bytes[at] = length;
            let crc = CRC.checksum(&bytes[..CRC_AT]).to_le_bytes();
            bytes[CRC_AT..].copy_from_slice(&crc);
            assert_eq!(Credentials::decode(&bytes), None, "byte {at}");
        }
    }

    #[test]
    fn nothing_shows_a_key() {
        let shown = std::format!("{:?}", credentials());
        assert!(!shown.contains("161") && !shown.contains("a1"), "{shown}");
    }
}
