//! `kill -9` of QEMU in each phase of an update: the device goes on where it was.

mod support;

use fleet::board::Board;
use fleet::rig::Rig;
use support::SMALL_BLOCKS;

/// Cuts the power, gives it back, and expects version 2 in the end.
fn cut_and_recover(mut rig: Rig) -> Rig {
    rig.machine.kill();
    rig.bridge.mend();
    let mark = rig.machine.serial().mark();
    rig.machine.start().expect("QEMU starts again");
    support::runs(&rig, mark, 2);
    rig
}

fn killed_during_the_download_it_fetches_only_the_rest(board: Board) {
    let rig = support::running_rig_on(board, SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    let rig = cut_and_recover(rig);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the job went on without a new offer");
    let blocks = support::blocks(&observed);
    assert!(blocks > 6, "{blocks} blocks have no middle");
    let again = observed.counts.payload_requests - blocks;
    // What was in flight when the power went, and the block it was written in.
    assert!(again <= 3, "{again} of {blocks} blocks were fetched twice");
}

#[test]
fn a_cortex_m3_killed_during_the_download_fetches_only_the_rest() {
    killed_during_the_download_it_fetches_only_the_rest(Board::Mps2An385);
}

#[test]
fn a_risc_v_killed_during_the_download_fetches_only_the_rest() {
    killed_during_the_download_it_fetches_only_the_rest(Board::Virt);
}

fn killed_while_applying_it_applies_again_without_fetching_again(board: Board) {
    let rig = support::running_rig_on(board, SMALL_BLOCKS);
    support::assign(&rig, "v2.bin", 2);
    support::line(&rig, 0, "applying");
    let fetched = rig.bridge.seen().observed.counts.payload_requests;
    let rig = cut_and_recover(rig);
    assert_eq!(rig.bridge.seen().observed.counts.payload_requests, fetched);
}

#[test]
fn a_cortex_m3_killed_while_applying_applies_again_without_fetching_again() {
    killed_while_applying_it_applies_again_without_fetching_again(Board::Mps2An385);
}

#[test]
fn a_risc_v_killed_while_applying_applies_again_without_fetching_again() {
    killed_while_applying_it_applies_again_without_fetching_again(Board::Virt);
}

#[test]
fn killed_on_trial_it_tries_again_and_confirms() {
    let rig = support::running_rig(SMALL_BLOCKS);
    // From the last block on nothing gets through: the trial waits for its contact until it is killed.
    rig.bridge.cut_when(|observed| {
        let blocks = support::blocks(observed);
        blocks > 0 && observed.counts.payload_replies >= blocks
    });
    support::assign(&rig, "v2.bin", 2);
    support::line(&rig, 0, "sequence 2, on trial, attempt 1");
    let rig = cut_and_recover(rig);
    assert_eq!(support::count(&rig, "sequence 2, on trial, attempt 2"), 1);
}
