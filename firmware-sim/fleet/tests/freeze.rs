//! Who notices that updates are withheld, on virtual time: the real agent, bootloader and gateway core. `docs/freeze.md` has the
//! bound; `firmware-sim/agent/tests/freshness.rs` what a device makes of hostile statements.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use deltagate_agent::Event;
use fleet::sim::{Behaviour, Fault, Hardware, Moment, Publisher, World};
use gateway_core::{Command, Refusal, WRITTEN_UNIX_S};
use simulated::{HOUR_US, LINK, assign, hardware, releases, run_until_confirmed, scenario, settled};
use wire_manifest::Latest;

const DAY_US: u64 = 24 * HOUR_US;
const VALID_S: u32 = 14 * 86_400;

/// By the gateway's clock, which is right.
fn stated(number: u32, sequence: u32, now_us: u64) -> Latest {
    Latest {
        number,
        sequence,
        issued_s: (WRITTEN_UNIX_S + now_us / 1_000_000) as u32,
        valid_s: VALID_S,
    }
}

fn state(world: &mut World<'_>, publisher: &Publisher, number: u32, sequence: u32) {
    let now_us = world.now_us();
    let statement = publisher.state(stated(number, sequence, now_us));
    let command = Command::ImportStatement(statement);
    world.gateway().command(now_us, command).unwrap();
}

fn said(world: &World<'_>, what: impl Fn(&Event) -> bool) -> bool {
    let mut moments = world.history(0).iter();
    moments.any(|moment| matches!(moment, Moment::Said(event) if what(event)))
}

fn listening(hardware: Vec<Hardware>) -> Vec<Hardware> {
    let listens = |device| Hardware {
        freshness: true,
        ..device
    };
    hardware.into_iter().map(listens).collect()
}

fn run_days(world: &mut World<'_>, days: u64) {
    let until_us = world.now_us() + days * DAY_US;
    let over = |world: &World<'_>| world.now_us() >= until_us;
    world.run_until(until_us + DAY_US, over).unwrap();
}

#[test]
fn a_gateway_cut_off_from_its_publisher_is_told_of_and_everything_goes_on() {
    let (publisher, releases) = releases(7, &[Behaviour::Good]);
    let mut hardware = listening(hardware(&publisher, &releases[0], 1));
    let mut scenario = scenario(7, LINK);
    scenario.config.check_in_interval_s = 3_600;
    let mut world = settled(scenario, &mut hardware, &releases);
    state(&mut world, &publisher, 1, 1);
    run_days(&mut world, 5);
    assert!(said(&world, |event| matches!(
        event,
        Event::Latest { statement: 1, .. }
    )));
    state(&mut world, &publisher, 2, 1);
    let issued_us = world.now_us();
    world.plan(issued_us + 6 * DAY_US, Fault::PowerCut { device: 0 });
    world.plan(issued_us + 8 * DAY_US, Fault::GatewayKilled);
    run_days(&mut world, 14);
    let is_stale = |event: &Event| matches!(event, Event::Stale { statement: 2 });
    assert!(!said(&world, is_stale), "not before its time");
    // 16/15 of 14 days, three until it asked for it, four hours for the power cut, and an interval.
    run_days(&mut world, 5);
    assert!(said(&world, is_stale));
    let now = world.gateway().now(issued_us + 19 * DAY_US);
    let view = world.gateway().core().statements(now)[0];
    assert_eq!((view.is_old, view.stale_devices), (Some(true), 1));

    // Nothing stops.
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, DAY_US);
    // And it is well again with the next word.
    state(&mut world, &publisher, 3, 2);
    run_days(&mut world, 1);
    let now_us = world.now_us();
    let now = world.gateway().now(now_us);
    let view = world.gateway().core().statements(now)[0];
    assert_eq!((view.stale_devices, view.behind_devices), (0, 0));
}

#[test]
fn a_release_that_is_not_assigned_for_long_is_told_of_as_withheld() {
    let (publisher, releases) = releases(8, &[Behaviour::Good]);
    let mut hardware = listening(hardware(&publisher, &releases[0], 1));
    let mut scenario = scenario(8, LINK);
    scenario.config.check_in_interval_s = 3_600;
    let mut world = settled(scenario, &mut hardware, &releases);
    let is_behind = |event: &Event| matches!(event, Event::Behind { sequence: 2 });
    for number in 1..=4 {
        state(&mut world, &publisher, number, 2);
        assert!(!said(&world, is_behind) || number == 4);
        run_days(&mut world, 5);
    }
    assert!(said(&world, is_behind));
    assert!(!said(&world, |event| matches!(event, Event::Stale { .. })));
    let now_us = world.now_us();
    let now = world.gateway().now(now_us);
    assert_eq!(world.gateway().core().statements(now)[0].behind_devices, 1);

    // An old one is nothing that a gateway takes, either.
    let old = publisher.state(stated(2, 2, world.now_us()));
    let refused = world.gateway().command(now_us, Command::ImportStatement(old));
    assert!(matches!(refused, Err(Refusal::StatementNotNewer { .. })));
}
