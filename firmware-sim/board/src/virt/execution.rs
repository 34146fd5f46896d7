//! Where images run, and how one is started.
#![expect(unsafe_code, reason = "reads from a fixed address and jumps there")]

use core::arch::asm;
use core::ptr::with_exposed_provenance_mut;

use crate::execution::{ExecutionMemory, Unstartable};

/// Where every application is linked to; `link/virt/app.ld` says the same.
pub(crate) const EXECUTION_AT: usize = 0x8010_0000;
/// What a slot holds: three sectors of 256 KiB.
pub(crate) const EXECUTION_BYTES: usize = 768 * 1024;
/// RAM in which an initial stack pointer makes sense.
const RAM: core::ops::RangeInclusive<u32> = 0x8000_0100..=0x8010_0000;
/// What an image begins with, as the start-up code has it: a jump, initial stack pointer, entry.
const HEAD_WORDS: usize = 3;

impl ExecutionMemory {
    /// Starts what was loaded, with its own stack. Does not return if there is something to start.
    pub fn start(self) -> Unstartable {
        // SAFETY: the first words of the execution memory are readable, whatever they hold.
        let [_, stack, entry] =
            unsafe { with_exposed_provenance_mut::<[u32; HEAD_WORDS]>(EXECUTION_AT).read_volatile() };
        let code = EXECUTION_AT as u32..(EXECUTION_AT + self.loaded) as u32;
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
