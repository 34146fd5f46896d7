//! The decoder inverts the encoder on real firmware: eight fixed upgrades that `scripts/corpus` fetches, in every memory class.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use gateway_delta::{Options, encode};
use support::apply;
use wire_patch::MemoryClass;

/// Pairs of `fixtures/corpus/pairs.tsv` that say `yes` in the column `round_trip`.
const PAIRS: usize = 8;

/// Each class is a test of its own, so that they run beside each other.
macro_rules! real_firmware_comes_back {
    ($($class:ident: $exponent:literal),*) => {$(
        #[test]
        #[ignore = "needs real firmware: run scripts/corpus --set round-trip, then this with cargo test --release"]
        fn $class() {
            real_firmware_comes_back(MemoryClass::from_exponent($exponent).unwrap());
        }
    )*};
}

real_firmware_comes_back!(in_4_kib: 12, in_16_kib: 14, in_32_kib: 15, in_128_kib: 17);

fn real_firmware_comes_back(memory: MemoryClass) {
    let folder = corpus();
    let pairs = pairs(&folder);
    assert_eq!(
        pairs.len(),
        PAIRS,
        "scripts/corpus --set round-trip --strict fetches them"
    );
    for [product, from, to] in pairs {
        let read = |version: &str| fs::read(folder.join(&product).join(format!("{version}.bin"))).unwrap();
        let (base, target) = (read(&from), read(&to));
        let patch = encode(&base, &target, &Options::new(memory)).unwrap();
        let what = format!("{product} {from} to {to} in {} bytes", memory.bytes());
        println!("{what}: {} bytes", patch.len());
        assert!(apply(&base, &patch).unwrap() == target, "{what}");
    }
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/corpus")
}

/// Product, from and to.
fn pairs(folder: &Path) -> Vec<[String; 3]> {
    let table = fs::read_to_string(folder.join("pairs.tsv")).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    lines
        .filter(|cells| cells[column("round_trip")] == "yes")
        .map(|cells| ["product", "from", "to"].map(|name| cells[column(name)].to_owned()))
        .collect()
}
