//! Devices with keys of their own: EDHOC gives them the keys of the channel, nobody else any, and loses nothing on the way.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/initiator.rs"]
mod initiator;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use gateway_core::{
    Access, Command, CoreConfig, IdentityCommand, IdentityRefusal, LinkConfig, LinkName, Refusal,
};
use initiator::{Keyed, combine, enrol, hold_key, key, say, speaker};
use proptest::prelude::*;
use secure::{SecureDevice, credentials};
use wire_checkin::CHECK_IN_BYTES_MAX;
use wire_coap::{Code, Message};
use wire_edhoc::{Initiator, Payload};
use wire_oscore::Id;

fn site() -> Shell {
    let config = CoreConfig {
        default_link: LinkConfig {
            access: Access::Authenticated,
            ..LinkConfig::default()
        },
        ..CoreConfig::default()
    };
    let mut shell = Shell::new(config);
    hold_key(&mut shell);
    shell
}

fn body(number: u8) -> Vec<u8> {
    let mut body = [0; CHECK_IN_BYTES_MAX];
    check_in(number, 1).encode(&mut body).unwrap().to_vec()
}

fn kids(shell: &Shell, number: u8) -> usize {
    shell
        .gateway
        .device(id(number))
        .map_or(0, |view| view.identity.kids.len())
}

#[test]
fn a_device_with_a_key_of_its_own_is_served_where_no_stranger_is() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    assert_eq!(kids(&shell, 1), 0);
    let mut device = keyed.establish(&mut shell);
    assert_eq!(kids(&shell, 1), 1);
    // Under keys that nobody used before there is nothing to challenge.
    let mut sent = device.protect(Code::POST, &["c"], None, &body(1));
    let reply = shell.ask(device.address, &sent.datagram);
    assert_eq!(device.read(&mut sent, &reply).unwrap().code, Code::CHANGED);
    let identity = shell.gateway.device(id(1)).unwrap().identity;
    assert!(identity.used_unix_s.is_some());
}

#[test]
fn a_check_in_that_brings_message_3_along_saves_a_round_trip() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (proved, message_3) = keyed.begin(&mut shell);
    let mut device = speaker(1, &proved.established);
    let mut sent = device.protect(Code::POST, &["c"], None, &body(1));
    let combined = combine(&sent.datagram, &message_3);
    let reply = shell.ask(device.address, &combined);
    assert_eq!(device.read(&mut sent, &reply).unwrap().code, Code::CHANGED);
    // A retransmission gets the same bytes, also from somewhere else, and leads to nothing.
    let changes = shell.changes.len();
    assert_eq!(shell.ask(peer(77), &combined), reply);
    assert_eq!(shell.changes.len(), changes);
    // What follows goes as ever.
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// The figures of docs/protocol.md: token of four bytes, identifier of six, C_R of two.
#[test]
fn what_a_handshake_costs_on_the_air() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (initiator, first) = keyed.message_1(7);
    let second = shell.ask(peer(1), &first);
    let (proved, message_3) = keyed.prove(&initiator, &second).unwrap();
    let mut device = speaker(1, &proved.established);
    let sent = device.protect(Code::POST, &["c"], None, &body(1));
    let combined = combine(&sent.datagram, &message_3);
    let third = keyed.post(Payload::Third(proved.established.initiator, &message_3));
    let fourth = shell.ask(peer(1), &third);
    let lengths = [&first, &second, &third, &fourth].map(Vec::len);
    assert_eq!(lengths, [67, 58, 58, 20]);
    assert_eq!(combined.len() - sent.datagram.len(), 27);
}

#[test]
fn a_retransmitted_message_3_gets_the_same_message_4() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (proved, message_3) = keyed.begin(&mut shell);
    let request = keyed.post(Payload::Third(proved.established.initiator, &message_3));
    let reply = shell.ask(peer(1), &request);
    let changes = shell.changes.len();
    assert_eq!(shell.ask(peer(1), &request), reply);
    assert_eq!(shell.changes.len(), changes);
    // Another request with it is of a handshake that is over.
    let request = keyed.post(Payload::Third(proved.established.initiator, &message_3));
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::BAD_REQUEST);
}

