//! Bytes, airtime and progress: counted at once, stored coarsely.

use crate::change::Change;
use crate::config::LinkName;
use crate::journal::Journal;
use crate::links::Link;
use crate::records::{Counters, DeviceRecord, LinkEvents, OfferPath, Progress, Traffic};
use crate::state::LinkCounters;
use crate::units::{Bytes, Now};
use std::collections::BTreeSet;
use wire_checkin::DeviceId;

/// Remembers which counters changed since they were stored, so that an SD card is written at most once per interval.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    links: BTreeSet<LinkName>,
    devices: BTreeSet<DeviceId>,
    paths: BTreeSet<OfferPath>,
    /// Devices whose report was only noted.
    reports: BTreeSet<DeviceId>,
    flush_at_ms: Option<u64>,
    /// What the clocks read when a block was served last.
    served_at: Option<Now>,
}

/// Which way a datagram went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

impl Meter {
    /// Counts one datagram on its link, and for its device when that is known and in the inventory.
    pub(crate) fn count(
        &mut self,
        journal: &mut Journal,
        link: &Link,
        way: Way,
        bytes: Bytes,
        device: Option<DeviceId>,
    ) {
        let traffic = link.traffic(bytes);
        let device = device.filter(|id| journal.state().devices.contains_key(id));
        let counters = self.link(journal, &link.config.name);
        add(&mut counters.total, way, traffic);
        match device {
            None => add(&mut counters.unattributed, way, traffic),
            Some(id) => {
                self.devices.insert(id);
                let row = journal.counters_mut().device_counters.entry(id).or_default();
                add(&mut row.counters, way, traffic);
            }
        }
    }

    /// The events of a link, to be counted up.
    pub(crate) fn events<'j>(&mut self, journal: &'j mut Journal, link: &LinkName) -> &'j mut LinkEvents {
        &mut self.link(journal, link).events
    }

    /// Notes that a device of the inventory was heard.
    pub(crate) fn seen(&mut self, journal: &mut Journal, now: Now, id: DeviceId) {
        if journal.state().devices.contains_key(&id) {
            self.devices.insert(id);
            journal
                .counters_mut()
                .device_counters
                .entry(id)
                .or_default()
                .last_seen_unix_s = now.unix_s;
        }
    }

    /// Notes what a device said, when nothing is decided from it.
    pub(crate) fn heard(&mut self, journal: &mut Journal, device: DeviceRecord) {
        self.reports.insert(device.id);
        journal.counters_mut().apply(Change::Device(device));
    }

    /// Notes that a block ending at `end` was served.
    pub(crate) fn served(&mut self, journal: &mut Journal, now: Now, path: OfferPath, end: Bytes) {
        self.paths.insert(path);
        self.keep_over_jump(journal, now);
        let fresh = Progress {
            served_to: Bytes(0),
            first_unix_s: now.unix_s,
            last_unix_s: now.unix_s,
        };
        let progress = journal.counters_mut().progress.entry(path).or_insert(fresh);
        progress.served_to = progress.served_to.max(end);
        progress.last_unix_s = now.unix_s;
    }

    /// Moves the times of transfers under way along with a wall clock that was set, so that the pace of a transfer, which
    /// people are told, is that of the blocks and not of the clock.
    fn keep_over_jump(&mut self, journal: &mut Journal, now: Now) {
        let Some(before) = self.served_at.replace(now) else {
            return;
        };
        let elapsed_s = now.monotonic_ms.saturating_sub(before.monotonic_ms) / 1_000;
        let expected_unix_s = before.unix_s.saturating_add(elapsed_s);
        if expected_unix_s.abs_diff(now.unix_s) < JUMP_S_MIN {
            return;
        }
        for progress in journal.counters_mut().progress.values_mut() {
            // Times of an earlier run may be of another clock.
            if (progress.first_unix_s..=before.unix_s).contains(&progress.last_unix_s) {
                let moved = |unix_s: u64| now.unix_s.saturating_sub(expected_unix_s.saturating_sub(unix_s));
                progress.first_unix_s = moved(progress.first_unix_s);
                progress.last_unix_s = moved(progress.last_unix_s);
            }
        }
    }

    /// Sets the timer when something waits to be stored.
    pub(crate) fn arm(&mut self, now: Now, interval_s: u32) {
        let clean = self.links.is_empty()
            && self.devices.is_empty()
            && self.paths.is_empty()
            && self.reports.is_empty();
        if !clean && self.flush_at_ms.is_none() {
            self.flush_at_ms = Some(now.monotonic_ms.saturating_add(u64::from(interval_s) * 1_000));
        }
    }

    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.flush_at_ms
    }

    /// Stores what changed, when it is time.
    pub(crate) fn handle_timeout(&mut self, journal: &mut Journal, now: Now) {
        if self.flush_at_ms.is_some_and(|at_ms| at_ms <= now.monotonic_ms) {
            self.flush(journal);
        }
    }

    /// Stores what changed. Rows that were removed meanwhile stay removed.
    pub(crate) fn flush(&mut self, journal: &mut Journal) {
        let served_at = self.served_at;
        let dirty = std::mem::take(self);
        self.served_at = served_at;
        for link in dirty.links {
            let LinkCounters {
                total,
                unattributed,
                events,
            } = journal
                .state()
                .link_counters
                .get(&link)
                .copied()
                .unwrap_or_default();
            journal.record(Change::LinkCounters {
                link,
                total,
                unattributed,
                events,
            });
        }
        for device in dirty.devices {
            if let Some(row) = journal.state().device_counters.get(&device).copied() {
                let (counters, last_seen_unix_s) = (row.counters, row.last_seen_unix_s);
                journal.record(Change::DeviceCounters {
                    device,
                    counters,
                    last_seen_unix_s,
                });
            }
        }
        for id in dirty.reports {
            if let Some(device) = journal.state().devices.get(&id).cloned() {
                journal.record(Change::Device(device));
            }
        }
        for path in dirty.paths {
            if let Some(progress) = journal.state().progress.get(&path).copied() {
                journal.record(Change::Served { path, progress });
            }
        }
    }

    fn link<'j>(&mut self, journal: &'j mut Journal, link: &LinkName) -> &'j mut LinkCounters {
        if !self.links.contains(link) {
            self.links.insert(link.clone());
        }
        journal
            .counters_mut()
            .link_counters
            .entry(link.clone())
            .or_default()
    }
}

/// A wall clock that differs by less from the monotonic one was disciplined, not set.
const JUMP_S_MIN: u64 = 5;

fn add(counters: &mut Counters, way: Way, more: Traffic) {
    let traffic = match way {
        Way::Down => &mut counters.down,
        Way::Up => &mut counters.up,
    };
    traffic.datagrams += more.datagrams;
    traffic.bytes += more.bytes;
    traffic.air_time += more.air_time;
}
