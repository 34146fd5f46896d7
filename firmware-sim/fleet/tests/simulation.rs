//! Whole updates on virtual time: the real agent, bootloader and gateway core, and every kind of bad luck.
//!
//! Each test runs several seeds; a failure prints the one to run again.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

use deltagate_agent::Event;
use fleet::factory::{self, Shipped};
use fleet::link::{BitsPerSecond, LinkProfile, PerMillion};
use fleet::rng::Rng;
use fleet::sim::{
    Behaviour, CLASS_ID, Fault, Hardware, LAYOUT, Moment, Publisher, Scenario, SignedImage, VENDOR_ID, World,
    similar_images,
};
use gateway_core::{ClassId, Command, CoreConfig, LinkConfig, Selector, Terms};

const SECOND_US: u64 = 1_000_000;
const HOUR_US: u64 = 3_600 * SECOND_US;

/// 200 kbit/s and 100 ms each way: slow enough that order matters, fast enough that a run is short.
const LINK: LinkProfile = LinkProfile {
    rate_up: BitsPerSecond(200_000),
    rate_down: BitsPerSecond(200_000),
    delay_us: 100_000,
    loss: PerMillion::NEVER,
    duplicate: PerMillion::NEVER,
    reorder: PerMillion::NEVER,
    reorder_delay_us: 0,
    mtu_bytes: 1_280,
    queue_bytes: 32 * 1_024,
};

fn scenario(seed: u64, profile: LinkProfile) -> Scenario {
    let rate = gateway_core::BitsPerSecond::new(profile.rate_down.0).unwrap();
    Scenario {
        seed,
        profile,
        config: CoreConfig {
            default_link: LinkConfig {
                rate,
                ..LinkConfig::default()
            },
            check_in_interval_s: 60,
            ..CoreConfig::default()
        },
    }
}

/// The same with blocks of 64 bytes, so that a transfer takes seconds and there is time for things to go wrong in it.
fn long_scenario(seed: u64, profile: LinkProfile) -> Scenario {
    let mut scenario = scenario(seed, profile);
    scenario.config.default_link.block_size_max = wire_coap::BlockSize::B64;
    scenario
}

/// Version 1, which every device ships with, and one later image for each behaviour.
fn releases(seed: u64, later: &[Behaviour]) -> (Publisher, Vec<SignedImage>) {
    let publisher = Publisher::new(seed);
    let behaviours = std::iter::once(&Behaviour::Good).chain(later);
    let signed = similar_images(seed, 20_000, 1 + later.len())
        .into_iter()
        .zip(behaviours)
        .enumerate()
        .map(|(index, (image, &behaviour))| publisher.sign(index as u32 + 1, image, behaviour))
        .collect();
    (publisher, signed)
}

fn hardware(publisher: &Publisher, first: &SignedImage, devices: usize) -> Vec<Hardware> {
    let shipped = Shipped {
        vendor_id: VENDOR_ID,
        class_id: CLASS_ID,
        trust_anchors: &[publisher.anchor()],
        envelope: &first.envelope,
        image: &first.image,
        sequence: first.sequence,
    };
    let flash = factory::flash(&LAYOUT, &shipped).unwrap();
    (0..devices).map(|_| Hardware::new(flash.clone())).collect()
}

/// A world in which every device has checked in once from version 1 and is claimed.
fn settled<'h>(scenario: Scenario, hardware: &'h mut [Hardware], releases: &'h [SignedImage]) -> World<'h> {
    let devices = hardware.len();
    let mut world = World::new(scenario, hardware, releases);
    for release in releases {
        world.gateway().import(0, release).unwrap();
    }
    for device in 0..devices {
        let id = wire_checkin::DeviceId::new(&world.device_id(device)).unwrap();
        world.gateway().command(0, Command::ClaimDevice(id)).unwrap();
    }
    world
        .run_until(HOUR_US, |world| {
            (0..devices).all(|device| checked_in(world, device))
        })
        .unwrap_or_else(|stopped| panic!("{stopped}"));
    world
}

fn checked_in(world: &World<'_>, device: usize) -> bool {
    world
        .history(device)
        .iter()
        .any(|moment| matches!(moment, Moment::Said(Event::CheckedIn { .. })))
}

fn assign(world: &mut World<'_>, release: &SignedImage) {
    let now_us = world.now_us();
    let selector = Selector::Class(ClassId(CLASS_ID));
    world
        .gateway()
        .command(
            now_us,
            Command::Assign(selector, release.digest(), Terms::default()),
        )
        .unwrap();
}

