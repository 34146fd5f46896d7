//! Whole updates on virtual time: the real agent, bootloader and gateway core, and every kind of bad luck.
//!
//! Each test runs several seeds; a failure prints the one to run again.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use deltagate_agent::Event;
use fleet::link::{LinkProfile, PerMillion};
use fleet::rng::Rng;
use fleet::sim::{Behaviour, Fault, Moment, Publisher, SignedImage, similar_images};
use simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, run_until_confirmed, scenario,
    settled,
};

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

/// 1.0, 1.1 and 1.5, of which the last may only follow 1.1: with loss and power cuts, by one delta for each step.
#[test]
fn a_device_goes_by_a_stepping_stone_to_what_is_assigned() {
    for seed in 0..8 {
        let publisher = Publisher::new(seed);
        let signed = |(image, (sequence, least)): (Vec<u8>, (u32, u32))| {
            publisher.sign_after(sequence, least, image, Behaviour::Good)
        };
        let images = similar_images(seed, 20_000, 3).into_iter();
        let releases: Vec<SignedImage> = images.zip([(1, 0), (4, 1), (7, 4)]).map(signed).collect();
        let mut hardware = hardware(&publisher, &releases[0], 1);
        let profile = LinkProfile {
            loss: PerMillion::percent(10),
            ..LINK
        };
        let mut world = settled(long_scenario(seed, profile), &mut hardware, &releases);
        assign(&mut world, &releases[2]);
        let now_us = world.now_us();
        for cut in 1..6 {
            world.plan(now_us + cut * 7 * SECOND_US, Fault::PowerCut { device: 0 });
        }
        run_until_confirmed(&mut world, 4, 24 * HOUR_US);
        run_until_confirmed(&mut world, 7, 24 * HOUR_US);
        let mut offered: Vec<(u64, wire_checkin::Format)> = world
            .observed(0)
            .offers
            .iter()
            .map(|offer| (offer.sequence_number, offer.format))
            .collect();
        offered.dedup();
        let patch = wire_checkin::Format::Patch;
        assert_eq!(offered, [(4, patch), (7, patch)], "seed {seed}");
        assert_eq!(world.delta_builds(), 2, "one for each step, seed {seed}");
    }
}

/// The way is open, and its first stone crashes: the device stays where it is, and nothing beyond is offered.
#[test]
fn a_stepping_stone_that_fails_ends_the_way_in_the_old_image() {
    let publisher = Publisher::new(5);
    let behaviours = [
        (1, 0, Behaviour::Good),
        (4, 0, Behaviour::Faults),
        (7, 4, Behaviour::Good),
    ];
    let images = similar_images(5, 20_000, 3).into_iter().zip(behaviours);
    let releases: Vec<SignedImage> = images
        .map(|(image, (sequence, least, behaviour))| publisher.sign_after(sequence, least, image, behaviour))
        .collect();
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(scenario(5, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[2]);
    let limit_us = world.now_us() + HOUR_US;
    world
        .run_until(limit_us, |world| {
            let reported = |moment: &Moment| matches!(moment, Moment::Said(Event::Reported { .. }));
            world.history(0).iter().any(reported)
        })
        .unwrap_or_else(|stopped| panic!("{stopped}"));
    let before = world.observed(0).counts.check_ins;
    let limit_us = world.now_us() + HOUR_US;
    world
        .run_until(limit_us, |world| world.observed(0).counts.check_ins >= before + 5)
        .unwrap_or_else(|stopped| panic!("{stopped}"));
    assert_eq!(world.confirmed(0), Some(1));
    assert_eq!(
        (world.observed(0).offers_of(4), world.observed(0).offers_of(7)),
        (1, 0)
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
