//! The results for programs: a row for each pair and tool.

use std::fmt::Write;

use super::measure::{Bench, Measured, Outcome};
use super::tools::Tool;

const HEAD: &str = "pair,set,class,isa,family,old_bytes,new_bytes,tool,patch_bytes,ratio_to_bsdiff40,\
    encode_cpu_s,encode_peak_kib,decoder_ram,failure\n";

/// RFC 4180, with plain line feeds.
pub(super) fn rows(bench: &Bench) -> String {
    let mut text = HEAD.to_owned();
    for measured in &bench.results {
        for (at, tool) in bench.tools.iter().enumerate() {
            row(&mut text, measured, tool, at);
        }
    }
    text
}

fn row(text: &mut String, measured: &Measured, tool: &Tool, at: usize) {
    let pair = &measured.pair;
    let outcome: &Outcome = &measured.outcomes[at];
    let patch = outcome.as_ref().ok();
    let usage = patch.and_then(|patch| patch.encode);
    let cells = [
        pair.id.clone(),
        pair.set.clone(),
        pair.class.clone(),
        pair.isa.clone(),
        pair.family().name().to_owned(),
        measured.old_bytes.to_string(),
        measured.new_bytes.to_string(),
        tool.name.clone(),
        patch.map(|patch| patch.bytes.to_string()).unwrap_or_default(),
        measured
            .ratio(at)
            .map(|ratio| format!("{ratio:.4}"))
            .unwrap_or_default(),
        usage
            .map(|usage| format!("{:.3}", usage.cpu.as_secs_f64()))
            .unwrap_or_default(),
        usage.map(|usage| usage.peak_kib.to_string()).unwrap_or_default(),
        tool.ram.clone(),
        outcome.as_ref().err().cloned().unwrap_or_default(),
    ];
    let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
    // Writing to a string does not fail.
    let _ = writeln!(text, "{}", cells.join(","));
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_cells_that_need_it_are_quoted() {
        assert_eq!(quoted("4 KiB"), "4 KiB");
        assert_eq!(quoted("a, \"b\""), "\"a, \"\"b\"\"\"");
    }
}
