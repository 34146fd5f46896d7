//! What a device leaves the factory with: who it is, whom it believes, and its first firmware.
//!
//! Written with the same writers the device uses, onto a flash that enforces NOR rules, so that a
//! factory image no device could have written does not exist.

use crate::board::Board;
use deltagate_flash::sim::{Rewrites, SimFlash};
use deltagate_flash::{
    AppendError, BootLog, BootRecord, FlashError, ImageOffset, Layout, OwnKey, Provision, Region, Slot,
    SlotHeaderFault, SlotRegion, TRUST_ANCHORS_MAX, credentials_behind,
};
use embedded_storage::nor_flash::NorFlash;
use std::cell::RefCell;
use std::io;
use std::path::Path;

/// A device as shipped.
#[derive(Clone, Copy, Debug)]
pub struct Shipped<'a> {
    /// RFC 9124 vendor id: UUIDv5 of the vendor's domain.
    pub vendor_id: [u8; 16],
    /// RFC 9124 class id: UUIDv5 of the class name under the vendor id.
    pub class_id: [u8; 16],
    /// Ed25519 public keys whose signatures the device believes.
    pub trust_anchors: &'a [[u8; 32]],
    /// The first image's signed envelope, its text severed.
    pub envelope: &'a [u8],
    /// The first image.
    pub image: &'a [u8],
    /// The first image's sequence number.
    pub sequence: u32,
}

