//! `why`: one causal chain and one next action, and nothing else.

use std::io::{self, Write};

use serde_json::Value;

use super::commands::{Style, print_json, understood};
use super::device::called;
use super::failure::Failure;
use super::screen::{clock_time, span};
use crate::report::{ContactRow, DeviceDetail, Document, Step, Why};

/// From what `device show` is told.
pub(super) fn show(answer: Value, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    let why = why(understood(answer)?);
    if style.json {
        let document = serde_json::to_value(Document::new(why)).expect("a report has string keys only");
        return print_json(&document, out);
    }
    text(&why, out)?;
    out.flush()?;
    Ok(())
}

fn why(detail: DeviceDetail) -> Why {
    let mut chain = detail.chain.clone();
    let contact = detail.contact.as_ref();
    chain.extend(contact.and_then(silence));
    let next_step = detail.next_step.clone().unwrap_or_else(|| wait(&detail));
    Why {
        device: detail.device.device,
        label: detail.device.label,
        chain,
        next_step,
    }
}

/// A silence is a cause only when it is longer than it should be.
fn silence(contact: &ContactRow) -> Option<String> {
    let silent = span(contact.silent_s.unwrap_or_default());
    let expected = format!(
        "it is silent for {silent}, though expected every {}",
        span(contact.interval_s.into())
    );
    match contact.state.as_str() {
        "late" => Some(format!("{expected}: late, not failed")),
        "missing" => Some(format!(
            "{expected}: {} check-ins did not come",
            contact.missed_check_ins
        )),
        "not judged" => {
            Some("the clock is not set or was not when it was heard, so its silence says nothing".into())
        }
        _ => None,
    }
}

/// What to do where the decision asks for nothing.
fn wait(detail: &DeviceDetail) -> Step {
    let row = &detail.device;
    let is_up_to_date = match (&row.target, &row.running) {
        (Some(target), Some(running)) => target.starts_with(running.as_str()),
        _ => false,
    };
    let contact = detail.contact.as_ref();
    let missing = contact.is_some_and(|contact| contact.state == "missing");
    let step = |why: String, command: String| Step { why, command };
    match (missing, contact.and_then(|contact| contact.next_unix_s)) {
        (true, _) => step(
            "see to its power and its radio; whether others on its link are heard:".into(),
            format!("deltagate link show {}", row.link.as_deref().unwrap_or("default")),
        ),
        _ if is_up_to_date => step("nothing is to be done".into(), "deltagate status".into()),
        (false, Some(next_unix_s)) => step(
            format!(
                "wait for its next chance, ~{}, and look again:",
                clock_time(next_unix_s)
            ),
            format!("deltagate why {}", row.device),
        ),
        (false, None) => step(
            "wait until it checks in, and look again:".into(),
            format!("deltagate why {}", row.device),
        ),
    }
}

fn text(why: &Why, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}{}:", why.device, called(why.label.as_deref()))?;
    for cause in &why.chain {
        writeln!(out, "  → {cause}")?;
    }
    writeln!(out, "next: {}\n  {}", why.next_step.why, why.next_step.command)
}
