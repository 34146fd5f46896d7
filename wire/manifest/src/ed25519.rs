//! Ed25519 (RFC 8032 §5.1.7) in its strictest reading, for a program that has to be small.
//!
//! ed25519-dalek's `verify_strict` accepts the same set; the edge tests compare the two, and both with a third. This one
//! makes the same steps from the same curve and hash, with the curve's multiplication in constant time twice instead of a
//! faster one of both points at once: it needs less code, two thirds of the stack, and, as it selects from its tables without
//! indexing them, it has no path that panics. It takes 3.1 million instructions of a Cortex-M3 instead of 1.7.

use curve25519_dalek::constants::ED25519_BASEPOINT_POINT;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use sha2::{Digest, Sha512};

/// Whether `key` can verify anything: it is the canonical encoding of a point that has no small order.
pub(crate) fn is_usable(key: &[u8; 32]) -> bool {
    is_below_p(key) && point(key).is_some()
}

/// Whether `signature` over `message` is by `key`: S is below L, key and R have no small order, and R is, byte for byte, what
/// S and the key give, without a cofactor. What passes here passes any verifier.
///
/// Not inlined: its stack, the deepest there is, is in use for no longer than it takes.
#[inline(never)]
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    let Ok(signature) = <&[u8; 64]>::try_from(signature) else {
        return false;
    };
    let (Some(r), Some(s)) = (signature.first_chunk::<32>(), signature.last_chunk::<32>()) else {
        return false;
    };
    if !is_below_p(key) || point(r).is_none() {
        return false;
    }
    let (Some(a), Some(s)) = (point(key), Option::from(Scalar::from_canonical_bytes(*s))) else {
        return false;
    };
    let k = hash(r, key, message);
    encoded_difference(&times(&s, &ED25519_BASEPOINT_POINT), &times(&k, &a)) == *r
}

/// In its canonical encoding, from which a given R that is not canonical differs.
#[inline(never)]
fn encoded_difference(point: &EdwardsPoint, other: &EdwardsPoint) -> [u8; 32] {
    (point - other).compress().0
}

/// RFC 8032 §5.1.3: y is below p = 2²⁵⁵ − 19. The decoder we use takes greater ones modulo p (ZIP 215). The other encoding
/// that the clause refuses, x = 0 with its sign set, is of points of small order.
fn is_below_p(encoded: &[u8; 32]) -> bool {
    let [first, middle @ .., last] = encoded;
    *first < 0xED || middle.iter().any(|&byte| byte != 0xFF) || last | 0x80 != 0xFF
}

/// The point, if its order is not small.
#[inline(never)]
fn point(encoded: &[u8; 32]) -> Option<EdwardsPoint> {
    CompressedEdwardsY(*encoded)
        .decompress()
        .filter(|point| !point.is_small_order())
}

/// SHA-512(R ‖ A ‖ M) modulo L.
#[inline(never)]
fn hash(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

/// Not inlined: it is there once, and used twice.
#[inline(never)]
fn times(scalar: &Scalar, point: &EdwardsPoint) -> EdwardsPoint {
    scalar * point
}
