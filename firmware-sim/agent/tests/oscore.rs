//! A device with credentials: whole updates under OSCORE, over bad links, through restarts of either side, and among forgeries.
//! On the air, at every moment of every test, no number is used for two messages.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use deltagate_agent::Event;
use deltagate_flash::sim::{PowerCut, SimFlash};
use deltagate_flash::{Credentials, Region, SEQUENCE_CHUNK, SequenceLog, credentials_behind};
use support::{Device, Gateway, LAYOUT, Link, Offer, Release, Vendor, image};
use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Writer};
use wire_oscore::{Context, EchoValue, Id, OscoreOption, Received, ReplayWindow, SenderSequence};

const KID: [u8; 2] = [0x12, 0x34];
const GATEWAY: [u8; 1] = [0x67];

/// What is made of a response.
type Attack = fn(&[u8]) -> Vec<Vec<u8>>;

/// The gateway's side of OSCORE, and the air before it.
struct Channel {
    context: Context,
    window: ReplayWindow,
    sequence: SenderSequence,
    /// What was answered, and with what: the message layer's memory of duplicates.
    answered: BTreeMap<Vec<u8>, Vec<Vec<u8>>>,
    /// Every message that was ever on the air, by its number.
    heard: BTreeMap<u64, Vec<u8>>,
    challenges: usize,
    requests: usize,
    restarts: u8,
    /// What an attacker sends first, of a response that is about to be sent.
    attack: Option<Attack>,
    /// The gateway restarts before the request of this count.
    restart_at: Option<usize>,
}

fn context(own: &[u8], other: &[u8]) -> Context {
    let (own, other) = (Id::new(own).unwrap(), Id::new(other).unwrap());
    Context::derive(b"the devices own!", b"salt", None, own, other).unwrap()
}

impl Channel {
    fn new() -> Channel {
        let mut sequence = SenderSequence::resume(0);
        sequence.reserved(1_000);
        Channel {
            context: context(&GATEWAY, &KID),
            window: ReplayWindow::new(),
            sequence,
            answered: BTreeMap::new(),
            heard: BTreeMap::new(),
            challenges: 0,
            requests: 0,
            restarts: 0,
            attack: None,
            restart_at: None,
        }
    }

    fn restart(&mut self) {
        self.restarts += 1;
        self.window = ReplayWindow::lost(EchoValue([self.restarts; 8]));
        self.answered.clear();
    }

    fn handle(&mut self, datagram: &[u8], plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let outer = Message::parse(datagram).unwrap();
        if outer.code().is_empty() {
            return plain(datagram);
        }
        self.hear(&outer, datagram);
        if let Some(replies) = self.answered.get(datagram) {
            return replies.clone();
        }
        self.requests += 1;
        if self.restart_at == Some(self.requests) {
            self.restart();
        }
        let replies = self.reply(datagram, plain);
        self.answered.insert(datagram.to_vec(), replies.clone());
        let forged = |reply: &Vec<u8>| self.attack.map_or(Vec::new(), |attack| attack(reply));
        replies
            .iter()
            .flat_map(|reply| [forged(reply), vec![reply.clone()]].concat())
            .collect()
    }

    /// A number is one message's, and its copies'.
    fn hear(&mut self, outer: &Message<'_>, datagram: &[u8]) {
        let value = outer
            .option(OptionNumber::OSCORE)
            .expect("nothing goes in the clear");
        let option = OscoreOption::parse(value).unwrap();
        assert_eq!((outer.code(), option.kid), (Code::POST, Some(&KID[..])));
        let number = option.partial_iv.unwrap().value();
        let before = self.heard.entry(number).or_insert_with(|| datagram.to_vec());
        assert!(*before == datagram, "{number} was used before");
    }

    fn reply(&mut self, datagram: &[u8], plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        let (mut arrived, mut out) = (datagram.to_vec(), [0; 2_048]);
        match self
            .context
            .unprotect_request(&mut self.window, &mut arrived)
            .unwrap()
        {
            Received::Unproven(challenge) => {
                self.challenges += 1;
                let fresh = self.sequence.take().unwrap();
                let sent = challenge.protect(&self.context, fresh, MessageId(1), &mut out);
                vec![sent.unwrap().to_vec()]
            }
            Received::Request {
                message,
                mut exchange,
            } => {
                let replies = plain(&written(&message));
                let mut protect = |reply: &Vec<u8>| {
                    let reply = Message::parse(reply).unwrap();
                    if reply.code().is_empty() {
                        return written(&reply);
                    }
                    let sent = self
                        .context
                        .protect_response(&mut exchange, None, &reply, &mut out);
                    sent.unwrap().to_vec()
                };
                replies.iter().map(&mut protect).collect()
            }
        }
    }
}

