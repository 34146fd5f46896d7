//! CMSDK UART0, transmitting only: the line a person reads.

use core::fmt;

use super::register::register_block;

register_block!(uart, 0x4000_4000, 0x14);

const STATE_TRANSMIT_FULL: u32 = 1;
const CONTROL_TRANSMIT: u32 = 1;
/// The smallest divider the part accepts; the emulated line has no speed.
const BAUD_DIVIDER: u32 = 16;

/// The serial line. Lines end with a bare line feed.
pub struct Uart {
    _taken_once: (),
}

impl Uart {
    pub(super) fn new() -> Self {
        uart(0x10).write(BAUD_DIVIDER);
        uart(0x08).write(CONTROL_TRANSMIT);
        Self { _taken_once: () }
    }

    /// The line again, for a handler that never returns and so cannot mix its text with anyone's.
    pub(super) fn for_last_words() -> Self {
        Self::new()
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            while uart(0x04).read() & STATE_TRANSMIT_FULL != 0 {}
            uart(0x00).write(u32::from(byte));
        }
        Ok(())
    }
}
