//! The results as a page: geometric means, ours against the best of the others, every pair.

use std::fmt::Write;

use super::measure::Bench;
use super::summary::{self, Duel, Group};
use super::tools::REFERENCE;

/// The whole page.
pub(super) fn page(bench: &Bench) -> String {
    let parts = [
        "# Firmware deltas, measured\n".to_owned(),
        remarks(bench),
        "## Geometric means\n".to_owned(),
        means(bench),
        "## What they take\n".to_owned(),
        resources(bench),
        "## Ours against the smallest of the others, pair by pair\n".to_owned(),
        duels(bench),
        "## Every pair\n".to_owned(),
        pairs(bench),
        failures(bench),
    ];
    parts.join("\n")
}

fn remarks(bench: &Bench) -> String {
    let mut text = format!(
        "Patch bytes relative to {REFERENCE}, headers and checksums included; smaller is better. Every patch was applied and \
         compared. Means leave out the pairs in which only a version string differs, but for their own column. CPU is that \
         of encoding, for a megabyte (10⁶ bytes) of new image, ours with proving the patch; peak memory is the encoder's \
         largest over all pairs.\n"
    );
    if bench.tools.iter().any(|tool| tool.is_library()) {
        text += &format!("\n{REFERENCE} is made by the qbsdiff library, as bsdiff is not installed.\n");
    }
    for tool in &bench.missing {
        text += &format!(
            "\nNot measured: {}; it comes with `{}`.\n",
            tool.name, tool.install
        );
    }
    text
}

/// A table for each section: a row for each tool, a column for each group.
pub(super) fn means(bench: &Bench) -> String {
    let sections = summary::sections(bench);
    let tables = sections
        .iter()
        .map(|section| format!("{}:\n\n{}", section.name, means_of(bench, &section.groups)));
    tables.collect::<Vec<_>>().join("\n")
}

fn means_of(bench: &Bench, groups: &[Group]) -> String {
    let heads: Vec<String> = (groups.iter())
        .map(|group| format!("{} ({})", group.name, group.len()))
        .collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let rows = bench.tools.iter().enumerate().map(|(at, tool)| {
        let mut cells = vec![tool.name.clone()];
        cells.extend(groups.iter().map(|group| mean(bench, group, at)));
        cells
    });
    table(&[&["tool (pairs)"], &heads[..]].concat(), rows)
}

/// What the encoders took and what the decoders need.
fn resources(bench: &Bench) -> String {
    let heads = ["tool", "encoding, CPU s/MB", "encoding, peak MiB", "decoder RAM"];
    let rows = bench.tools.iter().enumerate().map(|(at, tool)| {
        let effort = summary::effort(bench, at);
        vec![
            tool.name.clone(),
            effort.map_or("-".to_owned(), |effort| format!("{:.2}", effort.cpu_s_per_mb)),
            effort.map_or("-".to_owned(), |effort| (effort.peak_kib >> 10).to_string()),
            tool.ram.clone(),
        ]
    });
    table(&heads, rows)
}

/// The mean, and how many pairs are in it if not all.
fn mean(bench: &Bench, group: &Group, tool: usize) -> String {
    match summary::mean(bench, group, tool) {
        None => "-".to_owned(),
        Some((mean, count)) if count == group.len() => format!("{mean:.3}"),
        Some((mean, count)) => format!("{mean:.3} (of {count})"),
    }
}

fn duels(bench: &Bench) -> String {
    let heads = [
        "tool",
        "geometric mean",
        "smaller or equal on",
        "larger on",
        "the worst",
    ];
    let ours = bench.tools.iter().enumerate().filter(|(_, tool)| tool.is_ours());
    let rows = ours.filter_map(|(at, tool)| {
        let duel = summary::duel(bench, at)?;
        Some(vec![
            tool.name.clone(),
            format!("{:.3}", duel.mean),
            (duel.pairs - duel.lost.len()).to_string(),
            duel.lost.len().to_string(),
            worst(bench, &duel),
        ])
    });
    table(&heads, rows)
}

/// The three largest losses.
fn worst(bench: &Bench, duel: &Duel) -> String {
    let losses = duel.lost.iter().take(3).map(|loss| {
        let rival = &bench.tools[loss.rival].name;
        format!(
            "{} {:.3} ({} against {} of {rival})",
            loss.pair,
            loss.ratio(),
            loss.ours,
            loss.theirs
        )
    });
    let losses: Vec<String> = losses.collect();
    if losses.is_empty() {
        "-".to_owned()
    } else {
        losses.join("; ")
    }
}

/// A row for each pair: the bytes of the reference, of the best rival, and ours.
fn pairs(bench: &Bench) -> String {
    let ours: Vec<usize> = (0..bench.tools.len())
        .filter(|at| bench.tools[*at].is_ours())
        .collect();
    let mut heads = vec![
        "pair",
        "class",
        "instruction set",
        "image",
        REFERENCE,
        "smallest of the others",
    ];
    heads.extend(ours.iter().map(|at| bench.tools[*at].name.as_str()));
    let rows = bench.results.iter().map(|measured| {
        let bytes = |at: usize| match (&measured.outcomes[at], measured.ratio(at)) {
            (Ok(patch), Some(ratio)) => format!("{} ({ratio:.3})", patch.bytes),
            (Ok(patch), None) => patch.bytes.to_string(),
            (Err(_), _) => "-".to_owned(),
        };
        let mut cells = vec![
            measured.pair.id.clone(),
            measured.pair.class.clone(),
            measured.pair.isa.clone(),
            measured.new_bytes.to_string(),
            measured.outcomes[0]
                .as_ref()
                .map_or("-".to_owned(), |patch| patch.bytes.to_string()),
            summary::best_rival(bench, measured).map_or("-".to_owned(), |(at, _)| {
                format!("{} {}", bytes(at), bench.tools[at].name)
            }),
        ];
        cells.extend(ours.iter().map(|at| bytes(*at)));
        cells
    });
    table(&heads, rows)
}

/// What the tools could not do.
fn failures(bench: &Bench) -> String {
    let mut text = String::new();
    for measured in &bench.results {
        for (tool, outcome) in bench.tools.iter().zip(&measured.outcomes) {
            if let Err(reason) = outcome {
                // Writing to a string does not fail.
                let _ = writeln!(text, "- {} on {}: {reason}", tool.name, measured.pair.id);
            }
        }
    }
    if text.is_empty() {
        text
    } else {
        format!("## Not done\n\n{text}")
    }
}

/// Text to the left, numbers to the right.
fn table(heads: &[&str], rows: impl Iterator<Item = Vec<String>>) -> String {
    let rows: Vec<Vec<String>> = rows.collect();
    let is_number = |column: usize| {
        (rows.iter().filter_map(|row: &Vec<String>| row.get(column)))
            .all(|cell| cell.starts_with(|first: char| first.is_ascii_digit() || first == '-'))
    };
    let rules = (0..heads.len()).map(|column| if is_number(column) { "---:" } else { "---" });
    let rules: Vec<&str> = rules.collect();
    let mut text = format!("| {} |\n|{}|\n", heads.join(" | "), rules.join("|"));
    for row in &rows {
        // Writing to a string does not fail.
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_of_numbers_are_to_the_right() {
        let rows = [
            vec!["a".to_owned(), "0.5".to_owned()],
            vec!["b".to_owned(), "-".to_owned()],
        ];
        let text = table(&["tool", "mean"], rows.into_iter());
        assert_eq!(text, "| tool | mean |\n|---|---:|\n| a | 0.5 |\n| b | - |\n");
    }
}
