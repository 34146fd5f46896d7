//! The emulated boards: the only `unsafe` code of the project.
//!
//! A board is a folder of drivers with the same names, chosen by the processor it is built for; on any other target this
//! crate is empty. What it offers is safe to call: each driver is handed out once, by [`Board::take`], and owns its
//! registers.
//!
//! QEMU's `mps2-an385` (Cortex-M3); what is built for it also runs on `mps2-an386` (Cortex-M4):
//!
//! | what | where |
//! |---|---|
//! | boot ROM: the bootloader, reloaded from its file at each reset | `0x0000_0000` |
//! | execution memory: where an image is copied to and runs | `0x0010_0000` |
//! | RAM; the first 256 bytes are never initialised and survive a reset | `0x2000_0000` |
//! | PSRAM, 16 MiB, backed by a file: plays the NOR flash | `0x2100_0000` |
//! | UART0, dual timer, watchdog | `0x4000_4000`, `0x4000_2000`, `0x4000_8000` |
//! | LAN9118 Ethernet | `0x4020_0000` |
//!
//! QEMU's `virt` (RV32IMAC):
//!
//! | what | where |
//! |---|---|
//! | first CFI flash bank, read only: the bootloader, which runs in place | `0x2000_0000` |
//! | second CFI flash bank, 32 MiB: the flash | `0x2200_0000` |
//! | RAM; the first 256 bytes are never initialised and survive a reset | `0x8000_0000` |
//! | execution memory: where an image is copied to and runs | `0x8010_0000` |
//! | UART, machine timer, interrupt controller, reset | `0x1000_0000`, `0x0200_0000`, `0x0C00_0000`, `0x0010_0000` |
//! | virtio network interface | `0x1000_1000` |
//! | watchdog: a PCI function at `00:01.0`, its registers put at | `0x4000_0000` |

#![no_std]

#[cfg(target_os = "none")]
mod board;
#[cfg(target_os = "none")]
mod execution;
#[cfg(target_os = "none")]
mod handover;
#[cfg(target_os = "none")]
mod once;
#[cfg(all(target_os = "none", target_arch = "arm"))]
#[path = "mps2/mod.rs"]
mod parts;
#[cfg(all(target_os = "none", target_arch = "riscv32"))]
#[path = "virt/mod.rs"]
mod parts;
#[cfg(target_os = "none")]
mod register;
#[cfg(target_os = "none")]
mod services;
#[cfg(target_os = "none")]
mod stack;
#[cfg(target_os = "none")]
mod words;

/// What [`offer_services`] makes the bootloader's part of.
#[cfg(target_os = "none")]
pub use deltagate_services::{RawQuestion, SignedImage};
#[cfg(all(target_os = "none", target_arch = "arm"))]
pub use parts::{bootloader_stack_reached, stack_in_use_bytes, ticks_since_bootloader};
#[cfg(target_os = "none")]
pub use {
    board::Board,
    execution::{ExecutionMemory, Unstartable},
    handover::{HANDOVER_BYTES, Handover},
    once::Once,
    parts::{
        Clock, ETHERNET_FRAME_BYTES_MAX, Ethernet, EthernetFault, Nor, Sleep, Uart, Watchdog,
        fault_deliberately, reset, reset_after_panic, stop, uart_for_panic,
    },
    services::{BootloaderServices, Table, answer},
    stack::stack_used_bytes,
    words::NorFault,
};

/// Makes `$main`, a `fn() -> !`, the program: what runs after reset.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[expect(
            unsafe_code,
            reason = "the start-up code calls the program by this symbol"
        )]
        // SAFETY: the linker finds the symbol in start-up code only, which expects exactly this function.
        #[unsafe(no_mangle)]
        extern "C" fn board_main() -> ! {
            let main: fn() -> ! = $main;
            main()
        }
    };
}
