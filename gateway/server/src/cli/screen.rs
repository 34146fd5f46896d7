//! Text for people: columns, quantities, times. Plain characters, at most [`ROWS_MAX`] rows on a terminal.

use std::io::{self, IsTerminal, Write};

use crate::clock::utc_minute;

/// The smallest terminal that anybody uses.
pub(super) const SCREEN_ROWS: usize = 24;
/// Its width: a longer line takes two rows.
pub(super) const COLUMNS: usize = 80;
/// A table leaves room for its head, a remark and the prompt.
pub(super) const ROWS_MAX: usize = SCREEN_ROWS - 4;

/// Columns under their heads, as wide as they must be. On a terminal the rows that do not fit are counted.
pub(super) fn table(out: &mut dyn Write, heads: &[&str], rows: &[Vec<String>], all: bool) -> io::Result<()> {
    let shown = if all || !io::stdout().is_terminal() {
        rows.len()
    } else {
        rows.len().min(ROWS_MAX)
    };
    write_table(out, heads, &rows[..shown])?;
    if shown < rows.len() {
        writeln!(out, "… {} more; --all shows them", rows.len() - shown)?;
    }
    Ok(())
}

/// The same, whatever the number of rows.
pub(super) fn write_table(out: &mut dyn Write, heads: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
    let width = |column: usize| {
        let cells = rows
            .iter()
            .filter_map(|row| row.get(column))
            .map(|cell| cell.chars().count());
        cells.chain([heads[column].len()]).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let head: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    for row in std::iter::once(&head).chain(rows) {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

/// `1000 B`, `12.5 KiB`, `3.0 MiB`: tenths are rounded down.
pub(super) fn bytes(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_485_760 => format!("{} KiB", tenths(1 << 10)),
        _ => format!("{} MiB", tenths(1 << 20)),
    }
}

/// `48 s`, `3 min 20 s`, `2 h 05 min`, `3 d 04 h`.
pub(super) fn duration(seconds: u64) -> String {
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// Rows of the screen that a line takes.
pub(super) fn rows_of(line: &str) -> usize {
    line.chars().count().div_ceil(COLUMNS).max(1)
}

/// `119 s`, `59 min`, `26 h`, `5 d`: in the largest unit that says enough, rounded down.
pub(super) fn span(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// `14:10 UTC` within the next day, else with the date.
pub(super) fn clock_time(unix_s: u64) -> String {
    let is_near = unix_s.saturating_sub(crate::clock::unix_s()) < 86_400;
    match is_near {
        true => format!("{:02}:{:02} UTC", unix_s / 3_600 % 24, unix_s / 60 % 60),
        false => clock_date(unix_s),
    }
}

/// `2026-11-23 14:10 UTC`
pub(super) fn clock_date(unix_s: u64) -> String {
    format!("{} UTC", utc_minute(unix_s))
}

/// How long ago, or `never`.
pub(super) fn ago(unix_s: u64) -> String {
    match unix_s {
        0 => "never".to_owned(),
        past => format!("{} ago", duration(crate::clock::unix_s().saturating_sub(past))),
    }
}

/// The first 16 digits: what commands accept and people compare.
pub(super) fn short(digest: &str) -> String {
    digest.chars().take(16).collect()
}

/// A cell that may be empty.
pub(super) fn or_dash(value: Option<String>) -> String {
    value
        .filter(|value| !value.is_empty())
        .unwrap_or_else(|| "-".to_owned())
}

/// `[########------------]`
pub(super) fn bar(percent: u8, cells: usize) -> String {
    let full = usize::from(percent.min(100)) * cells / 100;
    format!("[{}{}]", "#".repeat(full), "-".repeat(cells - full))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut out = Vec::new();
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "2".to_owned()],
        ];
        write_table(&mut out, &["NAME", "N"], &rows).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "NAME  N\na     1\nlong  2\n");
    }

    #[test]
    fn quantities_carry_their_unit() {
        assert_eq!(bytes(9_999), "9999 B");
        assert_eq!(bytes(12_800), "12.5 KiB");
        assert_eq!(bytes(512 << 20), "512.0 MiB");
        assert_eq!(duration(59), "59 s");
        assert_eq!(duration(200), "3 min 20 s");
        assert_eq!(duration(7_500), "2 h 05 min");
        assert_eq!(duration(90_000), "1 d 01 h");
        assert_eq!(ago(0), "never");
        assert_eq!(span(119), "119 s");
        assert_eq!(span(26 * 3_600 + 3_599), "26 h");
        assert_eq!(span(172_800), "2 d");
    }

    #[test]
    fn a_bar_is_full_at_a_hundred_and_not_before() {
        assert_eq!(bar(0, 20), "[--------------------]");
        assert_eq!(bar(42, 20), "[########------------]");
        assert_eq!(bar(99, 10), "[#########-]");
        assert_eq!(bar(100, 20), "[####################]");
    }
}
