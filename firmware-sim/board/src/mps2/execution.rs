//! The memory an image is copied to and runs from, so that one image fits either slot.
#![expect(unsafe_code, reason = "writes code to a fixed address and jumps there")]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

/// Where every application is linked to; `link/mps2/app.ld` says the same.
const BASE: usize = 0x0010_0000;
/// To the end of the 4 MiB behind the boot ROM.
const CAPACITY_BYTES: usize = 0x0040_0000 - BASE;
/// RAM in which an initial stack pointer makes sense.
const RAM: core::ops::RangeInclusive<u32> = 0x2000_0100..=0x2040_0000;
/// Vector table offset register (ARMv7-M B3.2.5).
const VTOR: usize = 0xE000_ED08;

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
    /// Its first two words are no stack pointer into RAM and no Thumb address in the image.
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
            // SAFETY: inside the execution memory, where the bootloader has nothing of its own (`link/mps2/`).
            unsafe { with_exposed_provenance_mut::<u8>(BASE + self.loaded).write_volatile(byte) };
            self.loaded += 1;
        }
        Ok(())
    }

    /// Starts what was loaded, with its own vector table and stack. Does not return if there is something to start.
    pub fn start(self) -> Unstartable {
        // SAFETY: the first two words of the execution memory are readable, whatever they hold.
        let [stack, entry] = unsafe { with_exposed_provenance_mut::<[u32; 2]>(BASE).read_volatile() };
        let code = BASE as u32..(BASE + self.loaded) as u32;
        if self.loaded < 8 || !RAM.contains(&stack) || !code.contains(&entry) || entry & 1 == 0 {
            return Unstartable::NoVectorTable;
        }
        // SAFETY: the checks above make this a vector table of a Thumb program in the loaded image. It gets its own
        // stack and initialises its own statics, so nothing of this program is used after the jump.
        unsafe {
            asm!(
                "cpsid i",
                "str {base}, [{vtor}]",
                "dsb",
                "isb",
                "msr msp, {stack}",
                "cpsie i",
                "bx {entry}",
                base = in(reg) BASE,
                vtor = in(reg) VTOR,
                stack = in(reg) stack,
                entry = in(reg) entry,
                options(noreturn)
            )
        }
    }
}
