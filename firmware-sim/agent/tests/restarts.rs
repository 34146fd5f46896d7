//! Restarts and power cuts, at every operation of the flash.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use deltagate_agent::{Agent, DATAGRAM_BYTES_MAX, Effect, Event};
use deltagate_flash::sim::PowerCut;
use deltagate_flash::{BootInfo, Layout, Slot};
use support::{Device, Gateway, LAYOUT, Offer, Release, Vendor, image};
use wire_checkin::{Answer, Outcome};
use wire_coap::{BlockSize, Code, Message, OptionNumber};

const IMAGE_BYTES: usize = 5_003;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, IMAGE_BYTES))
}

fn confirmed(sequence: u32) -> impl Fn(&Device) -> bool {
    move |device| device.events.contains(&Event::Confirmed { sequence })
}

/// Cuts the power at every operation of an update, and at several bytes of each; again at the `again`th operation after
/// that.
fn cut_everywhere(offer: &Offer, step: usize, again: Option<u64>) {
    cut_everywhere_on(LAYOUT, offer, step, again);
}

fn cut_everywhere_on(layout: Layout, offer: &Offer, step: usize, again: Option<u64>) {
    let device = |cut| {
        let mut device = Device::with_layout(layout, &release(1), Gateway::new(Some(offer.clone())));
        device.cut = cut;
        device
    };
    let mut uncut = device(None);
    uncut.flash.borrow_mut().restart();
    uncut.run_until(confirmed(2));
    // Operations after the restart into the trial count too: SimFlash counts from its last power cut.
    let operations = uncut.flash.borrow().operations();
    assert!(operations > 40, "{operations}");
    let mut cuts = 0;
    for operation in (0..operations).step_by(step) {
        for torn_at in [0, 3, 4_096] {
            let mut device = device(Some(PowerCut { operation, torn_at }));
            device.cut_again = again.map(|operation| PowerCut {
                operation,
                torn_at: 3,
            });
            device.run_until(confirmed_by_log(2));
            assert!(device.power_cuts >= 1, "operation {operation} did not happen");
            cuts += device.power_cuts;
            assert_eq!(
                device.boots.last().unwrap().sequence,
                2,
                "operation {operation} byte {torn_at}"
            );
            let failed = |event: &Event| matches!(event, Event::Dropped { .. } | Event::Reverting { .. });
            assert_eq!(device.said(failed), 0, "operation {operation} byte {torn_at}");
        }
    }
    let runs = 3 * operations.div_ceil(step as u64) as usize;
    assert!(
        cuts >= runs + again.map_or(0, |_| runs / 2),
        "{cuts} cuts in {runs} runs"
    );
}

/// The power may go away between the confirmation and what the agent says of it.
fn confirmed_by_log(sequence: u32) -> impl Fn(&Device) -> bool {
    move |device| {
        device
            .boots
            .last()
            .is_some_and(|boot| boot.sequence == sequence && !boot.on_trial)
            || device.events.contains(&Event::Confirmed { sequence })
    }
}

#[test]
fn a_patch_survives_a_power_cut_at_every_operation() {
    cut_everywhere(&Offer::patch(&release(1), &release(2)), 1, None);
}

#[test]
fn a_patch_in_a_staging_area_survives_a_power_cut_at_every_operation() {
    cut_everywhere_on(
        LAYOUT.with_staging(4096),
        &Offer::patch(&release(1), &release(2)),
        1,
        None,
    );
}

#[test]
fn a_full_image_survives_power_cuts() {
    cut_everywhere(&Offer::full(&release(2)), 2, None);
}

#[test]
fn a_second_cut_during_the_recovery_is_survived_too() {
    let offer = Offer::patch(&release(1), &release(2));
    for again in [0, 1, 2, 5] {
        cut_everywhere(&offer, 7, Some(again));
    }
}

