//! Devices with keys on QEMU, with the real gateway: enrolled by its command line, their credentials flashed as it wrote them, and
//! let in by nothing else. The bridge was given the same credentials: it reads along, and holds both sides to what is promised of every
//! number ([`support::runs`]).

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;

use deltagate_flash::sim::{Rewrites, SimFlash};
use deltagate_flash::{Layout, Region, SEQUENCE_CHUNK, SequenceLog, credentials_behind};
use fleet::board::Board;
use fleet::gateway::Access;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use support::{ACK_TIMEOUT_MS, SMALL_BLOCKS};
use wire_checkin::Format;

/// So patient that a machine which is slow for a minute makes the device repeat nothing.
const PATIENT_MS: u32 = 60_000;

/// Version 2 as a patch, each block asked for once, and everything protected.
fn an_update_goes_over_the_protected_channel(board: Board) {
    let rig = support::started(support::protected_rig(board, LinkProfile::FAST, PATIENT_MS));
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);

    let observed = rig.bridge.seen().observed;
    let counts = observed.counts;
    assert_eq!(
        (observed.offers_of(2), observed.offers[0].format),
        (1, Format::Patch)
    );
    let blocks = observed.offers[0].payload_bytes.div_ceil(1_024);
    assert_eq!((counts.payload_requests, counts.retransmissions), (blocks, 0));
    // What is promised of a block's reply is 13 bytes or less. Option, payload marker, code and tag are 11, the marker was there already.
    let blocks = u64::from(blocks);
    assert!(counts.payload_reply_protection_bytes <= 11 * blocks, "{counts:?}");
    // And the value of the request's option: flags, a number of one byte, a key id.
    assert!(
        (13 * blocks..=20 * blocks).contains(&counts.payload_request_protection_bytes),
        "{counts:?}"
    );
    // No check-in without.
    assert!(counts.check_in_request_protection_bytes >= 13 * u64::from(counts.check_ins));
    println!(
        "{board}: {} bytes for an update, of them protection {}",
        counts.bytes,
        counts.protection_bytes()
    );
}

#[test]
fn a_cortex_m3_is_updated_over_the_protected_channel() {
    an_update_goes_over_the_protected_channel(Board::Mps2An385);
}

#[test]
fn a_risc_v_is_updated_over_the_protected_channel() {
    an_update_goes_over_the_protected_channel(Board::Virt);
}

/// How far the messages of a device that is off may have been counted, as its flash says.
fn counted(rig: &Rig) -> u64 {
    fn end<const SECTOR: usize>(layout: &Layout, bytes: &[u8]) -> u64 {
        let partition = credentials_behind(layout);
        let mut flash = SimFlash::<4, SECTOR>::part(partition.offset + partition.bytes, Rewrites::Bitwise);
        let length = flash.bytes().len();
        flash.bytes_mut().copy_from_slice(&bytes[..length]);
        let flash = RefCell::new(flash);
        SequenceLog::open(Region::new(&flash, partition)).unwrap().end()
    }
    let (layout, bytes) = (rig.board().layout(), std::fs::read(rig.machine.flash()).unwrap());
    match layout.sector_bytes as usize {
        4_096 => end::<4_096>(&layout, &bytes),
        _ => end::<0x4_0000>(&layout, &bytes),
    }
}

/// The power goes away in the middle of the transfer: the device goes on where it was, above everything that it may have sent.
fn a_power_cut_in_the_middle_costs_no_nonce(board: Board) {
    let mut rig = support::started(support::protected_rig(board, SMALL_BLOCKS, ACK_TIMEOUT_MS));
    support::caught_after(&rig, 5);
    rig.machine.kill();
    let reserved = counted(&rig);
    assert!(
        reserved > 0 && reserved.is_multiple_of(u64::from(SEQUENCE_CHUNK)),
        "{reserved}"
    );
    rig.bridge.mend();
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::runs(&rig, mark, 2);

    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the job went on without a new offer");
    let blocks = support::blocks(&observed);
    assert!(blocks > 6, "{blocks} blocks have no middle");
    let again = observed.counts.payload_requests - blocks;
    assert!(again <= 3, "{again} of {blocks} blocks were fetched twice");
    rig.machine.kill();
    // This start, and that of the new image.
    let now = counted(&rig);
    assert!(
        now >= reserved + 2 * u64::from(SEQUENCE_CHUNK),
        "{reserved}, then {now}"
    );
}

#[test]
fn a_cortex_m3_that_restarts_in_the_middle_goes_on_without_using_a_number_twice() {
    a_power_cut_in_the_middle_costs_no_nonce(Board::Mps2An385);
}

#[test]
fn a_risc_v_that_restarts_in_the_middle_goes_on_without_using_a_number_twice() {
    a_power_cut_in_the_middle_costs_no_nonce(Board::Virt);
}

