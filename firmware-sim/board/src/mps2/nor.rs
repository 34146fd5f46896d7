//! The PSRAM, played as a NOR flash: programming clears bits, erasing sets a sector, anything else is refused.
#![expect(unsafe_code, reason = "hands out the range of the flash as memory")]

use core::ptr::with_exposed_provenance_mut;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::words::{self, NorFault, WORD_BYTES, check, set_word, word};

pub(crate) const FLASH_AT: usize = 0x2100_0000;
pub(crate) const FLASH_BYTES: usize = 16 * 1024 * 1024;
const SECTOR_BYTES: usize = 4096;

/// The flash: 16 MiB in sectors of 4,096 bytes, programmed by words.
pub struct Nor {
    _taken_once: (),
}

impl Nor {
    pub(crate) const fn new() -> Self {
        Self { _taken_once: () }
    }

    /// The memory behind it as it is, for programs that want no flash.
    #[must_use]
    pub fn into_memory(self) -> &'static mut [u8] {
        // SAFETY: the part's whole range, where no other Rust object lives. The board's `Nor` exists once and ends here.
        unsafe { core::slice::from_raw_parts_mut(with_exposed_provenance_mut(FLASH_AT), FLASH_BYTES) }
    }
}

impl ErrorType for Nor {
    type Error = NorFault;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFault> {
        words::read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        FLASH_BYTES
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = WORD_BYTES;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFault> {
        let bytes = to.checked_sub(from).ok_or(NorFault::OutOfBounds)? as usize;
        let at = check(from, bytes, SECTOR_BYTES)?;
        for word in (at..at + bytes).step_by(WORD_BYTES) {
            set_word(word, u32::MAX);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFault> {
        let at = check(offset, bytes.len(), WORD_BYTES)?;
        let (words, _) = bytes.as_chunks::<WORD_BYTES>();
        for (at, &bytes) in (at..).step_by(WORD_BYTES).zip(words) {
            let (old, new) = (word(at), u32::from_le_bytes(bytes));
            if old & new != new {
                return Err(NorFault::BitNotErased);
            }
            set_word(at, new);
        }
        Ok(())
    }
}
