//! A device with a key of its own, and whoever gets in between when it establishes its credentials. The gateway's end is the crate's
//! responder, which is lakers'; what is promised over whole updates and power cuts is in `fleet/tests/establish.rs`.

#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use deltagate_agent::Event;
use deltagate_flash::sim::SimFlash;
use deltagate_flash::{Credentials, OwnKey, Region, Stored, keyed_credentials_behind};
use support::{Device, Gateway, Vendor, image};
use wire_coap::{Code, Kind, Message, Writer};
use wire_edhoc::{Credential, Established, HalfOpen, Hello, Payload, PrivateKey};
use wire_oscore::{Context, Id, Received, ReplayWindow};

fn key(seed: u8) -> PrivateKey {
    PrivateKey::of_seed(&[seed; 32]).unwrap()
}

const DEVICE: u8 = 1;
const GATEWAY: u8 = 2;

/// What is sent before an answer of the gateway's, by somebody who hears everything.
type Attack = Box<dyn FnMut(&[u8]) -> Vec<Vec<u8>>>;

/// The gateway's end.
struct Responder {
    device: Vec<u8>,
    half_open: Option<HalfOpen>,
    established: Option<Established>,
    window: ReplayWindow,
    /// What came and what went, by the length of each.
    lengths: Vec<(usize, usize)>,
    last: Option<(Vec<u8>, Vec<Vec<u8>>)>,
    attack: Attack,
}

impl Responder {
    fn handle(&mut self, datagram: &[u8], plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>) -> Vec<Vec<u8>> {
        if let Some((_, replies)) = self.last.as_ref().filter(|(last, _)| last == datagram) {
            return replies.clone();
        }
        let message = Message::parse(datagram).unwrap();
        let reply = match message.path_is(&wire_edhoc::PATH) {
            true => answer(
                &message,
                Code::CHANGED,
                self.message_2(&message, GATEWAY).as_slice(),
            ),
            false => self.protected(&message, datagram, plain),
        };
        self.lengths.push((datagram.len(), reply.len()));
        let mut replies = (self.attack)(&reply);
        replies.push(reply);
        self.last = Some((datagram.to_vec(), replies.clone()));
        replies
    }

    fn message_2(&mut self, message: &Message<'_>, by: u8) -> Vec<u8> {
        let Ok(Payload::First(message_1)) = Payload::read(message.payload()) else {
            panic!("no message_1");
        };
        let credential = Credential::new(&[0], key(by).public()).unwrap();
        let c_r = Id::new(&[0xA5, by]).unwrap();
        let hello = Hello::read(message_1).unwrap();
        let (half_open, message_2) = hello.answer(&key(by), &credential, &key(99), c_r).unwrap();
        self.half_open = Some(half_open);
        message_2.as_bytes().to_vec()
    }

    fn protected(
        &mut self,
        message: &Message<'_>,
        datagram: &[u8],
        plain: &mut dyn FnMut(&[u8]) -> Vec<Vec<u8>>,
    ) -> Vec<u8> {
        let mut room = [0; 2_048];
        let mut arrived = datagram.to_vec();
        if wire_edhoc::is_combined(message) {
            let (message_3, protected) = wire_edhoc::split(message, &mut room).unwrap();
            let claim = self.half_open.take().unwrap().open(message_3).unwrap();
            assert_eq!(claim.kid(), self.device);
            let credential = Credential::new(&self.device, key(DEVICE).public()).unwrap();
            self.established = Some(claim.verify(&credential).unwrap().established);
            self.window = ReplayWindow::new();
            arrived = protected.to_vec();
        }
        let context: Context = self.established.as_ref().unwrap().responder_context().unwrap();
        let Ok(Received::Request {
            message,
            mut exchange,
        }) = context.unprotect_request(&mut self.window, &mut arrived)
        else {
            panic!("the window is known");
        };
        let mut buffer = [0; 2_048];
        let token = message.token();
        let mut writer = Writer::new(
            &mut buffer,
            message.kind(),
            message.code(),
            message.message_id(),
            token,
        )
        .unwrap();
        message
            .options()
            .for_each(|option| writer.option(option.number, option.value).unwrap());
        writer.payload(message.payload()).unwrap();
        let reply = plain(writer.finish()).remove(0);
        let mut out = [0; 2_048];
        let reply = Message::parse(&reply).unwrap();
        let sent = context.protect_response(&mut exchange, None, &reply, &mut out);
        sent.unwrap().to_vec()
    }
}

/// In the clear, to this message or to what this message answers.
fn answer(to: &Message<'_>, code: Code, payload: &[u8]) -> Vec<u8> {
    let mut buffer = [0; 200];
    let (kind, id) = (Kind::Acknowledgement, to.message_id());
    let mut writer = Writer::new(&mut buffer, kind, code, id, to.token()).unwrap();
    writer.payload(payload).unwrap();
    writer.finish().to_vec()
}

