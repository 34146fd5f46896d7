//! Devices with keys: found by the key and never by the address, each request answered once, and nobody else believed.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;
#[path = "common/secure.rs"]
mod secure;

use common::*;
use core::net::SocketAddr;
use gateway_core::{Command, CoreConfig, Credentials, IdentityCommand, Kid, Secret, Selector, Terms};
use proptest::prelude::*;
use secure::{SecureDevice, credentials};
use std::collections::BTreeMap;
use wire_coap::{BlockSize, Code, Message, OptionNumber};
use wire_oscore::OscoreOption;

fn authenticated() -> CoreConfig {
    CoreConfig::default()
}

/// A device that has a key, runs image 1 and is to get image 2, whose patch has 1,000 bytes.
fn site(config: CoreConfig) -> (Shell, SecureDevice) {
    let mut shell = Shell::new(config);
    shell.import(1);
    shell.import(2);
    shell.build_all();
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    device.check_in(&mut shell, &check_in(1, 1));
    let assign = Command::Assign(Selector::Device(id(1)), digest(2), Terms::default());
    shell.command(assign).unwrap();
    shell.build_all();
    (shell, device)
}

fn job(shell: &mut Shell, device: &mut SecureDevice) -> wire_checkin::Job {
    let told = device.check_in(shell, &check_in(device.number, 1));
    assert_eq!(told.code, Code::CHANGED);
    let answer = wire_checkin::Answer::decode(&told.payload).unwrap();
    answer.job.expect("a job")
}

#[test]
fn an_update_goes_over_the_protected_channel_where_no_other_is_let_in() {
    let (mut shell, mut device) = site(authenticated());
    let job = job(&mut shell, &mut device);
    let mut payload = Vec::new();
    for number in 0.. {
        let mut sent = device.block(job.path.as_str(), number, BlockSize::B64);
        let reply = shell.ask(device.address, &sent.datagram);
        let answer = device.read(&mut sent, &reply).unwrap();
        assert_eq!(answer.code, Code::CONTENT);
        payload.extend(&answer.payload);
        if !answer.block2.unwrap().more {
            break;
        }
    }
    assert_eq!(payload.len(), job.payload_bytes as usize);
    assert_eq!(common::sha256(&payload)[..16], job.artefact_digest);
    // Whoever has no key is told so, and nothing of it is noted.
    let changes = shell.changes.len();
    for (number, path) in [(1, job.path.as_str()), (2, "i"), (3, "c")] {
        let refused = shell.ask(peer(9), &get(number, &[path], None));
        assert_eq!(code(&refused), Code::UNAUTHORIZED);
    }
    let refused = shell.ask(peer(9), &post(4, &check_in(9, 1)));
    assert_eq!(code(&refused), Code::UNAUTHORIZED);
    assert_eq!(shell.gateway.device(id(9)), None);
    assert_eq!(shell.changes.len(), changes);
}

#[test]
fn public_images_are_those_that_the_configuration_names() {
    let mut config = authenticated();
    config.public_images.insert(digest(1).short());
    let (mut shell, mut device) = site(config);
    let image = |number| digest(number).short_hex();
    let public = shell.ask(peer(9), &get(1, &["i", &image(1)], None));
    assert_eq!(code(&public), Code::CONTENT);
    let private = shell.ask(peer(9), &get(2, &["i", &image(2)], None));
    assert_eq!(code(&private), Code::UNAUTHORIZED);
    let known = device.ask(&mut shell, Code::GET, &["i", &image(2)], None, &[]);
    assert_eq!(known.code, Code::CONTENT);
    assert_eq!(
        code(&shell.ask(peer(9), &get(3, &[".well-known", "core"], None))),
        Code::CONTENT
    );
}