#[test]
fn a_restart_asks_for_at_most_one_staged_block_again_and_for_no_check_in() {
    let offer = Offer::full(&release(2));
    let blocks = offer.payload.len().div_ceil(128) as u32;
    for stop_at in [1, 2, 17, blocks as usize] {
        let mut device = Device::new(&release(1), Gateway::new(Some(offer.clone())));
        device.run_until(|device| device.said(|event| matches!(event, Event::Block { .. })) == stop_at);
        device.run_until(confirmed(2));
        let asked = device.gateway.blocks();
        let distinct = asked.iter().collect::<BTreeSet<_>>().len();
        assert_eq!(distinct, blocks as usize);
        // One block again, and the request that was on its way when the device stopped.
        assert!(asked.len() <= distinct + 2, "{asked:?}");
        assert_eq!(device.gateway.check_ins().len(), 2);
        assert_eq!(device.said(|event| matches!(event, Event::Resumed { .. })), 1);
    }
}

#[test]
fn a_lost_gateway_is_waited_for_and_the_transfer_goes_on() {
    let offer = Offer::patch(&release(1), &release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.run_until(|device| device.gateway.blocks().len() == 2);
    device.link.loss_percent = 100;
    device.run_until(|device| device.said(|event| matches!(event, Event::Unanswered { .. })) == 2);
    device.link.loss_percent = 0;
    device.run_until(confirmed(2));
    assert_eq!(device.gateway.check_ins().len(), 2);
}

#[test]
fn a_staged_payload_is_not_fetched_again_after_a_restart() {
    let offer = Offer::patch(&release(1), &release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer.clone())));
    device.run_until(|device| device.said(|event| matches!(event, Event::Staged)) == 1);
    let staged = device.gateway.blocks().len();
    device.run_until(confirmed(2));
    assert_eq!(
        device.gateway.blocks().len(),
        staged,
        "nothing staged is fetched again"
    );
}

