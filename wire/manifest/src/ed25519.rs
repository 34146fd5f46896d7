//! Ed25519 (RFC 8032 §5.1.7) in its strictest reading, for a program that has to be small.
//!
//! Verifies only, and so handles nothing secret: it may take its time by the bits it sees, which is what makes it small. The
//! arithmetic modulo p is fiat-crypto's, which comes with a proof (`field`). Ours are one addition of points, which is complete
//! (`point`), one reduction modulo L (`integer`), and the loops around them. No path of it panics.
//!
//! ed25519-dalek's `verify_strict` accepts the same set: the edge tests compare the two, and both with a third, and the gateway
//! asks both before it takes an image in. `docs/budgets.md` has the figures.

mod field;
mod integer;
mod point;

use integer::Integer;
use point::Point;

use crate::sha::sha512;

/// The bits of the order of the base point, L = 2²⁵² + 27742317777372353535851937790883648493, and of all scalars below it.
const SCALAR_BITS: usize = 253;

/// Whether `key` can verify anything: it is the canonical encoding of a point that has no small order.
pub(crate) fn is_usable(key: &[u8; 32]) -> bool {
    Point::read(key).is_some()
}

/// Whether `signature` over `message` is by `key`: S is below L, key and R are canonical and have no small order, and
/// R = \[S\]B − \[k\]A, without a cofactor. What passes here passes any verifier.
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
    // The sign of x is the highest bit, so that this encodes −A. Where x is 0 there is none, and A of small order.
    let mut opposite = *key;
    opposite[31] ^= 0x80;
    let (Some(minus_a), Some(r_point)) = (Point::read(&opposite), Point::read(r)) else {
        return false;
    };
    let s = Integer::read(s);
    if !s.is_below(&Integer::L) {
        return false;
    }
    let k = hash(r, key, message);
    sum_of_multiples(&s, &k, &minus_a).is(&r_point)
}

/// SHA-512(R ‖ A ‖ M) modulo L.
#[inline(never)]
fn hash(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Integer {
    Integer::modulo_l(&sha512(&[r, key, message]))
}

/// \[s\]B + \[k\]A, from the highest bit of both downwards.
fn sum_of_multiples(s: &Integer, k: &Integer, a: &Point) -> Point {
    let b = Point::base();
    let both = b.plus(a);
    let mut sum = Point::NEUTRAL;
    for at in (0..SCALAR_BITS).rev() {
        sum = sum.plus(&sum);
        let term = match (s.bit(at), k.bit(at)) {
            (false, false) => continue,
            (true, false) => &b,
            (false, true) => a,
            (true, true) => &both,
        };
        sum = sum.plus(term);
    }
    sum
}

#[cfg(test)]
mod tests;
