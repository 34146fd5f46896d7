//! Rows of the gateway.

use crate::support::{self, PATIENCE, SMALL_BLOCKS};
use crate::table::Told;
use crate::witness::{self, shown};
use fleet::board::Board;
use fleet::gateway::FakedClock;
use fleet::link::LinkProfile;
use fleet::rig::Rig;

/// RFC 7252 ACK_TIMEOUT where every kill costs the device a packet.
const ACK_TIMEOUT_MS: u32 = 500;

/// Whether the log says, from this mark on, that a delta was built.
fn is_built(rig: &Rig, mark: usize) -> bool {
    let lines = rig.gateway.log().lines_from(mark);
    lines.iter().any(|line| support::is_patch_ready(line))
}

/// Kills the gateway, starts it again, and lets the link carry packets.
fn kill(rig: &mut Rig) {
    rig.gateway.kill();
    rig.restart_gateway().unwrap();
    rig.bridge.mend();
}

/// Assigns something like version 2 and kills the gateway while it builds the delta; the sequence number of that. A delta takes a
/// moment to build, and so does the answer to a command: one of a few attempts is in time.
fn killed_while_it_builds(rig: &mut Rig) -> u32 {
    const ATTEMPTS: u32 = 8;
    for sequence in 2..2 + ATTEMPTS {
        let (signed, digest) = rig.sign_other(&rig.publisher, "v2.bin", sequence, None).unwrap();
        support::import(&rig.gateway, &signed);
        let mark = rig.gateway.log().mark();
        support::assign_digest(rig, &rig.gateway, &digest);
        rig.gateway.kill();
        let is_in_time = !is_built(rig, mark);
        rig.restart_gateway().unwrap();
        if is_in_time {
            return sequence;
        }
    }
    panic!("{ATTEMPTS} deltas were built before the gateway was killed");
}

pub fn the_gateway_is_killed_in_every_phase() -> Told {
    let mut rig = support::running_rig_with(Board::Mps2An385, SMALL_BLOCKS, ACK_TIMEOUT_MS);
    rig.bridge.cut_when(|_| true);
    let sequence = killed_while_it_builds(&mut rig);
    let on_trial = format!("sequence {sequence}, on trial");
    // It is built again when the device asks.
    rig.bridge.cut_when(|observed| !observed.offers.is_empty());
    // When it offered, and the device has not asked for a block.
    let seen = rig
        .bridge
        .wait_until(PATIENCE, |seen| !seen.observed.offers.is_empty());
    assert_eq!(seen.expect("an offer").observed.counts.payload_replies, 0);
    rig.gateway.kill();
    rig.restart_gateway().unwrap();
    // While it serves.
    support::cut_after(&rig, 5);
    support::wait_for_replies(&rig, 5);
    rig.gateway.kill();
    let observed = rig.bridge.seen().observed;
    let blocks = support::blocks(&observed);
    assert!(blocks > 6, "{blocks} blocks have no middle");
    kill(&mut rig);
    // While the device makes the image; then its first check-in on trial gets nowhere.
    let mark = support::line(&rig, 0, "applying");
    let check_ins = rig.bridge.seen().observed.counts.check_ins;
    rig.bridge
        .cut_when(move |observed| observed.counts.check_ins > check_ins);
    rig.gateway.kill();
    rig.restart_gateway().unwrap();
    // While it awaits the new image.
    support::line(&rig, mark, &on_trial);
    rig.bridge
        .wait_until(PATIENCE, |seen| seen.observed.counts.check_ins > check_ins)
        .expect("the new image checks in");
    kill(&mut rig);
    support::line(&rig, mark, &format!("sequence {sequence} confirmed"));
    // When it was told.
    kill(&mut rig);
    support::more_check_ins(&rig, 1);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers.len(), 1, "the old path was good all the time");
    assert_eq!(observed.payload_back_bytes_max, 0, "nothing was fetched twice");
    assert_eq!(support::count(&rig, &on_trial), 1);
    shown(&rig)
}

pub fn it_restarts_with_a_newer_assignment() -> Told {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    rig.gateway.kill();
    rig.restart_gateway().unwrap();
    support::assign_behind_its_back(&rig, || support::assign_other(&rig, 3));
    rig.bridge.mend();
    let told = witness::runs(&rig, 0, 3);
    assert_eq!(support::count(&rig, "update to sequence 2 dropped"), 1);
    assert_eq!(
        support::count(&rig, "sequence 2, on trial"),
        0,
        "the first image was never made"
    );
    told
}

pub fn the_clock_starts_in_1970_and_jumps() -> Told {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    let clock = FakedClock::new(rig.directory()).unwrap();
    clock.set(30).unwrap();
    let faked = clock.clone();
    rig.reconfigure(|config| config.clock = Some(faked)).unwrap();
    let status = support::run(&rig.gateway, &["status"]);
    assert!(
        status.contains("clock is not set (1970-01-01")
            && status.contains("so nobody is called late; updates go on"),
        "{status}"
    );
    support::caught_after(&rig, 5);
    // Set to 2030, and an hour back, in the middle of the transfer.
    let meanwhile = shown(&rig);
    clock.set(1_900_000_000).unwrap();
    let status = support::run(&rig.gateway, &["status"]);
    assert!(!status.contains("clock is not set"), "{status}");
    support::cut_after(&rig, 8);
    support::wait_for_replies(&rig, 8);
    clock.set(1_899_996_400).unwrap();
    rig.bridge.mend();
    let told = witness::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert_eq!(observed.payload_back_bytes_max, 0);
    Told {
        printed: meanwhile.printed,
        ..told
    }
}

pub fn rauc_hawkbit_updater_223_a_delta_cannot_be_built() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    let signed = rig.sign("v2.bin", 2).unwrap();
    support::import(&rig.gateway, &signed);
    // What is built has nowhere to go.
    let artefacts = rig.gateway.state().join("artefacts");
    let away = artefacts.with_extension("away");
    std::fs::rename(&artefacts, &away).unwrap();
    std::fs::write(&artefacts, "").unwrap();
    let mark = rig.gateway.log().mark();
    support::assign_imported(&rig, &rig.gateway, "v2.bin");
    rig.gateway
        .log()
        .wait_for(mark, PATIENCE, |line| line.contains("build failed"))
        .expect("the build fails");
    support::more_check_ins(&rig, 3);
    assert_eq!(
        rig.bridge.seen().observed.offers.len(),
        0,
        "no full image in its place"
    );
    let told = shown(&rig);
    // And what the technician is told helps.
    std::fs::remove_file(&artefacts).unwrap();
    std::fs::rename(&away, &artefacts).unwrap();
    support::assign_behind_its_back(&rig, || {
        support::run(&rig.gateway, &["update", "retry", "--device", &rig.device_id()]);
    });
    rig.bridge.mend();
    witness::runs(&rig, 0, 2);
    told
}