#[test]
fn a_staging_begun_with_larger_blocks_goes_on_with_smaller_ones() {
    let offer = Offer::full(&release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.run_until(|device| device.gateway.blocks().len() == 5);
    device.gateway.block_size_max = BlockSize::B32;
    device.config.block_size_max = BlockSize::B64;
    device.run_until(confirmed(2));
    assert_eq!(device.gateway.check_ins().len(), 2);
}

#[test]
fn without_contact_the_trial_ends_and_is_reported_once() {
    let mut device = Device::new(
        &release(1),
        Gateway::new(Some(Offer::patch(&release(1), &release(2)))),
    );
    device.deaf_sequence = Some(2);
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    let sequences: Vec<_> = device
        .boots
        .iter()
        .map(|boot| (boot.sequence, boot.on_trial))
        .collect();
    assert_eq!(
        sequences,
        [(1, false), (2, true), (1, false)],
        "one trial of the stated minutes"
    );
    assert_eq!(device.boot_log().confirmed, Some(1));
    let check_ins = device.gateway.check_ins();
    let last = check_ins.last().unwrap().last_update.unwrap();
    assert_eq!(
        (last.sequence_number, last.outcome),
        (2, Outcome::RevertedNoContact)
    );
    let count = check_ins.len();
    device.run_until(|device| device.gateway.check_ins().len() >= count + 3);
    assert!(
        device.gateway.check_ins()[count..]
            .iter()
            .all(|check_in| check_in.last_update.is_none())
    );
    assert_eq!(device.said(|event| matches!(event, Event::Offered { .. })), 1);
}

#[test]
fn an_image_reverted_and_retried_is_reported_again() {
    let offer = Offer::patch(&release(1), &release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.deaf_sequence = Some(2);
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 1);
    // `update retry`: the gateway forgets.
    device.gateway.requests.clear();
    device.run_until(|device| device.said(|event| matches!(event, Event::Reported { .. })) == 2);
    assert_eq!(device.said(|event| matches!(event, Event::Reverting { .. })), 2);
    device.gateway.requests.clear();
    device.deaf_sequence = None;
    device.run_until(confirmed(2));
}

/// A year of monthly updates: what wears out first would be the logs, and each bank of them takes its share.
#[test]
fn twenty_updates_erase_each_bank_of_a_log_a_few_times() {
    let mut device = Device::new(&release(1), Gateway::new(None));
    device.flash.borrow_mut().restart();
    for sequence in 2..22 {
        device.gateway.offer = Some(Offer::full(&release(sequence)));
        device.run_until(confirmed(sequence));
    }
    let erased = device.flash.borrow().wear().to_vec();
    let of = |partition: deltagate_flash::Partition| {
        let first = partition.offset as usize / 4_096;
        (erased[first], erased[first + 1])
    };
    let (boot_log, journal) = (of(LAYOUT.boot_log), of(LAYOUT.journal));
    println!(
        "20 updates: boot log {boot_log:?}, journal {journal:?} erases of their banks, slots {:?}",
        &erased[5..]
    );
    assert!(boot_log.0.abs_diff(boot_log.1) <= 1 && boot_log.0 + boot_log.1 <= 20 / 4);
    assert!(journal.0.abs_diff(journal.1) <= 1 && journal.0 + journal.1 <= 20 / 3);
    assert!(
        erased[5..].iter().all(|erased| *erased <= 10),
        "every other update, once"
    );
}

/// The spare slot holds the right envelope and the remains of a payload spoilt on its way. The same job is offered again,
/// and the power goes away while its place is made: the remains must not pass for what was fetched.
#[test]
fn remains_of_a_spoilt_payload_are_not_taken_for_the_next_one() {
    for operation in 0..12 {
        let offer = Offer::patch(&release(1), &release(2));
        let mut spoilt = offer.clone();
        spoilt.payload[100] ^= 1;
        let mut device = Device::new(&release(1), Gateway::new(Some(spoilt)));
        let dropped = |event: &Event| matches!(event, Event::Dropped { .. });
        device.run_until(|device| device.said(dropped) == 1);
        device.gateway.offer = Some(offer);
        device.cut = Some(PowerCut {
            operation,
            torn_at: 4_096,
        });
        device.run_until(confirmed(2));
        assert_eq!(device.power_cuts, 1);
        assert_eq!(device.said(dropped), 1, "cut after operation {operation}");
    }
}

/// The spare slot of an image on trial holds the image to go back to; whatever the journal says, it is left alone.
#[test]
fn an_image_on_trial_resumes_no_update() {
    let offer = Offer::patch(&release(1), &release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.run_until(|device| device.gateway.blocks().len() == 3);
    for on_trial in [true, false] {
        let flash = RefCell::new(device.flash.borrow().clone());
        let boot = BootInfo {
            slot: Slot::A,
            on_trial,
            attempt: u8::from(on_trial),
            sequence: 1,
        };
        let mut memory = vec![0; 4_096];
        let provision = Vendor::OURS.provision();
        let mut agent = Agent::new(device.config, provision, &flash, boot, &mut memory, 9, 0).unwrap();
        agent.handle_timeout(0);
        let mut buffer = [0; DATAGRAM_BYTES_MAX];
        let length = agent.poll_transmit(&mut buffer).unwrap();
        let code = Message::parse(&buffer[..length]).unwrap().code();
        assert_eq!(code, if on_trial { Code::POST } else { Code::GET });
    }
}

#[test]
fn an_answer_that_is_no_answer_confirms_nothing() {
    let mut buffer = [0; 64];
    let valid = Answer::idle(1).encode(&mut buffer).unwrap().to_vec();
    for (code, body) in [
        (Code::CHANGED, vec![0xFF]),
        (Code::CONTENT, valid.clone()),
        (Code::BAD_REQUEST, valid.clone()),
        (Code::SERVICE_UNAVAILABLE, valid),
    ] {
        let mut gateway = Gateway::new(Some(Offer::patch(&release(1), &release(2))));
        gateway.tamper = Some(Box::new(move |message, _| {
            let check_in = message.code() == Code::POST;
            let on_trial = check_in && wire_checkin::CheckIn::decode(message.payload()).unwrap().on_trial;
            on_trial.then(|| support::respond(message, code, &[], &body))
        }));
        let mut device = Device::new(&release(1), gateway);
        device.run_until(|device| device.said(|event| matches!(event, Event::Reverting { .. })) == 1);
        assert_eq!(device.boot_log().confirmed, Some(1), "{code:?}");
    }
}

/// The device at rest on slot A, started as `boot` says, and answered as `answer` does until `until_ms`. Whether it
/// wanted to restart.
fn left_alone(
    device: &Device,
    attempt: u8,
    until_ms: u64,
    mut answer: impl FnMut(&Message<'_>) -> Option<Vec<u8>>,
) -> bool {
    let boot = BootInfo {
        slot: Slot::A,
        on_trial: true,
        attempt,
        sequence: 1,
    };
    let (mut memory, mut buffer) = (vec![0; 4_096], [0; DATAGRAM_BYTES_MAX]);
    let provision = Vendor::OURS.provision();
    let mut agent = Agent::new(device.config, provision, &device.flash, boot, &mut memory, 9, 0).unwrap();
    let mut now_ms = 0;
    while now_ms < until_ms {
        while let Some(effect) = agent.poll_effect() {
            if effect == Effect::Reboot {
                return true;
            }
        }
        if let Some(length) = agent.poll_transmit(&mut buffer) {
            if let Some(mut reply) = answer(&Message::parse(&buffer[..length]).unwrap()) {
                agent.handle_datagram(now_ms, &mut reply);
            }
            continue;
        }
        now_ms = now_ms.max(agent.poll_timeout().unwrap());
        agent.handle_timeout(now_ms);
    }
    false
}

/// With nothing to go back to, giving up would only mean to start the same image again, for ever.
#[test]
fn a_last_resort_keeps_trying_and_a_trial_does_not() {
    let device = Device::new(&release(1), Gateway::new(None));
    assert!(!left_alone(&device, 0, 24 * 3_600_000, |_| None));
    assert_eq!(device.boot_log().reverted, None);
    assert!(left_alone(&device, 1, 24 * 3_600_000, |_| None));
}

/// Nobody authenticates a 5.03, so it must not silence the device for ever, nor an answer's next check-in.
#[test]
fn no_answer_silences_the_device_for_more_than_a_week() {
    const WEEK_MS: u64 = 7 * 24 * 3_600_000;
    for busy in [true, false] {
        let device = Device::new(&release(1), Gateway::new(None));
        let mut requests = 0;
        left_alone(&device, 0, 3 * WEEK_MS + 1, |message| {
            requests += 1;
            let mut buffer = [0; 64];
            let answer = Answer::idle(u32::MAX).encode(&mut buffer).unwrap();
            let forever = (OptionNumber::MAX_AGE, u32::MAX.to_be_bytes().to_vec());
            Some(match busy {
                true => support::respond(message, Code::SERVICE_UNAVAILABLE, &[forever], &[]),
                false => support::respond(message, Code::CHANGED, &[], answer),
            })
        });
        assert_eq!(requests, 4, "one at once, three in three weeks");
    }
}

/// RFC 7252 §4.4. The device of the story: switched off and on with the same seed, it asked for its second check-in with
/// the id, token and body of the second one before, and was given the old answer, a withdrawn offer in it.
#[test]
fn no_two_starts_use_the_same_message_ids() {
    let ids = Rc::new(RefCell::new(Vec::new()));
    let heard = Rc::clone(&ids);
    let mut gateway = Gateway::new(None);
    gateway.tamper = Some(Box::new(move |message, _| {
        heard.borrow_mut().push((message.message_id(), message.token()));
        None
    }));
    let mut device = Device::new(&release(1), gateway);
    const STARTS: usize = 150;
    for start in 1..=STARTS {
        device.seed = 0;
        device.run_until(|_| ids.borrow().len() >= 3 * start);
    }
    let ids = ids.borrow();
    let message_ids: BTreeSet<_> = ids.iter().map(|(id, _)| id.0).collect();
    let tokens: BTreeSet<_> = ids.iter().map(|(_, token)| token.as_bytes().to_vec()).collect();
    assert_eq!(device.boots.len(), STARTS);
    assert_eq!((message_ids.len(), tokens.len()), (ids.len(), ids.len()));
}