/// Why a device cannot be shipped like that.
#[derive(Debug, thiserror::Error)]
pub enum FactoryError {
    /// More keys than the provision record holds.
    #[error("{0} trust anchors do not fit a provision record of {TRUST_ANCHORS_MAX}")]
    TrustAnchors(usize),
    /// The image does not fit its slot.
    #[error("image of {bytes} bytes does not fit a slot of {capacity}")]
    ImageTooLarge {
        /// Its size.
        bytes: usize,
        /// The slot's room.
        capacity: u32,
    },
    /// The flash refused.
    #[error("writing the factory flash: {0}")]
    Flash(FlashError),
    /// The slot header refused.
    #[error("writing the factory slot header: {0}")]
    Header(SlotHeaderFault),
    /// The boot log refused.
    #[error("writing the factory boot log: {0}")]
    BootLog(AppendError),
    /// The flash file could not be written.
    #[error("writing the flash file")]
    File(#[from] io::Error),
}

/// The flash of a shipped device: provision record, signed image in slot A, and its confirmation. For a part like the
/// simulated one.
pub fn flash(layout: &Layout, shipped: &Shipped<'_>) -> Result<SimFlash, FactoryError> {
    let mut flash = fill(SimFlash::new(layout.end_bytes()), layout, shipped)?;
    flash.restart();
    Ok(flash)
}

/// Writes a board's flash file for a shipped device.
pub fn write_flash_file(path: &Path, board: Board, shipped: &Shipped<'_>) -> Result<(), FactoryError> {
    let layout = board.layout();
    let mut bytes = match layout.sector_bytes as usize {
        SMALL_SECTOR_BYTES => flash_bytes::<SMALL_SECTOR_BYTES>(&layout, shipped)?,
        LARGE_SECTOR_BYTES => flash_bytes::<LARGE_SECTOR_BYTES>(&layout, shipped)?,
        other => unreachable!("no board has sectors of {other} bytes"),
    };
    bytes.resize(board.flash_file_bytes(), 0xFF);
    Ok(std::fs::write(path, bytes)?)
}

/// Brings a device's credentials into the flash file of a board that is switched off, as a flasher does: it erases their first sector,
/// writes the record there, and leaves alone what is behind it, which counts the device's messages.
pub fn write_credentials(path: &Path, board: Board, record: &[u8]) -> Result<(), FactoryError> {
    let layout = board.layout();
    write_sector(path, &layout, credentials_behind(&layout).offset, record)
}

/// Brings a key of the device's own there, in the sector behind its credentials.
pub fn write_own_key(path: &Path, board: Board, key: &OwnKey) -> Result<(), FactoryError> {
    let layout = board.layout();
    let credentials = credentials_behind(&layout);
    let at = credentials.offset + credentials.bytes;
    write_sector(path, &layout, at, &key.encode())
}

/// Erases the sector at `at`, and writes the record at its beginning.
fn write_sector(path: &Path, layout: &Layout, at: u32, record: &[u8]) -> Result<(), FactoryError> {
    let at = at as usize;
    let mut bytes = std::fs::read(path)?;
    let sector = bytes
        .get_mut(at..at + layout.sector_bytes as usize)
        .filter(|sector| record.len() <= sector.len())
        .ok_or(FactoryError::Flash(FlashError::OutOfBounds))?;
    sector.fill(0xFF);
    let (place, _) = sector.split_at_mut(record.len());
    place.copy_from_slice(record);
    Ok(std::fs::write(path, bytes)?)
}

const SMALL_SECTOR_BYTES: usize = Layout::EMULATED.sector_bytes as usize;
const LARGE_SECTOR_BYTES: usize = Layout::EMULATED_CFI.sector_bytes as usize;

/// What is in a part with such sectors.
fn flash_bytes<const SECTOR: usize>(layout: &Layout, shipped: &Shipped<'_>) -> Result<Vec<u8>, FactoryError> {
    let blank = SimFlash::<4, SECTOR>::part(layout.end_bytes(), Rewrites::Bitwise);
    Ok(fill(blank, layout, shipped)?.bytes().to_vec())
}

/// Puts everything into a blank part.
fn fill<F: NorFlash>(blank: F, layout: &Layout, shipped: &Shipped<'_>) -> Result<F, FactoryError> {
    let capacity = layout.image_capacity_bytes();
    if shipped.image.len() > capacity as usize {
        return Err(FactoryError::ImageTooLarge {
            bytes: shipped.image.len(),
            capacity,
        });
    }
    let provision = Provision::new(shipped.vendor_id, shipped.class_id, shipped.trust_anchors)
        .ok_or(FactoryError::TrustAnchors(shipped.trust_anchors.len()))?;
    let flash = RefCell::new(blank);
    provision
        .write(Region::new(&flash, layout.provision))
        .map_err(FactoryError::Flash)?;
    let slot = SlotRegion::new(Region::new(&flash, layout.slot(Slot::A)));
    // The last program unit ends with erased bytes.
    let mut image = shipped.image.to_vec();
    image.resize(image.len().next_multiple_of(F::WRITE_SIZE), 0xFF);
    slot.program_image(ImageOffset(0), &image)
        .map_err(FactoryError::Flash)?;
    slot.write_envelope(shipped.envelope)
        .map_err(FactoryError::Header)?;
    BootLog::open(Region::new(&flash, layout.boot_log))
        .map_err(FactoryError::Flash)?
        .append(BootRecord::Confirmed {
            sequence: shipped.sequence,
        })
        .map_err(FactoryError::BootLog)?;
    // As after a first boot: nothing left for the bootloader to settle.
    BootLog::open(Region::new(&flash, layout.boot_log))
        .map_err(FactoryError::Flash)?
        .settle()
        .map_err(FactoryError::BootLog)?;
    Ok(flash.into_inner())
}

#[cfg(test)]
mod tests {
    use deltagate_flash::{StoredKey, keyed_credentials_behind};

    use super::*;

    const LAYOUT: Layout = Layout::packed(4096, 4 * 4096);

    fn shipped() -> Shipped<'static> {
        Shipped {
            vendor_id: [1; 16],
            class_id: [2; 16],
            trust_anchors: &[[3; 32]],
            envelope: b"envelope",
            image: b"image",
            sequence: 1,
        }
    }

