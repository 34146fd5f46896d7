//! Who holds which key: enrolment, factory lists, rotation, other hardware in a place, retirement.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use gateway_core::{
    BadLine, Change, Command, DeviceName, EnrolledKeys, Enrolment, GroupName, IdentityCommand,
    IdentityRefusal, Import, ImportReport, Label, NameKind, Now, Phase, Refusal, Reply, Selector, Terms,
    UpdateState,
};
use secure::{SecureDevice, credentials};
use wire_checkin::{DeviceId, Outcome};

fn enrolment(number: u8) -> Enrolment {
    Enrolment {
        device: id(number),
        credentials: Some(credentials(number)),
        psk: None,
        public_key: None,
        names: Vec::new(),
        label: None,
        group: None,
    }
}

fn ask(shell: &mut Shell, command: IdentityCommand) -> Result<Reply, Refusal> {
    shell.command(Command::Identity(command))
}

fn enrol(shell: &mut Shell, number: u8) {
    let enrolled = ask(shell, IdentityCommand::Enrol(enrolment(number)));
    assert_eq!(enrolled, Ok(Reply::Done));
}

fn kids(shell: &Shell, number: u8) -> Vec<String> {
    let view = shell.gateway.device(id(number)).unwrap();
    view.identity.kids.iter().map(ToString::to_string).collect()
}

fn rotate(number: u8, to: u8) -> IdentityCommand {
    IdentityCommand::Rotate {
        device: id(number),
        credentials: credentials(to),
        old_valid_s: 1_000,
    }
}

fn refused(result: Result<Reply, Refusal>) -> IdentityRefusal {
    match result {
        Err(Refusal::Identity(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[test]
fn enrolment_claims_names_and_labels_and_may_be_repeated() {
    let mut shell = Shell::ready(open());
    let roof = GroupName::new("roof").unwrap();
    shell.command(Command::CreateGroup(roof.clone())).unwrap();
    let whole = Enrolment {
        names: vec![DeviceName::new(NameKind::Imei, "356938035643809").unwrap()],
        label: Label::new("roof 3"),
        group: Some(roof),
        ..enrolment(9)
    };
    let command = IdentityCommand::Enrol(whole);
    assert_eq!(ask(&mut shell, command.clone()), Ok(Reply::Done));
    assert_eq!(ask(&mut shell, command), Ok(Reply::Unchanged));
    let view = shell.gateway.device(id(9)).unwrap();
    assert!(view.device.claimed);
    assert_eq!(view.label, Label::new("roof 3"));
    assert_eq!(view.groups.len(), 1);
    assert_eq!(kids(&shell, 9), ["0009"]);
    for text in ["35-693803-564380-9", "Roof 3"] {
        assert_eq!(shell.gateway.device_called(text), Some(id(9)), "{text}");
    }
    assert_eq!(shell.gateway.free_kid().to_string(), "000a");
}

#[test]
fn what_belongs_to_another_device_is_refused_by_name() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 9);
    let other_key = Enrolment {
        credentials: Some(credentials(10)),
        ..enrolment(9)
    };
    let result = ask(&mut shell, IdentityCommand::Enrol(other_key));
    assert_eq!(refused(result), IdentityRefusal::Enrolled(id(9)));
    let same_key = Enrolment {
        device: id(10),
        ..enrolment(9)
    };
    let result = ask(&mut shell, IdentityCommand::Enrol(same_key));
    let (kid, by) = (credentials(9).kid, id(9));
    assert_eq!(refused(result), IdentityRefusal::KidTaken { kid, by });
    let result = ask(&mut shell, rotate(9, 9));
    assert_eq!(result, Ok(Reply::Unchanged));
    enrol(&mut shell, 10);
    let result = ask(&mut shell, rotate(10, 9));
    assert_eq!(refused(result), IdentityRefusal::KidTaken { kid, by });
    let result = ask(&mut shell, rotate(1, 11));
    assert_eq!(refused(result), IdentityRefusal::NotEnrolled(id(1)));
}

#[test]
fn a_list_is_imported_whole_or_not_at_all_unless_bad_lines_may_be_skipped() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 9);
    enrol(&mut shell, 10);
    let serial = |text| vec![DeviceName::new(NameKind::Serial, text).unwrap()];
    let of_another = Enrolment {
        device: id(21),
        ..enrolment(9)
    };
    let twice = Enrolment {
        credentials: Some(credentials(30)),
        ..enrolment(20)
    };
    let same_serial = Enrolment {
        names: serial("A-1"),
        ..enrolment(22)
    };
    let nowhere = Enrolment {
        group: GroupName::new("nowhere"),
        ..enrolment(23)
    };
    let first = Enrolment {
        names: serial("A-1"),
        ..enrolment(20)
    };
    let list = Import {
        lines: vec![
            (2, first),
            (3, of_another),
            (5, twice),
            (6, same_serial),
            (7, nowhere),
            (8, enrolment(10)),
        ],
        bad: vec![BadLine {
            line: 4,
            what: "secret".into(),
            why: "it has 15 bytes".into(),
        }],
        skip_bad: false,
    };
    let changes = shell.changes.len();
    let report = |reply| match reply {
        Ok(Reply::Imported(report)) => report,
        other => panic!("{other:?}"),
    };
    let refused = report(ask(&mut shell, IdentityCommand::Import(list.clone())));
    let bad: Vec<(usize, &str, &str)> = refused
        .bad
        .iter()
        .map(|bad| (bad.line, bad.what.as_str(), bad.why.as_str()))
        .collect();
    assert_eq!(
        bad,
        [
            (3, "kid", "key id 0009 is that of device 525400000009"),
            (4, "secret", "it has 15 bytes"),
            (5, "device", "525400000014 is on line 2 already"),
            (6, "serial", "A-1 is on line 2 already"),
            (7, "group", "group nowhere does not exist"),
        ]
    );
    assert_eq!(
        (refused.enrolled.len(), refused.unchanged, shell.changes.len()),
        (0, 1, changes)
    );
    let skipped = Import {
        skip_bad: true,
        ..list
    };
    let done = report(ask(&mut shell, IdentityCommand::Import(skipped)));
    let wanted = ImportReport {
        enrolled: vec![EnrolledKeys {
            device: id(20),
            kid: Some(credentials(20).kid),
            psk: None,
            has_public_key: false,
        }],
        ..refused
    };
    assert_eq!(done, wanted);
    assert_eq!(kids(&shell, 20), ["0014"]);
}

