//! CMSDK UART0: the line a person reads, and over which a technician brings an image.

use core::fmt;

use crate::register::register_block;

register_block!(uart, 0x4000_4000, 0x14);

const STATE_TRANSMIT_FULL: u32 = 1;
const STATE_RECEIVE_FULL: u32 = 2;
const CONTROL_TRANSMIT_AND_RECEIVE: u32 = 3;
/// The smallest divider the part accepts; the emulated line has no speed.
const BAUD_DIVIDER: u32 = 16;

/// The serial line. Lines end with a bare line feed.
pub struct Uart {
    _taken_once: (),
}

impl Uart {
    pub(crate) fn new() -> Self {
        uart(0x10).write(BAUD_DIVIDER);
        uart(0x08).write(CONTROL_TRANSMIT_AND_RECEIVE);
        Self { _taken_once: () }
    }

    /// The line again, for a handler that never returns and so cannot mix its text with anyone's.
    pub(super) fn for_last_words() -> Self {
        Self::new()
    }
}

impl Uart {
    /// Sends `bytes`, and returns when the last one is in the part.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while uart(0x04).read() & STATE_TRANSMIT_FULL != 0 {}
            uart(0x00).write(u32::from(byte));
        }
    }

    /// The byte that came in, if one did. The part holds one; the next is lost, unless who sends it waits for answers.
    pub fn receive(&mut self) -> Option<u8> {
        let is_there = uart(0x04).read() & STATE_RECEIVE_FULL != 0;
        is_there.then(|| uart(0x00).read() as u8)
    }

    /// Sends `word` as `0x` and eight digits, for programs too small to format.
    pub fn send_hex(&mut self, word: u32) {
        self.send(b"0x");
        for nibble in (0..8).rev().map(|place| (word >> (4 * place) & 0xF) as u8) {
            let letter = if nibble < 10 { b'0' } else { b'a' - 10 };
            self.send(&[letter + nibble]);
        }
    }
}

impl fmt::Write for Uart {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.send(text.as_bytes());
        Ok(())
    }
}
