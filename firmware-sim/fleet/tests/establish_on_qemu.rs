//! Devices with a key of their own and no secret on QEMU, with the real gateway, which was told the public key and lets in nobody else:
//! drawn, enrolled and flashed as a factory does it. The bridge cannot read along; it counts handshakes, and holds both sides to what is
//! promised of every number and every ephemeral key, though the board has no random numbers ([`fleet::tap::Observed::broken`]).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;

use deltagate_flash::sim::{Rewrites, SimFlash};
use deltagate_flash::{Credentials, Region, Stored, credentials_behind};
use fleet::board::Board;
use fleet::firmware::Firmware;
use fleet::link::LinkProfile;
use fleet::qemu::{Machine, Watch};
use fleet::rig::{Keys, Rig};
use fleet::tap::Observed;
use support::PATIENCE;

const BOARD: Board = Board::Mps2An385;
const IMAGE: &str = "v1-own-key.bin";
/// So patient that a machine which is slow for a minute makes the device repeat nothing.
const PATIENT_MS: u32 = 60_000;
const ESTABLISHED: &str = "keys established with the gateway";

/// A device as shipped, never switched on, and its gateway.
fn shipped(ack_timeout_ms: u32) -> Rig {
    let firmware = Firmware::of_checkout(BOARD);
    let rig = support::rig_with(BOARD, firmware, LinkProfile::FAST, ack_timeout_ms, Keys::Own);
    rig.ship_instead(IMAGE).unwrap();
    assert_eq!(stored(&rig), Stored::Nothing);
    rig
}

/// The credentials that a device has which is switched off.
fn stored(rig: &Rig) -> Stored {
    let partition = credentials_behind(&BOARD.layout());
    let mut flash = SimFlash::<4, 4_096>::part(partition.offset + partition.bytes, Rewrites::Bitwise);
    let length = flash.bytes().len();
    let bytes = std::fs::read(rig.machine.flash()).unwrap();
    flash.bytes_mut().copy_from_slice(&bytes[..length]);
    Credentials::read(Region::new(&RefCell::new(flash), partition))
}

fn handshakes(rig: &Rig) -> u32 {
    rig.bridge.seen().observed.counts.handshakes
}

/// Switches the device off when the bridge has seen that, whose answer is lost.
fn switched_off_after(rig: &mut Rig, fact: impl Fn(&Observed) -> bool + Copy + Send + 'static) {
    rig.bridge.cut_when(fact);
    rig.machine.start().unwrap();
    rig.bridge
        .wait_until(PATIENCE, |seen| fact(&seen.observed))
        .expect("the device begins a handshake");
    rig.machine.kill();
    rig.bridge.mend();
}

/// Switches the device on, which is let in then, and off; the credentials that it has in the end.
fn let_in(rig: &mut Rig, version: u32) -> Stored {
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::line(rig, mark, "checked in");
    rig.machine.kill();
    let broken = rig.bridge.seen().observed.broken;
    assert!(broken.is_empty(), "{broken:?}");
    let known = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(known.runs(version), "{known:?}");
    let stored = stored(rig);
    assert!(matches!(stored, Stored::Sound(_)));
    stored
}

/// One handshake, whose keys outlive the restart into the new image, and one without.
#[test]
fn a_device_with_nothing_but_its_own_key_is_updated_and_goes_on_with_the_keys_it_has() {
    let mut rig = support::started_with(shipped(PATIENT_MS), IMAGE);
    support::line(&rig, 0, ESTABLISHED);
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2-own-key.bin", 2);
    support::line(&rig, mark, "update to sequence 2 offered: patch");
    support::runs(&rig, mark, 2);

    rig.machine.kill();
    let before = stored(&rig);
    assert_eq!(let_in(&mut rig, 2), before);
    assert_eq!((support::count(&rig, ESTABLISHED), handshakes(&rig)), (1, 1));
}

/// Before message_2 came; and after message_3 was sent, by which the gateway has keys that the device does not.
#[test]
fn a_handshake_that_the_power_ended_is_made_anew() {
    let mut rig = shipped(PATIENT_MS);
    switched_off_after(&mut rig, |observed| observed.counts.handshakes > 0);
    switched_off_after(&mut rig, |observed| observed.counts.check_ins > 0);
    assert_eq!((stored(&rig), handshakes(&rig)), (Stored::Nothing, 2));
    let_in(&mut rig, 1);
    assert_eq!(handshakes(&rig), 3);
}

/// In the middle of the first copy of the keys that is written, which is none then; and of the second, in place of which there is the first.
#[test]
fn keys_that_the_power_tore_are_established_anew_or_known_from_their_copy() {
    let layout = BOARD.layout();
    let credentials = credentials_behind(&layout);
    let copy = credentials.bytes - layout.sector_bytes;
    for (offset, all_handshakes) in [(copy, 2), (0, 1)] {
        let mut rig = shipped(PATIENT_MS);
        let word = BOARD.flash_address() + credentials.offset + offset + 8;
        let mark = rig.machine.serial().mark();
        // The first store erases the word, the second writes it.
        let watch = Watch {
            range: word..word + 4,
            number: 2,
        };
        rig.machine.start_watched(watch).unwrap();
        rig.machine
            .wait_for_line(mark, PATIENCE, Machine::is_stopped)
            .expect("the device stores its keys");
        rig.machine.kill();
        assert_eq!(handshakes(&rig), 1);
        let_in(&mut rig, 1);
        assert_eq!(handshakes(&rig), all_handshakes, "{offset}");
    }
}
