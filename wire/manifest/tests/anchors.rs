//! Sets of trust anchors: who may sign them, what they may say, and releases that several keys have to sign.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use wire_manifest::{
    ANCHORS_MAX, AnchorSet, CosignError, ENVELOPE_BYTES_MAX, Envelope, KeyId, Release, Roles, SetKey,
    TrustAnchors, VerifyError, cosign, verify, write_set,
};

const CLASS: [u8; 16] = [2; 16];
/// No release has too high a number.
const ANY: u32 = u32::MAX;
const BOTH: Roles = Roles::RELEASE.and(Roles::RECOVERY);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    key(seed).verifying_key().to_bytes()
}

fn keys(of: &[(Roles, u8)]) -> Vec<SetKey> {
    of.iter()
        .map(|(roles, seed)| SetKey::new(*roles, &public(*seed)))
        .collect()
}

fn sign(envelope: &[u8], by: &[u8]) -> Vec<u8> {
    let mut signed = envelope.to_vec();
    for seed in by {
        let mut out = [0; 1024];
        let id = KeyId::of(&public(*seed));
        signed = cosign(&signed, &mut out, id, |bytes| key(*seed).sign(bytes).to_bytes())
            .unwrap()
            .to_vec();
    }
    signed
}

fn set(number: u16, least: (u8, u8), of: &[(Roles, u8)], by: &[u8]) -> Vec<u8> {
    let mut out = [0; ENVELOPE_BYTES_MAX];
    sign(
        write_set(&mut out, number, None, ANY, least, &mut keys(of)).unwrap(),
        by,
    )
}

/// Whether a device takes it that has `known` recovery keys, of which `least` have to sign.
fn is_taken(envelope: &[u8], known: &[u8], least: u8) -> bool {
    let envelope = Envelope::parse(envelope).unwrap();
    let known: Vec<[u8; 32]> = known.iter().map(|seed| public(*seed)).collect();
    AnchorSet::read(envelope.manifest_bytes())
        .unwrap()
        .is_signed_by(&envelope, &CLASS, &known, least)
}

#[test]
fn a_set_comes_back_as_it_was_written() {
    let envelope = set(
        300,
        (2, 1),
        &[
            (Roles::RECOVERY, 9),
            (Roles::RETIRED, 8),
            (Roles::RELEASE, 7),
            (BOTH, 6),
        ],
        &[9],
    );
    let parsed = Envelope::parse(&envelope).unwrap();
    let read = AnchorSet::read(parsed.manifest_bytes()).unwrap();
    assert_eq!((read.number, read.release_min, read.recovery_min), (300, 2, 1));
    let ranks: Vec<usize> = read.keys().map(|(roles, _)| roles.rank()).collect();
    assert_eq!(ranks, [0, 0, 1, 2]);
    assert!(read.keys().any(|key| key == (Roles::RETIRED, &public(8))));
}

/// A device in the field was given such a set. Keys are those of the seeds 1 and 2; the signature is deterministic (RFC 8032 §5.1.6).
#[test]
fn the_example_of_the_documentation_is_this_set() {
    let envelope = set(2, (1, 1), &[(Roles::RELEASE, 1), (Roles::RECOVERY, 2)], &[2]);
    let hex: String = envelope.iter().map(|byte| format!("{byte:02x}")).collect();
    let documented = include_str!("../../../docs/anchors.md");
    let documented: String = documented.split_whitespace().collect();
    assert!(documented.contains(&hex), "{hex}");
    assert_eq!(envelope.len(), 213);
}

