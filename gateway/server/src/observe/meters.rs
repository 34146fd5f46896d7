//! What is counted as it happens, because no row of the database remembers it. Zero at every start.

use std::time::Duration;

use gateway_core::{BuildOutcome, Change, UpdateState};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};

/// Counters of the running gateway. A clone counts on.
#[derive(Debug, Clone)]
pub struct Meters {
    pub(super) commits: Histogram,
    pub(super) changes: Counter,
    pub(super) builds: Family<[(&'static str, &'static str); 1], Counter>,
    pub(super) updates: Family<[(&'static str, &'static str); 1], Counter>,
}

impl Default for Meters {
    fn default() -> Meters {
        let meters = Meters {
            commits: Histogram::new(exponential_buckets(COMMIT_S_MIN, 2.0, COMMIT_BUCKETS)),
            changes: Counter::default(),
            builds: Family::default(),
            updates: Family::default(),
        };
        // A rate is known only of a series that was there before its first event.
        for result in ["ready", "failed"] {
            drop(meters.builds.get_or_create(&[("result", result)]));
        }
        for state in ["offered", "confirmed", "withheld", "released"] {
            drop(meters.updates.get_or_create(&[("state", state)]));
        }
        meters
    }
}

impl Meters {
    /// How long it took until a batch was on disk.
    pub fn stored(&self, took: Duration) {
        self.commits.observe(took.as_secs_f64());
    }

    /// A batch about to be stored. One that cannot be stored ends the gateway, and its counters with it.
    pub fn storing(&self, changes: &[Change]) {
        self.changes.inc_by(changes.len() as u64);
        for change in changes {
            if let Change::Update(update) = change {
                let state = match update.state {
                    UpdateState::Offered { .. } => "offered",
                    UpdateState::Confirmed => "confirmed",
                    UpdateState::Withheld { .. } => "withheld",
                    UpdateState::Released => "released",
                };
                self.updates.get_or_create(&[("state", state)]).inc();
            }
        }
    }

    /// A build that ended.
    pub fn built(&self, outcome: &BuildOutcome) {
        let result = if outcome.result.is_ok() { "ready" } else { "failed" };
        self.builds.get_or_create(&[("result", result)]).inc();
    }
}

/// A commit on an SSD takes about this long, one on an SD card ten times as long,
const COMMIT_S_MIN: f64 = 0.001;
/// and one of 4 s, the last bucket's end, makes devices repeat themselves.
const COMMIT_BUCKETS: u16 = 13;
