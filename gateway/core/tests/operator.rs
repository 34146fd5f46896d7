//! Operators' commands: refused by name, safe to repeat.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{
    ArtefactDigest, ArtefactRecord, BuildFormats, BuildKey, Bytes, ClassId, Command, Contact, CoreConfig,
    GroupName, ImageRecord, Label, Refusal, Reply, Selector, Stage, Terms, UpdateState,
};
use wire_checkin::{CheckIn, Format};
use wire_coap::Code;

fn group(name: &str) -> GroupName {
    GroupName::new(name).unwrap()
}

#[test]
fn every_command_is_safe_to_repeat() {
    let mut shell = Shell::ready(open());
    shell.check_in(2, 1, &check_in(2, 1));
    let pumps = group("pumps");
    let commands = [
        Command::ImportImage(image(3)),
        Command::ClaimDevice(id(2)),
        Command::Label(id(2), Label::new("roof 3")),
        Command::Label(id(2), None),
        Command::CreateGroup(pumps.clone()),
        Command::AddToGroup(pumps.clone(), id(2)),
        Command::Assign(Selector::Group(pumps.clone()), digest(3), Terms::default()),
        Command::Cancel(Selector::Group(pumps.clone())),
        Command::RemoveFromGroup(pumps.clone(), id(2)),
        Command::RemoveGroup(pumps),
        Command::ForgetDevice(id(2)),
    ];
    for command in commands {
        let first = shell.command(command.clone()).unwrap();
        shell.build_all();
        let (changes, view) = (shell.changes.len(), shell.gateway.status());
        let second = shell.command(command.clone()).unwrap();
        assert!(
            second == Reply::Unchanged || second == first,
            "{command:?}: {second:?}"
        );
        assert_eq!(shell.changes.len(), changes, "{command:?}");
        assert_eq!(shell.gateway.status(), view);
    }
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    let mut shell = Shell::ready(open());
    let changes = shell.changes.len();
    let (nobody, nothing, nowhere) = (id(99), digest(50), group("nowhere"));
    let refused = [
        (
            Command::Assign(Selector::Device(nobody), digest(2), Terms::default()),
            Refusal::UnknownDevice(nobody),
        ),
        (
            Command::Assign(Selector::Device(id(1)), nothing, Terms::default()),
            Refusal::UnknownImage(nothing),
        ),
        (
            Command::Assign(Selector::Group(nowhere.clone()), digest(2), Terms::default()),
            Refusal::UnknownGroup(nowhere.clone()),
        ),
        (
            Command::AddToGroup(nowhere.clone(), id(1)),
            Refusal::UnknownGroup(nowhere.clone()),
        ),
        (
            Command::RemoveFromGroup(nowhere.clone(), id(1)),
            Refusal::UnknownGroup(nowhere.clone()),
        ),
        (
            Command::Cancel(Selector::Device(nobody)),
            Refusal::UnknownDevice(nobody),
        ),
        (Command::Retry(nobody, None), Refusal::UnknownDevice(nobody)),
        (Command::Retry(id(1), None), Refusal::NothingToRetry(id(1))),
    ];
    for (command, refusal) in refused {
        assert_eq!(shell.command(command), Err(refusal.clone()));
        assert!(!refusal.hint().is_empty());
        assert!(refusal.to_string().starts_with(char::is_lowercase));
    }
    assert_eq!(shell.changes.len(), changes);
}

#[test]
fn an_image_for_another_class_or_vendor_is_not_assigned() {
    let mut shell = Shell::ready(open());
    let foreign = ImageRecord {
        class: OTHER_CLASS,
        ..image(5)
    };
    shell.command(Command::ImportImage(foreign)).unwrap();
    let stranger = ImageRecord {
        vendor: gateway_core::VendorId([1; 16]),
        ..image(6)
    };
    shell.command(Command::ImportImage(stranger)).unwrap();
    let pumps = group("pumps");
    shell.command(Command::CreateGroup(pumps.clone())).unwrap();
    shell.command(Command::AddToGroup(pumps.clone(), id(1))).unwrap();

    let to_device = shell.command(Command::Assign(
        Selector::Device(id(1)),
        digest(5),
        Terms::default(),
    ));
    assert!(matches!(to_device, Err(Refusal::WrongClassOfDevice { .. })));
    let to_group = shell.command(Command::Assign(
        Selector::Group(pumps),
        digest(5),
        Terms::default(),
    ));
    assert!(matches!(to_group, Err(Refusal::WrongClassOfDevice { .. })));
    let to_class = shell.command(Command::Assign(
        Selector::Class(CLASS),
        digest(5),
        Terms::default(),
    ));
    assert!(matches!(to_class, Err(Refusal::WrongClass { .. })));
    let vendor = shell.command(Command::Assign(
        Selector::Device(id(1)),
        digest(6),
        Terms::default(),
    ));
    assert!(matches!(vendor, Err(Refusal::WrongVendor { .. })));
    assert_eq!(shell.gateway.status().assignments.len(), 1);
}