/// A NAT forgets the device three times in a transfer: its key is its name, and no block is asked for twice.
#[test]
fn a_device_at_another_port_goes_on_with_the_next_block() {
    let rig = support::started(support::protected_rig(
        Board::Mps2An385,
        SMALL_BLOCKS,
        ACK_TIMEOUT_MS,
    ));
    for replies in [2, 5, 8] {
        rig.bridge
            .rebind_when(move |observed| observed.counts.payload_replies >= replies);
    }
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
    assert_eq!(rig.bridge.rebound(), 3);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1);
    assert_eq!(observed.counts.payload_requests_again, 0);
}

/// The gateway does not remember which numbers came before it was killed: it asks for one proof that this is no recording.
#[test]
fn a_gateway_killed_in_the_middle_asks_for_one_proof() {
    let mut rig = support::started(support::protected_rig(
        Board::Mps2An385,
        SMALL_BLOCKS,
        ACK_TIMEOUT_MS,
    ));
    support::caught_after(&rig, 5);
    rig.gateway.kill();
    let blocks = support::blocks(&rig.bridge.seen().observed);
    rig.restart_gateway().unwrap();
    rig.bridge.mend();
    support::runs(&rig, 0, 2);
    let observed = rig.bridge.seen().observed;
    assert_eq!(observed.offers_of(2), 1, "the old path is still good");
    let more = observed.counts.payload_requests - blocks;
    assert!((1..=2).contains(&more), "{more} requests more than blocks");
}

/// Other hardware with the device's address and firmware, and without its key. It is answered, and gets nothing; what the gateway knows of
/// the device stays what it was, also where it would let in who has no key.
#[test]
fn an_impostor_without_the_key_gets_nothing() {
    let mut rig = support::started(support::protected_rig(
        Board::Mps2An385,
        LinkProfile::FAST,
        ACK_TIMEOUT_MS,
    ));
    rig.machine.kill();
    let genuine = std::fs::read(rig.machine.flash()).unwrap();
    let before = rig.bridge.seen().observed;
    support::assign(&rig, "v2.bin", 2);
    support::wait_until_built(&rig);
    for access in [Access::Authenticated, Access::Open] {
        rig.reconfigure(|config| config.access = access).unwrap();
        rig.ship_impostor("v2.bin").unwrap();
        rig.machine.start().unwrap();
        support::more_check_ins(&rig, 2);
        rig.machine.kill();
        let observed = rig.bridge.seen().observed;
        assert_eq!(observed.offers, before.offers, "{access}");
        assert_eq!(observed.counts.payload_requests, before.counts.payload_requests);
        let device = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
        assert!(device.runs(1), "{access}: {device:?}");
    }
    let broken = rig.bridge.seen().observed.broken;
    assert!(
        !broken.is_empty() && broken.iter().all(|what| what.contains("in the clear")),
        "{broken:?}"
    );

    std::fs::write(rig.machine.flash(), genuine).unwrap();
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::line(&rig, mark, "sequence 2 confirmed");
    assert_eq!(rig.bridge.seen().observed.broken, broken, "nothing else since");
}

/// Another key, brought by a flasher: the device counts on where it was, and is updated under it. The gateway destroys the old one as soon as
/// the new one is used.
#[test]
fn a_device_whose_key_was_rotated_counts_on_and_is_updated() {
    let mut rig = support::started(support::protected_rig(
        Board::Mps2An385,
        LinkProfile::FAST,
        ACK_TIMEOUT_MS,
    ));
    rig.machine.kill();
    let before = counted(&rig);
    rig.rotate().unwrap();
    assert_eq!(counted(&rig), before, "what the flasher writes is not the count");
    let shown = |rig: &Rig| support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    let waiting = " until it uses ";
    assert!(shown(&rig).contains(waiting), "{}", shown(&rig));
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::line(&rig, mark, "checked in");
    assert!(!shown(&rig).contains(waiting), "{}", shown(&rig));
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
    rig.machine.kill();
    assert!(counted(&rig) > before);
}

/// The installed base: its firmware knows no keys. It gets the one that does in the clear, where its link is open, then it is enrolled, and the
/// link is closed to who has no key.
#[test]
fn a_device_in_the_field_gets_the_firmware_that_can_and_then_its_key() {
    let rig = support::rig(Board::Mps2An385, LinkProfile::FAST, ACK_TIMEOUT_MS);
    rig.ship_instead("v1-plain.bin").unwrap();
    let mut rig = support::started_with(rig, "v1-plain.bin");
    let mark = rig.machine.serial().mark();
    support::assign(&rig, "v2.bin", 2);
    support::runs(&rig, mark, 2);
    rig.machine.kill();
    rig.enrol().unwrap();
    rig.reconfigure(|config| config.access = Access::Authenticated)
        .unwrap();
    let shown = support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    assert!(shown.contains("not used yet"), "{shown}");
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    support::line(&rig, mark, "checked in");
    let shown = support::run(&rig.gateway, &["device", "show", &rig.device_id()]);
    assert!(!shown.contains("not used yet"), "{shown}");
    support::assign_other(&rig, 3);
    support::line(&rig, mark, "sequence 3 confirmed");
    rig.machine.kill();
    assert!(counted(&rig) > 0);
}
