//! Threads in which other systems' users lost devices or downloads, each as a test of what happens here instead.
//!
//! | thread | what went wrong | here |
//! |---|---|---|
//! | mcu-tools/mcuboot PR #2743 | in-place delta, not robust against power loss, no simulator tests | `power_cuts.rs` |
//! | mcu-tools/mcuboot #1708 | downgrade prevention bypassed | `mcuboot_1708_…` |
//! | mcu-tools/mcuboot PR #2282 | security counter raised before the confirmation, a power cut blocks the revert | `mcuboot_2282_…` |
//! | nrfconnect/sdk-nrf PR #29040 | resumed into another job's image, corrupt, reported as success | `sdk_nrf_29040_…` |
//! | nrfconnect/sdk-nrf #19441 | resumed at an offset that the block number did not tell | `sdk_nrf_19441_…` |
//! | aws/ota-for-aws-iot-embedded-sdk #206 | the state of a download does not outlive a power cut | `aws_ota_206_…` |
//! | zephyrproject-rtos/zephyr #70591 | block 0 must begin the transfer anew | `zephyr_70591_…` |
//! | zephyrproject-rtos/zephyr #40107 | a network drop locks the download up | `zephyr_40107_…` |
//! | zephyrproject-rtos/zephyr PR #118136, openthread #12143, chrysn/aiocoap #246 | blocks of two representations mixed, for want of comparing the tag | `zephyr_118136_…` |
//! | zephyrproject-rtos/zephyr #72764 | a failure reported as success | `zephyr_72764_…` |
//! | golioth/golioth-firmware-sdk #904 | a restart while actuators move | `golioth_904_…` |
//! | RIOT-OS/RIOT PR #22281 | an image without its boot header | `riot_22281_…` |
//! | RIOT-OS/RIOT #11818 | a retransmitted block corrupts what is written | `riot_11818_…` |

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{DeferralReason, Event, Gate, Verdict};
use deltagate_bootloader::Recovery;
use deltagate_flash::sim::PowerCut;
use deltagate_flash::{BootLog, BootRecord, ImageOffset, Region, Slot, SlotRegion};
use support::{Device, Gateway, LAYOUT, Link, Offer, Release, Request, Vendor, image};
use wire_checkin::{Format, Job, Outcome};

const IMAGE_BYTES: usize = 5_003;
const HOUR_MS: u64 = 3_600_000;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, IMAGE_BYTES))
}

fn confirmed(sequence: u32) -> impl Fn(&Device) -> bool {
    move |device| device.events.contains(&Event::Confirmed { sequence })
}

fn offered(offer: Offer) -> Device {
    Device::new(&release(1), Gateway::new(Some(offer)))
}

fn image_in(device: &Device, slot: Slot) -> Vec<u8> {
    let mut image = vec![0; IMAGE_BYTES];
    SlotRegion::new(Region::new(&device.flash, LAYOUT.slot(slot)))
        .read_image(ImageOffset(0), &mut image)
        .unwrap();
    image
}

fn boot(device: &Device) -> Result<u32, Recovery> {
    let flash = RefCell::new(device.flash.borrow().clone());
    deltagate_bootloader::run(&flash, &LAYOUT, None, &mut |_| {}).map(|boot| boot.info.sequence)
}

/// The old image lies signed and whole in the other slot. Neither an offer, nor a forged trial record, nor the loss of the
/// confirmed image brings it back.
#[test]
fn mcuboot_1708_no_way_leads_back_to_an_older_image() {
    let mut device = offered(Offer::full(&release(2)));
    device.run_until(confirmed(2));
    let asked = device.gateway.blocks().len();
    device.gateway.offer = Some(Offer::full(&release(1)));
    let refused = |event: &Event| {
        matches!(
            event,
            Event::Dropped {
                outcome: Outcome::RefusedSequenceNumber,
                ..
            }
        )
    };
    device.run_until(|device| device.said(refused) == 1);
    assert_eq!(device.gateway.blocks().len(), asked);
    assert_eq!(image_in(&device, Slot::A), release(1).image, "it is still there");
    let forged = BootRecord::Trial {
        sequence: 1,
        slot: Slot::A,
    };
    let mut log = BootLog::open(Region::new(&device.flash, LAYOUT.boot_log)).unwrap();
    log.append(forged).unwrap();
    assert_eq!(boot(&device), Ok(2));
    device.flash.borrow_mut().bytes_mut()[LAYOUT.slot_b.offset as usize + 4_096] ^= 1;
    assert_eq!(boot(&device), Err(Recovery::OnlyOlder));
}

