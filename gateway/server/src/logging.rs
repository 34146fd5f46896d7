//! Logs go to stderr, so that stdout stays readable by programs; as text, or as one JSON object per line.
//!
//! The newest lines are kept in memory, too, for `deltagate logs`: a technician who may use the admin socket need not be let
//! into the system's journal.

use std::collections::VecDeque;
use std::io::{self, IsTerminal};
use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry};

/// How lines are written to stderr.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For programs: `timestamp`, `level`, `target`, `message` and the line's own fields, side by side.
    Json,
}

/// Starts logging for a daemon: `info` unless `RUST_LOG` says otherwise.
pub fn start(format: LogFormat) -> Recent {
    let (filter, complaint) = levels(std::env::var("RUST_LOG").ok().as_deref());
    let recent = Recent::default();
    let stderr = fmt::layer().with_writer(io::stderr);
    let stderr = match format {
        LogFormat::Text => stderr.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => stderr.json().flatten_event(true).boxed(),
    };
    let kept = fmt::layer()
        .json()
        .flatten_event(true)
        .with_writer(recent.clone());
    // A second start in the same process (tests) keeps the first.
    let _ = registry().with(filter).with(stderr).with(kept).try_init();
    if let Some(complaint) = complaint {
        tracing::warn!("{complaint}");
    }
    recent
}

/// Levels by target as `RUST_LOG` has them (`info,deltagate::update=debug`), and what is wrong with those that cannot be read. Spans
/// and fields cannot be chosen, which would take regular expressions and a quarter of a megabyte.
fn levels(chosen: Option<&str>) -> (Targets, Option<String>) {
    let usual = || Targets::new().with_default(LevelFilter::INFO);
    match chosen
        .filter(|levels| !levels.is_empty())
        .map(str::parse::<Targets>)
    {
        None => (usual(), None),
        Some(Ok(levels)) => (levels, None),
        Some(Err(error)) => {
            let complaint = format!(
                "RUST_LOG is ignored ({error}): name levels as in \"info\" or \"info,deltagate::update=debug\""
            );
            (usual(), Some(complaint))
        }
    }
}

/// The newest lines, as JSON. A clone is the same lines.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    lines: Arc<Mutex<Lines>>,
}

#[derive(Debug, Default)]
struct Lines {
    lines: VecDeque<String>,
    bytes: usize,
}

/// What is kept: about 3,000 lines, which at a thousand devices is the last hour and more.
const BYTES_MAX: usize = 1 << 20;
/// The longest line that is kept whole. What is cut is no JSON any more, so it is left out.
const LINE_BYTES_MAX: usize = 16 << 10;

impl Recent {
    /// The lines that contain `text`, oldest first.
    pub fn containing(&self, text: &str) -> Vec<String> {
        let kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let wanted = kept.lines.iter().filter(|line| line.contains(text));
        wanted.cloned().collect()
    }

    fn keep(&self, line: &str) {
        if line.len() > LINE_BYTES_MAX {
            return;
        }
        let mut kept = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        kept.bytes += line.len();
        kept.lines.push_back(line.to_owned());
        while kept.bytes > BYTES_MAX {
            let Some(oldest) = kept.lines.pop_front() else {
                return;
            };
            kept.bytes -= oldest.len();
        }
    }
}

/// The formatter hands over each line in one piece.
impl io::Write for Recent {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.keep(String::from_utf8_lossy(line).trim_end());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Recent {
    type Writer = Recent;

    fn make_writer(&self) -> Recent {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn levels_are_as_chosen_and_what_cannot_be_read_is_told() {
        let (usual, complaint) = levels(None);
        assert!(usual.would_enable("deltagate::update", &Level::INFO) && complaint.is_none());
        assert_eq!(levels(Some("")), (usual.clone(), None));

        let (chosen, complaint) = levels(Some("warn,deltagate::update=debug"));
        assert!(chosen.would_enable("deltagate::update", &Level::DEBUG) && complaint.is_none());
        assert!(!chosen.would_enable("deltagate::store", &Level::INFO));

        let (chosen, complaint) = levels(Some("deltagate=loud"));
        assert_eq!(chosen, usual);
        assert!(complaint.unwrap().contains("name levels as in"));
    }

    #[test]
    fn the_oldest_lines_make_room_and_none_is_cut() {
        let recent = Recent::default();
        let line = |n: usize| format!("{{\"n\":{n},\"x\":\"{}\"}}", "y".repeat(1_000));
        for n in 0..2_000 {
            recent.keep(&line(n));
        }
        let kept = recent.containing("");
        assert_eq!(kept.last(), Some(&line(1_999)));
        assert!(kept.iter().map(String::len).sum::<usize>() <= BYTES_MAX);
        assert!(kept.len() > 1_000);
        assert_eq!(recent.containing("\"n\":1999,"), [line(1_999)]);
        recent.keep(&"z".repeat(LINE_BYTES_MAX + 1));
        assert_eq!(recent.containing("z"), [""; 0]);
    }
}