fn written(message: &Message<'_>) -> Vec<u8> {
    let mut buffer = [0; 2_048];
    let (kind, code, id) = (message.kind(), message.code(), message.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, message.token()).unwrap();
    for option in message.options() {
        // The gateway of these tests knows nothing of proofs.
        if option.number != OptionNumber::ECHO {
            writer.option(option.number, option.value).unwrap();
        }
    }
    writer.payload(message.payload()).unwrap();
    writer.finish().to_vec()
}

/// The record that the device was given: docs/identity.md.
fn record() -> Vec<u8> {
    let mut record = b"DGC0\x00\x01the devices own!\x04salt\x00".to_vec();
    for name in [&KID[..], &GATEWAY] {
        record.push(name.len() as u8);
        record.extend(name);
    }
    record[4] = record.len() as u8 + 4;
    let crc = crc32(&record);
    record.extend(crc.to_le_bytes());
    record
}

/// CRC-32/ISO-HDLC, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0xEDB8_8320 * (crc & 1));
        }
    }
    !crc
}

fn full(_: &Release, target: &Release) -> Offer {
    Offer::full(target)
}

/// A device that runs version 1 and has credentials, its gateway with an update for it, and the channel between them.
fn secured(offer: impl Fn(&Release, &Release) -> Offer) -> (Device, Rc<RefCell<Channel>>) {
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, 6_001));
    let (v1, v2) = (release(1), release(2));
    let mut device = Device::new(&v1, Gateway::new(Some(offer(&v1, &v2))));
    let partition = credentials_behind(&LAYOUT);
    assert!(LAYOUT.leaves_free(partition));
    let mut bytes = device.flash.borrow().bytes().to_vec();
    bytes.resize((partition.offset + partition.bytes) as usize, 0xFF);
    device.flash = RefCell::new(SimFlash::from_bytes(bytes));
    Credentials::write(&record(), Region::new(&device.flash, partition)).unwrap();
    device.config.credentials = Some(partition);
    let channel = Rc::new(RefCell::new(Channel::new()));
    let shield = Rc::clone(&channel);
    device.gateway.shield = Some(Box::new(move |datagram, plain| {
        shield.borrow_mut().handle(datagram, plain)
    }));
    (device, channel)
}

/// Where the power went away before the event was told, the next boot shows it.
fn confirmed(device: &Device) -> bool {
    let runs = device
        .boots
        .last()
        .is_some_and(|boot| boot.sequence == 2 && !boot.on_trial);
    runs || device.events.contains(&Event::Confirmed { sequence: 2 })
}

/// How many blocks were asked for besides the first time.
fn repeated(device: &Device) -> usize {
    let mut blocks = device.gateway.blocks();
    let all = blocks.len();
    blocks.sort_unstable();
    blocks.dedup();
    all - blocks.len()
}

#[test]
fn an_update_takes_as_many_round_trips_as_without() {
    let (mut device, channel) = secured(Offer::patch);
    let blocks = device.gateway.offer.as_ref().unwrap().payload.len().div_ceil(128);
    device.run_until(confirmed);
    assert_eq!(
        device.gateway.requests.len(),
        1 + blocks + 1,
        "no handshake, nothing twice"
    );
    let channel = channel.borrow();
    assert_eq!((channel.requests, channel.challenges), (1 + blocks + 1, 0));
    let region = Region::new(&device.flash, device.config.credentials.unwrap());
    assert_eq!(
        SequenceLog::open(region).unwrap().end() % u64::from(SEQUENCE_CHUNK),
        0
    );
    assert_eq!(
        Credentials::read(region),
        Ok(Credentials::decode(&record())),
        "no update touches them"
    );
}

#[test]
fn a_bad_link_costs_no_more_than_without() {
    for seed in 0..12 {
        let (mut device, channel) = secured(if seed % 2 == 0 { Offer::patch } else { full });
        device.link = Link::bad(seed);
        device.gateway.separate = seed % 3 == 0;
        device.run_until(confirmed);
        assert_eq!(device.boot_log().confirmed, Some(2));
        assert_eq!(channel.borrow().challenges, 0, "seed {seed}");
    }
}

