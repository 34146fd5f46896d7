//! Devices with a key of their own and no secret, on virtual time: the real agent, bootloader and gateway core, which let in nobody else.
//! The gateway was told the public key. What is promised of every nonce is checked with every datagram (`fleet::sim`).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use deltagate_agent::Event;
use deltagate_flash::{Credentials, OwnKey, Region, Stored};
use fleet::link::{LinkProfile, PerMillion};
use fleet::sim::{Behaviour, CREDENTIALS, Fault, Hardware, LAYOUT, Moment, Scenario, SignedImage, World};
use gateway_core::{Access, Command, Enrolment, IdentityCommand, LinkConfig};
use simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, run_until_confirmed, scenario,
};
use wire_checkin::DeviceId;
use wire_edhoc::PrivateKey;

fn private(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32]).unwrap()
}

/// The gateway's.
fn own() -> PrivateKey {
    private(200)
}

/// Devices with a key of their own, which know the gateway's.
fn keyed(hardware: Vec<Hardware>) -> Vec<Hardware> {
    let key = OwnKey {
        private: *private(1).expose(),
        gateway: *own().public().as_bytes(),
    };
    hardware.into_iter().map(|device| device.keyed(&key)).collect()
}

/// The same world for devices with keys only.
fn authenticated(mut scenario: Scenario) -> Scenario {
    scenario.config.default_link = LinkConfig {
        access: Access::Authenticated,
        ..scenario.config.default_link
    };
    scenario
}

fn id(world: &World<'_>) -> DeviceId {
    DeviceId::new(&world.device_id(0)).unwrap()
}

/// What an operator does on a gateway that knows nothing, but has its key.
fn set_up(world: &mut World<'_>, releases: &[SignedImage]) {
    let (now_us, device) = (world.now_us(), id(world));
    world.gateway().hold_key(own());
    for release in releases {
        world.gateway().import(now_us, release).unwrap();
    }
    let enrolment = Enrolment {
        device,
        credentials: None,
        psk: None,
        public_key: Some(*private(1).public()),
        names: Vec::new(),
        label: None,
        group: None,
    };
    let command = Command::Identity(IdentityCommand::Enrol(enrolment));
    world.gateway().command(now_us, command).unwrap();
}

fn said(world: &World<'_>, what: impl Fn(&Event) -> bool) -> usize {
    let moments = world.history(0).iter();
    moments
        .filter(|moment| matches!(moment, Moment::Said(event) if what(event)))
        .count()
}

fn established(world: &World<'_>) -> usize {
    said(world, |event| *event == Event::Established)
}

fn checked_in(world: &World<'_>) -> usize {
    said(world, |event| matches!(event, Event::CheckedIn { .. }))
}

fn until(world: &mut World<'_>, goal: impl FnMut(&World<'_>) -> bool) {
    let limit_us = world.now_us() + 24 * HOUR_US;
    let reached = world.run_until(limit_us, goal);
    reached.unwrap_or_else(|stopped| panic!("{stopped}"));
}

/// What the device's flash has.
fn stored(world: &mut World<'_>) -> Stored {
    let mut found = Stored::Nothing;
    world.service(0, |flash| {
        found = Credentials::read(Region::new(flash, CREDENTIALS))
    });
    found
}

/// A world whose device has not been switched on yet.
fn world<'h>(scenario: Scenario, hardware: &'h mut [Hardware], releases: &'h [SignedImage]) -> World<'h> {
    let mut world = World::new(authenticated(scenario), hardware, releases);
    set_up(&mut world, releases);
    world
}

/// One handshake, whose keys outlive the restart into the new image; the whole of it is one round trip more than without.
#[test]
fn a_device_with_nothing_but_its_own_key_is_enrolled_and_updated() {
    let (publisher, releases) = releases(1, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(scenario(1, LINK), &mut hardware, &releases);
    until(&mut world, |world| checked_in(world) == 1);
    assert_eq!(established(&world), 1);
    let counts = world.observed(0).counts;
    assert_eq!(counts.retransmissions, 0, "{counts:?}");
    println!("{counts:?}");
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, HOUR_US);
    assert_eq!(established(&world), 1);
    assert!(matches!(stored(&mut world), Stored::Sound(_)));
}

