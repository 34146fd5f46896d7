//! From version 1 to one that may only follow sequence number 4 or higher, on QEMU with the real gateway: by the image in between, and
//! not without it.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use fleet::link::LinkProfile;
use wire_checkin::Format;

#[test]
fn a_device_waits_for_the_image_in_between_and_goes_by_it() {
    let rig = support::running_rig(LinkProfile::FAST);
    let (last, digest) = rig.sign_after("v1.bin", 7, 4).unwrap();
    support::import(&rig.gateway, &last);
    support::assign_digest(&rig, &rig.gateway, &digest);
    support::more_check_ins(&rig, 3);
    assert_eq!(
        rig.bridge.seen().observed.offers.len(),
        0,
        "an illegal jump was offered"
    );
    let shown = support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    assert!(
        shown.contains("an image with a sequence number from 4 to 6 that may follow 1 is needed in between"),
        "{shown}"
    );
    assert!(shown.contains("deltagate image import"), "{shown}");

    let mark = rig.machine.serial().mark();
    support::import(&rig.gateway, &rig.sign("v2.bin", 4).unwrap());
    let mark = support::line(&rig, mark, "app: version 2");
    let mark = support::line(&rig, mark, "sequence 4 confirmed");
    // The last one does what the first one did, as another image.
    let mark = support::line(&rig, mark, "app: version 1");
    support::line(&rig, mark, "sequence 7 confirmed");
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(7), "{inventory:?}");

    let offers = rig.bridge.seen().observed.offers;
    let steps: Vec<(u64, Format)> = offers
        .iter()
        .map(|offer| (offer.sequence_number, offer.format))
        .collect();
    assert_eq!(
        steps,
        [(4, Format::Patch), (7, Format::Patch)],
        "each a delta to the one before"
    );
}
