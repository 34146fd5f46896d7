//! The application judges the image on trial, and its watchdog waits for the agent.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;

use deltagate_agent::{Agent, Event};
use deltagate_flash::{BootInfo, RevertReason, Slot};
use support::{Device, Gateway, Offer, Release, Vendor, image};
use wire_checkin::Outcome;

fn release(sequence: u32) -> Release {
    Vendor::OURS.release(sequence, image(sequence as u8, 5_003))
}

/// About to be updated to an image that has to pass a self-test.
fn device() -> Device {
    let offer = Offer::patch(&release(1), &release(2));
    let mut device = Device::new(&release(1), Gateway::new(Some(offer)));
    device.config.self_test = true;
    device.config.contact_ms_max = 600_000;
    device
}

fn confirmed(device: &Device) -> bool {
    device.events.contains(&Event::Confirmed { sequence: 2 })
}

fn reported(device: &Device) -> bool {
    device.said(|event| matches!(event, Event::Reported { .. })) == 1
}

fn started_trial_ms(device: &Device) -> bool {
    device.boots.last().is_some_and(|boot| boot.on_trial)
}

#[test]
fn contact_and_self_test_confirm_in_either_order() {
    for after_ms in [0, 5_000, 300_000] {
        let mut device = device();
        device.self_test = Some((after_ms, true));
        device.run_until(started_trial_ms);
        device.run_until(confirmed);
        assert_eq!(device.boot_log().confirmed, Some(2), "after {after_ms} ms");
        assert!(
            device
                .gateway
                .check_ins()
                .iter()
                .any(|check_in| check_in.on_trial)
        );
    }
}

#[test]
fn contact_without_a_self_test_confirms_nothing_and_ends_with_the_trial() {
    let mut device = device();
    device.run_until(reported);
    assert_eq!(device.boot_log().confirmed, Some(1));
    let given_up = Event::Reverting {
        sequence: 2,
        reason: RevertReason::SelfTest,
    };
    assert!(device.events.contains(&given_up));
    let last = device.gateway.check_ins().last().unwrap().last_update.unwrap();
    assert_eq!((last.sequence_number, last.outcome.code()), (2, 16));
}

#[test]
fn without_contact_a_passed_self_test_confirms_nothing() {
    let mut device = device();
    device.self_test = Some((0, true));
    device.deaf_sequence = Some(2);
    device.run_until(reported);
    assert_eq!(device.boot_log().confirmed, Some(1));
    let check_ins = device.gateway.check_ins();
    let last = check_ins.last().unwrap().last_update.unwrap();
    assert_eq!(last.outcome, Outcome::RevertedNoContact);
}

#[test]
fn a_failed_self_test_ends_the_trial_at_once_also_where_none_is_asked_for() {
    for asked_for in [true, false] {
        let mut device = device();
        device.config.self_test = asked_for;
        device.self_test = Some((200, false));
        device.run_until(|device| device.said(|event| matches!(event, Event::Reverting { .. })) == 1);
        let trial_ms = device.now_ms;
        device.run_until(reported);
        assert!(device.now_ms - trial_ms < 60_000);
        assert_eq!(device.boots.len(), 4, "run_until starts by switching on");
        let last = device.gateway.check_ins().last().unwrap().last_update.unwrap();
        assert_eq!(last.outcome, Outcome::RevertedSelfTest);
    }
}

/// With a trial and nothing to go back to (`attempt` 0), with one (1), and with none.
fn with_agent(
    boot: (bool, u8),
    judge: impl FnOnce(&mut Agent<'_, deltagate_flash::sim::SimFlash>),
) -> Device {
    let device = Device::new(&release(1), Gateway::new(None));
    let flash = RefCell::new(device.flash.borrow().clone());
    let boot = BootInfo {
        slot: Slot::A,
        on_trial: boot.0,
        attempt: boot.1,
        sequence: 1,
    };
    let mut memory = vec![0; 4_096];
    let provision = Vendor::OURS.provision();
    let mut agent = Agent::new(device.config, provision, &flash, boot, &mut memory, 9, 0).unwrap();
    judge(&mut agent);
    device.flash.replace(flash.into_inner());
    device
}

#[test]
fn what_has_nothing_to_go_back_to_or_is_confirmed_stays_whatever_its_self_test_says() {
    for boot in [(true, 0), (false, 0)] {
        let device = with_agent(boot, |agent| agent.handle_self_test(5, false));
        assert_eq!(device.boot_log().reverted, None, "{boot:?}");
    }
    let device = with_agent((true, 1), |agent| agent.handle_self_test(5, false));
    // It is in the log already as confirmed: only that it was written is asked here.
    assert_eq!(device.boot_log().confirmed, Some(1));
}

/// The image that feeds its watchdog in an interrupt and never runs its agent: before, it stayed on trial until
/// somebody switched it off.
#[test]
fn on_trial_the_watchdog_is_fed_only_while_the_agent_is_at_work() {
    with_agent((true, 1), |agent| {
        assert!(agent.may_feed_watchdog(0));
        assert!(agent.may_feed_watchdog(60_000));
        assert!(!agent.may_feed_watchdog(60_001), "nobody called the agent");
        agent.handle_timeout(60_001);
        assert!(agent.may_feed_watchdog(120_001));
        assert!(!agent.may_feed_watchdog(120_002));
        agent.handle_timeout(599_999);
        assert!(agent.may_feed_watchdog(599_999));
        assert!(!agent.may_feed_watchdog(600_000), "the trial is over");
    });
    with_agent((true, 0), |agent| {
        agent.handle_timeout(700_000);
        assert!(agent.may_feed_watchdog(700_000), "nothing to go back to");
        assert!(!agent.may_feed_watchdog(800_000));
    });
    with_agent((false, 0), |agent| assert!(agent.may_feed_watchdog(u64::MAX)));
}
