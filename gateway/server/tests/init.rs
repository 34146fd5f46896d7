//! The first file of a gateway, and what is made of the program itself.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::path::Path;

use support::Site;

/// A site without a configuration.
fn bare() -> Site {
    let site = Site::new();
    fs::remove_file(site.path().join("gateway.toml")).unwrap();
    site
}

#[test]
fn init_writes_what_the_documentation_shows_and_a_gateway_starts_with_it() {
    let mut site = bare();
    let said = site.done("init");
    assert!(
        said.starts_with("wrote gateway.toml, with every key explained"),
        "{said}"
    );
    assert!(
        said.contains("\nnext step: deltagate doctor --config gateway.toml"),
        "{said}"
    );
    let file = site.path().join("gateway.toml");
    let written = fs::read_to_string(&file).unwrap();
    let documented = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/gateway.example.toml");
    assert_eq!(written, fs::read_to_string(documented).unwrap());
    // The port is every gateway's; this one takes a free one.
    fs::write(&file, written.replace("0.0.0.0:5683", "127.0.0.1:0")).unwrap();
    site.start();
    assert!(site.done("link list").contains("nb-iot"), "{written}");
}

#[test]
fn init_never_writes_over_a_file() {
    let site = bare();
    let file = site.path().join("mine.toml");
    fs::write(&file, "precious").unwrap();
    let refused = site.run("init mine.toml");
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.stderr,
        "error: mine.toml is there already\nnothing changed\nhint: name another file: deltagate init FILE\n"
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    let refused = site.run("init no/such/directory/gateway.toml");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .stderr
            .contains("\nnothing changed\nhint: name a file in a directory that is yours"),
        "{refused:?}"
    );
}
