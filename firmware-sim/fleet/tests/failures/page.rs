//! `docs/failures.md`, made of the table.

use crate::story::Ending;
use crate::table::{ROWS, Row};
use std::fmt::Write;
use std::path::PathBuf;

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for (area, title) in AREAS {
        write!(page, "\n## {title}\n").unwrap();
        for row in ROWS.iter().filter(|row| row.area == area) {
            section(&mut page, row);
        }
    }
    page.push_str(OTHERS_HEAD);
    for (happens, does, file, name) in OTHERS {
        writeln!(page, "| {happens} | {does} | `{name}` in `{file}` |").unwrap();
    }
    page
}

fn section(page: &mut String, row: &Row) {
    let quoted: Vec<String> = row.shows.iter().map(|words| format!("“… {words} …”")).collect();
    let ends = match row.ends {
        Ending::Updated => "the device runs the new image, confirmed",
        Ending::Withheld => "the device runs what it ran; the image is withheld from it until `update retry`",
        Ending::Blocked => "the device runs what it ran, and is offered nothing until somebody acts",
    };
    let title = row.name.replace('_', " ");
    write!(
        page,
        "\n### {title}\n\n{}\n\n- **Device:** {}\n- **`device show`:** {}\n- **Next step:** {}\n- **Ends:** {ends}.\n",
        row.happens,
        row.device,
        quoted.join(", "),
        row.told,
    )
    .unwrap();
    let tests = row
        .also
        .iter()
        .map(|(file, name)| format!("`{name}` in `{file}`"));
    let own = std::iter::once(format!("`{}`", row.name));
    let tests: Vec<String> = own.chain(tests).collect();
    writeln!(page, "- **Tests:** {}", tests.join("; ")).unwrap();
}

const AREAS: [(&str, &str); 4] = [
    ("link", "Link"),
    ("device", "Device"),
    ("gateway", "Gateway"),
    ("publisher", "Publisher"),
];

const HEAD: &str = "\
# What goes wrong, and what becomes of it

Each entry is a test that ran to this end: the real agent, bootloader and gateway core on virtual time, in
`firmware-sim/fleet/tests/failures/`. The test holds device, gateway and ending to what stands here, word for word where
there are quotation marks. Names that begin with a project and a number are after the thread in which somebody had the
trouble. Made from the table in `table.rs`; a test compares the two:

```
DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page
```
";

/// What needs the real process and has tests of its own, which assert the messages.
const OTHERS: &[(&str, &str, &str, &str)] = &[
    (
        "two gateways by mistake on one database",
        "the second does not start: “state directory … is used by another gateway”, hint: `deltagate status`; the first goes on",
        "gateway/server/tests/start.rs",
        "a_second_gateway_on_the_same_state_is_refused_and_the_first_goes_on",
    ),
    (
        "a database of an older version",
        "it is taken over at the start, row by row as it was meant",
        "gateway/server/src/store/tests.rs",
        "a_database_of_the_first_version_is_taken_over",
    ),
    (
        "a database of a newer version",
        "the gateway does not start, and names both versions",
        "gateway/server/tests/start.rs",
        "a_newer_database_is_refused",
    ),
    (
        "the disk is full when an image is imported",
        "the import is refused before anything is written, with what it needs and what is free; nothing of it is stored",
        "gateway/server/tests/disk.rs",
        "a_disk_without_room_is_seen_before_anything_is_written",
    ),
    (
        "somebody else fills the disk",
        "the gateway goes on in room that it holds for its database, says so, and holds it again when there is room",
        "gateway/server/tests/disk.rs",
        "a_disk_that_others_fill_stops_nothing_and_is_used_again_when_there_is_room",
    ),
    (
        "a damaged row in the database",
        "an error and not a guess",
        "gateway/server/src/store/tests.rs",
        "a_damaged_row_is_an_error_and_not_a_guess",
    ),
    (
        "an image of an unknown key is imported",
        "refused, with an audit line and nothing kept; hint: the key's file into `trust`",
        "gateway/server/tests/import.rs",
        "an_image_signed_by_a_stranger_leaves_an_audit_line_and_nothing_else",
    ),
    (
        "artefacts lost with a disk",
        "they are built again, and the transfer in the middle goes on",
        "gateway/server/tests/update.rs",
        "artefacts_that_were_lost_are_built_again_and_the_transfer_goes_on",
    ),
];

const OTHERS_HEAD: &str =
    "\n## Of the gateway's process\n\n| what happens | what the gateway does | test |\n|---|---|---|\n";

#[test]
fn page_is_what_the_tests_say() {
    let path = checkout().join("docs/failures.md");
    if std::env::var_os("DELTAGATE_WRITE_DOCS").is_some() {
        ROWS.iter().for_each(Row::check);
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/failures.md is not what the table says; DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page"
    );
}

/// A test that is named and does not exist proves nothing.
#[test]
fn every_test_that_is_named_exists() {
    let of_rows = ROWS.iter().flat_map(|row| row.also);
    let others = OTHERS.iter().map(|(_, _, file, name)| (*file, *name));
    for (file, name) in of_rows.copied().chain(others) {
        let text =
            std::fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        let is_there = text.contains(&format!("fn {name}()"));
        assert!(is_there, "{file} has no test {name}");
    }
}

#[test]
fn no_two_rows_have_one_name() {
    let names: std::collections::BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len());
}
