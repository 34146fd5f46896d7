//! Keys that are made anew because a device lost its count (RFC 8613 Appendix B.2): taken once, from the device alone, and no nonce
//! meets two texts.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use gateway_core::{Access, Command, CoreConfig, LinkConfig};
use proptest::prelude::*;
use secure::{SecureDevice, Sent};
use std::collections::BTreeMap;
use wire_coap::{BlockSize, Code, Message, OptionNumber};
use wire_oscore::OscoreOption;

/// A device that has been heard under its key, on a gateway that hears nobody else.
fn site() -> (Shell, SecureDevice) {
    let mut shell = Shell::new(CoreConfig {
        default_link: LinkConfig {
            access: Access::Authenticated,
            ..LinkConfig::default()
        },
        ..CoreConfig::default()
    });
    shell.import(1);
    shell.build_all();
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    (shell, device)
}

fn restart(shell: &mut Shell, seed: u8) {
    shell.config.echo_seed = [seed; 32];
    shell.restart();
}

/// All that it sends to this, sent by whomever.
fn told(shell: &mut Shell, device: &SecureDevice, datagram: &[u8]) -> Vec<Vec<u8>> {
    shell.sent.clear();
    shell.send(device.address, datagram);
    let sent = shell.sent.iter();
    sent.map(|(_, transmit)| transmit.bytes.clone()).collect()
}

/// Makes new keys; request 1.
fn renew(shell: &mut Shell, device: &mut SecureDevice, r: u64) -> Vec<u8> {
    let (mut sent, renewal) = device.forgetful(2 * r);
    let reply = shell.ask(device.address, &sent.datagram);
    assert!(device.renew(renewal, &mut sent, &reply, 2 * r + 1));
    sent.datagram
}

#[test]
fn a_device_that_lost_its_count_is_heard_again_after_one_round_trip() {
    let (mut shell, mut device) = site();
    let old = device.block("x", 0, BlockSize::B64);
    renew(&mut shell, &mut device, 1);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    assert!(
        told(&mut shell, &device, &old.datagram).is_empty(),
        "those keys are no more"
    );
    // The gateway has stored them; what came under them it has not, and asks.
    restart(&mut shell, 7);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    // It loses its count once more.
    renew(&mut shell, &mut device, 2);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// Between the two requests the gateway is killed: request 2 is nobody's, and the device begins anew.
#[test]
fn what_a_killed_gateway_offered_counts_no_more() {
    let (mut shell, mut device) = site();
    renew(&mut shell, &mut device, 1);
    restart(&mut shell, 7);
    let second = device.block("x", 0, BlockSize::B64);
    assert!(told(&mut shell, &device, &second.datagram).is_empty());
    renew(&mut shell, &mut device, 2);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// Its database is gone, and with it that the device made new keys: it makes others.
#[test]
fn a_gateway_that_forgot_new_keys_takes_others() {
    let (mut shell, mut device) = site();
    renew(&mut shell, &mut device, 1);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    let (mut shell, _) = site();
    restart(&mut shell, 9);
    let lost = device.block("x", 0, BlockSize::B64);
    assert!(told(&mut shell, &device, &lost.datagram).is_empty());
    renew(&mut shell, &mut device, 2);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// Credentials that are destroyed and come back begin as they are on the device that is given them.
#[test]
fn new_keys_go_with_their_credentials() {
    let (mut shell, mut device) = site();
    renew(&mut shell, &mut device, 1);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    shell.command(Command::ForgetDevice(id(1))).unwrap();
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    restart(&mut shell, 7);
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// Of whatever was on the air nothing makes the gateway take other keys, nor lets a stranger make them.
#[test]
fn replays_and_forgeries_renew_nothing() {
    let (mut shell, mut device) = site();
    let first = renew(&mut shell, &mut device, 1);
    let second = device.block("x", 0, BlockSize::B64);
    assert!(!told(&mut shell, &device, &second.datagram).is_empty());
    let changes = shell.changes.len();
    for replayed in [&first, &second.datagram] {
        for position in 0..replayed.len() {
            let mut altered = replayed.clone();
            altered[position] ^= 0x20;
            told(&mut shell, &device, &altered);
        }
        told(&mut shell, &device, replayed);
    }
    // A stranger who knows everything but the secret.
    let mut stranger = SecureDevice::with(1, &secure::credentials(2));
    let (forged, _) = stranger.forgetful(9);
    assert!(told(&mut shell, &stranger, &forged.datagram).len() <= 1);
    assert_eq!(shell.changes.len(), changes, "nothing changed");
    assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
}

/// Of every message of the gateway what its keys and its nonce are made of: the kid context that is known to both, and the number of
/// its own, or of the request that it answers.
#[derive(Default)]
struct Nonces(BTreeMap<(Vec<u8>, bool, u64), Vec<u8>>);

impl Nonces {
    /// `keys` names the keys of a request that does not name them itself.
    fn note(&mut self, keys: &[u8], request: &[u8], reply: &[u8]) {
        let (of_reply, of_request) = (option(reply), option(request));
        let keys = match (of_reply.1, of_request.1) {
            // Response 1 is under R2 and R1.
            (Some(r2), Some(r1)) => [r2, r1].concat(),
            (None, Some(named)) => named,
            _ => keys.to_vec(),
        };
        let nonce = (keys, of_reply.0.is_some(), of_reply.0.or(of_request.0).unwrap());
        let sealed = Message::parse(reply).unwrap().payload().to_vec();
        let before = self.0.insert(nonce.clone(), sealed.clone());
        assert!(
            before.is_none_or(|before| before == sealed),
            "nonce {nonce:?} used twice"
        );
    }
}

/// Number and kid context.
fn option(datagram: &[u8]) -> (Option<u64>, Option<Vec<u8>>) {
    let message = Message::parse(datagram).unwrap();
    let option = OscoreOption::parse(message.option(OptionNumber::OSCORE).unwrap()).unwrap();
    let named = option.kid_context.map(<[u8]>::to_vec);
    (option.partial_iv.map(wire_oscore::PartialIv::value), named)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The device loses its count, the gateway is killed, answers get lost, and everything that was ever sent comes again: no nonce of
    /// the gateway meets two texts, and the device is heard again in the end.
    #[test]
    fn no_nonce_is_used_twice_however_often_keys_are_made_anew(steps in prop::collection::vec(0..6_u8, 1..40)) {
        let (mut shell, mut device) = site();
        let mut nonces = Nonces::default();
        let mut old: Vec<Sent> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            let r = at as u64;
            match step {
                0 => restart(&mut shell, at as u8),
                1 => for sent in &old {
                    for reply in told(&mut shell, &device, &sent.datagram) {
                        nonces.note(b"", &sent.datagram, &reply);
                    }
                },
                // Request 1, answered and heard, or not.
                2 | 3 => {
                    let (mut sent, renewal) = device.forgetful(2 * r);
                    let reply = shell.ask(device.address, &sent.datagram);
                    nonces.note(b"", &sent.datagram, &reply);
                    if step == 2 {
                        prop_assert!(device.renew(renewal, &mut sent, &reply, 2 * r + 1));
                    }
                    old.push(sent);
                }
                _ => {
                    let sent = device.block("x", u32::from(step), BlockSize::B64);
                    for reply in told(&mut shell, &device, &sent.datagram) {
                        nonces.note(b"", &sent.datagram, &reply);
                    }
                    old.push(sent);
                }
            }
        }
        renew(&mut shell, &mut device, 1_000);
        prop_assert_eq!(device.check_in(&mut shell, &check_in(1, 1)).code, Code::CHANGED);
    }
}