/// The old key counts until its bound has passed, by a clock that is set; rotating again does not prolong that.
#[test]
fn a_rotation_ends_by_itself() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 9);
    let set = 1_800_000_000;
    let at = |unix_s| Now {
        monotonic_ms: 0,
        unix_s,
    };
    let command = |to| Command::Identity(rotate(9, to));
    shell.gateway.handle_command(at(set), command(10)).unwrap();
    shell.gateway.handle_command(at(set + 500), command(11)).unwrap();
    assert_eq!(kids(&shell, 9), ["0009", "000b"]);
    let view = shell.gateway.device(id(9)).unwrap();
    assert_eq!(view.identity.leaving_unix_s, Some(set + 1_000));
    for (unix_s, left) in [(120, 2), (set + 999, 2), (set + 1_000, 1)] {
        let due_ms = shell.gateway.poll_timeout().unwrap();
        shell.gateway.handle_timeout(Now {
            monotonic_ms: due_ms,
            unix_s,
        });
        assert_eq!(kids(&shell, 9).len(), left, "{unix_s}");
    }
    assert_eq!(kids(&shell, 9), ["000b"]);
    assert_eq!(shell.gateway.device(id(9)).unwrap().identity.leaving_unix_s, None);
}

#[test]
fn other_hardware_takes_the_whole_place() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 1);
    let roof = GroupName::new("roof").unwrap();
    shell
        .command(Command::Label(id(1), Label::new("roof 3")))
        .unwrap();
    shell.command(Command::CreateGroup(roof.clone())).unwrap();
    shell.command(Command::AddToGroup(roof.clone(), id(1))).unwrap();
    shell
        .command(Command::Assign(
            Selector::Group(roof.clone()),
            digest(2),
            Terms::default(),
        ))
        .unwrap();
    shell.build_all();
    let mut device = SecureDevice::with(1, &credentials(1));
    device.check_in(&mut shell, &check_in(1, 1));
    let mut failed = check_in(1, 1);
    failed.last_update = outcome(2, Outcome::RevertedWatchdog);
    device.check_in(&mut shell, &failed);
    enrol(&mut shell, 7);
    let swap = IdentityCommand::Swap {
        old: id(1),
        new: id(7),
    };
    assert_eq!(ask(&mut shell, swap.clone()), Ok(Reply::Done));
    assert_eq!(ask(&mut shell, swap), Ok(Reply::Unchanged));

    let new = shell.gateway.device(id(7)).unwrap();
    assert_eq!(
        (new.label, new.groups),
        (Label::new("roof 3"), vec![roof.clone()])
    );
    assert_eq!(new.device.class, Some(CLASS));
    assert_eq!(new.identity.predecessor, Some(id(1)));
    assert_eq!(new.target.unwrap().by, Selector::Device(id(7)));
    assert!(
        matches!(new.updates.as_slice(), [update] if matches!(update.state, UpdateState::Withheld { .. })),
        "{:?}",
        new.updates
    );
    let old = shell.gateway.device(id(1)).unwrap();
    assert!(!old.device.claimed);
    assert_eq!((old.label, old.groups, old.updates), (None, vec![], vec![]));
    assert_eq!(old.identity.kids, []);
    assert_eq!(
        old.identity.retired.map(|retired| retired.successor),
        Some(Some(id(7)))
    );
    assert_eq!(
        old.chain.last().unwrap(),
        "it is retired: device 525400000007 took its place"
    );
    assert_eq!(old.next_step, None);
    // It is no stranger, and takes no stranger's place in their list.
    assert_eq!(shell.gateway.status().unclaimed, 0);
    let twice = IdentityCommand::Swap {
        old: id(1),
        new: id(8),
    };
    assert_eq!(refused(ask(&mut shell, twice)), IdentityRefusal::Retired(id(1)));
    let into_a_place = IdentityCommand::Swap {
        old: id(7),
        new: id(1),
    };
    let what = "it is retired";
    assert_eq!(
        refused(ask(&mut shell, into_a_place)),
        IdentityRefusal::HasAPlace { device: id(1), what }
    );
}

