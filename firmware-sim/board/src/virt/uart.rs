//! 16550 UART: the line a person reads, and over which a technician reaches the device.

use core::fmt;

use crate::register::register_block;

register_block!(uart: u8, 0x1000_0000, 8);

const DATA: usize = 0;
const LINE_STATUS: usize = 5;
const STATUS_TRANSMIT_EMPTY: u8 = 0x20;
const STATUS_RECEIVED: u8 = 0x01;
const LINE_CONTROL: usize = 3;
/// Eight bits, no parity, one stop bit. The emulated line has no speed.
const CONTROL_8N1: u8 = 3;

/// The serial line. Lines end with a bare line feed.
pub struct Uart {
    _taken_once: (),
}

impl Uart {
    pub(crate) fn new() -> Self {
        uart(LINE_CONTROL).write(CONTROL_8N1);
        Self { _taken_once: () }
    }

    /// The line again, for a handler that never returns and so cannot mix its text with anyone's.
    pub(super) fn for_last_words() -> Self {
        Self::new()
    }

    /// Sends `bytes`, and returns when the last one is in the part.
    pub fn send(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            while uart(LINE_STATUS).read() & STATUS_TRANSMIT_EMPTY == 0 {}
            uart(DATA).write(byte);
        }
    }

    /// The byte that came in, if one did. The part holds one; the next is lost, unless who sends it waits for answers.
    pub fn receive(&mut self) -> Option<u8> {
        let is_there = uart(LINE_STATUS).read() & STATUS_RECEIVED != 0;
        is_there.then(|| uart(DATA).read())
    }

    /// Sends `word` as `0x` and eight digits, for programs too small to format.
    pub(super) fn send_hex(&mut self, word: u32) {
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
