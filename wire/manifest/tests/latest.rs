//! Statements of what is newest: one form, by whoever writes it, and nothing else that is read as one.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signer, SigningKey};
use proptest::prelude::*;
use sha2::{Digest, Sha256};
use wire_manifest::{
    Anchor, Envelope, IMAGE_PAYLOAD, KeyId, LATEST_ENVELOPE_BYTES_MAX, LATEST_IMAGE_BYTES, Latest,
    NUMBER_MAX, RELEASE_OVERHEAD_BYTES_MAX, Release, SignedLatest, TrustAnchors, VALID_S_MAX, VALID_S_MIN,
    latest_class, verify,
};

const VENDOR: [u8; 16] = [1; 16];
const CLASS: [u8; 16] = [2; 16];
const STATED: Latest = Latest {
    number: 3,
    sequence: 7,
    issued_s: 1_795_000_000,
    valid_s: 14 * 86_400,
};

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    hash.finalize().into()
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn anchor(seed: u8) -> Anchor {
    Anchor {
        key: key(seed).verifying_key().to_bytes(),
    }
}

fn statements() -> [u8; 16] {
    latest_class(&CLASS, &mut |parts| hash(parts))
}

/// The publisher's file, written as any release is.
fn file(latest: &Latest, seed: u8) -> Vec<u8> {
    let image = latest.image(&CLASS);
    let release = Release {
        sequence_number: latest.number.into(),
        vendor_id: VENDOR,
        class_id: statements(),
        image_digest: hash(&[&image]),
        image_size: image.len() as u32,
        predecessor_min: 0,
        text: None,
        image: Some(&image),
    };
    let mut out = vec![0; RELEASE_OVERHEAD_BYTES_MAX + image.len()];
    let sign = |bytes: &[u8]| key(seed).sign(bytes).to_bytes();
    release
        .encode(&mut out, anchor(seed).key_id(), sign)
        .unwrap()
        .to_vec()
}

/// What goes on the air of a file.
fn signed(latest: Latest, seed: u8) -> SignedLatest {
    let file = file(&latest, seed);
    let envelope = Envelope::parse(&file).unwrap();
    let signature = envelope.signatures().next().unwrap();
    SignedLatest {
        latest,
        signature: signature.signature.try_into().unwrap(),
    }
}

/// What a device makes of it that knows the key of this seed.
fn envelope(signed: &SignedLatest, class: &[u8; 16], key_id: KeyId) -> Vec<u8> {
    let mut buffer = [0; LATEST_ENVELOPE_BYTES_MAX];
    let statements = latest_class(class, &mut |parts| hash(parts));
    signed
        .envelope(&mut buffer, &VENDOR, class, &statements, key_id, &mut |parts| {
            hash(parts)
        })
        .unwrap()
        .to_vec()
}

fn is_believed(signed: &SignedLatest, class: &[u8; 16], seed: u8) -> bool {
    let envelope = envelope(signed, class, anchor(seed).key_id());
    verify(&envelope, &TrustAnchors::new(&[anchor(seed)])).is_ok()
}

/// Frozen: if this fails, devices in the field would take no statement any more. Made a second time with Python's `cryptography`, from
/// `docs/freeze.md`.
#[test]
fn a_statement_is_these_80_bytes() {
    let air = signed(STATED, 1).encode();
    let hex: String = air.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, GOLDEN);
    assert_eq!(SignedLatest::decode(&air), Some(signed(STATED, 1)));
    let class: String = statements().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(class, "c6e73d9218408d3196d532271105035c");
}

const GOLDEN: &str = "00000003000000076afd86c00012750018bd46d97345ff57df322e43287e7b8113d2a169cb53502f0f98b7a81ff5afe5\
                      9f764d0db95789447b9b5c93187778b18deccfe6b4daaecedc2ea179c483680f";

#[test]
fn the_class_of_statements_is_no_devices() {
    let [.., version, _, variant, _, _, _, _, _, _, _] = statements();
    assert_eq!((version >> 4, variant >> 6), (8, 2), "RFC 9562: version 8");
    assert_ne!(latest_class(&[3; 16], &mut |parts| hash(parts)), statements());
}

#[test]
fn what_is_said_of_another_class_by_another_key_or_altered_is_not_believed() {
    let signed = signed(STATED, 1);
    assert!(is_believed(&signed, &CLASS, 1));
    assert!(!is_believed(&signed, &CLASS, 2));
    assert!(!is_believed(&signed, &[3; 16], 1));
    let air = signed.encode();
    for bit in 0..air.len() * 8 {
        let mut altered = air;
        altered[bit / 8] ^= 1 << (bit % 8);
        let read = SignedLatest::decode(&altered);
        assert!(
            read.is_none_or(|altered| !is_believed(&altered, &CLASS, 1)),
            "bit {bit}"
        );
    }
}

#[test]
fn a_release_is_no_statement_and_a_statement_no_release_of_the_class() {
    let file = file(&STATED, 1);
    let parsed = Envelope::parse(&file).unwrap();
    let manifest = verify(&file, &TrustAnchors::new(&[anchor(1)])).unwrap();
    assert_ne!(manifest.class_id, CLASS);
    let image = parsed.integrated_payload(IMAGE_PAYLOAD).unwrap();
    assert_eq!(Latest::of_image(3, image), Some((STATED, CLASS)));
    assert_eq!(Latest::of_image(3, &[0; LATEST_IMAGE_BYTES]), None);
    assert_eq!(Latest::of_image(3, &image[1..]), None);
}

#[test]
fn numbers_out_of_range_are_no_statement() {
    let sound = |change: &dyn Fn(&mut Latest)| {
        let mut latest = STATED;
        change(&mut latest);
        let air = SignedLatest {
            latest,
            signature: [0; 64],
        }
        .encode();
        assert_eq!(SignedLatest::decode(&air).is_some(), latest.is_sound());
        assert_eq!(
            Latest::of_image(latest.number, &latest.image(&CLASS)).is_some(),
            latest.is_sound()
        );
        latest.is_sound()
    };
    assert!(sound(&|_| {}));
    assert!(!sound(&|latest| latest.number = 0));
    assert!(sound(&|latest| latest.number = NUMBER_MAX));
    assert!(!sound(&|latest| latest.number = NUMBER_MAX + 1));
    assert!(!sound(&|latest| latest.sequence = 0));
    assert!(sound(&|latest| latest.valid_s = VALID_S_MIN));
    assert!(!sound(&|latest| latest.valid_s = VALID_S_MIN - 1));
    assert!(sound(&|latest| latest.valid_s = VALID_S_MAX));
    assert!(!sound(&|latest| latest.valid_s = VALID_S_MAX + 1));
}

proptest! {
    #[test]
    fn a_device_puts_the_envelope_together_that_was_signed(
        number in prop_oneof![1..1_000_u32, 60_000..70_000_u32, 1..=NUMBER_MAX],
        sequence in 1..=u32::MAX, issued_s: u32, valid_s in VALID_S_MIN..=VALID_S_MAX, seed in 1..4_u8,
    ) {
        let latest = Latest { number, sequence, issued_s, valid_s };
        let file = file(&latest, seed);
        let mut severed = [0; 512];
        let on_air = wire_manifest::sever_text(&file, &mut severed).unwrap();
        prop_assert_eq!(envelope(&signed(latest, seed), &CLASS, anchor(seed).key_id()), on_air);
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        if let Some(read) = SignedLatest::decode(&bytes) {
            prop_assert_eq!(&read.encode()[..], &bytes[..]);
        }
        let _ = Latest::of_image(1, &bytes);
    }
}
