//! What holds whatever happens.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Change, Command, GroupName, Offer, Selector, Terms, UpdateState};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::{DeviceId, Outcome};

const DEVICES: u8 = 4;
const IMAGES: u64 = 4;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Step {
    CheckIn {
        number: u8,
        running: u64,
        outcome: Option<(u64, u8)>,
        on_trial: bool,
        class: bool,
    },
    Fetch {
        number: u8,
        block: u32,
    },
    Command(u8, u8, u64),
    Build {
        fails: bool,
    },
    Sleep(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1..=DEVICES, 1..=IMAGES, prop::option::weighted(0.4, (1..=IMAGES, 1_u8..17)), any::<bool>(), prop::bool::weighted(0.95))
            .prop_map(|(number, running, outcome, on_trial, class)| Step::CheckIn { number, running, outcome, on_trial, class }),
        3 => (1..=DEVICES, 0_u32..20).prop_map(|(number, block)| Step::Fetch { number, block }),
        4 => (0_u8..15, 1..=DEVICES, 1..=IMAGES).prop_map(|(what, number, image)| Step::Command(what, number, image)),
        4 => prop::bool::weighted(0.1).prop_map(|fails| Step::Build { fails }),
        1 => (0_u64..100_000).prop_map(Step::Sleep),
    ]
}

fn command(what: u8, number: u8, sequence_number: u64) -> Command {
    let group = GroupName::new(if number.is_multiple_of(2) { "even" } else { "odd" }).unwrap();
    let (id, image) = (id(number), digest(sequence_number));
    match what {
        0 => Command::ClaimDevice(id),
        1 => Command::ForgetDevice(id),
        2 => Command::CreateGroup(group),
        3 => Command::AddToGroup(group, id),
        4 => Command::RemoveFromGroup(group, id),
        5 => Command::Assign(Selector::Device(id), image, Terms::default()),
        6 => Command::Assign(Selector::Group(group), image, Terms::default()),
        7 => Command::Assign(Selector::Class(CLASS), image, Terms::default()),
        8 => Command::Cancel(Selector::Device(id)),
        9 => Command::PinImage(image),
        10 => Command::UnpinImage(image),
        11 => Command::RemoveImage(image),
        12 => Command::ImportImage(common::image(sequence_number)),
        _ => Command::Retry(id, Some(image)),
    }
}

/// Offers that stand, by replaying what was stored.
fn offers(changes: &[Change]) -> BTreeMap<DeviceId, BTreeSet<String>> {
    let mut standing: BTreeMap<String, Offer> = BTreeMap::new();
    for change in changes {
        match change {
            Change::Offered(offer) => drop(standing.insert(offer.path.to_string(), offer.clone())),
            Change::OfferWithdrawn(path) => drop(standing.remove(path.as_str())),
            _ => {}
        }
    }
    let mut by_device: BTreeMap<DeviceId, BTreeSet<String>> = BTreeMap::new();
    for (path, offer) in standing {
        by_device.entry(offer.device).or_default().insert(path);
    }
    by_device
}

fn run(shell: &mut Shell, message_id: u16, step: &Step) -> Option<wire_checkin::Job> {
    match step {
        Step::CheckIn {
            number,
            running,
            outcome: said,
            on_trial,
            class,
        } => {
            let mut body = check_in(*number, *running);
            body.on_trial = *on_trial;
            body.last_update = said.and_then(|(sequence, code)| outcome(sequence, Outcome::from_code(code)));
            body.class_id = if *class { CLASS.0 } else { OTHER_CLASS.0 };
            let reply = shell.ask(peer(*number), &post(message_id, &body));
            return told(&reply).job;
        }
        Step::Fetch { number, block } => {
            let paths = offers(&shell.changes);
            if let Some(path) = paths.get(&id(*number)).and_then(|paths| paths.first()) {
                let block = wire_coap::BlockNumber::new(*block).unwrap();
                let block = wire_coap::BlockValue::request(block, wire_coap::BlockSize::B64);
                shell.send(peer(*number), &get(message_id, &[path], Some(block)));
            }
        }
        Step::Command(what, number, image) => drop(shell.command(command(*what, *number, *image))),
        Step::Build { fails } => match (shell.builds.pop(), fails) {
            (Some(key), false) => shell.build(key),
            (Some(key), true) => shell.built(key, Err("it failed".into())),
            (None, _) => {}
        },
        Step::Sleep(ms) => shell.sleep(*ms),
    }
    None
}

