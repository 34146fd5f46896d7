//! Arithmetic modulo p = 2²⁵⁵ − 19: fiat-crypto's, which is generated together with a proof that it is right.

use fiat_crypto::curve25519_32 as fiat;

type Tight = fiat::fiat_25519_tight_field_element;
type Loose = fiat::fiat_25519_loose_field_element;

/// A residue, in ten limbs within the bounds that a product leaves.
#[derive(Clone, Copy)]
pub(super) struct Element(Tight);

impl Element {
    pub(super) const ZERO: Self = Self(fiat::fiat_25519_tight_field_element([0; 10]));
    pub(super) const ONE: Self = Self(fiat::fiat_25519_tight_field_element([
        1, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ]));

    /// Of a number below p, in little-endian words.
    pub(super) const fn new(words: [u32; 8]) -> Self {
        let mut bytes = [0; 32];
        let mut at = 0;
        while at < 32 {
            bytes[at] = (words[at / 4] >> (at % 4 * 8)) as u8;
            at += 1;
        }
        Self::of_bytes(&bytes)
    }

    /// Of any number below 2²⁵⁵.
    #[inline(never)]
    const fn of_bytes(bytes: &[u8; 32]) -> Self {
        let mut element = Self::ZERO;
        fiat::fiat_25519_from_bytes(&mut element.0, bytes);
        element
    }

    /// Of a number below 2²⁵⁵ in little-endian order, if it is below p.
    pub(super) fn read(bytes: &[u8; 32]) -> Option<Self> {
        let element = Self::of_bytes(bytes);
        (element.encoded() == *bytes).then_some(element)
    }

    #[inline(never)]
    pub(super) fn plus(&self, other: &Self) -> Self {
        let mut sum = LOOSE;
        fiat::fiat_25519_add(&mut sum, &self.0, &other.0);
        carried(&sum)
    }

    #[inline(never)]
    pub(super) fn minus(&self, other: &Self) -> Self {
        let mut difference = LOOSE;
        fiat::fiat_25519_sub(&mut difference, &self.0, &other.0);
        carried(&difference)
    }

    #[inline(never)]
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = Self::ZERO;
        fiat::fiat_25519_carry_mul(&mut product.0, &loose(self), &loose(other));
        product
    }

    pub(super) fn squared(&self) -> Self {
        self.times(self)
    }

    /// To the power of (p − 5) / 8 = 2²⁵² − 3, which in binary is 250 ones, a zero and a one.
    #[inline(never)]
    pub(super) fn power_p58(&self) -> Self {
        let mut power = *self;
        for at in (0..251).rev() {
            power = power.squared();
            if at != 1 {
                power = power.times(self);
            }
        }
        power
    }

    /// The number below p, in little-endian order.
    #[inline(never)]
    pub(super) fn encoded(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        fiat::fiat_25519_to_bytes(&mut bytes, &self.0);
        bytes
    }

    pub(super) fn is_odd(&self) -> bool {
        self.encoded()[0] & 1 == 1
    }

    #[inline(never)]
    pub(super) fn is(&self, other: &Self) -> bool {
        self.minus(other).encoded() == [0; 32]
    }
}

/// Not yet computed.
const LOOSE: Loose = fiat::fiat_25519_loose_field_element([0; 10]);

/// Within the bounds of a product again.
#[inline(never)]
fn carried(loose: &Loose) -> Element {
    let mut element = Element::ZERO;
    fiat::fiat_25519_carry(&mut element.0, loose);
    element
}

/// As a factor: what is within the bounds of a product is within those of a factor.
#[inline(always)]
fn loose(element: &Element) -> Loose {
    let Element(fiat::fiat_25519_tight_field_element(limbs)) = *element;
    fiat::fiat_25519_loose_field_element(limbs)
}
