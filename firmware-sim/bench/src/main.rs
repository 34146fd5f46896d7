//! Decodes the jobs that were loaded into the board's memory, and prints what each took.
//!
//! Run it with QEMU's `-icount shift=0`: an instruction is then a nanosecond of the board's clock. Flash is plain memory here:
//! what a part's driver takes for reading and programming comes on top. `fleet::decoding` is the other end.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod decode;
#[cfg(target_os = "none")]
mod firmware;
#[cfg(target_os = "none")]
mod jobs;

#[cfg(not(target_os = "none"))]
fn main() {
    eprintln!("bench: this is firmware; scripts/bench-decoder builds it and runs it on the emulated board");
    std::process::exit(2);
}
