//! Where images run, and how one is started.
#![expect(unsafe_code, reason = "reads from a fixed address and jumps there")]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

use crate::execution::{ExecutionMemory, Unstartable};

/// Where every application is linked to; `link/mps2/app.ld` says the same.
pub(crate) const EXECUTION_AT: usize = 0x0010_0000;
/// To the end of the 4 MiB behind the boot ROM.
pub(crate) const EXECUTION_BYTES: usize = 0x0040_0000 - EXECUTION_AT;
/// RAM in which an initial stack pointer makes sense.
const RAM: core::ops::RangeInclusive<u32> = 0x2000_0100..=0x2040_0000;
/// Vector table offset register (ARMv7-M B3.2.5).
const VTOR: usize = 0xE000_ED08;

impl ExecutionMemory {
    /// Starts what was loaded, with its own vector table and stack. Does not return if there is something to start.
    pub fn start(self) -> Unstartable {
        // SAFETY: the first two words of the execution memory are readable, whatever they hold.
        let [stack, entry] = unsafe { with_exposed_provenance_mut::<[u32; 2]>(EXECUTION_AT).read_volatile() };
        let code = EXECUTION_AT as u32..(EXECUTION_AT + self.loaded) as u32;
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
                base = in(reg) EXECUTION_AT,
                vtor = in(reg) VTOR,
                stack = in(reg) stack,
                entry = in(reg) entry,
                options(noreturn)
            )
        }
    }
}