#[test]
fn a_device_that_never_hears_of_the_end_goes_on_with_the_keys_it_has() {
    let mut shell = site();
    let mut old = SecureDevice::enrolled(&mut shell, 1);
    old.check_in(&mut shell, &check_in(1, 1));
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    for _ in 0..3 {
        let (proved, message_3) = keyed.begin(&mut shell);
        let request = keyed.post(Payload::Third(proved.established.initiator, &message_3));
        // The answer is lost.
        shell.ask(peer(1), &request);
        assert_eq!(kids(&shell, 1), 2);
        assert_eq!(old.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    }
    let mut new = keyed.establish(&mut shell);
    assert_eq!(new.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    assert_eq!(kids(&shell, 1), 1);
    let sent = old.protect(Code::POST, &["c"], None, &body(1));
    assert_eq!(code(&shell.ask(old.address, &sent.datagram)), Code::UNAUTHORIZED);
}

#[test]
fn a_restart_in_the_middle_costs_a_handshake_and_one_at_the_end_a_challenge() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (proved, message_3) = keyed.begin(&mut shell);
    let mut device = speaker(1, &proved.established);
    let sent = device.protect(Code::POST, &["c"], None, &body(1));
    shell.restart();
    shell.gateway.handle_random(&[0x5F; 32]);
    let reply = shell.ask(device.address, &combine(&sent.datagram, &message_3));
    assert_eq!(code(&reply), Code::UNAUTHORIZED);
    assert_eq!(kids(&shell, 1), 0);
    let mut device = keyed.establish(&mut shell);
    shell.restart();
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

#[test]
fn whoever_does_not_hold_the_key_changes_nothing_and_learns_nothing() {
    let mut shell = site();
    Keyed::enrolled(&mut shell, 1);
    let changes = shell.changes.len();
    let mut told = Vec::new();
    // Device 1 is enrolled with another key, device 2 not at all.
    for number in [1, 2] {
        let mut thief = Keyed {
            key: key(9),
            ..Keyed::new(number)
        };
        let (proved, message_3) = thief.begin(&mut shell);
        let request = thief.post(Payload::Third(proved.established.initiator, &message_3));
        let reply = shell.ask(peer(9), &request);
        let reply = Message::parse(&reply).unwrap();
        told.push((reply.code(), reply.payload().to_vec()));
        // Nor with a request behind it.
        let (proved, message_3) = thief.begin(&mut shell);
        let sent = speaker(number, &proved.established).protect(Code::POST, &["c"], None, &body(number));
        let reply = shell.ask(peer(9), &combine(&sent.datagram, &message_3));
        let reply = Message::parse(&reply).unwrap();
        told.push((reply.code(), reply.payload().to_vec()));
    }
    assert!(told.iter().all(|told| *told == told_of_nobody()), "{told:?}");
    assert_eq!(shell.changes.len(), changes);
}

/// RFC 9528 §6.4: ERR_CODE 3.
fn told_of_nobody() -> (Code, Vec<u8>) {
    (Code::BAD_REQUEST, vec![3, 0xF5])
}

#[test]
fn a_message_3_of_somebody_else_does_not_end_a_handshake() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (mut proved, message_3) = keyed.begin(&mut shell);
    let c_r = proved.established.initiator;
    for bit in 0..message_3.len() * 8 {
        let mut forged = message_3.clone();
        forged[bit / 8] ^= 1 << (bit % 8);
        let request = keyed.post(Payload::Third(c_r, &forged));
        assert_eq!(say(&mut shell, peer(9), &request), None);
        let sent = speaker(1, &proved.established).protect(Code::POST, &["c"], None, &body(1));
        // Where its length is another, it is no such request at all.
        let reply = say(&mut shell, peer(9), &combine(&sent.datagram, &forged));
        assert!(reply.is_none_or(|reply| code(&reply) == Code::BAD_REQUEST));
    }
    let request = keyed.post(Payload::Third(c_r, &message_3));
    let reply = shell.ask(peer(1), &request);
    proved.confirm(Message::parse(&reply).unwrap().payload()).unwrap();
}

#[test]
fn strangers_get_so_many_handshakes_on_their_link_and_make_the_gateway_write_nothing() {
    let links = vec![LinkConfig {
        name: LinkName("radio".into()),
        prefixes: vec!["10.0.0.1/32".parse().unwrap()],
        ..LinkConfig::default()
    }];
    let mut shell = Shell::new(CoreConfig {
        links,
        ..CoreConfig::default()
    });
    hold_key(&mut shell);
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let changes = shell.changes.len();
    let mut stranger = Keyed::new(2);
    let (mut answered, mut put_off) = (0, 0);
    for _ in 0..100 {
        let (_, request) = stranger.message_1(7);
        let reply = shell.ask(peer(2), &request);
        // Not even an answer is longer than what asks for it.
        assert!(reply.len() <= request.len());
        match code(&reply) {
            Code::CHANGED => answered += 1,
            Code::SERVICE_UNAVAILABLE => put_off += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((answered, put_off), (32, 68));
    // Device 1 comes over another link.
    keyed.establish(&mut shell);
    shell.now_ms += 1_000;
    let answers = |shell: &mut Shell, stranger: &mut Keyed| {
        let replies = (0..9).map(|_| code(&shell.ask(peer(2), &stranger.message_1(7).1)));
        replies.filter(|code| *code == Code::CHANGED).count()
    };
    assert_eq!(answers(&mut shell, &mut stranger), 4);
    let of_device_1 = 4;
    assert!(shell.changes.len() <= changes + of_device_1);
}

#[test]
fn a_handshake_that_nobody_ends_is_forgotten() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let (proved, message_3) = keyed.begin(&mut shell);
    let due_ms = shell.gateway.poll_timeout().unwrap();
    assert!(due_ms <= shell.now_ms + 247_000);
    shell.sleep(247_000);
    let request = keyed.post(Payload::Third(proved.established.initiator, &message_3));
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::BAD_REQUEST);
    assert_eq!(kids(&shell, 1), 0);
}

#[test]
fn a_key_belongs_to_one_device_and_goes_with_it() {
    let mut shell = site();
    let mut keyed = Keyed::enrolled(&mut shell, 1);
    let refusal = |shell: &mut Shell, number, seed| {
        let enrolment = gateway_core::Enrolment {
            device: id(number),
            credentials: None,
            psk: None,
            public_key: Some(*key(seed).public()),
            names: Vec::new(),
            label: None,
            group: None,
        };
        shell.command(Command::Identity(IdentityCommand::Enrol(enrolment)))
    };
    let taken = Refusal::Identity(IdentityRefusal::PublicKeyTaken { by: id(1) });
    assert_eq!(refusal(&mut shell, 2, 1), Err(taken));
    let other = Refusal::Identity(IdentityRefusal::OtherPublicKey(id(1)));
    assert_eq!(refusal(&mut shell, 1, 2), Err(other));
    assert_eq!(refusal(&mut shell, 1, 1), Ok(gateway_core::Reply::Unchanged));
    keyed.establish(&mut shell);
    shell
        .command(Command::Identity(IdentityCommand::Retire(id(1))))
        .unwrap();
    shell.restart();
    shell.gateway.handle_random(&[1; 32]);
    assert_eq!(kids(&shell, 1), 0);
    let (proved, message_3) = keyed.begin(&mut shell);
    let request = keyed.post(Payload::Third(proved.established.initiator, &message_3));
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::BAD_REQUEST);
    // Its key may serve again, where an operator says so.
    enrol(&mut shell, 1, *key(1).public());
    keyed.establish(&mut shell);
}

