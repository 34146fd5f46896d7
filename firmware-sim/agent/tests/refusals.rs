//! What the device does not take, and what it costs to find out.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use deltagate_agent::Event;
use deltagate_flash::Slot;
use support::{Device, Gateway, LAYOUT, Offer, Release, Vendor, image, respond};
use wire_checkin::{Format, Job, JobPath, Outcome};
use wire_coap::{Code, OptionNumber};

const IMAGE_BYTES: usize = 6_001;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, IMAGE_BYTES))
}

fn dropped(device: &Device) -> bool {
    device.said(|event| matches!(event, Event::Reported { .. })) > 0
}

/// Offers `offer` to a device that runs `base`; the outcome reported, after checking that nothing was touched or asked.
fn refused_at_once(base: &Release, offer: Offer) -> Outcome {
    let sequence = offer.job.sequence_number;
    let mut device = Device::new(base, Gateway::new(Some(offer)));
    let spare = LAYOUT.slot(Slot::B);
    let spare = spare.offset as usize..(spare.offset + spare.bytes) as usize;
    device.flash.borrow_mut().bytes_mut()[spare.clone()].fill(0x5A);
    device.run_until(dropped);
    assert!(device.gateway.blocks().is_empty(), "no payload was asked for");
    assert!(
        device.flash.borrow().bytes()[spare]
            .iter()
            .all(|byte| *byte == 0x5A),
        "nothing was erased"
    );
    assert_eq!(device.gateway.check_ins().len(), 2, "offered once, reported once");
    let last = device.gateway.check_ins()[1].last_update.unwrap();
    assert_eq!(last.sequence_number, sequence);
    device.run_until(|device| device.gateway.check_ins().len() >= 4);
    assert_eq!(device.said(|event| matches!(event, Event::Offered { .. })), 1);
    last.outcome
}

#[test]
fn a_stranger_cannot_sign() {
    let stranger = Vendor {
        key: [8; 32],
        ..Vendor::OURS
    };
    let offer = Offer::patch(&release(1), &stranger.release(2, image(2, IMAGE_BYTES)));
    assert_eq!(refused_at_once(&release(1), offer), Outcome::RefusedSignature);
}

#[test]
fn a_flipped_bit_in_the_envelope_is_no_release() {
    let mut offer = Offer::patch(&release(1), &release(2));
    let at = offer.envelope.len() - 40;
    offer.envelope[at] ^= 1;
    let outcome = refused_at_once(&release(1), offer);
    assert!(
        matches!(outcome, Outcome::RefusedSignature | Outcome::RefusedUnsupported),
        "{outcome}"
    );
}

#[test]
fn another_class_or_vendor_is_refused() {
    for vendor in [
        Vendor {
            class_id: [1; 16],
            ..Vendor::OURS
        },
        Vendor {
            vendor_id: [1; 16],
            ..Vendor::OURS
        },
    ] {
        let offer = Offer::patch(&release(1), &vendor.release(2, image(2, IMAGE_BYTES)));
        assert_eq!(refused_at_once(&release(1), offer), Outcome::RefusedClass);
    }
}

#[test]
fn an_older_sequence_number_is_refused() {
    let offer = Offer::patch(&release(5), &release(4));
    assert_eq!(
        refused_at_once(&release(5), offer),
        Outcome::RefusedSequenceNumber
    );
}

#[test]
fn an_image_that_may_not_follow_the_running_one_is_refused() {
    let after = |least| {
        let next = Vendor::OURS.release_after(7, least, image(7, IMAGE_BYTES));
        Offer::patch(&release(3), &next)
    };
    for least in [4, 6] {
        assert_eq!(
            refused_at_once(&release(3), after(least)),
            Outcome::RefusedPredecessor
        );
    }
    for least in [0, 2, 3] {
        let mut device = Device::new(&release(3), Gateway::new(Some(after(least))));
        device.run_until(|device| device.said(|event| matches!(event, Event::Verified { .. })) > 0);
    }
}

#[test]
fn a_job_that_contradicts_its_manifest_is_refused() {
    let mut offer = Offer::patch(&release(1), &release(2));
    offer.job.sequence_number = 3;
    assert_eq!(
        refused_at_once(&release(1), offer),
        Outcome::RefusedSequenceNumber
    );
}

#[test]
fn a_format_the_device_does_not_decode_is_refused() {
    for format in [Format::Lz4, Format::Bsdiff] {
        let offer = Offer::new(&release(2), format, vec![1; 100]);
        assert_eq!(refused_at_once(&release(1), offer), Outcome::RefusedUnsupported);
    }
}

