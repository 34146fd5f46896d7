//! Rows of the publisher.

use crate::simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, long_scenario, releases, settled, shipped,
};
use crate::story::{Witness, confirmed, offered};
use crate::table::Told;
use deltagate_agent::Event;
use fleet::sim::{Behaviour, Fault, Hardware, Publisher};
use std::collections::BTreeSet;
use wire_checkin::Outcome;

pub fn the_key_is_rotated() -> Told {
    let (old, mut releases) = releases(300, &[Behaviour::Good, Behaviour::Good]);
    let new = Publisher::new(301);
    // The first image that the new key signs follows one of the old.
    releases[2] = new.sign(3, releases[2].image.clone(), Behaviour::Good);
    let flash = shipped(&[old.anchor(), new.anchor()], &releases[0]);
    let mut hardware = [Hardware::new(flash)];
    let mut scenario = long_scenario(300, LINK);
    let keys = [releases[0].record().key_id, releases[2].record().key_id];
    scenario.config.trusted_keys = Some(BTreeSet::from(keys));
    let mut world = offered(scenario, &mut hardware, &releases);
    confirmed(&mut world, 2);
    assign(&mut world, &releases[2]);
    confirmed(&mut world, 3)
}

pub fn the_key_is_revoked() -> Told {
    let (publisher, releases) = releases(310, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = offered(long_scenario(310, LINK), &mut hardware, &releases);
    world.until(|world| world.observed(0).counts.payload_replies >= 4);
    world
        .gateway()
        .configure(|config| config.trusted_keys = Some(BTreeSet::new()));
    let now_us = world.now_us();
    world.plan(now_us, Fault::GatewayKilled);
    world.pass(HOUR_US);
    assert_eq!(world.confirmed(0), Some(1));
    assert!(world.said(|event| matches!(
        event,
        Event::Dropped {
            outcome: Outcome::PayloadChanged,
            ..
        }
    )));
    world.show()
}

/// The device refuses what `sign` made of version 2, with this outcome and before a byte of payload was asked for.
fn refused(
    seed: u64,
    outcome: Outcome,
    sign: impl Fn(&Publisher, Vec<u8>) -> fleet::sim::SignedImage,
) -> Told {
    let (publisher, mut releases) = releases(seed, &[Behaviour::Good]);
    releases[1] = sign(&publisher, releases[1].image.clone());
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(long_scenario(seed, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    let reported =
        move |event: &Event| matches!(event, Event::Reported { outcome: told, .. } if *told == outcome);
    world.until(|world| world.said(reported));
    world.pass(60 * SECOND_US);
    assert_eq!(world.confirmed(0), Some(1));
    assert_eq!(world.observed(0).counts.payload_requests, 0);
    world.show()
}

pub fn the_key_is_unknown_to_the_device() -> Told {
    refused(320, Outcome::RefusedSignature, |_, image| {
        Publisher::new(321).sign(2, image, Behaviour::Good)
    })
}

pub fn the_manifest_is_of_a_newer_profile() -> Told {
    refused(330, Outcome::RefusedUnsupported, |publisher, image| {
        publisher.sign_newer_profile(2, image)
    })
}
