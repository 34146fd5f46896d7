//! P-256 (SEC 2 §2.4.2), as far as Diffie-Hellman by x-coordinates needs it: the device's, which has no room for a library and must not
//! panic. What it does and in which order depends on no secret: one formula for every addition, which knows no special cases, tables
//! that are read whole, and additions of nothing instead of none.
//!
//! Arithmetic modulo p is fiat-crypto's, which is generated together with a proof that it is right. The formula is that of Renes,
//! Costello and Batina, "Complete addition formulas for prime order elliptic curves" (2016), Algorithm 4.

use fiat_crypto::p256_32 as fiat;

/// Bytes of a coordinate and of a scalar, big-endian.
const BYTES: usize = 32;

type Words = [u32; 8];
type Residue = fiat::fiat_p256_montgomery_domain_field_element;

/// p = 2²⁵⁶ − 2²²⁴ + 2¹⁹² + 2⁹⁶ − 1, in little-endian words.
const P: Words = [0xFFFF_FFFF, 0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0, 0, 1, 0xFFFF_FFFF];
/// The order of the group.
const N: Words = [
    0xFC63_2551,
    0xF3B9_CAC2,
    0xA717_9E84,
    0xBCE6_FAAD,
    0xFFFF_FFFF,
    0xFFFF_FFFF,
    0,
    0xFFFF_FFFF,
];
/// p − 2: to its power a residue is its inverse.
const INVERSE: Words = [0xFFFF_FFFD, 0xFFFF_FFFF, 0xFFFF_FFFF, 0, 0, 0, 1, 0xFFFF_FFFF];
/// (p + 1) ÷ 4 = 2²⁵⁴ − 2²²² + 2¹⁹⁰ + 2⁹⁴: to its power a square is a root of itself, for p is 3 modulo 4.
const ROOT: Words = [0, 0, 0x4000_0000, 0, 0, 0x4000_0000, 0xC000_0000, 0x3FFF_FFFF];
/// The curve is y² = x³ − 3x + b.
const B: Element = Element::of([
    0x27D2_604B,
    0x3BCE_3C3E,
    0xCC53_B0F6,
    0x651D_06B0,
    0x7698_86BC,
    0xB3EB_BD55,
    0xAA3A_93E7,
    0x5AC6_35D8,
]);
/// The base point.
#[cfg(any(test, not(feature = "responder")))]
const BASE: Point = Point {
    x: Element::of([
        0xD898_C296,
        0xF4A1_3945,
        0x2DEB_33A0,
        0x7703_7D81,
        0x63A4_40F2,
        0xF8BC_E6E5,
        0xE12C_4247,
        0x6B17_D1F2,
    ]),
    y: Element::of([
        0x37BF_51F5,
        0xCBB6_4068,
        0x6B31_5ECE,
        0x2BCE_3357,
        0x7C0F_9E16,
        0x8EE7_EB4A,
        0xFE1A_7F9B,
        0x4FE3_42E2,
    ]),
    z: Element::ONE,
};

/// A residue modulo p, times 2²⁵⁶.
#[derive(Clone, Copy)]
struct Element(Residue);

impl Element {
    const ZERO: Element = Element(fiat::fiat_p256_montgomery_domain_field_element([0; 8]));
    const ONE: Element = {
        let mut one = Element::ZERO;
        fiat::fiat_p256_set_one(&mut one.0);
        one
    };
    /// By which a number is multiplied to be one of these: 2²⁵⁶, as one of these.
    const FACTOR: Element = Element::of(Element::ONE.0.0);

    /// Of a constant below p.
    const fn of(words: Words) -> Element {
        let mut element = Element::ZERO;
        let number = fiat::fiat_p256_non_montgomery_domain_field_element(words);
        fiat::fiat_p256_to_montgomery(&mut element.0, &number);
        element
    }

    /// Of a number below p.
    fn new(words: Words) -> Element {
        Element(fiat::fiat_p256_montgomery_domain_field_element(words)).times(&Element::FACTOR)
    }

    /// The number below p.
    fn words(&self) -> Words {
        let one = [1, 0, 0, 0, 0, 0, 0, 0];
        let number = self.times(&Element(fiat::fiat_p256_montgomery_domain_field_element(one)));
        number.0.0
    }

    #[inline(never)]
    fn times(&self, other: &Element) -> Element {
        let mut product = Element::ZERO;
        fiat::fiat_p256_mul(&mut product.0, &self.0, &other.0);
        product
    }

    #[inline(never)]
    fn plus(&self, other: &Element) -> Element {
        let mut sum = Element::ZERO;
        fiat::fiat_p256_add(&mut sum.0, &self.0, &other.0);
        sum
    }

    #[inline(never)]
    fn minus(&self, other: &Element) -> Element {
        let mut difference = Element::ZERO;
        fiat::fiat_p256_sub(&mut difference.0, &self.0, &other.0);
        difference
    }

