//! Ends of a run: watchdog, fault, reset on request.
#![expect(
    unsafe_code,
    reason = "exception handlers and the instructions that cause them"
)]

use core::arch::asm;

use super::uart::Uart;
use crate::handover::{REASON_FAULT, REASON_WATCHDOG, leave_last_words};
use crate::register::Register;

/// Where an exception frame can be read without another fault.
const RAM: core::ops::Range<usize> = 0x2000_0000..0x2040_0000;
/// r0-r3, r12, lr, pc, xpsr (ARMv7-M B1.5.6).
const FRAME_WORDS: usize = 8;
const FRAME_LR: usize = 5;
const FRAME_PC: usize = 6;

/// Application interrupt and reset control (ARMv7-M B3.2.6): SYSRESETREQ with its key.
const RESET_REQUEST: u32 = 0x05FA_0004;

/// Restarts the board. RAM and flash keep their content.
pub fn reset() -> ! {
    // SAFETY: the address of AIRCR on every ARMv7-M.
    let control = unsafe { Register::at(0xE000_ED0C) };
    control.write(RESET_REQUEST);
    loop {
        core::hint::spin_loop();
    }
}

/// Ends the program for good, asleep: for a device that waits for a technician.
pub fn stop() -> ! {
    loop {
        // SAFETY: waits for an interrupt, touches nothing.
        unsafe { asm!("wfi", options(nomem, nostack)) };
    }
}

/// Executes an instruction that does not exist: what a broken program does.
pub fn fault_deliberately() -> ! {
    // SAFETY: the processor takes a fault; the handler does not return.
    unsafe { asm!("udf #1", options(noreturn)) }
}

/// Notes that this run ended in a panic, and restarts. For panic handlers, after their message.
pub fn reset_after_panic() -> ! {
    leave_last_words(REASON_FAULT);
    reset()
}

/// A UART for a panic handler, which never returns.
#[must_use]
pub fn uart_for_panic() -> Uart {
    Uart::for_last_words()
}

/// The program counter and link register that the processor stacked, if its stack pointer was one.
fn interrupted(frame: usize) -> (u32, u32) {
    if !frame.is_multiple_of(4) || !RAM.contains(&frame) || RAM.end - frame < 4 * FRAME_WORDS {
        return (0, 0);
    }
    // SAFETY: aligned and inside RAM; the processor wrote the frame, or it is any words.
    let words = unsafe { core::ptr::with_exposed_provenance::<[u32; FRAME_WORDS]>(frame).read_volatile() };
    (words[FRAME_PC], words[FRAME_LR])
}

fn say_where(what: &[u8], frame: usize) {
    let (pc, lr) = interrupted(frame);
    let mut uart = Uart::for_last_words();
    uart.send(what);
    uart.send_hex(pc);
    uart.send(b" lr ");
    uart.send_hex(lr);
    uart.send(b"\n");
}

// SAFETY: called by the start-up code's entry only, on a fresh stack, with the interrupted stack pointer.
#[unsafe(no_mangle)]
extern "C" fn board_watchdog(frame: usize) -> ! {
    leave_last_words(REASON_WATCHDOG);
    say_where(b"\nboard: watchdog, pc ", frame);
    reset()
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn board_fault(frame: usize) -> ! {
    leave_last_words(REASON_FAULT);
    say_where(b"\nboard: fault, pc ", frame);
    reset()
}