/// On an open link, too: from its enrolment on nobody is believed to be a device without its key.
#[test]
fn a_device_that_has_a_key_is_not_believed_without() {
    let mut shell = Shell::ready(open());
    assert!(shell.check_in(1, 7, &check_in(1, 1)).job.is_some());
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    let mut lie = check_in(1, 1);
    lie.last_update = outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    let refuse = |shell: &mut Shell, message_id: u16, path: &str| {
        // What was counted before is stored by then.
        shell.sleep(1_000_000);
        let (changes, view) = (shell.changes.len(), shell.gateway.device(id(1)));
        for forged in [
            post(message_id, &lie),
            post_to(message_id + 1, &["c", "dry"], &lie),
        ] {
            assert_eq!(code(&shell.ask(peer(1), &forged)), Code::UNAUTHORIZED);
        }
        let block = shell.ask(peer(1), &get(message_id + 2, &[path], None));
        let code = code(&block);
        // What was offered to nobody in particular is withdrawn, what is the device's is not given away.
        assert!(matches!(code, Code::NOT_FOUND | Code::UNAUTHORIZED), "{code:?}");
        shell.sleep(1_000_000);
        let told = |changes: &[gateway_core::Change]| {
            let of_a_device =
                |change: &&gateway_core::Change| !matches!(change, gateway_core::Change::LinkCounters { .. });
            changes.iter().filter(of_a_device).count()
        };
        assert_eq!(told(&shell.changes[changes..]), 0);
        assert_eq!(shell.gateway.device(id(1)), view);
    };
    let path = shell.gateway.offer_of(id(1), digest(2)).expect("an offer").path;
    refuse(&mut shell, 8, path.as_str());
    let job = job(&mut shell, &mut device);
    refuse(&mut shell, 12, job.path.as_str());
    // It stays so when the key changes, whether it gets to know the new one or not.
    let next = Credentials {
        kid: Kid::new(&[0, 77]).unwrap(),
        secret: Secret::new(&[77; 16]),
        ..credentials(1)
    };
    let rotate = IdentityCommand::Rotate {
        device: id(1),
        credentials: next,
        old_valid_s: 0,
    };
    shell.command(Command::Identity(rotate)).unwrap();
    shell.sleep(1_000_000);
    assert_eq!(shell.gateway.device(id(1)).unwrap().identity.kids.len(), 1);
    refuse(&mut shell, 16, job.path.as_str());
    // And when it is destroyed.
    shell
        .command(Command::Identity(IdentityCommand::Retire(id(1))))
        .unwrap();
    refuse(&mut shell, 20, job.path.as_str());
}

/// A device without a key is served on a link that is open by choice, as ever, and nowhere else.
#[test]
fn a_device_without_a_key_is_served_where_that_was_chosen() {
    let mut open_site = Shell::ready(open());
    assert!(open_site.check_in(1, 7, &check_in(1, 1)).job.is_some());
    let mut closed = Shell::new(CoreConfig::default());
    closed.import(1);
    closed.build_all();
    closed.command(Command::ClaimDevice(id(1))).unwrap();
    let changes = closed.changes.len();
    for number in [1, 2] {
        let refused = closed.ask(peer(number), &post(u16::from(number), &check_in(number, 1)));
        assert_eq!(code(&refused), Code::UNAUTHORIZED);
    }
    assert_eq!(closed.changes.len(), changes);
    assert_eq!(closed.gateway.device(id(2)), None);
    assert_eq!(closed.gateway.device(id(1)).unwrap().device.report, None);
}

