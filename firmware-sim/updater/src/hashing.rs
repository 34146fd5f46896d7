//! A SHA-256 over flash, in bounded steps.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::NorFlash;
use sha2::{Digest, Sha256};

/// Bytes hashed in one step.
const STEP_BYTES: u32 = 4_096;
/// Bytes of it on the stack.
const WINDOW_BYTES: usize = 256;

/// What was hashed so far.
#[derive(Clone, Debug)]
pub(crate) struct Hashing {
    hash: Sha256,
    at: u32,
    end: u32,
}

impl Hashing {
    /// Of the first `bytes` bytes of a region.
    pub(crate) fn new(bytes: u32) -> Self {
        Self {
            hash: Sha256::new(),
            at: 0,
            end: bytes,
        }
    }

    /// One step; the digest when it was the last.
    pub(crate) fn step<F: NorFlash>(
        &mut self,
        region: Region<'_, F>,
    ) -> Result<Option<[u8; 32]>, FlashError> {
        let step_end = self.end.min(self.at.saturating_add(STEP_BYTES));
        let mut window = [0; WINDOW_BYTES];
        while self.at < step_end {
            let length = (step_end - self.at).min(WINDOW_BYTES as u32);
            let part = window.get_mut(..length as usize).ok_or(FlashError::OutOfBounds)?;
            region.read(self.at, part)?;
            self.hash.update(&*part);
            self.at += length;
        }
        Ok((self.at >= self.end).then(|| self.hash.finalize_reset().into()))
    }
}
