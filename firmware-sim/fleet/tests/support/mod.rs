//! What the tests on QEMU share: a rig over a fast link, and facts to wait for.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(unreachable_pub, reason = "the module is private to each test program")]
#![allow(
    clippy::unwrap_used,
    reason = "this is test code, which the lint does not see"
)]

use fleet::board::Board;
use fleet::bridge::DeviceNumber;
use fleet::firmware::Firmware;
use fleet::gateway::{Deltagate, Gateway, Publisher};
use fleet::link::LinkProfile;
use fleet::rig::{Keys, Rig, RigConfig};
use fleet::tap::Observed;
use std::path::Path;
use std::time::Duration;

/// Longest wait for anything that normally takes seconds, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(180);

/// Fast, with an MTU that makes blocks of 64 bytes, so that a transfer has a middle: a delta of this firmware is short.
pub const SMALL_BLOCKS: LinkProfile = LinkProfile {
    mtu_bytes: 180,
    ..LinkProfile::FAST
};

/// The blocks of the first offer over [`SMALL_BLOCKS`]; 0 before there is one.
pub fn blocks(observed: &Observed) -> u32 {
    let first = observed.offers.first();
    first.map_or(0, |offer| offer.payload_bytes.div_ceil(64))
}

/// Assigns version 2 and cuts the link when `replies` blocks were answered. Returns when they were.
pub fn caught_after(rig: &Rig, replies: u32) {
    assign_behind_its_back(rig, || assign(rig, "v2.bin", 2));
    cut_after(rig, replies);
    wait_for_replies(rig, replies);
}

/// Assigns what the device is to get as a patch, and cuts the link until it is built: a device that asks in between is told to come
/// again much later. The link stays cut.
pub fn assign_behind_its_back(rig: &Rig, assign: impl FnOnce()) {
    let mark = rig.gateway.log().mark();
    rig.bridge.cut_when(|_| true);
    assign();
    let ready = rig.gateway.log().wait_for(mark, PATIENCE, is_patch_ready);
    ready.expect("the patch is built");
}

/// Returns when no build is under way. Each question takes its time, so this does not spin; their number bounds it.
pub fn wait_until_built(rig: &Rig) {
    #[derive(serde::Deserialize)]
    struct Status {
        building: u32,
    }
    let is_built = |_: &u32| {
        let status: Status = rig
            .gateway
            .json(&["status"])
            .unwrap_or_else(|failed| panic!("{failed}"));
        status.building == 0
    };
    assert!((0..2_000).any(|n| is_built(&n)), "builds do not end");
}

/// Whether this line of a gateway's log says that a patch can be offered.
pub fn is_patch_ready(line: &str) -> bool {
    line.contains("artefact is ready") && line.contains("format=patch")
}

/// Cuts the link when `replies` blocks were answered.
pub fn cut_after(rig: &Rig, replies: u32) {
    rig.bridge
        .cut_when(move |observed| observed.counts.payload_replies >= replies);
}

/// Returns when `replies` blocks were answered.
pub fn wait_for_replies(rig: &Rig, replies: u32) {
    rig.bridge
        .wait_until(PATIENCE, |seen| seen.observed.counts.payload_replies >= replies)
        .expect("the transfer goes on");
}

/// RFC 7252 ACK_TIMEOUT where packets are lost on purpose: the tests wait for it.
pub const ACK_TIMEOUT_MS: u32 = 2_000;

/// A device with version 1 and its gateway, over this link.
pub fn rig(board: Board, profile: LinkProfile, ack_timeout_ms: u32) -> Rig {
    made(board, Firmware::of_checkout(board), profile, ack_timeout_ms)
}

/// A device with version 1 of this firmware and its gateway, switched off.
pub fn rig_of(board: Board, firmware: Firmware, profile: LinkProfile) -> Rig {
    made(board, firmware, profile, ACK_TIMEOUT_MS)
}

fn made(board: Board, firmware: Firmware, profile: LinkProfile, ack_timeout_ms: u32) -> Rig {
    // One with a single slot takes updates from nobody who may be anybody.
    let keys = match board {
        Board::SingleSlot => Keys::Shared,
        _ => Keys::Nothing,
    };
    rig_with(board, firmware, profile, ack_timeout_ms, keys)
}

/// An enrolled device with version 1, and a gateway that serves who shows a key, and nobody else.
pub fn protected_rig(board: Board, profile: LinkProfile, ack_timeout_ms: u32) -> Rig {
    let firmware = Firmware::of_checkout(board);
    rig_with(board, firmware, profile, ack_timeout_ms, Keys::Shared)
}

/// A device with these keys, and version 1 of this firmware.
pub fn rig_with(
    board: Board,
    firmware: Firmware,
    profile: LinkProfile,
    ack_timeout_ms: u32,
    keys: Keys,
) -> Rig {
    let config = RigConfig {
        board,
        firmware,
        deltagate: Deltagate::locate().unwrap_or_else(|error| panic!("{error}")),
        profile,
        seed: 1,
        device: DeviceNumber(1),
        ack_timeout_ms,
        check_in_interval_s: 1,
        keys,
    };
    Rig::new(config).unwrap_or_else(|error| panic!("{error}"))
}

/// A rig whose device, a Cortex-M3, runs version 1, has checked in and is claimed.
pub fn running_rig(profile: LinkProfile) -> Rig {
    running_rig_on(Board::Mps2An385, profile)
}

