//! The application puts updates off: before the download, before the restart, and never for longer than it may.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use deltagate_agent::{DeferralReason, DeferralStage, Event, Gate, Severity, Verdict};
use deltagate_flash::sim::PowerCut;
use support::{Device, Gateway, Offer, Release, Vendor, image};
use wire_checkin::{CheckIn, Deferral, Outcome};

const HOUR_MS: u64 = 3_600_000;

const NO_DOWNLOAD: Gate = Gate {
    download: Verdict::Deferred(DeferralReason::Signal),
    ..Gate::CLEAR
};
const NO_RESTART: Gate = Gate {
    restart: Verdict::Deferred(DeferralReason::Battery),
    ..Gate::CLEAR
};

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, 5_003))
}

fn device() -> Device {
    let offer = Offer::patch(&release(1), &release(2));
    Device::new(&release(1), Gateway::new(Some(offer)))
}

fn confirmed(device: &Device) -> bool {
    device.events.contains(&Event::Confirmed { sequence: 2 })
}

fn put_off(device: &Device) -> usize {
    device.said(|event| matches!(event, Event::Deferred { .. }))
}

fn put_off_in(check_in: &CheckIn) -> Option<(DeferralStage, DeferralReason)> {
    check_in
        .deferral
        .map(|Deferral { stage, reason, .. }| (stage, reason))
}

#[test]
fn before_the_download_nothing_is_erased_or_fetched_until_the_gate_opens() {
    for envelope_in_answer in [true, false] {
        let mut device = device();
        device.gateway.envelope_in_answer = envelope_in_answer;
        device.gate = NO_DOWNLOAD;
        device.run_until(|device| device.gateway.check_ins().len() == 4);
        let before = device.flash.borrow().bytes().to_vec();
        let spare = support::LAYOUT.slot_b;
        let spare = spare.offset as usize..(spare.offset + spare.bytes) as usize;
        assert!(before[spare][4_096..].iter().all(|byte| *byte == 0x3C));
        assert_eq!(device.gateway.requests.len(), 4, "check-ins and nothing else");
        assert_eq!(put_off(&device), 1, "said once");
        let said: Vec<_> = device.gateway.check_ins().into_iter().map(put_off_in).collect();
        let signal = Some((DeferralStage::Download, DeferralReason::Signal));
        assert_eq!(said, [None, signal, signal, signal]);
        device.gate = Gate::CLEAR;
        device.run_until(confirmed);
    }
}

#[test]
fn a_manifest_that_is_refused_is_not_put_off() {
    let mut offer = Offer::patch(&release(1), &release(2));
    offer.envelope[40] ^= 1;
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.gate = NO_DOWNLOAD;
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    assert_eq!(put_off(&device), 0);
}

#[test]
fn when_the_download_is_clear_the_device_asks_at_once() {
    let mut device = device();
    device.gateway.next_check_in_s = 7_200;
    device.gate = NO_DOWNLOAD;
    device.gates = vec![(HOUR_MS, Gate::CLEAR)];
    device.run_until(confirmed);
    assert!((HOUR_MS..HOUR_MS + 120_000).contains(&device.now_ms));
}

#[test]
fn before_the_restart_the_image_waits_verified_and_goes_on_without_airtime() {
    let mut device = device();
    device.gate = NO_RESTART;
    device.gates = vec![(HOUR_MS, Gate::CLEAR)];
    device.run_until(|device| device.now_ms >= HOUR_MS - 60_000);
    let check_ins = device.gateway.check_ins();
    assert!(check_ins.len() > 50, "it keeps checking in: {}", check_ins.len());
    let last = check_ins.last().unwrap().deferral.unwrap();
    assert_eq!(
        (last.stage, last.reason),
        (DeferralStage::Restart, DeferralReason::Battery)
    );
    assert!((3_400..3_600).contains(&last.seconds), "{}", last.seconds);
    assert_eq!(device.boot_log().trial, None);
    assert_eq!(put_off(&device), 1);

    // run_until ends by switching off: from here on the same device after a restart.
    let (blocks, asked) = (device.gateway.blocks().len(), device.gateway.requests.len());
    device.run_until(|device| device.boots.last().is_some_and(|boot| boot.on_trial));
    assert_eq!(device.gateway.blocks().len(), blocks);
    assert!(
        device.gateway.requests.len() - asked <= 2,
        "check-ins of the last minute"
    );
    assert_eq!(
        device.said(|event| matches!(event, Event::Applying)),
        1,
        "decoded once"
    );
    device.run_until(confirmed);
}

