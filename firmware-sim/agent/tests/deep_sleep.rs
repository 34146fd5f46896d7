//! A device that loses its RAM between any two datagrams: what it fetched stays fetched.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{DeferralReason, Event, Gate, Verdict};
use deltagate_flash::sim::{Rewrites, SimFlash};
use support::{Device, Gateway, LAYOUT, Offer, Release, Vendor, image};
use wire_coap::BlockSize;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, 5_003))
}

fn confirmed(device: &Device) -> bool {
    device.events.contains(&Event::Confirmed { sequence: 2 })
}

#[test]
fn an_agent_ended_after_every_block_fetches_none_twice() {
    let patch = Offer::patch(&release(1), &release(2));
    for (offer, size) in [
        (patch.clone(), BlockSize::B128),
        (patch, BlockSize::B64),
        (Offer::full(&release(2)), BlockSize::B128),
    ] {
        let blocks = offer.payload.len().div_ceil(size.bytes() as usize) as u32;
        let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
        device.gateway.block_size_max = size;
        device.forgetful = true;
        device.run_until(confirmed);
        let asked = device.gateway.blocks();
        // The first request asks for the device's own size; a smaller answer is the first block all the same.
        assert_eq!(asked.len(), blocks as usize, "{asked:?}");
        assert!(device.sleeps >= blocks as usize, "{}", device.sleeps);
        assert_eq!(device.gateway.check_ins().len(), 2);
        assert_eq!(device.stats.retransmissions, 0);
    }
}

/// Where words are programmed once, what was kept is mended at every start, and still nothing is fetched twice.
#[test]
fn on_a_part_of_write_once_words_no_block_is_fetched_twice_either() {
    let offer = Offer::full(&release(2));
    let blocks = offer.payload.len().div_ceil(128);
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.config.program_once = true;
    let mut part = SimFlash::part(LAYOUT.end_bytes(), Rewrites::Once);
    part.bytes_mut().copy_from_slice(device.flash.borrow().bytes());
    device.flash = RefCell::new(part);
    device.forgetful = true;
    device.run_until(confirmed);
    assert_eq!(device.gateway.blocks().len(), blocks);
    assert!(device.sleeps >= blocks, "{}", device.sleeps);
    assert_eq!(device.flash.borrow().rules_broken(), 0);
}

/// The time to wake is the agent's next: idle, that is the next check-in; put off, also the end of the deferral.
#[test]
fn the_device_sleeps_until_the_agent_has_something_to_do() {
    let mut device = Device::new(&release(1), Gateway::new(None));
    device.gateway.next_check_in_s = 6 * 3_600;
    device.forgetful = true;
    device.run_until(|device| device.gateway.check_ins().len() == 5);
    let day_ms = 24 * 3_600_000;
    assert!(
        (day_ms..day_ms + 10_000).contains(&device.now_ms),
        "{}",
        device.now_ms
    );
    assert_eq!(device.boots.len(), 1, "asleep, not switched off");
}

#[test]
fn a_deferral_goes_on_over_sleep_and_its_end_wakes_the_device() {
    let mut offer = Offer::patch(&release(1), &release(2));
    offer.job.defer_s_max = Some(10 * 3_600);
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.gateway.next_check_in_s = 4 * 3_600;
    device.forgetful = true;
    device.gate = Gate {
        restart: Verdict::Deferred(DeferralReason::Application),
        ..Gate::CLEAR
    };
    device.run_until(confirmed);
    let end_ms = 10 * 3_600_000;
    assert!(
        (end_ms..end_ms + 180_000).contains(&device.now_ms),
        "{}",
        device.now_ms
    );
    assert_eq!(device.said(|event| matches!(event, Event::Applying)), 1);
    let said: Vec<_> = device
        .gateway
        .check_ins()
        .iter()
        .map(|check_in| check_in.deferral.map(|deferral| deferral.seconds / 3_600))
        .collect();
    assert_eq!(said, [None, Some(0), Some(4), Some(8), None]);
}
