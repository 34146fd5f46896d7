//! Writes what pins patches that may be applied in place: `fixture_in_place FIXTURES` takes the images from `FIXTURES/patch` and
//! writes patches between them, and patches to refuse, to `FIXTURES/patch-in-place`.
//!
//! Everything follows from this code and those images. Run it when the format begins, never to make a failing test pass.

#[path = "../tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::path::PathBuf;

use gateway_delta::{Options, Reach, encode};
use wire_patch::{DecodeError, HEADER_BYTES, MemoryClass};

/// Images, exponent of the memory class, and reach in bytes.
const PATCHES: [(&str, u8, u32); 6] = [
    ("words", 12, 256),
    ("thumb", 12, 256),
    ("thumb", 15, 1_024),
    ("riscv32", 12, 512),
    ("xtensa", 13, 256),
    ("mcs51", 12, 16_776_960),
];

fn main() -> Result<(), Box<dyn Error>> {
    let fixtures = PathBuf::from(
        std::env::args()
            .nth(1)
            .ok_or("usage: fixture_in_place FIXTURES")?,
    );
    let directory = fixtures.join("patch-in-place");
    std::fs::create_dir_all(&directory)?;
    let image = |name: &str| std::fs::read(fixtures.join("patch").join(name));
    let mut list = String::from("# patch\tbase\ttarget\treach\n");
    let mut refused = String::from("# what\tbase\terror\tpatch\n");
    for (set, class, reach) in PATCHES {
        let names = [format!("{set}-base.bin"), format!("{set}-target.bin")];
        let [base, target] = [image(&names[0])?, image(&names[1])?];
        let memory = MemoryClass::from_exponent(class)?;
        let options = Options {
            in_place: Reach::within(reach),
            ..Options::new(memory)
        };
        let patch = encode(&base, &target, &options)?;
        assert!(support::apply(&base, &patch)? == target, "{set}");
        let name = format!("v1-in-place-{set}-{}-{reach}.patch", memory.bytes());
        list += &format!("{name}\t{}\t{}\t{reach}\n", names[0], names[1]);
        std::fs::write(directory.join(name), &patch)?;
        if set == "thumb" && class == 15 {
            for (what, error, patch) in refusals(&patch) {
                assert_eq!(support::apply(&base, &patch), Err(error), "{what}");
                let hex: String = patch.iter().map(|byte| format!("{byte:02x}")).collect();
                refused += &format!("{what}\t{}\t{error:?}\t{hex}\n", names[0]);
            }
        }
    }
    std::fs::write(directory.join("patches.tsv"), list)?;
    std::fs::write(directory.join("refused.tsv"), refused)?;
    Ok(())
}

/// What may be wrong with a patch that is right.
fn refusals(patch: &[u8]) -> [(&'static str, DecodeError, Vec<u8>); 3] {
    let with_reach = |steps: u16| {
        let mut other = patch.to_vec();
        other[HEADER_BYTES..][..2].copy_from_slice(&steps.to_le_bytes());
        other
    };
    [
        ("a reach of 0", DecodeError::NoReach, with_reach(0)),
        (
            "a reach of less than what is copied from",
            DecodeError::SourceOutOfReach,
            with_reach(1),
        ),
        (
            "a header without its last byte",
            DecodeError::Truncated,
            patch[..HEADER_BYTES + 1].to_vec(),
        ),
    ]
}
