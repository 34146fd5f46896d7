//! Images that may not follow each other directly: what devices are offered on the way, and what an operator is told.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Command, CoreConfig, DeviceView, Refusal, Selector, Stage, Terms, UpdateState};
use proptest::prelude::*;
use std::collections::BTreeMap;
use wire_checkin::Outcome;

/// A gateway with these images, and device 1 claimed.
fn gateway(images: &[(u64, u64)]) -> Shell {
    let mut shell = Shell::new(open());
    images
        .iter()
        .for_each(|(number, least)| import(&mut shell, *number, *least));
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    shell
}

fn import(shell: &mut Shell, sequence_number: u64, predecessor_min: u64) {
    let image = gateway_core::ImageRecord {
        predecessor_min,
        ..image(sequence_number)
    };
    shell.command(Command::ImportImage(image)).unwrap();
    shell.build_all();
}

fn assign(shell: &mut Shell, sequence_number: u64) {
    let (device, image) = (Selector::Device(id(1)), digest(sequence_number));
    shell
        .command(Command::Assign(device, image, Terms::default()))
        .unwrap();
    shell.build_all();
}

fn view(shell: &Shell) -> DeviceView {
    shell.gateway.device(id(1)).unwrap()
}

/// Checks in until an answer without builds is given; the sequence number of the job in it.
fn offered(shell: &mut Shell, message_id: u16, running: u64) -> Option<u64> {
    shell.check_in(1, message_id, &check_in(1, running));
    shell.build_all();
    let told = shell.check_in(1, message_id + 1, &check_in(1, running));
    told.job.map(|job| job.sequence_number)
}

#[test]
fn a_device_goes_by_the_stone_to_what_is_assigned() {
    let mut shell = gateway(&[(1, 0), (4, 0), (7, 4)]);
    shell.check_in(1, 1, &check_in(1, 1));
    assign(&mut shell, 7);
    let removal = shell.command(Command::RemoveImage(digest(4)));
    let (image, device, goal) = (digest(4), id(1), digest(7));
    assert_eq!(removal, Err(Refusal::ImageOnTheWay { image, device, goal }));
    assert_eq!(offered(&mut shell, 10, 1), Some(4));
    let told = view(&shell);
    assert_eq!(
        told.target.as_ref().unwrap().image,
        digest(7),
        "the assignment is what it was"
    );
    assert!(
        told.chain.iter().any(|clause| clause.starts_with(
            "that image may only follow sequence number 4 or higher, so the next is v4 (image "
        )),
        "{:?}",
        told.chain
    );
    assert_eq!(offered(&mut shell, 20, 4), Some(7));
    assert!(matches!(shell.update(1, 4), Some((UpdateState::Confirmed, 1))));
    assert_eq!(offered(&mut shell, 30, 7), None);
    assert_eq!(view(&shell).chain.last().unwrap(), "it runs what it should");
}

#[test]
fn the_delta_is_made_for_the_step_at_hand_and_no_other() {
    let mut shell = gateway(&[(1, 0), (4, 0), (7, 4)]);
    shell.check_in(1, 1, &check_in(1, 1));
    let (device, image) = (Selector::Device(id(1)), digest(7));
    shell
        .command(Command::Assign(device, image, Terms::default()))
        .unwrap();
    let pairs: Vec<_> = shell.builds.iter().map(|key| (key.base, key.target)).collect();
    assert_eq!(pairs, [(Some(digest(1)), digest(4))]);
}

#[test]
fn without_a_stone_nothing_is_offered_and_the_missing_one_is_named() {
    let mut shell = gateway(&[(1, 0), (7, 4)]);
    shell.check_in(1, 1, &check_in(1, 1));
    assign(&mut shell, 7);
    assert_eq!(offered(&mut shell, 10, 1), None);
    let told = view(&shell);
    assert_eq!(
        told.chain.last().unwrap(),
        "that image may only follow sequence number 4 or higher: an image with a sequence number from 4 to 6 that may \
         follow 1 is needed in between, and none is imported"
    );
    assert_eq!(told.next_step.unwrap().command, "deltagate image import FILE");
    assert_eq!(shell.gateway.status().updates[0].stage, Stage::Blocked);
    // Nothing else is needed: the assignment stands, and the next check-in goes on.
    import(&mut shell, 5, 1);
    assert_eq!(offered(&mut shell, 20, 1), Some(5));
}

