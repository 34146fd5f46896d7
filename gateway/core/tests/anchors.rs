//! Sets of trust anchors: who may sign them, whose images still go out, and which device is told of which.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use common::*;
use ed25519_dalek::{Signer, SigningKey};
use gateway_core::{AnchorsRecord, AnchorsRefusal, Command, CoreConfig, ImageRecord, Refusal, Reply, Stage};
use gateway_core::{ClassId, LinkConfig, Selector, Terms};
use wire_checkin::CheckIn;
use wire_manifest::{ENVELOPE_BYTES_MAX, KeyId, Release, Roles, SetKey, cosign, write_set};

const A: u8 = 1;
const B: u8 = 2;
const C: u8 = 3;
const NEW: u8 = 4;

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn sign(envelope: &[u8], by: &[u8]) -> Vec<u8> {
    by.iter().fold(envelope.to_vec(), |signed, seed| {
        let id = KeyId::of(&public(*seed));
        let sign = |bytes: &[u8]| key(*seed).sign(bytes).to_bytes();
        cosign(&signed, &mut [0; ENVELOPE_BYTES_MAX], id, sign)
            .unwrap()
            .to_vec()
    })
}

/// A set with these release and recovery keys, of which so many have to sign.
struct Set {
    number: u16,
    class: Option<ClassId>,
    least: (u8, u8),
    sequence_max: u32,
}

const SET: Set = Set {
    number: 1,
    class: None,
    least: (1, 1),
    sequence_max: 1_000,
};

impl Set {
    fn of(&self, release: &[u8], recovery: &[u8], by: &[u8]) -> AnchorsRecord {
        let with = |role, of: &[u8]| of.iter().map(move |seed| (role, *seed)).collect::<Vec<_>>();
        let mut keys: Vec<(Roles, u8)> = with(Roles::RELEASE, release);
        for (role, seed) in with(Roles::RECOVERY, recovery) {
            match keys.iter_mut().find(|(_, known)| *known == seed) {
                Some((roles, _)) => *roles = roles.and(role),
                None => keys.push((role, seed)),
            }
        }
        let mut keys: Vec<SetKey> = keys
            .iter()
            .map(|(roles, seed)| SetKey::new(*roles, &public(*seed)))
            .collect();
        let mut out = [0; ENVELOPE_BYTES_MAX];
        let class = self.class.map(|class| class.0);
        let set = write_set(
            &mut out,
            self.number,
            class,
            self.sequence_max,
            self.least,
            &mut keys,
        )
        .unwrap();
        AnchorsRecord::read(&sign(set, by), 7).unwrap()
    }
}

/// An image whose envelope these keys signed.
fn signed(sequence_number: u64, by: &[u8]) -> ImageRecord {
    let plain = image(sequence_number);
    let release = Release {
        sequence_number,
        vendor_id: plain.vendor.0,
        class_id: plain.class.0,
        image_digest: plain.digest.0,
        image_size: plain.size.0 as u32,
        predecessor_min: 0,
        text: None,
        image: None,
    };
    let first = by[0];
    let mut out = [0; ENVELOPE_BYTES_MAX];
    let id = KeyId::of(&public(first));
    let envelope = release
        .encode(&mut out, id, |bytes| key(first).sign(bytes).to_bytes())
        .unwrap();
    ImageRecord {
        envelope: sign(envelope, &by[1..]),
        key_id: id.0,
        ..plain
    }
}

/// Devices have A, B and C from the factory. Image 1 runs on device 1, and image 2 is to, which these keys signed.
fn shell(by: &[u8]) -> Shell {
    let factory = [A, B, C];
    let mut shell = Shell::new(CoreConfig {
        trusted_keys: Some(factory.iter().map(|seed| KeyId::of(&public(*seed)).0).collect()),
        factory_keys: factory.iter().map(|seed| public(*seed)).collect(),
        ..open()
    });
    shell.command(Command::ImportImage(signed(1, &[A]))).unwrap();
    shell.command(Command::ImportImage(signed(2, by))).unwrap();
    shell.build_all();
    shell.command(Command::ClaimDevice(id(1))).unwrap();
    let to = Selector::Device(id(1));
    shell
        .command(Command::Assign(to, digest(2), Terms::default()))
        .unwrap();
    shell.check_in(1, 1, &has(0));
    shell.build_all();
    shell
}

fn has(set: u16) -> CheckIn {
    CheckIn {
        anchors: Some(set),
        ..check_in(1, 1)
    }
}

fn take(shell: &mut Shell, set: AnchorsRecord) -> Result<Reply, Refusal> {
    shell.command(Command::ImportAnchors(set))
}

