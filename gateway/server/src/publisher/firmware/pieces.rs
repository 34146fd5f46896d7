//! Pieces of an image as a file gives them, and the image they make.
//!
//! Memory: what the file holds and no more than [`IMAGE_BYTES_MAX`] of it, and the image once more. Addresses alone allocate nothing.

use wire_manifest::IMAGE_BYTES_MAX;

use super::{FileFormat, Firmware, FirmwareError, ReadOptions};

/// What erased flash reads as; fills the gaps between pieces.
const ERASED: u8 = 0xff;

/// Most pieces that do not continue each other: one for each 256 bytes of the largest image, as the blocks of a UF2 file in any order.
pub(super) const PIECES_MAX: usize = IMAGE_BYTES_MAX as usize / 256;

/// A stretch of an image that no piece of the file covers, filled with 0xff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length.
    pub bytes: u64,
}

/// Where an image must fit, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slot {
    /// Where it begins. The image then begins there too.
    pub address: Option<u64>,
    /// How long it is.
    pub bytes: Option<u64>,
}

impl Slot {
    /// Refuses an image of this length if the slot is known to be shorter.
    pub(super) fn must_hold(&self, bytes: u64) -> Result<(), FirmwareError> {
        match self.bytes {
            Some(slot_bytes) if bytes > slot_bytes => {
                Err(FirmwareError::LongerThanSlot { bytes, slot_bytes })
            }
            _ => Ok(()),
        }
    }

    /// Refuses a piece of which a byte lies elsewhere.
    fn must_hold_at(&self, address: u64, end: u64) -> Result<(), FirmwareError> {
        let Some(slot_address) = self.address else {
            return Ok(());
        };
        let slot_bytes = self.bytes.unwrap_or(u64::from(IMAGE_BYTES_MAX));
        let slot_end = slot_address.saturating_add(slot_bytes);
        let outside = match address {
            _ if address < slot_address => address,
            _ if end > slot_end => address.max(slot_end),
            _ => return Ok(()),
        };
        Err(FirmwareError::OutsideSlot {
            address: outside,
            slot_address,
            slot_bytes,
        })
    }
}

/// Bytes that go to one place.
#[derive(Debug)]
struct Piece {
    address: u64,
    data: Vec<u8>,
}

impl Piece {
    fn end(&self) -> u64 {
        self.address + self.data.len() as u64
    }
}

/// Pieces in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pieces: Vec<Piece>,
    bytes: u64,
}

impl Pieces {
    /// Takes bytes for an address; they continue the last piece, or begin one.
    pub(super) fn add(&mut self, address: u64, data: &[u8]) -> Result<(), FirmwareError> {
        if data.is_empty() {
            return Ok(());
        }
        self.bytes += data.len() as u64;
        if self.bytes > u64::from(IMAGE_BYTES_MAX) {
            return Err(FirmwareError::TooLarge { bytes: self.bytes });
        }
        let count = self.pieces.len();
        match self.pieces.last_mut() {
            Some(last) if last.end() == address => last.data.extend_from_slice(data),
            _ if count == PIECES_MAX => return Err(FirmwareError::TooManyPieces),
            _ if address.checked_add(u64::from(IMAGE_BYTES_MAX)).is_none() => {
                return Err(FirmwareError::TooFar {
                    address,
                    first: 0,
                    bytes: u64::MAX,
                });
            }
            _ => self.pieces.push(Piece {
                address,
                data: data.to_vec(),
            }),
        }
        Ok(())
    }

    /// The image: pieces in the order of their addresses, erased flash between them, and in front if the slot begins earlier.
    pub(super) fn lay_out(
        mut self,
        format: FileFormat,
        options: &ReadOptions,
    ) -> Result<Firmware, FirmwareError> {
        self.pieces.sort_by_key(|piece| piece.address);
        let Some(first) = self.pieces.first() else {
            return Err(FirmwareError::Empty);
        };
        let base = options.slot.address.unwrap_or(first.address);
        let mut image = Image {
            base,
            bytes: Vec::new(),
            gaps: Vec::new(),
        };
        for piece in &self.pieces {
            options.slot.must_hold_at(piece.address, piece.end())?;
            image.append(piece)?;
        }
        options.slot.must_hold(image.bytes.len() as u64)?;
        Ok(Firmware {
            image: image.bytes,
            format,
            base_address: Some(base),
            machine: None,
            gaps: image.gaps,
            details: Vec::new(),
            mcuboot: None,
            runs_elsewhere: false,
        })
    }
}

/// An image that grows upwards.
struct Image {
    base: u64,
    bytes: Vec<u8>,
    gaps: Vec<Gap>,
}

impl Image {
    /// Puts a piece behind what is there. It lies at or behind `base`.
    fn append(&mut self, piece: &Piece) -> Result<(), FirmwareError> {
        let end = self.base + self.bytes.len() as u64;
        if piece.address < end {
            return Err(FirmwareError::Overlap {
                address: piece.address,
            });
        }
        let bytes = piece.end() - self.base;
        if bytes > u64::from(IMAGE_BYTES_MAX) {
            return Err(FirmwareError::TooFar {
                address: piece.address,
                first: self.base,
                bytes,
            });
        }
        if piece.address > end {
            self.gaps.push(Gap {
                address: end,
                bytes: piece.address - end,
            });
            self.bytes.resize((piece.address - self.base) as usize, ERASED);
        }
        self.bytes.extend_from_slice(&piece.data);
        Ok(())
    }
}
