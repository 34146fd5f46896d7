//! What `docs/security.md` claims, against the tree: every test and file that it names exists, and nothing is said to be
//! impossible without a test.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::fs;
use std::path::{Path, PathBuf};

fn checkout() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    fs::read_to_string(checkout().join("docs/security.md")).unwrap()
}

/// What stands in backticks in `text`.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Tests are named as `file.rs::function`, the file from the top of the tree.
fn tests(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let named = quoted(text).filter_map(|name| name.split_once("::"));
    named.filter(|(file, _)| file.ends_with(".rs"))
}

/// Whether `source` has such a test, one that runs unless it is asked not to.
fn has_test(source: &str, name: &str) -> bool {
    let declared = format!("fn {name}(");
    let lines: Vec<&str> = source.lines().map(str::trim_start).collect();
    let Some(at) = lines.iter().position(|line| line.contains(&declared)) else {
        return false;
    };
    let above = lines[..at].iter().rev();
    let attributes: Vec<&&str> = above
        .take_while(|line| line.starts_with("#[") || line.starts_with("//"))
        .collect();
    let is_test = attributes
        .iter()
        .any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"));
    is_test && !attributes.iter().any(|line| line.starts_with("#[ignore"))
}

/// The tables of the page: rows of cells, the headings first.
fn tables(page: &str) -> Vec<Vec<Vec<&str>>> {
    let blocks = page.split("\n\n").filter(|block| block.starts_with('|'));
    let rows = blocks.map(|block| block.lines().filter(|row| !row.starts_with("|---")));
    rows.map(|rows| rows.map(cells).collect()).collect()
}

fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

#[test]
fn every_test_that_is_named_exists() {
    let page = page();
    for (file, name) in tests(&page) {
        let source =
            fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(has_test(&source, name), "{file} has no test {name}");
    }
}

#[test]
fn nothing_is_said_to_be_impossible_without_a_test() {
    let page = page();
    let tables = tables(&page);
    let cannot = tables.iter().filter(|table| table[0] == ["cannot", "shown by"]);
    assert_eq!(cannot.clone().count(), 7, "a table for each attacker");
    for row in cannot.flat_map(|table| &table[1..]) {
        assert!(tests(row[1]).next().is_some(), "nothing shows: {}", row[0]);
    }
}

/// What attackers can do is said with what will close it, and a clause of a standard with who answers for it.
#[test]
fn no_cell_is_left_empty() {
    for table in tables(&page()) {
        for row in &table {
            assert_eq!(row.len(), table[0].len(), "{row:?}");
            assert!(row.iter().all(|cell| !cell.is_empty()), "{row:?}");
        }
    }
}

#[test]
fn every_file_that_is_named_exists() {
    let page = page();
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let linked = links.filter_map(|link| link.split('#').next().filter(|file| !file.is_empty()));
    for file in linked {
        assert!(checkout().join("docs").join(file).exists(), "{file}");
    }
    let is_path = |name: &&str| {
        ["gateway/", "wire/", "firmware-sim/", "scripts/"]
            .iter()
            .any(|top| name.starts_with(top))
    };
    for name in quoted(&page).filter(is_path) {
        let file = name.split("::").next().unwrap_or(name);
        assert!(checkout().join(file).exists(), "{file}");
    }
}
