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
use gateway_delta::{Options, encode};
use wire_patch::{Header, MemoryClass};

static DRIVER: LazyLock<PathBuf> = LazyLock::new(|| build("driver", Path::new(env!("CARGO_TARGET_TMPDIR"))));

static CASES: LazyLock<Cases> = LazyLock::new(|| Cases::new(400));

/// The rows of a table of `fixtures/patch`, without its head.
fn rows<const N: usize>(table: &str) -> Vec<[String; N]> {
    let text = String::from_utf8(frozen(table)).unwrap();
    let row = |line: &str| {
        let cells: Vec<String> = line.split('\t').map(str::to_owned).collect();
        cells.try_into().expect("a cell for each column")
    };
    text.lines().skip(1).map(row).collect()
}

fn frozen(name: &str) -> Vec<u8> {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/patch"));
    std::fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn frozen_patches_decode_to_the_same_bytes() {
    let mut c = CDecoder::start(&DRIVER);
    for [name, base, target] in rows("patches.tsv") {
        let (patch, base) = (frozen(&name), frozen(&base));
        let memory_bytes = Header::parse(&patch).unwrap().memory.bytes();
        assert!(
            c.decode(&base, &patch, memory_bytes) == Ok(frozen(&target)),
            "{name}"
        );
        let refused = c.decode(&base, &patch, memory_bytes - 1);
        assert_eq!(refused, Err("MemoryTooSmall"), "{name}");
    }
}

#[test]
fn malformed_patches_are_refused_with_the_same_names() {
    let mut c = CDecoder::start(&DRIVER);
    for [what, base, error, hex] in rows("refused.tsv") {
        let base = if base == "-" { Vec::new() } else { frozen(&base) };
        let patch: Vec<u8> = (0..hex.len() / 2)
            .map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap())
            .collect();
        assert_eq!(c.decode(&base, &patch, 1 << 17), Err(error.as_str()), "{what}");
    }
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

/// The decoder in C counts in 16 bits how long it has been right, and stops counting in time.
#[test]
fn long_unchanged_runs_decode() {
    let base = support::noise(150_000, 11);
    let mut target = base.clone();
    for at in [70_001, 140_003] {
        target[at] ^= 0x55;
    }
    let patch = encode(&base, &target, &Options::new(MemoryClass::MIN)).unwrap();
    assert!(patch.len() < 100, "{} bytes", patch.len());
    let decoded = CDecoder::start(&DRIVER).decode(&base, &patch, MemoryClass::MIN.bytes());
    assert!(decoded == Ok(target));
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
