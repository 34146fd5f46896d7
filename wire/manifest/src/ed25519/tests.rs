//! The arithmetic beside others: a multiplication bit by bit, and the points of curve25519-dalek.

use std::vec::Vec;

use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::Identity;
use proptest::prelude::*;

use super::field::Element;
use super::integer::Integer;
use super::point::Point;
use super::{hash, sum_of_multiples};

/// Words at which carries are made or not.
const WORDS: [u32; 8] = [0, 1, 18, 19, 38, 0x7FFF_FFFF, 0xFFFF_FFDA, u32::MAX];

fn words() -> impl Strategy<Value = [u32; 8]> {
    let edge = proptest::array::uniform8((0..WORDS.len()).prop_map(|at| WORDS[at]));
    prop_oneof![edge, any::<[u32; 8]>()]
}

/// p.
const P: Integer = Integer([0xFFFF_FFED, !0, !0, !0, !0, !0, !0, 0x7FFF_FFFF]);

/// Of the lower 255 bits.
fn element(mut words: [u32; 8]) -> Element {
    words[7] &= 0x7FFF_FFFF;
    Element::new(words)
}

/// The number below p.
fn canonical(element: &Element) -> Integer {
    Integer::read(&element.encoded())
}

/// By doubling and adding alone.
fn slow_product(a: &Element, b: [u32; 8]) -> Element {
    (0..255).rev().fold(Element::ZERO, |sum, at| {
        let sum = sum.plus(&sum);
        match Integer(b).bit(at) {
            true => sum.plus(a),
            false => sum,
        }
    })
}

/// With integers of 64 bits on single words: a + b modulo p, where both are canonical.
fn slow_sum(a: Integer, b: Integer) -> Integer {
    let mut carry = 0;
    let mut sum = Integer(std::array::from_fn(|at| {
        carry += u64::from(a.0[at]) + u64::from(b.0[at]);
        let word = carry as u32;
        carry >>= 32;
        word
    }));
    assert_eq!(carry, 0, "both are below 2²⁵⁵");
    sum.reduce_once(&P);
    sum
}

fn encoded(point: &EdwardsPoint) -> [u8; 32] {
    point.compress().0
}

/// Ours, of a point that dalek computed.
fn read(point: &EdwardsPoint) -> Point {
    Point::read(&encoded(point)).unwrap()
}

proptest! {
    #[test]
    fn sums_and_differences_are_those_of_integers(a in words(), b in words()) {
        let (a, b) = (element(a), element(b));
        let sum = slow_sum(canonical(&a), canonical(&b));
        prop_assert_eq!(canonical(&a.plus(&b)), sum);
        prop_assert_eq!(canonical(&a.plus(&b).minus(&b)), canonical(&a));
        prop_assert_eq!(canonical(&a.minus(&b).plus(&b)), canonical(&a));
        prop_assert!(sum.is_below(&P));
    }

    #[test]
    fn products_are_those_of_adding(a in words(), b in words()) {
        let (product, slow) = (element(a).times(&element(b)), slow_product(&element(a), b));
        prop_assert_eq!(canonical(&product), canonical(&slow));
        prop_assert!(product.is(&slow));
        prop_assert!(!product.is(&slow.plus(&Element::ONE)));
    }

    #[test]
    fn scalars_are_reduced_as_dalek_does(bytes in proptest::array::uniform32(any::<u8>()), high: [u8; 32], full: bool) {
        let mut wide = [0xFF; 64];
        wide[..32].copy_from_slice(&bytes);
        if !full {
            wide[32..].copy_from_slice(&high);
        }
        let theirs = Scalar::from_bytes_mod_order_wide(&wide);
        prop_assert_eq!(Integer::modulo_l(&wide), Integer::read(theirs.as_bytes()));
        prop_assert_eq!(Integer::read(&bytes).is_below(&Integer::L), bool::from(Scalar::from_canonical_bytes(bytes).is_some()));
    }

    #[test]
    fn a_point_is_read_where_dalek_reads_one_of_no_small_order(mut bytes: [u8; 32], below in 0u8..200, near_p: bool) {
        if near_p {
            bytes = [0xFF; 32];
            (bytes[0], bytes[31]) = (0xEC_u8 - below, 0x7F | below << 7);
        }
        let theirs = CompressedEdwardsY(bytes).decompress();
        let usable = theirs.is_some_and(|point| !point.is_small_order() && encoded(&point) == bytes);
        prop_assert_eq!(Point::read(&bytes).is_some(), usable);
    }

    #[test]
    fn points_add_up_as_those_of_dalek(a: [u8; 32], s: [u8; 32]) {
        let [a, s] = [a, s].map(Scalar::from_bytes_mod_order);
        let [p, q] = [EdwardsPoint::mul_base(&a), EdwardsPoint::mul_base(&s)];
        prop_assume!(a != Scalar::ZERO && a != s && a != -s && s != Scalar::ZERO);
        prop_assert!(read(&p).plus(&read(&q)).is(&read(&(p + q))));
        prop_assert!(read(&p).plus(&read(&p)).is(&read(&(p + p))));
        prop_assert!(!read(&p).plus(&read(&q)).is(&read(&(p - q))));
        prop_assert!(read(&p).plus(&Point::NEUTRAL).is(&read(&p)));
        prop_assert!(read(&p).plus(&read(&-p)).is(&Point::NEUTRAL));
        prop_assert_eq!(p - p, EdwardsPoint::identity());
    }

    #[test]
    fn multiples_add_up_as_those_of_dalek(a: [u8; 32], s: [u8; 32], message: Vec<u8>) {
        let [a, s] = [a, s].map(Scalar::from_bytes_mod_order);
        prop_assume!(a != Scalar::ZERO);
        let point = EdwardsPoint::mul_base(&a);
        let k = hash(s.as_bytes(), a.as_bytes(), &message);
        let their_k = Scalar::from_canonical_bytes(std::array::from_fn(|at| (k.0[at / 4] >> (8 * (at % 4))) as u8)).unwrap();
        let theirs = EdwardsPoint::mul_base(&s) + their_k * point;
        prop_assert!(sum_of_multiples(&Integer::read(s.as_bytes()), &k, &read(&point)).is(&read(&theirs)));
    }
}

/// Every pair of words at which carries are made, at both ends of a number.
#[test]
fn products_at_the_edges_of_carries() {
    for (low, high) in WORDS.into_iter().flat_map(|low| WORDS.map(|high| (low, high))) {
        for (other_low, other_high) in WORDS.into_iter().flat_map(|low| WORDS.map(|high| (low, high))) {
            let mut a = [high; 8];
            let mut b = [other_high; 8];
            (a[0], b[0]) = (low, other_low);
            let product = canonical(&element(a).times(&element(b)));
            assert_eq!(product, canonical(&slow_product(&element(a), b)), "{a:x?} {b:x?}");
        }
    }
}

/// What points of small order do, the edge tests ask.
#[test]
fn opposite_and_equal_points_are_told_apart() {
    let base = Point::base();
    assert!(base.is(&read(&curve25519_dalek::constants::ED25519_BASEPOINT_POINT)));
    assert!(!base.is(&read(&-curve25519_dalek::constants::ED25519_BASEPOINT_POINT)));
    assert!(!Point::NEUTRAL.is(&base) && !base.is(&Point::NEUTRAL));
}
