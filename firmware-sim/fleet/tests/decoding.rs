//! The emulated Cortex-M3 decodes what a server decodes, byte for byte.
//!
//! The firmware compares each result with the target, decodes again with a power cut and a checkpoint in the middle, and
//! watches the bytes behind the decoder memory.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

#[path = "../../../gateway/delta/tests/support/mod.rs"]
mod support;

use std::path::Path;

use fleet::board::Board;
use fleet::decoding::{Job, run};
use fleet::firmware::Firmware;
use gateway_delta::{Options, encode};
use wire_patch::{DECODER_BYTES_MAX, Header, MemoryClass, crc32};

fn fixture(name: &str) -> Vec<u8> {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/patch");
    std::fs::read(fixtures.join(name)).unwrap()
}

fn frozen(name: &str, base: &str, target: &str) -> Job {
    Job {
        name: name.into(),
        base: fixture(base),
        patch: fixture(name),
        target: fixture(target),
    }
}

/// Every patch that pins the format, of all instruction sets.
fn all_frozen() -> Vec<Job> {
    let list = String::from_utf8(fixture("patches.tsv")).unwrap();
    let rows = list.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| {
        let columns: Vec<&str> = row.split('\t').collect();
        let [name, base, target] = columns.try_into().expect("three columns");
        frozen(name, base, target)
    })
    .collect()
}

fn jobs() -> Vec<Job> {
    let mut jobs = all_frozen();
    let generated = [
        ("thumb", support::thumb_images()),
        ("firmware", support::images_like_firmware(8_000)),
        ("literals", (Vec::new(), support::noise(2_000, 7))),
        ("odd", (support::noise(333, 8), support::noise(335, 8))),
        ("empty", (support::noise(10, 9), Vec::new())),
    ];
    for (name, (base, target)) in generated {
        for exponent in MemoryClass::MIN.exponent()..=MemoryClass::MAX.exponent() {
            let memory = MemoryClass::from_exponent(exponent).unwrap();
            jobs.push(Job {
                name: format!("{name}-{exponent}"),
                base: base.clone(),
                patch: encode(&base, &target, &Options::new(memory)).unwrap(),
                target: target.clone(),
            });
        }
    }
    jobs
}

#[test]
fn a_cortex_m3_decodes_what_a_server_decodes() {
    let firmware = Firmware::of_checkout(Board::Mps2An385).path("bench.elf").unwrap();
    let jobs = jobs();
    let report = run(&firmware, &jobs).unwrap();
    for (job, decoded) in jobs.iter().zip(&report.decoded) {
        assert_eq!(decoded.name, job.name);
        let here = support::apply(&job.base, &job.patch).unwrap();
        assert_eq!(decoded.crc, crc32(&here), "{}", job.name);
        assert_eq!(decoded.crc, Header::parse(&job.patch).unwrap().target_crc);
    }
    assert_eq!(report.decoded.len(), jobs.len());
    assert!(report.decoder_bytes as usize <= DECODER_BYTES_MAX);
    // Measured on painted stack: what docs/delta.md says of it.
    assert!(report.stack_bytes <= 2_048, "{}", report.stack_bytes);
    assert!(
        report.checkpoint_stack_bytes <= 2_304,
        "{}",
        report.checkpoint_stack_bytes
    );
}

#[test]
fn what_the_device_gets_wrong_is_seen() {
    let firmware = Firmware::of_checkout(Board::Mps2An385).path("bench.elf").unwrap();
    let mut job = frozen("v1-words-4096.patch", "words-base.bin", "words-target.bin");
    let middle = job.target.len() / 2;
    job.target[middle] ^= 1;
    let error = run(&firmware, &[job]).unwrap_err();
    assert!(error.to_string().contains("not the target"), "{error}");
}
