//! A SHA-256 over flash, all at once or in bounded steps.

use deltagate_services::Sha256;
use embedded_storage::nor_flash::NorFlash;

use crate::{FlashError, Region};

/// How much of it is in RAM at a time: four SHA-256 blocks.
const WINDOW_BYTES: u32 = 256;

/// A SHA-256 under way, whoever computes it.
pub trait Hash {
    /// Hashes `bytes` after what was hashed before.
    fn update(&mut self, bytes: &[u8]);

    /// The digest of all that was hashed; called once.
    fn finish(&mut self) -> [u8; 32];
}

impl Hash for Sha256 {
    fn update(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }

    fn finish(&mut self) -> [u8; 32] {
        self.finish()
    }
}

/// What was hashed so far. In RAM only: after a restart one begins anew.
#[derive(Clone, Debug)]
pub struct Hashing<H = Sha256> {
    hash: H,
    at: u32,
    end: u32,
}

impl Hashing {
    /// Hashes `bytes` bytes from `at` of a region on. That they are all there is seen when they are read.
    #[must_use]
    pub fn new(at: u32, bytes: u32) -> Self {
        Self::with(Sha256::new(), at, bytes)
    }
}

impl<H: Hash> Hashing<H> {
    /// As [`Hashing::new`], by a hash of nothing.
    #[must_use]
    pub fn with(hash: H, at: u32, bytes: u32) -> Self {
        Self {
            hash,
            at,
            end: at.saturating_add(bytes),
        }
    }

    /// Hashes at most `bytes` more; the digest when these were the last.
    ///
    /// # Errors
    /// The flash's. [`FlashError::OutOfBounds`] when the region ends before.
    pub fn step<F: NorFlash>(
        &mut self,
        region: Region<'_, F>,
        bytes: u32,
    ) -> Result<Option<[u8; 32]>, FlashError> {
        let step_end = self.end.min(self.at.saturating_add(bytes));
        let mut window = [0; WINDOW_BYTES as usize];
        while self.at < step_end {
            let length = (step_end - self.at).min(WINDOW_BYTES);
            // Never out of bounds; an index would link a panic where code is compiled for size.
            let part = window.get_mut(..length as usize).ok_or(FlashError::OutOfBounds)?;
            region.read(self.at, part)?;
            self.hash.update(part);
            self.at += length;
        }
        Ok((self.at >= self.end).then(|| self.hash.finish()))
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use sha2::Digest;

    use super::*;
    use crate::Layout;
    use crate::sim::SimFlash;

    const LAYOUT: Layout = Layout::packed(4096, 5 * 4096);

    /// The digest, and in how many steps it was taken.
    fn stepped(hashing: &mut Hashing, region: Region<'_, SimFlash>, bytes: u32) -> ([u8; 32], u32) {
        let mut steps = 0;
        loop {
            steps += 1;
            if let Some(digest) = hashing.step(region, bytes).unwrap() {
                return (digest, steps);
            }
        }
    }

    #[test]
    fn hashing_in_steps_is_hashing() {
        let content: std::vec::Vec<u8> = (0..LAYOUT.end_bytes()).map(|i| (i % 253) as u8).collect();
        let flash = RefCell::new(SimFlash::from_bytes(content.clone()));
        let region = Region::new(&flash, LAYOUT.slot_a);
        for (at, bytes) in [(0, 0), (0, 1), (4_096, 1_024), (4_097, 3_001)] {
            let start = (LAYOUT.slot_a.offset + at) as usize;
            let expected: [u8; 32] = sha2::Sha256::digest(&content[start..start + bytes as usize]).into();
            for step in [1_024, 4_096, u32::MAX] {
                let (digest, steps) = stepped(&mut Hashing::new(at, bytes), region, step);
                assert_eq!(digest, expected);
                assert_eq!(steps, bytes.div_ceil(step).max(1));
            }
        }
    }

    #[test]
    fn what_ends_outside_the_region_has_no_digest() {
        let flash = RefCell::new(SimFlash::from_bytes(std::vec![0; LAYOUT.end_bytes() as usize]));
        let region = Region::new(&flash, LAYOUT.slot_a);
        for (at, bytes) in [(0, LAYOUT.slot_a.bytes + 1), (1, u32::MAX)] {
            let ended = Hashing::new(at, bytes).step(region, u32::MAX);
            assert_eq!(ended, Err(FlashError::OutOfBounds));
        }
    }
}
