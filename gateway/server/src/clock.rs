//! The only clock of the gateway: the core gets its readings as arguments.

use std::fmt;
use std::path::Path;
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

/// How far the time of day may be trusted. Nothing on the air depends on it; what is written down says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockState {
    /// A time service has set it since the machine started.
    Synced,
    /// It is plausible. Only systemd-timesyncd says publicly that it has set the clock; behind another service, or a
    /// battery-backed clock, it is never more than this.
    Unknown,
    /// It lies before this program was written: nobody has set it.
    Unset,
}

impl ClockState {
    /// Every state.
    pub const ALL: [ClockState; 3] = [ClockState::Synced, ClockState::Unknown, ClockState::Unset];

    /// The state now.
    pub fn now() -> ClockState {
        ClockState::of(unix_s(), Path::new(TIMESYNC_MARK).exists())
    }

    fn of(unix_s: u64, is_synced: bool) -> ClockState {
        match (unix_s, is_synced) {
            (0..WRITTEN_UNIX_S, _) => ClockState::Unset,
            (_, true) => ClockState::Synced,
            (_, false) => ClockState::Unknown,
        }
    }
}

impl fmt::Display for ClockState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ClockState::Synced => "synced",
            ClockState::Unknown => "unknown",
            ClockState::Unset => "unset",
        })
    }
}

/// systemd-timesyncd.service(8): touched after each synchronisation; on a file system that a restart empties.
const TIMESYNC_MARK: &str = "/run/systemd/timesync/synchronized";

/// 2026-11-01: no gateway of this version ran before.
const WRITTEN_UNIX_S: u64 = 1_793_491_200;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_of_1970_is_unset_whoever_vouches_for_it() {
        assert_eq!(ClockState::of(1_000, true), ClockState::Unset);
        assert_eq!(ClockState::of(WRITTEN_UNIX_S, true), ClockState::Synced);
        assert_eq!(ClockState::of(WRITTEN_UNIX_S, false), ClockState::Unknown);
    }
}