    #[test]
    fn what_was_shipped_is_read_back() {
        let flash = RefCell::new(flash(&LAYOUT, &shipped()).unwrap());
        let provision = Provision::read(Region::new(&flash, LAYOUT.provision)).unwrap();
        assert_eq!(provision.vendor_id, [1; 16]);
        assert_eq!(provision.class_id, [2; 16]);
        assert_eq!(provision.trust_anchors(), [[3; 32]]);
        let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot(Slot::A)));
        let mut buffer = [0; deltagate_flash::ENVELOPE_BYTES_MAX];
        assert_eq!(slot.envelope(&mut buffer).unwrap(), b"envelope");
        let mut image = [0; 5];
        slot.read_image(ImageOffset(0), &mut image).unwrap();
        assert_eq!(&image, b"image");
        let log = BootLog::open(Region::new(&flash, LAYOUT.boot_log)).unwrap();
        assert_eq!(log.state().confirmed, Some(1));
        assert_eq!(log.state().trial, None);
    }

    #[test]
    fn an_image_larger_than_a_slot_is_refused() {
        let image = vec![0; LAYOUT.image_capacity_bytes() as usize + 1];
        let result = flash(
            &LAYOUT,
            &Shipped {
                image: &image,
                ..shipped()
            },
        );
        assert!(matches!(result, Err(FactoryError::ImageTooLarge { .. })));
    }

    #[test]
    fn the_flash_file_has_the_size_qemu_demands() {
        let directory = tempfile::tempdir().unwrap();
        for board in Board::ALL {
            let path = directory.path().join("flash");
            write_flash_file(&path, board, &shipped()).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            assert_eq!(bytes.len(), board.flash_file_bytes());
            let image_at = (board.layout().slot_a.offset + board.layout().sector_bytes) as usize;
            assert_eq!(&bytes[image_at..image_at + 6], b"image\xFF", "{board}");
        }
    }

    #[test]
    fn credentials_take_the_place_of_others_and_leave_the_count_alone() {
        let directory = tempfile::tempdir().unwrap();
        for board in Board::ALL {
            let path = directory.path().join("flash");
            write_flash_file(&path, board, &shipped()).unwrap();
            let before = std::fs::read(&path).unwrap();
            let at = credentials_behind(&board.layout()).offset as usize;
            write_credentials(&path, board, b"longer than the next").unwrap();
            write_credentials(&path, board, b"record").unwrap();
            let mut expected = before.clone();
            expected[at..at + 6].copy_from_slice(b"record");
            assert!(std::fs::read(&path).unwrap() == expected, "{board}");
        }
    }

    #[test]
    fn a_key_of_its_own_is_found_where_the_device_looks_for_it() {
        fn found<const SECTOR: usize>(layout: &Layout, bytes: &[u8]) -> StoredKey {
            let partition = keyed_credentials_behind(layout);
            let mut flash =
                SimFlash::<4, SECTOR>::part(partition.offset + partition.bytes, Rewrites::Bitwise);
            let length = flash.bytes().len();
            flash.bytes_mut().copy_from_slice(&bytes[..length]);
            OwnKey::read(Region::new(&RefCell::new(flash), partition))
        }
        let key = OwnKey {
            private: [1; 32],
            gateway: [2; 32],
        };
        let directory = tempfile::tempdir().unwrap();
        for board in Board::ALL {
            let path = directory.path().join("flash");
            write_flash_file(&path, board, &shipped()).unwrap();
            write_own_key(&path, board, &key).unwrap();
            let (layout, bytes) = (board.layout(), std::fs::read(&path).unwrap());
            let found = match layout.sector_bytes as usize {
                SMALL_SECTOR_BYTES => found::<SMALL_SECTOR_BYTES>(&layout, &bytes),
                _ => found::<LARGE_SECTOR_BYTES>(&layout, &bytes),
            };
            assert_eq!(found, StoredKey::Sound(key.clone()), "{board}");
        }
    }
}
