//! `docs/failures.md`, made of the table.

use crate::STORIES;
use crate::table::{Ending, Named, ROWS, Row, Runs, row};
use std::fmt::Write;
use std::path::PathBuf;

fn checkout() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn page() -> String {
    let mut page = String::from(HEAD);
    for (area, title) in AREAS {
        writeln!(page, "| **{title}** | | |").unwrap();
        for row in of(area) {
            let title = title_of(row);
            let (simulated, qemu) = (short(&row.simulated), short(&row.qemu));
            let anchor = title.replace(' ', "-");
            writeln!(page, "| [{title}](#{anchor}) | {simulated} | {qemu} |").unwrap();
        }
    }
    for (area, title) in AREAS {
        write!(page, "\n## {title}\n").unwrap();
        for row in of(area) {
            section(&mut page, row);
        }
    }
    page
}

fn of(area: &str) -> impl Iterator<Item = &'static Row> {
    ROWS.iter().filter(move |row| row.area == area)
}

fn title_of(row: &Row) -> String {
    row.name.replace('_', " ")
}

/// A cell of the overview.
const fn short(runs: &Runs) -> &'static str {
    match runs {
        Runs::Here | Runs::In(_) => "yes",
        Runs::Scaled(_) => "scaled",
        Runs::Long(..) => "long",
        Runs::Not(_) => "no",
    }
}

fn section(page: &mut String, row: &Row) {
    let quoted: Vec<String> = row.shows.iter().map(|words| format!("“… {words} …”")).collect();
    let ends = match row.ends {
        Ending::Updated => "the device runs the image that was assigned, confirmed",
        Ending::Withheld => "the device runs what it ran; the image is withheld from it until `update retry`",
        Ending::Blocked => "the device runs what it ran, and is offered nothing until somebody acts",
        Ending::Open => "it is not over",
    };
    write!(
        page,
        "\n### {}\n\n{}\n\n- **Device:** {}\n- **Gateway shows:** {}\n- **Next step:** {}\n- **Ends:** {ends}.\n",
        title_of(row),
        row.happens,
        row.device,
        quoted.join(", "),
        row.told,
    )
    .unwrap();
    runs(page, "On virtual time", row.name, &row.simulated);
    runs(page, "On QEMU", row.name, &row.qemu);
    if !row.also.is_empty() {
        writeln!(page, "- **Also:** {}", named(row.also)).unwrap();
    }
}

fn runs(page: &mut String, world: &str, name: &str, runs: &Runs) {
    let how = match runs {
        Runs::Here => format!("`{name}`"),
        Runs::Scaled(how) => format!("`{name}`: {how}"),
        Runs::In(tests) => named(tests),
        Runs::Long(tests, command) => format!("{}, with `{command}`", named(tests)),
        Runs::Not(why) => format!("not, for {why}"),
    };
    writeln!(page, "- **{world}:** {how}").unwrap();
}

fn named(tests: &[Named]) -> String {
    let tests: Vec<String> = tests
        .iter()
        .map(|(file, name)| format!("`{name}` in `{file}`"))
        .collect();
    tests.join("; ")
}

const AREAS: [(&str, &str); 4] = [
    ("link", "Link"),
    ("device", "Device"),
    ("gateway", "Gateway"),
    ("publisher", "Publisher"),
];

const HEAD: &str = "\
# What goes wrong, and what becomes of it

Each entry is a test that ran to this end, in one of two worlds or in both: on virtual time with the real agent, bootloader and
gateway core (`firmware-sim/fleet/tests/failures/`), and on QEMU with the real firmware and the real gateway's process, killed with
`kill -9` where it says so (`firmware-sim/fleet/tests/failures_on_qemu/`). The tests hold gateway and ending to what stands here, word
for word where there are quotation marks; on QEMU those are the words that `deltagate device show` prints, or the command that was
refused. Names that begin with a project and a number are after the thread in which somebody had the trouble. Keys and manifests do not
expire, for devices have no clock: a key that is no longer trusted is taken out of `trust`.

Made from the table in `firmware-sim/fleet/tests/failures/table.rs`; a test compares the two:

```
DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page
```

“scaled” is a story with other numbers than the row's, named there; “long” is one that takes minutes and has a command of its own.

| what goes wrong | on virtual time | on QEMU |
|---|---|---|
";

#[test]
fn page_is_what_the_tests_say() {
    let path = checkout().join("docs/failures.md");
    if std::env::var_os("DELTAGATE_WRITE_DOCS").is_some() {
        STORIES.iter().for_each(|(name, story)| row(name).check(&story()));
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == page(),
        "docs/failures.md is not what the table says; DELTAGATE_WRITE_DOCS=1 cargo test -p fleet --test failures page"
    );
}

/// A test that is named and does not exist proves nothing, and one that does not know of its row holds nobody to it.
#[test]
fn every_test_that_is_named_exists() {
    for row in ROWS {
        for (file, name) in row.also {
            assert!(
                text(file).contains(&format!("fn {name}()")),
                "{file} has no test {name}"
            );
        }
        for runs in [&row.simulated, &row.qemu] {
            let (Runs::In(tests) | Runs::Long(tests, _)) = runs else {
                continue;
            };
            for (file, name) in *tests {
                let text = text(file);
                assert!(
                    text.contains(&format!("fn {name}()")),
                    "{file} has no test {name}"
                );
                assert!(
                    text.contains(&format!("\"{}\"", row.name)),
                    "{file} does not know {}",
                    row.name
                );
            }
        }
    }
}

fn text(file: &str) -> String {
    std::fs::read_to_string(checkout().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

#[test]
fn no_two_rows_have_one_name() {
    let names: std::collections::BTreeSet<_> = ROWS.iter().map(|row| row.name).collect();
    assert_eq!(names.len(), ROWS.len());
}
