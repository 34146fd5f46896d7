//! The only clock of the gateway: the core gets its readings as arguments.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use gateway_core::{Now, WRITTEN_UNIX_S};

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

/// `2026-11-23 11:50:49`: a time of day in UTC, as RFC 3339 writes it but for the blank.
pub fn utc(unix_s: u64) -> String {
    format!("{}:{:02}", utc_minute(unix_s), unix_s % 60)
}

/// `2026-11-23 11:50`
pub fn utc_minute(unix_s: u64) -> String {
    let (year, month, day) = civil(unix_s / 86_400);
    let (hour, minute) = (unix_s / 3_600 % 24, unix_s / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

/// Year, month and day of a day since 1970-01-01, in the Gregorian calendar.
fn civil(days: u64) -> (u64, u64, u64) {
    // Any 400 years in a row are as long.
    let (mut year, mut days) = (1_970 + days / DAYS_OF_400_YEARS * 400, days % DAYS_OF_400_YEARS);
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    while days >= 365 + u64::from(is_leap(year)) {
        days -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + u64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1)
}

/// 97 of 400 years are leap years.
const DAYS_OF_400_YEARS: u64 = 400 * 365 + 97;

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

#[cfg(test)]
mod tests {
    use super::*;

    /// From `date --utc --date @…`.
    #[test]
    fn the_calendar_is_everybodys() {
        for (unix_s, text) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399, "2000-02-28 23:59:59"),
            (951_782_400, "2000-02-29 00:00:00"),
            (951_868_800, "2000-03-01 00:00:00"),
            (1_709_164_800, "2024-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_709_251_200, "2024-03-01 00:00:00"),
            (1_793_491_200, "2026-11-01 00:00:00"),
            (1_798_761_599, "2026-12-31 23:59:59"),
            (4_107_542_399, "2100-02-28 23:59:59"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix_s), text);
        }
    }

    #[test]
    fn a_clock_of_1970_is_unset_whoever_vouches_for_it() {
        assert_eq!(ClockState::of(1_000, true), ClockState::Unset);
        assert_eq!(ClockState::of(WRITTEN_UNIX_S, true), ClockState::Synced);
        assert_eq!(ClockState::of(WRITTEN_UNIX_S, false), ClockState::Unknown);
    }
}
