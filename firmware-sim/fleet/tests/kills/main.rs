//! Kills of QEMU at random moments in every phase of updates that fail and of updates over their remains.
//!
//! A moment is a store to the flash, chosen at random among those of a phase: what a power cut leaves behind is the flash, and
//! between two stores it does not change ([`fleet::qemu::Watch`]). Each run of the device ends in one kill. After each:
//!
//! - the bootloader, run here on what is in the flash file, finds an image to start; it is one that was signed, byte for byte,
//!   and not older than the highest ever confirmed; and it is the one the device then starts;
//! - of the payload, nothing before the last block is asked for again;
//! - of what a device with a key ever sent, no two messages were protected under one number, and none was in the clear.
//!
//! And in the end the device runs the image it was to run, and the gateway knows.
//!
//! Here a choice by a fixed seed; `scripts/soak-power kills` makes hundreds.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod phase;
#[path = "../failures_on_qemu/witness.rs"]
mod shown;
mod story;
#[path = "../support/mod.rs"]
mod support;
#[path = "../failures/table.rs"]
mod table;
mod witness;

use fleet::board::Board;
use story::Story;

/// Updates that fail, each with one over its remains, until there were so many kills and one in every phase.
fn survives(board: Board, kills: u32, seed: u64) {
    let mut story = Story::begin(board, seed);
    for _ in 0..PAIRS_MIN.max(kills / KILLS_OF_A_PAIR) {
        story.update_that_fails();
        story.update_that_holds();
        if story.kills() >= kills && story.missed().is_empty() {
            break;
        }
    }
    println!("{}", story.table());
    assert_eq!(story.missed(), [], "phases without a kill");
    table::row("aws_ota_206_the_power_is_cut_in_every_phase").check(&story.shown());
}

/// A pair of updates has 15 kills at least.
const KILLS_OF_A_PAIR: u32 = 15;
/// Pairs after which no phase may be left out.
const PAIRS_MIN: u32 = 4;

#[test]
fn a_cortex_m3_survives_kills_in_every_phase() {
    survives(Board::Mps2An385, 1, 1);
}

#[test]
fn a_risc_v_survives_kills_in_every_phase() {
    survives(Board::Virt, 1, 2);
}

/// The number in this variable of the environment.
fn told(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text:?}, which is no number")),
    )
}

#[test]
#[ignore = "minutes to hours: scripts/soak-power kills"]
fn soak() {
    let kills = told("DELTAGATE_KILLS").unwrap_or(300) as u32;
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs();
    let seed = told("DELTAGATE_KILLS_SEED").unwrap_or_else(now);
    for board in [Board::Mps2An385, Board::Virt] {
        println!("{board}: at least {kills} kills, seed {seed} (again: DELTAGATE_KILLS_SEED={seed})");
        survives(board, kills, seed);
    }
}
