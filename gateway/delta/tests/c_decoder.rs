//! The decoder in C makes of every patch what the one in Rust makes of it.
//!
//! Needs a C compiler, which `scripts/prepare` installs; without one, these tests fail.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

#[path = "support/c_cases.rs"]
mod c_cases;
#[path = "support/c_decoder.rs"]
mod c_decoder;
#[path = "support/code.rs"]
mod code;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use c_cases::{Cases, Counts};
use c_decoder::{CDecoder, build};

static DRIVER: LazyLock<PathBuf> = LazyLock::new(|| build("driver", Path::new(env!("CARGO_TARGET_TMPDIR"))));

static CASES: LazyLock<Cases> = LazyLock::new(|| Cases::new(400));

#[test]
fn frozen_patches_decode_to_the_same_bytes() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/patch"));
    let mut c = CDecoder::start(&DRIVER);
    let mut decoded = 0;
    for entry in folder.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "patch") {
            continue;
        }
        // VERSION-MEMORY.patch or VERSION-IMAGES-MEMORY.patch
        let name = path.file_stem().unwrap().to_str().unwrap();
        let mut parts: Vec<&str> = name.split('-').collect();
        let memory_bytes = parts.pop().unwrap().parse().unwrap();
        let images = match parts[1..] {
            [] => String::new(),
            [images] => format!("{images}-"),
            _ => panic!("what is {name}?"),
        };
        let read = |path| std::fs::read(path).unwrap();
        let base = read(folder.join(format!("{images}base.bin")));
        let target = read(folder.join(format!("{images}target.bin")));
        assert!(
            c.decode(&base, &read(path.clone()), memory_bytes) == Ok(target),
            "{name}"
        );
        assert_eq!(
            c.decode(&base, &read(path), memory_bytes - 1),
            Err("MemoryTooSmall")
        );
        decoded += 1;
    }
    assert!(decoded >= 3, "{decoded} frozen patches");
}

#[test]
fn patches_of_every_instruction_set_decode() {
    let mut c = CDecoder::start(&DRIVER);
    let mut counts = Counts::default();
    CASES
        .undamaged()
        .for_each(|case| case.compare(&mut c, &mut counts));
    assert!(counts.decoded >= 16 && counts.refused == 0, "{counts:?}");
}

#[test]
fn damaged_patches_end_alike() {
    let mut c = CDecoder::start(&DRIVER);
    let mut counts = Counts::default();
    for number in 0..600 {
        let compare = || {
            CASES
                .damaged(number)
                .map(|case| case.compare(&mut c, &mut counts))
        };
        assert!(catch_unwind(AssertUnwindSafe(compare)).is_ok(), "case {number}");
    }
    assert!(counts.refused > 100 && counts.decoded > 100, "{counts:?}");
}

#[test]
fn every_byte_of_a_patch_may_be_wrong() {
    let mut c = CDecoder::start(&DRIVER);
    let mut counts = Counts::default();
    for case in CASES.every_byte(200, &[0x01, 0xFF]).chain(CASES.monotonous()) {
        case.compare(&mut c, &mut counts);
    }
    assert!(counts.refused > 300, "{counts:?}");
}
