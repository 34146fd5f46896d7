//! When a device should have been heard, and what its silence means.
//!
//! | heard | judged |
//! |---|---|
//! | never | [`Contact::Never`] |
//! | at a time that cannot be compared with now | [`Contact::NotJudged`] |
//! | within interval and tolerance | [`Contact::OnTime`] |
//! | longer ago | [`Contact::Late`]: radios fail, batteries are saved, and a device comes back by itself |
//! | [`MISSED_MAX`] intervals ago or longer, and this gateway listened long enough to have heard it | [`Contact::Missing`] |
//!
//! Both clocks are needed: the wall clock, because devices are silent across restarts of the gateway, and the monotonic one,
//! because the wall clock jumps. So a gateway that was off for a week, or whose clock was just set, calls nobody missing.

use crate::config::LinkConfig;
use crate::units::{Now, WRITTEN_UNIX_S};

/// A device's silence beside what was expected of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContactView {
    /// How long nothing was heard; `None` when that is not known.
    pub silent_s: Option<u64>,
    /// How often a device with nothing to do is asked to check in.
    pub interval_s: u32,
    /// How much later than that is still on time.
    pub tolerance_s: u32,
    /// What that means.
    pub contact: Contact,
    /// When it can be expected next; `None` when that is not known.
    pub next_unix_s: Option<u64>,
}

/// What a silence means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contact {
    /// It was never heard.
    Never,
    /// The clock says nothing about when it was last heard: it is not set, or was not set then.
    NotJudged,
    /// Nothing is amiss.
    OnTime,
    /// It should have been heard, and that happens.
    Late,
    /// So many check-ins did not come that a person should look.
    Missing {
        /// How many.
        check_ins: u64,
    },
}

impl Contact {
    /// One word for programs: `never`, `not judged`, `on time`, `late` or `missing`.
    pub fn name(&self) -> &'static str {
        match self {
            Contact::Never => "never",
            Contact::NotJudged => "not judged",
            Contact::OnTime => "on time",
            Contact::Late => "late",
            Contact::Missing { .. } => "missing",
        }
    }
}

/// Whether the wall clock can be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockView {
    /// What it reads.
    pub now_unix_s: u64,
    /// False while it reads a time before this program was written. Times are then recorded as they are, and nothing
    /// is decided from them.
    pub is_set: bool,
}

impl ClockView {
    pub(crate) fn of(now: Now) -> ClockView {
        ClockView {
            now_unix_s: now.unix_s,
            is_set: now.unix_s >= WRITTEN_UNIX_S,
        }
    }
}

/// Judges a silence. `listening_ms`: for how long this gateway has run.
pub(crate) fn judge(
    now: Now,
    listening_ms: u64,
    last_seen_unix_s: u64,
    interval_s: u32,
    link: &LinkConfig,
) -> ContactView {
    let tolerance_s = tolerance_s(interval_s, link);
    let patience_s = u64::from(interval_s) + u64::from(tolerance_s);
    let view = |silent_s, contact, next_unix_s| ContactView {
        silent_s,
        interval_s,
        tolerance_s,
        contact,
        next_unix_s,
    };
    if last_seen_unix_s == 0 {
        return view(None, Contact::Never, None);
    }
    let comparable = now.unix_s >= WRITTEN_UNIX_S && last_seen_unix_s >= WRITTEN_UNIX_S;
    let silent_s = now.unix_s.checked_sub(last_seen_unix_s).filter(|_| comparable);
    let Some(silent_s) = silent_s else {
        return view(None, Contact::NotJudged, None);
    };
    // Whole intervals that have passed; the next attempt ends the one that runs.
    let passed = silent_s / u64::from(interval_s.max(1));
    let next_unix_s = last_seen_unix_s.saturating_add((passed + 1).saturating_mul(interval_s.into()));
    let contact = if silent_s <= patience_s {
        Contact::OnTime
    } else if passed >= MISSED_MAX && listening_ms / 1_000 > patience_s {
        Contact::Missing { check_ins: passed }
    } else {
        Contact::Late
    };
    view(Some(silent_s), contact, Some(next_unix_s))
}