/// The gate opens while the device waits for its next check-in, which is days away.
#[test]
fn an_open_gate_asks_nobody() {
    let mut device = device();
    device.gateway.next_check_in_s = 5 * 24 * 3_600;
    device.gate = NO_RESTART;
    device.gates = vec![(HOUR_MS, Gate::CLEAR)];
    device.run_until(confirmed);
    assert!((HOUR_MS..HOUR_MS + 60_000).contains(&device.now_ms));
    assert_eq!(
        device.gateway.check_ins().len(),
        2,
        "the offer, and the contact that confirms"
    );
}

/// The longest deferral in seconds, of an author who guarantees 2 hours and allows 6.
#[test]
fn the_longest_deferral_is_the_jobs_within_the_authors_bounds() {
    for (asked_s, longest_h) in [(None, 6), (Some(0), 2), (Some(4 * 3_600), 4), (Some(u32::MAX), 6)] {
        for gate in [NO_DOWNLOAD, NO_RESTART] {
            let mut device = device();
            device.config.defer_s_min = 2 * 3_600;
            device.config.defer_s_max = 6 * 3_600;
            device.gateway.offer.as_mut().unwrap().job.defer_s_max = asked_s;
            device.gateway.next_check_in_s = 24 * 3_600;
            device.gate = gate;
            device.run_until(confirmed);
            let longest_ms = longest_h * HOUR_MS;
            let window = longest_ms..longest_ms + 180_000;
            assert!(
                window.contains(&device.now_ms),
                "{asked_s:?}: {} ms",
                device.now_ms
            );
        }
    }
}

/// What was put off before the download is not put off as long again before the restart.
#[test]
fn both_stages_share_one_longest_deferral() {
    let mut device = device();
    device.gateway.offer.as_mut().unwrap().job.defer_s_max = Some(3 * 3_600);
    device.gate = NO_DOWNLOAD;
    device.gates = vec![(2 * HOUR_MS, NO_RESTART)];
    device.run_until(confirmed);
    assert!((3 * HOUR_MS..3 * HOUR_MS + 180_000).contains(&device.now_ms));
}

/// A clock that runs on over restarts counts on; one that begins anew never makes the deferral shorter.
#[test]
fn a_restart_does_not_begin_the_deferral_anew() {
    let mut device = device();
    device.gateway.offer.as_mut().unwrap().job.defer_s_max = Some(4 * 3_600);
    device.gate = NO_RESTART;
    for hour in 1..4 {
        device.run_until(|device| device.now_ms >= hour * HOUR_MS);
    }
    device.run_until(confirmed);
    assert!((4 * HOUR_MS..4 * HOUR_MS + 180_000).contains(&device.now_ms));

    let mut device = self::device();
    device.gateway.offer.as_mut().unwrap().job.defer_s_max = Some(4 * 3_600);
    device.gate = NO_RESTART;
    device.run_until(|device| device.now_ms >= 3 * HOUR_MS);
    device.now_ms = 0;
    device.gateway.offer.as_mut().unwrap().job.path = wire_checkin::JobPath::new("again").unwrap();
    device.run_until(confirmed);
    assert!((4 * HOUR_MS..4 * HOUR_MS + 180_000).contains(&device.now_ms));
}