    /// To the power of a number that everybody knows.
    fn power(&self, exponent: &Words) -> Element {
        let mut power = Element::ONE;
        for word in exponent.iter().rev() {
            for bit in (0..u32::BITS).rev() {
                power = power.times(&power);
                if word >> bit & 1 == 1 {
                    power = power.times(self);
                }
            }
        }
        power
    }

    /// This if the mask has no bit, the other if it has all.
    fn or(&self, other: &Element, mask: u32) -> Element {
        let mut chosen = *self;
        for (place, word) in chosen.0.0.iter_mut().zip(other.0.0) {
            *place ^= (*place ^ word) & mask;
        }
        chosen
    }
}

/// A point in projective coordinates: (x ÷ z, y ÷ z), or none of them where z is 0.
#[derive(Clone, Copy)]
pub(crate) struct Point {
    x: Element,
    y: Element,
    z: Element,
}

impl Point {
    const NEUTRAL: Point = Point {
        x: Element::ZERO,
        y: Element::ONE,
        z: Element::ZERO,
    };

    /// One of the two points with this x, which nobody keeps secret; `None` if there is none.
    #[inline(never)]
    pub(crate) fn new(x: &[u8; BYTES]) -> Option<Point> {
        let words = words(x);
        if !is_below(&words, &P) {
            return None;
        }
        let x = Element::new(words);
        let three = Element::ONE.plus(&Element::ONE).plus(&Element::ONE);
        let square = x.times(&x).minus(&three).times(&x).plus(&B);
        let y = square.power(&ROOT);
        let is_on_curve = y.times(&y).words() == square.words();
        is_on_curve.then_some(Point {
            x,
            y,
            z: Element::ONE,
        })
    }

    #[inline(never)]
    fn plus(&self, other: &Point) -> Point {
        let (p, q) = (self, other);
        let (xx, yy, zz) = (p.x.times(&q.x), p.y.times(&q.y), p.z.times(&q.z));
        let cross = |a: &Element, b: &Element, c: &Element, d: &Element, both: &Element| {
            a.plus(b).times(&c.plus(d)).minus(both)
        };
        let xy = cross(&p.x, &p.y, &q.x, &q.y, &xx.plus(&yy));
        let yz = cross(&p.y, &p.z, &q.y, &q.z, &yy.plus(&zz));
        let xz = cross(&p.x, &p.z, &q.x, &q.z, &xx.plus(&zz));
        let treble = |element: &Element| element.plus(element).plus(element);
        let first = treble(&xz.minus(&B.times(&zz)));
        let (low, high) = (yy.minus(&first), yy.plus(&first));
        let zz3 = treble(&zz);
        let second = treble(&B.times(&xz).minus(&zz3).minus(&xx));
        let third = treble(&xx).minus(&zz3);
        Point {
            x: xy.times(&high).minus(&yz.times(&second)),
            y: high.times(&low).plus(&third.times(&second)),
            z: yz.times(&low).plus(&xy.times(&third)),
        }
    }

    fn or(&self, other: &Point, mask: u32) -> Point {
        Point {
            x: self.x.or(&other.x, mask),
            y: self.y.or(&other.y, mask),
            z: self.z.or(&other.z, mask),
        }
    }

    /// x of so many times this point; `None` for a scalar that is none. Two bits at a time.
    #[inline(never)]
    pub(crate) fn times(&self, scalar: &[u8; BYTES]) -> Option<[u8; BYTES]> {
        if !is_scalar(scalar) {
            return None;
        }
        let double = self.plus(self);
        let multiples = [Point::NEUTRAL, *self, double, double.plus(self)];
        let mut sum = Point::NEUTRAL;
        for byte in scalar {
            for at in [6, 4, 2, 0] {
                let digit = u32::from(byte >> at & 3);
                sum = sum.plus(&sum);
                sum = sum.plus(&sum);
                let mut term = Point::NEUTRAL;
                for (number, multiple) in (0_u32..).zip(&multiples) {
                    term = term.or(multiple, is_same(number, digit));
                }
                sum = sum.plus(&term);
            }
        }
        // It is not the neutral element: the order of the group is prime.
        let x = sum.x.times(&sum.z.power(&INVERSE));
        Some(bytes(&x.words()))
    }
}

/// x of so many times the base point; `None` for a scalar that is none.
#[cfg(any(test, not(feature = "responder")))]
pub(crate) fn public(scalar: &[u8; BYTES]) -> Option<[u8; BYTES]> {
    BASE.times(scalar)
}

/// Whether it is from 1 to below the order.
fn is_scalar(bytes: &[u8; BYTES]) -> bool {
    let words = words(bytes);
    let any = words.iter().fold(0, |all, word| all | word);
    // Opaque, so that nothing ends at the first word that says so.
    core::hint::black_box(any) != 0 && is_below(&words, &N)
}

/// Whether a number is below a bound.
fn is_below(number: &Words, bound: &Words) -> bool {
    let mut borrow = 0_u64;
    for (word, bound) in number.iter().zip(bound) {
        borrow = u64::from(*word)
            .wrapping_sub((*bound).into())
            .wrapping_sub(borrow)
            >> 63;
    }
    core::hint::black_box(borrow) == 1
}

