//! An inspection as lines for a terminal.

use std::fmt::Write as _;

use super::{Inspected, PartRow, tenths};
use crate::delta::Report;

impl Report for Inspected {
    fn to_text(&self) -> String {
        let mut text = String::new();
        let mut line = |name: &str, value: String| {
            writeln!(text, "{name:<10} {value}").expect("a String takes any text");
        };
        line(
            "patch",
            format!(
                "{} bytes, {} of the new image, {}",
                self.size_bytes,
                percent(self.size_bytes as f64, f64::from(self.target_size_bytes)),
                self.format
            ),
        );
        line(
            "memory",
            format!("{} bytes for the decoder", self.decoder_memory_bytes),
        );
        if let Some(bytes) = self.in_place_reach_bytes {
            line("in place", format!("with a reach of {bytes} bytes"));
        }
        let base = match &self.base_digest {
            Some(digest) => digest.clone(),
            None => format!("{}…", self.base_digest_prefix),
        };
        line("old", format!("{} bytes, SHA-256 {base}", self.base_size_bytes));
        let target = match &self.target_digest {
            Some(digest) => format!("SHA-256 {digest}"),
            None => format!("CRC-32 {}", self.target_crc32),
        };
        line("new", format!("{} bytes, {target}", self.target_size_bytes));
        let moved = match &self.relocation {
            Some(relocation) => format!("{}, {}", relocation.isa, relocation.addresses()),
            None => "none: nothing is moved".to_owned(),
        };
        line("code", moved);
        let map = match self.relocation {
            Some(_) => format!(
                "; the map holds {} of at most {} copies",
                self.map_entries, self.map_entries_max
            ),
            None => String::new(),
        };
        line("triples", format!("{}{map}", self.triples));
        let share = |bytes: u64| {
            let share = percent(bytes as f64, f64::from(self.target_size_bytes));
            format!("{bytes} bytes ({share})")
        };
        line(
            "made of",
            format!(
                "old image {}, itself {}, literals {}",
                share(self.origins.base_bytes),
                share(self.origins.itself_bytes),
                share(self.origins.literal_bytes)
            ),
        );
        self.add_tables(&mut text);
        match (&self.kinds, &self.plot) {
            (None, _) => text += "\nwith the old image there is more: deltagate delta inspect OLD PATCH\n",
            (_, Some(plot)) => text += &format!("\nplot written to {plot}\n"),
            _ => {}
        }
        text
    }
}

impl Inspected {
    fn add_tables(&self, text: &mut String) {
        let whole = self.size_bytes as f64;
        *text += &format!("\n{:<24} {:>10} {:>8}\n", "PART", "BYTES", "SHARE");
        for PartRow { part, bytes } in &self.parts {
            *text += &format!("{part:<24} {bytes:>10.1} {:>8}\n", percent(*bytes, whole));
        }
        let Some(kinds) = &self.kinds else { return };
        *text += &format!(
            "\n{:<8} {:>9} {:>10} {:>8} {:>9}\n",
            "GROUPS", "NUMBER", "PREDICTED", "RATE", "BYTES"
        );
        for row in kinds {
            let rate = format!("{:.2} %", row.predicted as f64 * 100.0 / row.groups as f64);
            *text += &format!(
                "{:<8} {:>9} {:>10} {rate:>8} {:>9.1}  {}\n",
                row.kind,
                row.groups,
                row.predicted,
                row.bytes,
                meaning(row.kind)
            );
        }
    }
}

/// What the names mean, for people.
fn meaning(kind: &str) -> &'static str {
    match kind {
        "plain" => "bytes as they were",
        "wide" => "halves of 32-bit instructions",
        "near" => "short branches, literal loads",
        "far" => "calls, long branches",
        "pointer" => "pointers into the image",
        "ram" => "pointers to RAM",
        "word" => "other words of literal pools",
        "repeat" => "repeats of the new image",
        _ => "",
    }
}

/// Hundredths of `part` in `whole`, one decimal.
pub(in crate::delta) fn percent(part: f64, whole: f64) -> String {
    if whole > 0.0 {
        format!("{:.1} %", tenths(part * 100.0 / whole))
    } else {
        "-".to_owned()
    }
}
