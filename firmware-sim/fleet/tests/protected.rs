//! Devices with keys, on virtual time: the real agent, bootloader and gateway core, which let in nobody else. What is promised of
//! every nonce is checked with every datagram (`fleet::sim`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use std::cell::RefCell;

use deltagate_agent::Event;
use deltagate_flash::Region;
use deltagate_flash::sim::SimFlash;
use fleet::link::{LinkProfile, PerMillion};
use fleet::sim::{
    Behaviour, CREDENTIALS, Fault, Hardware, LAYOUT, Moment, Scenario, SignedImage, World, enrol,
};
use gateway_core::{
    Access, Command, Credentials, Enrolment, IdentityCommand, Kid, LinkConfig, Octets, Secret,
};
use simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, run_until_confirmed, scenario,
    tiny_blocks,
};
use wire_checkin::DeviceId;

fn credentials(number: u8) -> Credentials {
    Credentials {
        kid: Kid::new(&[0, number]).unwrap(),
        gateway_id: Octets::EMPTY,
        secret: Secret::new(&[number; 16]),
        salt: Octets::EMPTY,
        id_context: Octets::EMPTY,
    }
}

/// The same world for devices with keys only.
fn authenticated(scenario: Scenario) -> Scenario {
    let mut scenario = scenario;
    let link = LinkConfig {
        access: Access::Authenticated,
        ..scenario.config.default_link
    };
    scenario.config.default_link = link;
    scenario
}

/// A device with the first credentials.
fn enrolled(hardware: Vec<Hardware>) -> Vec<Hardware> {
    let record = credentials(1).encode();
    hardware
        .into_iter()
        .map(|device| device.enrolled(&record))
        .collect()
}

fn id(world: &World<'_>) -> DeviceId {
    DeviceId::new(&world.device_id(0)).unwrap()
}

/// What an operator does with a factory's list, on a gateway that knows nothing.
fn set_up(world: &mut World<'_>, releases: &[SignedImage]) {
    let (now_us, device) = (world.now_us(), id(world));
    for release in releases {
        world.gateway().import(now_us, release).unwrap();
    }
    let enrolment = Enrolment {
        device,
        credentials: Some(credentials(1)),
        psk: None,
        public_key: None,
        names: Vec::new(),
        label: None,
        group: None,
    };
    identity(world, IdentityCommand::Enrol(enrolment));
}

fn identity(world: &mut World<'_>, command: IdentityCommand) {
    let now_us = world.now_us();
    world
        .gateway()
        .command(now_us, Command::Identity(command))
        .unwrap();
}

fn said(world: &World<'_>, what: impl Fn(&Event) -> bool) -> usize {
    let moments = world.history(0).iter();
    moments
        .filter(|moment| matches!(moment, Moment::Said(event) if what(event)))
        .count()
}

fn until(world: &mut World<'_>, goal: impl FnMut(&World<'_>) -> bool) {
    let limit_us = world.now_us() + 24 * HOUR_US;
    let reached = world.run_until(limit_us, goal);
    reached.unwrap_or_else(|stopped| panic!("{stopped}"));
}

fn passes(world: &mut World<'_>, time_us: u64) {
    let until_us = world.now_us() + time_us;
    until(world, |world| world.now_us() >= until_us);
}

/// A device that has checked in under its key, and is to get version 2.
fn settled<'h>(scenario: Scenario, hardware: &'h mut [Hardware], releases: &'h [SignedImage]) -> World<'h> {
    let mut world = World::new(authenticated(scenario), hardware, releases);
    set_up(&mut world, releases);
    until(&mut world, |world| {
        said(world, |event| matches!(event, Event::CheckedIn { .. })) > 0
    });
    assign(&mut world, &releases[1]);
    world
}

/// Two seconds each way: with blocks of 16 bytes a transfer takes minutes.
const SLOW: LinkProfile = LinkProfile {
    delay_us: 2 * SECOND_US,
    ..LINK
};

/// The same world, of which the gateway knows how patient devices have to be.
fn patient(mut scenario: Scenario) -> Scenario {
    scenario.config.default_link.ack_timeout_ms = 10_000;
    scenario
}

/// A NAT gives the device another port every 30 s. Each may cost the answer that was on its way: the same request is sent again, under
/// the same number, and gets the same bytes. There is no handshake, and no block is asked for twice. `TRANSFERS=1000` makes a thousand.
#[test]
fn a_transfer_goes_on_from_every_new_address() {
    let transfers = std::env::var("TRANSFERS").map_or(6, |asked| asked.parse().expect("a number"));
    let mut rebound = 0;
    for seed in 0..transfers {
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
        let mut world = settled(patient(tiny_blocks(seed, SLOW)), &mut hardware, &releases);
        let began_us = world.now_us();
        for n in 1..200 {
            world.plan(began_us + n * 30 * SECOND_US, Fault::Rebound { device: 0 });
        }
        until(&mut world, |world| {
            said(world, |event| matches!(event, Event::Accepted { .. })) > 0
        });
        let (before, from_us) = (world.observed(0).counts, world.now_us());
        until(&mut world, |world| {
            said(world, |event| matches!(event, Event::Staged)) > 0
        });
        let counts = world.observed(0).counts.since(&before);
        let ports = (world.now_us() - began_us) / (30 * SECOND_US) - (from_us - began_us) / (30 * SECOND_US);
        let blocks = said(&world, |event| matches!(event, Event::Block { .. })) as u32;
        // All that anybody sees are protected messages, which look like check-ins.
        assert_eq!(counts.round_trips(), blocks, "an exchange a block, seed {seed}");
        assert!(
            u64::from(counts.retransmissions) <= ports,
            "{counts:?}, {ports} ports, seed {seed}"
        );
        rebound += ports;
        run_until_confirmed(&mut world, 2, HOUR_US);
    }
    println!("{rebound} new addresses in {transfers} transfers");
    assert!(rebound >= 3 * transfers, "{rebound}");
}

