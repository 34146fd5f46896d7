//! Signatures at the edges of RFC 8032: what everybody checks with, in its strictest reading, beside two others.
//!
//! - ed25519-dalek's `verify_strict` has to accept exactly the same set. (Alone it would take a key whose y is not below p, to
//!   which nobody knows a private key.)
//! - ed25519-compact is of another author and has the cofactored equation of RFC 8032 §5.1.7. It takes what ours takes, and
//!   beyond that only what the *holder* of a key made so on purpose, with points of mixed order.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use curve25519_dalek::constants::{ED25519_BASEPOINT_POINT, EIGHT_TORSION};
use curve25519_dalek::edwards::CompressedEdwardsY;
use curve25519_dalek::scalar::Scalar;
use ed25519_compact::{PublicKey, Signature as OtherSignature};
use ed25519_dalek::{Signature as DalekSignature, Signer, SigningKey, VerifyingKey};
use proptest::prelude::*;
use sha2::{Digest, Sha512};
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

/// What we say of `signature` by `key` over `message`, and `verify_strict` with us.
fn ours(key: [u8; 32], message: &[u8], signature: &[u8]) -> Result<(), SignatureError> {
    // A Signature is only ever read from an envelope, so one is borrowed and its bytes are replaced.
    let mut out = [0; 2_048];
    let release = Release {
        sequence_number: 1,
        vendor_id: [0; 16],
        class_id: [0; 16],
        image_digest: [0; 32],
        image_size: 0,
        predecessor_min: 0,
        text: None,
        image: None,
    };
    let file = release.encode(&mut out, KeyId::of(&key), |_| [0; 64]).unwrap();
    let envelope = Envelope::parse(file).unwrap();
    let mut borrowed = envelope.signatures().next().unwrap();
    borrowed.signature = signature;
    let verdict = TrustAnchors::new(&[Anchor { key }]).verify(&borrowed, message);
    assert_eq!(
        verdict.is_ok(),
        strict(key, message, signature),
        "ours, verify_strict"
    );
    verdict.map(drop)
}

/// Whether ed25519-dalek takes it.
fn strict(key: [u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let (Ok(key), Ok(signature)) = (
        VerifyingKey::from_bytes(&key),
        DalekSignature::from_slice(signature),
    ) else {
        return false;
    };
    key.verify_strict(message, &signature).is_ok()
}

/// Whether ed25519-compact takes it.
fn other(key: [u8; 32], message: &[u8], signature: [u8; 64]) -> bool {
    PublicKey::new(key)
        .verify(message, &OtherSignature::new(signature))
        .is_ok()
}

fn assert_both_refuse(key: [u8; 32], message: &[u8], signature: [u8; 64]) {
    assert_eq!(ours(key, message, &signature), Err(SignatureError::Invalid));
    assert!(!other(key, message, signature));
}

#[test]
fn an_honest_signature_passes_both() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = key.sign(b"message").to_bytes();
    assert_eq!(
        ours(key.verifying_key().to_bytes(), b"message", &signature),
        Ok(())
    );
    assert!(other(key.verifying_key().to_bytes(), b"message", signature));
    assert_both_refuse(key.verifying_key().to_bytes(), b"another", signature);
}

#[test]
fn a_signature_of_another_length_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let signature = [key.sign(b"message").to_bytes().as_slice(), &[0]].concat();
    for len in [0, 63, 65] {
        let result = ours(key.verifying_key().to_bytes(), b"message", &signature[..len]);
        assert_eq!(result, Err(SignatureError::Invalid), "{len}");
    }
}

/// Adds `term` to `number`, both little-endian; whether it still fits.
fn add(number: &mut [u8], term: [u8; 32]) -> bool {
    let mut carry = 0;
    for (digit, term) in number.iter_mut().zip(term) {
        let sum = u16::from(*digit) + u16::from(term) + carry;
        (*digit, carry) = (sum as u8, sum >> 8);
    }
    carry == 0
}

/// RFC 8032 §5.1.7: S must be below L, or anybody could make a second signature out of the first.
#[test]
fn s_plus_any_multiple_of_l_is_refused() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let mut signature = key.sign(b"message").to_bytes();
    let mut multiples = 0;
    while add(&mut signature[32..], bytes::<32>(L)) {
        assert_both_refuse(key.verifying_key().to_bytes(), b"message", signature);
        multiples += 1;
    }
    // L is a little more than 2²⁵².
    assert!(multiples >= 14, "{multiples}");
}

