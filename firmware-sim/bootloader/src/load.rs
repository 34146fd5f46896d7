//! From a slot to where the image runs.

use core::cell::RefCell;

use deltagate_flash::{ImageOffset, Layout, Region, SlotRegion};
use deltagate_services::Sha256;
use embedded_storage::nor_flash::NorFlash;

use crate::{SlotFault, VerifiedSlot};

/// How much of the image is on the stack at a time.
const LOADED_AT_ONCE_BYTES: usize = 256;

/// Gives a verified image to `put`, part by part, which copies it to where it runs and says whether it could.
///
/// What is hashed is what was copied. The slot was verified before, but its bytes are read once more: a flash outside of the processor
/// may have been made to say something else since.
///
/// # Errors
/// [`SlotFault`]: what was copied must not be started.
pub fn load<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    image: &VerifiedSlot,
    put: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), SlotFault> {
    let slot = SlotRegion::new(Region::new(flash, layout.slot(image.slot)));
    let mut hash = Sha256::new();
    let mut part = [0; LOADED_AT_ONCE_BYTES];
    for at in (0..image.image_bytes).step_by(LOADED_AT_ONCE_BYTES) {
        let length = part.len().min((image.image_bytes - at) as usize);
        let (part, _) = part.split_at_mut(length);
        slot.read_image(ImageOffset(at), part)?;
        hash.update(part);
        if !put(part) {
            return Err(SlotFault::Size);
        }
    }
    if hash.finish() != image.image_digest {
        return Err(SlotFault::Changed);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use deltagate_flash::Slot;
    use deltagate_flash::sim::SimFlash;
    use sha2::{Digest, Sha256};

    use super::*;

    const LAYOUT: Layout = Layout::packed(4096, 3 * 4096);

    /// A slot with this image, and what a check of it said.
    fn slot_with(image: &[u8]) -> (RefCell<SimFlash>, VerifiedSlot) {
        let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
        let padded = [image, &[0xFF; 4][..image.len().next_multiple_of(4) - image.len()]].concat();
        SlotRegion::new(Region::new(&flash, LAYOUT.slot_b))
            .program_image(ImageOffset(0), &padded)
            .unwrap();
        let verified = VerifiedSlot {
            slot: Slot::B,
            sequence: 1,
            image_bytes: image.len() as u32,
            image_digest: Sha256::digest(image).into(),
            predecessor_min: 0,
            retired: false,
        };
        (flash, verified)
    }

    #[test]
    fn the_image_arrives_whole_whatever_its_length() {
        for length in [0, 1, 255, 256, 257, 1_000] {
            let image: Vec<u8> = (0..length).map(|i| (i % 251) as u8).collect();
            let (flash, verified) = slot_with(&image);
            let mut copied = Vec::new();
            let loaded = load(&flash, &LAYOUT, &verified, &mut |part| {
                copied.extend(part);
                true
            });
            assert_eq!((loaded, copied), (Ok(()), image));
        }
    }

    #[test]
    fn what_was_exchanged_after_the_check_is_not_started() {
        let (flash, verified) = slot_with(&[7; 600]);
        let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot_b));
        // A bit of a byte that the loader has not come to yet.
        let mut copied = 0;
        let loaded = load(&flash, &LAYOUT, &verified, &mut |part| {
            copied += part.len();
            slot.program_image(ImageOffset(512), &[3, 7, 7, 7]).unwrap();
            true
        });
        assert_eq!((loaded, copied), (Err(SlotFault::Changed), 600));
    }

    #[test]
    fn an_image_that_does_not_fit_is_not_started() {
        let (flash, verified) = slot_with(&[7; 600]);
        assert_eq!(
            load(&flash, &LAYOUT, &verified, &mut |_| false),
            Err(SlotFault::Size)
        );
    }
}
