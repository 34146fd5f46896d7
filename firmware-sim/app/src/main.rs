//! The simulator's firmware: the agent, a UDP stack and the board, and a thermometer as the device's own purpose.
//!
//! One loop polls everything; nothing runs beside it. `build.rs` says which versions and broken variants there are.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod bare;
#[cfg(target_os = "none")]
mod baseline;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod network;
#[cfg(any(target_os = "none", test))]
mod thermometer;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("app: this is firmware; scripts/firmware builds it for the emulated board");
    std::process::exit(2);
}
