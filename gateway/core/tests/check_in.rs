//! What a check-in leads to, seen from both sides.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Change, Command, CoreConfig, Reply, Selector, Stage, Terms, UpdateState, Verdict};
use wire_checkin::{
    CHECK_IN_BYTES_MAX, CheckIn, Deferral, DeferralReason, DeferralStage, Format, Formats, Outcome, Severity,
};
use wire_coap::{Code, Kind, Message};

#[test]
fn an_unknown_device_is_listed_and_gets_nothing() {
    let mut shell = Shell::new(open());
    let told = shell.check_in(1, 1, &check_in(1, 1));
    assert_eq!(
        (told.job, told.envelope, told.next_check_in_s),
        (None, None, 3_600)
    );
    assert_eq!(told.ack_timeout_ms, Some(2_000));
    let view = shell.gateway.device(id(1)).unwrap();
    assert!(!view.device.claimed);
    assert_eq!(
        view.next_step.unwrap().command,
        format!("deltagate device claim {}", id(1))
    );
}

#[test]
fn a_class_assignment_serves_claimed_devices_only() {
    let mut shell = Shell::ready(open());
    shell
        .command(Command::Assign(
            Selector::Class(CLASS),
            digest(2),
            Terms::default(),
        ))
        .unwrap();
    assert_eq!(shell.check_in(2, 1, &check_in(2, 1)).job, None);
    shell.command(Command::ClaimDevice(id(2))).unwrap();
    shell.build_all();
    assert!(shell.check_in(2, 2, &check_in(2, 1)).job.is_some());
}

#[test]
fn the_list_of_unclaimed_devices_is_capped() {
    let mut shell = Shell::new(CoreConfig {
        unclaimed_max: 3,
        ..open()
    });
    for number in 1..=5 {
        shell.check_in(number, 1, &check_in(number, 1));
    }
    let status = shell.gateway.status();
    assert_eq!((status.unclaimed, status.unclaimed_dropped), (3, 2));
    assert!(shell.gateway.device(id(4)).is_none());
    shell.command(Command::ClaimDevice(id(4))).unwrap();
    shell.check_in(4, 2, &check_in(4, 1));
    assert!(shell.gateway.device(id(4)).unwrap().device.report.is_some());
}

#[test]
fn an_update_takes_one_check_in_and_one_more_from_the_new_image() {
    let mut shell = Shell::ready(open());
    let told = shell.check_in(1, 2, &check_in(1, 1));
    let job = told.job.unwrap();
    assert_eq!(
        (job.format, job.payload_bytes, job.sequence_number),
        (Format::Patch, 1_000, 2)
    );
    assert_eq!(told.envelope.unwrap(), image(2).envelope);
    assert!(job.path.as_str().len() == 7);
    assert!(matches!(
        shell.update(1, 2),
        Some((UpdateState::Offered { .. }, 1))
    ));

    let mut trial = check_in(1, 2);
    trial.on_trial = true;
    let told = shell.check_in(1, 3, &trial);
    assert_eq!(told.job, None);
    assert_eq!(shell.update(1, 2), Some((UpdateState::Confirmed, 1)));
    assert_eq!(shell.gateway.updates()[0].stage, Stage::UpToDate);
}

#[test]
fn an_offer_is_stored_before_it_is_sent() {
    let mut shell = Shell::ready(open());
    let now = shell.now();
    shell
        .gateway
        .handle_datagram(now, peer(1), &post(2, &check_in(1, 1)), &shell.disk);
    let mut offered = false;
    while let Some(effect) = shell.gateway.poll_effect() {
        offered |= matches!(effect, gateway_core::Effect::Store(Change::Offered(_)));
    }
    assert!(offered);
    assert!(shell.gateway.poll_transmit().is_some());
}

#[test]
fn a_duplicate_gets_the_cached_reply_and_changes_nothing() {
    let mut shell = Shell::ready(open());
    let datagram = post(2, &check_in(1, 1));
    let first = shell.ask(peer(1), &datagram);
    let changes = shell.changes.len();
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    let cancelled = shell.changes.len();
    assert!(cancelled > changes);
    assert_eq!(shell.ask(peer(1), &datagram), first);
    assert_eq!(shell.changes.len(), cancelled);
}

