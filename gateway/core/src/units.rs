//! Quantities with their units, all integers. Rounding is named where it happens.

use core::fmt;
use core::iter::Sum;
use core::ops::{Add, AddAssign};

/// One reading of both clocks, taken by the shell and given to every `handle_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back. Its zero is anywhere.
    pub monotonic_ms: u64,
    /// Seconds since 1970-01-01 UTC. Only stored and shown; what is offered to a device is never decided by it.
    pub unix_s: u64,
}

/// 2026-11-01: no gateway of this version ran before, so a clock that reads less was never set.
pub const WRITTEN_UNIX_S: u64 = 1_793_491_200;

/// A number of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

impl Bytes {
    /// Rounds up to whole `unit`s, as flash is erased. A unit of 0 changes nothing.
    pub fn ceil_to(self, unit: Bytes) -> Bytes {
        if unit.0 == 0 {
            return self;
        }
        Bytes(self.0.div_ceil(unit.0).saturating_mul(unit.0))
    }

    /// The difference, or zero when `other` is larger.
    pub fn saturating_sub(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_sub(other.0))
    }
}

impl Add for Bytes {
    type Output = Bytes;
    fn add(self, other: Bytes) -> Bytes {
        Bytes(self.0.saturating_add(other.0))
    }
}

impl AddAssign for Bytes {
    fn add_assign(&mut self, other: Bytes) {
        *self = *self + other;
    }
}

impl Sum for Bytes {
    fn sum<I: Iterator<Item = Bytes>>(iter: I) -> Bytes {
        iter.fold(Bytes(0), Add::add)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0)
    }
}

/// Time a link is busy, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct AirTime {
    /// Microseconds.
    pub micros: u64,
}

impl AddAssign for AirTime {
    fn add_assign(&mut self, other: AirTime) {
        self.micros = self.micros.saturating_add(other.micros);
    }
}

impl fmt::Display for AirTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}.{:03} s",
            self.micros / 1_000_000,
            self.micros / 1_000 % 1_000
        )
    }
}

/// What a link carries. Never zero: [`BitsPerSecond::new`] is the only way in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitsPerSecond(u64);

impl BitsPerSecond {
    /// A rate of 1 bit/s to 1 Tbit/s; `None` outside it.
    pub fn new(bits: u64) -> Option<BitsPerSecond> {
        (1..=RATE_BITS_MAX).contains(&bits).then_some(BitsPerSecond(bits))
    }

    /// Bits per second.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// How long `bytes` occupy the link, rounded up to a microsecond.
    pub fn air_time(self, bytes: Bytes) -> AirTime {
        let bit_micros = u128::from(bytes.0) * 8 * 1_000_000;
        let micros = bit_micros.div_ceil(u128::from(self.0));
        AirTime {
            micros: u64::try_from(micros).unwrap_or(u64::MAX),
        }
    }
}

/// 1 Tbit/s: a millisecond of it, in thousandths of a bit, still fits 64 bits with room for 200 days.
const RATE_BITS_MAX: u64 = 1_000_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn air_time_is_rounded_up() {
        let rate = BitsPerSecond::new(26_000).expect("in range");
        assert_eq!(rate.air_time(Bytes(0)).micros, 0);
        assert_eq!(rate.air_time(Bytes(1)).micros, 308);
        assert_eq!(rate.air_time(Bytes(3_250)).micros, 1_000_000);
    }

    #[test]
    fn a_rate_of_zero_is_refused() {
        assert_eq!(BitsPerSecond::new(0), None);
    }

    #[test]
    fn sizes_are_rounded_up_to_whole_sectors() {
        assert_eq!(Bytes(1).ceil_to(Bytes(4096)), Bytes(4096));
        assert_eq!(Bytes(4096).ceil_to(Bytes(4096)), Bytes(4096));
        assert_eq!(Bytes(5).ceil_to(Bytes(0)), Bytes(5));
    }
}
