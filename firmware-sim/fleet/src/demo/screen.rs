//! What the viewer sees while it happens: the device's own words, and a bar for the transfer.

use super::report::Grouped;
use crate::qemu::Machine;
use crate::rig::{Failure, Rig};
use std::cell::Cell;
use std::time::{Duration, Instant};

/// Prints, with the seconds since the start in front.
#[derive(Debug)]
pub(super) struct Screen {
    began: Instant,
    /// Lost packets shown so far.
    lost: Cell<u64>,
}

impl Screen {
    /// Starts the clock.
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            lost: Cell::new(0),
        }
    }

    /// One line of the narrator.
    pub(super) fn say(&self, text: &str) {
        self.line("", text);
    }

    /// Shows the device's lines from `from` on until one has `words`, and gives the mark behind it.
    ///
    /// An error after `patience`, as soon as a line has the words of `never`, or when device or gateway are gone.
    pub(super) fn follow(
        &self,
        rig: &Rig,
        from: usize,
        patience: Duration,
        words: &str,
        never: &str,
    ) -> Result<usize, Failure> {
        let deadline = Instant::now() + patience;
        let mut mark = from;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            self.losses(rig);
            if rig.gateway.has_died() {
                return Err("the gateway ended by itself".into());
            }
            let Some((next, line)) = rig.machine.wait_for_line(mark, left.min(GLANCE), |_| true) else {
                continue;
            };
            mark = next;
            self.device(rig, &line);
            if Machine::is_last_word(&line) {
                return Err("the device's emulator ended by itself".into());
            }
            if line.contains(never) {
                return Err(format!("the device said {line:?} instead of {words:?}").into());
            }
            if line.contains(words) {
                return Ok(mark);
            }
        }
        Err(format!("the device did not say {words:?} within {} s", patience.as_secs()).into())
    }

    /// Losses explain why nothing happens for seconds.
    fn losses(&self, rig: &Rig) {
        let traffic = rig.bridge.seen().traffic;
        let lost = traffic.up.lost_packets + traffic.down.lost_packets;
        for _ in self.lost.replace(lost)..lost {
            self.line("   link │ ", "a packet was lost; the device will ask again");
        }
    }

    fn device(&self, rig: &Rig, line: &str) {
        // Its daily work would drown what the viewer came for.
        if line.contains("temperature") || line.is_empty() {
            return;
        }
        match progress(line) {
            Some((number, count)) => {
                let air = Grouped(rig.bridge.seen().observed.counts.bytes);
                let bar = bar(number, count);
                self.line(
                    " device │ ",
                    &format!("block {number:>3} of {count} {bar} {air} bytes on the air so far"),
                );
            }
            None => self.line(" device │ ", line),
        }
    }

    fn line(&self, who: &str, text: &str) {
        let tenths = self.began.elapsed().as_millis() / 100;
        println!("{:>5}.{} s {who}{text}", tenths / 10, tenths % 10);
    }
}

/// Between two looks at whether the gateway still runs.
const GLANCE: Duration = Duration::from_secs(1);

impl Default for Screen {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the agent's `block 3 of 9`.
fn progress(line: &str) -> Option<(u32, u32)> {
    let (number, count) = line.split_once("agent: block ")?.1.split_once(" of ")?;
    let (number, count) = (number.parse().ok()?, count.trim().parse().ok()?);
    (1..=count).contains(&number).then_some((number, count))
}

fn bar(number: u32, count: u32) -> String {
    const WIDTH: u32 = 24;
    let full = (number * WIDTH / count) as usize;
    let empty = WIDTH as usize - full;
    format!(
        "[{}{}] {:>3} %",
        "#".repeat(full),
        ".".repeat(empty),
        number * 100 / count
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_agents_block_lines_are_progress() {
        assert_eq!(progress("agent: block 3 of 9"), Some((3, 9)));
        assert_eq!(progress("agent: block 10 of 9"), None);
        assert_eq!(progress("agent: block 0 of 0"), None);
        assert_eq!(progress("agent: applying"), None);
    }

    #[test]
    fn a_bar_is_full_at_the_end() {
        assert_eq!(bar(9, 9), format!("[{}] 100 %", "#".repeat(24)));
        assert_eq!(bar(1, 2), format!("[{}{}]  50 %", "#".repeat(12), ".".repeat(12)));
    }
}
