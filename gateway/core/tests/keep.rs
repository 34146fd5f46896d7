//! Pins, removal of images, and the disk budget.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Bytes, Change, Command, CoreConfig, File, Refusal, Reply, Selector, Terms};
use proptest::prelude::*;
use wire_checkin::Format;

/// Of each image there are its 10,000 bytes, 10,000 as they are served, and 8,000 of lz4; a patch has 1,000.
fn with_budget(bytes: u64) -> CoreConfig {
    CoreConfig {
        disk_bytes_max: Some(Bytes(bytes)),
        ..open()
    }
}

fn formats(shell: &Shell, number: u64) -> Vec<Format> {
    let view = shell.gateway.image(digest(number)).unwrap();
    let mut formats: Vec<Format> = view.artefacts.iter().map(|artefact| artefact.format).collect();
    formats.sort_unstable();
    formats
}

#[test]
fn an_image_that_somebody_needs_is_not_removed() {
    let mut shell = Shell::ready(open());
    let by = Selector::Device(id(1));
    let refused = |shell: &mut Shell, number: u64| {
        let changes = shell.changes.len();
        let refusal = shell.command(Command::RemoveImage(digest(number))).unwrap_err();
        assert_eq!(shell.changes.len(), changes, "{refusal}");
        assert!(shell.discarded.is_empty());
        refusal
    };
    let image = digest(2);
    assert_eq!(
        refused(&mut shell, 2),
        Refusal::ImageAssigned {
            image,
            by: by.clone()
        }
    );
    let runs = Refusal::ImageRuns {
        image: digest(1),
        device: id(1),
        others: 0,
    };
    assert_eq!(refused(&mut shell, 1), runs);
    assert_eq!(refused(&mut shell, 50), Refusal::UnknownImage(digest(50)));
    shell.command(Command::PinImage(image)).unwrap();
    assert_eq!(refused(&mut shell, 2), Refusal::ImagePinned(image));
    shell.import(3);
    assert_eq!(refused(&mut shell, 3), Refusal::ImageBuilding(digest(3)));
}

#[test]
fn an_image_goes_with_everything_that_was_made_of_it_and_for_it() {
    let mut shell = Shell::ready(open());
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    let made = formats(&shell, 2).len();
    assert_eq!(shell.command(Command::RemoveImage(digest(2))), Ok(Reply::Done));
    assert!(shell.gateway.image(digest(2)).is_none());
    assert_eq!(shell.discarded.len(), made + 1);
    assert!(shell.discarded.contains(&File::Image(digest(2))));
    let status = shell.gateway.status();
    shell.restart();
    assert_eq!(shell.gateway.status(), status);
    // It may come again, and everything is made again.
    shell.import(2);
    shell.build_all();
    assert_eq!(formats(&shell, 2), [Format::Full, Format::Lz4]);
}

#[test]
fn a_pin_is_taken_once_and_ends_once() {
    let mut shell = Shell::ready(open());
    let image = digest(2);
    assert_eq!(shell.command(Command::PinImage(image)), Ok(Reply::Done));
    assert_eq!(shell.command(Command::PinImage(image)), Ok(Reply::Unchanged));
    assert!(shell.gateway.image(image).unwrap().is_pinned);
    shell.restart();
    assert!(shell.gateway.image(image).unwrap().is_pinned);
    assert_eq!(shell.command(Command::UnpinImage(image)), Ok(Reply::Done));
    assert_eq!(shell.command(Command::UnpinImage(image)), Ok(Reply::Unchanged));
}

#[test]
fn what_nobody_needs_goes_first_and_the_longest_unused_of_it() {
    // Images 1 and 2 with everything are 28,000 + 28,000 and a patch of 1,000; 3 brings 28,000.
    let mut shell = Shell::ready(with_budget(70_000));
    shell.import(3);
    shell.build_all();
    assert_eq!(formats(&shell, 1), [], "nobody is to run it");
    assert_eq!(
        formats(&shell, 2),
        [Format::Full, Format::Lz4, Format::Patch],
        "device 1 is to run it"
    );
    assert_eq!(formats(&shell, 3), [Format::Full, Format::Lz4], "used last");
    assert_eq!(shell.gateway.status().disk, Bytes(67_000));
    assert_eq!(shell.gateway.images().len(), 3, "originals stay");
}

