//! A bounds-checked view of a part of the flash.

use core::cell::{RefCell, RefMut};
use core::fmt;

use embedded_storage::nor_flash::{NorFlash, NorFlashError, NorFlashErrorKind};

use crate::Partition;

/// Why a flash operation was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlashError {
    /// Misuse: the range ends outside the region.
    OutOfBounds,
    /// Misuse: offset or length is no multiple of the program unit or sector.
    Misaligned,
    /// Misuse: another operation on the flash is under way.
    Busy,
    /// The part refused or broke.
    Device(NorFlashErrorKind),
}

impl FlashError {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::OutOfBounds => "a flash range is outside its region",
            Self::Misaligned => "a flash range is not aligned",
            Self::Busy => "the flash is busy",
            Self::Device(_) => "the flash reported an error",
        }
    }
}

impl fmt::Display for FlashError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for FlashError {}

/// A range of a flash that several regions share. Offsets count from the start of the region.
///
/// Copying it copies the view. The flash is borrowed for the length of one operation only, so regions of one
/// flash can be used in turn within one function: read the running slot, program the spare one.
pub struct Region<'f, F> {
    flash: &'f RefCell<F>,
    partition: Partition,
}

impl<F> Clone for Region<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Region<'_, F> {}

impl<'f, F: NorFlash> Region<'f, F> {
    /// What one erase clears, in bytes.
    pub const SECTOR_BYTES: u32 = F::ERASE_SIZE as u32;
    /// Programming offsets and lengths are multiples of this, in bytes.
    pub const PROGRAM_BYTES: u32 = F::WRITE_SIZE as u32;

    /// The view of `partition`. A partition beyond the end of the part fails at its first use.
    #[must_use]
    pub const fn new(flash: &'f RefCell<F>, partition: Partition) -> Self {
        Self { flash, partition }
    }

    /// Length in bytes.
    #[must_use]
    pub const fn bytes(&self) -> u32 {
        self.partition.bytes
    }

    /// A narrower view, from `offset`, `bytes` long.
    ///
    /// # Errors
    /// [`FlashError::OutOfBounds`] if it is not wholly inside this one.
    pub fn sub(&self, offset: u32, bytes: u32) -> Result<Self, FlashError> {
        let at = self.place(offset, bytes)?;
        Ok(Self {
            flash: self.flash,
            partition: Partition::new(at, bytes),
        })
    }

    /// Fills `into` from `offset` on. A part that reads only whole words is read by whole words.
    ///
    /// # Errors
    /// A range outside the region, or the part's own error.
    pub fn read(&self, offset: u32, into: &mut [u8]) -> Result<(), FlashError> {
        let at = self.place(offset, length(into.len())?)?;
        self.part()?.read(at, into).map_err(device)
    }

    /// Programs `bytes` at `offset`: clears bits, never sets one. Where they were erased they read back as given.
    ///
    /// # Errors
    /// A range outside the region or not aligned to [`Region::PROGRAM_BYTES`], or the part's own error.
    pub fn program(&self, offset: u32, bytes: &[u8]) -> Result<(), FlashError> {
        let at = self.place(offset, length(bytes.len())?)?;
        aligned(at, bytes.len() as u32, Self::PROGRAM_BYTES)?;
        self.part()?.write(at, bytes).map_err(device)
    }

    /// Sets `bytes` bytes from `offset` on to 0xFF, both multiples of [`Region::SECTOR_BYTES`].
    ///
    /// # Errors
    /// A range outside the region or not whole sectors, or the part's own error.
    pub fn erase(&self, offset: u32, bytes: u32) -> Result<(), FlashError> {
        let at = self.place(offset, bytes)?;
        aligned(at, bytes, Self::SECTOR_BYTES)?;
        let end = at.checked_add(bytes).ok_or(FlashError::OutOfBounds)?;
        self.part()?.erase(at, end).map_err(device)
    }

    /// Whether `bytes` bytes from `offset` on all read 0xFF.
    ///
    /// # Errors
    /// As [`Region::read`].
    pub fn is_erased(&self, offset: u32, bytes: u32) -> Result<bool, FlashError> {
        let mut window = [0; 64];
        let mut done = 0;
        while done < bytes {
            let step = (bytes - done).min(window.len() as u32);
            let part = &mut window[..step as usize];
            self.read(offset.checked_add(done).ok_or(FlashError::OutOfBounds)?, part)?;
            if part.iter().any(|&byte| byte != 0xFF) {
                return Ok(false);
            }
            done += step;
        }
        Ok(true)
    }

    fn part(&self) -> Result<RefMut<'f, F>, FlashError> {
        self.flash.try_borrow_mut().map_err(|_| FlashError::Busy)
    }

    fn place(&self, offset: u32, bytes: u32) -> Result<u32, FlashError> {
        let end = offset.checked_add(bytes).ok_or(FlashError::OutOfBounds)?;
        if end > self.partition.bytes {
            return Err(FlashError::OutOfBounds);
        }
        self.partition
            .offset
            .checked_add(offset)
            .ok_or(FlashError::OutOfBounds)
    }
}

fn length(bytes: usize) -> Result<u32, FlashError> {
    u32::try_from(bytes).map_err(|_| FlashError::OutOfBounds)
}

fn aligned(at: u32, bytes: u32, unit: u32) -> Result<(), FlashError> {
    if at.is_multiple_of(unit) && bytes.is_multiple_of(unit) {
        Ok(())
    } else {
        Err(FlashError::Misaligned)
    }
}

fn device<E: NorFlashError>(error: E) -> FlashError {
    FlashError::Device(error.kind())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::SimFlash;

    #[test]
    fn a_region_does_not_reach_its_neighbours() {
        let flash = RefCell::new(SimFlash::new(4 * 4096));
        let region = Region::new(&flash, Partition::new(4096, 4096));
        region.program(0, &[1, 2, 3, 4]).unwrap();
        assert_eq!(region.program(4096, &[0; 4]), Err(FlashError::OutOfBounds));
        assert_eq!(region.program(4092, &[0; 8]), Err(FlashError::OutOfBounds));
        assert_eq!(region.erase(0, 8192), Err(FlashError::OutOfBounds));
        assert_eq!(region.read(u32::MAX, &mut [0; 4]), Err(FlashError::OutOfBounds));
        assert!(region.sub(4, 4096).is_err());
        assert_eq!(flash.borrow().bytes()[4096..4100], [1, 2, 3, 4]);
        assert!(flash.borrow().bytes()[..4096].iter().all(|&byte| byte == 0xFF));
    }

    #[test]
    fn ragged_ranges_are_refused_before_the_part_sees_them() {
        let flash = RefCell::new(SimFlash::new(4 * 4096));
        let region = Region::new(&flash, Partition::new(0, 8192));
        assert_eq!(region.program(2, &[0; 4]), Err(FlashError::Misaligned));
        assert_eq!(region.program(0, &[0; 3]), Err(FlashError::Misaligned));
        assert_eq!(region.erase(0, 100), Err(FlashError::Misaligned));
        assert_eq!(flash.borrow().operations(), 0);
    }

    #[test]
    fn one_programmed_bit_is_not_erased() {
        let flash = RefCell::new(SimFlash::new(4 * 4096));
        let region = Region::new(&flash, Partition::new(0, 4096));
        assert_eq!(region.is_erased(0, 4096), Ok(true));
        region.program(4092, &[0xFF, 0xFF, 0xFF, 0xFE]).unwrap();
        assert_eq!(region.is_erased(0, 4095), Ok(true));
        assert_eq!(region.is_erased(0, 4096), Ok(false));
    }
}