/// Power cuts all through a trial that never gets a contact: the counter stays, the old image comes back and can be updated.
#[test]
fn mcuboot_2282_the_counter_rises_with_the_confirmation_and_not_before() {
    for operation in 0..10 {
        let mut device = offered(Offer::full(&release(2)));
        device.deaf_sequence = Some(2);
        device.run_until(|device| device.boots.last().is_some_and(|boot| boot.on_trial));
        for torn_at in [0, 30, 63] {
            device.cut = Some(PowerCut { operation, torn_at });
            device.run_until(|device| device.now_ms > HOUR_MS || !device.flash.borrow().is_powered());
        }
        device.run_until(|device| device.boots.last().is_some_and(|boot| !boot.on_trial));
        assert_eq!(
            device.boot_log().confirmed,
            Some(1),
            "cut in operation {operation}"
        );
        device.gateway.offer = Some(Offer::full(&release(3)));
        device.run_until(confirmed(3));
        assert_eq!(device.boot_log().confirmed, Some(3));
    }
}

/// The same path, the same length, another image: what is staged of the first is no part of the second.
#[test]
fn sdk_nrf_29040_a_resume_never_continues_the_image_of_another_job() {
    for stop_at in [1, 10, 39] {
        let mut device = offered(Offer::full(&release(2)));
        device.run_until(|device| device.gateway.blocks().len() == stop_at);
        device.gateway.offer = Some(Offer::full(&release(3)));
        device.run_until(confirmed(3));
        assert_eq!(image_in(&device, Slot::B), release(3).image);
        let blocks = device.gateway.blocks();
        let anew = blocks.iter().rposition(|block| *block == 0).unwrap();
        let whole = IMAGE_BYTES.div_ceil(128);
        assert_eq!(
            blocks[anew..],
            (0..whole as u32).collect::<Vec<_>>(),
            "every block of the second"
        );
    }
}

#[test]
fn sdk_nrf_19441_a_resume_asks_for_the_very_block_it_is_at() {
    let mut device = offered(Offer::full(&release(2)));
    device.run_until(|device| device.gateway.blocks().len() == 12);
    let before = device.gateway.requests.len();
    device.run_until(|device| device.gateway.requests.len() > before);
    let Request::Payload { block, .. } = device.gateway.requests[before] else {
        panic!("{:?}", device.gateway.requests[before]);
    };
    assert!((10..=11).contains(&block), "block {block}");
    device.run_until(confirmed(2));
}

#[test]
fn aws_ota_206_the_state_of_a_download_outlives_power_cuts() {
    let mut device = offered(Offer::full(&release(2)));
    let whole = IMAGE_BYTES.div_ceil(128);
    for power_cut in 1..=6 {
        let asked = power_cut * 6;
        device.run_until(|device| device.gateway.blocks().len() >= asked);
    }
    device.run_until(confirmed(2));
    assert_eq!(device.gateway.check_ins().len(), 2, "one offer, one confirmation");
    assert!(device.gateway.blocks().len() <= whole + 2 * 6);
}

/// The payload is gone half-way and comes back: it is fetched from its first block.
#[test]
fn zephyr_70591_a_transfer_begun_anew_begins_at_block_0() {
    let offer = Offer::full(&release(2));
    let mut device = offered(offer.clone());
    device.run_until(|device| device.gateway.blocks().len() == 10);
    device.gateway.offer = None;
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    let before = device.gateway.blocks().len();
    // `update retry`: the gateway forgets what was reported.
    device.gateway.requests.clear();
    device.gateway.offer = Some(offer);
    device.run_until(confirmed(2));
    assert!(before >= 10);
    assert_eq!(device.gateway.blocks()[0], 0);
    assert_eq!(image_in(&device, Slot::B), release(2).image);
}