#[test]
fn a_job_made_more_urgent_is_put_off_no_longer() {
    let mut device = device();
    device.gate = NO_RESTART;
    device.run_until(|device| put_off(device) == 1);
    let job = &mut device.gateway.offer.as_mut().unwrap().job;
    (job.severity, job.defer_s_max) = (Severity::Critical, Some(0));
    let began_ms = device.now_ms;
    device.run_until(confirmed);
    assert!(device.now_ms - began_ms < 240_000);
    let urgent =
        |event: &Event| matches!(event, Event::Offered { severity, .. } if *severity == Severity::Critical);
    assert_eq!(device.said(urgent), 1);
}

#[test]
fn an_update_taken_back_while_it_waits_is_not_booted() {
    let mut device = device();
    device.gate = NO_RESTART;
    device.run_until(|device| put_off(device) == 1);
    device.gateway.offer = None;
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    let last = device.gateway.check_ins().last().unwrap().last_update.unwrap();
    assert_eq!(last.outcome, Outcome::Cancelled);
    device.gate = Gate::CLEAR;
    device.run_until(|device| device.gateway.check_ins().len() >= 6);
    assert_eq!(device.boots.last().unwrap().sequence, 1);
}

/// What was put off in spring must not be forced upon the device when it is offered again in autumn.
#[test]
fn an_image_offered_again_is_put_off_anew() {
    let mut device = device();
    device.config.defer_s_min = 2 * 3_600;
    device.gateway.offer.as_mut().unwrap().job.defer_s_max = Some(0);
    device.gate = NO_DOWNLOAD;
    device.run_until(|device| put_off(device) == 1);
    let offer = device.gateway.offer.take();
    device.run_until(|device| device.now_ms >= 10 * HOUR_MS);
    device.gateway.offer = offer;
    device.run_until(confirmed);
    assert!(
        (12 * HOUR_MS..12 * HOUR_MS + 240_000).contains(&device.now_ms),
        "{}",
        device.now_ms
    );
}

#[test]
fn another_image_replaces_the_one_that_waits() {
    let mut device = device();
    device.gate = NO_RESTART;
    device.run_until(|device| put_off(device) == 1);
    device.gateway.offer = Some(Offer::patch(&release(1), &release(3)));
    device.run_until(|device| put_off(device) == 3);
    device.gate = Gate::CLEAR;
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 3 }));
    assert!(device.boots.iter().all(|boot| boot.sequence != 2));
}

/// The power goes away at every operation of an update that is put off before its restart; after it the image is
/// fetched and decoded at most once more, is never booted while the gate is closed, and is booted when it opens.
#[test]
fn a_power_cut_at_any_operation_of_a_deferral_is_survived() {
    let mut uncut = device();
    uncut.gate = NO_RESTART;
    uncut.flash.borrow_mut().restart();
    uncut.run_until(|device| put_off(device) == 1 && device.gateway.check_ins().len() == 3);
    let operations = uncut.flash.borrow().operations();
    let blocks = uncut.gateway.blocks().len();
    assert!(operations > 40, "{operations}");
    for operation in 0..operations {
        for torn_at in [0, 3] {
            let mut device = device();
            device.gate = NO_RESTART;
            device.cut = Some(PowerCut { operation, torn_at });
            device.run_until(|device| {
                device.power_cuts == 1
                    && device
                        .gateway
                        .check_ins()
                        .last()
                        .is_some_and(|last| last.deferral.is_some())
            });
            assert_eq!(
                device.boot_log().trial,
                None,
                "operation {operation} byte {torn_at}"
            );
            assert!(device.gateway.blocks().len() <= blocks + 2);
            let decoded = device.said(|event| matches!(event, Event::Applying));
            assert!(decoded <= 2, "operation {operation} byte {torn_at}: {decoded}");
            device.gate = Gate::CLEAR;
            device.run_until(confirmed);
        }
    }
}
