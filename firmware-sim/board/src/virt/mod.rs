//! The parts of `virt` for RISC-V, one file each.

mod ethernet;
mod exception;
mod execution;
mod nor;
mod queue;
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
pub use sleep::Sleep;
pub use timer::Clock;
pub use uart::Uart;
pub use watchdog::Watchdog;
pub(crate) use watchdog::take_expired as take_watchdog_reset;

/// Where the bootloader is.
pub(crate) const ROM_AT: usize = 0x2000_0000;
/// As long as `link/virt/bootloader.ld` allows.
pub(crate) const ROM_BYTES: usize = 128 * 1024;

/// The first byte of RAM.
pub(crate) const RAM_AT: usize = 0x8000_0000;
