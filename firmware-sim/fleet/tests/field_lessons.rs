//! Threads in which other systems' users asked for something or lost it, each as a test of the whole system on virtual time. What is the
//! device's alone is in `firmware-sim/agent/tests/field_lessons.rs`, what is a row of the failure matrix in `tests/failures/`.
//!
//! | thread | what was asked for, or went wrong | here |
//! |---|---|---|
//! | eclipse/hawkbit #669 | a gateway that acts for its devices and fetches once | `hawkbit_669_…` |
//! | eclipse/hawkbit #331 | deltas against what is reported, the whole image where the delta is larger | `hawkbit_331_…`, and in the matrix |
//! | eclipse/hawkbit #652 | a limit for the bandwidth of downloads | `hawkbit_652_…` |
//! | rauc/rauc-hawkbit-updater #223 | a delta that failed became a whole image in silence | in the matrix |
//! | rauc/rauc #768 | an interrupted download begins anew | `aws_ota_206_…` of the agent, and in the matrix |
//! | chirpstack/chirpstack #1029, eclipse/leshan #1394, thingsboard PR #14241 | a timeout ends a transfer that needs its time | `chirpstack_1029_…` in the matrix |
//! | chrysn/aiocoap #246 and #300 | no tag in every block, no size in the first | `aiocoap_246_300_…` in `gateway/core/tests/transfer.rs` |
//! | Covertness/coap-rs #69 | an answer larger than a datagram ends the server | `coap_rs_69_…`, there too |
//! | eclipse-californium #889 | a body may have 8 KiB and no more | `californium_889_…` in `gateway/server/tests/large.rs` |
//! | OMA LwM2M #353 | devices that were away, each on a version of its own | `lwm2m_353_…` |
//! | fwup-home/fwup #227 | a delta made after the signing has no signature | `fwup_227_…` |
//! | mcu-tools/mcuboot PR #2743, meshcore-dev/MeshCore #320 | deltas in place, proof against power cuts | `firmware-sim/agent/tests/in_place.rs`, `single_slot.rs` |

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod simulated;

use deltagate_flash::{ENVELOPE_BYTES_MAX, Region, Slot, SlotRegion};
use fleet::link::{BitsPerSecond, LinkProfile};
use fleet::rng::Rng;
use fleet::sim::{Behaviour, Fault, Hardware, LAYOUT};
use simulated::{
    HOUR_US, LINK, SECOND_US, assign, hardware, releases, run_until_confirmed, scenario, settled, shipped,
};
use wire_checkin::Format;

#[test]
fn hawkbit_669_an_image_is_fetched_and_a_delta_built_once_for_fifty_devices() {
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

/// Two images that have nothing in common: what is sent is not the delta, and not more than the image.
#[test]
fn hawkbit_331_a_delta_that_costs_more_than_the_image_is_not_sent() {
    let (publisher, mut releases) = releases(710, &[Behaviour::Good]);
    let mut rng = Rng::new(711);
    let noise: Vec<u8> = (0..2_500).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    releases[1] = publisher.sign(2, noise, Behaviour::Good);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(scenario(710, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, HOUR_US);
    let offers = &world.observed(0).offers;
    assert_eq!(offers.len(), 1);
    assert_ne!(
        offers[0].format,
        Format::Patch,
        "a delta was tried: {}",
        world.delta_builds()
    );
    assert!(offers[0].payload_bytes as usize <= releases[1].image.len());
}

/// The link could carry a hundred times as much, and the gateway was told what it may take of it. That it never takes more, over any
/// window, is checked at every step of every simulation; here that it is what a transfer takes.
#[test]
fn hawkbit_652_a_download_takes_no_more_of_the_link_than_it_may() {
    const RATE: u64 = 2_000;
    let (publisher, mut releases) = releases(720, &[Behaviour::Good]);
    let mut rng = Rng::new(721);
    let noise: Vec<u8> = (0..2_500).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
    releases[1] = publisher.sign(2, noise, Behaviour::Good);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut scenario = scenario(720, LINK);
    scenario.config.default_link.rate = gateway_core::BitsPerSecond::new(RATE).unwrap();
    scenario.config.default_link.ack_timeout_ms = 30_000;
    let mut world = settled(scenario, &mut hardware, &releases);
    let (began_us, before) = (world.now_us(), world.traffic(0));
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, 24 * HOUR_US);
    let bits = (world.traffic(0).down.sent_bytes - before.down.sent_bytes) * 8;
    let took_s = (world.now_us() - began_us) / SECOND_US;
    assert!(bits > 160_000, "{bits} bits");
    assert!(bits / took_s <= RATE, "{bits} bits in {took_s} s");
    assert!(
        bits / took_s > RATE / 2,
        "and not much less: {bits} bits in {took_s} s"
    );
}

/// One device is on version 1, one on version 2, one on version 1 and away for a day. Each gets the delta for what it runs.
#[test]
fn lwm2m_353_each_device_gets_a_delta_for_what_it_runs_whenever_it_comes() {
    let (publisher, releases) = releases(730, &[Behaviour::Good, Behaviour::Good]);
    let flash = |release: usize| shipped(&[publisher.anchor()], &releases[release]);
    let mut hardware = [0, 1, 0].map(|release| Hardware::new(flash(release)));
    let mut world = settled(scenario(730, LINK), &mut hardware, &releases);
    let now_us = world.now_us();
    let for_us = 24 * HOUR_US;
    world.plan(now_us, Fault::Outage { device: 2, for_us });
    assign(&mut world, &releases[2]);
    run_until_confirmed(&mut world, 3, 48 * HOUR_US);
    for device in 0..3 {
        let offers = &world.observed(device).offers;
        assert_eq!(world.observed(device).offers_of(3), 1, "device {device}");
        assert_eq!(offers.len(), 1, "device {device} went straight there");
        assert_eq!(offers[0].format, Format::Patch, "device {device}");
    }
    assert_eq!(world.delta_builds(), 2, "from 1 and from 2");
}

/// The gateway has no key and makes the delta long after the image was signed. What the device keeps is the publisher's word for the
/// image, unaltered.
#[test]
fn fwup_227_a_delta_made_after_the_signing_needs_no_signature() {
    let (publisher, releases) = releases(740, &[Behaviour::Good]);
    let mut hardware = hardware(&publisher, &releases[0], 1);
    let mut world = settled(scenario(740, LINK), &mut hardware, &releases);
    assign(&mut world, &releases[1]);
    run_until_confirmed(&mut world, 2, HOUR_US);
    assert_eq!(world.observed(0).offers[0].format, Format::Patch);
    drop(world);
    let slot = SlotRegion::new(Region::new(&hardware[0].flash, LAYOUT.slot(Slot::B)));
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    assert_eq!(slot.envelope(&mut buffer).unwrap(), releases[1].envelope);
}
