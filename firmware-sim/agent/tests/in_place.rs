//! A device with a single slot: the agent fetches, the updater applies. `cargo test -p deltagate-agent --features in-place`; with the
//! workspace the feature is on.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::sync::OnceLock;

use deltagate_agent::{Event, InPlace};
use deltagate_flash::sim::PowerCut;
use deltagate_flash::{BootLog, BootRecord, Region, RevertReason, Slot};
use deltagate_updater::SingleSlot;
use support::{Device, Gateway, Offer, Release, Vendor, image};
use wire_checkin::{Format, Formats, Outcome};
use wire_patch::{MemoryClass, Reach};

const SECTOR: u32 = 4_096;
/// Seven sectors for an image; those of these tests have three, which leaves four.
const LAYOUT: SingleSlot = SingleSlot::packed(SECTOR, 4_096, SECTOR, 8 * SECTOR);
/// Two of them are the interval, and two the reach.
const IN_PLACE: InPlace = InPlace {
    journal: LAYOUT.journal,
    memory_bytes: 4_096,
    interval_bytes: 2 * SECTOR,
    dangerous_unauthenticated: true,
};
const IMAGE_BYTES: usize = 10_000;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, IMAGE_BYTES))
}

fn patch(reach_bytes: u32, memory: MemoryClass) -> Vec<u8> {
    let options = gateway_delta::Options {
        in_place: Reach::within(reach_bytes),
        ..gateway_delta::Options::new(memory)
    };
    gateway_delta::encode(&release(1).image, &release(2).image, &options).unwrap()
}

/// A device that runs version 1 and is offered this payload of version 2.
fn offered(format: Format, payload: Vec<u8>) -> Device {
    let offer = Offer::new(&release(2), format, payload);
    let mut device = Device::with_layout(LAYOUT.two_slots(), &release(1), Gateway::new(Some(offer)));
    device.config.in_place = Some(IN_PLACE);
    device.single_slot = Some(LAYOUT);
    device
}

fn updatable() -> Device {
    // Made once: the tests with power cuts run thousands of updates.
    static PATCH: OnceLock<Vec<u8>> = OnceLock::new();
    let patch = PATCH.get_or_init(|| patch(2 * SECTOR, MemoryClass::MIN));
    offered(Format::Patch, patch.clone())
}

fn confirmed(device: &Device) -> bool {
    // The power may go away between the record and its event.
    let said = device.said(|event| *event == Event::Confirmed { sequence: 2 }) > 0;
    said || device
        .boots
        .last()
        .is_some_and(|boot| boot.sequence == 2 && !boot.on_trial)
}

#[test]
fn the_updater_applies_what_the_agent_fetched() {
    let mut device = updatable();
    device.run_until(confirmed);
    assert_eq!(device.said(|event| *event == Event::Handed { sequence: 2 }), 1);
    assert_eq!((device.boots.len(), device.boots[1].attempt), (2, 1));
    assert!(device.boots.iter().all(|boot| boot.slot == Slot::A));
    let check_ins = device.gateway.check_ins();
    let said = check_ins[0];
    assert_eq!(said.in_place_reach_bytes, Some(2 * SECTOR));
    assert_eq!(said.formats, Formats::of(&[Format::Patch]));
    assert_eq!(
        (said.slot_capacity_bytes, said.staging_bytes),
        (7 * SECTOR, Some(SECTOR))
    );
    assert_eq!(said.decoder_memory_bytes, 4_096);
}

/// What a gateway sends that does not know what the device runs.
#[test]
fn a_patch_from_nothing_needs_no_base() {
    const LARGER: SingleSlot = SingleSlot::packed(SECTOR, 4_096, 3 * SECTOR, 8 * SECTOR);
    let options = gateway_delta::Options {
        in_place: Reach::within(2 * SECTOR),
        ..gateway_delta::Options::new(MemoryClass::MIN)
    };
    let whole = gateway_delta::encode(&[], &release(2).image, &options).unwrap();
    let offer = Offer::new(&release(2), Format::Patch, whole);
    for operation in [u64::MAX, 150, 250, 350] {
        let gateway = Gateway::new(Some(offer.clone()));
        let mut device = Device::with_layout(LARGER.two_slots(), &release(1), gateway);
        device.config.in_place = Some(InPlace {
            journal: LARGER.journal,
            ..IN_PLACE
        });
        device.single_slot = Some(LARGER);
        device.cut = (operation < u64::MAX).then_some(PowerCut {
            operation,
            torn_at: 2,
        });
        device.run_until(confirmed);
        let blocks = device.gateway.blocks().len();
        assert!(blocks - offer.payload.len().div_ceil(128) <= device.power_cuts);
    }
}

