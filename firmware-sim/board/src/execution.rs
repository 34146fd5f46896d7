//! The memory an image is copied to and runs from, so that one image fits either slot. Where it is, and how an image is
//! started there, is the board's part.
#![expect(unsafe_code, reason = "writes code to a fixed address")]

use core::ptr::with_exposed_provenance_mut;

use crate::parts::{EXECUTION_AT, EXECUTION_BYTES};

/// The execution memory. Empty when taken.
pub struct ExecutionMemory {
    pub(crate) loaded: usize,
}

/// Why what was loaded is no program for this board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unstartable {
    /// It does not fit.
    TooLarge,
    /// Its first words, a vector table or what the board has in place of one, are no stack pointer into RAM and no address of
    /// code in the image.
    NoVectorTable,
}

impl ExecutionMemory {
    pub(crate) const fn new() -> Self {
        Self { loaded: 0 }
    }

    /// Puts the next bytes of an image after those before.
    ///
    /// # Errors
    /// [`Unstartable::TooLarge`].
    pub fn load(&mut self, bytes: &[u8]) -> Result<(), Unstartable> {
        if bytes.len() > EXECUTION_BYTES - self.loaded {
            return Err(Unstartable::TooLarge);
        }
        for &byte in bytes {
            // SAFETY: inside the execution memory, where the bootloader has nothing of its own (`link/`).
            unsafe { with_exposed_provenance_mut::<u8>(EXECUTION_AT + self.loaded).write_volatile(byte) };
            self.loaded += 1;
        }
        Ok(())
    }
}
