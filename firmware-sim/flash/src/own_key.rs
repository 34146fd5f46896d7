//! The key of a device's own, with which it gets credentials from its gateway, and how it knows that one: one record in a sector behind
//! the credentials. Written once, by whoever makes the device; nothing else writes there.
//!
//! ```text
//! 0    4   magic 44 47 4B 30, "DGK0"
//! 4    1   length of the record, 74
//! 5    1   version 1
//! 6   32   private key of P-256, big-endian
//! 38  32   x of the gateway's public key, big-endian
//! 70   4   CRC-32 (ISO-HDLC) of all before it, little-endian
//! ```

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::{CRC, FlashError, Partition, Region, credentials_bytes, put};

/// The record, in bytes.
pub const OWN_KEY_BYTES: usize = 74;

const HEAD: [u8; 6] = [b'D', b'G', b'K', b'0', OWN_KEY_BYTES as u8, 1];

/// A device's own key.
#[derive(Clone, PartialEq, Eq)]
pub struct OwnKey {
    /// Of this device alone, and nowhere else.
    pub private: [u8; 32],
    /// What the gateway is known by.
    pub gateway: [u8; 32],
}

/// What is where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoredKey {
    /// Erased flash, or a partition without room for it.
    Nothing,
    /// Something else, or a part that cannot be read.
    Damaged,
    /// A key.
    Sound(OwnKey),
}

/// Shows no secret.
impl fmt::Debug for OwnKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("OwnKey").finish_non_exhaustive()
    }
}

/// What the partition of credentials takes with a sector for a key of the device's own.
#[must_use]
pub const fn keyed_credentials_bytes(sector_bytes: u32) -> u32 {
    credentials_bytes(sector_bytes) + sector_bytes
}

/// Such a partition right behind everything that a layout has: where the simulated devices have theirs.
#[must_use]
pub const fn keyed_credentials_behind(layout: &crate::Layout) -> Partition {
    Partition::new(layout.end_bytes(), keyed_credentials_bytes(layout.sector_bytes))
}

impl OwnKey {
    /// Reads a record at the beginning of `bytes`; what is behind it is not its own. `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let record: &[u8; OWN_KEY_BYTES] = bytes.first_chunk()?;
        let (checked, crc) = record.split_last_chunk()?;
        if u32::from_le_bytes(*crc) != CRC.checksum(checked) {
            return None;
        }
        let (&private, rest) = checked.strip_prefix(&HEAD)?.split_first_chunk()?;
        let gateway = *rest.first_chunk()?;
        Some(Self { private, gateway })
    }

    /// The record.
    #[must_use]
    pub fn encode(&self) -> [u8; OWN_KEY_BYTES] {
        let mut record = [0; OWN_KEY_BYTES];
        put(&mut record, 0, &HEAD);
        put(&mut record, HEAD.len(), &self.private);
        put(&mut record, HEAD.len() + 32, &self.gateway);
        let crc = CRC.checksum(record.get(..OWN_KEY_BYTES - 4).unwrap_or_default());
        put(&mut record, OWN_KEY_BYTES - 4, &crc.to_le_bytes());
        record
    }

    /// Reads it from the partition of credentials.
    pub fn read<F: NorFlash>(region: Region<'_, F>) -> StoredKey {
        let sector_bytes = Region::<F>::SECTOR_BYTES;
        if region.bytes() < keyed_credentials_bytes(sector_bytes) {
            return StoredKey::Nothing;
        }
        let mut bytes = [0; OWN_KEY_BYTES];
        let is_read = region.read(credentials_bytes(sector_bytes), &mut bytes).is_ok();
        match Self::decode(&bytes) {
            Some(sound) => StoredKey::Sound(sound),
            None if is_read && bytes.iter().all(|byte| *byte == 0xFF) => StoredKey::Nothing,
            None => StoredKey::Damaged,
        }
    }

    /// Writes it, in place of another: whose device this is. A power cut in it leaves none, or a damaged one: write it again.
    ///
    /// # Errors
    /// The flash's; [`FlashError::OutOfBounds`] where the partition has no room for it.
    pub fn write<F: NorFlash>(&self, region: Region<'_, F>) -> Result<(), FlashError> {
        let sector_bytes = Region::<F>::SECTOR_BYTES;
        let sector = region.sub(credentials_bytes(sector_bytes), sector_bytes)?;
        let mut padded = [0xFF; OWN_KEY_BYTES.next_multiple_of(32)];
        put(&mut padded, 0, &self.encode());
        sector.erase(0, sector_bytes)?;
        let whole = OWN_KEY_BYTES.next_multiple_of(F::WRITE_SIZE);
        sector.program(0, padded.get(..whole).ok_or(FlashError::Misaligned)?)
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::*;
    use crate::sim::{Rewrites, SimFlash};
    use crate::{Credentials, Stored};

    fn key() -> OwnKey {
        OwnKey {
            private: core::array::from_fn(|at| at as u8),
            gateway: [9; 32],
        }
    }

    #[test]
    fn it_comes_back_from_the_flash_and_credentials_lie_beside_it() {
        fn on<const P: usize, const S: usize>() {
            let partition = Partition::new(0, keyed_credentials_bytes(S as u32));
            let flash = RefCell::new(SimFlash::<P, S>::part(partition.bytes, Rewrites::Once));
            let region = Region::new(&flash, partition);
            assert_eq!(OwnKey::read(region), StoredKey::Nothing);
            key().write(region).unwrap();
            let credentials = Credentials {
                master_secret: [7; 16],
                master_salt: crate::Name::new(&[8; 8]).unwrap(),
                id_context: crate::Name::new(&[]).unwrap(),
                kid: crate::Name::new(&[1, 2]).unwrap(),
                gateway: crate::Name::new(&[]).unwrap(),
            };
            let mut room = [0; crate::CREDENTIALS_BYTES_MAX];
            Credentials::write(credentials.encode(&mut room), region).unwrap();
            assert_eq!(OwnKey::read(region), StoredKey::Sound(key()));
            assert_eq!(Credentials::read(region), Stored::Sound(credentials));
            assert_eq!(flash.borrow().rules_broken(), 0);
            let short = Region::new(&flash, Partition::new(0, credentials_bytes(S as u32)));
            assert_eq!(OwnKey::read(short), StoredKey::Nothing);
        }
        on::<1, 256>();
        on::<4, 4_096>();
        on::<32, 2_048>();
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sound = key().encode();
        assert_eq!(OwnKey::decode(&sound), Some(key()));
        for bit in 0..sound.len() * 8 {
            let mut bytes = Vec::from(sound);
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(OwnKey::decode(&bytes), None, "bit {bit}");
        }
        assert_eq!(OwnKey::decode(&sound[..OWN_KEY_BYTES - 1]), None);
    }
}
