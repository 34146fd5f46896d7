//! The emulated board, QEMU's `mps2-an385` (Cortex-M3): the only `unsafe` code of the project.
//!
//! On any other target this crate is empty. What it offers is safe to call: each driver is handed out once, by
//! [`Board::take`], and owns its registers.
//!
//! | what | where |
//! |---|---|
//! | boot ROM: the bootloader, reloaded from its file at each reset | `0x0000_0000` |
//! | execution memory: where an image is copied to and runs | `0x0010_0000` |
//! | RAM; the first 256 bytes are never initialised and survive a reset | `0x2000_0000` |
//! | PSRAM, 16 MiB, backed by a file: plays the NOR flash | `0x2100_0000` |
//! | UART0, dual timer, watchdog | `0x4000_4000`, `0x4000_2000`, `0x4000_8000` |
//! | LAN9118 Ethernet | `0x4020_0000` |

#![no_std]

#[cfg(target_os = "none")]
mod mps2;

#[cfg(target_os = "none")]
pub use mps2::*;