#[test]
fn what_does_not_fit_is_refused_and_so_is_a_patch_that_leaves_no_room_for_the_image() {
    let large = Vendor::OURS.release(2, image(2, 4 * 4096 + 1));
    assert_eq!(
        refused_at_once(&release(1), Offer::full(&large)),
        Outcome::NoSpace
    );
    let snug = Vendor::OURS.release(2, image(2, 3 * 4096 + 1));
    assert_eq!(
        refused_at_once(&release(1), Offer::patch(&release(1), &snug)),
        Outcome::NoSpace
    );
    let one_sector_short = Offer::new(&snug, Format::Patch, vec![1; 100]);
    assert_eq!(refused_at_once(&release(1), one_sector_short), Outcome::NoSpace);
}

#[test]
fn a_full_payload_that_is_not_the_image_is_refused() {
    let offer = Offer::new(&release(2), Format::Full, image(9, IMAGE_BYTES));
    assert_eq!(refused_at_once(&release(1), offer), Outcome::DigestMismatch);
}

/// A patch found useless by its first block costs one block.
fn refused_after_one_block(offer: Offer) -> Outcome {
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.run_until(dropped);
    assert_eq!(device.gateway.blocks(), [0]);
    device.gateway.check_ins()[1].last_update.unwrap().outcome
}

#[test]
fn a_patch_for_another_base_costs_one_block() {
    let other = Vendor::OURS.release(1, image(77, IMAGE_BYTES));
    assert_eq!(
        refused_after_one_block(Offer::patch(&other, &release(2))),
        Outcome::PatchFailed
    );
}

/// A patch that makes more than the signed image would write over itself, or over nobody knows what.
#[test]
fn a_patch_to_another_length_costs_one_block() {
    for bytes in [IMAGE_BYTES as u32 - 1, IMAGE_BYTES as u32 + 1, 0x00FF_FFFF] {
        let mut patch = support::patch(&release(1).image, &release(2).image);
        patch[4..7].copy_from_slice(&bytes.to_le_bytes()[..3]);
        let offer = Offer::new(&release(2), Format::Patch, patch);
        assert_eq!(refused_after_one_block(offer), Outcome::PatchFailed);
    }
}

#[test]
fn a_patch_that_needs_more_memory_costs_one_block() {
    let mut patch = support::patch(&release(1).image, &release(2).image);
    patch[3] = 16;
    let offer = Offer::new(&release(2), Format::Patch, patch);
    assert_eq!(refused_after_one_block(offer), Outcome::DecoderMemory);
}

#[test]
fn a_payload_that_is_no_patch_costs_one_block() {
    let offer = Offer::new(&release(2), Format::Patch, vec![b'B'; 500]);
    assert_eq!(refused_after_one_block(offer), Outcome::RefusedUnsupported);
}

/// Larger than it need be here, and with a header that this agent does not read: legal, but not for this device.
#[test]
fn a_patch_for_a_single_slot_costs_one_block() {
    let options = gateway_delta::Options {
        in_place: gateway_delta::Reach::within(4_096),
        ..gateway_delta::Options::new(wire_patch::MemoryClass::MIN)
    };
    let patch = gateway_delta::encode(&release(1).image, &release(2).image, &options).unwrap();
    assert_eq!(patch[2], 0x41);
    let offer = Offer::new(&release(2), Format::Patch, patch);
    assert_eq!(refused_after_one_block(offer), Outcome::RefusedUnsupported);
}

#[test]
fn a_patch_that_does_not_decode_leaves_the_device_able_to_take_the_next() {
    let mut patch = support::patch(&release(1).image, &release(2).image);
    let middle = patch.len() / 2;
    patch[middle..].iter_mut().for_each(|byte| *byte ^= 0x55);
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::new(&release(2), Format::Patch, patch))),
    );
    device.run_until(dropped);
    let outcome = device.gateway.check_ins()[1].last_update.unwrap().outcome;
    assert_eq!(outcome, Outcome::PatchFailed);
    assert_eq!(device.gateway.check_ins()[1].decoder_memory_bytes, 4_096);
    device.gateway.offer = Some(Offer::patch(&release(1), &release(3)));
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 3 }));
}

