//! A device with a single slot on QEMU, with the real gateway: updated in place, killed while its updater works, lied to, and
//! recovered by cable.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;
use std::path::Path;
use std::process::{Command, Stdio};

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{Region, SlotRegion};
use deltagate_updater::{Desk, JournalState, Request, SingleSlot, Updater};
use fleet::board::Board;
use fleet::gateway::Deltagate;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use gateway_delta::{Options, Reach, encode};
use sha2::{Digest, Sha256};
use wire_checkin::Format;
use wire_manifest::{ENVELOPE_BYTES_MAX, sever_text};
use wire_patch::{Header, MemoryClass};

const LAYOUT: SingleSlot = SingleSlot::EMULATED;

/// The flash of a machine that is switched off.
fn flash(rig: &Rig) -> RefCell<SimFlash> {
    RefCell::new(SimFlash::from_bytes(std::fs::read(rig.machine.flash()).unwrap()))
}

/// Changes it.
fn put_back(rig: &Rig, flash: RefCell<SimFlash>) {
    std::fs::write(rig.machine.flash(), flash.into_inner().bytes()).unwrap();
}

/// What its updater will find in its journal.
fn journal(rig: &Rig) -> JournalState {
    let flash = flash(rig);
    let mut memory = [0; 4_096];
    let updater = Updater::open(&flash, LAYOUT, &mut memory).unwrap();
    updater.journal()
}

/// Switches the device on, and off again as soon as the `nth` line with `words` comes. What the journal says then.
fn killed_at(rig: &mut Rig, words: &str, nth: u32) -> JournalState {
    let mut mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    for _ in 0..nth {
        mark = support::line(rig, mark, words);
    }
    rig.machine.kill();
    journal(rig)
}

/// A device that fetched version 2 and asked its updater for it, switched off before that did anything.
fn asked() -> Rig {
    let mut rig = support::running_rig_on(Board::SingleSlot, LinkProfile::FAST);
    support::assign(&rig, "v2.bin", 2);
    support::line(&rig, 0, "sequence 2 staged, rebooting into updater");
    rig.machine.kill();
    rig
}

#[test]
fn a_single_slot_is_updated_in_place_by_the_real_gateway() {
    let rig = support::patient_rig_on(Board::SingleSlot, LinkProfile::FAST);
    let shown = support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    assert!(shown.contains("it has a single slot"), "{shown}");
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(
        (observed.offers_of(2), observed.offers[0].format),
        (1, Format::Patch)
    );
    for words in [
        "update: checking a patch",
        "update: moving up the old image, sectors left: 1 of",
        "update: writing the new image, bytes safe: ",
        "update: the new image is in the slot",
        "sequence 2, on trial, attempt 1",
    ] {
        assert!(support::count(&rig, words) > 0, "{words}");
    }
    println!(
        "version 1 to 2 in place, an image of {} bytes, as a patch of {}",
        rig.image("v2.bin").unwrap().len(),
        observed.offers[0].payload_bytes
    );
}

