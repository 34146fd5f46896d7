//! A token bucket in whole numbers.
//!
//! Tokens are thousandths of a bit, because then a millisecond at `r` bit/s adds exactly `r` tokens and nothing is ever
//! rounded. Over any window of `w` ms at most `r * w + capacity` tokens are spent.

use crate::units::{BitsPerSecond, Bytes};

/// Holds back what a link cannot carry yet.
#[derive(Clone, Debug)]
pub(crate) struct TokenBucket {
    rate: BitsPerSecond,
    capacity: u64,
    tokens: u64,
    refilled_ms: u64,
}

impl TokenBucket {
    /// A full bucket that holds a burst of `burst` bytes.
    pub(crate) fn new(rate: BitsPerSecond, burst: Bytes) -> TokenBucket {
        let capacity = cost(burst);
        TokenBucket {
            rate,
            capacity,
            tokens: capacity,
            refilled_ms: 0,
        }
    }

    /// The largest datagram that can ever pass.
    pub(crate) fn burst(&self) -> Bytes {
        Bytes(self.capacity / TOKENS_PER_BYTE)
    }

    /// Spends the tokens for `bytes`, or leaves the bucket alone when there are too few.
    pub(crate) fn take(&mut self, now_ms: u64, bytes: Bytes) -> bool {
        self.refill(now_ms);
        let Some(left) = self.tokens.checked_sub(cost(bytes)) else {
            return false;
        };
        self.tokens = left;
        true
    }

    /// Milliseconds until `bytes` more can have passed, rounded up; 0 when they can pass now.
    pub(crate) fn wait_ms(&mut self, now_ms: u64, bytes: Bytes) -> u64 {
        self.refill(now_ms);
        self.ready_at_ms(bytes).saturating_sub(now_ms)
    }

    /// When `bytes` can pass, at the earliest the time of the last refill.
    pub(crate) fn ready_at_ms(&self, bytes: Bytes) -> u64 {
        let wait_ms = cost(bytes).saturating_sub(self.tokens).div_ceil(self.rate.bits());
        self.refilled_ms.saturating_add(wait_ms)
    }

    /// A clock that stands still or goes back adds nothing.
    fn refill(&mut self, now_ms: u64) {
        let elapsed_ms = now_ms.saturating_sub(self.refilled_ms);
        self.refilled_ms = self.refilled_ms.max(now_ms);
        let added = elapsed_ms.saturating_mul(self.rate.bits());
        self.tokens = self.tokens.saturating_add(added).min(self.capacity);
    }
}

fn cost(bytes: Bytes) -> u64 {
    bytes.0.saturating_mul(TOKENS_PER_BYTE)
}

const TOKENS_PER_BYTE: u64 = 8 * 1_000;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bucket(bits: u64, burst: u64) -> TokenBucket {
        TokenBucket::new(BitsPerSecond::new(bits).unwrap(), Bytes(burst))
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = bucket(8_000, 100);
        assert!(bucket.take(0, Bytes(100)));
        assert!(!bucket.take(0, Bytes(1)));
        assert_eq!(bucket.wait_ms(0, Bytes(50)), 50);
        assert!(!bucket.take(49, Bytes(50)));
        assert!(bucket.take(50, Bytes(50)));
    }

    #[test]
    fn a_clock_that_goes_back_adds_nothing() {
        let mut bucket = bucket(8_000, 100);
        assert!(bucket.take(1_000, Bytes(100)));
        assert!(!bucket.take(10, Bytes(1)));
        assert!(!bucket.take(1_000, Bytes(1)));
        assert!(bucket.take(1_001, Bytes(1)));
    }

    proptest! {
        #[test]
        fn no_window_ever_exceeds_rate_and_burst(
            bits in 1_u64..200_000,
            burst in 40_u64..2_000,
            steps in prop::collection::vec((0_u64..400, 1_u64..1_500), 1..120),
        ) {
            let mut bucket = bucket(bits, burst);
            let mut now_ms = 0;
            let mut passed: Vec<(u64, u64)> = Vec::new();
            for (pause_ms, bytes) in steps {
                now_ms += pause_ms;
                if bucket.take(now_ms, Bytes(bytes)) {
                    passed.push((now_ms, bytes));
                }
            }
            for (from, (start, _)) in passed.iter().enumerate() {
                let mut sum = 0;
                for (at, bytes) in &passed[from..] {
                    sum += bytes;
                    prop_assert!(sum * 8_000 <= bits * (at - start) + burst * 8_000);
                }
            }
        }

        #[test]
        fn what_waited_as_long_as_told_passes(
            bits in 1_u64..200_000, spent in 0_u64..1_000, bytes in 1_u64..1_000, at in 0_u64..10_000,
        ) {
            let mut bucket = bucket(bits, 1_000);
            prop_assert!(bucket.take(at, Bytes(spent)));
            let wait_ms = bucket.wait_ms(at, Bytes(bytes));
            prop_assert!(wait_ms == 0 || !bucket.take(at + wait_ms - 1, Bytes(bytes)));
            prop_assert!(bucket.take(at + wait_ms, Bytes(bytes)));
        }
    }
}
