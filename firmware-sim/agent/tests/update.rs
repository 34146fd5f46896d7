//! Whole updates over a good and over a bad link.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use deltagate_agent::Event;
use support::{Device, Gateway, LAYOUT, Link, Offer, Release, Request, Rng, Vendor, image};
use wire_checkin::{CheckIn, Outcome};
use wire_coap::BlockSize;

const IMAGE_BYTES: usize = 6_001;

fn releases() -> (Release, Release) {
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, IMAGE_BYTES));
    (release(1), release(2))
}

fn confirmed(sequence: u32) -> impl Fn(&Device) -> bool {
    move |device| device.events.contains(&Event::Confirmed { sequence })
}

fn runs_v2(device: &Device) {
    assert_eq!(device.boot_log().confirmed, Some(2));
    assert_eq!(device.boots.last().unwrap().sequence, 2);
}

#[test]
fn a_patch_costs_two_round_trips_besides_the_payload() {
    let (v1, v2) = releases();
    let offer = Offer::patch(&v1, &v2);
    let blocks = offer.payload.len().div_ceil(128);
    let mut device = Device::new(&v1, Gateway::new(Some(offer)));
    device.run_until(confirmed(2));
    runs_v2(&device);
    assert_eq!(
        device.gateway.requests.len(),
        1 + blocks + 1,
        "no retransmission, nothing twice"
    );
    assert_eq!(device.gateway.blocks(), (0..blocks as u32).collect::<Vec<_>>());
    let check_ins = device.gateway.check_ins();
    assert!(!check_ins[0].on_trial && check_ins[1].on_trial);
    assert_eq!(check_ins[0].sequence_number, 1);
    assert_eq!(check_ins[1].sequence_number, 2);
    assert_eq!(device.boots.len(), 2);
}

#[test]
fn the_confirmation_is_reported_once_with_the_next_check_in() {
    let (v1, v2) = releases();
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    device.run_until(|device| device.said(|event| matches!(event, Event::CheckedIn { .. })) == 3);
    let reports: Vec<_> = device
        .gateway
        .check_ins()
        .iter()
        .map(|check_in| check_in.last_update.map(|last| last.outcome))
        .collect();
    assert_eq!(reports, [None, None, Some(Outcome::Confirmed), None]);
}

#[test]
fn a_full_image_streams_into_its_place() {
    let (v1, v2) = releases();
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::full(&v2))));
    device.run_until(confirmed(2));
    runs_v2(&device);
    assert_eq!(device.gateway.requests.len(), 1 + IMAGE_BYTES.div_ceil(128) + 1);
}

/// A slot of four image sectors has no tail left for a patch; a staging area has.
#[test]
fn with_a_staging_area_an_image_may_fill_its_slot() {
    let full_slot = LAYOUT.image_capacity_bytes() as usize;
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, full_slot));
    let (v1, v2) = (release(1), release(2));
    let offer = Offer::patch(&v1, &v2);

    let mut without = Device::new(&v1, Gateway::new(Some(offer.clone())));
    without.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    let reported = |check_in: &&CheckIn| check_in.last_update.is_some();
    let outcome = without
        .gateway
        .check_ins()
        .into_iter()
        .find(reported)
        .unwrap()
        .last_update;
    assert_eq!(outcome.unwrap().outcome, Outcome::NoSpace);
    assert_eq!(without.gateway.blocks(), []);

    let layout = LAYOUT.with_staging(4_096);
    let mut device = Device::with_layout(layout, &v1, Gateway::new(Some(offer)));
    device.run_until(confirmed(2));
    runs_v2(&device);
    assert_eq!(device.gateway.check_ins()[0].staging_bytes, Some(4_096));

    // What the area cannot hold is refused, however much room the slot has.
    let small = Vendor::OURS.release(3, Rng::new(3).bytes(5_000));
    let large_patch = Offer::patch(&v2, &small);
    assert!(large_patch.payload.len() > 4_096);
    device.gateway.offer = Some(large_patch);
    let blocks = device.gateway.blocks().len();
    device.run_until(|device| device.said(|event| matches!(event, Event::Dropped { .. })) == 1);
    assert_eq!(device.gateway.blocks().len(), blocks);
}