/// The right tag on every block, and one byte of them wrong: nobody's patch failed, the payload was spoilt on its way, and
/// the image is not withheld for it.
#[test]
fn a_payload_spoilt_on_the_way_is_fetched_anew() {
    for offer in [Offer::patch(&release(1), &release(2)), Offer::full(&release(2))] {
        let mut spoilt = offer.clone();
        let middle = spoilt.payload.len() / 2;
        spoilt.payload[middle] ^= 1;
        let mut device = Device::new(&release(1), Gateway::new(Some(spoilt)));
        device.run_until(dropped);
        let outcome = device.gateway.check_ins()[1].last_update.unwrap().outcome;
        assert_eq!(outcome, Outcome::PayloadChanged);
        device.gateway.offer = Some(offer);
        device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
    }
}

#[test]
fn a_result_with_another_digest_never_gets_a_trial() {
    let patch = support::patch(&release(1).image, &image(99, IMAGE_BYTES));
    let offer = Offer::new(&release(2), Format::Patch, patch);
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.run_until(dropped);
    let outcome = device.gateway.check_ins()[1].last_update.unwrap().outcome;
    assert_eq!(outcome, Outcome::DigestMismatch);
    assert_eq!(device.boot_log().trial, None);
    assert_eq!(device.boots.len(), 1);
}

/// Lets the gateway answer the third request, payload block 1, in its own way; the outcome reported.
fn answered_oddly(
    mut odd: impl FnMut(&wire_coap::Message<'_>, usize) -> Option<Vec<u8>> + 'static,
) -> Device {
    let mut gateway = Gateway::new(Some(Offer::patch(&release(1), &release(2))));
    gateway.tamper = Some(Box::new(move |message, count| {
        let is_block = message.code() == Code::GET && message.block2().unwrap().unwrap().number.value() == 1;
        if is_block { odd(message, count) } else { None }
    }));
    let mut device = Device::new(&release(1), gateway);
    device.config.block_size_max = wire_coap::BlockSize::B64;
    device
}

fn block_of(etag: [u8; 4], number: u8, length: usize) -> (Vec<(OptionNumber, Vec<u8>)>, Vec<u8>) {
    let block = number << 4 | 0b1000 | 2;
    (
        vec![
            (OptionNumber::ETAG, etag.to_vec()),
            (OptionNumber::BLOCK2, vec![block]),
        ],
        vec![1; length],
    )
}

#[test]
fn a_payload_that_is_gone_or_changed_is_dropped_and_offered_again() {
    type Odd = fn(&wire_coap::Message<'_>) -> Vec<u8>;
    let other_etag: Odd = |message| {
        let (options, payload) = block_of([9; 4], 1, 64);
        respond(message, Code::CONTENT, &options, &payload)
    };
    let gone: Odd = |message| respond(message, Code::NOT_FOUND, &[], &[]);
    let bad_request: Odd = |message| respond(message, Code::BAD_REQUEST, &[], &[]);
    for odd in [other_etag, gone, bad_request] {
        let mut times = 0;
        let mut device = answered_oddly(move |message, _| {
            times += 1;
            (times == 1).then(|| odd(message))
        });
        device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
        let reported = device.gateway.check_ins()[1].last_update.unwrap().outcome;
        assert_eq!(reported, Outcome::PayloadChanged);
        assert_eq!(device.gateway.blocks()[..3], [0, 1, 0], "from the beginning");
    }
}

#[test]
fn a_payload_that_stays_gone_is_not_asked_for_at_the_speed_of_the_link() {
    let mut device = answered_oddly(|message, _| Some(respond(message, Code::NOT_FOUND, &[], &[])));
    device.run_until(|device| device.said(|event| matches!(event, Event::Dropped { .. })) == 8);
    assert!(device.now_ms > 15_000 * (1 + 2 + 4 + 8 + 16), "{}", device.now_ms);
}

#[test]
fn a_busy_gateway_gets_its_time() {
    for code in [Code::SERVICE_UNAVAILABLE, Code::TOO_MANY_REQUESTS] {
        let mut times = 0;
        let mut device = answered_oddly(move |message, _| {
            times += 1;
            (times == 1).then(|| respond(message, code, &[(OptionNumber::MAX_AGE, vec![200])], &[]))
        });
        device.run_until(|device| device.events.contains(&Event::Paused { seconds: 200 }));
        let paused_ms = device.now_ms;
        let requests = device.gateway.requests.len();
        device.run_until(|device| device.gateway.requests.len() > requests);
        // run_until starts with a boot, and the transfer goes on without a check-in; it need not wait again.
        assert!(device.now_ms >= paused_ms);
        device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
        assert_eq!(device.said(|event| matches!(event, Event::Dropped { .. })), 0);
    }
}

#[test]
fn a_pause_is_kept_while_the_device_runs() {
    let mut first_ms = None;
    let mut device = answered_oddly(move |message, count| {
        let first = *first_ms.get_or_insert(count);
        (first == count).then(|| {
            respond(
                message,
                Code::SERVICE_UNAVAILABLE,
                &[(OptionNumber::MAX_AGE, vec![200])],
                &[],
            )
        })
    });
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
    assert!(device.now_ms > 200_000);
    assert_eq!(device.gateway.check_ins().len(), 2, "no check-in for a pause");
}

#[test]
fn wrong_blocks_are_not_stored() {
    for (number, length) in [(2, 64), (0, 64), (1, 63), (1, 65)] {
        let etag = Offer::patch(&release(1), &release(2)).job.etag();
        let mut times = 0;
        let mut device = answered_oddly(move |message, _| {
            times += 1;
            let (options, payload) = block_of(etag, number, length);
            (times <= 2).then(|| respond(message, Code::CONTENT, &options, &payload))
        });
        device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
        assert_eq!(
            device.gateway.blocks()[..5],
            [0, 1, 1, 1, 2],
            "block {number} of {length} bytes"
        );
    }
}

#[test]
fn a_gateway_that_sends_one_block_for_ever_is_not_asked_for_ever() {
    for number in [0, 5] {
        let etag = Offer::patch(&release(1), &release(2)).job.etag();
        let mut device = answered_oddly(move |message, _| {
            let (options, payload) = block_of(etag, number, 64);
            Some(respond(message, Code::CONTENT, &options, &payload))
        });
        device.run_until(|device| device.said(|event| matches!(event, Event::Dropped { .. })) == 1);
        assert_eq!(
            device.gateway.blocks(),
            [0, 1, 1, 1, 1],
            "block {number} for ever"
        );
    }
}

/// Its entity tag says so with the first block; the rest of it is not fetched.
#[test]
fn another_payload_under_the_same_path_costs_one_block() {
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::patch(&release(1), &release(2)))),
    );
    device.run_until(|device| device.gateway.blocks().len() == 3);
    device.gateway.offer = Some(Offer::full(&release(2)));
    device.gateway.requests.clear();
    device.run_until(dropped);
    assert_eq!(device.gateway.blocks().len(), 1);
    let last = device.gateway.check_ins()[0].last_update.unwrap();
    assert_eq!(last.outcome, Outcome::PayloadChanged);
}

