//! Answers to addresses that nobody proved: few bytes, no trace, and on it goes for whoever sends back what was sent there.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/initiator.rs"]
#[allow(dead_code, reason = "each test file uses a part")]
mod initiator;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use core::net::SocketAddr;
use gateway_core::{Change, Command, CoreConfig, Selector, Terms};
use initiator::{Keyed, hold_key};
use secure::SecureDevice;
use wire_coap::{BlockNumber, BlockSize, BlockValue, Code, Message, MessageId, OptionNumber, Token, Writer};

/// Of `gateway_core`'s own, which are not public.
const FREE_BYTES: usize = 16;
const BUDGET_BYTES: u64 = 8_192;
const BUDGET_BYTES_PER_SECOND: u64 = 16;
const HEADER_BYTES: u64 = 28;

/// An address that no prefix trusts.
fn outside(host: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, host], 5683))
}

/// The same request with what was to be sent back.
fn with_echo(request: &[u8], message_id: u16, echo: &[u8]) -> Vec<u8> {
    let request = Message::parse(request).unwrap();
    let mut buffer = [0; 1_500];
    let (kind, id) = (request.kind(), MessageId(message_id));
    let token = Token::from_u32(u32::from(message_id));
    let mut writer = Writer::new(&mut buffer, kind, request.code(), id, token).unwrap();
    for option in request.options() {
        writer.option(option.number, option.value).unwrap();
    }
    writer.option(OptionNumber::ECHO, echo).unwrap();
    writer.payload(request.payload()).unwrap();
    writer.finish().to_vec()
}

fn echo_of(reply: &[u8]) -> Option<Vec<u8>> {
    let message = Message::parse(reply).unwrap();
    let echo = message.option(OptionNumber::ECHO).map(<[u8]>::to_vec);
    assert!(echo.is_none() || message.code() == Code::UNAUTHORIZED && message.payload().is_empty());
    echo
}

fn block(message_id: u16, path: &[&str], number: u32, size: BlockSize) -> Vec<u8> {
    let block = BlockValue::request(BlockNumber::new(number).unwrap(), size);
    get(message_id, path, Some(block))
}

/// What was stored but for the links' own counters, and what is known.
fn stored(shell: &Shell, from: usize) -> Vec<Change> {
    let of_a_link = |change: &&Change| !matches!(change, Change::LinkCounters { .. });
    shell.changes[from..].iter().filter(of_a_link).cloned().collect()
}

/// Bytes on the link of answers that are longer than what came in somebody's name, and how many others there were.
#[derive(Default)]
struct Victim {
    amplified: u64,
    others: u64,
}

impl Victim {
    fn gets(&mut self, request: &[u8], shell: &mut Shell) {
        for (_, transmit) in shell.sent.drain(..) {
            match transmit.bytes.len() > request.len() + FREE_BYTES {
                true => self.amplified += transmit.bytes.len() as u64 + HEADER_BYTES,
                false => self.others += 1,
            }
        }
    }
}

#[test]
fn a_spoofed_flood_gets_a_neighbourhood_no_more_than_its_budget() {
    let mut shell = Shell::ready(open());
    let path = shell.check_in(1, 2, &check_in(1, 1)).job.unwrap().path;
    let (path, image) = (path.as_str(), digest(1).short_hex());
    shell.sleep(1_000_000);
    let (changes, devices) = (shell.changes.len(), shell.gateway.devices());
    let mut lie = check_in(1, 1);
    lie.last_update = outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    shell.sent.clear();
    let mut victim = Victim::default();
    const SECONDS: u64 = 100;
    for at in 0..50_000_u16 {
        let number = u32::from(at) % 9;
        let request = match at % 8 {
            0 => block(at, &["i", &image], number, BlockSize::B1024),
            1 => get(at, &["i", &image], None),
            2 => block(at, &[path], number, BlockSize::B1024),
            3 => get(at, &[path, "m"], None),
            4 => post(at, &lie),
            5 => post_to(at, &["c", "dry"], &lie),
            6 => get(at, &[".well-known", "core"], None),
            _ => post_to(at, &[".well-known", "edhoc"], &lie),
        };
        shell.send(outside(at as u8), &request);
        shell.sleep(2);
        victim.gets(&request, &mut shell);
    }
    assert!(victim.others > 40_000, "{}", victim.others);
    let budget = BUDGET_BYTES + SECONDS * BUDGET_BYTES_PER_SECOND;
    assert!(
        (BUDGET_BYTES / 2..=budget).contains(&victim.amplified),
        "{} of {budget}",
        victim.amplified
    );
    // And nothing was noted of it.
    shell.sleep(1_000_000);
    assert_eq!(stored(&shell, changes), []);
    assert_eq!(shell.gateway.devices(), devices);
    assert!(shell.gateway.status().challenges > 30_000);
}

