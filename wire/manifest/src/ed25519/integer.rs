//! Integers of 256 bits.

/// Little-endian in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Integer(pub(super) [u32; 8]);

impl Integer {
    pub(super) const ZERO: Self = Self([0; 8]);
    /// The order of the base point (RFC 8032 §5.1).
    pub(super) const L: Self = Self([
        0x5CF5_D3ED,
        0x5812_631A,
        0xA2F7_9CD6,
        0x14DE_F9DE,
        0,
        0,
        0,
        0x1000_0000,
    ]);

    /// Of bytes in little-endian order.
    pub(super) fn read(bytes: &[u8; 32]) -> Self {
        let mut words = [0; 8];
        let (chunks, _) = bytes.as_chunks();
        for (word, &chunk) in words.iter_mut().zip(chunks) {
            *word = u32::from_le_bytes(chunk);
        }
        Self(words)
    }

    /// A longer number modulo L, bit by bit. What is kept is below L, twice that and one more below 2L, which is below 2²⁵⁴.
    pub(super) fn modulo_l(bytes: &[u8; 64]) -> Self {
        let mut rest = Self::ZERO;
        for byte in bytes.iter().rev() {
            for at in (0..8).rev() {
                let mut carry = u32::from(byte >> at & 1);
                for word in &mut rest.0 {
                    (*word, carry) = (*word << 1 | carry, *word >> 31);
                }
                rest.reduce_once(&Self::L);
            }
        }
        rest
    }

    /// Bit number `at`, from the lowest.
    pub(super) fn bit(&self, at: usize) -> bool {
        self.0.get(at / 32).is_some_and(|word| word >> (at % 32) & 1 == 1)
    }

    pub(super) fn is_below(mut self, other: &Self) -> bool {
        !self.reduce_once(other)
    }

    /// Takes `modulus` away if that leaves no less than zero, and says whether it did.
    #[inline(never)]
    pub(super) fn reduce_once(&mut self, modulus: &Self) -> bool {
        let mut less = [0; 8];
        let mut borrow = 0_i64;
        for ((less, &word), &minus) in less.iter_mut().zip(&self.0).zip(&modulus.0) {
            borrow += i64::from(word) - i64::from(minus);
            *less = borrow as u32;
            borrow >>= 32;
        }
        if borrow == 0 {
            self.0 = less;
        }
        borrow == 0
    }
}
