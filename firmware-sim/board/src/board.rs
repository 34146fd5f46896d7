//! What is on a board, handed out once.

use core::sync::atomic::{AtomicBool, Ordering};

use crate::{Clock, Ethernet, ExecutionMemory, Handover, Nor, Sleep, Uart, Watchdog};

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
