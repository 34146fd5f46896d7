//! `status --watch`: the same screen every second, redrawn in place on a terminal.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::colour::Paint;
use super::commands::{Style, print_json};
use super::failure::{Failure, REFUSED};
use super::status;
use crate::admin::Ask;
use crate::client::{Client, ClientError};
use crate::report::{Status, UpdateRow};

/// Between two screens.
const INTERVAL: Duration = Duration::from_secs(1);
/// A gateway that restarts is back within this many seconds; one that is not has stopped.
const SILENCE_MAX: u32 = 60;

/// Shows updates until nothing is under way (with `until_done`) or the reader goes away.
pub(super) fn watch(
    client: &Client,
    style: Style,
    until_done: bool,
    out: &mut dyn Write,
) -> Result<ExitCode, Failure> {
    let terminal = io::stdout().is_terminal();
    let paint = Paint::for_stdout();
    let mut lines_before = 0;
    let mut silent = 0;
    loop {
        match client.ask(Ask::Status {}) {
            Ok(document) => {
                silent = 0;
                let status: Status =
                    serde_json::from_value(document.clone()).map_err(ClientError::NotUnderstood)?;
                if style.json {
                    print_json(&document, out)?;
                } else {
                    let text = status::screen(&status, terminal && !style.all, paint)?;
                    if terminal {
                        redraw(out, &text, lines_before)?;
                    } else {
                        out.write_all(text.as_bytes())?;
                        out.flush()?;
                    }
                    // DECAWM is off: a line is a row.
                    lines_before = text.lines().count();
                }
                if until_done && let Some(code) = outcome(&status.updates) {
                    return Ok(code);
                }
            }
            Err(ClientError::NotRunning { .. } | ClientError::Broken(_))
                if lines_before > 0 && silent < SILENCE_MAX =>
            {
                silent += 1;
            }
            Err(error) => return Err(error.into()),
        }
        std::thread::sleep(INTERVAL);
    }
}

/// Exit code once nothing is under way; withheld and blocked updates need an operator.
fn outcome(updates: &[UpdateRow]) -> Option<ExitCode> {
    if !updates.iter().all(|update| update.settled) {
        return None;
    }
    let all_up_to_date = updates.iter().all(|update| update.stage == "up to date");
    Some(if all_up_to_date {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(REFUSED)
    })
}

/// ECMA-48: cursor up to where the last screen began (CUU), erase to the end (ED). DECAWM is off meanwhile: a line that
/// wrapped would be two, and the next screen begin too low.
fn redraw(out: &mut dyn Write, text: &str, lines_before: usize) -> io::Result<()> {
    if lines_before > 0 {
        write!(out, "\x1b[{lines_before}A\x1b[J")?;
    }
    write!(out, "\x1b[?7l{text}\x1b[?7h")?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(stage: &str, settled: bool) -> UpdateRow {
        UpdateRow {
            device: "52".to_owned(),
            image: "3f2a".to_owned(),
            image_version: "2".to_owned(),
            stage: stage.to_owned(),
            settled,
            offers: 1,
            transfer: None,
            deferral: None,
        }
    }

    #[test]
    fn watching_ends_when_nothing_is_under_way() {
        let done = update("up to date", true);
        let withheld = update("withheld", true);
        assert_eq!(outcome(&[done.clone(), update("transferring", false)]), None);
        assert_eq!(outcome(std::slice::from_ref(&done)), Some(ExitCode::SUCCESS));
        assert_eq!(outcome(&[done, withheld]), Some(ExitCode::from(1)));
        assert_eq!(outcome(&[]), Some(ExitCode::SUCCESS));
    }
}