/// All bits if two small numbers are the same, else none.
fn is_same(a: u32, b: u32) -> u32 {
    (core::hint::black_box(a ^ b).wrapping_sub(1) >> 31).wrapping_neg()
}

/// Big-endian bytes as little-endian words.
fn words(bytes: &[u8; BYTES]) -> Words {
    let mut words = [0; 8];
    for (word, bytes) in words.iter_mut().rev().zip(bytes.chunks_exact(4)) {
        *word = bytes.iter().fold(0, |word, byte| word << 8 | u32::from(*byte));
    }
    words
}

/// And back.
fn bytes(words: &Words) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    for (place, word) in bytes.chunks_exact_mut(4).zip(words.iter().rev()) {
        for (place, byte) in place.iter_mut().zip(word.to_be_bytes()) {
            *place = byte;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::p256::elliptic_curve::point::AffineCoordinates;
    use proptest::prelude::*;

    /// What RustCrypto makes of it.
    fn theirs(scalar: &[u8; 32], x: &[u8; 32]) -> Option<[u8; 32]> {
        let mut encoded = [2; 33];
        encoded[1..].copy_from_slice(x);
        let point = ::p256::PublicKey::from_sec1_bytes(&encoded).ok()?;
        let secret = ::p256::SecretKey::from_slice(scalar).ok()?;
        let shared = ::p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point.as_affine());
        Some((*shared.raw_secret_bytes()).into())
    }

    fn their_public(scalar: &[u8; 32]) -> Option<[u8; 32]> {
        let secret = ::p256::SecretKey::from_slice(scalar).ok()?;
        Some(secret.public_key().as_affine().x().into())
    }

    fn ours(scalar: &[u8; 32], x: &[u8; 32]) -> Option<[u8; 32]> {
        Point::new(x)?.times(scalar)
    }

    /// A number and how far from it: every scalar near 0, the order, p, and 2²⁵⁶.
    fn near(words: &Words, by: i64) -> [u8; 32] {
        let mut carry = i128::from(by);
        let mut near = *words;
        for word in &mut near {
            let sum = i128::from(*word) + carry;
            *word = sum as u32;
            carry = sum >> 32;
        }
        bytes(&near)
    }

    #[test]
    fn scalars_at_every_edge_are_what_they_are_elsewhere() {
        let x = bytes(&BASE.x.words());
        for words in [[0; 8], N, P, [u32::MAX; 8], [0, 0, 0, 0, 0, 0, 0, 1 << 31]] {
            for by in -17..=17 {
                let scalar = near(&words, by);
                assert_eq!(public(&scalar), their_public(&scalar), "{scalar:02x?}");
                assert_eq!(ours(&scalar, &x), theirs(&scalar, &x), "{scalar:02x?}");
            }
        }
    }

    #[test]
    fn coordinates_at_every_edge_are_what_they_are_elsewhere() {
        let mut on_curve = 0;
        for words in [[0; 8], N, P, [u32::MAX; 8]] {
            for by in -40..=40 {
                let x = near(&words, by);
                let scalar = [0x5A; 32];
                assert_eq!(ours(&scalar, &x), theirs(&scalar, &x), "{x:02x?}");
                on_curve += usize::from(Point::new(&x).is_some());
            }
        }
        assert!((60..240).contains(&on_curve), "{on_curve}");
    }

    #[test]
    fn the_constants_are_those_of_the_curve() {
        let y = BASE.y.times(&BASE.y).words();
        let three = Element::new([3, 0, 0, 0, 0, 0, 0, 0]);
        let x = BASE
            .x
            .times(&BASE.x)
            .minus(&three)
            .times(&BASE.x)
            .plus(&B)
            .words();
        assert_eq!(x, y);
        assert_eq!(near(&P, -2), bytes(&INVERSE));
        assert!(N.iter().zip(P).any(|(n, p)| *n != p));
        // One less than the order is the base point's opposite, with the same x; the order is none.
        assert_eq!(public(&near(&N, -1)), Some(bytes(&BASE.x.words())));
        assert_eq!(public(&near(&N, 0)), None);
    }

    proptest! {
        #[test]
        fn every_scalar_and_coordinate_is_what_it_is_elsewhere(scalar: [u8; 32], x: [u8; 32]) {
            prop_assert_eq!(ours(&scalar, &x), theirs(&scalar, &x));
            prop_assert_eq!(public(&scalar), their_public(&scalar));
        }

        #[test]
        fn sums_of_anything_are_on_the_curve_and_in_order(a in 1_u64.., b in 1_u64..) {
            // (a + b) G, added up and multiplied out: equal points, opposite ones and nothing among them.
            let scalar = |number: u128| {
                let mut bytes = [0; 32];
                bytes[16..].copy_from_slice(&number.to_be_bytes());
                bytes
            };
            let x = public(&scalar(u128::from(a)));
            let y = ours(&scalar(u128::from(b)), &x.unwrap());
            prop_assert_eq!(y, public(&scalar(u128::from(a) * u128::from(b))));
        }
    }
}
