//! A whole update on QEMU with the real gateway, nothing going wrong: on every board.

mod support;

use fleet::board::Board;
use fleet::link::LinkProfile;

/// Version 2 as a patch, each block asked for once. Says what it cost.
fn a_signed_image_reaches_the_device_as_a_delta_and_is_confirmed(board: Board) {
    let rig = support::patient_rig_on(board, LinkProfile::FAST);
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    let offer = &observed.offers[0];
    assert_eq!(offer.format, wire_checkin::Format::Patch);
    assert_eq!(
        observed.counts.payload_requests,
        offer.payload_bytes.div_ceil(1_024)
    );
    assert_eq!(
        observed.counts.manifest_requests, 0,
        "the manifest came with the offer"
    );
    assert_eq!(observed.counts.retransmissions, 0);
    assert_eq!(rig.machine.power_cycles(), 0);
    let image_bytes = rig.image("v2.bin").expect("it was just sent").len();
    println!(
        "{board}: version 1 to 2, an image of {image_bytes} bytes, as a patch of {}",
        offer.payload_bytes
    );
}

#[test]
fn a_cortex_m3_is_updated_by_delta() {
    a_signed_image_reaches_the_device_as_a_delta_and_is_confirmed(Board::Mps2An385);
}

#[test]
fn a_cortex_m4_is_updated_with_the_same_images() {
    a_signed_image_reaches_the_device_as_a_delta_and_is_confirmed(Board::Mps2An386);
}

#[test]
fn a_risc_v_is_updated_by_delta() {
    a_signed_image_reaches_the_device_as_a_delta_and_is_confirmed(Board::Virt);
}

#[test]
fn a_confirmed_image_survives_a_power_cut() {
    let mut rig = support::running_rig(LinkProfile::FAST);
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
    rig.machine.kill();
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line(&rig, mark, "app: version 2");
    support::line(&rig, mark, "checked in");
}
