//! Images that are signed well and run badly: each is rolled back, reported and offered exactly once.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;
#[path = "failures/table.rs"]
mod table;
#[path = "failures_on_qemu/witness.rs"]
mod witness;

use fleet::board::Board;
use fleet::link::LinkProfile;
use std::time::Duration;

/// Longest a trial may take: three boots of an image that waits two minutes for contact.
const TRIAL_PATIENCE: Duration = Duration::from_secs(420);

/// The device goes back to version 1, says why, and is left alone, as `row` of the failure matrix has it.
fn reverted_and_offered_once(board: Board, image: &str, sequence: u32, sign_of_life: &str, row: &str) {
    let rig = support::running_rig_on(board, LinkProfile::FAST);
    support::assign(&rig, image, sequence);
    let mark = support::line(&rig, 0, &format!("sequence {sequence}, on trial"));
    let mark = support::line(&rig, mark, sign_of_life);
    let mark = support::line_within(
        &rig,
        mark,
        &format!("sequence {sequence} reported"),
        TRIAL_PATIENCE,
    );
    // Three more check-ins, and it is not offered again.
    support::more_check_ins(&rig, 3);
    assert_eq!(rig.bridge.seen().observed.offers_of(u64::from(sequence)), 1);
    let said_since = rig.machine.serial().lines_from(mark);
    assert!(
        !said_since.iter().any(|line| line.contains("on trial")),
        "{said_since:?}"
    );

    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    let update = inventory
        .update(sequence)
        .expect("the gateway remembers the update");
    assert_eq!(update.offers, 1);
    table::row(row).check(&witness::shown(&rig));
}

#[test]
fn an_image_that_hangs_is_reverted_by_the_watchdog() {
    reverted_and_offered_once(
        Board::Mps2An385,
        "v3-hang.bin",
        3,
        "app: hanging",
        "the_new_image_hangs",
    );
}

#[test]
fn a_risc_v_image_that_hangs_is_reverted_by_the_watchdog() {
    reverted_and_offered_once(
        Board::Virt,
        "v3-hang.bin",
        3,
        "app: hanging",
        "the_new_image_hangs",
    );
}

#[test]
fn a_risc_v_image_that_faults_is_reverted() {
    reverted_and_offered_once(
        Board::Virt,
        "v4-fault.bin",
        4,
        "app: faulting",
        "the_new_image_faults",
    );
}

#[test]
fn an_image_that_faults_is_reverted() {
    reverted_and_offered_once(
        Board::Mps2An385,
        "v4-fault.bin",
        4,
        "app: faulting",
        "the_new_image_faults",
    );
}

#[test]
fn an_image_with_a_dead_network_is_reverted_for_want_of_contact() {
    reverted_and_offered_once(
        Board::Mps2An385,
        "v5-dead-network.bin",
        5,
        "app: version",
        "the_new_image_has_no_network",
    );
}

/// Its loop goes round, prints temperatures and would feed the watchdog for ever; only the agent is never called.
#[test]
fn an_image_that_never_calls_its_agent_is_reverted_by_the_watchdog() {
    reverted_and_offered_once(
        Board::Mps2An385,
        "v6-idle-agent.bin",
        6,
        "app: temperature",
        "the_new_image_hangs",
    );
}

#[test]
fn a_withheld_image_is_offered_again_only_when_the_operator_says_retry() {
    let rig = support::running_rig(LinkProfile::FAST);
    support::assign(&rig, "v4-fault.bin", 4);
    support::line_within(&rig, 0, "sequence 4 reported", TRIAL_PATIENCE);
    support::more_check_ins(&rig, 2);
    assert_eq!(rig.bridge.seen().observed.offers_of(4), 1);
    support::run(&rig.gateway, &["update", "retry", "--device", &rig.device_id()]);
    rig.bridge
        .wait_until(support::PATIENCE, |seen| seen.observed.offers_of(4) == 2)
        .expect("it is offered again");
}
