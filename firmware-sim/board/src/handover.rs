//! Words of RAM that no start-up code initialises: they survive a reset, and a jump from bootloader to application.
//!
//! ```text
//! start of RAM  what the bootloader hands over, 16 bytes, not interpreted here
//! + 16          0x4C45_4654 when a reason follows
//! + 20          reason: how the last run ended
//! + 24          whom the bootloader believes, 180 bytes, not interpreted here
//! ```
//!
//! A board whose watchdog says itself that it was the last reset is asked first.
#![expect(unsafe_code, reason = "fixed addresses that both programs know")]

use core::ptr::with_exposed_provenance_mut;

use crate::parts::{RAM_AT as BASE, take_watchdog_reset};

/// What the bootloader hands over, in bytes.
pub const HANDOVER_BYTES: usize = 16;

/// What it says of whom it believes, in bytes.
const TRUST_BYTES: usize = 180;

const TRUST_AT: usize = LEFT_AT + 8;
const _: () = assert!(TRUST_AT + TRUST_BYTES <= BASE + 256);

const LEFT_MAGIC: u32 = 0x4C45_4654;
const LEFT_AT: usize = BASE + HANDOVER_BYTES;

/// The reasons that a board notes itself, as the boot log numbers them.
pub(crate) const REASON_WATCHDOG: u8 = 11;
pub(crate) const REASON_FAULT: u8 = 12;

/// The surviving words.
pub struct Handover {
    _taken_once: (),
}

impl Handover {
    pub(crate) const fn new() -> Self {
        Self { _taken_once: () }
    }

    /// Leaves `bytes` for the application.
    pub fn hand_over(&mut self, bytes: [u8; HANDOVER_BYTES]) {
        // SAFETY: both linker scripts keep the first 256 bytes of RAM out of every section; the type has no padding.
        unsafe { with_exposed_provenance_mut::<[u8; HANDOVER_BYTES]>(BASE).write_volatile(bytes) }
    }

    /// What lies there: the bootloader's bytes, or whatever the RAM held when it was switched on.
    #[must_use]
    pub fn handed_over(&self) -> [u8; HANDOVER_BYTES] {
        // SAFETY: as above, and aligned; any bytes are a value of this type.
        let words = unsafe { with_exposed_provenance_mut::<[u32; HANDOVER_BYTES / 4]>(BASE).read_volatile() };
        let mut bytes = [0; HANDOVER_BYTES];
        for (place, word) in bytes.as_chunks_mut().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        bytes
    }

    /// Leaves `bytes` there for the application as well.
    pub fn hand_trust_over(&mut self, bytes: [u8; TRUST_BYTES]) {
        for (word, at) in bytes.as_chunks().0.iter().zip((TRUST_AT..).step_by(4)) {
            // SAFETY: aligned words of the reserved RAM.
            unsafe { with_exposed_provenance_mut::<u32>(at).write_volatile(u32::from_le_bytes(*word)) }
        }
    }

    /// What lies there of that, as with [`Handover::handed_over`].
    #[must_use]
    pub fn trust_handed_over(&self) -> [u8; TRUST_BYTES] {
        let mut bytes = [0; TRUST_BYTES];
        // Word by word in a loop: an array read at once is an instruction for each byte.
        for (place, at) in bytes.as_chunks_mut().0.iter_mut().zip((TRUST_AT..).step_by(4)) {
            // SAFETY: aligned words of the reserved RAM.
            *place = unsafe { with_exposed_provenance_mut::<u32>(at).read_volatile() }.to_le_bytes();
        }
        bytes
    }

    /// How the last run ended, if it could say; forgotten by asking.
    pub fn take_left_behind(&mut self) -> Option<u8> {
        // SAFETY: two aligned words of the reserved RAM.
        let [magic, reason] = unsafe { with_exposed_provenance_mut::<[u32; 2]>(LEFT_AT).read_volatile() };
        leave(0, 0);
        if take_watchdog_reset() {
            return Some(REASON_WATCHDOG);
        }
        (magic == LEFT_MAGIC).then_some(reason as u8)
    }

    /// Notes for the next boot how this run ends.
    pub fn leave_behind(&mut self, reason: u8) {
        leave(LEFT_MAGIC, reason);
    }
}

/// For handlers, which cannot own the [`Handover`]: they never return, so nobody reads in between.
pub(crate) fn leave_last_words(reason: u8) {
    leave(LEFT_MAGIC, reason);
}

fn leave(magic: u32, reason: u8) {
    // SAFETY: two aligned words of the reserved RAM.
    unsafe { with_exposed_provenance_mut::<[u32; 2]>(LEFT_AT).write_volatile([magic, u32::from(reason)]) }
}
