//! The decoder in C gives on a Cortex-M3, in 32 bits and without a C library, what the one in Rust gives here.
//!
//! Needs `arm-none-eabi-gcc` and `qemu-system-arm`, which `scripts/prepare c-decoder qemu` installs; without them, this
//! test fails.

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

use std::path::Path;
use std::process::Command;

use c_cases::{Case, Cases, Counts};

const FLAGS: [&str; 11] = [
    "-mcpu=cortex-m3",
    "-mthumb",
    "-Os",
    "-std=gnu99",
    "-ffreestanding",
    "-fno-tree-loop-distribute-patterns",
    "-nostdlib",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Tmemory.ld",
];

/// Runs a program of which this test cannot do without.
fn run(command: &mut Command) {
    let ended = command.output().unwrap_or_else(|error| {
        panic!("cannot run {command:?} ({error}): run scripts/prepare c-decoder qemu")
    });
    assert!(
        ended.status.success(),
        "{command:?}:\n{}",
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn a_cortex_m3_decodes_the_same() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cortex_m");
    let work = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cortex_m");
    std::fs::create_dir_all(&work).unwrap();
    let sources = Path::new(c_decoder::SOURCES);
    run(Command::new("arm-none-eabi-gcc")
        .args(FLAGS)
        .arg("-I")
        .arg(sources)
        .arg("main.c")
        .arg(sources.join("deltagate_patch.c"))
        .args(["-lgcc", "-o"])
        .arg(work.join("decoder.elf"))
        .current_dir(here));

    let seeds = Cases::new(300);
    let damaged = (0..80)
        .filter_map(|number| seeds.damaged(number))
        .filter(Case::is_small);
    let cases: Vec<Case> = seeds.undamaged().chain(damaged).collect();
    let mut questions = Vec::new();
    for Case {
        base,
        patch,
        memory_bytes,
    } in &cases
    {
        for number in [base.len() as u32, patch.len() as u32, *memory_bytes] {
            questions.extend(number.to_le_bytes());
        }
        questions.extend(base);
        questions.extend(patch);
    }
    std::fs::write(work.join("cases"), questions).unwrap();
    run(Command::new("qemu-system-arm")
        .args(["-machine", "mps2-an385", "-nodefaults", "-display", "none"])
        .args(["-monitor", "none", "-serial", "none"])
        .args([
            "-semihosting-config",
            "enable=on,target=native",
            "-kernel",
            "decoder.elf",
        ])
        .current_dir(&work));

    let answers = std::fs::read(work.join("answers")).unwrap();
    let mut rest = answers.as_slice();
    let number = |rest: &mut &[u8]| {
        let (number, after) = rest.split_first_chunk().expect("an answer to every case");
        *rest = after;
        u32::from_le_bytes(*number)
    };
    let mut counts = Counts::default();
    for case in cases {
        let (status, bytes) = (number(&mut rest), number(&mut rest));
        let (image, after) = rest.split_at(bytes as usize);
        rest = after;
        case.agree(c_decoder::ended(status, image.to_vec()), &mut counts);
    }
    assert!(
        rest.is_empty() && counts.decoded > 30 && counts.refused > 5,
        "{counts:?}"
    );
}
