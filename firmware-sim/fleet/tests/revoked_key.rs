//! A release key leaks: a set of trust anchors takes it away, at the gateway and on devices, and a new key goes on. Real agent,
//! bootloader and gateway core on virtual time.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use deltagate_agent::Event;
use fleet::sim::{Behaviour, Fault, Hardware, Moment, Publisher, SignedImage, World};
use gateway_core::{AnchorsRecord, Command, Reply, Stage};
use simulated::{
    HOUR_US, LINK, SECOND_US, assign, releases, run_until_confirmed, scenario, settled, shipped,
};
use std::collections::BTreeSet;
use wire_checkin::{DeviceId, Outcome};
use wire_manifest::{KeyId, Roles};

/// The keys of a product: what leaked, what lies in the safe, and what takes its place.
struct Keys {
    leaked: Publisher,
    safe: Publisher,
    new: Publisher,
}

impl Keys {
    /// Images 1 and 2 of the key that leaks, and 3 of the new one.
    fn with_releases(seed: u64) -> (Keys, Vec<SignedImage>) {
        let (leaked, mut releases) = releases(seed, &[Behaviour::Good, Behaviour::Good]);
        let new = Publisher::new(seed + 1);
        let safe = Publisher::new(seed + 2);
        releases[2] = new.sign(3, releases[2].image.clone(), Behaviour::Good);
        (Keys { leaked, safe, new }, releases)
    }

    fn factory(&self) -> [[u8; 32]; 2] {
        [self.leaked.anchor(), self.safe.anchor()]
    }

    /// What runs goes on; nothing else of the old key does.
    fn revocation(&self, number: u16) -> AnchorsRecord {
        let of = [
            (Roles::RELEASE, &self.new),
            (Roles::RETIRED, &self.leaked),
            (Roles::RECOVERY, &self.safe),
        ];
        AnchorsRecord::read(&self.safe.sign_set(number, 100, &of), 1).unwrap()
    }
}

fn world<'h>(seed: u64, keys: &Keys, hardware: &'h mut [Hardware], releases: &'h [SignedImage]) -> World<'h> {
    let mut scenario = scenario(seed, LINK);
    let ids = keys.factory().map(|key| KeyId::of(&key).0);
    scenario.config.trusted_keys = Some(BTreeSet::from(ids));
    scenario.config.factory_keys = keys.factory().to_vec();
    settled(scenario, hardware, releases)
}

fn hardware(keys: &Keys, first: &SignedImage, devices: usize) -> Vec<Hardware> {
    let flash = shipped(&keys.factory(), first);
    (0..devices)
        .map(|_| Hardware::with_anchors(flash.clone()))
        .collect()
}

fn until(world: &mut World<'_>, goal: impl FnMut(&World<'_>) -> bool) {
    let limit_us = world.now_us() + 4 * HOUR_US;
    world
        .run_until(limit_us, goal)
        .unwrap_or_else(|stopped| panic!("{stopped}"));
}

fn pass(world: &mut World<'_>, us: u64) {
    let end_us = world.now_us() + us;
    until(world, |world| world.now_us() >= end_us);
}

/// How many devices say that they have this set.
fn have(world: &mut World<'_>, number: u16) -> usize {
    let sets = world.gateway().core().anchors();
    let set = sets.iter().find(|set| set.record.number == number);
    set.map_or(0, |set| set.devices)
}

fn import(world: &mut World<'_>, set: AnchorsRecord) -> Reply {
    let now_us = world.now_us();
    world
        .gateway()
        .command(now_us, Command::ImportAnchors(set))
        .unwrap()
}

fn refused(world: &World<'_>, device: usize) -> bool {
    let refusal = |moment: &Moment| {
        matches!(
            moment,
            Moment::Said(Event::Reported {
                outcome: Outcome::RefusedSignature,
                ..
            })
        )
    };
    world.history(device).iter().any(refusal)
}

#[test]
fn a_key_that_leaked_ends_with_the_next_check_in_and_a_new_one_goes_on() {
    for seed in [900, 910] {
        let (keys, releases) = Keys::with_releases(seed);
        let mut hardware = hardware(&keys, &releases[0], 3);
        let mut world = world(seed, &keys, &mut hardware, &releases);
        assert_eq!(have(&mut world, 1), 0);

        // One check-in brings it: the operator is told what goes out no more, and of whom it takes what.
        let reply = import(&mut world, keys.revocation(1));
        let Reply::Anchors {
            distrusted,
            behind: 3,
            ..
        } = reply
        else {
            panic!("{reply:?}");
        };
        assert!(distrusted.contains(&releases[1].digest()));
        assign(&mut world, &releases[1]);
        pass(&mut world, 200 * SECOND_US);
        assert_eq!(have(&mut world, 1), 3, "seed {seed}");
        for device in 0..3 {
            assert_eq!(world.confirmed(device), Some(1));
            assert_eq!(
                world.observed(device).offers_of(2),
                0,
                "the gateway does not offer it"
            );
            let boots = world
                .history(device)
                .iter()
                .filter(|moment| matches!(moment, Moment::Booted { .. }));
            assert_eq!(boots.count(), 2, "one restart for the set");
        }
        assert!(
            world
                .gateway()
                .core()
                .updates()
                .iter()
                .all(|update| update.stage == Stage::Blocked)
        );

        // What the new key signed goes to everybody, and the power going away changes nothing about who is believed.
        let now_us = world.now_us();
        world.plan(now_us, Fault::PowerCut { device: 0 });
        assign(&mut world, &releases[2]);
        run_until_confirmed(&mut world, 3, 4 * HOUR_US);
        assert_eq!(have(&mut world, 1), 3);
    }
}

#[test]
fn a_gateway_of_the_thiefs_brings_nothing_of_the_old_key_to_a_device_with_the_set() {
    let (keys, releases) = Keys::with_releases(920);
    let mut hardware = hardware(&keys, &releases[0], 1);
    let mut world = world(920, &keys, &mut hardware, &releases);
    import(&mut world, keys.revocation(1));
    pass(&mut world, 200 * SECOND_US);
    assert_eq!(have(&mut world, 1), 1);

    // It knows of no set, and trusts the key.
    let now_us = world.now_us();
    world.gateway().lose_everything(now_us);
    world.gateway().import(now_us, &releases[0]).unwrap();
    world.gateway().import(now_us, &releases[1]).unwrap();
    let id = DeviceId::new(&world.device_id(0)).unwrap();
    world.gateway().command(now_us, Command::ClaimDevice(id)).unwrap();
    assign(&mut world, &releases[1]);
    until(&mut world, |world| refused(world, 0));
    assert_eq!(
        world.observed(0).counts.payload_requests,
        0,
        "nothing of it is fetched"
    );
    pass(&mut world, HOUR_US);
    assert_eq!(world.confirmed(0), Some(1));
}

/// Without a place for sets a device says so, and costs the gateway nothing: its updates go on.
#[test]
fn a_device_that_takes_no_sets_is_named_and_served() {
    let (keys, releases) = Keys::with_releases(930);
    let mut hardware = [Hardware::new(shipped(&keys.factory(), &releases[0]))];
    let mut world = world(930, &keys, &mut hardware, &releases);
    let of = [(Roles::RELEASE, &keys.leaked), (Roles::RECOVERY, &keys.safe)];
    let set = AnchorsRecord::read(&keys.safe.sign_set(1, 100, &of), 1).unwrap();
    import(&mut world, set);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, HOUR_US);
    let status = world.gateway().core().status();
    assert_eq!(status.anchors_behind.len(), 1);
}