/// Nothing of it is stored, and an operator sees it all the same.
#[test]
fn who_is_turned_away_is_shown_until_he_shows_his_key() {
    let mut shell = Shell::new(CoreConfig::default());
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    for (number, message_id) in [(1, 1), (2, 2), (2, 3)] {
        shell.ask(peer(number), &post(message_id, &check_in(number, 1)));
    }
    shell.ask(peer(3), &get(4, &["i", &digest(1).short_hex()], None));
    let status = shell.gateway.status();
    assert_eq!(status.turned_away_requests, 4);
    let rows: Vec<_> = status
        .turned_away
        .iter()
        .map(|row| (row.device, row.has_key, row.times, row.from))
        .collect();
    assert_eq!(
        rows,
        [(id(2), false, 2, peer(2).ip()), (id(1), true, 1, peer(1).ip())]
    );
    // One of them is worth a line of the log now.
    assert_eq!(shell.gateway.poll_notice().map(|row| row.device), Some(id(1)));
    assert_eq!(shell.gateway.poll_notice(), None);
    device.check_in(&mut shell, &check_in(1, 1));
    let left: Vec<_> = shell
        .gateway
        .status()
        .turned_away
        .iter()
        .map(|row| row.device)
        .collect();
    assert_eq!(left, [id(2)]);
}

/// Whoever speaks first in the name of a device that an operator claimed decides nothing about it.
#[test]
fn the_first_word_without_a_key_gives_a_claimed_device_no_class() {
    let mut shell = Shell::new(open());
    shell.import(1);
    shell.import(2);
    shell.build_all();
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    let of_class = Selector::Class(CLASS);
    shell
        .command(Command::Assign(of_class, digest(2), Terms::default()))
        .unwrap();
    let mut lie = check_in(1, 1);
    lie.class_id = OTHER_CLASS.0;
    assert_eq!(shell.check_in(1, 1, &lie).job, None);
    let known = shell.gateway.device(id(1)).unwrap();
    assert_eq!((known.device.class, known.is_proven), (None, false));
    // The device itself is served by what it says, as if nobody had spoken before.
    shell.check_in(1, 2, &check_in(1, 1));
    shell.build_all();
    assert!(shell.check_in(1, 3, &check_in(1, 1)).job.is_some());
    let status = shell.gateway.status();
    assert_eq!((status.unproven, status.claimed), (1, 1));
    assert_eq!(status.open_links, [link_name("default")]);
}

/// What was said in the name of a device before it was enrolled, its class above all, is forgotten, whether it was claimed or not.
#[test]
fn hearsay_does_not_bind_the_device_that_has_the_key() {
    for is_claimed in [false, true] {
        hearsay_is_forgotten(is_claimed);
    }
}

fn hearsay_is_forgotten(is_claimed: bool) {
    let mut shell = Shell::new(open());
    shell.import(1);
    let mut lie = check_in(1, 1);
    lie.class_id = OTHER_CLASS.0;
    shell.check_in(1, 1, &lie);
    if is_claimed {
        shell.command(Command::ClaimDevice(id(1))).unwrap();
    }
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    let unheard = shell.gateway.device(id(1)).unwrap();
    assert_eq!((unheard.device.class, unheard.device.report), (None, None));
    device.check_in(&mut shell, &check_in(1, 1));
    let known = shell.gateway.device(id(1)).unwrap();
    assert!(known.is_proven);
    assert_eq!(
        (known.device.class, known.device.class_conflict()),
        (Some(CLASS), None)
    );
    assert_eq!(shell.gateway.status().unproven, 0);
}

/// Nothing of it is stored, and an operator sees it all the same.
#[test]
fn who_is_turned_away_is_shown_until_the_key_is() {
    let mut shell = Shell::new(authenticated());
    let mut device = SecureDevice::enrolled(&mut shell, 1);
    let changes = shell.changes.len();
    for (number, message_id) in [(1, 1), (2, 2), (2, 3)] {
        shell.ask(peer(number), &post(message_id, &check_in(number, 1)));
    }
    shell.ask(peer(3), &get(4, &["i", &digest(1).short_hex()], None));
    assert_eq!(shell.changes.len(), changes);
    let status = shell.gateway.status();
    assert_eq!(status.turned_away_requests, 4);
    let rows: Vec<_> = status
        .turned_away
        .iter()
        .map(|row| (row.device, row.has_key, row.times, row.from))
        .collect();
    assert_eq!(
        rows,
        [(id(2), false, 2, peer(2).ip()), (id(1), true, 1, peer(1).ip())]
    );
    // One of them is worth a line of the log now.
    assert_eq!(shell.gateway.poll_notice().map(|row| row.device), Some(id(1)));
    assert_eq!(shell.gateway.poll_notice(), None);
    device.check_in(&mut shell, &check_in(1, 1));
    let left = shell.gateway.status().turned_away;
    assert_eq!(left.iter().map(|row| row.device).collect::<Vec<_>>(), [id(2)]);
}

