//! Who asked without a key where one is needed: nothing of it is stored, and an operator sees it all the same.
//!
//! In memory only. Anybody can cause a row, so there are few, the longest silent one goes first, and one in a minute is worth a line
//! of the log.

use crate::config::LinkName;
use core::net::IpAddr;
use wire_checkin::DeviceId;

/// A device that checked in without its key, or without any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnedAway {
    /// What it called itself: nobody proved that.
    pub device: DeviceId,
    /// Whether the gateway has a key of that device.
    pub has_key: bool,
    /// The link it asked on.
    pub link: LinkName,
    /// Where it asked from, the last time.
    pub from: IpAddr,
    /// How often it checked in so.
    pub times: u64,
}

/// Requests that were answered with 4.01 for want of a key, since the start.
#[derive(Debug, Default)]
pub(crate) struct Door {
    requests: u64,
    /// The one that came last is the last.
    rows: Vec<TurnedAway>,
    notice: Option<TurnedAway>,
    quiet_until_ms: u64,
}

/// Devices remembered: as many as a technician reads. At about 100 bytes each below 4 KB.
const ROWS_MAX: usize = 32;

/// A line of the log in so many milliseconds at most: 1,440 in a day, whoever asks how often.
const NOTICE_INTERVAL_MS: u64 = 60_000;

impl Door {
    /// Counts a request that was refused.
    pub(crate) fn refused(&mut self) {
        self.requests = self.requests.saturating_add(1);
    }

    /// Notes a check-in that was refused.
    pub(crate) fn turned_away(&mut self, now_ms: u64, asked: TurnedAway) {
        let known = self.rows.iter().position(|row| row.device == asked.device);
        let before = known.map(|at| self.rows.remove(at).times);
        if self.rows.len() >= ROWS_MAX {
            self.rows.remove(0);
        }
        let times = before.unwrap_or(0).saturating_add(1);
        let row = TurnedAway { times, ..asked };
        if now_ms >= self.quiet_until_ms {
            self.quiet_until_ms = now_ms.saturating_add(NOTICE_INTERVAL_MS);
            self.notice = Some(row.clone());
        }
        self.rows.push(row);
    }

    /// What is worth a line of the log, once.
    pub(crate) fn take_notice(&mut self) -> Option<TurnedAway> {
        self.notice.take()
    }

    /// How many requests were refused.
    pub(crate) fn requests(&self) -> u64 {
        self.requests
    }

    /// Who checked in, the latest first.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &TurnedAway> {
        self.rows.iter().rev()
    }

    /// A device that is let in now is nothing to be told of.
    pub(crate) fn let_in(&mut self, device: DeviceId) {
        self.rows.retain(|row| row.device != device);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(number: u16) -> TurnedAway {
        TurnedAway {
            device: DeviceId::new(&number.to_be_bytes()).expect("two bytes are an id"),
            has_key: false,
            link: LinkName("default".into()),
            from: IpAddr::from([192, 0, 2, 1]),
            times: 0,
        }
    }

    #[test]
    fn strangers_are_counted_and_the_latest_are_named() {
        let mut door = Door::default();
        for number in 0..1_000 {
            door.turned_away(0, asked(number));
            door.turned_away(0, asked(7));
        }
        assert_eq!(door.rows.len(), ROWS_MAX);
        let latest = door.rows().next().expect("a row");
        assert_eq!((latest.device, latest.times), (asked(7).device, 1_001));
        door.let_in(latest.device);
        assert!(door.rows().all(|row| row.device != asked(7).device));
    }

    #[test]
    fn one_in_a_minute_is_worth_a_line() {
        let mut door = Door::default();
        let mut lines = 0;
        for ms in 0..600_000 {
            door.turned_away(ms, asked((ms % 1_000) as u16));
            lines += u32::from(door.take_notice().is_some());
        }
        assert_eq!(lines, 10);
    }
}
