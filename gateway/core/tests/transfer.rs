//! Payloads on the wire: stateless blocks, to our own client and to any other.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{Bytes, Change, Command, Reply, Selector, Stage, Terms};
use proptest::prelude::*;
use wire_coap::{
    Block2Fetch, BlockNumber, BlockSize, BlockValue, Code, ETag, FetchPlan, FetchedBlock, Message,
    OptionNumber, Taken,
};

/// Path and payload of the offer to device 1.
fn offered(shell: &mut Shell) -> (String, Vec<u8>) {
    let job = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap();
    let mut payloads = shell.disk.0.iter();
    let payload = payloads
        .find(|(digest, _)| digest.0.starts_with(&job.artefact_digest))
        .unwrap()
        .1
        .clone();
    (job.path.as_str().to_string(), payload)
}

fn block(number: u32, size: BlockSize) -> Option<BlockValue> {
    Some(BlockValue::request(BlockNumber::new(number).unwrap(), size))
}

fn fetched(message: &Message<'_>) -> FetchedBlock {
    FetchedBlock {
        block2: message.block2().unwrap(),
        etag: message.etag(),
        size2: message.size2(),
        length: message.payload().len() as u32,
    }
}

/// Fetches the rest of `plan`, restarting the gateway before every `restart_every`-th block.
fn fetch(shell: &mut Shell, path: &[&str], plan: FetchPlan, restart_every: usize) -> Vec<u8> {
    let mut client = Block2Fetch::new(plan).unwrap();
    let mut body = Vec::new();
    for step in 0..10_000 {
        let Some(next) = client.next_request() else {
            return body;
        };
        if step % restart_every == restart_every - 1 {
            shell.restart();
        }
        let reply = shell.ask(peer(1), &get(1_000 + step as u16, path, Some(next)));
        let message = Message::parse(&reply).unwrap();
        assert_eq!(message.code(), Code::CONTENT);
        let taken = client.handle_response(fetched(&message)).unwrap();
        assert!(
            matches!(taken, Taken::Accept { offset, .. } if offset as usize == plan.offset as usize + body.len())
        );
        body.extend_from_slice(message.payload());
        shell.now_ms += 1_000;
    }
    panic!("the transfer does not end");
}

fn plan(size: BlockSize) -> FetchPlan {
    FetchPlan {
        etag: None,
        total: None,
        offset: 0,
        size,
    }
}

#[test]
fn a_whole_transfer_survives_restarts_of_the_gateway() {
    for size in [BlockSize::B16, BlockSize::B64, BlockSize::B1024] {
        let mut shell = Shell::ready(open());
        let (path, payload) = offered(&mut shell);
        assert_eq!(fetch(&mut shell, &[&path], plan(size), 3), payload);
    }
}

#[test]
fn a_transfer_resumes_in_the_middle() {
    let mut shell = Shell::ready(open());
    let (path, payload) = offered(&mut shell);
    shell.restart();
    let plan = FetchPlan {
        offset: 640,
        ..plan(BlockSize::B64)
    };
    assert_eq!(fetch(&mut shell, &[&path], plan, 4), payload[640..]);
}

#[test]
fn any_client_gets_an_image_by_its_digest_alone() {
    let mut shell = Shell::ready(open());
    let name = digest(2).short_hex();
    let first = shell.ask(peer(9), &get(1, &["i", &name], None));
    let first = Message::parse(&first).unwrap();
    assert_eq!(
        first.block2().unwrap(),
        Some(BlockValue {
            more: true,
            ..block(0, BlockSize::B1024).unwrap()
        })
    );
    assert_eq!((first.size2(), first.payload()), (Some(10_000), &raw(2)[..1_024]));
    assert_eq!(fetch(&mut shell, &["i", &name], plan(BlockSize::B256), 5), raw(2));
    let unknown = shell.ask(peer(9), &get(2, &["i", "0000000000000000"], None));
    assert_eq!(code(&unknown), Code::NOT_FOUND);
}

/// However large the block that is asked for, or without one: what comes fits the link's packets.
#[test]
fn coap_rs_69_an_answer_larger_than_a_datagram_comes_in_blocks() {
    for mtu in [128, 300, 576, 1_280] {
        let mut config = open();
        config.default_link.mtu = mtu;
        let room = usize::from(mtu - config.default_link.header_bytes);
        let mut shell = Shell::ready(config);
        let name = digest(2).short_hex();
        for asked in [None, block(0, BlockSize::B1024), block(0, BlockSize::B16)] {
            let reply = shell.ask(peer(9), &get(1, &["i", &name], asked));
            assert!(reply.len() <= room, "{} bytes for {room}", reply.len());
            assert!(Message::parse(&reply).unwrap().block2().unwrap().unwrap().more);
        }
        assert_eq!(
            fetch(&mut shell, &["i", &name], plan(BlockSize::B1024), 50),
            raw(2)
        );
    }
}