/// A device that has a key, and its gateway, among these attackers.
fn keyed(attack: Attack) -> (Device, Rc<RefCell<Responder>>) {
    let v1 = Vendor::OURS.release(1, image(1, 6_001));
    let mut device = Device::new(&v1, Gateway::new(None));
    let partition = keyed_credentials_behind(&device.config.layout);
    let mut bytes = device.flash.borrow().bytes().to_vec();
    bytes.resize((partition.offset + partition.bytes) as usize, 0xFF);
    device.flash = RefCell::new(SimFlash::from_bytes(bytes));
    let own = OwnKey {
        private: *key(DEVICE).expose(),
        gateway: *key(GATEWAY).public().as_bytes(),
    };
    own.write(Region::new(&device.flash, partition)).unwrap();
    device.config.credentials = Some(partition);
    let responder = Rc::new(RefCell::new(Responder {
        device: device.config.device_id.as_bytes().to_vec(),
        half_open: None,
        established: None,
        window: ReplayWindow::new(),
        lengths: Vec::new(),
        last: None,
        attack,
    }));
    let shield = Rc::clone(&responder);
    device.gateway.shield = Some(Box::new(move |datagram, plain| {
        shield.borrow_mut().handle(datagram, plain)
    }));
    (device, responder)
}

fn established(device: &Device) -> usize {
    device.said(|event| *event == Event::Established)
}

fn checked_in_twice(device: &Device) -> bool {
    device.said(|event| matches!(event, Event::CheckedIn { .. })) == 2
}

#[test]
fn keys_cost_one_round_trip_and_so_many_bytes() {
    let (mut device, responder) = keyed(Box::new(|_| Vec::new()));
    device.run_until(checked_in_twice);
    let lengths = responder.borrow().lengths.clone();
    println!("{lengths:?}");
    let [hello, first, second] = lengths.try_into().unwrap();
    // Without a Content-Format; an option of 1 and 26 of message_3, for an identifier of 6 bytes.
    assert_eq!(hello, (65, 56));
    let kid_bytes = device.config.device_id.as_bytes().len();
    assert_eq!(first.0, second.0 + 1 + 20 + kid_bytes);
    assert_eq!(established(&device), 1);
    let region = Region::new(&device.flash, device.config.credentials.unwrap());
    let Stored::Sound(stored) = Credentials::read(region) else {
        panic!("they are stored");
    };
    let kept = &responder.borrow().established;
    assert_eq!(stored.master_secret, *kept.as_ref().unwrap().master_secret);
}

/// Of an answer: altered in every byte of its payload; another gateway's; errors, and to wait; a Reset and an acknowledgement. None of
/// them ends anything, and the true one is taken.
#[test]
fn whatever_comes_before_the_true_answer_is_as_if_it_had_not() {
    let attack: Attack = Box::new(|reply| {
        let message = Message::parse(reply).unwrap();
        let payload = message.payload();
        let altered = (1..=payload.len()).map(|from_end| {
            let mut altered = reply.to_vec();
            let at = altered.len() - from_end;
            altered[at] ^= 0x40;
            altered
        });
        let codes = [
            Code::BAD_REQUEST,
            Code::UNAUTHORIZED,
            Code::SERVICE_UNAVAILABLE,
            Code::CHANGED,
        ];
        let words = codes.map(|code| answer(&message, code, b"\x03\xF5"));
        let cut = (0..payload.len()).step_by(7);
        let cut = cut.map(|length| answer(&message, message.code(), &payload[..length]));
        let id = message.message_id();
        let empty = [wire_coap::reset(id), wire_coap::empty_acknowledgement(id)].map(Vec::from);
        altered.chain(words).chain(cut).chain(empty).collect()
    });
    let (mut device, responder) = keyed(attack);
    device.run_until(checked_in_twice);
    assert_eq!(established(&device), 1);
    assert_eq!(responder.borrow().lengths.len(), 3, "nothing was asked again");
    assert_eq!(device.said(|event| matches!(event, Event::Unanswered { .. })), 0);
}

/// A whole message_2, made to this message_1 by somebody with another key, and one that was recorded.
#[test]
fn a_message_2_of_somebody_else_is_no_answer() {
    let recorded = Rc::new(RefCell::new(None));
    let (mut device, _) = keyed(Box::new({
        let recorded = Rc::clone(&recorded);
        move |reply| {
            recorded.borrow_mut().get_or_insert(reply.to_vec());
            Vec::new()
        }
    }));
    device.run_until(|device| established(device) == 1);
    let recorded = recorded.borrow().clone().unwrap();
    let (mut device, responder) = keyed(Box::new(move |reply| {
        let (message, old) = (Message::parse(reply).unwrap(), Message::parse(&recorded).unwrap());
        vec![answer(&message, Code::CHANGED, old.payload())]
    }));
    // Another device's start, so that its message_1 is another.
    device.seed += 1;
    device.run_until(checked_in_twice);
    assert_eq!((established(&device), responder.borrow().lengths.len()), (1, 3));

    let (mut device, responder) = keyed(Box::new(|_| Vec::new()));
    let shield = Rc::clone(&responder);
    device.gateway.shield = Some(Box::new(move |datagram, _| {
        let message = Message::parse(datagram).unwrap();
        assert!(message.path_is(&wire_edhoc::PATH), "nothing else is said to it");
        let message_2 = shield.borrow_mut().message_2(&message, GATEWAY + 1);
        vec![answer(&message, Code::CHANGED, &message_2)]
    }));
    let until_ms = device.now_ms + 5 * 3_600_000;
    device.run_until(|device| device.now_ms > until_ms);
    assert_eq!(established(&device), 0);
}
