//! Signatures at the edges of RFC 8032: what devices check with agrees with ed25519-dalek's `verify_strict`, except where
//! the holder of the key wants it not to.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};
use proptest::prelude::*;
use wire_manifest::{Anchor, Envelope, KeyId, Release, SignatureError, TrustAnchors, Verifier};

/// The eight points of small order, canonically encoded, and six other encodings of some of them (y not below p, or the
/// sign bit set on x = 0).
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

/// L, the order of the base point, little-endian.
const L: &str = "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010";

/// A signature over the text "mixed order" with R = rB + T, where T has order 8. It was made with the private key, by the
/// curve's formulas in big-integer arithmetic.
const MIXED_ORDER: (&str, &str) = (
    "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c",
    "1dd960b291c53514fece1341fc0dcd8a648b3934c2c533666f737a654ff1e1bfb79fd74e396571e45654d2e30aea841c9f5d37b28466856b\
     7d2bb986d32fa20a",
);

fn bytes<const N: usize>(hex: &str) -> [u8; N] {
    std::array::from_fn(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
}

/// What a device says of `signature` by `key` over `message`.
fn device(key: [u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    // A Signature is only ever read from an envelope, so one is borrowed and its bytes are replaced.
    let mut out = [0; 2_048];
    let release = Release {
        sequence_number: 1,
        vendor_id: [0; 16],
        class_id: [0; 16],
        image_digest: [0; 32],
        image_size: 0,
        text: None,
        image: None,
    };
    let file = release.encode(&mut out, KeyId::of(&key), |_| [0; 64]).unwrap();
    let envelope = Envelope::parse(file).unwrap();
    let mut borrowed = *envelope.signatures().next().unwrap();
    borrowed.signature = signature;
    TrustAnchors::new(&[Anchor { key }]).verify(&borrowed, message)
}

/// What the strictest verifier says.
fn strict(key: [u8; 32], message: &[u8], signature: [u8; 64]) -> bool {
    let signature = DalekSignature::from_bytes(&signature);
    VerifyingKey::from_bytes(&key).is_ok_and(|key| key.verify_strict(message, &signature).is_ok())
}

fn assert_both_refuse(key: [u8; 32], message: &[u8], signature: [u8; 64]) {
    assert_eq!(device(key, message, &signature), Err(SignatureError::Invalid));
    assert!(!strict(key, message, signature));
}

#[test]
fn an_honest_signature_passes_both() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = key.sign(b"message").to_bytes();
    assert_eq!(
        device(key.verifying_key().to_bytes(), b"message", &signature),
        Ok(())
    );
    assert!(strict(key.verifying_key().to_bytes(), b"message", signature));
    assert_both_refuse(key.verifying_key().to_bytes(), b"another", signature);
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = [key.sign(b"message").to_bytes().as_slice(), &[0]].concat();
    for len in [0, 63, 65] {
        let result = device(key.verifying_key().to_bytes(), b"message", &signature[..len]);
        assert_eq!(result, Err(SignatureError::Invalid), "{len}");
    }
}

/// RFC 8032 §5.1.7: S must be below L, or anybody could make a second signature out of the first.
#[test]
fn s_plus_l_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut signature = key.sign(b"message").to_bytes();
    let mut carry = 0;
    for (digit, order) in signature[32..].iter_mut().zip(bytes::<32>(L)) {
        let sum = u16::from(*digit) + u16::from(order) + carry;
        (*digit, carry) = (sum as u8, sum >> 8);
    }
    assert_eq!(carry, 0);
    assert_both_refuse(key.verifying_key().to_bytes(), b"message", signature);
}

/// With a key of small order, S = 0 and a fitting R verify many messages under a lax verifier.
#[test]
fn keys_of_small_order_verify_nothing() {
    for key in SMALL_ORDER.map(bytes::<32>) {
        assert!(!Anchor { key }.is_usable());
        for r in SMALL_ORDER.map(bytes::<32>) {
            for message in [&b"0"[..], b"1", b"2", b"3", b"4", b"5", b"6", b"7"] {
                let mut signature = [0; 64];
                signature[..32].copy_from_slice(&r);
                assert_both_refuse(key, message, signature);
            }
        }
    }
}

#[test]
fn r_of_small_order_is_refused_under_an_honest_key() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let honest = key.sign(b"message").to_bytes();
    for r in SMALL_ORDER.map(bytes::<32>) {
        let mut signature = honest;
        signature[..32].copy_from_slice(&r);
        assert_both_refuse(key.verifying_key().to_bytes(), b"message", signature);
        signature[32..].fill(0);
        assert_both_refuse(key.verifying_key().to_bytes(), b"message", signature);
    }
}

/// The one place where they differ: the device's equation is the cofactored one of RFC 8032 §5.1.7. Only the holder of the
/// key can make such a signature, over a message it signs anyway; the gateway, which checks strictly, refuses to import it.
#[test]
fn a_mixed_order_r_made_by_the_keys_holder_passes_the_device_only() {
    let (key, signature) = (bytes(MIXED_ORDER.0), bytes(MIXED_ORDER.1));
    assert_eq!(device(key, b"mixed order", &signature), Ok(()));
    assert!(!strict(key, b"mixed order", signature));
    assert_both_refuse(key, b"mixed ordeR", signature);
}

proptest! {
    #[test]
    fn altered_signatures_and_keys_are_judged_alike(
        seed: [u8; 32],
        message in proptest::collection::vec(any::<u8>(), 0..200),
        at in 0usize..96,
        flip in 0u8..=255,
    ) {
        let key = SigningKey::from_bytes(&seed);
        let mut both = [0; 96];
        both[..64].copy_from_slice(&key.sign(&message).to_bytes());
        both[64..].copy_from_slice(&key.verifying_key().to_bytes());
        both[at] ^= flip;
        let signature: [u8; 64] = both[..64].try_into().unwrap();
        let key: [u8; 32] = both[64..].try_into().unwrap();
        prop_assert_eq!(device(key, &message, &signature).is_ok(), strict(key, &message, signature));
        prop_assert_eq!(device(key, &message, &signature).is_ok(), flip == 0);
    }
}