#[test]
fn what_was_evicted_is_made_again_when_it_is_wanted() {
    let mut shell = Shell::ready(with_budget(70_000));
    shell.import(3);
    shell.build_all();
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    let all = Selector::Device(id(1));
    shell
        .command(Command::Assign(all, digest(3), Terms::default()))
        .unwrap();
    shell.build_all();
    assert_eq!(formats(&shell, 3), [Format::Full, Format::Lz4, Format::Patch]);
    let job = told(&shell.ask(peer(1), &post(9, &check_in(1, 1)))).job;
    assert_eq!(job.unwrap().sequence_number, 3);
}

#[test]
fn a_pinned_image_keeps_what_was_made_of_it() {
    let mut shell = Shell::ready(with_budget(80_000));
    shell.command(Command::PinImage(digest(1))).unwrap();
    shell.import(3);
    shell.build_all();
    assert_eq!(formats(&shell, 1), [Format::Full, Format::Lz4]);
    assert_eq!(formats(&shell, 3), [], "the only one that may go");
}

#[test]
fn an_image_that_cannot_fit_is_refused_with_both_numbers() {
    let mut shell = Shell::ready(with_budget(58_000));
    let changes = shell.changes.len();
    // What stays: two originals, and 19,000 made of image 2. Image 3 brings itself and its plain payload.
    let refusal = shell.command(Command::ImportImage(image(3))).unwrap_err();
    let expected = Refusal::DiskBudget {
        image: digest(3),
        needs: Bytes(59_000),
        max: Bytes(58_000),
    };
    assert_eq!(refusal, expected);
    assert_eq!(shell.changes.len(), changes);
}

#[test]
fn after_a_start_only_what_is_wanted_is_made_where_disk_is_short() {
    let mut shell = Shell::ready(with_budget(70_000));
    shell.import(3);
    shell.build_all();
    shell.restart();
    let now = shell.now();
    shell.gateway.handle_start(now);
    shell.drain();
    assert_eq!(shell.builds, [], "image 1 waits until somebody asks");
}

#[test]
fn a_budget_that_was_made_smaller_holds_from_the_start() {
    let mut shell = Shell::ready(open());
    shell.config = with_budget(45_000);
    shell.restart();
    let now = shell.now();
    shell.gateway.handle_start(now);
    shell.drain();
    assert_eq!(formats(&shell, 1), [], "nobody is to run it");
    assert_eq!(formats(&shell, 2), [Format::Full, Format::Lz4, Format::Patch]);
    assert_eq!(shell.gateway.status().disk, Bytes(39_000));
    assert_eq!(shell.builds, []);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    /// Whatever is imported, assigned, checked in and removed: what a device is fetching or should run next stays, originals go by
    /// command only, and everything else fits the budget.
    #[test]
    fn a_budget_takes_nothing_that_is_needed(
        steps in prop::collection::vec((0_u8..6, 1_u8..4, 1_u64..9), 1..60),
        budget in 60_000_u64..200_000,
    ) {
        let mut shell = Shell::new(with_budget(budget));
        for (at, (what, device, number)) in steps.into_iter().enumerate() {
            shell.now_ms += 3_000;
            let target = Selector::Device(id(device));
            let is_removal = what == 3;
            let before = shell.gateway.images().len();
            match what {
                0 => drop(shell.command(Command::ImportImage(image(number)))),
                1 => shell.send(peer(device), &post(at as u16, &check_in(device, number))),
                2 => drop(shell.command(Command::Assign(target, digest(number), Terms::default()))),
                3 => drop(shell.command(Command::RemoveImage(digest(number)))),
                4 => drop(shell.command(Command::PinImage(digest(number)))),
                _ => shell.build_all(),
            }
            prop_assert!(is_removal || shell.gateway.images().len() >= before);
            for device in shell.gateway.devices() {
                let Some(transfer) = device.transfer else { continue };
                let view = shell.gateway.image(transfer.image).unwrap();
                prop_assert!(view.artefacts.iter().any(|artefact| artefact.format == transfer.format));
            }
            for artefact in shell.gateway.images().iter().flat_map(|view| &view.artefacts) {
                prop_assert!(shell.disk.0.contains_key(&artefact.digest), "a row without its file");
            }
        }
        let evicted = shell.changes.iter().filter(|change| matches!(change, Change::ArtefactRemoved { .. }));
        let status = shell.gateway.status();
        let plain: u64 = shell.gateway.images().iter().map(|view| view.image.size.0).sum();
        // Of each image that is wanted there are 18,000 bytes and patches from at most three bases.
        let wanted = shell.gateway.images().iter().filter(|view| view.is_pinned || !view.assigned.is_empty()).count() as u64;
        prop_assert!(status.disk.0 <= budget.max(plain + wanted * 21_000), "{} of {budget}, {} evicted", status.disk.0, evicted.count());
    }
}
