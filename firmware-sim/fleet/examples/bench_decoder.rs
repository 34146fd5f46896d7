//! What decoding takes on a Cortex-M3: a table of instructions per byte of the result.
//!
//! usage: `bench_decoder [NAME BASE TARGET]...`: five made-up upgrades, and the pairs of images given. Build the firmware with
//! `scripts/firmware` first; `scripts/bench-decoder` does both.

#[path = "../../../gateway/delta/tests/support/mod.rs"]
mod support;

use std::error::Error;

use fleet::board::Board;
use fleet::decoding::{Decoded, Job, run};
use fleet::firmware::Firmware;
use gateway_delta::{Options, encode};
use wire_patch::MemoryClass;

const CLASSES: [u8; 4] = [12, 14, 15, 17];

struct Pair {
    name: String,
    base: Vec<u8>,
    target: Vec<u8>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut pairs = made_up();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for [name, base, target] in arguments.as_chunks().0 {
        pairs.push(Pair {
            name: name.clone(),
            base: std::fs::read(base)?,
            target: std::fs::read(target)?,
        });
    }
    if !arguments.len().is_multiple_of(3) {
        return Err("usage: bench_decoder [NAME BASE TARGET]...".into());
    }
    let firmware = Firmware::of_checkout(Board::Mps2An385).path("bench.elf")?;
    println!("| upgrade | image | 4 KiB | 16 KiB | 32 KiB | 128 KiB |");
    println!("|---|---|---|---|---|---|");
    let mut last = None;
    let mut stack_bytes = 0;
    let mut checkpoint_stack_bytes = 0;
    for pair in pairs {
        let mut jobs = Vec::new();
        for class in CLASSES {
            let memory = MemoryClass::from_exponent(class)?;
            jobs.push(Job {
                name: format!("{}K", memory.bytes() / 1024),
                base: pair.base.clone(),
                patch: encode(&pair.base, &pair.target, &Options::new(memory))?,
                target: pair.target.clone(),
            });
        }
        let report = run(&firmware, &jobs)?;
        print!("| {} | {} |", pair.name, pair.target.len());
        for (decoded, job) in report.decoded.iter().zip(&jobs) {
            print!(" {} ({}) |", per_byte(decoded), job.patch.len());
        }
        println!();
        stack_bytes = stack_bytes.max(report.stack_bytes);
        checkpoint_stack_bytes = checkpoint_stack_bytes.max(report.checkpoint_stack_bytes);
        last = Some(report);
    }
    println!("\nInstructions per byte of the result (bytes of the patch).");
    if let Some(report) = last {
        println!(
            "Stack, with {} bytes of decoder: {stack_bytes} bytes, with checkpoints {checkpoint_stack_bytes}.",
            report.decoder_bytes
        );
        for resumed in report.resumed {
            println!(
                "Checkpoint in {}: {} instructions to write, {} to resume.",
                resumed.name, resumed.writing_instructions, resumed.resuming_instructions
            );
        }
    }
    Ok(())
}

fn per_byte(decoded: &Decoded) -> u64 {
    decoded
        .instructions
        .div_ceil(u64::from(decoded.target_bytes.max(1)))
}

/// Thumb code that nobody wrote, in the sizes of a small product.
fn made_up() -> Vec<Pair> {
    let pair = |name: &str, base: Vec<u8>, target: Vec<u8>| Pair {
        name: name.into(),
        base,
        target,
    };
    let old: Vec<(u32, u32)> = (0..1_000).map(|name| (name, 10 + name % 23)).collect();
    let image = |sizes: &[(u32, u32)]| support::thumb_image_at(support::THUMB_ADDRESS, sizes);
    let mut patch = old.clone();
    patch[300].1 += 2;
    patch[700].1 += 5;
    let mut minor = old.clone();
    minor.retain(|(name, _)| name % 25 != 7);
    for at in (10..900).step_by(30) {
        minor[at].1 += 3;
    }
    let mut major = old.clone();
    major.retain(|(name, _)| name % 3 != 1);
    for at in (0..600).step_by(3) {
        major[at].1 += 7;
    }
    let base = image(&old);
    let mut one_byte = base.clone();
    one_byte[base.len() / 2] ^= 0x10;
    vec![
        pair("made-up: one byte", base.clone(), one_byte),
        pair("made-up: patch", base.clone(), image(&patch)),
        pair("made-up: minor", base.clone(), image(&minor)),
        pair("made-up: major", base.clone(), image(&major)),
        pair("made-up: no base", Vec::new(), base),
    ]
}
