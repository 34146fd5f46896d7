//! What the factory writes into a device: who it is and whose signatures it believes.
//!
//! ```text
//! 0 "DGP1"   4 count u32   8 vendor-id [16]   24 class-id [16]   40 trust anchors 4 × [32]   168 crc32 of 0..168
//! ```
//!
//! A set of trust anchors may have taken the factory's place (`docs/anchors.md`). What is in force then the bootloader tells the image that
//! it starts, in RAM:
//!
//! ```text
//! 0 "DGP2"   4 number u16   6 keys that sign releases u8   7 these and retired ones u8   8 vendor-id [16]   24 class-id [16]
//! 40 keys 4 × [32], in that order, then the rest   168 which of them sign sets u8, a bit each   169 release-min u8
//! 170 recovery-min u8   171 keys in all u8   172 highest sequence number of a release u32   176 crc32 of 0..176
//! ```

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::{CRC, FlashError, Region, put, word};

/// How many trust anchors a device holds: the publisher's key, its successor, and as many again for a second owner.
pub const TRUST_ANCHORS_MAX: usize = 4;
/// The stored record, in bytes.
pub const PROVISION_BYTES: usize = CRC_AT + 4;

const MAGIC: [u8; 4] = *b"DGP1";
const VENDOR_AT: usize = 8;
const CLASS_AT: usize = 24;
const ANCHORS_AT: usize = 40;
const CRC_AT: usize = ANCHORS_AT + 32 * TRUST_ANCHORS_MAX;
/// What is handed over, in bytes.
pub const TRUST_BYTES: usize = TRUST_CRC_AT + 4;
const TRUST_MAGIC: [u8; 4] = *b"DGP2";
const SEQUENCE_MAX_AT: usize = CRC_AT + 4;
const TRUST_CRC_AT: usize = SEQUENCE_MAX_AT + 4;

/// A device's identity and trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provision {
    /// UUIDv5 of the vendor's domain.
    pub vendor_id: [u8; 16],
    /// UUIDv5 of the class name under the vendor-id.
    pub class_id: [u8; 16],
    /// Which set of trust anchors is in force; 0: the factory's.
    pub number: u16,
    /// The highest sequence number that a release may have; the confirmed image runs on with any.
    pub sequence_max: u32,
    /// How many of [`Provision::trust_anchors`] have to sign a release.
    pub release_min: u8,
    /// How many of [`Provision::recovery_keys`] have to sign the next set.
    pub recovery_min: u8,
    /// Those that sign releases, then those that did, then the rest.
    anchors: [[u8; 32]; TRUST_ANCHORS_MAX],
    release: u8,
    starting: u8,
    recovery: u8,
    count: u8,
}

/// Why there is no provision to work with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ProvisionFault {
    /// Nothing valid is stored: the device never went through the factory, or the sector is damaged.
    Invalid,
    /// The flash failed.
    Flash(FlashError),
}

impl From<FlashError> for ProvisionFault {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl fmt::Display for ProvisionFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid => formatter.write_str("the device is not provisioned"),
            Self::Flash(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for ProvisionFault {}

impl Provision {
    /// A provision with the given Ed25519 public keys; `None` for no key or more than [`TRUST_ANCHORS_MAX`].
    #[must_use]
    pub fn new(vendor_id: [u8; 16], class_id: [u8; 16], trust_anchors: &[[u8; 32]]) -> Option<Self> {
        let mut anchors = [[0; 32]; TRUST_ANCHORS_MAX];
        if trust_anchors.is_empty() {
            return None;
        }
        anchors
            .get_mut(..trust_anchors.len())?
            .copy_from_slice(trust_anchors);
        Some(Self {
            vendor_id,
            class_id,
            number: 0,
            sequence_max: u32::MAX,
            release_min: 1,
            recovery_min: 1,
            anchors,
            release: trust_anchors.len() as u8,
            starting: trust_anchors.len() as u8,
            recovery: 0xFF,
            count: trust_anchors.len() as u8,
        })
    }

    /// Puts the keys of a set in the place of these, each with its rank (0 signs releases, 1 did, 2 neither), in the order of ranks, and
    /// whether it signs sets. The numbers are the caller's to replace.
    pub fn replace_keys<'k>(&mut self, keys: impl Iterator<Item = (usize, bool, &'k [u8; 32])>) {
        (self.release, self.starting, self.recovery, self.count) = (0, 0, 0, 0);
        for (place, (rank, is_recovery, key)) in self.anchors.iter_mut().zip(keys) {
            *place = *key;
            self.recovery |= u8::from(is_recovery) << self.count;
            self.count += 1;
            self.release += u8::from(rank < 1);
            self.starting += u8::from(rank < 2);
        }
    }

