//! Intel 6300ESB watchdog, a PCI function, since the board itself has none. Registers as in the chapter on the watchdog
//! timer of the data sheet of Intel's 6300ESB I/O controller hub.
//!
//! It counts twice: when the first count ends it could interrupt, which nothing here listens to; when the second ends it
//! resets the board, and remembers that it did.

use crate::register::{Register, register_block};

register_block!(bus_16: u16, 0x3000_0000, 0x1000_0000);
register_block!(bus_32, 0x3000_0000, 0x1000_0000);
register_block!(bus_8: u8, 0x3000_0000, 0x1000_0000);
register_block!(timer_16: u16, 0x4000_0000, 0x10);
register_block!(timer_32, 0x4000_0000, 0x10);

/// Configuration space of bus 0, device 1, function 0 (PCI Express 7.2.2); `fleet` plugs it in there.
const FUNCTION: usize = 1 << 15;
const IDENTITY: Register = bus_32(FUNCTION);
const COMMAND: Register<u16> = bus_16(FUNCTION + 0x04);
const BASE_ADDRESS: Register = bus_32(FUNCTION + 0x10);
const CONFIGURATION: Register<u16> = bus_16(FUNCTION + 0x60);
const LOCK: Register<u8> = bus_8(FUNCTION + 0x68);

/// Device 0x25AB of vendor 0x8086.
const IDENTITY_VALUE: u32 = 0x25AB_8086;
const COMMAND_MEMORY: u16 = 1 << 1;
/// Where its registers are put: the beginning of the board's window for PCI memory.
const BASE_ADDRESS_VALUE: u32 = 0x4000_0000;
/// Counts milliseconds; the end of the first count makes no interrupt, that of the second resets.
const CONFIGURATION_VALUE: u16 = 3;
const LOCK_ENABLED: u8 = 1 << 1;

const FIRST: Register = timer_32(0x00);
const SECOND: Register = timer_32(0x04);
const RELOAD: Register<u16> = timer_16(0x0C);
/// Written to the reload register before each write to a count or to itself.
const UNLOCK: [u16; 2] = [0x80, 0x86];
const RELOAD_NOW: u16 = 1 << 8;
/// Written: forgets it. Read: the last reset was this one's.
const RELOAD_EXPIRED: u16 = 1 << 9;
/// Each count has 20 bits.
const COUNT_MAX: u32 = (1 << 20) - 1;

/// The watchdog. Once started it is never stopped.
pub struct Watchdog {
    _taken_once: (),
}

impl Watchdog {
    pub(crate) fn new() -> Self {
        plug();
        Self { _taken_once: () }
    }

    /// Starts it: unless fed within `limit_ms` it resets the board. At most 2,000,000 ms.
    pub fn start(&mut self, limit_ms: u32) {
        let count = (limit_ms / 2).clamp(1, COUNT_MAX);
        CONFIGURATION.write(CONFIGURATION_VALUE);
        for register in [FIRST, SECOND] {
            unlock();
            register.write(count);
        }
        LOCK.write(LOCK_ENABLED);
        self.feed();
    }

    /// Starts the count anew.
    pub fn feed(&mut self) {
        unlock();
        RELOAD.write(RELOAD_NOW);
    }
}

/// Gives the function its addresses. Again and again harmless: a reset takes them away, the jump to an application does not.
fn plug() {
    if is_there() {
        BASE_ADDRESS.write(BASE_ADDRESS_VALUE);
        COMMAND.write(COMMAND_MEMORY);
    }
}

fn is_there() -> bool {
    IDENTITY.read() == IDENTITY_VALUE
}

/// Whether it reset the board; forgotten by asking.
pub(crate) fn take_expired() -> bool {
    let expired = is_there() && RELOAD.read() & RELOAD_EXPIRED != 0;
    unlock();
    RELOAD.write(RELOAD_EXPIRED);
    expired
}

fn unlock() {
    for key in UNLOCK {
        RELOAD.write(key);
    }
}
