//! CMSDK watchdog: the first expiry is a non-maskable interrupt, the second resets the board.

use crate::register::register_block;

register_block!(watchdog, 0x4000_8000, 0xC04);

const UNLOCK: u32 = 0x1ACC_E551;
const CONTROL_INTERRUPT_AND_RESET: u32 = 3;
const TICKS_PER_MS: u32 = 25_000;

/// The watchdog. Once started it is never stopped.
pub struct Watchdog {
    _taken_once: (),
}

impl Watchdog {
    pub(crate) const fn new() -> Self {
        Self { _taken_once: () }
    }

    /// Starts it: unless fed within `limit_ms` the handler notes the reason and resets; should even the handler be
    /// broken, the hardware resets after as long again. At most 171,000 ms.
    pub fn start(&mut self, limit_ms: u32) {
        watchdog(0xC00).write(UNLOCK);
        watchdog(0x00).write(limit_ms.saturating_mul(TICKS_PER_MS));
        watchdog(0x08).write(CONTROL_INTERRUPT_AND_RESET);
        watchdog(0xC00).write(0);
    }

    /// Starts the count anew.
    pub fn feed(&mut self) {
        watchdog(0xC00).write(UNLOCK);
        watchdog(0x0C).write(1);
        watchdog(0xC00).write(0);
    }
}
