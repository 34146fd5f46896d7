//! Ends of a run: fault, reset on request.
#![expect(
    unsafe_code,
    reason = "the trap handler and the instructions that cause traps"
)]

use core::arch::asm;

use super::uart::Uart;
use crate::handover::{REASON_FAULT, leave_last_words};
use crate::register::{Register, register_block};

register_block!(finisher, 0x0010_0000, 4);

/// The board's power and reset control, of the SiFive kind.
const FINISHER: Register = finisher(0);
const FINISHER_RESET: u32 = 0x7777;

/// Restarts the board. RAM and flash keep their content.
pub fn reset() -> ! {
    FINISHER.write(FINISHER_RESET);
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
    // SAFETY: the processor traps; the handler does not return.
    unsafe { asm!("unimp", options(noreturn)) }
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

// SAFETY: called by the start-up code's trap entry only, on a fresh stack, with the trap's registers.
#[unsafe(no_mangle)]
extern "C" fn board_trap(cause: usize, pc: usize, return_address: usize) -> ! {
    leave_last_words(REASON_FAULT);
    let mut uart = Uart::for_last_words();
    for (what, word) in [
        ("\nboard: fault ", cause),
        (", pc ", pc),
        (" ra ", return_address),
    ] {
        uart.send(what.as_bytes());
        uart.send_hex(word as u32);
    }
    uart.send(b"\n");
    reset()
}
