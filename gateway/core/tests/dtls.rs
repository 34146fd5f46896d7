//! Devices behind sessions of DTLS: served as themselves alone, counted with what protection costs, and gone with their keys.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use gateway_core::{
    Access, Channel, Command, CoreConfig, DTLS_OVERHEAD_BYTES, Enrolment, IdentityCommand, IdentityRefusal,
    LinkConfig, Now, Psk, PskIdentity, PskKey, Refusal, Reply, Selector, Terms,
};
use wire_coap::{Code, Message};

fn psk(name: &str, byte: u8) -> Psk {
    Psk {
        identity: name.parse().unwrap(),
        key: PskKey::new(&[byte; 16]).unwrap(),
    }
}

fn enrolment(number: u8, psk: Psk) -> Enrolment {
    Enrolment {
        device: id(number),
        credentials: None,
        psk: Some(psk),
        public_key: None,
        names: Vec::new(),
        label: None,
        group: None,
    }
}

fn ask(shell: &mut Shell, command: IdentityCommand) -> Result<Reply, Refusal> {
    shell.command(Command::Identity(command))
}

fn refused(result: Result<Reply, Refusal>) -> IdentityRefusal {
    match result {
        Err(Refusal::Identity(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

fn enrol(shell: &mut Shell, number: u8, psk: Psk) {
    let enrolled = ask(shell, IdentityCommand::Enrol(enrolment(number, psk)));
    assert_eq!(enrolled, Ok(Reply::Done));
}

/// Sends through session 7; `None` when its key counts no more.
fn through(shell: &mut Shell, psk: &Psk, datagram: &[u8]) -> Option<Vec<u8>> {
    let now = shell.now();
    shell.sent.clear();
    let counts =
        shell
            .gateway
            .handle_session_datagram(now, (peer(1), 7), &psk.proof(), datagram, &shell.disk.clone());
    shell.drain();
    if !counts {
        assert_eq!(shell.sent, []);
        return None;
    }
    let [(_, transmit)] = shell.sent.as_slice() else {
        panic!("{:?}", shell.sent)
    };
    assert_eq!((transmit.channel, transmit.peer), (Channel::Session(7), peer(1)));
    Some(transmit.bytes.clone())
}

fn identities(shell: &Shell, number: u8) -> Vec<String> {
    let view = shell.gateway.device(id(number)).unwrap();
    view.identity.psks.iter().map(PskIdentity::to_string).collect()
}

/// Where only devices with a key are served, one that runs image 1 and is to get image 2.
fn site() -> (Shell, Psk) {
    let mut shell = Shell::new(CoreConfig {
        default_link: LinkConfig {
            access: Access::Authenticated,
            ..LinkConfig::default()
        },
        ..open()
    });
    shell.import(1);
    shell.import(2);
    shell.build_all();
    let psk = psk("dev1", 1);
    enrol(&mut shell, 1, psk.clone());
    through(&mut shell, &psk, &post(1, &check_in(1, 1))).unwrap();
    let assign = Command::Assign(Selector::Device(id(1)), digest(2), Terms::default());
    shell.command(assign).unwrap();
    shell.build_all();
    (shell, psk)
}

#[test]
fn a_session_is_served_for_its_own_device_and_no_other() {
    let (mut shell, own) = site();
    enrol(&mut shell, 2, psk("dev2", 2));
    let job = told(&through(&mut shell, &own, &post(2, &check_in(1, 1))).unwrap())
        .job
        .unwrap();
    let block = get(3, &[job.path.as_str()], None);
    assert_eq!(code(&through(&mut shell, &own, &block).unwrap()), Code::CONTENT);
    let of_another = through(&mut shell, &psk("dev2", 2), &block).unwrap();
    assert_eq!(code(&of_another), Code::NOT_FOUND);
    let changes = shell.changes.len();
    let lie = through(&mut shell, &psk("dev2", 2), &post(4, &check_in(1, 2))).unwrap();
    assert_eq!(code(&lie), Code::FORBIDDEN);
    // In the clear it is nobody, whatever the address.
    for datagram in [block, post(5, &check_in(1, 2))] {
        assert_eq!(code(&shell.ask(peer(1), &datagram)), Code::UNAUTHORIZED);
    }
    assert_eq!(shell.changes.len(), changes);
}

/// RFC 7252 §4.5 holds in a session as outside of it: the record is another one, the message is not.
#[test]
fn a_check_in_that_is_sent_again_gets_the_same_answer() {
    let (mut shell, own) = site();
    let check_in = post(9, &check_in(1, 1));
    let first = through(&mut shell, &own, &check_in).unwrap();
    let changes = shell.changes.len();
    assert_eq!(through(&mut shell, &own, &check_in).unwrap(), first);
    assert_eq!(shell.changes.len(), changes);
    // What a session was told is told to nobody outside of it.
    assert_eq!(code(&shell.ask(peer(1), &check_in)), Code::UNAUTHORIZED);
}

#[test]
fn what_protection_adds_counts_against_the_link() {
    let (mut shell, own) = site();
    let bytes = |shell: &Shell| {
        let view = shell.gateway.links()[0].clone();
        (view.total.down.bytes.0, view.total.up.bytes.0)
    };
    let request = get(3, &[".well-known", "core"], None);
    let before = bytes(&shell);
    let plain = shell.ask(peer(9), &request);
    let between = bytes(&shell);
    assert_eq!(through(&mut shell, &own, &request).unwrap(), plain);
    let after = bytes(&shell);
    let overhead = u64::from(DTLS_OVERHEAD_BYTES);
    assert_eq!(after.0 - between.0, between.0 - before.0 + overhead);
    assert_eq!(after.1 - between.1, between.1 - before.1 + overhead);
    // A flight of a handshake, too, is paced and counted.
    shell.sent.clear();
    shell
        .gateway
        .handle_handshake(shell.now(), peer(9), 100, vec![vec![22; 60]]);
    shell.drain();
    assert_eq!(shell.sent[0].1.channel, Channel::Handshake);
    assert_eq!(bytes(&shell), (after.0 + 60 + 28, after.1 + 100 + 28));
}

/// 1,280 − 28 − 29 leaves no room for a block of 1,024 with a smaller MTU.
#[test]
fn a_block_that_protection_makes_too_long_is_smaller() {
    let mtu = 1_024 + 30 + 28 + DTLS_OVERHEAD_BYTES - 1;
    let mut shell = Shell::new(CoreConfig {
        default_link: LinkConfig { mtu, ..open_link() },
        ..open()
    });
    shell.import(1);
    shell.build_all();
    let own = psk("dev1", 1);
    enrol(&mut shell, 1, own.clone());
    let request = get(3, &["i", &digest(1).short_hex()], None);
    let size = |reply: &[u8]| Message::parse(reply).unwrap().payload().len();
    assert_eq!(size(&shell.ask(peer(9), &request)), 1_024);
    assert_eq!(size(&through(&mut shell, &own, &request).unwrap()), 512);
}

#[test]
fn what_belongs_to_another_device_is_refused_by_name() {
    let (mut shell, own) = site();
    let again = ask(&mut shell, IdentityCommand::Enrol(enrolment(1, own.clone())));
    assert_eq!(again, Ok(Reply::Unchanged));
    let (by, identity) = (id(1), own.identity);
    for (number, psk, refusal) in [
        (
            2,
            psk("dev1", 9),
            IdentityRefusal::PskIdentityTaken { identity, by },
        ),
        (2, psk("dev2", 1), IdentityRefusal::PskTaken { by }),
        (1, psk("dev3", 3), IdentityRefusal::PskEnrolled(id(1))),
    ] {
        let result = ask(&mut shell, IdentityCommand::Enrol(enrolment(number, psk)));
        assert_eq!(refused(result), refusal);
    }
    let mut nothing = enrolment(2, own);
    nothing.psk = None;
    let result = ask(&mut shell, IdentityCommand::Enrol(nothing));
    assert_eq!(refused(result), IdentityRefusal::NoKey(id(2)));
}

/// The same bytes in two protocols are one secret less.
#[test]
fn no_bytes_are_a_key_of_dtls_and_a_secret_of_oscore() {
    let (mut shell, own) = site();
    let credentials = |number: u8, byte| gateway_core::Credentials {
        kid: gateway_core::Kid::new(&[0, number]).unwrap(),
        gateway_id: gateway_core::Octets::EMPTY,
        secret: gateway_core::Secret::new(&[byte; 16]),
        salt: gateway_core::Octets::EMPTY,
        id_context: gateway_core::Octets::EMPTY,
    };
    for number in [1, 2] {
        let mut with_both = enrolment(number, psk("dev2", 2));
        with_both.psk = with_both.psk.filter(|_| number == 2);
        with_both.credentials = Some(credentials(number, 1));
        let result = ask(&mut shell, IdentityCommand::Enrol(with_both));
        assert_eq!(refused(result), IdentityRefusal::SecretTaken { by: id(1) });
    }
    let mut alike = enrolment(2, psk("dev2", 2));
    alike.credentials = Some(credentials(2, 2));
    let result = ask(&mut shell, IdentityCommand::Enrol(alike.clone()));
    assert_eq!(refused(result), IdentityRefusal::PskTaken { by: id(2) });
    alike.credentials = Some(credentials(2, 5));
    assert_eq!(ask(&mut shell, IdentityCommand::Enrol(alike)), Ok(Reply::Done));
    let to_a_secret = IdentityCommand::RotatePsk {
        device: id(1),
        psk: psk("dev1-2", 5),
        old_valid_s: 9,
    };
    assert_eq!(
        refused(ask(&mut shell, to_a_secret)),
        IdentityRefusal::PskTaken { by: id(2) }
    );
    assert!(through(&mut shell, &own, &get(3, &["c"], None)).is_some());
}

fn rotate(to: Psk) -> IdentityCommand {
    IdentityCommand::RotatePsk {
        device: id(1),
        psk: to,
        old_valid_s: 1_000,
    }
}

#[test]
fn a_rotation_ends_with_the_first_message_under_the_new_key_or_with_its_time() {
    let (mut shell, own) = site();
    let (next, request) = (psk("dev1-2", 2), get(3, &[".well-known", "core"], None));
    assert_eq!(ask(&mut shell, rotate(next.clone())), Ok(Reply::Done));
    assert_eq!(ask(&mut shell, rotate(next.clone())), Ok(Reply::Unchanged));
    assert_eq!(identities(&shell, 1), ["dev1", "dev1-2"]);
    assert!(through(&mut shell, &own, &request).is_some());
    let generation = shell.gateway.psks_generation();
    assert!(through(&mut shell, &next, &request).is_some());
    assert_ne!(shell.gateway.psks_generation(), generation);
    assert_eq!(identities(&shell, 1), ["dev1-2"]);
    assert!(!shell.gateway.counts(&own.proof()));
    assert_eq!(through(&mut shell, &own, &request), None);
    // Still nobody without a key.
    assert_eq!(
        code(&shell.ask(peer(1), &post(9, &check_in(1, 1)))),
        Code::UNAUTHORIZED
    );
    let third = psk("dev1-3", 3);
    shell.command(Command::Identity(rotate(third.clone()))).unwrap();
    let now = Now {
        unix_s: shell.now().unix_s + 1_000,
        ..shell.now()
    };
    shell.restart();
    shell.gateway.handle_start(now);
    assert_eq!(identities(&shell, 1), ["dev1-3"]);
    assert!(!shell.gateway.counts(&next.proof()) && shell.gateway.counts(&third.proof()));
}

/// A handshake says which identity it is under, and not which of its keys.
#[test]
fn another_key_under_the_same_identity_counts_at_once() {
    let (mut shell, own) = site();
    let next = psk("dev1", 2);
    assert_eq!(ask(&mut shell, rotate(next.clone())), Ok(Reply::Done));
    assert_eq!(identities(&shell, 1), ["dev1"]);
    assert!(!shell.gateway.counts(&own.proof()) && shell.gateway.counts(&next.proof()));
    assert_eq!(
        code(&shell.ask(peer(1), &post(9, &check_in(1, 1)))),
        Code::UNAUTHORIZED
    );
}

#[test]
fn a_key_goes_with_its_device() {
    for command in [
        Command::Identity(IdentityCommand::Retire(id(1))),
        Command::Identity(IdentityCommand::Swap {
            old: id(1),
            new: id(3),
        }),
        Command::ForgetDevice(id(1)),
    ] {
        let (mut shell, own) = site();
        shell.command(command.clone()).unwrap();
        assert!(!shell.gateway.counts(&own.proof()), "{command:?}");
        assert_eq!(shell.gateway.psks().count(), 0);
        let request = get(3, &[".well-known", "core"], None);
        assert_eq!(through(&mut shell, &own, &request), None);
        // Its bytes may be somebody's again, once nobody has them.
        enrol(&mut shell, 4, own);
    }
}
