//! The C decoder's example applies patches from files, and says why when it does not.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/c_decoder.rs"]
mod c_decoder;
mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::LazyLock;

use gateway_delta::{Options, encode};
use wire_patch::MemoryClass;

static EXAMPLE: LazyLock<PathBuf> =
    LazyLock::new(|| c_decoder::build("example", Path::new(env!("CARGO_TARGET_TMPDIR"))));

/// A folder with `old` and `patch`.
struct Files {
    folder: PathBuf,
    target: Vec<u8>,
}

impl Files {
    fn new(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("c_example_{name}"));
        _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).unwrap();
        let (base, target) = support::thumb_images();
        let memory = MemoryClass::fitting(16_384).unwrap();
        let patch = encode(&base, &target, &Options::new(memory)).unwrap();
        std::fs::write(folder.join("old"), base).unwrap();
        std::fs::write(folder.join("patch"), patch).unwrap();
        Self { folder, target }
    }

    /// Changes a file.
    fn change(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = std::fs::read(self.folder.join(name)).unwrap();
        change(&mut bytes);
        std::fs::write(self.folder.join(name), bytes).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut example = Command::new(&*EXAMPLE);
        example
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap()
    }

    /// It says this, ends with this code and leaves no image behind.
    fn refused(&self, arguments: &[&str], code: i32, says: &str) {
        let ended = self.run(arguments);
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(said.contains(says), "{said}");
        assert_eq!(ended.status.code(), Some(code), "{said}");
        assert!(!self.folder.join("new").exists(), "half an image stays: {said}");
    }
}

const ALL: [&str; 3] = ["old", "patch", "new"];

#[test]
fn a_patch_made_here_is_applied() {
    let files = Files::new("applied");
    for arguments in [&ALL[..], &["old", "patch", "new", "16384"]] {
        let ended = files.run(arguments);
        assert!(ended.status.success(), "{ended:?}");
        assert!(std::fs::read(files.folder.join("new")).unwrap() == files.target);
    }
}

#[test]
fn too_little_memory_is_refused() {
    let files = Files::new("memory");
    files.refused(&["old", "patch", "new", "16383"], 1, "more decoder memory");
}

#[test]
fn a_truncated_patch_is_refused() {
    let files = Files::new("truncated");
    files.change("patch", |patch| patch.truncate(patch.len() - 5));
    files.refused(&ALL, 1, "patch ends early");
    files.change("patch", |patch| patch.truncate(21));
    files.refused(&ALL, 1, "patch ends early");
}

#[test]
fn another_base_is_refused() {
    let files = Files::new("base");
    files.change("old", |old| old[40..60].fill(0x55));
    files.refused(&ALL, 1, "patch");
    files.change("old", |old| old.push(0));
    files.refused(&ALL, 1, "base of another length");
}

#[test]
fn files_that_are_no_patch_or_not_there_are_named() {
    let files = Files::new("files");
    files.refused(&["old", "patch"], 2, "usage: example OLD PATCH NEW");
    files.refused(&["old", "nowhere", "new"], 3, "nowhere cannot be opened");
    files.refused(&["old", "old", "new"], 1, "not a deltagate patch");
}
