//! What an operator is told of an assignment that not every device gets.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Command, GroupName, ImageRecord, LeftOut, Reply, Selector, Terms};

fn assign(shell: &mut Shell, selector: &Selector, number: u64) -> (String, Vec<LeftOut>) {
    let reply = shell
        .command(Command::Assign(
            selector.clone(),
            digest(number),
            Terms::default(),
        ))
        .unwrap();
    let Reply::Assigned { left_out, .. } = reply.clone() else {
        panic!("{reply}");
    };
    (reply.to_string(), left_out)
}

#[test]
fn who_of_a_group_does_not_get_it_is_counted_by_reason_with_what_helps() {
    let mut shell = Shell::new(open());
    for number in [1, 2] {
        shell.import(number);
    }
    let jump = ImageRecord {
        predecessor_min: 4,
        ..image(7)
    };
    shell.command(Command::ImportImage(jump)).unwrap();
    let roof = GroupName::new("roof").unwrap();
    shell.command(Command::CreateGroup(roof.clone())).unwrap();
    // 1 and 2 lack a stone, 3 runs something newer, 4 may, 5 was never heard, 6 has an assignment of its own, 7 is too small.
    for (device, running) in [(1, 1), (2, 1), (3, 9), (4, 6), (6, 1), (7, 6)] {
        let mut said = check_in(device, running);
        if device == 7 {
            said.slot_capacity_bytes = 9_999;
        }
        shell.check_in(device, 1, &said);
    }
    shell.command(Command::ClaimDevice(id(5))).unwrap();
    for device in 1..=7 {
        shell
            .command(Command::AddToGroup(roof.clone(), id(device)))
            .unwrap();
    }
    assign(&mut shell, &Selector::Device(id(6)), 2);
    let group = Selector::Group(roof);
    let planned = shell
        .gateway
        .plan(shell.now(), Some((group.clone(), digest(7))))
        .unwrap();

    let (said, rows) = assign(&mut shell, &group, 7);
    assert_eq!(
        said,
        "assigned to 7 devices; 5 of them do not get it as things stand"
    );
    let told: Vec<_> = rows
        .iter()
        .map(|row| {
            (
                row.devices,
                row.first,
                row.why.as_str(),
                row.step.command.as_str(),
            )
        })
        .collect();
    let sign = "deltagate image sign FILE --sequence 10 --version VERSION --vendor DOMAIN --class NAME --key FILE --out FILE";
    assert_eq!(
        told,
        [
            (
                2,
                id(1),
                "that image may only follow sequence number 4 or higher: an image with a sequence number from 4 to 6 that may \
                 follow 2 is needed in between, and none is imported",
                "deltagate image import FILE"
            ),
            (
                1,
                id(6),
                "an assignment to the device itself decides",
                "deltagate update cancel --device 525400000006"
            ),
            (
                1,
                id(3),
                "it already runs sequence number 9 and would refuse one that is not higher",
                sign
            ),
            (
                1,
                id(7),
                "that image has 10000 bytes, and the device's slot holds 9999",
                "deltagate device show 525400000007 --all"
            ),
        ]
    );
    // The dry run said the same of those for whom this assignment decides.
    for row in rows.iter().filter(|row| row.first != id(6)) {
        let plan = planned.iter().find(|plan| plan.device == row.first).unwrap();
        assert_eq!((plan.why.as_str(), plan.payload), (row.why.as_str(), None));
    }
    // And each of them needs a person, until the stone is there.
    let needs = |shell: &Shell| -> Vec<_> {
        shell
            .gateway
            .needs(shell.now())
            .iter()
            .map(|need| need.device)
            .collect()
    };
    assert_eq!(needs(&shell), [id(1), id(2), id(3), id(7)]);
    shell.import(5);
    assert_eq!(needs(&shell), [id(3), id(7)]);
    let (said, rows) = assign(&mut shell, &Selector::Device(id(6)), 7);
    assert_eq!((said.as_str(), rows), ("assigned to 1 device", Vec::new()));
}
