//! Rows of the gateway.

use crate::simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, settled, tiny_blocks,
};
use crate::story::{Witness, confirmed, offered};
use crate::table::Told;
use fleet::link::LinkProfile;
use fleet::sim::{Behaviour, Fault, Moment};

pub fn the_gateway_is_killed_in_every_phase() -> Told {
    let mut last = None;
    for half_seconds in 0..24 {
        let seed = 200 + half_seconds;
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = hardware(&publisher, &releases[0], 1);
        let mut world = settled(long_scenario(seed, LINK), &mut hardware, &releases);
        assign(&mut world, &releases[1]);
        let now_us = world.now_us();
        // From the build, over offer, transfer and trial, to the confirmation.
        let at_us = match half_seconds {
            // While the patch is being built: the device asks within a minute.
            0..4 => now_us + half_seconds * SECOND_US,
            _ => {
                world.until(|world| world.observed(0).offers_of(2) == 1);
                world.now_us() + (half_seconds - 4) * SECOND_US / 2
            }
        };
        world.plan(at_us, Fault::GatewayKilled);
        last = Some(confirmed(&mut world, 2));
        assert_eq!(
            world.observed(0).payload_back_bytes_max,
            0,
            "seed {seed}: nothing was fetched twice"
        );
        assert!(
            world.delta_builds() <= 2,
            "seed {seed}: built once, or again when killed meanwhile"
        );
    }
    last.unwrap()
}

pub fn it_restarts_with_a_newer_assignment() -> Told {
    let (publisher, releases) = releases(230, &[Behaviour::Good, Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let slow = LinkProfile {
        delay_us: SECOND_US,
        ..LINK
    };
    let mut world = offered(long_scenario(230, slow), &mut hardware, &releases);
    world.until(|world| world.observed(0).counts.payload_replies >= 4);
    let now_us = world.now_us();
    world.plan(now_us, Fault::GatewayKilled);
    world.pass(5 * SECOND_US);
    assign(&mut world, &releases[2]);
    let told = confirmed(&mut world, 3);
    assert!(
        !world
            .history(0)
            .iter()
            .any(|moment| matches!(moment, Moment::Booted { sequence: 2, .. })),
        "the first image was never made"
    );
    told
}

pub fn the_clock_starts_in_1970_and_jumps() -> Told {
    let (publisher, releases) = releases(240, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let slow = LinkProfile {
        delay_us: SECOND_US,
        ..LINK
    };
    let mut world = settled(tiny_blocks(240, slow), &mut hardware, &releases);
    let now_us = world.now_us();
    world.plan(now_us, Fault::ClockSet { to_unix_s: 30 });
    world.pass(SECOND_US);
    assign(&mut world, &releases[1]);
    world.until(|world| world.observed(0).counts.payload_replies >= 6);
    let left_s = |world: &mut fleet::sim::World<'_>| {
        let updates = world.gateway().core().updates();
        updates[0].transfer.as_ref().unwrap().expected_left_s.unwrap()
    };
    let before_s = left_s(&mut world);
    let now_us = world.now_us();
    // Set, and an hour back, in the middle of the transfer.
    for (after_s, to_unix_s) in [(0, 1_794_000_000), (4, 1_793_996_400)] {
        world.plan(now_us + after_s * SECOND_US, Fault::ClockSet { to_unix_s });
    }
    world.pass(8 * SECOND_US);
    assert!(
        left_s(&mut world) <= before_s,
        "the time to go is no matter of the clock"
    );
    let meanwhile = world.show();
    Told {
        printed: meanwhile.printed,
        ..confirmed(&mut world, 2)
    }
}

pub fn rauc_hawkbit_updater_223_a_delta_cannot_be_built() -> Told {
    let (publisher, releases) = releases(250, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(long_scenario(250, LINK), &mut hardware, &releases);
    world.gateway().fail_deltas();
    assign(&mut world, &releases[1]);
    world.pass(HOUR_US);
    assert_eq!(world.confirmed(0), Some(1));
    assert_eq!(
        world.observed(0).counts.payload_requests,
        0,
        "no full image in its place"
    );
    world.show()
}