#[test]
fn what_a_revoked_key_signed_goes_out_no_more_and_the_operator_is_told_which() {
    let mut shell = shell(&[A]);
    assert!(shell.check_in(1, 2, &has(0)).job.is_some());
    let reply = take(&mut shell, SET.of(&[NEW], &[B], &[B])).unwrap();
    let Reply::Anchors {
        number: 1,
        distrusted,
        behind: 1,
    } = &reply
    else {
        panic!("{reply:?}");
    };
    assert_eq!(distrusted.len(), 2);
    assert!(reply.to_string().contains(&digest(2).short_hex()), "{reply}");
    let told = shell.check_in(1, 3, &has(0));
    assert_eq!((told.job, told.anchors.is_some()), (None, true));
    assert_eq!(shell.gateway.updates()[0].stage, Stage::Blocked);
    let view = shell.gateway.device(id(1)).unwrap();
    assert!(
        view.chain
            .last()
            .unwrap()
            .contains("set 1 of trust anchors asks for 1 release key's signature")
    );
    assert!(view.next_step.unwrap().command.contains("image cosign"));
    assert!(shell.gateway.image(digest(2)).unwrap().distrusted.is_some());

    // The same image, signed by the new key.
    shell.command(Command::ImportImage(signed(2, &[NEW]))).unwrap();
    assert!(shell.check_in(1, 4, &has(1)).job.is_some());
    // And all of it after a restart.
    shell.restart();
    let told = shell.check_in(1, 5, &has(0));
    assert!(told.job.is_some() && told.anchors.is_some() && told.envelope.is_none());
}

#[test]
fn a_release_needs_as_many_keys_as_the_set_says_and_each_counts_once() {
    let mut one = shell(&[A]);
    let two_of_three = || Set { least: (2, 1), ..SET }.of(&[A, B, NEW], &[C], &[C]);
    take(&mut one, two_of_three()).unwrap();
    assert!(one.check_in(1, 2, &has(1)).job.is_none());
    let mut two = shell(&[A, NEW]);
    take(&mut two, two_of_three()).unwrap();
    assert!(two.check_in(1, 2, &has(1)).job.is_some());
}

#[test]
fn a_number_above_the_sets_goes_to_nobody() {
    let mut shell = shell(&[A]);
    take(
        &mut shell,
        Set {
            sequence_max: 1,
            ..SET
        }
        .of(&[A], &[B], &[B]),
    )
    .unwrap();
    assert!(shell.check_in(1, 2, &has(1)).job.is_none());
    let view = shell.gateway.device(id(1)).unwrap();
    assert!(view.chain.last().unwrap().contains("no sequence number above 1"));
    take(
        &mut shell,
        Set {
            number: 2,
            sequence_max: 2,
            ..SET
        }
        .of(&[A], &[B], &[B]),
    )
    .unwrap();
    assert!(shell.check_in(1, 3, &has(2)).job.is_some());
}