#[test]
fn a_set_is_taken_from_those_who_may_sign_it() {
    let of = [(Roles::RELEASE, 1), (Roles::RECOVERY, 2), (Roles::RECOVERY, 3)];
    let once = set(1, (1, 1), &of, &[2]);
    assert!(is_taken(&once, &[2, 3], 1));
    assert!(!is_taken(&once, &[3], 1), "not known to the device");
    assert!(!is_taken(&once, &[2, 3], 2), "the set before asks for two");
    assert!(is_taken(&set(1, (1, 1), &of, &[2, 3]), &[2, 3], 2));
    let strict = set(1, (1, 2), &of, &[2]);
    assert!(!is_taken(&strict, &[2, 3], 1), "it asks for two itself");
    assert!(!is_taken(&set(1, (1, 1), &of, &[1]), &[1, 2], 1), "a release key");
    assert!(
        !is_taken(&set(1, (1, 1), &of, &[4]), &[4, 2], 1),
        "a recovery key that the set does without"
    );
    assert!(!is_taken(&set(1, (1, 1), &of, &[]), &[2, 3], 1));
}

#[test]
fn no_key_counts_twice() {
    let of = [(BOTH, 2), (BOTH, 3)];
    let signed = set(1, (1, 2), &of, &[2]);
    let mut out = [0; ENVELOPE_BYTES_MAX];
    let again = cosign(&signed, &mut out, KeyId::of(&public(2)), |bytes| {
        key(2).sign(bytes).to_bytes()
    });
    assert_eq!(again, Err(CosignError::SignedAlready));
    // The block once more, by hand: the wrapper is an array of two, the digest and the block.
    let at = 3 + 1 + 2;
    let parsed = Envelope::parse(&signed).unwrap();
    let wrapper = &signed[at..signed.len() - parsed.manifest_bytes().len() - 3];
    let block = &wrapper[1 + 2 + 36..];
    let twice = [
        &[0xD8, 0x6B, 0xA2, 2, 0x58, (wrapper.len() + block.len()) as u8][..],
        &[0x83],
        &wrapper[1..],
        block,
        &signed[at + wrapper.len()..],
    ]
    .concat();
    assert_eq!(Envelope::parse(&twice).unwrap().signatures().count(), 2);
    assert!(!is_taken(&twice, &[2, 3], 1));
}

#[test]
fn a_set_that_nobody_could_follow_is_none() {
    let mut out = [0; ENVELOPE_BYTES_MAX];
    let mut refused = |number, least, of: &[(Roles, u8)]| {
        assert_eq!(
            write_set(&mut out, number, None, ANY, least, &mut keys(of)),
            None,
            "{least:?} {of:?}"
        );
    };
    refused(0, (1, 1), &[(BOTH, 1)]);
    refused(1, (0, 1), &[(BOTH, 1)]);
    refused(1, (1, 0), &[(BOTH, 1)]);
    refused(1, (2, 1), &[(BOTH, 1), (Roles::RECOVERY, 2)]);
    refused(1, (1, 2), &[(BOTH, 1), (Roles::RELEASE, 2)]);
    refused(1, (1, 1), &[(Roles::RELEASE, 1), (Roles::OPERATOR, 2)]);
    refused(1, (1, 1), &[(BOTH, 1), (Roles::RECOVERY, 1)]);
    refused(1, (1, 1), &[]);
    refused(
        1,
        (1, 1),
        &[(BOTH, 1), (BOTH, 2), (BOTH, 3), (BOTH, 4), (BOTH, 5)],
    );
    assert!(
        write_set(
            &mut out,
            1,
            None,
            ANY,
            (4, 4),
            &mut keys(&[(BOTH, 1), (BOTH, 2), (BOTH, 3), (BOTH, 4)])
        )
        .is_some()
    );
}

#[test]
fn a_set_is_for_its_class() {
    let mut out = [0; ENVELOPE_BYTES_MAX];
    for (class, taken) in [(CLASS, true), ([3; 16], false)] {
        let written = write_set(&mut out, 1, Some(class), ANY, (1, 1), &mut keys(&[(BOTH, 1)])).unwrap();
        assert_eq!(is_taken(&sign(written, &[1]), &[1], 1), taken);
    }
}

fn release(by: &[u8]) -> Vec<u8> {
    let release = Release {
        sequence_number: 7,
        vendor_id: [1; 16],
        class_id: CLASS,
        image_digest: [3; 32],
        image_size: 100,
        predecessor_min: 0,
        text: None,
        image: None,
    };
    let mut out = [0; 1024];
    let first = by[0];
    let file = release
        .encode(&mut out, KeyId::of(&public(first)), |bytes| {
            key(first).sign(bytes).to_bytes()
        })
        .unwrap();
    sign(file, &by[1..])
}

