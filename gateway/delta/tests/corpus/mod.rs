//! Real firmware that `scripts/corpus` fetches.

use std::fs;
use std::path::Path;

/// Pairs of `fixtures/corpus/pairs.tsv` that say `yes` in the column `round_trip`.
const PAIRS: usize = 8;

/// An upgrade.
pub(crate) struct Pair {
    /// Product and versions.
    pub(crate) name: String,
    pub(crate) base: Vec<u8>,
    pub(crate) target: Vec<u8>,
}

/// Those that `scripts/corpus --set round-trip` fetches.
pub(crate) fn round_trip_pairs() -> Vec<Pair> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/corpus");
    let table = fs::read_to_string(folder.join("pairs.tsv")).unwrap();
    let mut lines = table.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let head = lines.next().unwrap();
    let column = |name: &str| head.iter().position(|column| *column == name).unwrap();
    let pairs: Vec<Pair> = lines
        .filter(|cells| cells[column("round_trip")] == "yes")
        .map(|cells| {
            let [product, from, to] = ["product", "from", "to"].map(|name| cells[column(name)]);
            let read = |version: &str| fs::read(folder.join(product).join(format!("{version}.bin"))).unwrap();
            Pair {
                name: format!("{product} {from} to {to}"),
                base: read(from),
                target: read(to),
            }
        })
        .collect();
    assert_eq!(
        pairs.len(),
        PAIRS,
        "scripts/corpus --set round-trip --strict fetches them"
    );
    pairs
}