#[test]
fn a_retired_device_is_listed_and_served_only_when_it_is_enrolled_anew() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 9);
    ask(&mut shell, rotate(9, 10)).unwrap();
    let retire = IdentityCommand::Retire(id(9));
    assert_eq!(ask(&mut shell, retire.clone()), Ok(Reply::Done));
    assert_eq!(ask(&mut shell, retire), Ok(Reply::Unchanged));
    assert_eq!(kids(&shell, 9), Vec::<String>::new());
    let destroyed = shell.changes.iter().filter(|change| {
        matches!(
            change,
            Change::Identity(gateway_core::IdentityChange::Destroyed(_))
        )
    });
    assert_eq!(destroyed.count(), 2);
    let roof = GroupName::new("roof").unwrap();
    shell.command(Command::CreateGroup(roof.clone())).unwrap();
    for command in [
        Command::ClaimDevice(id(9)),
        Command::AddToGroup(roof, id(9)),
        Command::Assign(Selector::Device(id(9)), digest(2), Terms::default()),
    ] {
        assert_eq!(refused(shell.command(command)), IdentityRefusal::Retired(id(9)));
    }
    // Whoever speaks in its name is refused, and changes nothing.
    let view = shell.gateway.device(id(9));
    let answer = shell.ask(peer(9), &post(1, &check_in(9, 1)));
    assert_eq!(code(&answer), wire_coap::Code::UNAUTHORIZED);
    assert_eq!(shell.gateway.device(id(9)), view);
    enrol(&mut shell, 9);
    let view = shell.gateway.device(id(9)).unwrap();
    assert!(view.device.claimed && view.identity.retired.is_none());
}

#[test]
fn a_forgotten_device_leaves_no_key_behind() {
    let mut shell = Shell::ready(open());
    enrol(&mut shell, 9);
    shell.command(Command::ForgetDevice(id(9))).unwrap();
    assert_eq!(shell.gateway.free_kid().to_string(), "0000");
    enrol(&mut shell, 9);
    assert_eq!(kids(&shell, 9), ["0009"]);
}

/// Everything that was decided is there again, whatever order the rows come in.
#[test]
fn identities_are_restored_from_their_changes() {
    let mut shell = Shell::ready(open());
    for number in [9, 20, 21] {
        enrol(&mut shell, number);
    }
    ask(&mut shell, rotate(9, 10)).unwrap();
    ask(&mut shell, IdentityCommand::Retire(id(20))).unwrap();
    let mut restored = gateway_core::Gateway::new(open());
    for change in &shell.changes {
        restored.restore(change.clone());
    }
    let identity = |gateway: &gateway_core::Gateway, id: DeviceId| gateway.device(id).unwrap().identity;
    for number in [9, 20, 21] {
        assert_eq!(
            identity(&restored, id(number)),
            identity(&shell.gateway, id(number))
        );
    }
    assert!(shell.changes.iter().any(|change| matches!(
        change,
        Change::Identity(gateway_core::IdentityChange::Credentials(record))
            if matches!(record.phase, Phase::Leaving { .. })
    )));
}