/// Where words are programmed once, the last sector of the staging area is what a fetch that was interrupted is mended with.
#[test]
fn the_staging_area_has_the_scratch_sector() {
    const LARGER: SingleSlot = SingleSlot::packed(SECTOR, 4_096, 2 * SECTOR, 8 * SECTOR);
    let patch = patch(2 * SECTOR, MemoryClass::MIN);
    let mut resumed = 0;
    for operation in 6..46 {
        let offer = Offer::new(&release(2), Format::Patch, patch.clone());
        let mut device = Device::with_layout(LARGER.two_slots(), &release(1), Gateway::new(Some(offer)));
        device.config.in_place = Some(InPlace {
            journal: LARGER.journal,
            ..IN_PLACE
        });
        device.config.program_once = true;
        device.single_slot = Some(LARGER);
        device.cut = Some(PowerCut {
            operation,
            torn_at: 3,
        });
        device.run_until(confirmed);
        let said = device.gateway.check_ins()[0];
        assert_eq!(
            (said.staging_bytes, said.slot_capacity_bytes),
            (Some(SECTOR), 7 * SECTOR)
        );
        assert_eq!(said.in_place_reach_bytes, Some(2 * SECTOR));
        let goes_on =
            |event: &Event| matches!(event, Event::Resumed { staged_bytes, .. } if *staged_bytes > 0);
        resumed += device.said(goes_on);
    }
    assert!(resumed > 2, "{resumed} cuts came in the middle of the fetch");
}

/// At every flash operation of fetching, asking and updating.
#[test]
fn a_power_cut_costs_at_most_a_block() {
    let mut operation = 0;
    loop {
        let mut device = updatable();
        device.cut = Some(PowerCut {
            operation,
            torn_at: operation as u32 % 7,
        });
        device.run_until(confirmed);
        let blocks = device.gateway.blocks();
        let distinct: std::collections::BTreeSet<u32> = blocks.iter().copied().collect();
        assert!(
            blocks.len() - distinct.len() <= 1,
            "operation {operation}: {blocks:?}"
        );
        assert_eq!(device.flash.borrow().rules_broken(), 0, "operation {operation}");
        if device.power_cuts == 0 {
            break;
        }
        operation += 1;
    }
    assert!(operation > 30, "{operation} operations before the restart");
}

/// The cut counts from the second start on: that of the updater.
#[test]
fn a_power_cut_in_the_updater_costs_nothing() {
    for operation in (0..400).step_by(13) {
        let mut device = updatable();
        device.cut = Some(PowerCut {
            operation: 60,
            torn_at: 0,
        });
        device.cut_again = Some(PowerCut {
            operation,
            torn_at: operation as u32 % 5,
        });
        device.run_until(confirmed);
        assert_eq!(device.flash.borrow().rules_broken(), 0, "operation {operation}");
    }
}

#[test]
#[ignore = "takes long: for scripts/soak-power"]
fn two_power_cuts_anywhere_cost_at_most_two_blocks() {
    let mut runs = 0;
    for first in 0.. {
        let mut cuts = 0;
        for second in 0.. {
            let mut device = updatable();
            let cut = |operation: u64| PowerCut {
                operation,
                torn_at: (first + second) as u32 % 7,
            };
            (device.cut, device.cut_again) = (Some(cut(first)), Some(cut(second)));
            device.run_until(confirmed);
            let blocks = device.gateway.blocks();
            let distinct: std::collections::BTreeSet<u32> = blocks.iter().copied().collect();
            assert!(
                blocks.len() - distinct.len() <= 2,
                "{first}, then {second}: {blocks:?}"
            );
            assert_eq!(device.flash.borrow().rules_broken(), 0, "{first}, then {second}");
            runs += 1;
            cuts = device.power_cuts;
            if cuts < 2 {
                break;
            }
        }
        if cuts == 0 {
            break;
        }
    }
    println!("an update in place, from check-in to confirmation: {runs} pairs of cuts");
}

/// Runs until the update is reported; the outcome.
fn reported(mut device: Device) -> (Outcome, Option<u32>, Device) {
    device.run_until(|device| {
        let check_ins = device.gateway.check_ins();
        check_ins.iter().any(|said| said.last_update.is_some())
    });
    let check_ins = device.gateway.check_ins();
    let update = check_ins.iter().find_map(|said| said.last_update).unwrap();
    assert_eq!(update.sequence_number, 2);
    assert_eq!(device.boots.last().unwrap().sequence, 1);
    (update.outcome, update.detail, device)
}

