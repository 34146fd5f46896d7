//! Rows of the failure matrix with the real firmware, the real gateway and a link in real time. What takes hours is short here;
//! `tests/failures/` has it on virtual time.
//!
//! Not among them: a flash that takes no writes, for QEMU's has no way to fail.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use fleet::board::Board;
use fleet::link::{Bursts, LinkProfile};
use support::SMALL_BLOCKS;

/// RFC 7252 ACK_TIMEOUT of these links: their tests wait for it again and again.
const ACK_TIMEOUT_MS: u32 = 500;

#[test]
fn losses_in_bursts_of_forty_percent_delay_an_update() {
    // Whole blocks: each exchange takes its time, and this is not the place to wait for many.
    let bursts = LinkProfile {
        bursts: Bursts::FORTY_PERCENT,
        ..LinkProfile::FAST
    };
    let rig = support::running_rig_with(Board::Mps2An385, bursts, ACK_TIMEOUT_MS);
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, 0, 2);
    let seen = rig.bridge.seen();
    assert!(seen.traffic.up.lost_packets + seen.traffic.down.lost_packets > 3);
    assert_eq!(seen.observed.payload_back_bytes_max, 0, "it went on where it was");
}

#[test]
fn a_source_port_that_changes_is_no_matter() {
    let rig = support::running_rig(SMALL_BLOCKS);
    for replies in [2, 5, 8] {
        rig.bridge
            .rebind_when(move |observed| observed.counts.payload_replies >= replies);
    }
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, 0, 2);
    assert_eq!(rig.bridge.rebound(), 3);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert_eq!(observed.payload_back_bytes_max, 0);
}

#[test]
fn an_outage_in_the_middle_of_a_transfer_is_waited_for() {
    let rig = support::running_rig_with(Board::Mps2An385, SMALL_BLOCKS, ACK_TIMEOUT_MS);
    support::caught_after(&rig, 5);
    let blocks = support::blocks(&rig.bridge.seen().observed);
    // Longer than an exchange lives: the device gives the request up, and tells when it tries again.
    support::line(&rig, 0, "no usable answer");
    let shown = support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    assert!(shown.contains("it was told to fetch /"), "{shown}");
    assert!(shown.contains("waiting is enough"), "{shown}");
    rig.bridge.mend();
    support::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert!(
        observed.counts.payload_requests <= blocks + 3,
        "nothing was fetched twice"
    );
}