/// RFC 8032 §5.1.3: y must be below p. Of the 19 numbers from p to 2²⁵⁵ − 1 some are, modulo p, points of the curve; nobody
/// knows a private key to them.
#[test]
fn keys_and_r_with_y_not_below_p_are_refused() {
    let honest = SigningKey::from_bytes(&[7; 32]);
    let signature = honest.sign(b"message").to_bytes();
    let mut points = 0;
    for (low, sign) in (0xED..=0xFF).flat_map(|low| [(low, 0x7F), (low, 0xFF)]) {
        let mut encoded = [0xFF; 32];
        (encoded[0], encoded[31]) = (low, sign);
        points += usize::from(CompressedEdwardsY(encoded).decompress().is_some());
        assert!(!Anchor { key: encoded }.is_usable(), "{low:x} {sign:x}");
        assert_both_refuse(encoded, b"message", signature);
        let mut of_r = signature;
        of_r[..32].copy_from_slice(&encoded);
        assert_both_refuse(honest.verifying_key().to_bytes(), b"message", of_r);
    }
    assert!(points > 4, "{points}");
    // The largest y below p is -1, of small order; the next ones are ordinary.
    let largest: [u8; 32] = std::array::from_fn(|at| if at == 31 { 0x7F } else { 0xFF });
    let ordinary = (1..16).filter(|under| {
        let mut key = largest;
        key[0] = 0xEC - under;
        Anchor { key }.is_usable()
    });
    assert!(ordinary.count() > 4);
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

/// The one place where they differ. Whoever holds the key can make such a signature, over a message it signs anyway.
#[test]
fn a_mixed_order_r_made_by_the_keys_holder_passes_the_cofactored_equation_only() {
    let (key, signature) = (bytes(MIXED_ORDER.0), bytes(MIXED_ORDER.1));
    assert_eq!(
        ours(key, b"mixed order", &signature),
        Err(SignatureError::Invalid)
    );
    assert!(other(key, b"mixed order", signature));
    assert_both_refuse(key, b"mixed ordeR", signature);
}

/// Key aB + iT and R = rB + jT, where T has order 8, with S = r + ka: the terms in B cancel, and what is left of the equation
/// without cofactor is j + ki = 0 modulo 8.
fn mixed(a: Scalar, r: Scalar, message: &[u8], i: usize, j: usize) -> ([u8; 32], [u8; 64], bool) {
    let key = (a * ED25519_BASEPOINT_POINT + EIGHT_TORSION[i]).compress().0;
    let r_bytes = (r * ED25519_BASEPOINT_POINT + EIGHT_TORSION[j]).compress().0;
    let hash = Sha512::new()
        .chain_update(r_bytes)
        .chain_update(key)
        .chain_update(message);
    let k = Scalar::from_bytes_mod_order_wide(&hash.finalize().into());
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(&r_bytes);
    signature[32..].copy_from_slice((r + k * a).as_bytes());
    let holds = (j + usize::from(k.as_bytes()[0]) * i).is_multiple_of(8);
    (key, signature, holds)
}

proptest! {
    #[test]
    fn points_of_any_order_are_judged_by_the_equation_without_cofactor(
        a: [u8; 32],
        r: [u8; 32],
        message in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let [a, r] = [a, r].map(Scalar::from_bytes_mod_order);
        prop_assume!(a != Scalar::ZERO && r != Scalar::ZERO);
        for (i, j) in (0..8).flat_map(|i| (0..8).map(move |j| (i, j))) {
            let (key, signature, holds) = mixed(a, r, &message, i, j);
            prop_assert_eq!(ours(key, &message, &signature).is_ok(), holds, "{} {}", i, j);
            prop_assert!(other(key, &message, signature), "{} {}", i, j);
        }
    }

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
        prop_assert_eq!(ours(key, &message, &signature).is_ok(), other(key, &message, signature));
        prop_assert_eq!(ours(key, &message, &signature).is_ok(), flip == 0);
    }
}
