//! Sleeping until a frame arrives or some time has passed.
//!
//! Interrupts are masked (PRIMASK) and never taken; a pending one still ends a `wfi` (ARMv7-M B1.5.17). So nothing runs
//! beside the main loop, and an idle device costs its host nothing.
#![expect(unsafe_code, reason = "processor instructions and the system control space")]

use core::arch::asm;

use crate::register::Register;

/// Of the Ethernet controller (Arm AN385, table 3-6).
const ETHERNET_IRQ: u32 = 13;
/// The reload value has 24 bits; at 25 MHz that is 671 ms.
const SLEEP_MS_MAX: u64 = 500;
const TICKS_PER_MS: u32 = 25_000;

/// Processor clock, exception on zero, enabled (ARMv7-M B3.3.3).
const SYSTICK_ON: u32 = 7;
/// Removes the pending state of SysTick (ARMv7-M B3.2.4).
const PENDSTCLR: u32 = 1 << 25;

macro_rules! system_register {
    ($name:ident, $address:literal) => {
        // SAFETY: a register of the system control space of every ARMv7-M (B3.2, B3.3, B3.4).
        const $name: Register = unsafe { Register::at($address) };
    };
}
system_register!(SYSTICK_CONTROL, 0xE000_E010);
system_register!(SYSTICK_RELOAD, 0xE000_E014);
system_register!(SYSTICK_CURRENT, 0xE000_E018);
system_register!(NVIC_ENABLE, 0xE000_E100);
system_register!(NVIC_UNPEND, 0xE000_E280);
system_register!(INTERRUPT_CONTROL, 0xE000_ED04);

/// The right to sleep.
pub struct Sleep {
    _taken_once: (),
}

impl Sleep {
    pub(crate) fn new() -> Self {
        // SAFETY: masks interrupts, of which this firmware takes none.
        unsafe { asm!("cpsid i", options(nomem, nostack)) };
        NVIC_ENABLE.write(1 << ETHERNET_IRQ);
        Self { _taken_once: () }
    }

    /// Sleeps for `ms`, at most half a second, or until the Ethernet controller has a frame.
    pub fn sleep(&mut self, ms: u64) {
        let ticks = ms.clamp(1, SLEEP_MS_MAX) as u32 * TICKS_PER_MS;
        SYSTICK_RELOAD.write(ticks);
        SYSTICK_CURRENT.write(0);
        SYSTICK_CONTROL.write(SYSTICK_ON);
        // SAFETY: waits for a pending interrupt, which stays masked.
        unsafe { asm!("dsb", "wfi", options(nostack)) };
        SYSTICK_CONTROL.write(0);
        INTERRUPT_CONTROL.write(PENDSTCLR);
        NVIC_UNPEND.write(1 << ETHERNET_IRQ);
    }
}