/// OSCORE tells replays, not age: a check-in that was held back would undo what the device has said since.
#[test]
fn a_check_in_that_was_held_back_is_no_news() {
    let (mut shell, mut device) = site(authenticated());
    job(&mut shell, &mut device);
    let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
    let mut reverted = check_in(1, 1);
    reverted.last_update = outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    let body = reverted.encode(&mut body).unwrap().to_vec();
    let held_back = device.protect(Code::POST, &["c"], None, &body).datagram;
    job(&mut shell, &mut device);
    let (changes, view) = (shell.changes.len(), shell.gateway.device(id(1)));
    shell.sent.clear();
    shell.send(device.address, &held_back);
    assert_eq!((shell.sent.len(), shell.changes.len()), (0, changes));
    assert_eq!(shell.gateway.device(id(1)), view);
}

/// Neither a request nor its retransmission is answered under a key that is destroyed.
#[test]
fn a_retired_devices_key_is_as_if_it_had_never_been() {
    let (mut shell, mut device) = site(authenticated());
    let path = job(&mut shell, &mut device).path;
    let sent = device.block(path.as_str(), 0, BlockSize::B64);
    assert_eq!(code(&shell.ask(device.address, &sent.datagram)), Code::CHANGED);
    shell
        .command(Command::Identity(IdentityCommand::Retire(id(1))))
        .unwrap();
    let again = shell.ask(device.address, &sent.datagram);
    assert_eq!(code(&again), Code::UNAUTHORIZED);
    assert_eq!(Message::parse(&again).unwrap().option(OptionNumber::OSCORE), None);
}

#[test]
fn a_device_is_only_itself() {
    let (mut shell, mut device) = site(open());
    let mut other = SecureDevice::enrolled(&mut shell, 2);
    let view = shell.gateway.device(id(1));
    let refused = other.check_in(&mut shell, &check_in(1, 1));
    assert_eq!(refused.code, Code::FORBIDDEN);
    let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
    for (number, answered) in [(1, Code::FORBIDDEN), (2, Code::CHANGED)] {
        let body = check_in(number, 1).encode(&mut body).unwrap().to_vec();
        let told = other.ask(&mut shell, Code::POST, &["c", "dry"], None, &body);
        assert_eq!(told.code, answered, "of device {number}");
    }
    assert_eq!(shell.gateway.device(id(1)), view);
    let job = job(&mut shell, &mut device);
    let hidden = other.ask(&mut shell, Code::GET, &[job.path.as_str()], None, &[]);
    assert_eq!(hidden.code, Code::NOT_FOUND);
    let nobody = SecureDevice::with(3, &credentials(3)).block("x", 0, BlockSize::B64);
    let refused = shell.ask(peer(3), &nobody.datagram);
    assert_eq!(code(&refused), Code::UNAUTHORIZED);
    assert_eq!(Message::parse(&refused).unwrap().max_age(), Some(0));
}

#[test]
fn the_first_message_under_the_new_key_ends_a_rotation() {
    let (mut shell, mut device) = site(open());
    let next = Credentials {
        kid: Kid::new(&[0, 77]).unwrap(),
        secret: Secret::new(&[77; 16]),
        ..credentials(1)
    };
    let rotate = IdentityCommand::Rotate {
        device: id(1),
        credentials: next.clone(),
        old_valid_s: 1_000_000,
    };
    shell.command(Command::Identity(rotate)).unwrap();
    // The old one counts still.
    job(&mut shell, &mut device);
    let mut renewed = SecureDevice::with(1, &next);
    job(&mut shell, &mut renewed);
    let kids = shell.gateway.device(id(1)).unwrap().identity.kids;
    assert_eq!(kids, [next.kid]);
    let old = device.block("x", 0, BlockSize::B64);
    assert_eq!(
        code(&shell.ask(device.address, &old.datagram)),
        Code::UNAUTHORIZED
    );
}