#[test]
fn both_ends_never_get_one_id_and_no_id_that_is_taken() {
    let mut shell = site();
    let mut seen = std::collections::BTreeSet::new();
    for number in 1..=40 {
        shell.now_ms += 1_000;
        let mut keyed = Keyed::enrolled(&mut shell, number);
        let (proved, _) = keyed.begin(&mut shell);
        let c_r = proved.established.initiator;
        assert!(c_r.as_bytes().len() == 2 && seen.insert(c_r));
        // One that wants this very id for the gateway.
        let mut same = Keyed { c_i: c_r, ..keyed };
        let (proved, _) = same.begin(&mut shell);
        assert_ne!(proved.established.initiator, c_r);
        assert!(seen.insert(proved.established.initiator));
    }
    // What an operator gave away while the handshake was under way is not taken from whoever has it.
    let mut keyed = Keyed::new(1);
    let (proved, message_3) = keyed.begin(&mut shell);
    let c_r = proved.established.initiator;
    let enrolment = gateway_core::Enrolment {
        device: id(99),
        credentials: Some(gateway_core::Credentials {
            kid: gateway_core::Kid::new(c_r.as_bytes()).unwrap(),
            ..credentials(99)
        }),
        psk: None,
        public_key: None,
        names: Vec::new(),
        label: None,
        group: None,
    };
    shell
        .command(Command::Identity(IdentityCommand::Enrol(enrolment)))
        .unwrap();
    let request = keyed.post(Payload::Third(c_r, &message_3));
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::BAD_REQUEST);
    assert_eq!((kids(&shell, 1), kids(&shell, 99)), (0, 1));
}

#[test]
fn without_a_key_or_anything_random_there_are_no_handshakes() {
    let mut shell = Shell::new(CoreConfig::default());
    let mut keyed = Keyed::new(1);
    let (_, request) = keyed.message_1(7);
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::NOT_FOUND);
    shell.gateway.handle_random(&[1; 32]);
    let (_, request) = keyed.message_1(7);
    assert_eq!(code(&shell.ask(peer(1), &request)), Code::NOT_FOUND);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn any_payload_ends_and_changes_nothing(payload in proptest::collection::vec(any::<u8>(), 0..160), from in 0_usize..40) {
        let mut shell = site();
        let mut keyed = Keyed::enrolled(&mut shell, 1);
        let (proved, message_3) = keyed.begin(&mut shell);
        let changes = shell.changes.len();
        let (_, message_1) = Initiator::start(&key(3), Id::EMPTY).unwrap();
        let from_1 = [&message_1.as_bytes()[..from.min(37)], &payload].concat();
        let from_3 = [&message_3[..from.min(message_3.len() - 1)], &payload].concat();
        let c_r = proved.established.initiator;
        let sent = speaker(1, &proved.established).protect(Code::POST, &["c"], None, &body(1));
        let requests = [
            keyed.post(Payload::First(&from_1[..from_1.len().min(120)])),
            keyed.post(Payload::Third(c_r, &from_3[..from_3.len().min(120)])),
            combine(&sent.datagram, &from_3),
        ];
        // What ends in the true one, by chance or by the first byte behind it, is the true one.
        let is_true = |request: &[u8]| request.windows(message_3.len()).any(|bytes| bytes == message_3);
        for request in requests.into_iter().filter(|request| !is_true(request)) {
            let reply = say(&mut shell, peer(9), &request);
            prop_assert!(reply.is_none_or(|reply| reply.len() <= request.len()));
        }
        prop_assert_eq!(shell.changes.len(), changes);
    }
}
