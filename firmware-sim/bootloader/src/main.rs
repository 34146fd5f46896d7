//! The bootloader of the emulated board: what only the board can do around [`deltagate_bootloader::run`].

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod rom;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bootloader: this is firmware; scripts/firmware builds it for the emulated board");
    std::process::exit(2);
}