#[test]
fn updates_alternate_between_the_slots() {
    let (v1, v2) = releases();
    let v3 = Vendor::OURS.release(3, image(3, IMAGE_BYTES + 900));
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    device.run_until(confirmed(2));
    device.gateway.offer = Some(Offer::patch(&v2, &v3));
    device.run_until(confirmed(3));
    let slots: Vec<_> = device.boots.iter().map(|boot| boot.slot.index()).collect();
    assert_eq!(slots, [0, 1, 1, 0], "run_until starts by switching on");
    assert_eq!(device.boot_log().confirmed, Some(3));
}

#[test]
fn a_manifest_that_did_not_fit_the_answer_is_fetched() {
    let (v1, v2) = releases();
    let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
    gateway.envelope_in_answer = false;
    let mut device = Device::new(&v1, gateway);
    device.run_until(confirmed(2));
    runs_v2(&device);
    let manifest_blocks = v2.envelope.len().div_ceil(128) as u32;
    let asked: Vec<_> = (0..manifest_blocks)
        .map(|block| Request::Manifest { block })
        .collect();
    assert_eq!(device.gateway.requests[1..=manifest_blocks as usize], asked);
}

#[test]
fn smaller_blocks_of_the_gateway_are_taken() {
    let (v1, v2) = releases();
    for size in [BlockSize::B16, BlockSize::B32, BlockSize::B1024] {
        let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
        gateway.block_size_max = size;
        let mut device = Device::new(&v1, gateway);
        device.config.block_size_max = BlockSize::B1024;
        device.run_until(confirmed(2));
        runs_v2(&device);
    }
}

#[test]
fn separate_responses_are_acknowledged() {
    let (v1, v2) = releases();
    let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
    gateway.separate = true;
    let mut device = Device::new(&v1, gateway);
    device.run_until(confirmed(2));
    runs_v2(&device);
}

#[test]
fn loss_duplication_and_reordering_change_nothing_but_the_time() {
    let (v1, v2) = releases();
    for seed in 0..40 {
        let mut gateway = Gateway::new(Some(Offer::patch(&v1, &v2)));
        gateway.separate = seed % 4 == 3;
        gateway.ack_timeout_ms = Some(4_000);
        let mut device = Device::new(&v1, gateway);
        device.link = Link::bad(seed);
        device.seed = seed * 1_000;
        device.config.contact_ms_max = 24 * 3_600_000;
        device.run_until(confirmed(2));
        runs_v2(&device);
        assert_eq!(
            device.said(|event| matches!(event, Event::Dropped { .. })),
            0,
            "seed {seed}"
        );
    }
}

#[test]
fn a_learned_timeout_outlives_the_restart() {
    let (v1, _) = releases();
    let mut gateway = Gateway::new(None);
    gateway.ack_timeout_ms = Some(90_000);
    let mut device = Device::new(&v1, gateway);
    device.run_until(|device| device.said(|event| matches!(event, Event::CheckedIn { .. })) == 1);
    device.link.loss_percent = 100;
    let restarted_ms = device.now_ms;
    device.run_until(|device| device.stats.retransmissions == 1);
    assert!(
        device.now_ms - restarted_ms >= 90_000,
        "not the 15 s it would take from the factory"
    );
    device.link.loss_percent = 0;
    device.run_until(|device| device.gateway.check_ins().len() == 2);
    assert_eq!(
        device.gateway.check_ins()[1].round_trip_ms,
        1_000,
        "500 ms each way"
    );
}

#[test]
fn when_nobody_answers_the_waits_double_up_to_the_bound() {
    let (v1, _) = releases();
    let mut device = Device::new(&v1, Gateway::new(None));
    device.link.loss_percent = 100;
    device.config.backoff_ms_max = 60_000;
    device.run_until(|device| device.said(|event| matches!(event, Event::Unanswered { .. })) == 5);
    let waits: Vec<u32> = device
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Unanswered { retry_s } => Some(*retry_s),
            _ => None,
        })
        .collect();
    for (wait, least) in waits.iter().zip([15, 30, 60, 60, 60]) {
        assert!((least..=least + least / 4 + 1).contains(wait), "{waits:?}");
    }
}