#[test]
fn a_bad_link_leads_there_as_well() {
    for seed in 0..6 {
        let (publisher, releases) = releases(seed, &[Behaviour::Good]);
        let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
        let profile = LinkProfile {
            loss: PerMillion::percent(20),
            duplicate: PerMillion::percent(10),
            reorder: PerMillion::percent(10),
            reorder_delay_us: 3_000_000,
            ..LINK
        };
        let mut world = world(scenario(seed, profile), &mut hardware, &releases);
        until(&mut world, |world| checked_in(world) > 0);
        world.renew_keys(0);
        let before = established(&world);
        until(&mut world, |world| established(world) > before);
        assign(&mut world, &releases[1]);
        run_until_confirmed(&mut world, 2, 24 * HOUR_US);
    }
}

/// The old ones count until the gateway has shown to have the new ones, and not after that.
#[test]
fn a_device_that_is_told_to_gets_other_keys() {
    let (publisher, releases) = releases(2, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(scenario(2, LINK), &mut hardware, &releases);
    until(&mut world, |world| checked_in(world) == 1);
    let before = stored(&mut world);
    let heard = checked_in(&world);
    until(&mut world, |world| checked_in(world) == heard + 2);
    assert_eq!(established(&world), 1, "a restart alone is no reason");
    world.renew_keys(0);
    until(&mut world, |world| checked_in(world) == heard + 5);
    assert_eq!(established(&world), 2, "once, and not again");
    let after = stored(&mut world);
    assert!(matches!(after, Stored::Sound(_)) && after != before);
}

/// A gateway that has lost all but its own key, and was told the public keys once more.
#[test]
fn a_gateway_that_lost_its_database_and_knows_the_public_keys_is_believed_again() {
    let (publisher, releases) = releases(3, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(scenario(3, LINK), &mut hardware, &releases);
    until(&mut world, |world| checked_in(world) == 1);
    let now_us = world.now_us();
    world.gateway().lose_everything(now_us);
    set_up(&mut world, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, 5 * HOUR_US);
    assert_eq!(established(&world), 2);
}

/// The same in the middle of a transfer, which goes on where it was.
#[test]
fn a_transfer_outlives_the_keys_that_its_gateway_lost() {
    let (publisher, releases) = releases(9, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(long_scenario(9, LINK), &mut hardware, &releases);
    until(&mut world, |world| checked_in(world) == 1);
    assign(&mut world, &releases[1]);
    until(&mut world, |world| {
        said(world, |event| matches!(event, Event::Block { .. })) == 2
    });
    let now_us = world.now_us();
    world.gateway().lose_everything(now_us);
    set_up(&mut world, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, 5 * HOUR_US);
    assert_eq!(established(&world), 2);
}

/// Its key is another's: the device never speaks to it, nor in the clear, and says nothing that identifies it.
#[test]
fn a_gateway_with_another_key_is_nobody() {
    let (publisher, releases) = releases(4, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(scenario(4, LINK), &mut hardware, &releases);
    world.gateway().hold_key(private(201));
    let until_us = world.now_us() + 5 * HOUR_US;
    until(&mut world, |world| world.now_us() >= until_us);
    assert_eq!((checked_in(&world), established(&world)), (0, 0));
    assert!(said(&world, |event| matches!(event, Event::Unanswered { .. })) > 3);
    assert_eq!(stored(&mut world), Stored::Nothing);
    world.gateway().hold_key(own());
    until(&mut world, |world| checked_in(world) == 1);
}

/// The gateway is killed at every moment of the first minute, in steps of a tenth of a second.
#[test]
fn a_gateway_that_is_killed_in_between_costs_a_handshake() {
    for tenths in 0..40 {
        let (publisher, releases) = releases(5, &[Behaviour::Good]);
        let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
        let mut world = world(scenario(5, LINK), &mut hardware, &releases);
        world.plan(tenths * SECOND_US / 10, Fault::GatewayKilled);
        until(&mut world, |world| checked_in(world) > 0);
        assign(&mut world, &releases[1]);
        run_until_confirmed(&mut world, 2, 5 * HOUR_US);
    }
}

/// Cuts in the middle of each flash operation from the first start on, and of a renewal: whatever is left, the device establishes keys, is
/// updated, and no number is used twice.
#[test]
fn a_power_cut_at_any_time_leaves_it_able_to_establish_keys() {
    let (mut cuts, mut again) = (0, 0);
    for operations in 0..30 {
        for (renewal, torn_at) in [(false, 0), (false, 31), (true, 0), (true, 5), (true, 65)] {
            let (publisher, releases) = releases(6, &[Behaviour::Good]);
            let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
            let mut world = world(long_scenario(6, LINK), &mut hardware, &releases);
            let cut = Fault::TornWrite {
                device: 0,
                operations,
                torn_at,
            };
            if renewal {
                until(&mut world, |world| checked_in(world) == 1);
                world.renew_keys(0);
            }
            let before = checked_in(&world);
            world.plan(world.now_us() + 1, cut);
            until(&mut world, |world| checked_in(world) > before + 1);
            let power_cut = world.history(0).contains(&Moment::PowerCut);
            cuts += usize::from(power_cut);
            again += usize::from(established(&world) != 1 + usize::from(renewal));
            assign(&mut world, &releases[1]);
            run_until_confirmed(&mut world, 2, 5 * HOUR_US);
        }
    }
    println!("{cuts} cuts, {again} with another number of handshakes than without");
    assert!(cuts > 40, "{cuts}");
}

/// The sector of its credentials is erased, or the log of its numbers, or both: where a device with a secret falls silent, this one
/// establishes others. Without its count alone it makes others from what it has, as every device does, and needs no handshake.
#[test]
fn a_device_that_lost_its_credentials_or_its_count_gets_other_keys() {
    let sector = LAYOUT.sector_bytes;
    let banks = CREDENTIALS.bytes - 3 * sector;
    for (offset, bytes, handshakes) in [(0, sector, 2), (sector, banks, 1), (0, sector + banks, 2)] {
        let (publisher, releases) = releases(7, &[Behaviour::Good]);
        let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
        let mut world = world(scenario(7, LINK), &mut hardware, &releases);
        until(&mut world, |world| checked_in(world) == 1);
        world.service(0, |flash| {
            Region::new(flash, CREDENTIALS).erase(offset, bytes).unwrap();
        });
        until(&mut world, |world| checked_in(world) == 2);
        assert_eq!(established(&world), handshakes, "{offset} {bytes}");
    }
}

/// Its own key is damaged: it goes on with the credentials that it has, and without them says nothing.
#[test]
fn a_device_whose_own_key_is_damaged_never_speaks_in_the_clear() {
    let (publisher, releases) = releases(8, &[Behaviour::Good]);
    let mut hardware = keyed(hardware(&publisher, &releases[0], 1));
    let mut world = world(scenario(8, LINK), &mut hardware, &releases);
    until(&mut world, |world| checked_in(world) == 1);
    let at = CREDENTIALS.offset + CREDENTIALS.bytes - LAYOUT.sector_bytes;
    world.service(0, |flash| flash.borrow_mut().bytes_mut()[at as usize + 20] ^= 1);
    until(&mut world, |world| checked_in(world) == 2);
    world.service(0, |flash| {
        Region::new(flash, CREDENTIALS)
            .erase(0, LAYOUT.sector_bytes)
            .unwrap();
    });
    let sent = world.observed(0).counts;
    let until_us = world.now_us() + 5 * HOUR_US;
    until(&mut world, |world| world.now_us() >= until_us);
    assert_eq!(world.observed(0).counts, sent, "not a byte on the air");
}