#[test]
fn zephyr_40107_a_dropped_network_does_not_lock_the_download_up() {
    let mut device = offered(Offer::full(&release(2)));
    device.run_until(|device| device.gateway.blocks().len() == 10);
    device.link.loss_percent = 100;
    let until_ms = device.now_ms + 20 * HOUR_MS;
    device.run_until(|device| device.now_ms >= until_ms);
    device.link = Link::perfect();
    device.run_until(confirmed(2));
    assert!(device.gateway.blocks().len() <= IMAGE_BYTES.div_ceil(128) + 3);
}

/// From the middle on the blocks are those of another image, under the same path: the first of them ends the transfer.
#[test]
fn zephyr_118136_a_block_with_another_tag_is_no_part_of_the_payload() {
    let mut device = offered(Offer::full(&release(2)));
    device.run_until(|device| device.gateway.blocks().len() == 10);
    let (mine, other) = (Offer::full(&release(2)), Offer::full(&release(3)));
    device.gateway.requests.clear();
    device.gateway.offer = Some(Offer {
        payload: other.payload,
        job: Job {
            artefact_digest: other.job.artefact_digest,
            ..mine.job
        },
        ..mine.clone()
    });
    device.run_until(|device| device.said(|event| matches!(event, Event::Dropped { .. })) == 1);
    assert_eq!(device.gateway.blocks().len(), 1);
    device.gateway.offer = Some(mine);
    device.run_until(confirmed(2));
    assert_eq!(image_in(&device, Slot::B), release(2).image);
}

/// Whatever goes wrong between the offer and the first start, the word for it is no success, and the old image runs.
#[test]
fn zephyr_72764_a_failure_is_never_reported_as_a_success() {
    let (one, two) = (release(1), release(2));
    let of_another = Offer::new(&two, Format::Patch, support::patch(&one.image, &release(3).image));
    let mut garbled = Offer::patch(&one, &two);
    garbled.payload[40..].fill(0x55);
    let garbled = Offer::new(&two, Format::Patch, garbled.payload);
    let longer = Offer::new(&two, Format::Full, [&two.image[..], &[0]].concat());
    for offer in [of_another, garbled, longer] {
        let mut device = offered(offer);
        device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
        let check_ins = device.gateway.check_ins();
        let told = check_ins.iter().find_map(|check_in| check_in.last_update);
        assert_ne!(told.unwrap().outcome, Outcome::Confirmed);
        assert!(check_ins.iter().all(|check_in| check_in.sequence_number == 1));
        assert_eq!(device.boot_log().confirmed, Some(1));
        assert_eq!(boot(&device), Ok(1));
    }
}

/// The application says when: until then the image waits, verified, and nothing restarts.
#[test]
fn golioth_904_the_restart_waits_until_the_actuators_are_still() {
    let moving = Gate {
        restart: Verdict::Deferred(DeferralReason::Application),
        ..Gate::CLEAR
    };
    let mut device = offered(Offer::patch(&release(1), &release(2)));
    device.gate = moving;
    device.gates = vec![(2 * HOUR_MS, Gate::CLEAR)];
    device.run_until(|device| device.now_ms >= 2 * HOUR_MS - 60_000);
    assert_eq!(device.boot_log().trial, None);
    assert_eq!(device.boots.len(), 1, "no restart");
    device.run_until(confirmed(2));
}

#[test]
fn riot_22281_an_image_without_its_header_does_not_boot() {
    let device = offered(Offer::full(&release(2)));
    assert_eq!(boot(&device), Ok(1));
    let slot = SlotRegion::new(Region::new(&device.flash, LAYOUT.slot_a));
    slot.erase_header().unwrap();
    assert_eq!(image_in(&device, Slot::A), release(1).image);
    assert_eq!(boot(&device), Err(Recovery::NoImage));
}

/// Every datagram comes twice: the flash is asked for exactly as much as when each comes once.
#[test]
fn riot_11818_a_retransmitted_block_is_written_once() {
    let operations = |duplicate_percent| {
        let mut device = offered(Offer::full(&release(2)));
        device.link.duplicate_percent = duplicate_percent;
        device.run_until(confirmed(2));
        assert_eq!(image_in(&device, Slot::B), release(2).image);
        device.flash.borrow().operations()
    };
    assert_eq!(operations(0), operations(100));
}
