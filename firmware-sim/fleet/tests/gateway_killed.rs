//! `kill -9` of the gateway in the middle of a transfer.

mod support;

use support::{CATCHABLE, PATIENCE};

#[test]
fn a_transfer_goes_on_after_the_gateway_was_killed_and_started_again() {
    let mut rig = support::running_rig(CATCHABLE);
    support::assign(&rig, "v2.bin", 2);
    let seen = rig
        .bridge
        .wait_until(PATIENCE, |seen| seen.observed.counts.payload_replies >= 5)
        .expect("the transfer began");
    rig.gateway.kill();
    let blocks = seen.observed.offers[0].payload_bytes.div_ceil(128);
    assert!(
        rig.bridge.seen().observed.counts.payload_replies < blocks,
        "the transfer was over before the gateway was killed"
    );
    rig.restart_gateway().unwrap();
    support::runs(&rig, 0, 2);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the old path is still good");
    assert!(
        observed.counts.payload_requests <= blocks + 1,
        "nothing was fetched twice"
    );
}