#[test]
fn asking_again_repeats_the_open_offer_without_counting_it() {
    let mut shell = Shell::ready(open());
    let first = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap();
    shell.restart();
    let second = shell.check_in(1, 3, &check_in(1, 1)).job.unwrap();
    assert_eq!(first, second);
    assert_eq!(shell.update(1, 2).unwrap().1, 1);
}

#[test]
fn a_withheld_image_is_not_offered_until_retry() {
    for withholding in [
        Outcome::RevertedNoContact,
        Outcome::RefusedSignature,
        Outcome::Other(99),
    ] {
        let mut shell = Shell::ready(open());
        let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
        let mut reverted = check_in(1, 1);
        reverted.last_update = outcome(2, withholding);
        assert_eq!(shell.check_in(1, 3, &reverted).job, None);
        assert_eq!(shell.check_in(1, 4, &check_in(1, 1)).job, None);
        shell.restart();
        assert_eq!(shell.check_in(1, 5, &check_in(1, 1)).job, None);
        assert_eq!(shell.update(1, 2).unwrap().1, 1, "offered exactly once");
        assert_eq!(
            code(&shell.ask(peer(1), &get(6, &[path.as_str()], None))),
            Code::NOT_FOUND
        );
        let step = shell.gateway.device(id(1)).unwrap().next_step.unwrap();
        assert_eq!(
            step.command,
            format!(
                "deltagate update retry --device {} --image {}",
                id(1),
                digest(2).short_hex()
            )
        );

        let retry = Command::Retry(id(1), Some(digest(2)));
        assert_eq!(
            shell.command(retry.clone()),
            Ok(Reply::Retrying { images: 1, builds: 0 })
        );
        assert_eq!(shell.command(retry), Ok(Reply::Unchanged));
        // The answer to the report was lost, and the device repeats it: that is old news.
        assert!(shell.check_in(1, 7, &reverted).job.is_some());
        assert_eq!(shell.update(1, 2).unwrap().1, 2);
    }
}

#[test]
fn an_image_seen_running_and_then_reverted_is_withheld() {
    let mut shell = Shell::ready(open());
    shell.check_in(1, 2, &check_in(1, 1));
    let mut trial = check_in(1, 2);
    trial.on_trial = true;
    shell.check_in(1, 3, &trial);
    let mut reverted = check_in(1, 1);
    reverted.last_update = outcome(2, Outcome::RevertedWatchdog);
    assert_eq!(shell.check_in(1, 4, &reverted).job, None);
    assert!(matches!(
        shell.update(1, 2),
        Some((UpdateState::Withheld { .. }, 1))
    ));
}

#[test]
fn a_payload_that_keeps_vanishing_is_withheld_in_the_end() {
    let mut shell = Shell::ready(open());
    let mut gone = check_in(1, 1);
    let mut offered = 0;
    for message_id in 2..40 {
        offered += u32::from(shell.check_in(1, message_id, &gone).job.is_some());
        gone.last_update = outcome(2, Outcome::PayloadChanged);
        shell.now_ms += 1_000;
    }
    assert_eq!(offered, 5);
}

#[test]
fn a_lost_store_still_withholds_what_a_device_reports() {
    let mut shell = Shell::ready(open());
    let mut reverted = check_in(1, 1);
    reverted.last_update = outcome(2, Outcome::RevertedFault);
    assert_eq!(shell.check_in(1, 2, &reverted).job, None);
    assert!(matches!(
        shell.update(1, 2),
        Some((UpdateState::Withheld { .. }, 0))
    ));
}