fn gateway_with_images() -> Shell {
    let mut shell = Shell::new(open());
    (1..=IMAGES).for_each(|number| shell.import(number));
    shell
        .command(Command::CreateGroup(GroupName::new("even").unwrap()))
        .unwrap();
    shell
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn a_check_in_never_touches_another_device(steps in prop::collection::vec(step(), 1..80)) {
        let mut shell = gateway_with_images();
        for (at, step) in steps.iter().enumerate() {
            shell.now_ms += 3_000;
            let before = offers(&shell.changes);
            let known = shell.changes.len();
            run(&mut shell, at as u16, step);
            if let Step::CheckIn { number, .. } = step {
                let after = offers(&shell.changes);
                for other in (1..=DEVICES).filter(|other| other != number) {
                    prop_assert_eq!(before.get(&id(other)), after.get(&id(other)));
                }
                for change in &shell.changes[known..] {
                    match change {
                        Change::Device(device) => prop_assert_eq!(device.id, id(*number)),
                        Change::Update(update) => prop_assert_eq!(update.device, id(*number)),
                        Change::Offered(offer) => prop_assert_eq!(offer.device, id(*number)),
                        Change::OfferWithdrawn(_) => {}
                        other => prop_assert!(false, "a check-in led to {:?}", other),
                    }
                }
            }
        }
    }

    #[test]
    fn a_withheld_image_is_never_offered_before_a_retry(steps in prop::collection::vec(step(), 1..120)) {
        let mut shell = gateway_with_images();
        let mut withheld: BTreeSet<(DeviceId, u64)> = BTreeSet::new();
        let mut seen = 0;
        for (at, step) in steps.iter().enumerate() {
            shell.now_ms += 3_000;
            if let Step::Command(what, number, image) = step {
                match what {
                    1 => withheld.retain(|(device, _)| *device != id(*number)),
                    13.. => drop(withheld.remove(&(id(*number), *image))),
                    _ => {}
                }
            }
            let job = run(&mut shell, at as u16, step);
            for change in &shell.changes[seen..] {
                if let Change::Update(update) = change
                    && matches!(update.state, UpdateState::Withheld { .. })
                {
                    let number = (1..=IMAGES).find(|number| digest(*number) == update.image).unwrap();
                    withheld.insert((update.device, number));
                }
            }
            seen = shell.changes.len();
            if let (Some(job), Step::CheckIn { number, running, .. }) = (job, step) {
                prop_assert!(!withheld.contains(&(id(*number), job.sequence_number)));
                prop_assert!(job.sequence_number > *running);
            }
        }
    }

    #[test]
    fn a_restored_gateway_shows_what_the_live_one_showed(steps in prop::collection::vec(step(), 1..80)) {
        let mut shell = gateway_with_images();
        for (at, step) in steps.iter().enumerate() {
            shell.now_ms += 3_000;
            run(&mut shell, at as u16, step);
        }
        // Builds under way are asked for again by the next check-in, and counters are stored late: settle both.
        shell.build_all();
        shell.sleep(200_000);
        let unclaimed_dropped = shell.gateway.status().unclaimed_dropped;
        prop_assert_eq!(unclaimed_dropped, 0);
        let (devices, images) = (shell.gateway.devices(), shell.gateway.images());
        let (groups, links, status) = (shell.gateway.groups(), shell.gateway.links(), shell.gateway.status());
        shell.restart();
        prop_assert_eq!(shell.gateway.devices(), devices);
        prop_assert_eq!(shell.gateway.images(), images);
        prop_assert_eq!(shell.gateway.groups(), groups);
        prop_assert_eq!(shell.gateway.links(), links);
        prop_assert_eq!(shell.gateway.status(), status);
    }

    #[test]
    fn rows_in_tables_restore_what_the_log_restores(steps in prop::collection::vec(step(), 1..80)) {
        let mut shell = gateway_with_images();
        for (at, step) in steps.iter().enumerate() {
            shell.now_ms += 3_000;
            run(&mut shell, at as u16, step);
        }
        shell.restart();
        let (devices, status) = (shell.gateway.devices(), shell.gateway.status());
        let mut rows = latest(&shell.changes);
        rows.reverse();
        shell.changes = rows;
        shell.restart();
        prop_assert_eq!(shell.gateway.devices(), devices);
        prop_assert_eq!(shell.gateway.status(), status);
    }

    #[test]
    fn no_datagram_panics(
        datagrams in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..80), 1..60),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..60),
    ) {
        let mut shell = Shell::ready(open());
        for datagram in &datagrams {
            shell.send(peer(1), datagram);
        }
        let mut valid = vec![post(1, &check_in(1, 1)), get(2, &["i", &digest(2).short_hex()], None)];
        for (index, byte) in flips {
            for datagram in &mut valid {
                let at = index.index(datagram.len());
                datagram[at] ^= byte;
                shell.send(peer(2), datagram);
                shell.send(core::net::SocketAddr::from(([10, 0, 0, 1], 0)), datagram);
            }
        }
        shell.sleep(100_000);
    }
}

