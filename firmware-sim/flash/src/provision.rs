//! What the factory writes into a device: who it is and whose signatures it believes.
//!
//! ```text
//! 0 "DGP1"   4 count u32   8 vendor-id [16]   24 class-id [16]   40 trust anchors 4 × [32]   168 crc32 of 0..168
//! ```

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::{CRC, FlashError, Region, word};

/// How many trust anchors a device holds: the publisher's key, its successor, and as many again for a second owner.
pub const TRUST_ANCHORS_MAX: usize = 4;
/// The stored record, in bytes.
pub const PROVISION_BYTES: usize = CRC_AT + 4;

const MAGIC: [u8; 4] = *b"DGP1";
const VENDOR_AT: usize = 8;
const CLASS_AT: usize = 24;
const ANCHORS_AT: usize = 40;
const CRC_AT: usize = ANCHORS_AT + 32 * TRUST_ANCHORS_MAX;

/// A device's identity and trust.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Provision {
    /// UUIDv5 of the vendor's domain.
    pub vendor_id: [u8; 16],
    /// UUIDv5 of the class name under the vendor-id.
    pub class_id: [u8; 16],
    anchors: [[u8; 32]; TRUST_ANCHORS_MAX],
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
            anchors,
            count: trust_anchors.len() as u8,
        })
    }

    /// The raw Ed25519 public keys whose signatures count; at least one.
    #[must_use]
    pub fn trust_anchors(&self) -> &[[u8; 32]] {
        self.anchors.get(..usize::from(self.count)).unwrap_or_default()
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