/// Going back on purpose: the old image, signed again as a newer release.
#[test]
fn a_fleet_goes_back_to_an_image_that_was_signed_again() {
    let mut shell = Shell::ready(open());
    shell.check_in(1, 2, &check_in(1, 2));
    let back = |sequence_number| ImageRecord {
        sequence_number,
        envelope: bytes(9_000, 300),
        ..image(1)
    };
    let taken = shell.command(Command::ImportImage(back(2)));
    assert!(
        matches!(taken, Err(Refusal::SequenceNumberTaken { .. })),
        "{taken:?}"
    );
    let reply = shell.command(Command::ImportImage(back(9))).unwrap();
    assert_eq!(reply, Reply::SignedAnew { before: 1, now: 9 });
    assert_eq!(shell.command(Command::ImportImage(back(9))), Ok(Reply::Unchanged));
    let assign = Command::Assign(Selector::Device(id(1)), digest(1), Terms::default());
    shell.command(assign).unwrap();
    shell.build_all();
    shell.restart();

    let answer = shell.check_in(1, 3, &check_in(1, 2));
    assert_eq!(answer.job.unwrap().sequence_number, 9);
    assert_eq!(answer.envelope.unwrap(), bytes(9_000, 300));
    let there = CheckIn {
        sequence_number: 9,
        running_digest: check_in(1, 1).running_digest,
        ..check_in(1, 2)
    };
    assert_eq!(shell.check_in(1, 4, &there).job, None);
    assert_eq!(shell.update(1, 1).unwrap().0, UpdateState::Confirmed);
    // Who never left it has nothing to do.
    shell.check_in(2, 5, &check_in(2, 1));
    shell.command(Command::ClaimDevice(id(2))).unwrap();
    let assign = Command::Assign(Selector::Device(id(2)), digest(1), Terms::default());
    shell.command(assign).unwrap();
    assert_eq!(shell.check_in(2, 6, &check_in(2, 1)).job, None);
}

#[test]
fn an_older_image_is_not_assigned_to_a_device() {
    let mut shell = Shell::ready(open());
    shell.check_in(1, 2, &check_in(1, 2));
    let refused = shell.command(Command::Assign(
        Selector::Device(id(1)),
        digest(1),
        Terms::default(),
    ));
    let Err(
        refused @ Refusal::NotNewer {
            image_sequence: 1,
            running: 2,
            next: 3,
            ..
        },
    ) = refused
    else {
        panic!("{refused:?}");
    };
    assert!(
        refused
            .hint()
            .starts_with("deltagate image sign FILE --sequence 3 --version "),
        "{}",
        refused.hint()
    );
    assert!(
        shell
            .command(Command::Assign(
                Selector::Device(id(1)),
                digest(2),
                Terms::default()
            ))
            .is_ok()
    );
}

#[test]
fn naming_a_device_claims_it() {
    let mut shell = Shell::ready(open());
    shell.command(Command::CreateGroup(group("pumps"))).unwrap();
    shell.check_in(2, 1, &check_in(2, 1));
    shell.check_in(3, 1, &check_in(3, 1));
    shell
        .command(Command::Assign(
            Selector::Device(id(2)),
            digest(2),
            Terms::default(),
        ))
        .unwrap();
    shell.command(Command::AddToGroup(group("pumps"), id(3))).unwrap();
    assert!(shell.gateway.device(id(2)).unwrap().device.claimed);
    assert!(shell.gateway.device(id(3)).unwrap().device.claimed);
}