#[test]
fn a_set_is_taken_from_those_who_may_sign_it_once_and_in_order() {
    let mut shell = shell(&[A]);
    let mut refused = |set| match take(&mut shell, set) {
        Err(Refusal::Anchors(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    // A stranger; a key of the factory that the set does without; too few for the set itself.
    for set in [
        SET.of(&[NEW], &[NEW], &[NEW]),
        SET.of(&[NEW], &[B], &[A]),
        Set { least: (1, 2), ..SET }.of(&[NEW], &[B, C], &[B]),
    ] {
        assert!(matches!(
            refused(set),
            AnchorsRefusal::NotSigned {
                number: 1,
                after: 0,
                ..
            }
        ));
    }
    let first = Set {
        number: 5,
        least: (1, 2),
        ..SET
    }
    .of(&[A], &[B, C], &[B, C]);
    take(&mut shell, first.clone()).unwrap();
    assert_eq!(take(&mut shell, first), Ok(Reply::Unchanged));
    let mut refused = |set| match take(&mut shell, set) {
        Err(Refusal::Anchors(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    let older = Set { number: 4, ..SET }.of(&[A], &[B, C], &[B, C]);
    assert_eq!(
        refused(older),
        AnchorsRefusal::NotNewer {
            number: 4,
            in_force: 5
        }
    );
    let lonely = Set { number: 6, ..SET }.of(&[A], &[B, C], &[B]);
    assert!(matches!(
        refused(lonely),
        AnchorsRefusal::NotSigned {
            least: 2,
            after: 5,
            ..
        }
    ));
    // A key that set 5 took away, and one that it made a recovery key: the factory did not.
    let gone = Set { number: 6, ..SET }.of(&[A], &[A, B], &[A, B]);
    assert!(matches!(refused(gone), AnchorsRefusal::NotSigned { .. }));
}

#[test]
fn a_device_is_told_ever_more_rarely_of_what_it_does_not_take() {
    let mut shell = shell(&[A]);
    take(&mut shell, SET.of(&[A], &[B], &[B])).unwrap();
    let mut message_id = 10;
    let mut told = |shell: &mut Shell, said: &CheckIn| {
        shell.sleep(60_000);
        message_id += 1;
        let told = shell.check_in(1, message_id, said);
        assert!(told.job.is_some(), "updates go on meanwhile");
        assert!(
            told.anchors.is_none() || told.envelope.is_none(),
            "one envelope a datagram"
        );
        told.anchors.is_some()
    };
    let tries = (0..100).filter(|_| told(&mut shell, &has(0))).count();
    assert_eq!(tries, 7, "at the check-ins 1, 2, 4, 8, 16, 32 and 64");
    let stand = shell.gateway.device(id(1)).unwrap().anchors.unwrap();
    assert!(stand.to_string().contains("100 check-ins ago"), "{stand}");
    // What changes is a reason to try again.
    take(&mut shell, Set { number: 2, ..SET }.of(&[A], &[B], &[B])).unwrap();
    assert!(told(&mut shell, &has(0)));
    let waiting = CheckIn {
        anchors_waiting: Some(2),
        ..has(0)
    };
    assert!(!told(&mut shell, &waiting), "it has it");
    assert!(!told(&mut shell, &has(2)));
    assert!(
        !told(
            &mut shell,
            &CheckIn {
                anchors: None,
                ..has(0)
            }
        ),
        "it takes none"
    );
    assert_eq!(shell.gateway.status().anchors_behind, [id(1)]);
}

/// Set 2 makes B a recovery key again, which set 1 took away; set 3 is signed by B alone.
#[test]
fn a_device_that_does_not_believe_the_newest_gets_the_one_between() {
    let mut shell = shell(&[A]);
    let sets = [
        SET.of(&[A], &[C], &[C]),
        Set { number: 2, ..SET }.of(&[A], &[B, C], &[C]),
        Set { number: 3, ..SET }.of(&[A], &[B], &[B]),
    ];
    for set in &sets {
        take(&mut shell, set.clone()).unwrap();
    }
    let told = shell.check_in(1, 2, &has(1)).anchors;
    assert_eq!(told.as_ref(), Some(&sets[1].envelope));
    let told = shell.check_in(1, 3, &has(2)).anchors;
    assert_eq!(told.as_ref(), Some(&sets[2].envelope));
    let told = shell.check_in(1, 4, &has(0)).anchors;
    assert_eq!(
        told.as_ref(),
        Some(&sets[2].envelope),
        "the factory's keys sign any"
    );
}

#[test]
fn a_set_for_another_class_changes_nothing_for_this_one() {
    let mut shell = shell(&[A]);
    let other = Set {
        class: Some(OTHER_CLASS),
        ..SET
    };
    take(&mut shell, other.of(&[NEW], &[B], &[B])).unwrap();
    let told = shell.check_in(1, 2, &has(0));
    assert!(told.job.is_some() && told.anchors.is_none());
    let own = Set {
        class: Some(CLASS),
        ..SET
    };
    take(&mut shell, own.of(&[NEW], &[B], &[B])).unwrap();
    let told = shell.check_in(1, 3, &has(0));
    assert!(told.job.is_none() && told.anchors.is_some());
    assert_eq!(
        shell
            .gateway
            .anchors()
            .iter()
            .filter(|set| set.is_in_force)
            .count(),
        2
    );
}

#[test]
fn a_set_longer_than_a_packet_of_the_link_is_not_sent() {
    let mut shell = shell(&[A]);
    take(&mut shell, SET.of(&[A], &[B], &[B])).unwrap();
    shell.config.default_link = LinkConfig {
        mtu: 300,
        ..open_link()
    };
    shell.restart();
    assert_eq!(shell.check_in(1, 2, &has(0)).anchors, None);
    let stand = shell.gateway.device(id(1)).unwrap().anchors.unwrap();
    assert!(stand.to_string().contains("deltagate device recover"), "{stand}");
}

#[test]
fn strangers_are_told_of_no_sets() {
    let mut shell = shell(&[A]);
    take(&mut shell, SET.of(&[A], &[B], &[B])).unwrap();
    let stranger = CheckIn {
        anchors: Some(0),
        ..check_in(9, 1)
    };
    assert_eq!(shell.check_in(9, 2, &stranger).anchors, None);
}

/// Sets are kept for devices that are behind, and not for ever.
#[test]
fn of_many_sets_the_oldest_go() {
    let mut shell = shell(&[A]);
    for number in 1..=20 {
        take(&mut shell, Set { number, ..SET }.of(&[A], &[B], &[B])).unwrap();
    }
    let numbers: Vec<u16> = shell
        .gateway
        .anchors()
        .iter()
        .map(|set| set.record.number)
        .collect();
    assert_eq!(numbers, (13..=20).collect::<Vec<_>>());
    shell.restart();
    assert_eq!(shell.gateway.anchors().len(), 8);
}
