//! Every power cut of whole updates, and every power cut of the recovery from each: see [`deltagate_flash::sim::Explorer`].
//!
//! After each, to the end of the scenario and through one update more: an image boots; it is one that a trusted key signed for
//! this class, bit for bit; it is never older than the highest confirmed one, which rises only after a contact; at most a
//! block or a program unit is fetched again; and no rule of the part is broken.
//!
//! Here a choice by a fixed seed; `scripts/soak-power` tries them all.

#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "power/drive.rs"]
mod drive;
#[path = "power/scenario.rs"]
mod scenario;
mod support;
#[path = "power/world.rs"]
mod world;

use deltagate_flash::sim::{Explored, Limits, Rewrites, Tears};
use drive::Geometry;
use scenario::Scenario;

/// What a run of the tests has time for.
const SAMPLE: Limits = Limits {
    depth: 2,
    tears: Tears::Few,
    states_max: Some(16),
    deeper_max: Some(1),
    seed: 1,
};

fn explore<const PROGRAM: usize, const SECTOR: usize>(rewrites: Rewrites, bytes: usize, limits: Limits) {
    explore_part(
        Geometry::<PROGRAM, SECTOR> {
            rewrites,
            torn_reads_fail: false,
            bytes,
        },
        limits,
    );
}

fn explore_part<const PROGRAM: usize, const SECTOR: usize>(part: Geometry<PROGRAM, SECTOR>, limits: Limits) {
    let Geometry { rewrites, bytes, .. } = part;
    let wanted = std::env::var("DELTAGATE_SCENARIO").unwrap_or_default();
    let mut total = Explored::default();
    for scenario in Scenario::all(bytes)
        .iter()
        .filter(|scenario| scenario.name.contains(&wanted))
    {
        println!("unit {PROGRAM}, sector {SECTOR}, {rewrites:?}: {}", scenario.name);
        let (explored, _) = part.explore(scenario, limits);
        println!(
            "    {:4} operations, {:8} cuts, {:7} states, {:7} recoveries, all survived",
            explored.operations, explored.cuts, explored.states, explored.recoveries
        );
        total = total.and(explored);
    }
    println!(
        "unit {PROGRAM}, sector {SECTOR}: {} cuts, {} recoveries",
        total.cuts, total.recoveries
    );
}

#[test]
fn words_of_4_bytes_and_sectors_of_4096() {
    explore::<4, 4_096>(Rewrites::Bitwise, 5_003, SAMPLE);
}

#[test]
fn single_bytes_and_sectors_of_256() {
    explore::<1, 256>(Rewrites::Bitwise, 2_411, SAMPLE);
}

#[test]
fn words_of_8_bytes_once_and_sectors_of_2048() {
    explore::<8, 2_048>(Rewrites::Once, 3_003, SAMPLE);
}

#[test]
fn words_of_4_bytes_once_and_sectors_of_1024() {
    explore::<4, 1_024>(Rewrites::Once, 3_003, SAMPLE);
}

/// A part whose ECC makes an error of a torn word, and its driver zeros of that.
const WITH_ECC: Geometry<8, 2_048> = Geometry {
    rewrites: Rewrites::Once,
    torn_reads_fail: true,
    bytes: 3_003,
};

#[test]
fn torn_words_of_8_bytes_that_cannot_be_read() {
    explore_part(WITH_ECC, SAMPLE);
}

#[test]
fn words_of_32_bytes_once_and_sectors_of_64_kib() {
    // A copy of so large a part takes its time.
    let limits = Limits {
        states_max: Some(6),
        ..SAMPLE
    };
    explore::<32, 0x1_0000>(Rewrites::Once, 2_411, limits);
}

/// A row for each scenario: sectors erased, and how often the most erased one was, in each part of the flash.
fn print_erases<const PROGRAM: usize, const SECTOR: usize>(rewrites: Rewrites, bytes: usize) {
    let part = Geometry::<PROGRAM, SECTOR> {
        rewrites,
        torn_reads_fail: false,
        bytes,
    };
    for scenario in Scenario::all(bytes) {
        let (layout, wear) = part.wear(&scenario);
        let of = |partition: deltagate_flash::Partition| {
            let first = partition.offset as usize / SECTOR;
            let erased = &wear[first..first + partition.bytes as usize / SECTOR];
            (
                erased.iter().sum::<u32>(),
                erased.iter().max().copied().unwrap_or(0),
            )
        };
        let slots = [
            of(layout.slot_a),
            of(layout.slot_b),
            layout.staging.map_or((0, 0), of),
        ];
        let (journal, boot_log) = (of(layout.journal), of(layout.boot_log));
        println!(
            "{PROGRAM:3} {SECTOR:6} {:59} {:6} {:4} {:8} {:4} {:8} {:4}",
            scenario.name,
            slots.iter().map(|(sum, _)| sum).sum::<u32>(),
            slots.iter().map(|(_, most)| most).max().unwrap(),
            journal.0,
            journal.1,
            boot_log.0,
            boot_log.1
        );
        let updates = scenario.offers.len() as u32;
        let passes = slots.iter().map(|(_, most)| most).max().unwrap();
        assert!(
            *passes <= updates,
            "a sector of a slot is erased once for an update"
        );
        // The first erase of the journal is that of a device that never started before.
        assert!(
            journal.1 <= updates,
            "a bank of the journal is erased once for an update at most"
        );
        assert!(boot_log.1 <= updates);
    }
}

/// The table of `cargo test -p deltagate-agent --test power_cuts erases -- --nocapture`.
#[test]
fn the_erases_of_an_update_are_those_it_needs() {
    println!(
        "unit sector scenario {:50} slots most  journal most boot log most",
        ""
    );
    print_erases::<1, 256>(Rewrites::Bitwise, 2_411);
    print_erases::<4, 1_024>(Rewrites::Once, 3_003);
    print_erases::<4, 4_096>(Rewrites::Bitwise, 15_003);
    print_erases::<8, 2_048>(Rewrites::Once, 15_003);
    print_erases::<32, 0x1_0000>(Rewrites::Once, 15_003);
}

/// What `DELTAGATE_POWER_DEEPER` says of the second cuts: how many of each recovery are tried, by default all.
fn exhaustive() -> Limits {
    let deeper = std::env::var("DELTAGATE_POWER_DEEPER");
    Limits {
        depth: 2,
        tears: Tears::Many(5),
        states_max: None,
        deeper_max: deeper.ok().map(|count| count.parse().unwrap()),
        seed: 7,
    }
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_words_of_4_bytes_and_sectors_of_4096() {
    explore::<4, 4_096>(Rewrites::Bitwise, 5_003, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_single_bytes_and_sectors_of_256() {
    explore::<1, 256>(Rewrites::Bitwise, 2_411, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_words_of_4_bytes_once_and_sectors_of_1024() {
    explore::<4, 1_024>(Rewrites::Once, 3_003, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_words_of_8_bytes_once_and_sectors_of_2048() {
    explore::<8, 2_048>(Rewrites::Once, 3_003, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_torn_words_of_8_bytes_that_cannot_be_read() {
    explore_part(WITH_ECC, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_words_of_16_bytes_once_and_sectors_of_8192() {
    explore::<16, 8_192>(Rewrites::Once, 10_007, exhaustive());
}

#[test]
#[ignore = "hours: scripts/soak-power"]
fn soak_words_of_32_bytes_once_and_sectors_of_64_kib() {
    explore::<32, 0x1_0000>(Rewrites::Once, 2_411, exhaustive());
}