#[test]
fn claimed_devices_are_bounded() {
    let mut shell = Shell::new(CoreConfig {
        claimed_max: 2,
        ..open()
    });
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    shell.command(Command::ClaimDevice(id(2))).unwrap();
    let refused = shell.command(Command::ClaimDevice(id(3)));
    assert_eq!(
        refused,
        Err(Refusal::TooMany {
            what: "claimed devices",
            max: 2
        })
    );
    assert_eq!(shell.command(Command::ClaimDevice(id(2))), Ok(Reply::Unchanged));
}

#[test]
fn the_narrowest_assignment_decides() {
    let mut shell = Shell::ready(open());
    for number in 3..=4 {
        shell.import(number);
    }
    let pumps = group("pumps");
    shell.command(Command::CreateGroup(pumps.clone())).unwrap();
    shell.command(Command::AddToGroup(pumps.clone(), id(1))).unwrap();
    shell
        .command(Command::Assign(
            Selector::Class(CLASS),
            digest(4),
            Terms::default(),
        ))
        .unwrap();
    shell
        .command(Command::Assign(
            Selector::Group(pumps.clone()),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    let target = |shell: &Shell| shell.gateway.device(id(1)).unwrap().target.unwrap();
    assert_eq!(target(&shell).by, Selector::Device(id(1)));
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    assert_eq!(
        (target(&shell).image, target(&shell).by),
        (digest(3), Selector::Group(pumps.clone()))
    );
    shell.command(Command::RemoveGroup(pumps)).unwrap();
    assert_eq!(target(&shell).by, Selector::Class(CLASS));
}

#[test]
fn cancel_withdraws_the_path() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    assert_eq!(
        code(&shell.ask(peer(1), &get(3, &[path.as_str()], None))),
        Code::NOT_FOUND
    );
    assert_eq!(shell.update(1, 2), Some((UpdateState::Released, 1)));
    assert_eq!(shell.check_in(1, 4, &check_in(1, 1)).job, None);
}

#[test]
fn another_image_withdraws_the_offer_of_the_first() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    shell.import(3);
    shell
        .command(Command::Assign(
            Selector::Device(id(1)),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    shell.build_all();
    assert_eq!(
        code(&shell.ask(peer(1), &get(3, &[path.as_str()], None))),
        Code::NOT_FOUND
    );
    assert_eq!(
        shell.check_in(1, 4, &check_in(1, 1)).job.unwrap().sequence_number,
        3
    );
}

#[test]
fn a_forgotten_device_leaves_nothing() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    shell.command(Command::ForgetDevice(id(1))).unwrap();
    assert!(shell.gateway.device(id(1)).is_none());
    assert!(shell.gateway.status().assignments.is_empty());
    assert_eq!(
        code(&shell.ask(peer(1), &get(3, &[path.as_str()], None))),
        Code::NOT_FOUND
    );
    shell.sleep(100_000);
    shell.restart();
    assert!(shell.gateway.device(id(1)).is_none());
}

#[test]
fn importing_twice_is_harmless_and_a_lower_number_for_the_same_bytes_refused() {
    let mut shell = Shell::ready(open());
    let again = ImageRecord {
        imported_unix_s: 99,
        ..image(2)
    };
    assert_eq!(shell.command(Command::ImportImage(again)), Ok(Reply::Unchanged));
    let renumbered = ImageRecord {
        sequence_number: 0,
        ..image(2)
    };
    let refused = shell.command(Command::ImportImage(renumbered));
    assert_eq!(
        refused,
        Err(Refusal::ImageKnownOtherwise {
            image: digest(2),
            known_class: CLASS,
            known: 2,
            class: CLASS,
            sequence_number: 0
        })
    );
    let long = ImageRecord {
        envelope: vec![0; 513],
        ..image(8)
    };
    assert_eq!(
        shell.command(Command::ImportImage(long)),
        Err(Refusal::EnvelopeTooLong {
            length: 513,
            max: 512
        })
    );
}

#[test]
fn a_device_claimed_before_it_was_heard_waits_for_its_first_word() {
    let mut shell = Shell::ready(open());
    shell.command(Command::ClaimDevice(id(7))).unwrap();
    shell
        .command(Command::Assign(
            Selector::Device(id(7)),
            digest(2),
            Terms::default(),
        ))
        .unwrap();
    let stage = |shell: &Shell| {
        shell
            .gateway
            .updates()
            .iter()
            .find(|view| view.device == id(7))
            .unwrap()
            .stage
    };
    assert_eq!(stage(&shell), Stage::Unheard);
    let mut other = check_in(7, 1);
    other.class_id = ClassId([9; 16]).0;
    assert_eq!(shell.check_in(7, 1, &other).job, None);
    assert_eq!(stage(&shell), Stage::Blocked);
}

#[test]
fn a_build_that_nobody_asked_for_or_that_gives_something_else_is_not_believed() {
    let mut shell = Shell::ready(open());
    shell.import(3);
    let key = shell.builds.pop().unwrap();
    let artefact = ArtefactRecord {
        digest: ArtefactDigest([1; 32]),
        target: digest(2),
        base: None,
        format: Format::Full,
        size: Bytes(1),
        decoder_memory: Bytes(0),
        in_place: None,
        built_unix_s: 0,
    };
    let before = shell.gateway.status().artefacts;
    shell.built(key, Ok(vec![artefact.clone()]));
    let formats = BuildFormats {
        full: true,
        lz4: false,
        bsdiff: false,
        patch_memory: None,
        in_place: None,
    };
    shell.built(
        BuildKey {
            base: None,
            target: digest(2),
            formats,
        },
        Ok(vec![artefact]),
    );
    let status = shell.gateway.status();
    assert_eq!((status.artefacts, status.failed_builds), (before, 1));
}

#[test]
fn two_images_of_a_class_never_have_the_same_sequence_number() {
    let mut shell = Shell::ready(open());
    let before = shell.changes.len();
    let rival = ImageRecord {
        sequence_number: 2,
        ..image(3)
    };
    let refused = shell.command(Command::ImportImage(rival.clone())).unwrap_err();
    assert_eq!(
        refused,
        Refusal::SequenceNumberTaken {
            image: digest(3),
            class: CLASS,
            sequence_number: 2,
            by: digest(2),
            next: 3,
        }
    );
    assert!(
        refused
            .hint()
            .starts_with("deltagate image sign FILE --sequence 3 --version "),
        "{}",
        refused.hint()
    );
    assert_eq!(shell.changes.len(), before);
    let of_another_class = ImageRecord {
        class: OTHER_CLASS,
        ..rival
    };
    assert_eq!(
        shell.command(Command::ImportImage(of_another_class)),
        Ok(Reply::Done)
    );
}

#[test]
fn importing_again_repeats_a_build_that_had_failed() {
    let mut shell = Shell::new(open());
    shell.import(1);
    let key = shell.builds.pop().unwrap();
    shell.built(key, Err("cannot use blob".into()));
    assert_eq!(shell.gateway.status().failed_builds, 1);
    assert_eq!(
        shell.command(Command::ImportImage(image(1))),
        Ok(Reply::Unchanged)
    );
    assert_eq!(
        (shell.builds.as_slice(), shell.gateway.status().failed_builds),
        ([key].as_slice(), 0)
    );
}

#[test]
fn who_is_silent_for_three_intervals_needs_a_person_once_the_gateway_could_have_heard() {
    let mut shell = Shell::new(open());
    shell.check_in(1, 1, &check_in(1, 1));
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    let interval_ms = 3_600_000;
    shell.sleep(interval_ms * 5 / 4);
    let contact = shell.gateway.contact(shell.now(), id(1)).unwrap();
    assert_eq!(contact.contact, Contact::Late);
    assert_eq!((contact.interval_s, contact.tolerance_s), (3_600, 300));
    assert_eq!(shell.gateway.needs(shell.now()), []);

    shell.sleep(interval_ms * 2);
    let needs = shell.gateway.needs(shell.now());
    assert_eq!(needs.len(), 1);
    assert_eq!(needs[0].why, "it is missing: 3 check-ins did not come");
    assert_eq!(needs[0].step.command, "deltagate link show default");

    // A gateway that was off must listen first.
    shell.sleep(60_000);
    shell.restart();
    shell.gateway.handle_start(shell.now());
    assert_eq!(shell.gateway.needs(shell.now()), []);
    let contact = shell.gateway.contact(shell.now(), id(1)).unwrap();
    assert_eq!(contact.contact, Contact::Late);

    // And heard again, nothing is amiss.
    shell.check_in(1, 2, &check_in(1, 1));
    let contact = shell.gateway.contact(shell.now(), id(1)).unwrap();
    assert_eq!((contact.contact, contact.silent_s), (Contact::OnTime, Some(0)));
    assert!(shell.gateway.contact(shell.now(), id(9)).is_none());
}

#[test]
fn a_withheld_image_needs_a_person_and_an_offered_one_does_not() {
    let mut shell = Shell::ready(open());
    shell.check_in(1, 2, &check_in(1, 1));
    assert_eq!(shell.gateway.needs(shell.now()), []);
    let mut said = check_in(1, 1);
    said.last_update = outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    shell.check_in(1, 3, &said);
    let needs = shell.gateway.needs(shell.now());
    assert_eq!(needs.len(), 1);
    assert!(needs[0].why.contains("reverted: watchdog"), "{}", needs[0].why);
    assert!(
        needs[0]
            .step
            .command
            .starts_with("deltagate update retry --device")
    );
}

#[test]
fn a_label_names_one_device_and_goes_with_it() {
    let mut shell = Shell::new(open());
    shell.check_in(1, 1, &check_in(1, 1));
    shell.check_in(2, 1, &check_in(2, 1));
    let label = |text| Label::new(text).unwrap();
    let roof = Command::Label(id(1), Some(label("Roof 3")));
    assert_eq!(shell.command(roof).unwrap(), Reply::Done);
    let taken = shell.command(Command::Label(id(2), Some(label("roof 3"))));
    let (by, label) = (id(1), label("roof 3"));
    assert_eq!(
        taken,
        Err(Refusal::LabelTaken {
            label: label.clone(),
            by
        })
    );
    let unknown = shell.command(Command::Label(id(9), None));
    assert_eq!(unknown, Err(Refusal::UnknownDevice(id(9))));
    // It may be written otherwise on the same device.
    let same = Command::Label(id(1), Some(label.clone()));
    assert_eq!(shell.command(same).unwrap(), Reply::Done);
    shell.restart();
    assert_eq!(shell.gateway.device(id(1)).unwrap().label, Some(label.clone()));
    shell.command(Command::ForgetDevice(id(1))).unwrap();
    assert_eq!(shell.gateway.label(id(1)), None);
    assert_eq!(
        shell.command(Command::Label(id(2), Some(label))).unwrap(),
        Reply::Done
    );
}

#[test]
fn an_image_one_byte_over_the_slot_is_refused_with_both_sizes() {
    let mut shell = Shell::ready(open());
    shell.import(3);
    let said = |slot_capacity_bytes| wire_checkin::CheckIn {
        slot_capacity_bytes,
        ..check_in(1, 1)
    };
    shell.check_in(1, 1, &said(9_999));
    let device = Selector::Device(id(1));
    let assign = Command::Assign(device.clone(), digest(3), Terms::default());
    let expected = Refusal::LongerThanSlot {
        image: digest(3),
        bytes: Bytes(10_000),
        device: id(1),
        slot: Bytes(9_999),
    };
    assert_eq!(shell.command(assign.clone()), Err(expected));
    // By its class it is assigned to others too: the device is told why it gets nothing.
    shell.command(Command::Cancel(device)).unwrap();
    shell
        .command(Command::Assign(
            Selector::Class(CLASS),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    let view = shell.gateway.device(id(1)).unwrap();
    assert_eq!(
        view.chain.last().unwrap(),
        "that image has 10000 bytes, and the device's slot holds 9999"
    );
    assert!(view.next_step.unwrap().why.contains("make the image smaller"));
    // Exactly as long as the slot it goes in whole, since that needs no room to stage.
    shell.check_in(1, 1, &said(10_000));
    assert!(shell.command(assign).is_ok());
    // Nothing was built for a slot that it does not fit.
    shell.build_all();
    let job = told(&shell.ask(peer(1), &post(9, &said(10_000)))).job;
    assert_eq!(job.unwrap().format, Format::Full);
}
