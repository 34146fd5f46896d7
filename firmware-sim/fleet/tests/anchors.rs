//! Trust anchors that change: a set reaches an emulated device with a check-in, and decides from then on whose images it takes.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use fleet::board::Board;
use fleet::compromised::{Bait, CompromisedGateway};
use fleet::link::LinkProfile;
use wire_checkin::Outcome;
use wire_manifest::{ENVELOPE_BYTES_MAX, sever_text};

/// The old key signed what runs, which goes on. It signs nothing that comes, whatever a gateway offers; the new one does.
fn a_set_takes_the_old_key_away(board: Board) {
    let rig = support::running_rig_on(board, LinkProfile::FAST);
    let new = rig.stranger().unwrap();
    let signed = std::fs::read(rig.sign("v2.bin", 2).unwrap()).unwrap();
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let gateway = CompromisedGateway::start(Bait {
        envelope: sever_text(&signed, &mut buffer).unwrap().to_vec(),
        sequence_number: 2,
        payload_bytes: 30_000,
        anchors: Some((7, rig.revoking_set(7, &new).unwrap())),
    })
    .unwrap();
    rig.bridge.set_gateway(gateway.address());
    let heard = gateway
        .wait_until(support::PATIENCE, |heard| !heard.reports.is_empty())
        .unwrap_or_else(|| {
            panic!(
                "no report; the device said:\n{}",
                rig.machine.serial().lines_from(0).join("\n")
            )
        });
    assert_eq!(
        (heard.anchors, heard.running),
        (Some(7), Some(1)),
        "the set is in force, and what ran runs"
    );
    assert_eq!(heard.reports[0].outcome, Outcome::RefusedSignature);
    assert_eq!(heard.fetches, 0, "it asked for payload");

    let gateway = rig.divert(&[&new]).unwrap();
    let signed = rig.sign_as(&new, rig.class(), "v2.bin", 3).unwrap();
    support::import(&gateway, &signed);
    support::run(&gateway, &["device", "claim", &rig.device_id()]);
    support::assign_imported(&rig, &gateway, "v2.bin");
    let mark = support::line(&rig, 0, "app: version 2");
    support::line(&rig, mark, "sequence 3 confirmed");
}

#[test]
fn a_set_by_the_air_takes_the_old_key_away_on_a_cortex_m3() {
    a_set_takes_the_old_key_away(Board::Mps2An385);
}

#[test]
fn a_set_by_the_air_takes_the_old_key_away_on_risc_v() {
    a_set_takes_the_old_key_away(Board::Virt);
}
