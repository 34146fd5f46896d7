//! `update plan`: what would be sent, and nothing is.

use std::io::{self, Write};

use gateway_core::count;

use super::commands::Style;
use super::screen::{ROWS_MAX, bytes, duration, rows_of, short};
use crate::report::{Plan, PlanRow};

/// Those that are sent something first; two lines each, one for what and one for why.
pub(super) fn show(plan: &Plan, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if plan.devices.is_empty() {
        writeln!(out, "nothing is assigned to any device that is concerned")?;
        return writeln!(out, "nothing changed: this was a dry run");
    }
    let mut rows: Vec<&PlanRow> = plan.devices.iter().collect();
    rows.sort_by_key(|row| row.format.is_none());
    let totals: Vec<String> = totals(plan);
    let room = ROWS_MAX.saturating_sub(totals.len());
    let mut used = 0;
    let mut shown = 0;
    for row in &rows {
        let lines = [device(row), format!("    {}", row.why)];
        used += lines.iter().map(|line| rows_of(line)).sum::<usize>();
        if used > room && !style.all {
            break;
        }
        shown += 1;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    if shown < rows.len() {
        writeln!(out, "… {} more; --all shows them", rows.len() - shown)?;
    }
    totals.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    writeln!(out, "nothing changed: this was a dry run")
}

fn device(row: &PlanRow) -> String {
    let called = super::device::called(row.label.as_deref());
    let to = match row.image_version.as_str() {
        "" => short(&row.image),
        version => version.to_owned(),
    };
    let bound = if row.at_most { "at most " } else { "" };
    match &row.format {
        Some(format) => format!(
            "{}{called} to {to}: {format}, {bound}{}, {} on the air, {}",
            row.device,
            bytes(row.size_bytes),
            bytes(row.on_air_bytes),
            time(row.airtime_ms)
        ),
        None => format!("{}{called} to {to}: nothing is sent", row.device),
    }
}

fn totals(plan: &Plan) -> Vec<String> {
    let total = |link: &crate::report::PlanLinkRow| {
        let bound = if link.at_most { "at most " } else { "" };
        format!(
            "link {}: {}, {bound}{} on the air, {} at its rate",
            link.link,
            count(link.devices, "device", "devices"),
            bytes(link.on_air_bytes),
            time(link.airtime_ms)
        )
    };
    plan.links.iter().map(total).collect()
}

/// Below a minute in tenths of a second.
fn time(ms: u64) -> String {
    match ms {
        0..60_000 => format!("{}.{} s", ms / 1_000, ms % 1_000 / 100),
        _ => duration(ms.div_ceil(1_000)),
    }
}
