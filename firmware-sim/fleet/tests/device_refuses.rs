//! What a device refuses though its gateway would have it.
//!
//! The gateways here are compromised: a real one that trusts the stranger's key, and one that offers whatever it likes.
//! Each refusal comes before a byte of payload was asked for.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;
#[path = "failures/table.rs"]
mod table;
#[path = "failures_on_qemu/witness.rs"]
mod witness;

use fleet::compromised::{Bait, CompromisedGateway};
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use std::path::Path;
use wire_checkin::Outcome;
use wire_manifest::{ENVELOPE_BYTES_MAX, sever_text};

/// Lets a compromised gateway offer a signed file to a device that runs `running`, which must refuse it as `outcome`.
fn refused(rig: &Rig, signed: &Path, sequence: u64, running: u64, outcome: Outcome) {
    let signed = std::fs::read(signed).unwrap();
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let gateway = CompromisedGateway::start(Bait {
        envelope: sever_text(&signed, &mut buffer).unwrap().to_vec(),
        sequence_number: sequence,
        payload_bytes: 30_000,
        anchors: None,
    })
    .unwrap();
    let trials = support::count(rig, "on trial");
    rig.bridge.set_gateway(gateway.address());
    let heard = gateway
        .wait_until(support::PATIENCE, |heard| {
            heard
                .reports
                .iter()
                .any(|report| report.sequence_number == sequence)
        })
        .unwrap_or_else(|| {
            panic!(
                "no report; the device said:\n{}",
                rig.machine.serial().lines_from(0).join("\n")
            )
        });
    assert_eq!(heard.reports.last().unwrap().outcome, outcome);
    assert_eq!(heard.fetches, 0, "it asked for payload");
    assert_eq!(heard.running, Some(running));
    assert_eq!(support::count(rig, "on trial"), trials);
}

#[test]
fn an_image_signed_by_a_stranger_is_refused() {
    let rig = support::running_rig(LinkProfile::FAST);
    let stranger = rig.stranger().unwrap();
    let signed = rig.sign_as(&stranger, rig.class(), "v2.bin", 2).unwrap();
    refused(&rig, &signed, 2, 1, Outcome::RefusedSignature);
}

#[test]
fn an_image_for_another_class_is_refused() {
    let rig = support::running_rig(LinkProfile::FAST);
    let signed = rig.sign_as(&rig.publisher, "barometer", "v2.bin", 2).unwrap();
    refused(&rig, &signed, 2, 1, Outcome::RefusedClass);
}

#[test]
fn an_image_that_is_older_is_refused() {
    let rig = support::running_rig(LinkProfile::FAST);
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 3);
    support::line(&rig, mark, "sequence 3 confirmed");
    let signed = rig.sign("v2.bin", 2).unwrap();
    refused(&rig, &signed, 2, 3, Outcome::RefusedSequenceNumber);
}

#[test]
fn an_image_that_may_not_follow_the_running_one_is_refused() {
    let rig = support::running_rig(LinkProfile::FAST);
    let (signed, _) = rig.sign_after("v2.bin", 7, 4).unwrap();
    refused(&rig, &signed, 7, 1, Outcome::RefusedPredecessor);
}

#[test]
fn a_gateway_that_trusts_the_stranger_learns_that_the_device_does_not() {
    let rig = support::running_rig(LinkProfile::FAST);
    let stranger = rig.stranger().unwrap();
    let gateway = rig.divert(&[&stranger]).unwrap();
    let signed = rig.sign_as(&stranger, rig.class(), "v2.bin", 2).unwrap();
    support::import(&gateway, &signed);
    support::run(&gateway, &["device", "claim", &rig.device_id()]);
    support::assign_imported(&rig, &gateway, "v2.bin");
    let mark = support::line(&rig, 0, "update to sequence 2 dropped");
    support::line(&rig, mark, "sequence 2 reported");
    support::more_check_ins(&rig, 3);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.counts.payload_requests, 0, "no payload was fetched");
    assert_eq!(observed.offers_of(2), 1);
    let inventory = fleet::gateway::device(&gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    let told = witness::shown_by(&gateway, &rig.device_id());
    table::row("the_key_is_unknown_to_the_device").check(&told);
}

#[test]
fn a_manifest_of_a_newer_profile_is_refused() {
    let rig = support::running_rig(LinkProfile::FAST);
    let signed = rig.sign_newer_profile("v2.bin", 2).unwrap();
    refused(&rig, &signed, 2, 1, Outcome::RefusedUnsupported);
}