/// Kills while the old image moves up, and at every checkpoint while the new one is written. Where exactly is up to the machine; what
/// the flash says afterwards tells what was hit.
#[test]
fn killed_again_and_again_while_the_updater_works_it_ends_on_version_2() {
    let mut rig = asked();
    let before = std::fs::read(rig.machine.flash()).unwrap();
    let fetched = rig.bridge.seen().observed.counts.payload_requests;
    assert!(matches!(journal(&rig), JournalState::Requested(_)));
    let (mut moving, mut writing, mut kills) = (0, 0, 0);
    // On a busy machine a kill may come late: then the same device is tried again.
    for _ in 0..10 {
        std::fs::write(rig.machine.flash(), &before).unwrap();
        // What it says first tells where it goes on; what it says next, that it came further.
        let (mut words, mut nth) = ("sectors left: 2", 1);
        loop {
            kills += 1;
            match killed_at(&mut rig, words, nth) {
                JournalState::Requested(_) => nth = 1,
                JournalState::Moving(_, _, left) => {
                    moving += 1;
                    (words, nth) = match left > 8 {
                        true => ("sectors left: ", 4),
                        false => ("writing the new image", 1),
                    };
                }
                JournalState::Writing(_, geometry, last) => {
                    writing += 1;
                    let at = last.map_or(0, |last| last.position);
                    let left = (geometry.base * LAYOUT.sector_bytes).saturating_sub(at);
                    match left / (geometry.interval * LAYOUT.sector_bytes) {
                        // The last checkpoint is followed by no other: from here it runs to its end.
                        0 | 1 => break,
                        _ => (words, nth) = ("bytes safe: ", 1 + writing % 2),
                    }
                }
                JournalState::Written | JournalState::Idle(_) => break,
                JournalState::Fetching(lost, ..) => panic!("{lost}"),
            }
        }
        if moving > 0 && writing > 2 {
            break;
        }
    }
    println!("{kills} kills: {moving} while it moved, {writing} while it wrote");
    assert!(moving > 0 && writing > 2, "{moving} {writing}");
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::runs(&rig, mark, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(
        observed.counts.payload_requests, fetched,
        "nothing was fetched again"
    );
    assert_eq!(support::count(&rig, "RECOVERY"), 0);
}

/// Puts another patch, and another envelope if there is one, in the place of what was staged, and asks for it as if it were right.
fn forge(rig: &Rig, patch: &[u8], envelope: Option<&[u8]>) {
    let flash = flash(rig);
    let region = |partition| Region::new(&flash, partition);
    // The request that waits is for another patch.
    region(LAYOUT.journal).erase(0, LAYOUT.journal.bytes).unwrap();
    let staging = SlotRegion::new(region(LAYOUT.staging));
    let image = staging.image().unwrap();
    image.erase(0, image.bytes()).unwrap();
    let mut padded = patch.to_vec();
    padded.resize(padded.len().next_multiple_of(4), 0xFF);
    image.program(0, &padded).unwrap();
    if let Some(envelope) = envelope {
        staging.erase_header().unwrap();
        staging.write_envelope(envelope).unwrap();
    }
    let request = Request {
        patch_bytes: patch.len() as u32,
        patch_digest: Sha256::digest(patch).into(),
    };
    Desk::open(region(LAYOUT.journal))
        .unwrap()
        .request(request)
        .unwrap();
    put_back(rig, flash);
}

fn staged_patch(rig: &Rig) -> Vec<u8> {
    let flash = flash(rig);
    let JournalState::Requested(request) = journal(rig) else {
        panic!("nothing was asked for")
    };
    let staging = SlotRegion::new(Region::new(&flash, LAYOUT.staging));
    let mut patch = vec![0; request.patch_bytes as usize];
    staging.image().unwrap().read(0, &mut patch).unwrap();
    patch
}

#[test]
fn what_nobody_trusted_signed_is_refused_before_anything_is_touched() {
    let mut rig = asked();
    let patch = staged_patch(&rig);
    let reach = Header::parse(&patch).unwrap().in_place.map(Reach::bytes);
    let image_sectors = (rig.image("v1.bin").unwrap().len() as u32).div_ceil(LAYOUT.sector_bytes);
    let room = (LAYOUT.image_sectors() - image_sectors) * LAYOUT.sector_bytes;
    assert_eq!(reach, Some(room - 16 * 1_024), "the room less the interval");
    let stranger = rig.stranger().unwrap();
    let signed = rig.sign_as(&stranger, rig.class(), "v2.bin", 2).unwrap();
    let signed = std::fs::read(signed).unwrap();
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let envelope = sever_text(&signed, &mut buffer).unwrap();
    forge(&rig, &patch, Some(envelope));
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line(&rig, mark, "update: the envelope is not signed by a trusted key");
    let mark = support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    support::line(&rig, mark, "app: version 1");
    assert_eq!(support::count(&rig, "sectors left"), 0);
}

/// A patch is signed by nobody. One that makes another image costs the old one, and nothing of it ever runs.
#[test]
fn a_patch_that_lies_ends_in_recovery_and_a_signed_file_mends_it() {
    let mut rig = asked();
    let (old, mut other) = (rig.image("v1.bin").unwrap(), rig.image("v2.bin").unwrap());
    let middle = other.len() / 2;
    other[middle] ^= 1;
    let options = Options {
        in_place: Reach::within(16 * 1_024),
        ..Options::new(MemoryClass::MIN)
    };
    forge(&rig, &encode(&old, &other, &options).unwrap(), None);
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line(
        &rig,
        mark,
        "update: no image: what was written is not the signed image",
    );
    let mark = support::line(&rig, mark, "RECOVERY: no slot holds a valid image");
    let mark = support::line(&rig, mark, "waiting here for a signed image");
    // The confirmed image, as a technician has it at hand.
    let file = rig.sign("v1.bin", 1).unwrap();
    recover(&rig, &file);
    let mark = support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    let mark = support::line(&rig, mark, "app: version 1");
    // What it was told to fetch turned out wrong: the gateway learns that, and does not offer it again.
    support::line(&rig, mark, "sequence 2 reported as");
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert_eq!(inventory.update(2).unwrap().state, "withheld");
    // The device can be updated as ever.
    support::run(&rig.gateway, &["update", "retry", "--device", &rig.device_id()]);
    support::runs(&rig, mark, 2);
}

fn recover(rig: &Rig, file: &Path) {
    let deltagate = Deltagate::locate().unwrap();
    let output = Command::new(deltagate.binary())
        .args(["device", "recover", "--serial", &rig.machine.serial_line()])
        .arg(file)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// There is no image to go back to. The failed one is the last resort, and before it starts a technician is listened to.
#[test]
fn a_failed_trial_leaves_a_device_that_a_technician_can_reach() {
    let rig = support::running_rig_on(Board::SingleSlot, LinkProfile::FAST);
    support::assign(&rig, "v3-hang.bin", 3);
    let mark = support::line(&rig, 0, "sequence 3, on trial, attempt 3");
    let mark = support::line(&rig, mark, "sequence 3 reverted: watchdog");
    let mark = support::line(&rig, mark, "starting slot A sequence 3, last resort");
    let mark = support::line(
        &rig,
        mark,
        "RECOVERY: the image has not proved itself, and starts in 5 s",
    );
    let mark = support::line(&rig, mark, "waiting here for a signed image");
    let file = rig.sign("v1.bin", 1).unwrap();
    recover(&rig, &file);
    let mark = support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    support::line(&rig, mark, "app: version 1");
    // It says what became of version 3, and takes a better one.
    support::line(&rig, mark, "sequence 3 reported as");
    let mark = rig.machine.serial().mark();
    let signed = rig.sign("v2.bin", 4).unwrap();
    support::import(&rig.gateway, &signed);
    support::assign_imported(&rig, &rig.gateway, "v2.bin");
    support::line(&rig, mark, "sequence 4 confirmed");
}

/// Nobody comes: it starts again. Somebody does: what is brought takes the place of the image that crashes.
#[test]
fn a_confirmed_image_that_hangs_is_written_over_by_cable() {
    let mut rig = support::rig(Board::SingleSlot, LinkProfile::FAST, 2_000);
    rig.ship_instead("v3-hang.bin").unwrap();
    support::claim(&rig);
    rig.machine.start().unwrap();
    let mark = support::line(&rig, 0, "app: hanging");
    let mark = support::line(&rig, mark, "the last run ended with: watchdog");
    let mark = support::line(&rig, mark, "RECOVERY: the image crashed, and starts again in 5 s");
    let mark = support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    let mark = support::line(&rig, mark, "app: hanging");
    let file = rig.sign("v2.bin", 2).unwrap();
    recover(&rig, &file);
    let mark = support::line(&rig, mark, "starting slot A sequence 2, last resort");
    let mark = support::line(&rig, mark, "RECOVERY: the image has not proved itself");
    let mark = support::line(&rig, mark, "app: version 2");
    support::line(&rig, mark, "sequence 2 confirmed");
}