#[test]
fn a_stone_that_failed_stops_the_way_until_an_operator_says_otherwise() {
    let mut shell = gateway(&[(1, 0), (4, 0), (5, 0), (7, 4)]);
    shell.check_in(1, 1, &check_in(1, 1));
    assign(&mut shell, 7);
    assert_eq!(offered(&mut shell, 10, 1), Some(5));
    let mut reverted = check_in(1, 1);
    reverted.last_update = outcome(5, Outcome::RevertedWatchdog);
    shell.check_in(1, 20, &reverted);
    assert_eq!(
        offered(&mut shell, 30, 1),
        None,
        "4 would do, and is not tried behind anybody's back"
    );
    let told = view(&shell);
    assert!(
        told.chain.last().unwrap().contains("reverted: watchdog"),
        "{:?}",
        told.chain
    );
    let step = told.next_step.unwrap().command;
    assert!(step.ends_with(&digest(5).short_hex()), "{step}");
    shell.command(Command::Retry(id(1), Some(digest(5)))).unwrap();
    assert_eq!(offered(&mut shell, 40, 1), Some(5));
}

#[test]
fn a_better_stone_does_not_take_the_place_of_one_that_is_being_fetched() {
    let mut shell = gateway(&[(1, 0), (4, 0), (7, 4)]);
    shell.check_in(1, 1, &check_in(1, 1));
    assign(&mut shell, 7);
    assert_eq!(offered(&mut shell, 10, 1), Some(4));
    import(&mut shell, 5, 0);
    assert_eq!(offered(&mut shell, 20, 1), Some(4));
    assign(&mut shell, 7);
    assert_eq!(
        offered(&mut shell, 30, 1),
        Some(4),
        "assigned anew, and the offer stands"
    );
    shell.restart();
    assert_eq!(offered(&mut shell, 40, 1), Some(4));
    // Nobody wants 7 any more, so nobody wants 4.
    assign(&mut shell, 5);
    assert_eq!(offered(&mut shell, 50, 1), Some(5));
    assert!(matches!(shell.update(1, 4), Some((UpdateState::Released, 1))));
}

/// What a device does with an offer.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Installs,
    Forgets,
    Reverts,
}

#[derive(Clone, Debug)]
enum Event {
    Import(u64, u64),
    Assign(u64),
    CheckIn(Deed),
    Retry,
    Restart,
}

const NUMBERS: u64 = 9;

fn event() -> impl Strategy<Value = Event> {
    let deed = prop_oneof![
        4 => Just(Deed::Installs),
        2 => Just(Deed::Forgets),
        1 => Just(Deed::Reverts)
    ];
    prop_oneof![
        3 => (2..=NUMBERS, 0..NUMBERS).prop_map(|(number, least)| Event::Import(number, least % number)),
        2 => (2..=NUMBERS).prop_map(Event::Assign),
        6 => deed.prop_map(Event::CheckIn),
        1 => Just(Event::Retry),
        1 => Just(Event::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// A device as strict as ours: whatever is imported, assigned, reverted and retried, it is never offered what it may not follow.
    #[test]
    fn no_device_is_ever_offered_an_illegal_jump(events in prop::collection::vec(event(), 1..60)) {
        let mut shell = gateway(&[(1, 0)]);
        let (mut least, mut running, mut news) = (BTreeMap::from([(1, 0)]), 1, None);
        for (at, event) in events.iter().enumerate() {
            shell.now_ms += 3_000;
            match event {
                Event::Import(number, predecessor_min) => {
                    let from = *least.entry(*number).or_insert(*predecessor_min);
                    import(&mut shell, *number, from);
                }
                Event::Assign(number) => {
                    let (device, image) = (Selector::Device(id(1)), digest(*number));
                    let _ = shell.command(Command::Assign(device, image, Terms::default()));
                }
                Event::Retry => drop(shell.command(Command::Retry(id(1), None))),
                Event::Restart => shell.restart(),
                Event::CheckIn(deed) => {
                    let mut said = check_in(1, running);
                    said.last_update = news.take();
                    let told = shell.check_in(1, at as u16, &said);
                    let Some(job) = told.job else {
                        shell.build_all();
                        continue;
                    };
                    let (from, to) = (running, job.sequence_number);
                    prop_assert!(least[&to] <= from && from < to, "from {} to {}, which may follow {}", from, to, least[&to]);
                    match deed {
                        Deed::Installs => running = to,
                        Deed::Forgets => {}
                        Deed::Reverts => news = outcome(to, Outcome::RevertedFault),
                    }
                }
            }
        }
    }
}

#[test]
fn a_stone_whose_key_was_revoked_is_no_stone() {
    let mut shell = Shell::new(CoreConfig {
        trusted_keys: Some([[7; 8]].into()),
        ..open()
    });
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    import(&mut shell, 1, 0);
    import(&mut shell, 7, 4);
    let revoked = gateway_core::ImageRecord {
        key_id: [8; 8],
        ..image(5)
    };
    shell.command(Command::ImportImage(revoked)).unwrap();
    shell.check_in(1, 1, &check_in(1, 1));
    assign(&mut shell, 7);
    assert_eq!(offered(&mut shell, 10, 1), None);
    import(&mut shell, 4, 0);
    assert_eq!(offered(&mut shell, 20, 1), Some(4));
}
