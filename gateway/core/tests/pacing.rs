//! What a slow link does to replies: 5.03, pacing, a bounded queue, and every byte counted.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{BitsPerSecond, Bytes, CoreConfig, LinkConfig, LinkView};
use proptest::prelude::*;
use wire_coap::{BlockNumber, BlockSize, BlockValue, Code, Message};

/// 8 kbit/s, so a byte takes a millisecond; a burst is one MTU of 600 bytes. A reply may wait 500 ms.
fn slow() -> CoreConfig {
    let slow = LinkConfig {
        name: link_name("slow"),
        prefixes: vec!["10.0.0.0/8".parse().unwrap()],
        rate: BitsPerSecond::new(8_000).unwrap(),
        mtu: 600,
        block_size_max: BlockSize::B512,
        ..open_link()
    };
    CoreConfig {
        links: vec![slow],
        ..open()
    }
}

fn link(shell: &Shell) -> LinkView {
    shell
        .gateway
        .links()
        .into_iter()
        .find(|link| link.config.name == link_name("slow"))
        .unwrap()
}

fn block(number: u32) -> Option<BlockValue> {
    Some(BlockValue::request(
        BlockNumber::new(number).unwrap(),
        BlockSize::B512,
    ))
}

fn image_path() -> String {
    digest(2).short_hex()
}

fn image_get(message_id: u16, number: u32) -> Vec<u8> {
    get(message_id, &["i", &image_path()], block(number))
}

#[test]
fn a_first_block_that_would_wait_too_long_is_put_off() {
    let mut shell = Shell::ready(slow());
    assert_eq!(code(&shell.ask(peer(1), &image_get(1, 0))), Code::CONTENT);
    // 42 bytes of the burst are left: room for the 5.03.
    let put_off = shell.ask(peer(2), &image_get(2, 0));
    let message = Message::parse(&put_off).unwrap();
    assert_eq!(
        (message.code(), message.max_age()),
        (Code::SERVICE_UNAVAILABLE, Some(1))
    );
    assert_eq!(link(&shell).events.deferred, 1);
    shell.sleep(1_000);
    assert_eq!(code(&shell.ask(peer(2), &image_get(3, 0))), Code::CONTENT);
}

#[test]
fn a_block_in_the_middle_of_a_transfer_is_paced() {
    let mut shell = Shell::ready(slow());
    shell.ask(peer(1), &image_get(1, 3));
    let start = shell.now_ms;
    shell.sent.clear();
    shell.send(peer(2), &image_get(2, 4));
    assert!(shell.sent.is_empty());
    assert!(shell.gateway.poll_timeout().is_some_and(|at| at > start));
    shell.sleep(5_000);
    let (at, transmit) = &shell.sent[0];
    assert_eq!(code(&transmit.bytes), Code::CONTENT);
    // Two replies of 512 bytes with 28 of IP and UDP and 18 of CoAP, less the burst.
    let reply = transmit.bytes.len() as u64 + 28;
    assert_eq!(*at, start + 2 * reply - 600);
    let events = link(&shell).events;
    assert_eq!((events.deferred, events.paced, events.dropped), (0, 1, 0));
}

#[test]
fn a_repeated_request_is_not_queued_twice() {
    let mut shell = Shell::ready(slow());
    shell.ask(peer(1), &image_get(1, 3));
    shell.sent.clear();
    for _ in 0..5 {
        shell.send(peer(2), &image_get(2, 4));
    }
    shell.sleep(60_000);
    assert_eq!(shell.sent.len(), 1);
    assert_eq!(link(&shell).events.repeated, 4);
}

#[test]
fn a_check_in_that_is_put_off_changes_nothing() {
    let mut shell = Shell::ready(slow());
    shell.ask(peer(1), &image_get(1, 0));
    shell.sent.clear();
    let changes = shell.changes.len();
    shell.send(peer(1), &post(2, &check_in(1, 1)));
    assert_eq!(shell.changes.len(), changes);
    shell.sleep(3_000);
    assert_eq!(code(&shell.sent[0].1.bytes), Code::SERVICE_UNAVAILABLE);
    assert!(shell.check_in(1, 3, &check_in(1, 1)).job.is_some());
}

