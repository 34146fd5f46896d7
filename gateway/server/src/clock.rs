//! The only clock of the gateway: the core gets its readings as arguments.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway_core::Now;

/// Both clocks, counted from one start.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock whose monotonic zero is now.
    pub fn start() -> Clock {
        Clock {
            start: Instant::now(),
        }
    }

    /// A reading of both.
    pub fn now(&self) -> Now {
        Now {
            monotonic_ms: self.start.elapsed().as_millis() as u64,
            unix_s: unix_s(),
        }
    }

    /// The instant at which [`Clock::now`] reads `monotonic_ms`.
    pub fn at(&self, monotonic_ms: u64) -> Instant {
        self.start + Duration::from_millis(monotonic_ms)
    }
}

/// Seconds since 1970, 0 on a host whose clock was never set and lies before.
pub fn unix_s() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
