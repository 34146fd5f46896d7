//! What the tests on virtual time share: releases, devices that run the first of them, and a gateway that knows them.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(unreachable_pub, reason = "the module is private to each test program")]
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which the lint does not see"
)]

use deltagate_agent::Event;
use deltagate_flash::sim::SimFlash;
use fleet::factory::{self, Shipped};
use fleet::link::{BitsPerSecond, Bursts, LinkProfile, PerMillion};
use fleet::sim::{
    Behaviour, CLASS_ID, Hardware, LAYOUT, Moment, Publisher, Scenario, SignedImage, VENDOR_ID, World,
    similar_images,
};
use gateway_core::{Access, ClassId, Command, CoreConfig, LinkConfig, Selector, Terms};

/// A second of virtual time.
pub const SECOND_US: u64 = 1_000_000;
/// An hour of it.
pub const HOUR_US: u64 = 3_600 * SECOND_US;

/// 200 kbit/s and 100 ms each way: slow enough that order matters, fast enough that a run is short.
pub const LINK: LinkProfile = LinkProfile {
    rate_up: BitsPerSecond(200_000),
    rate_down: BitsPerSecond(200_000),
    delay_us: 100_000,
    loss: PerMillion::NEVER,
    bursts: Bursts::NEVER,
    duplicate: PerMillion::NEVER,
    reorder: PerMillion::NEVER,
    reorder_delay_us: 0,
    mtu_bytes: 1_280,
    queue_bytes: 32 * 1_024,
};

/// A world over this link, of which the gateway knows the rate.
pub fn scenario(seed: u64, profile: LinkProfile) -> Scenario {
    let rate = gateway_core::BitsPerSecond::new(profile.rate_down.0).unwrap();
    Scenario {
        seed,
        profile,
        config: CoreConfig {
            default_link: LinkConfig {
                rate,
                access: Access::Open,
                ..LinkConfig::default()
            },
            check_in_interval_s: 60,
            ..CoreConfig::default()
        },
    }
}

/// The same with blocks of 64 bytes, so that a transfer takes seconds and there is time for things to go wrong in it.
pub fn long_scenario(seed: u64, profile: LinkProfile) -> Scenario {
    let mut scenario = scenario(seed, profile);
    scenario.config.default_link.block_size_max = wire_coap::BlockSize::B64;
    scenario
}

/// The same with blocks of 16 bytes: some 27 of them, and as many round trips.
pub fn tiny_blocks(seed: u64, profile: LinkProfile) -> Scenario {
    let mut scenario = scenario(seed, profile);
    scenario.config.default_link.block_size_max = wire_coap::BlockSize::B16;
    scenario
}

/// Version 1, which every device ships with, and one later image for each behaviour.
pub fn releases(seed: u64, later: &[Behaviour]) -> (Publisher, Vec<SignedImage>) {
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

/// Devices that left the factory with this image, and trust this publisher.
pub fn hardware(publisher: &Publisher, first: &SignedImage, devices: usize) -> Vec<Hardware> {
    let flash = shipped(&[publisher.anchor()], first);
    (0..devices).map(|_| Hardware::new(flash.clone())).collect()
}

/// The flash of a device that left the factory with this image, and trusts these keys.
pub fn shipped(trust_anchors: &[[u8; 32]], first: &SignedImage) -> SimFlash {
    let shipped = Shipped {
        vendor_id: VENDOR_ID,
        class_id: CLASS_ID,
        trust_anchors,
        envelope: &first.envelope,
        image: &first.image,
        sequence: first.sequence,
    };
    factory::flash(&LAYOUT, &shipped).unwrap()
}

/// A world in which every device has checked in once from version 1 and is claimed.
pub fn settled<'h>(
    scenario: Scenario,
    hardware: &'h mut [Hardware],
    releases: &'h [SignedImage],
) -> World<'h> {
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

/// Assigns an image to the class.
pub fn assign(world: &mut World<'_>, release: &SignedImage) {
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

/// Runs until every device has confirmed this sequence number.
pub fn run_until_confirmed(world: &mut World<'_>, sequence: u32, limit_us: u64) {
    let limit_us = world.now_us() + limit_us;
    world
        .run_until(limit_us, |world| {
            (0..world.devices()).all(|device| world.confirmed(device) == Some(sequence))
        })
        .unwrap_or_else(|stopped| panic!("{stopped}"));
}
