//! Sleeping until a frame arrives or some time has passed.
//!
//! Interrupts are disabled (`mstatus.MIE`) and never taken; a pending one that `mie` enables still ends a `wfi` (RISC-V
//! privileged architecture, 3.3.3). So nothing runs beside the main loop, and an idle device costs its host nothing.
#![expect(unsafe_code, reason = "processor instructions")]

use core::arch::asm;

use super::ethernet;
use super::timer;
use crate::register::register_block;

register_block!(plic, 0x0C00_0000, 0x20_1000);

/// Of the first virtio transport.
const ETHERNET_IRQ: usize = 1;
/// Enable bits, priority threshold and claims of machine mode on the first hart (RISC-V PLIC 1.0, 3).
const ENABLE_AT: usize = 0x2000;
const THRESHOLD_AT: usize = 0x20_0000;
const CLAIM_AT: usize = 0x20_0004;

/// `mie`: the timer's interrupt and the PLIC's.
const TIMER_AND_EXTERNAL: u32 = 1 << 7 | 1 << 11;
/// As long as on the other board.
const SLEEP_MS_MAX: u64 = 500;

/// The right to sleep.
pub struct Sleep {
    _taken_once: (),
}

impl Sleep {
    pub(crate) fn new() -> Self {
        timer::no_alarm();
        plic(4 * ETHERNET_IRQ).write(1);
        plic(ENABLE_AT).write(1 << ETHERNET_IRQ);
        plic(THRESHOLD_AT).write(0);
        // SAFETY: the start-up code left `mstatus.MIE` clear: an interrupt becomes pending and is not taken.
        unsafe { asm!("csrw mie, {}", in(reg) TIMER_AND_EXTERNAL, options(nomem, nostack)) };
        Self { _taken_once: () }
    }

    /// Sleeps for `ms`, at most half a second, or until the network interface has a frame.
    pub fn sleep(&mut self, ms: u64) {
        timer::alarm_in(ms.clamp(1, SLEEP_MS_MAX));
        // SAFETY: waits for a pending interrupt, which stays disabled.
        unsafe { asm!("wfi", options(nomem, nostack)) };
        timer::no_alarm();
        let claimed = plic(CLAIM_AT).read();
        if claimed != 0 {
            ethernet::acknowledge_interrupt();
            plic(CLAIM_AT).write(claimed);
        }
    }
}