#[test]
fn one_build_serves_any_number_of_devices() {
    let mut shell = Shell::ready(open());
    shell.import(3);
    shell.build_all();
    for number in 1..=20 {
        shell.check_in(number, 1, &check_in(number, 1));
        shell.command(Command::ClaimDevice(id(number))).unwrap();
    }
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    shell
        .command(Command::Assign(
            Selector::Class(CLASS),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    assert_eq!(shell.builds.len(), 1);
    let told = shell.check_in(5, 2, &check_in(5, 1));
    assert_eq!((told.job, told.next_check_in_s), (None, 10));
    assert_eq!(shell.builds.len(), 1);
    shell.build_all();
    assert!(shell.check_in(5, 3, &check_in(5, 1)).job.is_some());
}

#[test]
fn a_failed_patch_does_not_become_a_full_image_in_silence() {
    let mut shell = Shell::ready(open());
    shell.import(3);
    shell.build_all();
    shell
        .command(Command::Assign(
            Selector::Device(id(1)),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    let key = shell.builds.pop().unwrap();
    shell.built(key, Err("the patch did not give the image back".into()));
    assert_eq!(shell.check_in(1, 2, &check_in(1, 1)).job, None);
    assert!(shell.builds.is_empty());
    let view = shell.gateway.device(id(1)).unwrap();
    assert!(
        view.chain.last().unwrap().contains("did not give the image back"),
        "{:?}",
        view.chain
    );
    assert_eq!(
        view.next_step.unwrap().command,
        format!("deltagate update retry --device {}", id(1))
    );

    assert_eq!(
        shell.command(Command::Retry(id(1), None)),
        Ok(Reply::Retrying { images: 0, builds: 1 })
    );
    shell.build_all();
    assert_eq!(
        shell.check_in(1, 3, &check_in(1, 1)).job.unwrap().format,
        Format::Patch
    );
}

#[test]
fn a_device_on_an_unknown_image_gets_no_patch() {
    let mut shell = Shell::ready(open());
    let mut stranger = check_in(1, 1);
    stranger.running_digest = wire_checkin::DigestPrefix::of(&[0x77; 32]);
    assert_eq!(shell.check_in(1, 2, &stranger).job.unwrap().format, Format::Lz4);
}

/// A single slot with room for a reach of 16 KiB.
fn single_slot(number: u8, running: u64) -> CheckIn {
    CheckIn {
        staging_bytes: Some(16_384),
        decoder_memory_bytes: 4_096,
        formats: Formats::of(&[Format::Patch]),
        in_place_reach_bytes: Some(16_500),
        ..check_in(number, running)
    }
}

#[test]
fn a_device_with_a_single_slot_gets_a_patch_for_its_reach_and_no_other_device_does() {
    let mut shell = Shell::ready(open());
    let two_slots = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap();
    shell.command(Command::ClaimDevice(id(2))).unwrap();
    let for_it = Selector::Device(id(2));
    shell
        .command(Command::Assign(for_it, digest(2), Terms::default()))
        .unwrap();
    assert_eq!(
        shell.check_in(2, 3, &single_slot(2, 1)).job,
        None,
        "it is being built"
    );
    let reaches: Vec<_> = shell.builds.iter().map(|key| key.formats.in_place).collect();
    assert_eq!(reaches, [Some(gateway_core::Bytes(16_384))]);
    shell.build_all();
    let job = shell.check_in(2, 4, &single_slot(2, 1)).job.unwrap();
    assert_eq!(job.format, Format::Patch);
    assert_ne!(job.artefact_digest, two_slots.artefact_digest);
    let again = shell.check_in(1, 5, &check_in(1, 1)).job.unwrap();
    assert_eq!(again.artefact_digest, two_slots.artefact_digest);
    let view = shell.gateway.device(id(2)).unwrap();
    let ordinary = view
        .candidates
        .iter()
        .filter(|c| c.verdict == Verdict::NotInPlace);
    assert_eq!(ordinary.count(), 3, "{:?}", view.candidates);
    assert!(
        view.chain.iter().any(|clause| clause.contains("a single slot")),
        "{:?}",
        view.chain
    );
    let of_two_slots = shell.gateway.device(id(1)).unwrap().candidates;
    assert_eq!(of_two_slots.len(), 3, "{of_two_slots:?}");

    let mut smaller = single_slot(2, 1);
    smaller.in_place_reach_bytes = Some(4_096);
    assert_eq!(
        shell.check_in(2, 6, &smaller).job,
        None,
        "another reach is another patch"
    );
    let verdict = |shell: &Shell| {
        let candidates = shell.gateway.device(id(2)).unwrap().candidates;
        candidates
            .iter()
            .map(|c| c.verdict)
            .find(|verdict| matches!(verdict, Verdict::Reach { .. }))
    };
    shell.build_all();
    assert!(shell.check_in(2, 7, &smaller).job.is_some());
    let (needs, has) = (gateway_core::Bytes(16_384), gateway_core::Bytes(4_096));
    assert_eq!(verdict(&shell), Some(Verdict::Reach { needs, has }));

    smaller.in_place_reach_bytes = Some(0);
    assert_eq!(
        shell.check_in(2, 8, &smaller).job,
        None,
        "there is no room for any"
    );
    assert!(shell.builds.is_empty());
}

#[test]
fn a_single_slot_with_an_unknown_image_gets_a_patch_from_nothing() {
    let mut shell = Shell::ready(open());
    let mut stranger = single_slot(1, 1);
    stranger.running_digest = wire_checkin::DigestPrefix::of(&[0x77; 32]);
    assert_eq!(shell.check_in(1, 2, &stranger).job, None);
    shell.build_all();
    assert_eq!(shell.check_in(1, 3, &stranger).job.unwrap().format, Format::Patch);
}

#[test]
fn memory_room_and_formats_decide_and_are_explained() {
    let mut shell = Shell::ready(open());
    let mut small = check_in(1, 1);
    small.decoder_memory_bytes = 3_000;
    // 3 sectors of image and 2 of lz4 do not fit 4 sectors; the plain image does.
    small.slot_capacity_bytes = 16_384;
    assert_eq!(shell.check_in(1, 2, &small).job.unwrap().format, Format::Full);
    let candidates = shell.gateway.device(id(1)).unwrap().candidates;
    let verdict = |format| candidates.iter().find(|c| c.format == format).unwrap().verdict;
    assert_eq!(
        verdict(Format::Lz4),
        Verdict::Room {
            needs: gateway_core::Bytes(20_480),
            has: gateway_core::Bytes(16_384)
        }
    );
    assert!(matches!(verdict(Format::Patch), Verdict::Memory { .. }));
    assert_eq!(verdict(Format::Full), Verdict::Chosen);

    small.formats = Formats::of(&[Format::Lz4]);
    assert_eq!(shell.check_in(1, 3, &small).job, None);
    assert!(shell.gateway.device(id(1)).unwrap().next_step.is_some());
    small.staging_bytes = Some(8_000);
    assert_eq!(shell.check_in(1, 4, &small).job.unwrap().format, Format::Lz4);
}

#[test]
fn an_open_transfer_keeps_its_artefact() {
    let mut shell = Shell::ready(open());
    let mut without_patch = check_in(1, 1);
    without_patch.formats = Formats::of(&[Format::Full, Format::Lz4]);
    let job = shell.check_in(1, 2, &without_patch).job.unwrap();
    assert_eq!(job.format, Format::Lz4);
    assert_eq!(shell.check_in(1, 3, &check_in(1, 1)).job, Some(job));
}

#[test]
fn an_envelope_that_does_not_fit_is_fetched() {
    let mut shell = Shell::ready(open());
    let mut narrow = check_in(1, 1);
    narrow.block_szx_max = 4;
    let told = shell.check_in(1, 2, &narrow);
    assert_eq!(told.envelope, None);
    let path = told.job.unwrap().path;
    let reply = shell.ask(peer(1), &get(3, &[path.as_str(), "m"], None));
    assert_eq!(Message::parse(&reply).unwrap().payload(), image(2).envelope);
}

#[test]
fn a_claimed_device_that_changes_class_is_reported_and_gets_nothing() {
    let mut shell = Shell::ready(open());
    let mut changed = check_in(1, 1);
    changed.class_id = OTHER_CLASS.0;
    assert_eq!(shell.check_in(1, 2, &changed).job, None);
    let view = shell.gateway.device(id(1)).unwrap();
    assert_eq!(view.device.class, Some(CLASS));
    assert_eq!(view.device.class_conflict(), Some(OTHER_CLASS));
    assert!(shell.check_in(1, 3, &check_in(1, 1)).job.is_some());
}

#[test]
fn an_image_that_is_not_newer_is_never_offered() {
    let mut shell = Shell::ready(open());
    shell
        .command(Command::Assign(
            Selector::Class(CLASS),
            digest(1),
            Terms::default(),
        ))
        .unwrap();
    shell.command(Command::Cancel(Selector::Device(id(1)))).unwrap();
    let mut newer = check_in(1, 2);
    newer.on_trial = false;
    assert_eq!(shell.check_in(1, 2, &newer).job, None);
    let view = shell.gateway.device(id(1)).unwrap();
    assert!(
        view.chain
            .last()
            .unwrap()
            .contains("already runs sequence number 2"),
        "{:?}",
        view.chain
    );
}

#[test]
fn a_body_that_is_no_check_in_is_bad() {
    let mut shell = Shell::new(open());
    let datagram = request(wire_coap::Kind::Confirmable, Code::POST, 1, &["c"], None, &[0xA0]);
    assert_eq!(code(&shell.ask(peer(1), &datagram)), Code::BAD_REQUEST);
    assert!(shell.gateway.devices().is_empty());
}

/// No socket sends to port 0, and no client of a socket comes from there.
#[test]
fn a_peer_at_port_0_is_counted_and_gets_nothing() {
    let mut shell = Shell::ready(open());
    let (before, up) = (shell.changes.len(), shell.gateway.links()[0].total.up.datagrams);
    shell.sent.clear();
    let nobody = core::net::SocketAddr::from(([10, 0, 0, 1], 0));
    shell.send(nobody, &post(9, &check_in(1, 1)));
    assert_eq!((shell.sent.len(), shell.changes.len()), (0, before));
    assert_eq!(shell.gateway.links()[0].total.up.datagrams, up + 1);
}

/// Rows stored since, other than the counters, which have a pace of their own.
fn stored_since(shell: &Shell, before: usize) -> Vec<&Change> {
    let counters = |change: &&Change| {
        !matches!(
            change,
            Change::LinkCounters { .. } | Change::DeviceCounters { .. }
        )
    };
    shell.changes[before..].iter().filter(counters).collect()
}

#[test]
fn a_thousand_check_ins_that_say_nothing_new_store_nothing() {
    let mut shell = Shell::ready(open());
    shell.check_in(1, 2, &check_in(1, 1));
    shell.check_in(2, 2, &check_in(2, 1));
    let before = shell.changes.len();
    for message_id in 10..1_010 {
        // Room on the link, and no timer.
        shell.now_ms += 100;
        let mut said = check_in(1, 1);
        said.round_trip_ms = u32::from(message_id);
        assert!(shell.check_in(1, message_id, &said).job.is_some());
        shell.check_in(2, message_id, &check_in(2, 1));
    }
    assert_eq!(stored_since(&shell, before), Vec::<&Change>::new());
    shell.sleep(60_000);
    let stored = stored_since(&shell, before);
    assert_eq!(stored.len(), 1, "the round trip, once: {stored:?}");
    shell.restart();
    let report = shell.gateway.device(id(1)).unwrap().device.report.unwrap();
    assert_eq!(report.round_trip_ms, 1_009);
}

#[test]
fn strangers_cannot_make_the_gateway_write_for_every_datagram() {
    let mut shell = Shell::new(CoreConfig {
        unclaimed_max: 3,
        ..open()
    });
    (1..=3).for_each(|number| drop(shell.check_in(number, 1, &check_in(number, 1))));
    let before = shell.changes.len();
    for message_id in 2..1_002 {
        shell.now_ms += 100;
        let number = (message_id % 10) as u8 + 1;
        let mut said = check_in(number, u64::from(message_id) % 7 + 1);
        said.sequence_number = message_id.into();
        shell.check_in(number, message_id, &said);
    }
    assert_eq!(stored_since(&shell, before), Vec::<&Change>::new());
    assert_eq!(shell.gateway.status().unclaimed, 3);
    assert_eq!(shell.gateway.status().unclaimed_dropped, 700);
    shell.sleep(60_000);
    assert_eq!(
        stored_since(&shell, before).len(),
        3,
        "one row for each that is listed"
    );
    let told = shell.gateway.device(id(1)).unwrap().device.report.unwrap();
    shell.restart();
    assert_eq!(shell.gateway.device(id(1)).unwrap().device.report, Some(told));
}

/// A device that puts its update off, from the offer to a deferral that is longer than asked.
#[test]
fn a_deferral_is_named_and_an_overdue_one_counted() {
    let mut shell = Shell::ready(open());
    let terms = Terms {
        severity: Severity::Optional,
        defer_s_max: Some(24 * 3_600),
    };
    let to_device = Selector::Device(id(1));
    shell
        .command(Command::Assign(to_device.clone(), digest(2), terms))
        .unwrap();
    let told = shell.check_in(1, 2, &check_in(1, 1));
    let job = told.job.unwrap();
    assert_eq!(
        (job.severity, job.defer_s_max),
        (Severity::Optional, Some(86_400))
    );
    assert!(told.envelope.is_some());

    let waits = |seconds| CheckIn {
        deferral: Some(Deferral {
            stage: DeferralStage::Restart,
            reason: DeferralReason::Battery,
            seconds,
        }),
        ..check_in(1, 1)
    };
    let told = shell.check_in(1, 3, &waits(7_200));
    assert_eq!(told.job.map(|job| job.path), Some(job.path), "the same offer");
    assert!(
        told.envelope.is_none(),
        "it has the manifest, or asks again when it wants it"
    );
    let view = shell.gateway.device(id(1)).unwrap();
    let words = "it waits for the device: battery, before restart, for 2 h of at most 24 h";
    assert_eq!(view.chain.last().unwrap(), words);
    assert_eq!(view.next_step, None);
    let status = shell.gateway.status();
    assert_eq!((status.updates[0].stage, status.overdue), (Stage::Deferred, 0));

    let stored = shell.changes.len();
    shell.check_in(1, 4, &waits(10_800));
    let rows = shell.changes[stored..].iter();
    let devices = rows.filter(|change| matches!(change, Change::Device(_))).count();
    assert_eq!(devices, 0, "a clock that goes on is no reason to write");

    shell.check_in(1, 5, &waits(86_401));
    assert_eq!(shell.gateway.status().overdue, 1);
    let step = shell.gateway.device(id(1)).unwrap().next_step.unwrap();
    assert_eq!(
        step.command,
        format!("deltagate update cancel --device {}", id(1))
    );

    // The operator's change of mind reaches the device with its next check-in, and counts at once.
    let terms = Terms {
        severity: Severity::Critical,
        defer_s_max: None,
    };
    shell
        .command(Command::Assign(to_device, digest(2), terms))
        .unwrap();
    assert_eq!(shell.gateway.status().overdue, 0);
    let told = shell.check_in(1, 6, &waits(86_500)).job.unwrap();
    assert_eq!((told.severity, told.defer_s_max), (Severity::Critical, None));
    shell.check_in(1, 7, &check_in(1, 2));
    assert_eq!(shell.gateway.updates()[0].stage, Stage::UpToDate);
}

/// Code and text of the answer to a dry check-in.
fn dry(shell: &mut Shell, said: &CheckIn) -> (Code, String) {
    let mut buffer = [0; CHECK_IN_BYTES_MAX];
    let body = said.encode(&mut buffer).unwrap();
    let datagram = request(Kind::Confirmable, Code::POST, 77, &["c", "dry"], None, body);
    let reply = shell.ask(peer(9), &datagram);
    let message = Message::parse(&reply).unwrap();
    let text = core::str::from_utf8(message.payload()).unwrap().to_owned();
    (message.code(), text)
}

#[test]
fn a_dry_check_in_says_what_would_happen_and_changes_nothing() {
    let mut shell = Shell::ready(open());
    let (changes, devices) = (shell.changes.len(), shell.gateway.devices());
    let mut stranger = check_in(7, 1);
    stranger.class_id = [0xEE; 16];
    let mut unbuilt = check_in(1, 1);
    unbuilt.decoder_memory_bytes = 4_096;
    let mut reverted = check_in(1, 1);
    reverted.last_update = outcome(2, Outcome::RevertedWatchdog);
    for (said, code, text) in [
        (
            &stranger,
            Code::FORBIDDEN,
            "unknown class eeeeeeee-eeee-eeee-eeee-eeeeeeeeeeee: no image of it was imported",
        ),
        (
            &check_in(7, 1),
            Code::FORBIDDEN,
            "device 525400000007 is not claimed",
        ),
        (
            &check_in(1, 1),
            Code::CHANGED,
            "of what it can take, patch with 1000 bytes costs least: 1094 bytes on the air",
        ),
        (&check_in(1, 2), Code::CHANGED, "it runs what it should"),
        (&unbuilt, Code::CHANGED, "its delta is not built yet"),
        // What becomes of an update is told in earnest or not at all.
        (
            &reverted,
            Code::CHANGED,
            "of what it can take, patch with 1000 bytes costs least: 1094 bytes on the air",
        ),
    ] {
        assert_eq!(dry(&mut shell, said), (code, text.to_owned()));
    }
    assert_eq!(shell.changes.len(), changes);
    assert_eq!(shell.builds, []);
    assert_eq!(shell.gateway.devices(), devices);
    let nonsense = request(Kind::Confirmable, Code::POST, 78, &["c", "dry"], None, b"?");
    let reply = shell.ask(peer(9), &nonsense);
    assert_eq!(Message::parse(&reply).unwrap().code(), Code::BAD_REQUEST);
}
