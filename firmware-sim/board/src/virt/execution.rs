//! The memory an image is copied to and runs from, so that one image fits either slot.
#![expect(unsafe_code, reason = "writes code to a fixed address and jumps there")]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

/// Where every application is linked to; `link/virt/app.ld` says the same.
const BASE: usize = 0x8010_0000;
/// What a slot holds: three sectors of 256 KiB.
const CAPACITY_BYTES: usize = 768 * 1024;
/// RAM in which an initial stack pointer makes sense.
const RAM: core::ops::RangeInclusive<u32> = 0x8000_0100..=0x8010_0000;
/// What an image begins with, as the start-up code has it: a jump, initial stack pointer, entry.
const HEAD_WORDS: usize = 3;

/// The execution memory. Empty when taken.
pub struct ExecutionMemory {
    loaded: usize,
}

/// Why what was loaded is no program for this board.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unstartable {
    /// It does not fit.
    TooLarge,
    /// Its head, which is what a vector table is elsewhere, has no stack pointer into RAM and no address in the image.
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
        if bytes.len() > CAPACITY_BYTES - self.loaded {
            return Err(Unstartable::TooLarge);
        }
        for &byte in bytes {
            // SAFETY: inside the execution memory, where the bootloader has nothing of its own (`link/virt/`).
            unsafe { with_exposed_provenance_mut::<u8>(BASE + self.loaded).write_volatile(byte) };
            self.loaded += 1;
        }
        Ok(())
    }

    /// Starts what was loaded, with its own stack. Does not return if there is something to start.
    pub fn start(self) -> Unstartable {
        // SAFETY: the first words of the execution memory are readable, whatever they hold.
        let [_, stack, entry] =
            unsafe { with_exposed_provenance_mut::<[u32; HEAD_WORDS]>(BASE).read_volatile() };
        let code = BASE as u32..(BASE + self.loaded) as u32;
        let has_head = self.loaded >= 4 * HEAD_WORDS && stack.is_multiple_of(16) && entry.is_multiple_of(2);
        if !has_head || !RAM.contains(&stack) || !code.contains(&entry) {
            return Unstartable::NoVectorTable;
        }
        // SAFETY: the checks above make this the head of a program in the loaded image. It gets its own stack, trap
        // handler and statics, so nothing of this program is used after the jump.
        unsafe {
            asm!(
                "fence rw, rw",
                "fence.i",
                "mv sp, {stack}",
                "jr {entry}",
                stack = in(reg) stack,
                entry = in(reg) entry,
                options(noreturn)
            )
        }
    }
}
