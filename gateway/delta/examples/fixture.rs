//! Writes the frozen fixture of the current draft: `fixture DIRECTORY` makes `base.bin`, `target.bin` and
//! `draft2-<memory>.patch` there, and the same of two images of Thumb code, `thumb-…` and `draft2-thumb-4096.patch`.
//!
//! Run it when a new draft begins, never to make a failing test pass.

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::path::PathBuf;

use gateway_delta::{Options, encode};
use wire_patch::MemoryClass;

fn main() -> Result<(), Box<dyn Error>> {
    let directory = PathBuf::from(std::env::args().nth(1).ok_or("usage: fixture DIRECTORY")?);
    let (base, target) = images();
    std::fs::write(directory.join("base.bin"), &base)?;
    std::fs::write(directory.join("target.bin"), &target)?;
    for memory in [MemoryClass::MIN, MemoryClass::MAX] {
        let patch = encode(&base, &target, &Options { memory })?;
        std::fs::write(directory.join(format!("draft2-{}.patch", memory.bytes())), patch)?;
    }
    let (base, target) = support::thumb_images();
    let patch = encode(
        &base,
        &target,
        &Options {
            memory: MemoryClass::MIN,
        },
    )?;
    std::fs::write(directory.join("thumb-base.bin"), &base)?;
    std::fs::write(directory.join("thumb-target.bin"), &target)?;
    std::fs::write(directory.join("draft2-thumb-4096.patch"), patch)?;
    Ok(())
}

/// Two images of 3 KiB with all that a patch can say: copies with changed bytes, long unchanged runs, a moved part,
/// new bytes and a repeat of them.
fn images() -> (Vec<u8>, Vec<u8>) {
    let mut base = Vec::new();
    let mut x = 1_u32;
    while base.len() < 3_072 {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        base.extend([(x >> 24) as u8, (x >> 29) as u8, 0x47, 0xF0 | (x >> 30) as u8]);
    }
    let mut target = base.clone();
    for at in (400..900).step_by(20) {
        target[at] = target[at].wrapping_add(12);
    }
    let new: Vec<u8> = (0..120_u32).map(|n| ((n * n * 31) >> 3) as u8).collect();
    target.splice(1_000..1_000, new.iter().copied());
    target.extend(new);
    let moved: Vec<u8> = target.drain(2_000..2_400).collect();
    target.extend(moved);
    (base, target)
}
