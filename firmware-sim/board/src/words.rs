//! A flash that the processor sees as memory: its words, and the reads and bounds that drivers of such parts share.
#![expect(unsafe_code, reason = "the flash is a fixed range of addresses")]

use core::ptr::{with_exposed_provenance, with_exposed_provenance_mut};

use embedded_storage::nor_flash::{NorFlashError, NorFlashErrorKind};

use crate::parts::{FLASH_AT, FLASH_BYTES};

/// The width of the bus, on both boards.
pub(crate) const WORD_BYTES: usize = 4;

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
    /// It is not the part that the driver was written for.
    UnknownPart,
    /// The part reports a failure, or never gets ready.
    Failed,
}

impl NorFlashError for NorFault {
    fn kind(&self) -> NorFlashErrorKind {
        match self {
            Self::OutOfBounds => NorFlashErrorKind::OutOfBounds,
            Self::NotAligned => NorFlashErrorKind::NotAligned,
            Self::BitNotErased | Self::UnknownPart | Self::Failed => NorFlashErrorKind::Other,
        }
    }
}

/// The word at an offset, which is inside the part and aligned.
pub(crate) fn word(at: usize) -> u32 {
    debug_assert!(at < FLASH_BYTES && at.is_multiple_of(WORD_BYTES));
    // SAFETY: inside the part, aligned; no Rust object lives there.
    unsafe { with_exposed_provenance::<u32>(FLASH_AT + at).read_volatile() }
}

/// Writes one, for whoever has the board's `Nor`.
pub(crate) fn set_word(at: usize, word: u32) {
    debug_assert!(at < FLASH_BYTES && at.is_multiple_of(WORD_BYTES));
    // SAFETY: as in `word`; the board's `Nor` exists once and is borrowed meanwhile.
    unsafe { with_exposed_provenance_mut::<u32>(FLASH_AT + at).write_volatile(word) }
}

/// Where a range begins, if it is inside the part and made of whole units.
pub(crate) fn check(offset: u32, bytes: usize, unit: usize) -> Result<usize, NorFault> {
    let at = offset as usize;
    if at > FLASH_BYTES || bytes > FLASH_BYTES - at {
        return Err(NorFault::OutOfBounds);
    }
    if at.is_multiple_of(unit) && bytes.is_multiple_of(unit) {
        Ok(at)
    } else {
        Err(NorFault::NotAligned)
    }
}

/// Reads any range, by words.
pub(crate) fn read(offset: u32, bytes: &mut [u8]) -> Result<(), NorFault> {
    let at = check(offset, bytes.len(), 1)?;
    let mut there = [0; WORD_BYTES];
    for (i, byte) in (at..).zip(bytes.iter_mut()) {
        if i == at || i.is_multiple_of(WORD_BYTES) {
            there = word(i - i % WORD_BYTES).to_le_bytes();
        }
        *byte = there[i % WORD_BYTES];
    }
    Ok(())
}