#[test]
fn an_image_that_is_not_built_yet_is_built_once_and_asked_for_later() {
    let mut shell = Shell::ready(open());
    shell.import(3);
    shell.restart();
    let name = digest(3).short_hex();
    for message_id in 1..4 {
        let reply = shell.ask(peer(9), &get(message_id, &["i", &name], None));
        let message = Message::parse(&reply).unwrap();
        assert_eq!(
            (message.code(), message.max_age()),
            (Code::SERVICE_UNAVAILABLE, Some(10))
        );
    }
    assert_eq!(shell.builds.len(), 1);
    shell.build_all();
    assert_eq!(
        code(&shell.ask(peer(9), &get(9, &["i", &name], None))),
        Code::CONTENT
    );
}

#[test]
fn aiocoap_246_300_every_block_carries_the_tag_and_the_first_one_the_size() {
    let mut shell = Shell::ready(open());
    let (path, payload) = offered(&mut shell);
    let tag = shell
        .disk
        .0
        .iter()
        .find(|(_, bytes)| **bytes == payload)
        .unwrap()
        .0
        .etag();
    for number in [0, 1, 7, 15] {
        let reply = shell.ask(
            peer(1),
            &get(number as u16 + 50, &[&path], block(number, BlockSize::B64)),
        );
        let message = Message::parse(&reply).unwrap();
        assert_eq!(message.etag(), Some(ETag::from_array(tag)));
        assert_eq!(message.size2(), (number == 0).then_some(1_000));
        assert_eq!(message.block2().unwrap().unwrap().more, number != 15);
    }
}

#[test]
fn size2_in_a_request_is_answered_on_any_block() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    let mut datagram = get(60, &[&path], block(3, BlockSize::B64));
    // Size2 is 28: delta 5 from Block2, no value.
    datagram.push(0x50);
    assert_eq!(
        Message::parse(&shell.ask(peer(1), &datagram)).unwrap().size2(),
        Some(1_000)
    );
}

#[test]
fn a_block_past_the_end_is_bad_and_an_unknown_path_not_found() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    let past = shell.ask(peer(1), &get(50, &[&path], block(16, BlockSize::B64)));
    assert_eq!(code(&past), Code::BAD_REQUEST);
    for unknown in [
        &["0000000"][..],
        &["x"],
        &[&path, "x"],
        &[],
        &["i"],
        &["i", "zz"],
        &["c", "x"],
    ] {
        assert_eq!(
            code(&shell.ask(peer(1), &get(51, unknown, None))),
            Code::NOT_FOUND,
            "{unknown:?}"
        );
    }
}

#[test]
fn other_methods_are_not_allowed() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    assert_eq!(
        code(&shell.ask(peer(1), &get(1, &["c"], None))),
        Code::METHOD_NOT_ALLOWED
    );
    for method in [Code::POST, Code::PUT, Code::DELETE, Code::FETCH] {
        let datagram = request(wire_coap::Kind::Confirmable, method, 7, &[&path], None, &[]);
        assert_eq!(code(&shell.ask(peer(1), &datagram)), Code::METHOD_NOT_ALLOWED);
    }
}

#[test]
fn the_resources_are_discovered() {
    let mut shell = Shell::new(open());
    let reply = shell.ask(peer(1), &get(1, &[".well-known", "core"], None));
    let message = Message::parse(&reply).unwrap();
    assert!(core::str::from_utf8(message.payload()).unwrap().contains("</c>"));
    assert_eq!(message.option(OptionNumber::BLOCK2), None);
}

#[test]
fn a_payload_that_cannot_be_read_is_built_again_and_asked_for_later() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    shell.disk.0.clear();
    let reply = shell.ask(peer(1), &get(50, &[&path], None));
    let message = Message::parse(&reply).unwrap();
    assert_eq!(message.code(), Code::SERVICE_UNAVAILABLE);
    assert!(message.max_age().is_some());
    assert!(message.etag().is_none());
    // Asked for once, however many devices come.
    shell.ask(peer(1), &get(51, &[&path], None));
    assert_eq!(shell.builds.len(), 1);
    shell.build_all();
    assert_eq!(code(&shell.ask(peer(1), &get(52, &[&path], None))), Code::CONTENT);
}

