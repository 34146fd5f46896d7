//! What a device prints on its UART: lines to wait for, and a log file to read afterwards.

use crate::watched::Watched;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Lines kept in memory. A device that prints more than this in one test is broken, and the log
/// file has it all.
const LINES_MAX: usize = 100_000;

/// A device's serial lines, across restarts. Clones share them.
#[derive(Clone, Debug)]
pub struct Serial {
    lines: Watched<Vec<String>>,
    log: Arc<File>,
    path: PathBuf,
}

impl Serial {
    /// Appends to the log at `path`.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            lines: Watched::default(),
            log: Arc::new(log),
            path: path.to_owned(),
        })
    }

    /// Takes in one line, without its end.
    pub(super) fn push(&self, line: &str) {
        // The log is for people; losing a line of it must not stop the device.
        let _ = writeln!(&*self.log, "{line}");
        self.lines.update(|lines| {
            if lines.len() < LINES_MAX {
                lines.push(line.to_owned());
            }
        });
    }

    /// How many lines there were: where to wait from for what comes next.
    pub fn mark(&self) -> usize {
        self.lines.look(Vec::len)
    }

    /// Waits for a line, the `from`th or later, that satisfies `fact`.
    ///
    /// Gives the mark behind that line, and the line; or `None` after `patience`.
    pub fn wait_for(
        &self,
        from: usize,
        patience: Duration,
        mut fact: impl FnMut(&str) -> bool,
    ) -> Option<(usize, String)> {
        let mut next = from;
        self.lines.wait_for(patience, |lines| {
            while let Some(line) = lines.get(next) {
                next += 1;
                if fact(line) {
                    return Some((next, line.clone()));
                }
            }
            None
        })
    }

    /// Every line from `from` on.
    pub fn lines_from(&self, from: usize) -> Vec<String> {
        self.lines
            .look(|lines| lines.get(from..).map(<[String]>::to_vec).unwrap_or_default())
    }

    /// How many lines satisfy `fact`.
    pub fn count(&self, mut fact: impl FnMut(&str) -> bool) -> usize {
        self.lines
            .look(|lines| lines.iter().filter(|line| fact(line)).count())
    }

    /// Where the log is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}