#[test]
fn the_queue_is_bounded_and_the_overflow_counted() {
    let mut shell = Shell::ready(slow());
    shell.ask(peer(1), &image_get(1, 3));
    for message_id in 0..1_100 {
        shell.send(peer(2), &image_get(message_id, 4));
    }
    let view = link(&shell);
    assert_eq!((view.queued, view.events.dropped), (1_024, 76));
}

#[test]
fn one_link_does_not_slow_another() {
    let mut shell = Shell::ready(slow());
    shell.ask(peer(1), &image_get(1, 3));
    let elsewhere = "192.0.2.1:5683".parse().unwrap();
    assert_eq!(code(&shell.ask(elsewhere, &image_get(1, 0))), Code::CONTENT);
}

#[test]
fn bytes_and_airtime_are_attributed_by_path_even_behind_one_address() {
    let mut shell = Shell::ready(slow());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    shell.now_ms += 10_000;
    let before = shell.gateway.device(id(1)).unwrap().counters;
    let datagram = get(3, &[path.as_str()], None);
    let reply = shell.ask(peer(77), &datagram);
    let after = shell.gateway.device(id(1)).unwrap().counters;
    let down = reply.len() as u64 + 28;
    assert_eq!(after.down.bytes.0 - before.down.bytes.0, down);
    assert_eq!(after.up.bytes.0 - before.up.bytes.0, datagram.len() as u64 + 28);
    assert_eq!(
        after.down.air_time.micros - before.down.air_time.micros,
        down * 1_000
    );
    let unattributed = link(&shell).unattributed;
    shell.now_ms += 10_000;
    shell.ask(peer(1), &image_get(9, 0));
    assert!(link(&shell).unattributed.down.bytes > unattributed.down.bytes);
    assert_eq!(shell.gateway.device(id(1)).unwrap().counters, after);
}

#[test]
fn a_link_counts_what_its_devices_and_strangers_count() {
    let mut shell = Shell::ready(slow());
    for number in 1..=4 {
        shell.now_ms += 5_000;
        shell.check_in(number, 5, &check_in(number, 1));
        shell.now_ms += 5_000;
        shell.ask(peer(number), &image_get(6, 0));
    }
    let view = link(&shell);
    let devices: Bytes = shell
        .gateway
        .devices()
        .iter()
        .map(|device| device.counters.down.bytes)
        .sum();
    assert_eq!(view.total.down.bytes, devices + view.unattributed.down.bytes);
}

#[test]
fn counters_are_stored_at_most_once_per_interval() {
    let mut shell = Shell::ready(slow());
    shell.sleep(60_000);
    let stored = |shell: &Shell| {
        let counters =
            |change: &&gateway_core::Change| matches!(change, gateway_core::Change::LinkCounters { .. });
        shell.changes.iter().filter(counters).count()
    };
    let before = stored(&shell);
    for message_id in 0..100 {
        shell.send(peer(1), &image_get(message_id, 3));
        shell.sleep(600);
    }
    assert!((1..=2).contains(&(stored(&shell) - before)));
}

proptest! {
    /// The promise to the link, checked at the socket: over any window, rate and one burst.
    #[test]
    fn no_window_exceeds_rate_and_burst(
        steps in prop::collection::vec((0_u64..900, 0_u8..6, 0_u32..25, any::<bool>()), 1..60)
    ) {
        let mut shell = Shell::ready(slow());
        shell.sent.clear();
        for (at, (pause_ms, from, number, checks_in)) in steps.into_iter().enumerate() {
            shell.sleep(pause_ms);
            let datagram = match checks_in {
                true => post(at as u16, &check_in(from, 1)),
                false => image_get(at as u16, number),
            };
            shell.send(peer(from), &datagram);
        }
        shell.sleep(120_000);
        prop_assert_eq!(link(&shell).queued, 0);
        for (from, (start, _)) in shell.sent.iter().enumerate() {
            let mut sum = 0;
            for (at, transmit) in &shell.sent[from..] {
                sum += transmit.bytes.len() as u64 + 28;
                prop_assert!(sum <= (at - start) + 600, "{} bytes in {} ms", sum, at - start);
            }
        }
    }
}
