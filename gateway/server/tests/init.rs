//! The first file of a gateway, and what is made of the program itself.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

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

/// Words as bash would offer them behind `line`.
fn offered(script: &str, line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let ask = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={}\n_deltagate deltagate {} {}\necho \"${{COMPREPLY[*]}}\"\n",
        words.join(" "),
        words.len() - 1,
        words[words.len() - 1],
        words[words.len() - 2],
    );
    // Longer than an argument may be.
    let mut bash = Command::new("bash")
        .args(["--norc", "-s"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = bash.stdin.take().unwrap();
    stdin.write_all(ask.as_bytes()).unwrap();
    drop(stdin);
    let ran = bash.wait_with_output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let stdout = String::from_utf8(ran.stdout).unwrap();
    stdout.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_and_options() {
    let site = bare();
    let script = site.done("completions bash");
    assert_eq!(offered(&script, "deltagate upd"), ["update"]);
    let updates = offered(&script, "deltagate update ");
    for command in ["assign", "plan", "pause", "resume", "retry"] {
        assert!(updates.iter().any(|word| word == command), "{updates:?}");
    }
    assert_eq!(offered(&script, "deltagate probe --ack"), ["--ack-timeout"]);
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(
            site.done(&format!("completions {shell}")).contains("probe"),
            "{shell}"
        );
    }
    assert_eq!(site.run("completions tcsh").code, Some(2));
}

#[test]
fn there_is_a_man_page_for_each_command() {
    let site = bare();
    let directory = site.path().join("man");
    let file = site.path().join("taken");
    fs::write(&file, "").unwrap();
    let refused = site.run("docs man taken");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    site.done("docs man man");
    for command in [
        "deltagate",
        "deltagate-status",
        "deltagate-update-plan",
        "deltagate-device-find",
    ] {
        let page = fs::read_to_string(directory.join(format!("{command}.1"))).unwrap();
        assert!(
            page.contains(".TH ") && page.contains(".SH SYNOPSIS"),
            "{command}: {page}"
        );
    }
}
