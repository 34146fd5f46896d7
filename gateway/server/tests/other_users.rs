//! Another user of the gateway's machine at a socket whose modes somebody has opened.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use support::{Ran, Site, ran};

/// A user whom no system has: below 65,534, which stands for nobody, and above those that are given out.
const STRANGER: u32 = 61_000;

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// The real binary as another user: a copy, because the way to the one that was built may be closed to others.
fn as_stranger(site: &Site, arguments: &str) -> Ran {
    let program = site.path().join("deltagate");
    if !program.exists() {
        fs::copy(env!("CARGO_BIN_EXE_deltagate"), &program).unwrap();
        open(&program, 0o755);
    }
    let mut command = Command::new(program);
    command.args(arguments.split_whitespace());
    command.args(["--socket", "state/admin.sock"]);
    command.current_dir(site.path()).uid(STRANGER).gid(STRANGER);
    ran(command.output().unwrap())
}

/// Only root can become somebody else. Said rather than left out silently; continuous integration runs as root.
fn is_root(site: &Site) -> bool {
    let is_root = fs::metadata(site.path()).unwrap().uid() == 0;
    if !is_root {
        eprintln!("NOT TESTED: only root can ask as another user");
    }
    is_root
}

#[test]
fn another_user_is_told_to_use_sudo_and_learns_and_changes_nothing() {
    let site = Site::started();
    if !is_root(&site) {
        return;
    }
    open(site.path(), 0o755);
    open(&site.state(), 0o755);
    let closed = as_stranger(&site, "status");
    assert_eq!(closed.code, Some(1), "{closed:?}");
    assert!(closed.stderr.contains("is not yours to ask"), "{}", closed.stderr);

    open(&site.state().join("admin.sock"), 0o666);
    let told = |changed: &str| {
        format!(
            "error: uid {STRANGER} may not ask this gateway\n{changed}\
             hint: the same command with sudo, or as the gateway's own user\n"
        )
    };
    let refused = as_stranger(&site, "status");
    assert_eq!(
        (refused.code, refused.stdout.as_str()),
        (Some(1), ""),
        "{refused:?}"
    );
    assert_eq!(refused.stderr, told(""));
    let refused = as_stranger(&site, "group create roof");
    assert_eq!(refused.stderr, told("nothing changed\n"));
    assert_eq!(site.json("group list")["groups"].as_array().unwrap().len(), 0);
    let trail = site.json("audit");
    let entries = trail["entries"].as_array().unwrap().iter();
    let attempts = entries.filter(|entry| entry["what"] == "connect-socket");
    let who: Vec<_> = attempts.map(|entry| entry["who"].as_str().unwrap()).collect();
    assert_eq!(who, [format!("uid {STRANGER}"), format!("uid {STRANGER}")]);
}
