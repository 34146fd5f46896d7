//! Images use the services of the bootloader they meet, and one that meets none they can use runs no update.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::path::Path;

use deltagate_services::table::{MAGIC, SERVICES_AT, TABLE_BYTES, VERSION};
use fleet::board::Board;
use fleet::firmware::Firmware;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use tempfile::TempDir;

/// The words of a table.
const WORDS: usize = TABLE_BYTES as usize / 4;

/// A rig whose bootloader has another table, and the folder with it.
fn rig_with_table(board: Board, alter: impl FnOnce(&mut [u32; WORDS])) -> (Rig, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let built = Firmware::of_checkout(board).bootloader(board).unwrap();
    for file in std::fs::read_dir(built.parent().unwrap()).unwrap() {
        let file = file.unwrap();
        if file.path() != built {
            std::os::unix::fs::symlink(
                file.path().canonicalize().unwrap(),
                folder.path().join(file.file_name()),
            )
            .unwrap();
        }
    }
    let mut bootloader = std::fs::read(&built).unwrap();
    alter_table(&mut bootloader, alter);
    std::fs::write(folder.path().join(built.file_name().unwrap()), bootloader).unwrap();
    let firmware = Firmware::at(folder.path());
    (support::rig_of(board, firmware, LinkProfile::FAST), folder)
}

/// Where the table is in a file.
fn table_at(file: &[u8]) -> usize {
    let found: Vec<usize> = (0..file.len() - usize::from(TABLE_BYTES))
        .filter(|&at| file[at..].starts_with(&MAGIC.to_le_bytes()))
        .collect();
    let [at] = found[..] else {
        panic!("the bootloader has {} tables of services", found.len())
    };
    at
}

fn alter_table(file: &mut [u8], alter: impl FnOnce(&mut [u32; WORDS])) {
    let at = table_at(file);
    let (bytes, _) = file[at..].as_chunks_mut::<4>();
    let mut words: [u32; WORDS] = std::array::from_fn(|i| u32::from_le_bytes(bytes[i]));
    let sum = words.iter().fold(0_u32, |sum, word| sum.wrapping_add(*word));
    assert_eq!(sum, 0, "the linker script adds up another table than was built");
    alter(&mut words);
    for (place, word) in bytes.iter_mut().zip(words) {
        *place = word.to_le_bytes();
    }
}

/// Makes the words add up again.
fn add_up(words: &mut [u32; WORDS]) {
    let (check, others) = words.split_last_mut().unwrap();
    *check = others.iter().fold(0_u32, |sum, word| sum.wrapping_sub(*word));
}

/// The image says why it does not go on, and the bootloader, to which that is a crash, lets a technician in.
fn ends_in(board: Board, reason: &str, alter: impl FnOnce(&mut [u32; WORDS])) {
    let (mut rig, _folder) = rig_with_table(board, alter);
    rig.machine.start().unwrap();
    let mark = support::line(&rig, 0, "app: version 1");
    let mark = support::line(&rig, mark, reason);
    support::line(&rig, mark, "boot: waiting here for a signed image");
    assert_eq!(rig.bridge.seen().observed.counts.check_ins, 0);
}

#[test]
fn an_image_that_finds_no_table_says_so_and_stops() {
    for board in [Board::Mps2An385, Board::Virt] {
        ends_in(board, "app: the bootloader offers no services", |words| {
            words[0] ^= 1
        });
    }
}

#[test]
fn an_image_that_finds_an_older_table_says_so_and_stops() {
    ends_in(
        Board::Mps2An385,
        "app: the bootloader's services are too old",
        |words| {
            words[1] = words[1] & !0xFFFF | u32::from(VERSION - 1);
            add_up(words);
        },
    );
}

#[test]
fn an_image_that_finds_a_damaged_table_says_so_and_stops() {
    for word in 2..WORDS {
        ends_in(
            Board::Mps2An385,
            "app: the bootloader's table of services is damaged",
            |words| words[word] ^= 0x10,
        );
    }
}

#[test]
fn a_table_that_names_a_place_outside_the_rom_is_damaged() {
    ends_in(
        Board::Mps2An385,
        "app: the bootloader's table of services is damaged",
        |words| {
            words[2] = 0x2000_0001;
            add_up(words);
        },
    );
}

/// What the image calls is what the table names: here the bootloader refuses whatever it is asked.
#[test]
fn the_bootloader_decides_what_the_image_believes() {
    let (mut rig, folder) = rig_with_table(Board::Mps2An385, |_| {});
    let file = folder.path().join("bootloader.elf");
    let mut bootloader = std::fs::read(&file).unwrap();
    let table = table_at(&bootloader);
    let verify = u32::from_le_bytes(bootloader[table + 8..][..4].try_into().unwrap()) & !1;
    let code = table - SERVICES_AT + verify as usize;
    // `movs r0, #1; bx lr`: no trusted key signed it.
    bootloader[code..code + 4].copy_from_slice(&[0x01, 0x20, 0x70, 0x47]);
    std::fs::write(file, bootloader).unwrap();
    rig.machine.start().unwrap();
    let mark = support::line(&rig, 0, "app: version 1");
    support::line(&rig, mark, "app: the agent does not start");
}

#[test]
fn a_newer_table_serves_an_older_image() {
    let (rig, _folder) = rig_with_table(Board::Mps2An385, |words| {
        words[1] += 7;
        add_up(words);
    });
    let rig = support::started(rig);
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
}

/// A fleet whose bootloaders are older than the release: the image is tried, cannot start its agent, and is given up.
#[test]
fn an_image_on_trial_without_services_is_reverted() {
    let (rig, _folder) = rig_with_table(Board::Mps2An385, |words| words[0] = u32::MAX);
    rig.ship_instead("v1-own-verifier.bin").unwrap();
    let rig = support::started_with(rig, "v1-own-verifier.bin");
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    let mark = support::line(&rig, mark, "sequence 2, on trial");
    let mark = support::line(&rig, mark, "app: the bootloader offers no services");
    let mark = support::line(&rig, mark, "sequence 2 reported");
    support::more_check_ins(&rig, 2);
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    assert_eq!(inventory.update(2).unwrap().state, "withheld");
    let said_since = rig.machine.serial().lines_from(mark);
    assert!(!said_since.iter().any(|line| line.contains("on trial")));
}

#[test]
fn the_image_brings_no_verifier_of_its_own() {
    let firmware = Firmware::of_checkout(Board::Mps2An385);
    let has_check = |name: &str| contains(&firmware.path(name).unwrap(), b"wire_manifest");
    assert!(!has_check("v1.elf"));
    assert!(has_check("v1-own-verifier.elf") && has_check("bootloader.elf"));
}

/// Whether a file, with its symbols, has these bytes anywhere.
fn contains(path: &Path, words: &[u8]) -> bool {
    let bytes = std::fs::read(path).unwrap();
    bytes.windows(words.len()).any(|window| window == words)
}