#[test]
fn a_staged_patch_of_another_job_is_not_continued() {
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::patch(&release(1), &release(2)))),
    );
    device.run_until(|device| device.gateway.blocks().len() == 3);
    let mut offer = Offer::patch(&release(1), &release(3));
    offer.job = Job {
        path: JobPath::new("other").unwrap(),
        ..offer.job
    };
    device.gateway.offer = Some(offer);
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 3 }));
    let blocks = device.gateway.blocks();
    let restart = 3 + blocks[3..].iter().position(|block| *block == 0).unwrap();
    assert!(
        blocks[restart..].is_sorted(),
        "the new payload from its beginning: {blocks:?}"
    );
    assert_eq!(device.boot_log().confirmed, Some(3));
}

/// `update retry` after a revert, and then the transfer is interrupted: the gateway must not hear of the old revert
/// again, for it would withhold the image again.
#[test]
fn a_revert_reported_once_is_not_reported_again_when_the_retry_ends_in_something_else() {
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::patch(&release(1), &release(2)))),
    );
    device.deaf_sequence = Some(2);
    device.run_until(dropped);
    assert!(device.boot_log().reverted.is_some());
    device.gateway.requests.clear();
    let mut times = 0;
    device.gateway.tamper = Some(Box::new(move |message, _| {
        times += usize::from(message.code() == Code::GET);
        (message.code() == Code::GET && times == 2).then(|| respond(message, Code::NOT_FOUND, &[], &[]))
    }));
    device.deaf_sequence = None;
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 2 }));
    let reports: Vec<Outcome> = device
        .gateway
        .check_ins()
        .iter()
        .filter_map(|check_in| check_in.last_update)
        .map(|last| last.outcome)
        .collect();
    assert_eq!(reports, [Outcome::PayloadChanged]);
}

