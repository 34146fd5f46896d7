//! Every target on its seeds, on what is near them, and on what a fuzzer found before.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use fuzz::{TARGETS, Target};

fn run(target: &Target, bytes: &[u8]) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        panic!("{} fails on {hex}", target.name);
    }
}

#[test]
fn seeds_and_what_is_near_them_come_to_an_end() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        run(target, &[]);
        for seed in seeds {
            run(target, &seed);
            // Every place of a short one, some places of a long one.
            let step = seed.len().div_ceil(target.places).max(1);
            for at in (0..seed.len()).step_by(step) {
                run(target, &seed[..at]);
                for change in [0x01, 0x80, 0xFF] {
                    let mut near = seed.clone();
                    near[at] ^= change;
                    run(target, &near);
                }
            }
        }
    }
}

/// `fixtures/fuzz/<target>/`, where a find is kept when it is mended.
#[test]
fn what_was_found_before_is_mended() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/fuzz");
    let Ok(folders) = fs::read_dir(fixtures) else {
        return;
    };
    for folder in folders {
        let folder = folder.unwrap().path();
        let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
        let target = fuzz::named(&name).unwrap_or_else(|| panic!("no target {name}"));
        for find in fs::read_dir(folder).unwrap() {
            run(target, &fs::read(find.unwrap().path()).unwrap());
        }
    }
}

#[test]
fn names_are_fit_for_files_and_told_apart() {
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert!(
        names
            .iter()
            .all(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
    );
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), TARGETS.len());
}
