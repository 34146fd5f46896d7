//! Who was turned away, in the audit trail, without letting strangers wear out the card: a few entries at once, and then one now
//! and then, which says how many there were in between.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::Instant;

use super::{Ask, Calls, EngineAsk};

/// Entries that may be made at once.
pub const BURST: u32 = 16;
/// One more each quarter of an hour: at most 96 a day and 30 KB, where somebody tries without end.
pub const INTERVAL: Duration = Duration::from_secs(15 * 60);

/// Writes down who was turned away. Cheap to clone; clones count together.
#[derive(Debug, Clone)]
pub(super) struct TurnedAway {
    calls: Calls,
    tally: Arc<Mutex<Tally>>,
}

impl TurnedAway {
    pub(super) fn new(calls: Calls) -> TurnedAway {
        let tally = Arc::new(Mutex::new(Tally::new(Instant::now())));
        TurnedAway { calls, tally }
    }

    /// An entry, unless there were too many: what was asked, or only a connection, and why it came to nothing.
    pub(super) async fn note(&self, who: &str, what: What, why: String) {
        let omitted = match self.tally.lock() {
            Ok(mut tally) => tally.take(Instant::now()),
            // Nobody panics with it in hand; without a tally nothing is bounded, so nothing is written.
            Err(_) => None,
        };
        match omitted {
            Some(omitted) => {
                let ask = EngineAsk::TurnedAway { what, why, omitted };
                self.calls.by(who).ask(ask).await;
            }
            None => tracing::debug!(who, why, "turned away"),
        }
    }
}

/// What somebody was turned away from.
#[derive(Debug)]
pub enum What {
    /// This question.
    Question(Box<Ask>),
    /// The admin socket.
    Socket,
    /// The way in for technicians elsewhere.
    Remote,
}

#[derive(Debug)]
struct Tally {
    left: u32,
    refilled: Instant,
    omitted: u64,
}

impl Tally {
    fn new(now: Instant) -> Tally {
        Tally {
            left: BURST,
            refilled: now,
            omitted: 0,
        }
    }

    /// `None`: no entry now. Else how many had none since the last one.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.refilled).as_secs() / INTERVAL.as_secs();
        let more = u32::try_from(passed).unwrap_or(u32::MAX);
        self.left = self.left.saturating_add(more).min(BURST);
        self.refilled += INTERVAL * more;
        if self.left == 0 {
            self.omitted += 1;
            return None;
        }
        self.left -= 1;
        Some(std::mem::take(&mut self.omitted))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_of_attempts_leaves_a_hundred_entries_that_count_them_all() {
        let begin = Instant::now();
        let mut tally = Tally::new(begin);
        let (mut entries, mut told) = (0, 0);
        for second in 0..86_400 {
            if let Some(omitted) = tally.take(begin + Duration::from_secs(second)) {
                (entries, told) = (entries + 1, told + omitted + 1);
            }
        }
        assert_eq!(entries, 16 + 95);
        assert_eq!(told + tally.omitted, 86_400);
    }
}
