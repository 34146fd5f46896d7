//! `logs`: the newest lines of the running gateway.

use std::io::{self, Write};

use clap::Args;
use serde_json::{Map, Value};

use super::commands::{Style, print_json};
use super::failure::Failure;
use super::screen::ROWS_MAX;
use crate::admin::Ask;
use crate::client::Client;
use crate::report::LogPage;

/// `logs`
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Only lines that contain this: a device, which its label names, too, a job, an update, leading digits of a digest
    text: Option<String>,
}

impl LogsArgs {
    pub(super) fn run(&self, client: &Client, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
        let answer = client.ask(Ask::Logs {
            text: self.text.clone().unwrap_or_default(),
        })?;
        if style.json {
            return print_json(&answer, out);
        }
        let page: LogPage = super::commands::understood(answer)?;
        show(&page.lines, style.all, out)?;
        out.flush()?;
        Ok(())
    }
}

/// The newest at the end.
fn show(lines: &[Map<String, Value>], all: bool, out: &mut dyn Write) -> io::Result<()> {
    if lines.is_empty() {
        return writeln!(
            out,
            "no lines; the system's log has older ones, such as journalctl -u deltagate"
        );
    }
    let shown = if all {
        lines.len()
    } else {
        lines.len().min(ROWS_MAX)
    };
    let older = lines.len() - shown;
    if older > 0 {
        writeln!(out, "… {older} older; --all shows them")?;
    }
    lines
        .iter()
        .skip(older)
        .try_for_each(|line| writeln!(out, "{}", text(line)))
}

/// `2026-11-23T11:50:49Z INFO update offered update=52540012abcd/3f2a… job=a1B2c3D offers=1`
fn text(line: &Map<String, Value>) -> String {
    let word = |name: &str| line.get(name).and_then(Value::as_str).unwrap_or("");
    // Microseconds help nobody who reads.
    let (second, _) = word("timestamp")
        .split_once('.')
        .unwrap_or((word("timestamp"), ""));
    let mut text = format!("{second}Z {} {}", word("level"), word("message"));
    // The update's name says these.
    let is_said = |name: &str| line.contains_key("update") && matches!(name, "device" | "image");
    for (name, value) in line {
        match value {
            _ if FRAME.contains(&name.as_str()) || is_said(name) => {}
            Value::String(value) if value.is_empty() => {}
            Value::String(value) => text.push_str(&format!(" {name}={value}")),
            value => text.push_str(&format!(" {name}={value}")),
        }
    }
    text
}

/// Fields that every line has.
const FRAME: [&str; 4] = ["timestamp", "level", "target", "message"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_with_its_fields() {
        let line = serde_json::json!({
            "timestamp": "2026-11-23T11:50:49.123456Z", "level": "INFO", "target": "deltagate::update",
            "message": "update offered", "update": "52/3f", "device": "52", "image": "3f", "job": "a1B2c3D", "offers": 1,
        });
        let shown = text(line.as_object().unwrap());
        assert!(
            shown.starts_with("2026-11-23T11:50:49Z INFO update offered "),
            "{shown}"
        );
        let mut fields: Vec<&str> = shown.split(' ').skip(4).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["job=a1B2c3D", "offers=1", "update=52/3f"]);
    }
}
