//! A few thousand of the cases of which `scripts/fuzz-patch` runs millions.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

#[path = "support/fuzz.rs"]
mod fuzz;
mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{Counts, Seeds};

#[test]
fn damaged_patches_and_checkpoints_end_in_a_name_or_in_the_right_image() {
    let seeds = Seeds::new();
    let mut counts = Counts::default();
    for number in 0..3_000 {
        let case = AssertUnwindSafe(|| seeds.case(number, &mut counts));
        assert!(catch_unwind(case).is_ok(), "case {number}");
    }
    assert!(counts.refused > 1_000 && counts.decoded > 10, "{counts:?}");
}

#[test]
fn every_byte_of_a_patch_may_be_wrong() {
    let mut counts = Counts::default();
    Seeds::new().every_byte(&[0x01, 0x80, 0xFF], &mut counts);
    assert!(counts.refused > 1_000, "{counts:?}");
}
