//! What a measurement asks: the clock and the stack's paint that the bootloader left, and how deep a caller is.
#![expect(
    unsafe_code,
    reason = "looks at memory that belonged to another program, and at the stack pointer"
)]

use crate::register::register_block;
use crate::stack::{PAINT, top};

register_block!(timer, 0x4000_2000, 0x18);

/// The bootloader's RAM (`link/mps2/bootloader.ld`), its stack first.
const BASE: usize = 0x2000_0100;
const END: usize = 0x2001_0000;

/// Ticks of the clock since the bootloader took the board. To be asked before anyone takes it again.
#[must_use]
pub fn ticks_since_bootloader() -> u32 {
    // The timer counts down from there.
    u32::MAX - timer(0x04).read()
}

/// The lowest address of its stack that the bootloader ever wrote to.
#[must_use]
pub fn bootloader_stack_reached() -> usize {
    let painted = (BASE..END).step_by(4).take_while(|&at| {
        // SAFETY: an aligned word of RAM that no Rust object of this program lies in (`link/mps2/app.ld`).
        unsafe { core::ptr::with_exposed_provenance::<u32>(at).read_volatile() == PAINT }
    });
    BASE + 4 * painted.count()
}

/// How many bytes of the stack are in use where this is called.
#[must_use]
#[inline(always)]
pub fn stack_in_use_bytes() -> usize {
    let pointer: usize;
    // SAFETY: reads the stack pointer.
    unsafe { core::arch::asm!("mov {}, sp", out(reg) pointer, options(nomem, nostack)) };
    top() - pointer
}
