//! The commands keep to portable code, so that they can be built for Windows. What is Unix's own stays in these files: the
//! daemon's, which are not built elsewhere, and a few whose every such line has a counterpart for other systems.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the daemon: each is declared under `#[cfg(unix)]`.
const DAEMON: [&str; 18] = [
    "admin/caller.rs",
    "admin/conversation.rs",
    "admin/deed.rs",
    "admin/listener.rs",
    "admin/remote.rs",
    "admin/turned_away.rs",
    "artefacts.rs",
    "blobs.rs",
    "dtls.rs",
    "engine.rs",
    "import.rs",
    "observe.rs",
    "reserve.rs",
    "restore.rs",
    "serve.rs",
    "state_dir.rs",
    "store.rs",
    "supervisor.rs",
];
/// Both kinds of system are seen to, line by line.
const BOTH: [&str; 6] = [
    "client/stream.rs",
    "delta/bench/measure.rs",
    "doctor/machine.rs",
    "owner_only.rs",
    "publisher/token/prompt.rs",
    "recover/port.rs",
];
/// What no portable code says: what only Unix has, and the crates that `Cargo.toml` has for Unix only.
const UNIX: [&str; 12] = [
    "std::os::unix",
    "std::os::linux",
    "tokio::signal::unix",
    "UnixStream",
    "UnixListener",
    "UnixDatagram",
    "dimpl::",
    "qbsdiff::",
    "rusqlite::",
    "rustix::",
    "sd_notify::",
    "tokio_rustls::",
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn only_named_modules_call_what_only_unix_has() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    assert!(files.len() > 80, "{}", files.len());
    let mut both = 0;
    for file in &files {
        let name = file.strip_prefix(&root).unwrap().to_str().unwrap();
        // A module that only tests, and tests of a module, run where the tests run.
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let is_daemon = DAEMON.iter().any(|part| {
            let folder = format!("{}/", part.trim_end_matches(".rs"));
            name == *part || name.starts_with(&folder)
        });
        let is_tests = name.ends_with("tests.rs");
        let found: Vec<&str> = UNIX.into_iter().filter(|word| code.contains(word)).collect();
        if found.is_empty() || is_daemon || is_tests {
            continue;
        }
        assert!(
            BOTH.contains(&name),
            "{name} says {found:?}: give it a counterpart for other systems"
        );
        assert!(
            code.contains("#[cfg(not(unix))]"),
            "{name} has no counterpart for other systems"
        );
        both += 1;
    }
    assert_eq!(
        both,
        BOTH.len(),
        "a file in the list calls nothing of Unix any more"
    );
}

/// Each module of the daemon is left out elsewhere.
#[test]
fn the_daemon_is_left_out_elsewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    for part in DAEMON {
        let (parent, file) = match part.split_once('/') {
            Some((parent, file)) => (format!("{parent}.rs"), file),
            None => ("lib.rs".to_owned(), part),
        };
        let text = fs::read_to_string(root.join(parent)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let declared = format!("mod {};", file.trim_end_matches(".rs"));
        let at = lines
            .iter()
            .position(|line| line.trim_start_matches("pub(crate) ").trim_start_matches("pub ") == declared);
        let at = at.unwrap_or_else(|| panic!("nobody declares {part}"));
        assert_eq!(lines[at - 1], "#[cfg(unix)]", "{part} is built everywhere");
    }
}
