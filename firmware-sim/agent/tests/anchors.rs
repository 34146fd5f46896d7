//! Sets of trust anchors that a gateway has: taken with a restart, from who may sign them, and no more than once.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use deltagate_agent::{Event, Gate, Verdict};
use deltagate_flash::Layout;
use ed25519_dalek::{Signer, SigningKey};
use support::{Device, Gateway, LAYOUT, Offer, Release, Vendor, image};
use wire_checkin::{DeferralReason, Outcome};
use wire_manifest::{KeyId, Roles, SetKey, cosign, write_set};

const WITH_ANCHORS: Layout = LAYOUT.with_anchors();
const NEW: Vendor = Vendor {
    key: [8; 32],
    ..Vendor::OURS
};

fn key(vendor: &Vendor) -> SigningKey {
    SigningKey::from_bytes(&vendor.key)
}

/// A set that `by` signs: keys with their roles. The factory's key is the only recovery key there is.
fn set(number: u16, of: &[(Roles, &Vendor)], by: &Vendor) -> Vec<u8> {
    bounded_set(number, u32::MAX, of, by)
}

/// The same with a highest sequence number.
fn bounded_set(number: u16, sequence_max: u32, of: &[(Roles, &Vendor)], by: &Vendor) -> Vec<u8> {
    let mut keys: Vec<SetKey> = of
        .iter()
        .map(|(roles, vendor)| SetKey::new(*roles, &key(vendor).verifying_key().to_bytes()))
        .collect();
    let (mut unsigned, mut out) = ([0; 512], [0; 512]);
    let written = write_set(&mut unsigned, number, None, sequence_max, (1, 1), &mut keys).unwrap();
    let id = KeyId::of(&key(by).verifying_key().to_bytes());
    cosign(written, &mut out, id, |bytes| key(by).sign(bytes).to_bytes())
        .unwrap()
        .to_vec()
}

fn release_of(vendor: &Vendor, sequence: u32) -> Release {
    vendor.release(sequence, image(sequence as u8, 5_003))
}

fn device(offer: Option<Offer>, anchors: (u16, Vec<u8>)) -> Device {
    let mut gateway = Gateway::new(offer);
    gateway.anchors = Some(anchors);
    Device::with_layout(WITH_ANCHORS, &release_of(&Vendor::OURS, 1), gateway)
}

/// The factory's key signs sets only, and another one releases.
fn revoked() -> (u16, Vec<u8>) {
    let of = [
        (Roles::RELEASE, &NEW),
        (Roles::RETIRED.and(Roles::RECOVERY), &Vendor::OURS),
    ];
    (2, set(2, &of, &Vendor::OURS))
}

#[test]
fn a_revoked_key_is_not_believed_from_the_next_check_in_on() {
    let offer = Offer::patch(&release_of(&Vendor::OURS, 1), &release_of(&Vendor::OURS, 2));
    let mut device = device(Some(offer), revoked());
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    let check_ins = device.gateway.check_ins();
    assert_eq!(
        (check_ins[0].anchors, check_ins[1].anchors),
        (Some(0), Some(2)),
        "one restart"
    );
    let reported = check_ins
        .iter()
        .find_map(|check_in| check_in.last_update)
        .unwrap();
    assert_eq!(reported.outcome, Outcome::RefusedSignature);
    assert!(device.gateway.blocks().is_empty(), "nothing of it was fetched");
    assert_eq!(
        device.boots.last().unwrap().sequence,
        1,
        "what it had installed goes on"
    );
}

#[test]
fn a_new_key_signs_the_next_release() {
    let offer = Offer::patch(&release_of(&Vendor::OURS, 1), &release_of(&NEW, 2));
    let mut device = device(Some(offer), revoked());
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
    assert_eq!(device.trust.unwrap().number, 2);
    assert_eq!(device.boots.len(), 3, "for the set, for the trial");
}

#[test]
fn a_set_that_nobody_may_sign_costs_no_erase_and_no_restart() {
    let of = [(Roles::RELEASE.and(Roles::RECOVERY), &NEW)];
    let altered = {
        let mut altered = revoked().1;
        altered[60] ^= 1;
        altered
    };
    for envelope in [set(2, &of, &NEW), altered, vec![7; 300], Vec::new()] {
        let mut device = device(None, (2, envelope));
        device.run_until(|device| device.gateway.check_ins().len() == 5);
        let partition = WITH_ANCHORS.anchors.unwrap();
        let bytes = partition.offset as usize..(partition.offset + partition.bytes) as usize;
        assert!(
            device.flash.borrow().bytes()[bytes]
                .iter()
                .all(|byte| *byte == 0xFF)
        );
        assert_eq!(device.boots.len(), 1);
    }
}

#[test]
fn a_set_that_waits_for_an_image_restarts_the_device_once() {
    // Without the key that signed what runs.
    let of = [(Roles::RELEASE, &NEW), (Roles::RECOVERY, &Vendor::OURS)];
    let mut device = device(None, (2, set(2, &of, &Vendor::OURS)));
    device.run_until(|device| device.gateway.check_ins().len() == 5);
    assert_eq!(device.boots.len(), 2);
    assert_eq!(device.trust.unwrap().number, 0);
    let said: Vec<_> = device
        .gateway
        .check_ins()
        .iter()
        .map(|said| (said.anchors, said.anchors_waiting))
        .collect();
    assert_eq!(said[0], (Some(0), None));
    assert!(
        said[1..].iter().all(|said| *said == (Some(0), Some(2))),
        "{said:?}"
    );
}

#[test]
fn a_set_waits_for_the_applications_leave_to_restart() {
    let later = Verdict::Deferred(DeferralReason::Application);
    let gate = Gate {
        restart: later,
        ..Gate::CLEAR
    };
    let mut device = device(None, revoked());
    device.gate = gate;
    device.run_until(|device| device.gateway.check_ins().len() == 4);
    assert_eq!(device.boots.len(), 1, "not now");
    assert_eq!(device.gateway.check_ins()[3].anchors_waiting, Some(2));
    device.gate = Gate::CLEAR;
    device.run_until(|device| device.gateway.check_ins().len() == 6);
    assert_eq!(device.boots.len(), 2);
    assert_eq!(device.gateway.check_ins()[5].anchors, Some(2));
}

#[test]
fn a_release_above_the_highest_number_of_the_set_is_refused_before_anything_is_fetched() {
    let of = [(Roles::RELEASE.and(Roles::RECOVERY), &Vendor::OURS)];
    for (number, expected) in [(100, Outcome::Confirmed), (101, Outcome::RefusedSequenceNumber)] {
        let offer = Offer::patch(&release_of(&Vendor::OURS, 1), &release_of(&Vendor::OURS, number));
        let mut device = device(Some(offer), (2, bounded_set(2, 100, &of, &Vendor::OURS)));
        device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
        let check_ins = device.gateway.check_ins();
        let last = check_ins
            .iter()
            .find_map(|check_in| check_in.last_update)
            .unwrap();
        assert_eq!(
            (last.sequence_number, last.outcome),
            (u64::from(number), expected)
        );
        assert_eq!(device.gateway.blocks().is_empty(), expected != Outcome::Confirmed);
    }
}

#[test]
fn a_layout_without_room_for_sets_takes_none() {
    let mut gateway = Gateway::new(None);
    gateway.anchors = Some(revoked());
    let mut device = Device::new(&release_of(&Vendor::OURS, 1), gateway);
    device.run_until(|device| device.gateway.check_ins().len() == 3);
    assert_eq!(device.boots.len(), 1);
}