#[test]
fn a_payload_that_is_not_for_a_single_slot_is_refused_after_its_first_block() {
    let ordinary = support::patch(&release(1).image, &release(2).image);
    let (outcome, _, device) = reported(offered(Format::Patch, ordinary));
    assert_eq!(
        (outcome, device.gateway.blocks().len()),
        (Outcome::RefusedUnsupported, 1)
    );

    let far = patch(3 * SECTOR, MemoryClass::MIN);
    let (outcome, missing, device) = reported(offered(Format::Patch, far));
    assert_eq!((outcome, missing), (Outcome::NoSpace, Some(SECTOR)));
    assert_eq!(device.gateway.blocks().len(), 1);

    let (outcome, _, device) = reported(offered(Format::Full, release(2).image));
    assert_eq!(
        (outcome, device.gateway.blocks().len()),
        (Outcome::RefusedUnsupported, 0)
    );
}

#[test]
fn what_the_updater_refuses_is_reported_once() {
    let mut device = offered(
        Format::Patch,
        patch(2 * SECTOR, MemoryClass::from_exponent(13).unwrap()),
    );
    // The firmware's author promised more than the updater has.
    device.config.in_place = Some(InPlace {
        memory_bytes: 8_192,
        ..IN_PLACE
    });
    let (outcome, _, device) = reported(device);
    assert_eq!(outcome, Outcome::DecoderMemory);
    assert_eq!(device.said(|event| *event == Event::Handed { sequence: 2 }), 1);
}

/// With two slots an image that is not confirmed takes no update: the slot that it would go to holds the one to go back to.
#[test]
fn an_image_that_failed_its_trial_takes_a_better_one() {
    let mut device = updatable();
    device.config.self_test = true;
    device.gateway.offer_on_trial = true;
    // As if version 1 had never been confirmed, and its trial had failed.
    let boot_log = Region::new(&device.flash, LAYOUT.boot_log);
    boot_log.erase(0, LAYOUT.boot_log.bytes).unwrap();
    let reverted = BootRecord::Reverted {
        sequence: 1,
        reason: RevertReason::SelfTest,
    };
    BootLog::open(boot_log).unwrap().append(reverted).unwrap();
    device.run_until(|device| device.boots.last().is_some_and(|boot| boot.sequence == 2));
    assert_eq!((device.boots[0].on_trial, device.boots[0].attempt), (true, 0));
}

fn cautious(mut device: Device) -> Device {
    device.config.in_place = Some(InPlace {
        dangerous_unauthenticated: false,
        ..IN_PLACE
    });
    device
}

/// A newer manifest that was heard, and a patch that lies, would cost the only slot: where nobody proves that it is the gateway,
/// nothing is taken.
#[test]
fn a_single_slot_takes_no_update_from_who_may_be_anybody() {
    let mut device = cautious(updatable());
    let before = device.flash.borrow().bytes().to_vec();
    device.run_until(|device| device.gateway.check_ins().len() == 20);
    assert!(device.said(|event| *event == Event::Unprotected) >= 19);
    assert_eq!(device.said(|event| matches!(event, Event::Offered { .. })), 0);
    assert!(device.gateway.blocks().is_empty());
    let check_ins = device.gateway.check_ins();
    assert!(
        check_ins
            .iter()
            .all(|said| said.formats == Formats::NONE && said.last_update.is_none())
    );
    let staging = LAYOUT.two_slots().slot_b;
    let erased = staging.offset as usize..(staging.offset + staging.bytes) as usize;
    assert!(device.flash.borrow().bytes()[erased.clone()] == before[erased]);
}

/// With credentials it does: the gateway proves it with every answer.
#[cfg(feature = "oscore")]
#[test]
fn a_single_slot_is_updated_over_a_protected_channel() {
    let mut device = cautious(updatable());
    let channel = support::Channel::between(&mut device);
    device.run_until(confirmed);
    assert_eq!(device.said(|event| *event == Event::Unprotected), 0);
    assert_eq!(channel.borrow().challenges, 0);
    // Half of an update, and credentials that do not read any more: it goes no further.
    let mut device = cautious(updatable());
    let _channel = support::Channel::between(&mut device);
    device.run_until(|device| device.gateway.blocks().len() == 3);
    let credentials = device.config.credentials.unwrap();
    device.flash.borrow_mut().bytes_mut()[credentials.offset as usize] = 0;
    device.run_until(|device| device.now_ms > 6 * 3_600_000);
    assert_eq!(device.said(|event| *event == Event::Handed { sequence: 2 }), 0);
}
