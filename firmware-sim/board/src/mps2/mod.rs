//! The board's parts, one file each.

mod ethernet;
mod exception;
mod execution;
mod handover;
mod nor;
mod once;
mod register;
mod sleep;
mod start;
mod timer;
mod uart;
mod watchdog;

use core::sync::atomic::{AtomicBool, Ordering};

pub use ethernet::{ETHERNET_FRAME_BYTES_MAX, Ethernet, EthernetFault};
pub use exception::{fault_deliberately, reset, reset_after_panic, stop, uart_for_panic};
pub use execution::{ExecutionMemory, Unstartable};
pub use handover::{HANDOVER_BYTES, Handover};
pub use nor::{Nor, NorFault};
pub use once::Once;
pub use sleep::Sleep;
pub use start::stack_used_bytes;
pub use timer::Clock;
pub use uart::Uart;
pub use watchdog::Watchdog;

/// Everything on the board, each once.
pub struct Board {
    /// The serial line.
    pub uart: Uart,
    /// Milliseconds since the start.
    pub clock: Clock,
    /// The flash.
    pub flash: Nor,
    /// The network interface.
    pub ethernet: Ethernet,
    /// The watchdog, as it was before.
    pub watchdog: Watchdog,
    /// The words of RAM that survive a reset.
    pub handover: Handover,
    /// The right to sleep.
    pub sleep: Sleep,
    /// Where images run. For the bootloader; an application that takes it overwrites itself.
    pub execution: ExecutionMemory,
}

static TAKEN: AtomicBool = AtomicBool::new(false);

impl Board {
    /// The board, for the first caller; `None` for any later one.
    #[must_use]
    pub fn take() -> Option<Self> {
        if TAKEN.swap(true, Ordering::Relaxed) {
            return None;
        }
        Some(Self {
            uart: Uart::new(),
            clock: Clock::new(),
            flash: Nor::new(),
            ethernet: Ethernet::new(),
            watchdog: Watchdog::new(),
            handover: Handover::new(),
            sleep: Sleep::new(),
            execution: ExecutionMemory::new(),
        })
    }
}