/// Which of a transfer's datagrams is lost, and after which the device has another address.
#[derive(Debug, Clone, Copy)]
struct Weather {
    seed: u64,
}

impl Weather {
    fn roll(&mut self, of: u64) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        (self.seed >> 32) % of
    }
}

/// NAT gives the device another address or port in mid-transfer, also between a request and its answer. It goes on where it was: at
/// most one block is asked for again, nothing is negotiated.
#[test]
fn a_thousand_transfers_go_on_under_other_addresses() {
    let (mut shell, mut device) = site(authenticated());
    let job = job(&mut shell, &mut device);
    let blocks = job.payload_bytes.div_ceil(64);
    let mut weather = Weather {
        seed: 0x1234_5678_9ABC_DEF1,
    };
    for transfer in 0..1_000_u32 {
        let moves_at = weather.roll(blocks.into()) as u32;
        let answer_is_lost = weather.roll(2) == 0;
        let mut repeated = 0;
        let mut payload = Vec::new();
        for number in 0..blocks {
            let mut sent = device.block(job.path.as_str(), number, BlockSize::B64);
            let mut reply = shell.ask(device.address, &sent.datagram);
            if number == moves_at {
                let [_, a, b, c] = transfer.to_be_bytes();
                let port = 1_024 + weather.roll(60_000) as u16;
                device.address = SocketAddr::from(([10, a, b, c], port));
                if answer_is_lost {
                    // It went to the old address: the same request again, from the new one.
                    let again = shell.ask(device.address, &sent.datagram);
                    assert_eq!(again, reply, "byte by byte");
                    reply = again;
                    repeated += 1;
                }
            }
            let answer = device.read(&mut sent, &reply).unwrap();
            assert_eq!(answer.code, Code::CONTENT, "transfer {transfer}, block {number}");
            payload.extend(answer.payload);
            shell.sleep(10);
        }
        assert!(repeated <= 1);
        assert_eq!(
            common::sha256(&payload)[..16],
            job.artefact_digest,
            "transfer {transfer}"
        );
    }
}

/// Of every message of the gateway under a key, what its nonce is made of: the number of its own, or of the request it answers.
#[derive(Default)]
struct Nonces(BTreeMap<(bool, u64), Vec<u8>>);