/// Before every request of an update once: the gateway comes back without its windows, and asks for one proof.
#[test]
fn a_gateway_that_restarts_costs_one_round_trip() {
    let (mut device, channel) = secured(Offer::patch);
    device.run_until(confirmed);
    let requests = channel.borrow().requests;
    for restart_at in 1..=requests {
        let (mut device, channel) = secured(Offer::patch);
        channel.borrow_mut().restart_at = Some(restart_at);
        device.run_until(confirmed);
        let channel = channel.borrow();
        assert_eq!(
            (channel.requests, channel.challenges),
            (requests + 1, 1),
            "before {restart_at}"
        );
        assert_eq!(repeated(&device), 0, "what was challenged was not answered");
    }
}

#[test]
fn a_device_that_restarts_goes_on_with_new_numbers() {
    let (mut device, channel) = secured(full);
    device.cut = Some(PowerCut {
        operation: 40,
        torn_at: 1,
    });
    device.cut_again = Some(PowerCut {
        operation: 30,
        torn_at: 0,
    });
    device.run_until(confirmed);
    assert_eq!(device.power_cuts, 2);
    assert!(repeated(&device) <= 2, "a block a restart at most");
    let channel = channel.borrow();
    assert_eq!(channel.challenges, 0);
    let numbers: Vec<u64> = channel.heard.keys().copied().collect();
    let chunk = u64::from(SEQUENCE_CHUNK);
    for start in 0..4 {
        assert!(
            numbers.contains(&(start * chunk)),
            "each start begins where nothing was reserved"
        );
    }
}

/// Every cut of a whole update, in every flash operation: `Channel::hear` looks at every message of the device's whole life.
#[test]
fn no_number_is_used_twice_whatever_the_cut() {
    let (mut device, _) = secured(Offer::patch);
    device.run_until(confirmed);
    let operations = device.flash.borrow().operations();
    let mut cuts = 0;
    for operation in 0..operations {
        let (mut device, channel) = secured(Offer::patch);
        // Before the first byte, in the record, in its mark.
        let torn_at = [0, 30, 65][operation as usize % 3];
        device.cut = Some(PowerCut { operation, torn_at });
        device.run_until(confirmed);
        cuts += device.power_cuts;
        assert!(repeated(&device) <= 1, "operation {operation}");
        assert_eq!(channel.borrow().challenges, 0);
    }
    println!("{cuts} power cuts");
    assert!(cuts > 100, "{cuts}");
}

/// Of a protected response: altered in each byte of its end, in the clear with another answer, and a Reset.
fn forgeries(reply: &[u8]) -> Vec<Vec<u8>> {
    let message = Message::parse(reply).unwrap();
    if message.code().is_empty() {
        return Vec::new();
    }
    let altered = (1..12).map(|from_end| {
        let mut altered = reply.to_vec();
        let at = altered.len() - from_end;
        altered[at] ^= 0x10;
        altered
    });
    let mut buffer = [0; 100];
    let (id, token) = (message.message_id(), message.token());
    let mut plain = |code| {
        let mut writer = Writer::new(&mut buffer, Kind::Acknowledgement, code, id, token).unwrap();
        writer.payload(b"from a stranger").unwrap();
        writer.finish().to_vec()
    };
    let in_the_clear = [Code::NOT_FOUND, Code::CONTENT, Code::UNAUTHORIZED, Code::CHANGED].map(&mut plain);
    altered.chain(in_the_clear).collect()
}

#[test]
fn forged_answers_are_as_if_they_had_not_come() {
    let (mut device, channel) = secured(Offer::patch);
    let blocks = device.gateway.offer.as_ref().unwrap().payload.len().div_ceil(128);
    channel.borrow_mut().attack = Some(forgeries);
    device.run_until(confirmed);
    assert_eq!(
        channel.borrow().requests,
        1 + blocks + 1,
        "the true answers are taken"
    );
    assert_eq!(device.said(|event| matches!(event, Event::Dropped { .. })), 0);
    assert_eq!(device.said(|event| matches!(event, Event::Unanswered { .. })), 0);
}

#[test]
fn without_credentials_a_device_speaks_as_ever() {
    let release = |sequence| Vendor::OURS.release(sequence, image(sequence as u8, 6_001));
    let (v1, v2) = (release(1), release(2));
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    device.run_until(confirmed);
    // A partition in which nobody wrote any.
    let partition = credentials_behind(&LAYOUT);
    let mut device = Device::new(&v1, Gateway::new(Some(Offer::patch(&v1, &v2))));
    let mut bytes = device.flash.borrow().bytes().to_vec();
    bytes.resize((partition.offset + partition.bytes) as usize, 0xFF);
    device.flash = RefCell::new(SimFlash::from_bytes(bytes));
    device.config.credentials = Some(partition);
    device.run_until(confirmed);
    assert!(
        Region::new(&device.flash, partition)
            .is_erased(0, partition.bytes)
            .unwrap()
    );
}