/// The rows a database holds after these changes, in no meaningful order.
fn latest(changes: &[Change]) -> Vec<Change> {
    let mut rows: BTreeMap<String, Change> = BTreeMap::new();
    for change in changes {
        let key = match change {
            Change::Image(image) => format!("image {}", image.digest),
            Change::Artefact(a) => format!("artefact {} {:?} {}", a.target, a.base, a.digest),
            Change::Device(device) => format!("device {}", device.id),
            Change::Labelled(id, _) => format!("label {id}"),
            Change::GroupCreated(name) => format!("group {name}"),
            Change::MemberAdded(name, id) => format!("member {name}/{id}"),
            Change::Assigned(assignment) => format!("assigned {}", assignment.selector),
            Change::Paused(_) => "paused".into(),
            Change::Offered(offer) => format!("offer {}", offer.path),
            Change::Update(update) => format!("update {}/{}", update.device, update.image),
            Change::Pinned(image) => format!("pin {image}"),
            Change::Built(key) => format!("built {key:?}"),
            Change::BuildFailed { key, .. } => format!("failed {key:?}"),
            Change::LinkCounters { link, .. } => format!("link {link}"),
            Change::DeviceCounters { device, .. } => format!("counters {device}"),
            Change::Served { path, .. } => format!("served {path}"),
            removal => {
                remove(&mut rows, removal);
                continue;
            }
        };
        if let Change::Built(key) = change {
            rows.remove(&format!("failed {key:?}"));
        }
        rows.insert(key, change.clone());
    }
    rows.into_values().collect()
}

fn remove(rows: &mut BTreeMap<String, Change>, removal: &Change) {
    match removal {
        Change::Resumed => {
            rows.remove("paused");
        }
        Change::Unlabelled(id) => {
            rows.remove(&format!("label {id}"));
        }
        Change::DeviceForgotten(id) => {
            rows.remove(&format!("device {id}"));
            rows.remove(&format!("label {id}"));
            rows.remove(&format!("counters {id}"));
            rows.retain(|key, _| !(key.starts_with("member ") && key.ends_with(&format!("/{id}"))));
        }
        Change::GroupRemoved(name) => {
            rows.remove(&format!("group {name}"));
            rows.retain(|key, _| !key.starts_with(&format!("member {name}/")));
        }
        Change::MemberRemoved(name, id) => drop(rows.remove(&format!("member {name}/{id}"))),
        Change::Unassigned(selector) => drop(rows.remove(&format!("assigned {selector}"))),
        Change::OfferWithdrawn(path) => {
            rows.remove(&format!("offer {path}"));
            rows.remove(&format!("served {path}"));
        }
        Change::UpdateForgotten(id, image) => drop(rows.remove(&format!("update {id}/{image}"))),
        Change::ImageRemoved(image) => drop(rows.remove(&format!("image {image}"))),
        Change::Unpinned(image) => drop(rows.remove(&format!("pin {image}"))),
        Change::ArtefactRemoved { target, base, digest } => {
            drop(rows.remove(&format!("artefact {target} {base:?} {digest}")))
        }
        Change::BuildForgotten(key) => drop(rows.remove(&format!("built {key:?}"))),
        Change::BuildReleased(key) => drop(rows.remove(&format!("failed {key:?}"))),
        stored => unreachable!("{stored:?} is a row"),
    }
}
