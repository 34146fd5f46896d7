//! From payload to verified image: the patch decoder's view of the flash, and erasing in bounded steps.

use deltagate_flash::{FlashError, ImageOffset, Region, SlotRegion};
use embedded_storage::nor_flash::NorFlash;
use wire_patch::{IoFailed, Output, ReadAt};

use crate::staging::Filling;

/// Bytes hashed in one step of work.
pub(crate) const HASH_STEP_BYTES: u32 = 1_024;

/// What the decoder reads: the running image, or the staged patch.
pub(crate) struct Source<'f, F> {
    pub(crate) region: Region<'f, F>,
    pub(crate) bytes: u32,
}

impl<F: NorFlash> ReadAt for Source<'_, F> {
    fn len(&self) -> u32 {
        self.bytes
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        self.region.read(offset, buf).map_err(|_| IoFailed)
    }
}

/// Where the decoder writes: the spare slot's image, erased before.
pub(crate) struct Target<'f, F> {
    pub(crate) slot: SlotRegion<'f, F>,
    /// Bytes appended before this step.
    pub(crate) written: u32,
}

impl<F: NorFlash> Output for Target<'_, F> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        let region = self.slot.image().map_err(|_| IoFailed)?;
        let mut filling = Filling::from(self.written);
        filling
            .push(region, bytes)
            .and_then(|()| filling.finish(region))
            .map_err(|_| IoFailed)?;
        self.written += bytes.len() as u32;
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        self.slot
            .read_image(ImageOffset(offset), buf)
            .map_err(|_| IoFailed)
    }
}

/// Sectors still to be erased, from the front.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Erasing {
    at: u32,
    end: u32,
}

impl Erasing {
    /// The sectors that the first `bytes` bytes of a region touch.
    pub(crate) const fn new(bytes: u32, sector_bytes: u32) -> Self {
        Self {
            at: 0,
            end: bytes.next_multiple_of(sector_bytes),
        }
    }

    /// The sectors of a region from `at`, the beginning of one, to its end.
    pub(crate) const fn rest(at: u32, end: u32) -> Self {
        Self { at, end }
    }

    /// Erases one sector of `region`; whether that was the last.
    pub(crate) fn step<F: NorFlash>(&mut self, region: Region<'_, F>) -> Result<bool, FlashError> {
        if self.at < self.end {
            region.erase(self.at, Region::<F>::SECTOR_BYTES)?;
            self.at += Region::<F>::SECTOR_BYTES;
        }
        Ok(self.at >= self.end)
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use deltagate_flash::sim::SimFlash;
    use deltagate_flash::{Layout, Slot};

    use super::*;

    const LAYOUT: Layout = Layout::packed(4096, 5 * 4096);

    #[test]
    fn erasing_stops_at_the_last_sector_touched() {
        let flash = RefCell::new(SimFlash::from_bytes(std::vec![0; LAYOUT.end_bytes() as usize]));
        let region = Region::new(&flash, LAYOUT.slot(Slot::B));
        let slot = SlotRegion::new(region);
        let image = slot.image().unwrap();
        let mut erasing = Erasing::new(4_097, 4_096);
        assert!(!erasing.step(image).unwrap());
        assert!(erasing.step(image).unwrap());
        assert!(slot.image().unwrap().is_erased(0, 8_192).unwrap());
        let mut next = [9; 1];
        slot.read_image(ImageOffset(8_192), &mut next).unwrap();
        assert_eq!(next, [0]);
    }
}