    /// The raw Ed25519 public keys whose signatures on a release count; at least one.
    #[must_use]
    pub fn trust_anchors(&self) -> &[[u8; 32]] {
        self.anchors.get(..usize::from(self.release)).unwrap_or_default()
    }

    /// These, and those under which a confirmed image was signed that goes on running.
    #[must_use]
    pub fn starting_keys(&self) -> &[[u8; 32]] {
        self.anchors.get(..usize::from(self.starting)).unwrap_or_default()
    }

    /// The keys whose signatures on a set of trust anchors count, put into `into`.
    #[must_use]
    pub fn recovery_keys<'i>(&self, into: &'i mut [[u8; 32]; TRUST_ANCHORS_MAX]) -> &'i [[u8; 32]] {
        let mut count = 0;
        for (at, key) in self.anchors.iter().take(self.count.into()).enumerate() {
            if self.recovery >> at & 1 == 1
                && let Some(place) = into.get_mut(count)
            {
                *place = *key;
                count += 1;
            }
        }
        into.get(..count).unwrap_or_default()
    }

    /// What the image is told.
    #[must_use]
    pub fn hand_over(&self) -> [u8; TRUST_BYTES] {
        let mut bytes = [0; TRUST_BYTES];
        let [low, high] = self.number.to_le_bytes();
        put(&mut bytes, 0, &TRUST_MAGIC);
        put(&mut bytes, 4, &[low, high, self.release, self.starting]);
        put(&mut bytes, VENDOR_AT, &self.vendor_id);
        put(&mut bytes, CLASS_AT, &self.class_id);
        put(&mut bytes, ANCHORS_AT, self.anchors.as_flattened());
        let tail = [self.recovery, self.release_min, self.recovery_min, self.count];
        put(&mut bytes, CRC_AT, &tail);
        put(&mut bytes, SEQUENCE_MAX_AT, &self.sequence_max.to_le_bytes());
        let crc = CRC.checksum(&bytes[..TRUST_CRC_AT]);
        put(&mut bytes, TRUST_CRC_AT, &crc.to_le_bytes());
        bytes
    }

    /// The inverse of [`Provision::hand_over`]; `None` for RAM that no bootloader wrote.
    #[must_use]
    pub fn handed_over(bytes: &[u8; TRUST_BYTES]) -> Option<Self> {
        if bytes[..4] != TRUST_MAGIC || word(bytes, TRUST_CRC_AT) != CRC.checksum(&bytes[..TRUST_CRC_AT]) {
            return None;
        }
        let (anchors, _) = bytes[ANCHORS_AT..CRC_AT].as_chunks::<32>();
        Some(Self {
            vendor_id: bytes[VENDOR_AT..CLASS_AT].try_into().ok()?,
            class_id: bytes[CLASS_AT..ANCHORS_AT].try_into().ok()?,
            number: u16::from_le_bytes([bytes[4], bytes[5]]),
            sequence_max: word(bytes, SEQUENCE_MAX_AT),
            release: bytes[6],
            starting: bytes[7],
            anchors: anchors.try_into().ok()?,
            recovery: bytes[CRC_AT],
            release_min: bytes[CRC_AT + 1],
            recovery_min: bytes[CRC_AT + 2],
            count: bytes[CRC_AT + 3],
        })
    }

    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> [u8; PROVISION_BYTES] {
        let mut bytes = [0; PROVISION_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = self.count;
        bytes[VENDOR_AT..CLASS_AT].copy_from_slice(&self.vendor_id);
        bytes[CLASS_AT..ANCHORS_AT].copy_from_slice(&self.class_id);
        bytes[ANCHORS_AT..CRC_AT].copy_from_slice(self.anchors.as_flattened());
        let crc = CRC.checksum(&bytes[..CRC_AT]);
        bytes[CRC_AT..].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// The inverse of [`Provision::encode`]; `None` for anything else.
    #[must_use]
    pub fn decode(bytes: &[u8; PROVISION_BYTES]) -> Option<Self> {
        if bytes[..4] != MAGIC || word(bytes, CRC_AT) != CRC.checksum(&bytes[..CRC_AT]) {
            return None;
        }
        let (anchors, _) = bytes[ANCHORS_AT..CRC_AT].as_chunks::<32>();
        Self::new(
            bytes[VENDOR_AT..CLASS_AT].try_into().ok()?,
            bytes[CLASS_AT..ANCHORS_AT].try_into().ok()?,
            anchors.get(..word(bytes, 4) as usize)?,
        )
    }

    /// Reads the provision partition.
    ///
    /// # Errors
    /// [`ProvisionFault`].
    pub fn read<F: NorFlash>(region: Region<'_, F>) -> Result<Self, ProvisionFault> {
        let mut bytes = [0; PROVISION_BYTES];
        region.read(0, &mut bytes)?;
        Self::decode(&bytes).ok_or(ProvisionFault::Invalid)
    }

    /// Erases and writes the provision partition.
    ///
    /// # Errors
    /// The flash's.
    pub fn write<F: NorFlash>(&self, region: Region<'_, F>) -> Result<(), FlashError> {
        let mut padded = [0xFF; PROVISION_BYTES.next_multiple_of(64)];
        padded[..PROVISION_BYTES].copy_from_slice(&self.encode());
        region.erase(0, Region::<F>::SECTOR_BYTES)?;
        region.program(0, &padded[..PROVISION_BYTES.next_multiple_of(F::WRITE_SIZE)])
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::Layout;
    use crate::sim::SimFlash;

    #[test]
    fn a_provision_comes_back_from_the_flash() {
        let flash = RefCell::new(SimFlash::new(0x1000));
        let region = Region::new(&flash, Layout::EMULATED.provision);
        assert_eq!(Provision::read(region), Err(ProvisionFault::Invalid));
        for keys in 1..=TRUST_ANCHORS_MAX {
            let provision =
                Provision::new([1; 16], [2; 16], &[[7; 32], [8; 32], [9; 32], [10; 32]][..keys]).unwrap();
            provision.write(region).unwrap();
            assert_eq!(Provision::read(region), Ok(provision));
            assert_eq!(provision.trust_anchors().len(), keys);
        }
    }

    #[test]
    fn what_is_handed_over_comes_back_and_damage_is_noticed() {
        let factory = Provision::new([1; 16], [2; 16], &[[7; 32], [8; 32]]).unwrap();
        let mut under = factory;
        let keys = [(0, false, 8), (0, true, 9), (1, false, 3), (2, true, 4)];
        let keys = keys.map(|(rank, is_recovery, byte)| (rank, is_recovery, [byte; 32]));
        (under.number, under.sequence_max, under.release_min) = (300, 70_000, 2);
        under.replace_keys(keys.iter().map(|(rank, is, key)| (*rank, *is, key)));
        assert_eq!(under.trust_anchors(), [[8; 32], [9; 32]]);
        assert_eq!(under.starting_keys(), [[8; 32], [9; 32], [3; 32]]);
        assert_eq!(under.recovery_keys(&mut [[0; 32]; 4]), [[9; 32], [4; 32]]);
        assert_eq!(factory.recovery_keys(&mut [[0; 32]; 4]), factory.trust_anchors());
        for provision in [factory, under] {
            let sound = provision.hand_over();
            assert_eq!(Provision::handed_over(&sound), Some(provision));
            for bit in 0..TRUST_BYTES * 8 {
                let mut bytes = sound;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Provision::handed_over(&bytes), None, "bit {bit}");
            }
        }
    }

    #[test]
    fn none_or_too_many_anchors_are_no_provision() {
        assert_eq!(Provision::new([0; 16], [0; 16], &[]), None);
        assert_eq!(
            Provision::new([0; 16], [0; 16], &[[0; 32]; TRUST_ANCHORS_MAX + 1]),
            None
        );
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sound = Provision::new([1; 16], [2; 16], &[[7; 32]]).unwrap().encode();
        for bit in 0..PROVISION_BYTES * 8 {
            let mut bytes = sound;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Provision::decode(&bytes), None, "bit {bit}");
        }
    }
}