#[test]
fn a_client_that_echoes_goes_on() {
    let mut shell = Shell::ready(open());
    let request = post(1, &check_in(1, 1));
    let (changes, from) = (shell.changes.len(), outside(1));
    let challenge = shell.ask(from, &request);
    assert!(challenge.len() <= request.len() + FREE_BYTES);
    assert_eq!(shell.changes.len(), changes);
    let echo = echo_of(&challenge).expect("a challenge");
    // In the name of another address it is worth nothing.
    let stolen = shell.ask(outside(2), &with_echo(&request, 2, &echo));
    assert_eq!(code(&stolen), Code::UNAUTHORIZED);
    let answer = told(&shell.ask(from, &with_echo(&request, 3, &echo)));
    let job = answer.job.unwrap();
    // From then on nothing has to be sent back.
    let mut payload = Vec::new();
    for number in 0..job.payload_bytes.div_ceil(64) {
        let reply = shell.ask(
            from,
            &block(10 + number as u16, &[job.path.as_str()], number, BlockSize::B64),
        );
        assert_eq!(code(&reply), Code::CONTENT);
        payload.extend(Message::parse(&reply).unwrap().payload());
    }
    assert_eq!(common::sha256(&payload)[..16], job.artefact_digest);
    assert_eq!(shell.gateway.status().challenges, 2);
}

#[test]
fn who_is_in_a_trusted_prefix_is_asked_nothing() {
    let mut trusting = open();
    trusting.trusted_prefixes.push("192.0.2.0/24".parse().unwrap());
    for (config, from) in [(open(), peer(9)), (trusting, outside(9))] {
        let mut shell = Shell::ready(config);
        let image = digest(1).short_hex();
        let mut bytes: Vec<u8> = Vec::new();
        // All of it, at once.
        for number in 0..10_000_u32.div_ceil(64) {
            let reply = shell.ask(
                from,
                &block(number as u16, &["i", &image], number, BlockSize::B64),
            );
            bytes.extend(Message::parse(&reply).unwrap().payload());
            shell.sleep(1);
        }
        assert_eq!(bytes, raw(1));
        assert!(told(&shell.ask(from, &post(1, &check_in(1, 1)))).job.is_some());
        assert_eq!(shell.gateway.status().challenges, 0);
    }
}

/// A client that cannot echo and is nowhere trusted sees that the gateway lives, and what it serves.
#[test]
fn who_cannot_echo_gets_a_few_blocks_of_a_public_image() {
    let mut config = CoreConfig::default();
    config.public_images.insert(digest(1).short());
    let mut shell = Shell::new(config);
    shell.import(1);
    shell.build_all();
    let image = digest(1).short_hex();
    let mut blocks = 0;
    let challenge = loop {
        let reply = shell.ask(
            outside(1),
            &block(blocks, &["i", &image], blocks.into(), BlockSize::B1024),
        );
        if code(&reply) != Code::CONTENT {
            break reply;
        }
        blocks += 1;
    };
    assert_eq!(blocks, 7);
    assert!(echo_of(&challenge).is_some());
    // In time there is more.
    shell.sleep(70_000);
    let reply = shell.ask(outside(1), &block(100, &["i", &image], 7, BlockSize::B1024));
    assert_eq!(code(&reply), Code::CONTENT);
}

/// Whoever recorded a request can send it again, with somebody else's address on it.
#[test]
fn a_recorded_request_brings_no_flood_to_somebody_else() {
    let mut shell = Shell::new(CoreConfig::default());
    shell.import(1);
    shell.import(2);
    shell.build_all();
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    device.address = outside(1);
    device.check_in(&mut shell, &check_in(1, 1));
    let assign = Command::Assign(Selector::Device(id(1)), digest(2), Terms::default());
    shell.command(assign).unwrap();
    shell.build_all();
    let told = device.check_in(&mut shell, &check_in(1, 1)).payload;
    let job = wire_checkin::Answer::decode(&told).unwrap().job.unwrap();
    let sent = device.block(job.path.as_str(), 0, BlockSize::B512);
    let reply = shell.ask(device.address, &sent.datagram);
    assert!(reply.len() > 512);
    let mut victim = Victim::default();
    for at in 0..10_000_u32 {
        shell.send(SocketAddr::from(([203, 0, 113, at as u8], 5683)), &sent.datagram);
        shell.sleep(1);
        victim.gets(&sent.datagram, &mut shell);
    }
    let budget = BUDGET_BYTES + 10 * BUDGET_BYTES_PER_SECOND;
    assert!(
        (1..=budget).contains(&victim.amplified),
        "{} of {budget}",
        victim.amplified
    );
    // The device itself gets it as often as it asks, and its request is authentic wherever it is.
    for _ in 0..100 {
        assert_eq!(shell.ask(device.address, &sent.datagram), reply);
        shell.sleep(1);
    }
    device.address = SocketAddr::from(([198, 51, 100, 1], 9));
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    assert_eq!(shell.gateway.status().challenges, 0);
}

/// Of a handshake something is kept until it ends.
#[test]
fn a_handshake_begins_where_somebody_is() {
    let mut shell = Shell::new(CoreConfig::default());
    hold_key(&mut shell);
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (_, first) = keyed.message_1(7);
    let challenge = shell.ask(outside(1), &first);
    let echo = echo_of(&challenge).expect("a challenge");
    let second = shell.ask(outside(1), &with_echo(&first, 77, &echo));
    assert_eq!(code(&second), Code::CHANGED);
    assert!(second.len() <= first.len() + FREE_BYTES);
}
