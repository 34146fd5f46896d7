//! Arithmetic modulo p = 2²⁵⁵ − 19.
//!
//! An element is any of the two or three integers below 2²⁵⁶ that are the same modulo p. So 2²⁵⁶ is 38, and what outgrows an
//! element is taken off at the top and added below, 38-fold, by [`Element::fold`].

use super::integer::Integer;

/// A residue.
#[derive(Clone, Copy, Debug)]
pub(super) struct Element(Integer);

impl Element {
    pub(super) const ZERO: Self = Self(Integer::ZERO);
    pub(super) const ONE: Self = Self::new([1, 0, 0, 0, 0, 0, 0, 0]);
    pub(super) const P: Integer = Integer([0xFFFF_FFED, !0, !0, !0, !0, !0, !0, 0x7FFF_FFFF]);

    pub(super) const fn new(words: [u32; 8]) -> Self {
        Self(Integer(words))
    }

    /// Of a number that must be below p.
    pub(super) fn read(number: Integer) -> Option<Self> {
        number.is_below(&Self::P).then_some(Self(number))
    }

    pub(super) fn plus(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word + other)
    }

    pub(super) fn minus(&self, other: &Self) -> Self {
        self.combine(other, |word, other| word - other)
    }

    /// Word by word, from the lowest: the sum of both or their difference.
    #[inline(always)]
    fn combine(&self, other: &Self, with: impl Fn(i64, i64) -> i64) -> Self {
        let mut result = Self::ZERO;
        let mut carry = 0_i64;
        for ((place, &word), &other) in result.0.0.iter_mut().zip(&self.0.0).zip(&other.0.0) {
            carry += with(word.into(), other.into());
            *place = carry as u32;
            carry >>= 32;
        }
        result.fold(carry);
        result
    }

    #[inline(never)]
    pub(super) fn times(&self, other: &Self) -> Self {
        let mut product = [0_u32; 16];
        for (at, &word) in self.0.0.iter().enumerate() {
            let (_, places) = product.split_at_mut(at);
            let mut carry = 0_u64;
            for (place, &other) in places.iter_mut().zip(&other.0.0) {
                // At most (2³² − 1)² + 2 (2³² − 1) = 2⁶⁴ − 1.
                carry += u64::from(word) * u64::from(other) + u64::from(*place);
                *place = carry as u32;
                carry >>= 32;
            }
            if let Some(place) = places.get_mut(8) {
                *place = carry as u32;
            }
        }
        let mut result = Self::ZERO;
        let mut carry = 0_u64;
        let (low, high) = product.split_at(8);
        for ((place, &low), &high) in result.0.0.iter_mut().zip(low).zip(high) {
            carry += u64::from(low) + 38 * u64::from(high);
            *place = carry as u32;
            carry >>= 32;
        }
        result.fold(carry as i64);
        result
    }

    /// Adds 2²⁵⁶ `carry`, which is from −1 to 38. The first turn leaves a carry of −1, 0 or 1, and unless that is 0 a number
    /// that is nearer than 38² to the other end: the second turn leaves none.
    #[inline(never)]
    fn fold(&mut self, mut carry: i64) {
        while carry != 0 {
            carry *= 38;
            for word in &mut self.0.0 {
                carry += i64::from(*word);
                *word = carry as u32;
                carry >>= 32;
            }
        }
    }

    pub(super) fn squared(&self) -> Self {
        self.times(self)
    }

    /// To the power of (p − 5) / 8 = 2²⁵² − 3, which in binary is 250 ones, a zero and a one.
    #[inline(never)]
    pub(super) fn to_p58(&self) -> Self {
        let mut power = *self;
        for at in (0..251).rev() {
            power = power.squared();
            if at != 1 {
                power = power.times(self);
            }
        }
        power
    }

    /// The one below p.
    pub(super) fn canonical(&self) -> Integer {
        let mut number = self.0;
        // Below 2²⁵⁶ = 2p + 38.
        while number.reduce_once(&Self::P) {}
        number
    }

    pub(super) fn is_odd(&self) -> bool {
        self.canonical().bit(0)
    }

    #[inline(never)]
    pub(super) fn is(&self, other: &Self) -> bool {
        self.minus(other).canonical() == Integer::ZERO
    }
}
