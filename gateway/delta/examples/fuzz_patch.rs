//! Decodes damaged patches and resumes from damaged checkpoints, as many as asked for.
//!
//! usage: `fuzz_patch [CASES [FIRST]]`: cases FIRST to FIRST + CASES - 1, a million from 0 if not said. A case is its number: one
//! that fails is run again as `fuzz_patch 1 NUMBER`.

#![allow(clippy::unwrap_used, reason = "a test in the shape of a program")]

#[path = "../tests/support/fuzz.rs"]
mod fuzz;
#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{Counts, Seeds};

/// Cases after which it says how far it is.
const REPORT_CASES: u64 = 100_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cases: u64 = arguments.next().map_or(Ok(1_000_000), |text| text.parse())?;
    let first: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let seeds = Seeds::new();
    let mut counts = Counts::default();
    if cases > 1 {
        let flips: Vec<u8> = (1..=255).collect();
        seeds.every_byte(&flips, &mut counts);
        println!("every byte of the patches, every other value: {counts:?}");
    }
    let mut counts = Counts::default();
    for number in first..first + cases {
        if catch_unwind(AssertUnwindSafe(|| seeds.case(number, &mut counts))).is_err() {
            return Err(format!("case {number} failed; again: scripts/fuzz-patch 1 {number}").into());
        }
        if (number - first + 1).is_multiple_of(REPORT_CASES) {
            println!("{} cases: {counts:?}", number - first + 1);
        }
    }
    println!("{cases} cases from {first} on: {counts:?}");
    Ok(())
}
