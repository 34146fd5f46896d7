//! `audit`: who did what. Read in pages, so that a trail of any length is shown.

use std::io::{self, Write};

use clap::Args;
use gateway_core::count;

use super::args::time;
use super::commands::{Style, print_json};
use super::failure::{Failure, REFUSED};
use super::screen::ROWS_MAX;
use crate::admin::Ask;
use crate::audit::{AuditRow, Check};
use crate::client::Client;
use crate::clock::{unix_s, utc};
use crate::report::{AuditPage, Document};

/// `audit`
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only what is not older than this, such as 90min, 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = time)]
    since: Option<u32>,
    /// Only what concerns this device: its identifier, or its label
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Print every entry as one line of JSON, for keeping elsewhere
    #[arg(long, conflicts_with = "verify")]
    export: bool,
    /// Check that no entry was altered, removed or put between others
    #[arg(long, conflicts_with_all = ["since", "device"])]
    verify: bool,
}

impl AuditArgs {
    pub(super) fn run(&self, client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
        if self.verify {
            return verify(client, out);
        }
        let mut rows = Vec::new();
        self.each(client, |row| {
            if self.export {
                return writeln!(out, "{}", serde_json::json!(Document::new(row))).map_err(Failure::from);
            }
            rows.push(row);
            Ok(())
        })?;
        match (self.export, style.json) {
            (true, _) => {}
            (false, true) => print_json(
                &serde_json::json!(Document::new(AuditPage { entries: rows })),
                out,
            )?,
            (false, false) => show(&rows, style.all, out)?,
        }
        out.flush()?;
        Ok(())
    }

    /// Takes every entry, oldest first.
    fn each(
        &self,
        client: &Client,
        mut take: impl FnMut(AuditRow) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let since = self.since.map(|seconds| unix_s().saturating_sub(seconds.into()));
        let mut after = 0;
        loop {
            let page: AuditPage = client.read(Ask::Audit {
                since_unix_s: since.unwrap_or(0),
                device: self.device.clone(),
                after,
            })?;
            let Some(last) = page.entries.last() else {
                return Ok(());
            };
            after = last.id;
            page.entries.into_iter().try_for_each(&mut take)?;
        }
    }
}

fn verify(client: &Client, out: &mut dyn Write) -> Result<(), Failure> {
    let everything = AuditArgs {
        since: None,
        device: None,
        export: false,
        verify: true,
    };
    let mut check = Check::default();
    everything.each(client, |row| {
        check.take(&row).map_err(|broken| {
            Failure::new(REFUSED, format!("audit trail was altered: {broken}"))
                .hint("compare `deltagate audit --export` with one that was kept elsewhere")
        })
    })?;
    let (entries, head) = check.end();
    let head = head.map_or("none".to_owned(), |head| head.to_string());
    writeln!(
        out,
        "{}, none altered; newest link {head}",
        count(entries, "entry", "entries")
    )?;
    Ok(())
}

/// The newest at the end, where the eye and the prompt are.
fn show(rows: &[AuditRow], all: bool, out: &mut dyn Write) -> io::Result<()> {
    if rows.is_empty() {
        return writeln!(out, "no entries");
    }
    let shown = if all { rows.len() } else { rows.len().min(ROWS_MAX) };
    let older = rows.len() - shown;
    if older > 0 {
        writeln!(out, "… {older} older; --all shows them")?;
    }
    rows.iter()
        .skip(older)
        .try_for_each(|row| writeln!(out, "{}", line(row)))
}

/// `2026-11-23 11:50:49 alice (uid 1000): update-assign 52540012abcd image=3f2a: assigned to 1 device`
fn line(row: &AuditRow) -> String {
    let doubt = match row.clock.as_str() {
        "unset" => " (clock not set)",
        _ => "",
    };
    let what = [
        Some(row.what.as_str()),
        row.device.as_deref(),
        Some(row.detail.as_str()),
    ];
    let what: Vec<&str> = what
        .into_iter()
        .flatten()
        .filter(|text| !text.is_empty())
        .collect();
    format!(
        "{}{doubt} {}: {}: {}",
        utc(row.at_unix_s),
        row.who,
        what.join(" "),
        row.outcome
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, clock: &str) -> AuditRow {
        AuditRow {
            id,
            at_unix_s: 1_793_491_200 + id,
            clock: clock.to_owned(),
            who: "alice (uid 1000)".to_owned(),
            what: "device-claim".to_owned(),
            device: Some("52540012abcd".to_owned()),
            detail: String::new(),
            outcome: "done".to_owned(),
            chain: None,
        }
    }

    #[test]
    fn a_line_says_when_who_what_and_what_came_of_it() {
        assert_eq!(
            line(&row(1, "synced")),
            "2026-11-01 00:00:01 alice (uid 1000): device-claim 52540012abcd: done"
        );
        assert!(line(&row(1, "unset")).contains("00:00:01 (clock not set) alice"));
    }

    #[test]
    fn the_newest_entries_fill_the_screen() {
        let rows: Vec<_> = (1..=30).map(|id| row(id, "synced")).collect();
        let text = |all| {
            let mut out = Vec::new();
            show(&rows, all, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        assert!(text(false).starts_with("… 10 older; --all shows them\n2026-11-01 00:00:11 "));
        assert_eq!(
            (text(false).lines().count(), text(true).lines().count()),
            (21, 30)
        );
    }
}
