//! What a process or a device prints: lines to wait for, and a log file to read afterwards.

use crate::watched::Watched;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How a line begins that the harness adds to what was printed.
pub const HARNESS: &str = "-- harness: ";

/// Lines kept in memory. What prints more than this in one test is broken, and the log
/// file has it all.
const LINES_MAX: usize = 100_000;

/// Printed lines, across restarts of what prints them. Clones share them.
#[derive(Clone, Debug)]
pub struct Lines {
    lines: Watched<Vec<String>>,
    log: Arc<File>,
    path: PathBuf,
}

impl Lines {
    /// Appends to the log at `path`.
    pub fn open(path: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self {
            lines: Watched::default(),
            log: Arc::new(log),
            path: path.to_owned(),
        })
    }

    /// Takes in one line, without its end.
    pub fn push(&self, line: &str) {
        // The log is for people; losing a line of it must not stop anything.
        let _ = writeln!(&*self.log, "{line}");
        self.lines.update(|lines| {
            if lines.len() < LINES_MAX {
                lines.push(line.to_owned());
            }
        });
    }

    /// Takes in a remark of the harness.
    pub fn remark(&self, text: &str) {
        self.push(&format!("{HARNESS}{text} --"));
    }

    /// Takes in every line that `output` gives until it ends.
    pub fn read_all(&self, output: impl Read) {
        let mut reader = BufReader::new(output);
        let mut line = Vec::new();
        loop {
            line.clear();
            match reader.read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => self.push(String::from_utf8_lossy(&line).trim_end()),
            }
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lines() -> (tempfile::TempDir, Lines) {
        let directory = tempfile::tempdir().unwrap();
        let lines = Lines::open(&directory.path().join("log")).unwrap();
        (directory, lines)
    }

    #[test]
    fn a_line_is_found_only_behind_the_mark() {
        let (_directory, lines) = lines();
        lines.read_all(&b"one\ntwo\r\nthree"[..]);
        let (mark, line) = lines
            .wait_for(0, Duration::ZERO, |line| line.starts_with('t'))
            .unwrap();
        assert_eq!((mark, line.as_str()), (2, "two"));
        let (mark, line) = lines
            .wait_for(mark, Duration::ZERO, |line| line.starts_with('t'))
            .unwrap();
        assert_eq!((mark, line.as_str()), (3, "three"));
        assert_eq!(lines.wait_for(mark, Duration::ZERO, |_| true), None);
    }

    #[test]
    fn the_log_file_has_every_line() {
        let (_directory, lines) = lines();
        lines.read_all(&b"one\ntwo\n"[..]);
        assert_eq!(std::fs::read_to_string(lines.path()).unwrap(), "one\ntwo\n");
    }
}
