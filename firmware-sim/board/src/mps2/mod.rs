//! The parts of `mps2-an385` and `mps2-an386`, one file each.

mod ethernet;
mod exception;
mod execution;
mod nor;
mod probe;
mod sleep;
mod start;
mod timer;
mod uart;
mod watchdog;

pub use ethernet::{ETHERNET_FRAME_BYTES_MAX, Ethernet, EthernetFault};
pub use exception::{fault_deliberately, reset, reset_after_panic, stop, uart_for_panic};
pub(crate) use execution::{EXECUTION_AT, EXECUTION_BYTES};
pub use nor::Nor;
pub(crate) use nor::{FLASH_AT, FLASH_BYTES};
pub use probe::{bootloader_stack_reached, stack_in_use_bytes, ticks_since_bootloader};
pub use sleep::Sleep;
pub use timer::Clock;
pub use uart::Uart;
pub use watchdog::Watchdog;

/// Where the bootloader is.
pub(crate) const ROM_AT: usize = 0;
/// To the end of the longest program there, `link/mps2/single-slot.ld`.
pub(crate) const ROM_BYTES: usize = 128 * 1024;

/// The first byte of RAM.
pub(crate) const RAM_AT: usize = 0x2000_0000;

/// Whether the watchdog says that it was the last reset: this one cannot, its handler leaves a note instead.
pub(crate) const fn take_watchdog_reset() -> bool {
    false
}
