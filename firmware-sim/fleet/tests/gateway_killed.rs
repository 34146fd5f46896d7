//! `kill -9` of the gateway in the middle of a transfer.

mod support;

use support::SMALL_BLOCKS;

#[test]
fn a_transfer_goes_on_after_the_gateway_was_killed_and_started_again() {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    rig.gateway.kill();
    let blocks = support::blocks(&rig.bridge.seen().observed);
    assert!(blocks > 6, "{blocks} blocks have no middle");
    rig.restart_gateway().unwrap();
    rig.bridge.mend();
    support::runs(&rig, 0, 2);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the old path is still good");
    assert!(
        observed.counts.payload_requests <= blocks + 1,
        "nothing was fetched twice"
    );
}
