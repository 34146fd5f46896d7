//! The PSRAM, played as a NOR flash: programming clears bits, erasing sets a sector, anything else is refused.
#![expect(unsafe_code, reason = "the flash is a fixed range of addresses")]

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use embedded_storage::nor_flash::{ErrorType, NorFlash, NorFlashError, NorFlashErrorKind, ReadNorFlash};

const BASE: usize = 0x2100_0000;
const CAPACITY_BYTES: usize = 16 * 1024 * 1024;
const SECTOR_BYTES: usize = 4096;
const PROGRAM_BYTES: usize = 4;

/// The flash: 16 MiB in sectors of 4,096 bytes, programmed by words.
pub struct Nor {
    _taken_once: (),
}

/// Why the flash refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NorFault {
    /// Outside the part.
    OutOfBounds,
    /// Not aligned to the word or the sector.
    NotAligned,
    /// Programming would have had to set a bit.
    BitNotErased,
}

impl NorFlashError for NorFault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::BitNotErased => NorFlashErrorKind::Other,
        }
    }
}

impl Nor {
    pub(crate) const fn new() -> Self {
        Self { _taken_once: () }
    }

    /// The memory behind it as it is, for programs that want no flash.
    #[must_use]
    pub fn into_memory(self) -> &'static mut [u8] {
        // SAFETY: the part's whole range, where no other Rust object lives. The board's `Nor` exists once and ends here.
        unsafe { core::slice::from_raw_parts_mut(with_exposed_provenance_mut(BASE), CAPACITY_BYTES) }
    }

    fn word(at: usize) -> u32 {
        debug_assert!(at < CAPACITY_BYTES && at.is_multiple_of(PROGRAM_BYTES));
        // SAFETY: inside the part, aligned; no Rust object lives there, and the board's `Nor` exists once.
        unsafe { with_exposed_provenance::<u32>(BASE + at).read_volatile() }
    }

    fn set_word(at: usize, word: u32) {
        debug_assert!(at < CAPACITY_BYTES && at.is_multiple_of(PROGRAM_BYTES));
        // SAFETY: as in `word`.
        unsafe { with_exposed_provenance_mut::<u32>(BASE + at).write_volatile(word) }
    }
}

fn check(offset: u32, bytes: usize, unit: usize) -> Result<usize, NorFault> {
    let at = offset as usize;
    if at > CAPACITY_BYTES || bytes > CAPACITY_BYTES - at {
        return Err(NorFault::OutOfBounds);
    }
    if at.is_multiple_of(unit) && bytes.is_multiple_of(unit) {
        Ok(at)
    } else {
        Err(NorFault::NotAligned)
    }
}

impl ErrorType for Nor {
    type Error = NorFault;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFault> {
        let at = check(offset, bytes.len(), 1)?;
        let mut word = [0; PROGRAM_BYTES];
        for (i, byte) in (at..).zip(bytes.iter_mut()) {
            if i == at || i.is_multiple_of(PROGRAM_BYTES) {
                word = Self::word(i - i % PROGRAM_BYTES).to_le_bytes();
            }
            *byte = word[i % PROGRAM_BYTES];
        }
        Ok(())
    }

    fn capacity(&self) -> usize {
        CAPACITY_BYTES
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = PROGRAM_BYTES;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFault> {
        let bytes = to.checked_sub(from).ok_or(NorFault::OutOfBounds)? as usize;
        let at = check(from, bytes, SECTOR_BYTES)?;
        for word in (at..at + bytes).step_by(PROGRAM_BYTES) {
            Self::set_word(word, u32::MAX);
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFault> {
        let at = check(offset, bytes.len(), PROGRAM_BYTES)?;
        let (words, _) = bytes.as_chunks::<PROGRAM_BYTES>();
        for (at, &word) in (at..).step_by(PROGRAM_BYTES).zip(words) {
            let (old, new) = (Self::word(at), u32::from_le_bytes(word));
            if old & new != new {
                return Err(NorFault::BitNotErased);
            }
            Self::set_word(at, new);
        }
        Ok(())
    }
}