/// A gateway in the wrong hands offers an image known to hang, over and over.
#[test]
fn an_image_that_failed_its_trials_is_refused_until_a_newer_one_comes() {
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::patch(&release(1), &release(2)))),
    );
    device.deaf_sequence = Some(2);
    let reported = |times: usize| {
        move |device: &Device| device.said(|event| matches!(event, Event::Reported { .. })) == times
    };
    let trials = usize::from(deltagate_flash::FAILED_TRIALS_MAX);
    for trial in 1..=trials {
        device.run_until(reported(trial));
        device.gateway.requests.clear();
    }
    assert_eq!(device.boot_log().given_up(), Some(2));
    device.run_until(reported(trials + 1));
    let last = device.gateway.check_ins().last().unwrap().last_update.unwrap();
    assert_eq!(
        (last.sequence_number, last.outcome),
        (2, Outcome::RefusedSequenceNumber)
    );
    assert!(
        device.gateway.blocks().is_empty(),
        "and costs no airtime any more"
    );
    device.gateway.offer = Some(Offer::patch(&release(1), &release(3)));
    device.run_until(|device| device.events.contains(&Event::Confirmed { sequence: 3 }));
}

/// Every offer with a right manifest and a wrong payload erases sectors. Answers without work between them are no reason
/// to hurry.
#[test]
fn a_gateway_cannot_wear_the_spare_slot_out_by_offers_that_come_to_nothing() {
    let mut gateway = Gateway::new(Some(Offer::patch(&release(1), &release(2))));
    gateway.next_check_in_s = 1;
    let mut check_ins = 0;
    gateway.tamper = Some(Box::new(move |message, _| {
        if message.code() == Code::GET {
            return Some(respond(message, Code::NOT_FOUND, &[], &[]));
        }
        check_ins += 1;
        let mut buffer = [0; 64];
        let nothing = wire_checkin::Answer::idle(1);
        (check_ins % 2 == 0)
            .then(|| respond(message, Code::CHANGED, &[], nothing.encode(&mut buffer).unwrap()))
    }));
    let mut device = Device::new(&release(1), gateway);
    let header = (LAYOUT.slot(Slot::B).offset / LAYOUT.sector_bytes) as usize;
    device.run_until(|device| device.now_ms > 24 * 3_600_000);
    let offers = device.said(|event| matches!(event, Event::Offered { .. }));
    let erased = device.flash.borrow().wear()[header];
    assert!(offers > 8, "{offers}");
    assert!(erased <= 40, "erased {erased} times in a day");
}

/// The link's timing is worth a record when it is news, and not because somebody keeps changing his mind.
#[test]
fn a_gateway_cannot_wear_the_journal_out_by_changing_the_timeout() {
    let mut gateway = Gateway::new(None);
    let mut timeout_ms = 2_000;
    gateway.tamper = Some(Box::new(move |message, _| {
        timeout_ms += 1;
        let mut buffer = [0; 64];
        let answer = wire_checkin::Answer {
            ack_timeout_ms: Some(timeout_ms),
            ..wire_checkin::Answer::idle(1)
        };
        Some(respond(
            message,
            Code::CHANGED,
            &[],
            answer.encode(&mut buffer).unwrap(),
        ))
    }));
    let mut device = Device::new(&release(1), gateway);
    device.config.check_in_s_min = 1;
    device.run_until(|device| device.now_ms > 6 * 3_600_000);
    assert!(device.gateway.requests.len() > 5_000);
    let wear = device.flash.borrow().wear().to_vec();
    let journal = (LAYOUT.journal.offset / LAYOUT.sector_bytes) as usize;
    assert!(wear[journal] + wear[journal + 1] <= 2, "{wear:?}");
}

/// Whatever a gateway answers, it does not empty a battery: neither by intervals of a second, nor by asking to come again at once.
#[test]
fn a_gateway_cannot_call_a_device_every_second() {
    for busy in [false, true] {
        let mut gateway = Gateway::new(None);
        gateway.next_check_in_s = 0;
        if busy {
            gateway.tamper = Some(Box::new(|message, _| {
                let at_once = [(OptionNumber::MAX_AGE, vec![])];
                Some(respond(message, Code::SERVICE_UNAVAILABLE, &at_once, &[]))
            }));
        }
        let mut device = Device::new(&release(1), gateway);
        device.run_until(|device| device.now_ms > 6 * 3_600_000);
        let check_ins = device.gateway.requests.len();
        assert!(
            (300..=360).contains(&check_ins),
            "{check_ins} in six hours, busy: {busy}"
        );
    }
}
