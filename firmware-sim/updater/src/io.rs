//! The slot, the staged patch and the checkpoints as the decoder sees them.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use wire_patch::{CheckpointStorage, IoFailed, OUTPUT_PIECE_BYTES, Output, ReadAt};

/// Bytes programmed and read back at once: a multiple of every program unit up to 64.
const PIECE_BYTES: usize = OUTPUT_PIECE_BYTES;

/// Programs erased flash and reads it back. Pieces of nothing but 0xFF are left as they are, the end is padded with them.
pub(crate) fn program<F: NorFlash>(region: Region<'_, F>, at: u32, bytes: &[u8]) -> Result<(), FlashError> {
    const { assert!(PIECE_BYTES.is_multiple_of(F::WRITE_SIZE) && F::ERASE_SIZE.is_multiple_of(PIECE_BYTES)) };
    let mut at = at;
    for piece in bytes.chunks(PIECE_BYTES) {
        let mut wanted = [0xFF; PIECE_BYTES];
        let mut there = [0; PIECE_BYTES];
        for (place, byte) in wanted.iter_mut().zip(piece) {
            *place = *byte;
        }
        let length = piece.len().next_multiple_of(F::WRITE_SIZE);
        let (Some(wanted), Some(there)) = (wanted.get(..length), there.get_mut(..length)) else {
            return Err(FlashError::Misaligned);
        };
        if wanted.iter().any(|byte| *byte != 0xFF) {
            region.program(at, wanted)?;
        }
        region.read(at, there)?;
        if there != wanted {
            return Err(FlashError::Device(NorFlashErrorKind::Other));
        }
        at = at.checked_add(length as u32).ok_or(FlashError::OutOfBounds)?;
    }
    Ok(())
}

/// Copies a sector to another one, which is erased first.
pub(crate) fn copy_sector<F: NorFlash>(region: Region<'_, F>, from: u32, to: u32) -> Result<(), FlashError> {
    let sector = Region::<F>::SECTOR_BYTES;
    // Which sectors comes from the journal. What begins below 2^32 ends there, sectors being powers of two.
    let start = |number: u32| number.checked_mul(sector).ok_or(FlashError::OutOfBounds);
    let (from, to) = (start(from)?, start(to)?);
    region.erase(to, sector)?;
    let mut piece = [0; PIECE_BYTES];
    for offset in (0..sector).step_by(PIECE_BYTES) {
        region.read(from + offset, &mut piece)?;
        program(region, to + offset, &piece)?;
    }
    Ok(())
}

/// Bytes of known length in flash.
pub(crate) struct Stored<'f, F> {
    pub(crate) region: Region<'f, F>,
    pub(crate) at: u32,
    pub(crate) bytes: u32,
}

impl<F: NorFlash> ReadAt for Stored<'_, F> {
    fn len(&self) -> u32 {
        self.bytes
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let at = self.at.checked_add(offset).ok_or(IoFailed)?;
        self.region.read(at, buf).map_err(|_| IoFailed)
    }
}

/// The result, from the front of the slot's image on. Each sector is erased when the result gets there.
pub(crate) struct Front<'f, F> {
    pub(crate) image: Region<'f, F>,
    pub(crate) written: u32,
}

impl<F: NorFlash> Output for Front<'_, F> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let sector = Region::<F>::SECTOR_BYTES;
        let written = self.written;
        let append = || {
            if written.is_multiple_of(sector) {
                self.image.erase(written, sector)?;
            }
            program(self.image, written, bytes)
        };
        append().map_err(|_| IoFailed)?;
        self.written += bytes.len() as u32;
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        self.image.read(offset, buf).map_err(|_| IoFailed)
    }
}

/// A place for a checkpoint. Each sector is erased when the checkpoint gets there.
pub(crate) struct Place<'f, F> {
    pub(crate) region: Region<'f, F>,
    pub(crate) written: u32,
}

impl<F: NorFlash> CheckpointStorage for Place<'_, F> {
    fn append(&mut self, piece: &[u8; OUTPUT_PIECE_BYTES]) -> Result<(), IoFailed> {
        let mut front = Front {
            image: self.region,
            written: self.written,
        };
        front.append(piece)?;
        self.written = front.written;
        Ok(())
    }
}