/// Loss, power cuts, and a gateway that is killed, all together: the promises on nonces hold, and the update arrives.
#[test]
fn bad_luck_of_every_kind_costs_no_nonce() {
    for seed in 0..8 {
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
        let profile = LinkProfile {
            loss: PerMillion::percent(10),
            duplicate: PerMillion::percent(10),
            reorder: PerMillion::percent(10),
            reorder_delay_us: 3_000_000,
            ..LINK
        };
        let mut world = settled(long_scenario(seed, profile), &mut hardware, &releases);
        let now_us = world.now_us();
        for n in 1..8 {
            let at_us = now_us + n * (5 + seed) * SECOND_US;
            let fault = match (n + seed) % 3 {
                0 => Fault::GatewayKilled,
                1 => Fault::PowerCut { device: 0 },
                _ => Fault::TornWrite {
                    device: 0,
                    operations: 1 + seed,
                    torn_at: 9,
                },
            };
            world.plan(at_us, fault);
        }
        run_until_confirmed(&mut world, 2, 24 * HOUR_US);
    }
}

/// Its machine was replaced, and there is no backup. The device believes nobody meanwhile and never speaks in the clear; with the factory's list
/// the new gateway knows it again, and asks for one proof that it is no recording.
#[test]
fn a_gateway_that_lost_its_database_knows_its_devices_by_the_factory_list_again() {
    let (publisher, releases) = releases(7, &[Behaviour::Good]);
    let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
    let mut world = settled(scenario(7, LINK), &mut hardware, &releases);
    // Killed before, so that it had challenged the device under numbers of its own, which the new one does not know of.
    world.plan(world.now_us() + SECOND_US, Fault::GatewayKilled);
    passes(&mut world, 10 * SECOND_US);
    let now_us = world.now_us();
    world.gateway().lose_everything(now_us);
    let confirmed = world.confirmed(0);
    let heard = said(&world, |event| matches!(event, Event::CheckedIn { .. }));
    passes(&mut world, 5 * HOUR_US);
    assert_eq!(world.confirmed(0), confirmed);
    assert_eq!(
        said(&world, |event| matches!(event, Event::CheckedIn { .. })),
        heard
    );
    assert!(said(&world, |event| matches!(event, Event::Unanswered { .. })) > 3);
    set_up(&mut world, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, 5 * HOUR_US);
}

/// Erases the banks in which a device counts.
fn lose_count(world: &mut World<'_>) {
    let sector = LAYOUT.sector_bytes;
    world.service(0, |flash: &RefCell<SimFlash>| {
        let banks = CREDENTIALS.bytes - 2 * sector;
        Region::new(flash, CREDENTIALS).erase(sector, banks).unwrap();
    });
}

/// The device would count from 0 again under the same keys. It makes others with its gateway, and nobody has to touch it.
#[test]
fn a_device_that_lost_its_count_comes_back_by_itself() {
    let (publisher, releases) = releases(8, &[Behaviour::Good]);
    let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
    let mut world = settled(scenario(8, LINK), &mut hardware, &releases);
    lose_count(&mut world);
    run_until_confirmed(&mut world, 2, HOUR_US);
    assert_eq!(said(&world, |event| matches!(event, Event::Silent(_))), 0);
}

/// Both have lost what they knew of each other but the secret: the factory's list brings that back, and they make other keys of it. The
/// gateway is killed in every moment of that.
#[test]
fn a_device_and_a_gateway_that_lost_all_but_the_secret_find_together() {
    for seed in 0..12 {
        let (publisher, releases) = releases(9 + seed, &[Behaviour::Good, Behaviour::Good]);
        let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
        let mut world = settled(scenario(9 + seed, LINK), &mut hardware, &releases);
        // Once, so that its keys are not the credentials' own any more; then once more, with the gateway.
        lose_count(&mut world);
        run_until_confirmed(&mut world, 2, HOUR_US);
        let now_us = world.now_us();
        world.gateway().lose_everything(now_us);
        if seed % 2 == 0 {
            lose_count(&mut world);
        }
        set_up(&mut world, &releases);
        assign(&mut world, &releases[2]);
        for n in 1..6 {
            world.plan(now_us + n * (300 + 130 * seed) * 1_000, Fault::GatewayKilled);
        }
        let unanswered = |world: &World<'_>| said(world, |event| matches!(event, Event::Unanswered { .. }));
        let before = unanswered(&world);
        run_until_confirmed(&mut world, 3, 24 * HOUR_US);
        // That the gateway forgot shows in requests that nobody answers; that the device did, it knows.
        assert!(seed % 2 == 0 || unanswered(&world) - before >= 2);
    }
}

/// Its secret may be known to others: it gets another one, by hand.
#[test]
fn a_device_gets_other_credentials() {
    let (publisher, releases) = releases(8, &[Behaviour::Good]);
    let mut hardware = enrolled(hardware(&publisher, &releases[0], 1));
    let mut world = settled(scenario(8, LINK), &mut hardware, &releases);
    let device = id(&world);
    identity(
        &mut world,
        IdentityCommand::Rotate {
            device,
            credentials: credentials(2),
            old_valid_s: 60,
        },
    );
    world.service(0, |flash| enrol(flash, &credentials(2).encode()));
    run_until_confirmed(&mut world, 2, 5 * HOUR_US);
}
