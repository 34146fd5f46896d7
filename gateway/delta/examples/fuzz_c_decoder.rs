//! Gives patches, damaged and not, to the decoder in Rust and to the one in C, as many as asked for; they must agree.
//!
//! usage: `fuzz_c_decoder [CASES [FIRST]]`: cases FIRST to FIRST + CASES - 1, a hundred thousand from 0 if not said. A case is its number: one
//! that fails is run again as `fuzz_c_decoder 1 NUMBER`.

#![allow(clippy::unwrap_used, reason = "a test in the shape of a program")]

#[path = "../tests/support/c_cases.rs"]
mod c_cases;
#[path = "../tests/support/c_decoder.rs"]
mod c_decoder;
#[path = "../tests/support/code.rs"]
mod code;
#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};

use c_cases::{Cases, Counts};
use c_decoder::CDecoder;

/// Cases after which it says how far it is.
const REPORT_CASES: u64 = 10_000;
/// Instructions of the made-up images: more than in the tests, so that all their parts have some.
const PIECES: usize = 1_000;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let cases: u64 = arguments.next().map_or(Ok(100_000), |text| text.parse())?;
    let first: u64 = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let program = std::env::current_exe()?;
    let driver = c_decoder::build("driver", program.parent().ok_or("a program is in a folder")?);
    let mut c = CDecoder::start(&driver);
    let seeds = Cases::new(PIECES);
    if cases > 1 {
        let mut counts = Counts::default();
        let flips = [0, 1, 2, 3, 4, 5, 6, 7].map(|bit| 1 << bit);
        let damaged = seeds.monotonous().chain(seeds.every_byte(usize::MAX, &flips));
        for case in seeds.undamaged().chain(damaged) {
            case.compare(&mut c, &mut counts);
        }
        println!("Rust and C: every bit of the patches: {counts:?}");
    }
    let mut counts = Counts::default();
    for number in first..first + cases {
        let compare = || {
            seeds
                .damaged(number)
                .map(|case| case.compare(&mut c, &mut counts))
        };
        if catch_unwind(AssertUnwindSafe(compare)).is_err() {
            return Err(format!("case {number} failed; again: scripts/fuzz-patch 1 {number}").into());
        }
        if (number - first + 1).is_multiple_of(REPORT_CASES) {
            println!("Rust and C: {} cases: {counts:?}", number - first + 1);
        }
    }
    println!("Rust and C: {cases} cases from {first} on: {counts:?}");
    Ok(())
}