/// A twelfth of the interval, for the drift of cheap oscillators and a device that had something better to do; and no less
/// than one exchange may take, RFC 7252 §4.8.2's `MAX_TRANSMIT_WAIT`: `ACK_TIMEOUT` × (2^5 − 1) × 1.5.
fn tolerance_s(interval_s: u32, link: &LinkConfig) -> u32 {
    let exchange_ms = u64::from(link.ack_timeout_ms) * 31 * 3 / 2;
    let exchange_s = u32::try_from(exchange_ms.div_ceil(1_000)).unwrap_or(u32::MAX);
    (interval_s / 12).max(exchange_s)
}

/// Check-ins that may fail in a row before a person is asked: one is a lost radio frame's, two a bad afternoon's.
pub const MISSED_MAX: u64 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR_S: u64 = 3_600;
    const DAY_S: u32 = 24 * 3_600;
    const NOON_UNIX_S: u64 = WRITTEN_UNIX_S + 100 * 24 * HOUR_S + 12 * HOUR_S;

    fn silent(silent_s: u64, listening_s: u64) -> ContactView {
        let now = Now {
            monotonic_ms: 0,
            unix_s: NOON_UNIX_S,
        };
        judge(
            now,
            listening_s * 1_000,
            NOON_UNIX_S - silent_s,
            DAY_S,
            &LinkConfig::default(),
        )
    }

    #[test]
    fn a_day_and_two_hours_are_on_time_and_a_second_more_is_late() {
        let long = 1_000 * HOUR_S;
        assert_eq!(silent(26 * HOUR_S, long).contact, Contact::OnTime);
        let late = silent(26 * HOUR_S + 1, long);
        assert_eq!(late.contact, Contact::Late);
        assert_eq!(late.tolerance_s, 7_200);
        // Two intervals after it was heard.
        assert_eq!(
            late.next_unix_s,
            Some(NOON_UNIX_S - 26 * HOUR_S - 1 + 48 * HOUR_S)
        );
        assert_eq!(silent(72 * HOUR_S - 1, long).contact, Contact::Late);
        assert_eq!(
            silent(72 * HOUR_S, long).contact,
            Contact::Missing { check_ins: 3 }
        );
    }

    #[test]
    fn a_gateway_that_did_not_listen_calls_nobody_missing() {
        assert_eq!(silent(240 * HOUR_S, 26 * HOUR_S).contact, Contact::Late);
        assert_eq!(
            silent(240 * HOUR_S, 26 * HOUR_S + 1).contact,
            Contact::Missing { check_ins: 10 }
        );
    }

    #[test]
    fn a_clock_that_is_or_was_not_set_judges_nobody() {
        let link = LinkConfig::default();
        let at = |unix_s, last_seen_unix_s| {
            let now = Now {
                monotonic_ms: 0,
                unix_s,
            };
            judge(now, u64::MAX, last_seen_unix_s, DAY_S, &link)
        };
        for (unix_s, last_seen_unix_s) in [
            (120, NOON_UNIX_S),
            (120, 60),
            (NOON_UNIX_S, 60),
            (NOON_UNIX_S, NOON_UNIX_S + 1),
        ] {
            let view = at(unix_s, last_seen_unix_s);
            assert_eq!(view.contact, Contact::NotJudged, "{unix_s} {last_seen_unix_s}");
            assert_eq!((view.silent_s, view.next_unix_s), (None, None));
        }
        assert_eq!(at(NOON_UNIX_S, 0).contact, Contact::Never);
        assert!(
            !ClockView::of(Now {
                monotonic_ms: 0,
                unix_s: 120
            })
            .is_set
        );
    }

    #[test]
    fn on_a_slow_link_one_exchange_is_tolerated() {
        let link = LinkConfig {
            ack_timeout_ms: 60_000,
            ..LinkConfig::default()
        };
        // 60 s × 31 × 1.5
        assert_eq!(tolerance_s(3_600, &link), 2_790);
        assert_eq!(tolerance_s(u32::MAX, &link), u32::MAX / 12);
    }
}