#[test]
fn a_release_of_two_of_three() {
    let anchors = [public(1), public(2), public(3)];
    let two = TrustAnchors::at_least(2, &anchors);
    let judged = |by: &[u8]| verify(&release(by), &two).map(drop);
    assert_eq!(judged(&[1, 3]), Ok(()));
    assert_eq!(judged(&[3, 2]), Ok(()));
    assert_eq!(
        judged(&[4, 3, 5, 2]),
        Ok(()),
        "others' signatures are passed over"
    );
    assert_eq!(judged(&[2]), Err(VerifyError::TooFewSignatures));
    assert_eq!(judged(&[2, 4]), Err(VerifyError::TooFewSignatures));
    assert_eq!(judged(&[4]), Err(VerifyError::UnknownKey));
    assert_eq!(
        release(&[1]).len() + 86,
        release(&[1, 2]).len(),
        "bytes of one more signature"
    );
    assert!(release(&[1, 2, 3]).len() <= ENVELOPE_BYTES_MAX);
}

#[test]
fn a_release_is_no_set_and_a_set_no_release() {
    let set = set(1, (1, 1), &[(BOTH, 1)], &[1]);
    assert!(matches!(
        verify(&set, &TrustAnchors::at_least(1, &[public(1)])),
        Err(VerifyError::Malformed(_))
    ));
    let release = release(&[1]);
    assert_eq!(
        AnchorSet::read(Envelope::parse(&release).unwrap().manifest_bytes()),
        None
    );
}

#[test]
fn an_altered_bit_of_a_signed_set_is_noticed() {
    let sound = set(1, (1, 1), &[(BOTH, 1)], &[1]);
    assert!(is_taken(&sound, &[1], 1));
    for bit in 0..sound.len() * 8 {
        let mut bytes = sound.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let taken = Envelope::parse(&bytes).is_ok_and(|envelope| {
            AnchorSet::read(envelope.manifest_bytes())
                .is_some_and(|set| set.is_signed_by(&envelope, &CLASS, &[public(1)], 1))
        });
        // EdDSA for Ed25519 in the protected header is signed as well, so nothing is left that may differ.
        assert!(!taken, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn any_bytes_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(set) = AnchorSet::read(&bytes) {
            prop_assert!(set.keys().count() <= ANCHORS_MAX);
        }
    }

    #[test]
    fn what_is_written_is_read_or_refused(number: u16, sequence_max: u32, release in 0u8..6, recovery in 0u8..6, roles in prop::collection::vec(0u8..20, 0..6)) {
        let all = [Roles::default(), Roles::RELEASE, Roles::RECOVERY, BOTH, Roles::OPERATOR, Roles::RETIRED];
        let of: Vec<(Roles, u8)> = roles.iter().enumerate().map(|(at, which)| (all[usize::from(*which) % 6], at as u8 + 1)).collect();
        let mut out = [0; ENVELOPE_BYTES_MAX];
        let count = |role: Roles| of.iter().filter(|(roles, _)| roles.has(role)).count();
        let is_sound = number > 0 && of.len() <= ANCHORS_MAX && of.iter().all(|(roles, _)| *roles != Roles::default())
            && release > 0 && recovery > 0
            && count(Roles::RELEASE) >= usize::from(release) && count(Roles::RECOVERY) >= usize::from(recovery);
        let written = write_set(&mut out, number, Some(CLASS), sequence_max, (release, recovery), &mut keys(&of));
        prop_assert_eq!(written.is_some(), is_sound);
        if let Some(envelope) = written {
            let envelope = Envelope::parse(envelope).unwrap();
            let read = AnchorSet::read(envelope.manifest_bytes()).unwrap();
            prop_assert_eq!((read.number, read.keys().count(), read.class_id), (number, of.len(), &CLASS[..]));
            prop_assert_eq!(read.sequence_max, sequence_max);
        }
    }
}