#[test]
fn a_payload_that_cannot_be_built_again_is_not_tried_for_ever() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    shell.disk.0.clear();
    shell.ask(peer(1), &get(50, &[&path], None));
    let key = shell.builds.pop().unwrap();
    shell.built(key, Err("disk is full".into()));
    for message_id in 51..60 {
        shell.ask(peer(1), &get(message_id, &[&path], None));
    }
    assert_eq!(shell.builds, []);
}

#[test]
fn a_payload_lost_with_the_disk_is_built_again_under_the_same_path() {
    let mut shell = Shell::ready(open());
    let (path, payload) = offered(&mut shell);
    shell.disk.0.clear();
    shell
        .changes
        .retain(|change| !matches!(change, Change::Artefact(_) | Change::Built(_)));
    shell.restart();
    let reply = shell.ask(peer(1), &get(50, &[&path], block(3, BlockSize::B64)));
    assert_eq!(code(&reply), Code::SERVICE_UNAVAILABLE);
    shell.build_all();
    let reply = shell.ask(peer(1), &get(51, &[&path], block(3, BlockSize::B64)));
    assert_eq!(Message::parse(&reply).unwrap().payload(), &payload[192..256]);
}

#[test]
fn payloads_lost_with_the_disk_are_built_at_the_start_and_not_only_when_asked_for() {
    let mut shell = Shell::ready(open());
    let (path, payload) = offered(&mut shell);
    shell.disk.0.clear();
    shell
        .changes
        .retain(|change| !matches!(change, Change::Artefact(_) | Change::Built(_)));
    shell.restart();
    shell.gateway.handle_start(shell.now());
    shell.drain();
    assert_eq!(
        shell.builds.len(),
        3,
        "plain payloads of both images, and the patch"
    );
    shell.build_all();
    let reply = shell.ask(peer(1), &get(50, &[&path], block(3, BlockSize::B64)));
    assert_eq!(Message::parse(&reply).unwrap().payload(), &payload[192..256]);
    shell.restart();
    shell.gateway.handle_start(shell.now());
    shell.drain();
    assert_eq!(shell.builds, []);
}

#[test]
fn progress_is_seen_while_it_happens_and_after_a_restart() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    assert_eq!(shell.gateway.updates()[0].stage, Stage::Offered);
    for number in 0..8 {
        shell.ask(
            peer(1),
            &get(50 + number as u16, &[&path], block(number, BlockSize::B64)),
        );
        shell.now_ms += 2_000;
    }
    let view = shell.gateway.updates().remove(0);
    let transfer = view.transfer.clone().unwrap();
    assert_eq!(view.stage, Stage::Transferring);
    assert_eq!(
        (transfer.progress.served_to, transfer.percent()),
        (Bytes(512), 51)
    );
    // 14 s for 512 bytes: 488 more take 13.3 s, rounded up.
    assert_eq!(transfer.expected_left_s, Some(14));
    let stored = |change: &&Change| matches!(change, Change::Served { .. });
    assert_eq!(shell.changes.iter().filter(stored).count(), 0);
    shell.sleep(60_000);
    assert_eq!(shell.changes.iter().filter(stored).count(), 1);
    shell.restart();
    assert_eq!(shell.gateway.updates().remove(0), view);
}

#[test]
fn checking_in_again_keeps_the_progress() {
    let mut shell = Shell::ready(open());
    let (path, _) = offered(&mut shell);
    shell.ask(peer(1), &get(50, &[&path], block(3, BlockSize::B64)));
    shell.check_in(1, 51, &check_in(1, 1));
    assert_eq!(
        shell.gateway.updates()[0]
            .transfer
            .as_ref()
            .unwrap()
            .progress
            .served_to,
        Bytes(256)
    );
}

#[test]
fn a_device_has_one_offer_at_a_time() {
    let mut shell = Shell::ready(open());
    let (first, _) = offered(&mut shell);
    shell.check_in(1, 3, &check_in(1, 2));
    assert_eq!(code(&shell.ask(peer(1), &get(4, &[&first], None))), Code::CONTENT);
    shell.import(3);
    shell
        .command(Command::Assign(
            Selector::Device(id(1)),
            digest(3),
            Terms::default(),
        ))
        .unwrap();
    shell.build_all();
    assert!(shell.check_in(1, 5, &check_in(1, 2)).job.is_some());
    assert_eq!(
        code(&shell.ask(peer(1), &get(6, &[&first], None))),
        Code::NOT_FOUND
    );
}

