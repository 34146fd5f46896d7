//! Decides which signed image boots, and is the only code that starts one.
//!
//! The library is pure: it reads and writes a flash through `embedded-storage` traits and nothing else, so the same
//! code runs on the board, in tests with a power cut at every flash operation, and in the simulator.
//!
//! 1. [`verify_slot`] checks signature, vendor, class, size and digest of what lies in a slot.
//! 2. [`decide`] is the table: boot log and verdicts in, [`Decision`] out.
//! 3. [`run`] is a whole boot: it writes the decision to the boot log before the image starts.
//! 4. [`verify()`] is what it offers to the image that runs: the same check of a manifest.
//! 5. [`recovery`] serves a device that has nothing to start over its serial line, and for some seconds one that crashed.
//!
//! `machine`, on bare metal only, adds what takes a board: the serial line's bytes, the copy to RAM, watchdog and jump.
//! The binary is these two, for two slots; `single-slot` is another, with an updater.
//!
//! Left out on purpose: the network and the delta format. A bootloader that cannot do these cannot be attacked through them.
//! A slot is written in recovery only, and of two never the one whose image would start.

#![cfg_attr(not(test), no_std)]

mod anchors;
mod decide;
mod load;
#[cfg(target_os = "none")]
pub mod machine;
pub mod recovery;
mod run;
mod say;
mod services;
mod verify;

pub use decide::{Choice, Decision, Mode, Recovery, WINDOW_MS, decide};
pub use load::load;
pub use run::{Boot, BootEvent, run};
pub use services::verify;
pub use verify::{SlotFault, VerifiedSlot, verify_slot};