/// As [`running_rig`], on this board.
pub fn running_rig_on(board: Board, profile: LinkProfile) -> Rig {
    started(rig(board, profile, ACK_TIMEOUT_MS))
}

/// As [`running_rig_on`], with another ACK_TIMEOUT.
pub fn running_rig_with(board: Board, profile: LinkProfile, ack_timeout_ms: u32) -> Rig {
    started(rig(board, profile, ack_timeout_ms))
}

/// As [`running_rig_on`], and the device is so patient that a machine which is slow for a minute makes it repeat nothing.
pub fn patient_rig_on(board: Board, profile: LinkProfile) -> Rig {
    started(rig(board, profile, 60_000))
}

/// Switches the device on, which then has checked in and is claimed.
pub fn started(rig: Rig) -> Rig {
    started_with(rig, "v1.bin")
}

/// As [`started`], a device that was shipped with this firmware file, a version 1.
pub fn started_with(mut rig: Rig, image: &str) -> Rig {
    let first = rig.sign(image, 1).unwrap();
    import(&rig.gateway, &first);
    claim(&rig);
    rig.machine.start().unwrap();
    line(&rig, 0, "app: version 1");
    line(&rig, 0, "checked in");
    rig
}

/// Claims the device, which enrolling it has done already.
pub fn claim(rig: &Rig) {
    if !rig.is_protected() {
        run(&rig.gateway, &["device", "claim", &rig.device_id()]);
    }
}

/// Imports a signed file.
pub fn import(gateway: &Gateway, signed: &Path) {
    run(gateway, &["image", "import", &signed.display().to_string()]);
}

/// Signs a firmware file with this sequence number, imports it and assigns it to the device.
pub fn assign(rig: &Rig, image: &str, sequence: u32) {
    let signed = rig.sign(image, sequence).unwrap();
    import(&rig.gateway, &signed);
    assign_imported(rig, &rig.gateway, image);
}

/// Signs what version 1 does as another image, imports it and assigns it to the device.
pub fn assign_other(rig: &Rig, sequence: u32) {
    assign_other_as(rig, &rig.publisher, sequence);
}

/// As [`assign_other`], signed by this publisher.
pub fn assign_other_as(rig: &Rig, publisher: &Publisher, sequence: u32) {
    let (signed, digest) = rig.sign_other(publisher, "v1.bin", sequence, None).unwrap();
    import(&rig.gateway, &signed);
    assign_digest(rig, &rig.gateway, &digest);
}

/// What `image list --json` says of an image that is asked here.
#[derive(Debug, serde::Deserialize, PartialEq, Eq)]
pub struct Image {
    pub digest: String,
    pub class_id: String,
}

/// Every image that the gateway has.
pub fn images(rig: &Rig) -> Vec<Image> {
    #[derive(serde::Deserialize)]
    struct List {
        images: Vec<Image>,
    }
    let list: List = rig
        .gateway
        .json(&["image", "list"])
        .unwrap_or_else(|failed| panic!("{failed}"));
    list.images
}

/// Assigns an imported image to the device.
pub fn assign_imported(rig: &Rig, gateway: &Gateway, image: &str) {
    assign_digest(rig, gateway, &rig.digest(image).unwrap());
}

/// Assigns the imported image with this digest, in hex.
pub fn assign_digest(rig: &Rig, gateway: &Gateway, digest: &str) {
    run(
        gateway,
        &["update", "assign", digest, "--device", &rig.device_id()],
    );
}

/// Runs a command that must succeed.
pub fn run(gateway: &Gateway, arguments: &[&str]) -> String {
    gateway.run(arguments).unwrap_or_else(|failed| panic!("{failed}"))
}

/// Waits for a serial line with `words`, the `from`th or later; the mark behind it.
pub fn line(rig: &Rig, from: usize, words: &str) -> usize {
    line_within(rig, from, words, PATIENCE)
}

/// As [`line`], with another patience.
pub fn line_within(rig: &Rig, from: usize, words: &str, patience: Duration) -> usize {
    match rig
        .machine
        .wait_for_line(from, patience, |line| line.contains(words))
    {
        Some((mark, _)) => mark,
        None => panic!(
            "no serial line with {words:?}; the device said:\n{}\nthe gateway said:\n{}",
            rig.machine.serial().lines_from(0).join("\n"),
            rig.gateway.log().lines_from(0).join("\n"),
        ),
    }
}

/// How many serial lines have `words`.
pub fn count(rig: &Rig, words: &str) -> usize {
    rig.machine.serial().count(|line| line.contains(words))
}

/// Waits until the bridge saw this many more check-ins than now.
pub fn more_check_ins(rig: &Rig, more: u32) {
    let goal = rig.bridge.seen().observed.counts.check_ins + more;
    rig.bridge
        .wait_until(PATIENCE, |seen| seen.observed.counts.check_ins >= goal)
        .expect("the device keeps checking in");
}

/// Waits until the device runs this sequence number and the gateway's inventory says so too; and what was promised of protected messages
/// was kept.
pub fn runs(rig: &Rig, from: usize, version: u32) {
    line(rig, from, &format!("app: version {version}"));
    line(rig, from, &format!("sequence {version} confirmed"));
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(version), "{inventory:?}");
    let broken = rig.bridge.seen().observed.broken;
    assert!(broken.is_empty(), "{broken:?}");
}