proptest! {
    #[test]
    fn any_block_at_any_time_is_the_right_one(
        asked in prop::collection::vec((0_u32..70, 0_u8..7, any::<bool>()), 1..40)
    ) {
        let mut shell = Shell::ready(open());
        let (path, payload) = offered(&mut shell);
        for (at, (number, szx, restart)) in asked.into_iter().enumerate() {
            if restart {
                shell.restart();
            }
            let size = BlockSize::from_szx(szx).unwrap();
            let reply = shell.ask(peer(3), &get(at as u16, &[&path], block(number, size)));
            let message = Message::parse(&reply).unwrap();
            let (from, to) = ((number * size.bytes()) as usize, ((number + 1) * size.bytes()) as usize);
            if from < payload.len() {
                prop_assert_eq!(message.payload(), &payload[from..to.min(payload.len())]);
            } else {
                prop_assert_eq!(message.code(), Code::BAD_REQUEST);
            }
            shell.now_ms += 1_000;
        }
    }
}

#[test]
fn a_pause_stops_blocks_keeps_what_was_told_and_lasts_over_a_restart() {
    let mut shell = Shell::ready(open());
    // Device 1 is in the middle, device 2 has everything, device 3 was told nothing yet.
    for number in 2..=3 {
        shell.check_in(number, 1, &check_in(number, 1));
        shell
            .command(Command::Assign(
                Selector::Device(id(number)),
                digest(2),
                Terms::default(),
            ))
            .unwrap();
    }
    shell.build_all();
    let path = |told: Told| told.job.unwrap().path.as_str().to_owned();
    let first = path(shell.check_in(1, 10, &check_in(1, 1)));
    let second = path(shell.check_in(2, 10, &check_in(2, 1)));
    shell.ask(peer(1), &get(11, &[&first], block(0, BlockSize::B64)));
    shell.ask(peer(2), &get(11, &[&second], None));

    let reply = shell.command(Command::Pause).unwrap();
    assert_eq!(
        reply.to_string(),
        "stopped new blocks; 1 transfer waits and goes on after update resume; \
         1 device is applying, safe, cannot be recalled"
    );
    assert_eq!(shell.command(Command::Pause).unwrap(), Reply::Unchanged);
    // Counters are stored once a minute.
    shell.sleep(61_000);
    shell.restart();

    let image = format!("{}", digest(2));
    for asked in [vec![first.as_str()], vec![&first, "m"], vec!["i", &image[..16]]] {
        let reply = shell.ask(peer(1), &get(20, &asked, block(1, BlockSize::B64)));
        let message = Message::parse(&reply).unwrap();
        assert_eq!(message.code(), Code::SERVICE_UNAVAILABLE, "{asked:?}");
        assert_eq!(message.max_age(), Some(300));
    }
    // Who was told is told the same; who was not is told nothing.
    assert_eq!(path(shell.check_in(1, 21, &check_in(1, 1))), first);
    assert_eq!(shell.check_in(3, 21, &check_in(3, 1)).job, None);
    let stage = |shell: &Shell, number| {
        let updates = shell.gateway.updates();
        updates
            .iter()
            .find(|update| update.device == id(number))
            .unwrap()
            .stage
    };
    assert_eq!(stage(&shell, 1), Stage::Paused);
    assert_eq!(stage(&shell, 2), Stage::Installing);
    assert_eq!(stage(&shell, 3), Stage::Paused);
    // Who has everything confirms itself.
    let mut trial = check_in(2, 2);
    trial.on_trial = true;
    shell.check_in(2, 22, &trial);
    assert_eq!(stage(&shell, 2), Stage::UpToDate);
    let view = shell.gateway.device(id(3)).unwrap();
    assert_eq!(view.next_step.unwrap().command, "deltagate update resume");

    let reply = shell.command(Command::Resume).unwrap();
    assert_eq!(
        reply.to_string(),
        "serving blocks again; 1 transfer goes on within 300 s"
    );
    assert_eq!(shell.command(Command::Resume).unwrap(), Reply::Unchanged);
    let reply = shell.ask(peer(1), &get(30, &[&first], block(1, BlockSize::B64)));
    assert_eq!(code(&reply), Code::CONTENT);
    assert!(shell.check_in(3, 30, &check_in(3, 1)).job.is_some());
}
