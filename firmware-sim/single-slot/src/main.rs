//! Bootloader and updater of the emulated Cortex-M board with a single slot, in one program outside that slot.
//!
//! # Why one program
//!
//! Whatever updates in place has to be there when the slot holds no image: it belongs to what is never updated over the air. As a
//! second stage, started by the bootloader, it would have to be stored, found and trusted by itself, and both would carry the
//! flash's driver, record logs, SHA-256 and Ed25519. Linked with the bootloader's library, nothing is there twice, and nothing
//! can be missing. The bootloader for two slots is another binary of the same library and knows nothing of this one.
//!
//! # From reset to jump
//!
//! | step | | then |
//! |---|---|---|
//! | 1 | the updater takes every step that its journal asks for | 2 |
//! | | the flash fails: once more after a pause, [`rom::FAULTS_MAX`] times; then the update is given up | 2 |
//! | 2 | the bootloader's decision, which is the only one: verify, count the attempt | image: 3; none: recovery |
//! | | there is an image, its last run ended in a fault or the watchdog, and no trial counts that | recovery, 5 s |
//! | 3 | an image that was brought by cable while the updater waited for one: the updater's journal is idle again | 4 |
//! | 4 | the image is the last resort: recovery listens first, 5 s | nobody is there: 5 |
//! | 5 | copied to where it runs, watchdog, jump | |
//!
//! Recovery is the bootloader's: a signed file over the serial line, not older than the confirmed image. It ends in a reset, but
//! for that of step 4, if nobody was there. How long it listens is `Patience`, of the bootloader's library; what is brought is
//! written over whatever the slot holds.
//!
//! A trial that fails ends in recovery, too: there is no image to go back to. The failed one is started again and again as the last
//! resort, for it may do its work, or fetch a better one; before each start a technician is listened to.

#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(all(target_os = "none", target_arch = "arm"))]
mod progress;
#[cfg(all(target_os = "none", target_arch = "arm"))]
mod rom;

#[cfg(not(all(target_os = "none", target_arch = "arm")))]
fn main() {
    eprintln!("single-slot: this is firmware; scripts/firmware builds it for the emulated board");
    std::process::exit(2);
}