fn run_until_confirmed(world: &mut World<'_>, sequence: u32, limit_us: u64) {
    let limit_us = world.now_us() + limit_us;
    world
        .run_until(limit_us, |world| {
            (0..world.devices()).all(|device| world.confirmed(device) == Some(sequence))
        })
        .unwrap_or_else(|stopped| panic!("{stopped}"));
}

/// One device takes version 2 while `faults` happen at times after its check-in for the job. Gives its history.
fn update_with(seed: u64, profile: LinkProfile, faults: &[(u64, Fault)]) -> Vec<Moment> {
    let (publisher, releases) = releases(seed, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(long_scenario(seed, profile), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    let limit_us = world.now_us() + HOUR_US;
    world
        .run_until(limit_us, |world| world.observed(0).offers_of(2) == 1)
        .unwrap_or_else(|stopped| panic!("{stopped}"));
    let now_us = world.now_us();
    for &(after_us, fault) in faults {
        world.plan(now_us + after_us, fault);
    }
    run_until_confirmed(&mut world, 2, 24 * HOUR_US);
    world.history(0).to_vec()
}

/// How often a download went on after a power cut.
fn resumptions(history: &[Moment]) -> usize {
    history
        .iter()
        .filter(|moment| matches!(moment, Moment::Said(Event::Resumed { .. })))
        .count()
}

#[test]
fn without_loss_an_update_costs_two_round_trips_beside_the_payload_and_no_retransmission() {
    let (publisher, releases) = releases(1, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(scenario(1, LINK), &mut hardware, &releases);
    // The delta is built for what the device is known to run, before it asks.
    assign(&mut world, &releases[1]);
    let before = world.observed(0).clone();
    run_until_confirmed(&mut world, 2, HOUR_US);
    let after = world.observed(0);

    assert_eq!(after.counts.retransmissions, 0);
    assert_eq!(
        after.counts.check_ins - before.counts.check_ins,
        2,
        "one to get the job, one to report from version 2"
    );
    assert_eq!(
        after.counts.manifest_requests, 0,
        "the manifest came with the job"
    );
    let [offer] = &after.offers[..] else {
        panic!("one offer, not {:?}", after.offers);
    };
    assert_eq!(offer.format, wire_checkin::Format::Patch);
    assert_eq!(after.counts.payload_requests, offer.payload_bytes.div_ceil(1_024));
    assert!(
        offer.payload_bytes < releases[1].image.len() as u32 / 4,
        "a delta of {} bytes",
        offer.payload_bytes
    );
}

#[test]
fn twenty_percent_loss_delays_and_breaks_nothing() {
    for seed in 0..12 {
        let profile = LinkProfile {
            loss: PerMillion::percent(20),
            ..LINK
        };
        update_with(seed, profile, &[]);
    }
}

#[test]
fn duplication_and_reordering_break_nothing() {
    for seed in 100..112 {
        let profile = LinkProfile {
            duplicate: PerMillion::percent(20),
            reorder: PerMillion::percent(20),
            reorder_delay_us: 3 * SECOND_US,
            loss: PerMillion::percent(5),
            ..LINK
        };
        update_with(seed, profile, &[]);
    }
}

#[test]
fn power_cuts_at_any_time_delay_and_break_nothing() {
    let mut resumed = 0;
    for seed in 200..216 {
        let mut rng = Rng::for_stream(seed, 9);
        let faults: Vec<_> = (0..8)
            .map(|_| (rng.below(12 * SECOND_US), Fault::PowerCut { device: 0 }))
            .collect();
        resumed += resumptions(&update_with(seed, LINK, &faults));
    }
    assert!(resumed > 16, "only {resumed} downloads were cut and went on");
}

#[test]
fn writes_torn_at_any_byte_delay_and_break_nothing() {
    let mut resumed = 0;
    for seed in 300..316 {
        let mut rng = Rng::for_stream(seed, 9);
        let faults: Vec<_> = (0..8)
            .map(|_| {
                let fault = Fault::TornWrite {
                    device: 0,
                    operations: rng.below(12),
                    torn_at: rng.below(64) as u32,
                };
                (rng.below(12 * SECOND_US), fault)
            })
            .collect();
        resumed += resumptions(&update_with(seed, LINK, &faults));
    }
    assert!(resumed > 16, "only {resumed} downloads were cut and went on");
}

#[test]
fn a_gateway_killed_in_the_middle_of_a_transfer_goes_on_where_it_was() {
    // Slow enough that the transfer takes half a minute, and the gateway dies within it.
    let slow = LinkProfile {
        delay_us: 2 * SECOND_US,
        ..LINK
    };
    for seed in 400..406 {
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = hardware(&publisher, &releases[0], 1);
        let mut world = settled(scenario(seed, slow), &mut hardware, &releases);
        assign(&mut world, &releases[1]);
        let limit_us = world.now_us() + HOUR_US;
        world
            .run_until(limit_us, |world| world.observed(0).counts.payload_replies >= 1)
            .unwrap_or_else(|stopped| panic!("{stopped}"));
        let now_us = world.now_us();
        world.plan(now_us, Fault::GatewayKilled);
        run_until_confirmed(&mut world, 2, 24 * HOUR_US);
        assert_eq!(
            world.observed(0).offers_of(2),
            1,
            "seed {seed}: the old offer still held"
        );
        assert_eq!(world.delta_builds(), 1, "seed {seed}: nothing was built again");
    }
}

/// The device ends on version 1, the gateway knows why, and two hours of check-ins bring no second offer.
fn reverted_and_offered_once(behaviour: Behaviour) {
    for seed in 500..504 {
        let (publisher, releases) = releases(seed, &[behaviour]);
        let mut hardware = hardware(&publisher, &releases[0], 1);
        let mut world = settled(scenario(seed, LINK), &mut hardware, &releases);
        assign(&mut world, &releases[1]);
        let end_us = world.now_us() + 2 * HOUR_US;
        world
            .run_until(end_us + HOUR_US, |world| world.now_us() >= end_us)
            .unwrap_or_else(|stopped| panic!("{stopped}"));
        assert_eq!(world.confirmed(0), Some(1), "seed {seed}");
        assert_eq!(world.observed(0).offers_of(2), 1, "seed {seed}");
        assert!(
            world.observed(0).counts.check_ins > 60,
            "seed {seed}: it kept asking"
        );
        let trials = world
            .history(0)
            .iter()
            .filter(|moment| matches!(moment, Moment::Booted { sequence: 2, .. }))
            .count();
        assert!((1..=3).contains(&trials), "seed {seed}: {trials} trial boots");
    }
}

#[test]
fn an_image_that_hangs_is_reverted_and_offered_once() {
    reverted_and_offered_once(Behaviour::Hangs);
}

#[test]
fn an_image_that_faults_is_reverted_and_offered_once() {
    reverted_and_offered_once(Behaviour::Faults);
}

#[test]
fn an_image_with_a_dead_network_is_reverted_and_offered_once() {
    reverted_and_offered_once(Behaviour::DeadNetwork);
}

#[test]
fn a_good_image_follows_a_bad_one() {
    let (publisher, releases) = releases(600, &[Behaviour::Hangs, Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(scenario(600, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    let limit_us = world.now_us() + HOUR_US;
    world
        .run_until(limit_us, |world| {
            world
                .history(0)
                .iter()
                .any(|moment| matches!(moment, Moment::Booted { sequence: 2, .. }))
        })
        .unwrap_or_else(|stopped| panic!("{stopped}"));
    assign(&mut world, &releases[2]);
    run_until_confirmed(&mut world, 3, 24 * HOUR_US);
}

#[test]
fn fifty_devices_cost_one_build() {
    let wide = LinkProfile {
        rate_up: BitsPerSecond(10_000_000),
        rate_down: BitsPerSecond(10_000_000),
        ..LINK
    };
    let (publisher, releases) = releases(700, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 50);
    let mut world = settled(scenario(700, wide), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, HOUR_US);
    assert_eq!(world.delta_builds(), 1);
}

#[test]
fn one_seed_is_one_history() {
    let run = || {
        let profile = LinkProfile {
            loss: PerMillion::percent(10),
            ..LINK
        };
        let (publisher, releases) = releases(800, &[Behaviour::Good]);
        let mut hardware = hardware(&publisher, &releases[0], 2);
        let mut world = settled(scenario(800, profile), &mut hardware, &releases);
        assign(&mut world, &releases[1]);
        run_until_confirmed(&mut world, 2, 24 * HOUR_US);
        (world.now_us(), world.history(0).to_vec(), world.traffic(1))
    };
    assert_eq!(run(), run());
}