impl Nonces {
    fn note(&mut self, request: &[u8], reply: &[u8]) {
        let number = |datagram: &[u8]| {
            let message = Message::parse(datagram).unwrap();
            let value = message.option(OptionNumber::OSCORE).unwrap();
            OscoreOption::parse(value).unwrap().partial_iv
        };
        let own = number(reply);
        let nonce = (own.is_some(), own.or(number(request)).unwrap().value());
        let sealed = Message::parse(reply).unwrap().payload().to_vec();
        let before = self.0.insert(nonce, sealed.clone());
        assert!(
            before.is_none_or(|before| before == sealed),
            "nonce {nonce:?} used twice"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// The gateway is killed at any moment, loses what was not stored, and gets requests of before again: no nonce meets two texts, and
    /// after each start the device is through again after one challenge.
    #[test]
    fn no_nonce_is_used_twice_however_often_the_gateway_is_killed(steps in prop::collection::vec(0..6_u8, 1..60)) {
        let (mut shell, mut device) = site(authenticated());
        let path = job(&mut shell, &mut device).path;
        let mut nonces = Nonces::default();
        let mut old: Vec<Vec<u8>> = Vec::new();
        for (at, step) in steps.into_iter().enumerate() {
            match step {
                0 => {
                    shell.config.echo_seed = common::sha256(&(at as u64).to_be_bytes());
                    shell.restart();
                    prop_assert!(shell.gateway.poll_transmit().is_none());
                }
                // Everything that was ever sent, again.
                1 => for request in &old {
                    shell.sent.clear();
                    shell.send(device.address, request);
                    for (_, transmit) in &shell.sent {
                        nonces.note(request, &transmit.bytes);
                    }
                },
                // What is answered changes meanwhile.
                5 => {
                    let is_paused = shell.gateway.status().paused_unix_s.is_some();
                    let command = if is_paused { Command::Resume } else { Command::Pause };
                    shell.command(command).unwrap();
                }
                _ => {
                    let mut through = false;
                    for _ in 0..2 {
                        let mut sent = device.block(path.as_str(), u32::from(step), BlockSize::B64);
                        let reply = shell.ask(device.address, &sent.datagram);
                        nonces.note(&sent.datagram, &reply);
                        old.push(sent.datagram.clone());
                        let answer = device.read(&mut sent, &reply).unwrap();
                        through = answer.code != Code::UNAUTHORIZED;
                        if through {
                            break;
                        }
                    }
                    prop_assert!(through);
                }
            }
        }
    }
}

/// The same credentials that are forgotten and come back from the factory's list: their numbers go on where they were.
#[test]
fn numbers_of_a_key_that_comes_back_are_not_used_again() {
    let (mut shell, mut device) = site(authenticated());
    let mut nonces = Nonces::default();
    for round in 0..5_u8 {
        let sent = device.block("x", 0, BlockSize::B64);
        shell.config.echo_seed = [round; 32];
        shell.restart();
        let reply = shell.ask(device.address, &sent.datagram);
        nonces.note(&sent.datagram, &reply);
        shell.command(Command::ForgetDevice(id(1))).unwrap();
        SecureDevice::enrolled(&mut shell, 1);
    }
    assert_eq!(nonces.0.len(), 5);
}

/// Its database is gone, and the factory's list brings the same keys back: whatever the gateway counted before is below what it counts now.
#[test]
fn a_gateway_that_forgot_its_numbers_uses_none_of_them_again() {
    let mut nonces = Nonces::default();
    let (_, mut device) = site(authenticated());
    for round in 0..5_u8 {
        let (mut shell, _) = site(authenticated());
        shell.config.echo_seed = [round; 32];
        shell.restart();
        shell.now_ms += 60_000 * u64::from(round);
        for _ in 0..100 {
            let sent = device.block("x", 0, BlockSize::B64);
            let reply = shell.ask(device.address, &sent.datagram);
            nonces.note(&sent.datagram, &reply);
        }
    }
    assert_eq!(nonces.0.len(), 500);
}

/// How many are tried: a million with `FORGERIES=1000000`.
fn forgeries() -> u64 {
    let asked = std::env::var("FORGERIES").ok();
    asked.map_or(20_000, |asked| asked.parse().expect("a number"))
}

/// Altered in any bit, cut, lengthened, replayed, made of noise: none of them changes what the gateway knows of any device, what it
/// stores, or what it would answer.
#[test]
fn nothing_that_is_forged_replayed_or_altered_changes_anything() {
    for config in [authenticated(), open()] {
        forge(config, forgeries() / 2);
    }
}

fn forge(mut config: CoreConfig, count: u64) {
    // Who forges is reached there, so that nothing ends at a challenge.
    config.trusted_prefixes.push("192.0.2.0/24".parse().unwrap());
    let (mut shell, mut device) = site(config);
    let job = job(&mut shell, &mut device);
    let mut body = [0; wire_checkin::CHECK_IN_BYTES_MAX];
    let mut news = check_in(1, 1);
    news.last_update = outcome(2, wire_checkin::Outcome::RevertedWatchdog);
    let body = news.encode(&mut body).unwrap().to_vec();
    // What a listener may have recorded: requests that came, and one that never arrived, with news that would withhold the image.
    let mut recorded: Vec<Vec<u8>> = Vec::new();
    for number in 0..8 {
        let sent = device.block(job.path.as_str(), number, BlockSize::B64);
        shell.ask(device.address, &sent.datagram);
        recorded.push(sent.datagram);
    }
    // 8 of them are the window's: later ones are new, so these are altered only.
    let unheard = device.protect(Code::POST, &["c"], None, &body).datagram;
    shell.sleep(3_600_000);
    let views = |shell: &Shell| {
        let known = shell.gateway.devices();
        (
            known,
            shell.gateway.images(),
            shell.gateway.updates(),
            shell.gateway.groups(),
        )
    };
    let (changes, before) = (shell.changes.len(), views(&shell));
    let mut weather = Weather {
        seed: 0x0F1E_2D3C_4B5A_6978,
    };
    let mut kinds = [0_u64; 6];
    for _ in 0..count {
        let kind = weather.roll(6) as usize;
        kinds[kind] += 1;
        let from = recorded[weather.roll(recorded.len() as u64) as usize].clone();
        let forged = match kind {
            // As it came, but for the last one, whose answer is kept for a retransmission.
            0 => recorded[weather.roll(recorded.len() as u64 - 1) as usize].clone(),
            1 => {
                let mut altered = unheard.clone();
                let bit = weather.roll(8 * altered.len() as u64) as usize;
                altered[bit / 8] ^= 1 << (bit % 8);
                altered
            }
            2 => {
                let mut altered = from;
                for _ in 0..=weather.roll(4) {
                    let at = weather.roll(altered.len() as u64) as usize;
                    altered[at] = weather.roll(256) as u8;
                }
                altered
            }
            3 => {
                let cut = weather.roll(unheard.len() as u64) as usize;
                unheard[..cut].to_vec()
            }
            4 => {
                // Without any key: the same news, a question, and what the device is offered.
                let id = weather.roll(65_536) as u16;
                match weather.roll(4) {
                    0 => post(id, &news),
                    1 => post_to(id, &["c", "dry"], &news),
                    2 => get(id, &[job.path.as_str()], None),
                    _ => get(id, &[job.path.as_str(), "m"], None),
                }
            }
            _ => {
                // A head that names the key, and noise behind it.
                let mut noise = unheard.clone();
                let from = noise.len() / 3;
                noise[from..].fill_with(|| weather.roll(256) as u8);
                noise.truncate(from + weather.roll(64) as usize);
                noise
            }
        };
        // Message id and token stand outside; altered there it is the device's own request still, and not forged.
        if forged[..].get(12..) == unheard.get(12..)
            || recorded.iter().any(|one| one.get(12..) == forged.get(12..)) && kind != 0
        {
            continue;
        }
        shell.sent.clear();
        let peer = SocketAddr::from(([192, 0, 2, weather.roll(200) as u8], 5_683));
        shell.send(peer, &forged);
        // The link is never so full that something is put off rather than judged.
        shell.sleep(1);
    }
    assert!(kinds.iter().all(|count| *count > 0), "{kinds:?}");
    // Traffic of a link is counted, whoever caused it; that is all.
    let of_a_device = shell.changes[changes..]
        .iter()
        .filter(|change| !matches!(change, gateway_core::Change::LinkCounters { .. }))
        .collect::<Vec<_>>();
    assert!(of_a_device.is_empty(), "{of_a_device:?}");
    let after = views(&shell);
    assert_eq!(before.0, after.0);
    assert_eq!(before, after);
    // What never arrived is as good as ever: nothing was noted of the numbers that were tried.
    shell.sent.clear();
    let reply = shell.ask(device.address, &unheard);
    assert!(
        Message::parse(&reply)
            .unwrap()
            .option(OptionNumber::OSCORE)
            .is_some()
    );
    assert_ne!(views(&shell).0, before.0);
}
