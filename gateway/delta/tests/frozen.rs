//! The encoder may find better patches; when it does, the frozen ones must still decode, so this only watches the size. What
//! wins on real firmware may lose a byte or two on one set of images as small as these, but not on all together.

mod support;

use std::path::{Path, PathBuf};

use gateway_delta::{Addresses, Options, encode_at};
use wire_patch::{Decoder, Header};

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/patch")
}

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(directory().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// What the frozen patch says of its images.
fn addresses(base: &[u8], mut patch: &[u8]) -> Addresses {
    let header = Header::parse(patch).expect("a frozen header");
    let mut memory = vec![0; header.memory.bytes() as usize];
    let mut decoder = Decoder::new(header, &mut memory).expect("memory as asked for");
    let mut out = support::Pieces(Vec::new());
    decoder
        .step(&mut &*base, &mut patch, &mut out, 1)
        .expect("a setup");
    (decoder.state().setup.relocation).map_or(Addresses::Ignored, Addresses::Given)
}

#[test]
fn the_encoder_is_as_good_as_when_the_format_began() {
    let (mut all, mut all_frozen) = (0, 0);
    for set in [
        "words", "thumb", "riscv32", "riscv64", "aarch64", "xtensa", "avr", "mcs51",
    ] {
        let [base, target] = ["base", "target"].map(|which| fixture(&format!("{set}-{which}.bin")));
        for bytes in [4_096, 131_072] {
            let name = format!("v1-{set}-{bytes}.patch");
            let frozen = fixture(&name);
            let memory = Header::parse(&frozen).expect("a frozen header").memory;
            let addresses = addresses(&base, &frozen);
            let patch = encode_at(&base, &target, &Options::new(memory), addresses).expect("small images");
            assert!(support::apply(&base, &patch) == Ok(target.clone()), "{name}");
            println!(
                "{name}: {} bytes, {} when the format began",
                patch.len(),
                frozen.len()
            );
            assert!(patch.len() * 100 <= frozen.len() * 101, "{name} is larger");
            (all, all_frozen) = (all + patch.len(), all_frozen + frozen.len());
        }
    }
    assert!(
        all <= all_frozen,
        "{all} bytes for all, {all_frozen} when the format began"
    );
}
