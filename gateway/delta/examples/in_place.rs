//! What patches for a single slot cost: `in_place PAIRS.tsv IMAGES CLASS REACH_KIB,REACH_KIB… [FILTER…]`. Every patch is applied
//! and compared. One line for each pair and reach, tab-separated: pair, class of the upgrade, instruction set, bytes of base and
//! target, decoder memory, reach in KiB (0: a device that keeps its base), bytes of the patch.

#![expect(clippy::unwrap_used, reason = "a measuring tool")]

#[path = "../tests/support/mod.rs"]
mod support;

use gateway_delta::{Options, Reach, encode};
use wire_patch::MemoryClass;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let [_, pairs, images, class, reaches, filters @ ..] = &args[..] else {
        panic!("usage: in_place PAIRS.tsv IMAGES CLASS REACH_KIB,… [FILTER…]");
    };
    let memory = MemoryClass::from_exponent(class.parse().unwrap()).unwrap();
    let reaches: Vec<u32> = reaches.split(',').map(|kib| kib.parse().unwrap()).collect();
    for line in std::fs::read_to_string(pairs).unwrap().lines().skip(1) {
        let f: Vec<&str> = line.split('\t').collect();
        if !filters.iter().all(|filter| line.contains(filter.as_str())) {
            continue;
        }
        let read = |version: &str| std::fs::read(format!("{images}/{}/{version}.bin", f[1])).unwrap();
        let (base, target) = (read(f[2]), read(f[3]));
        for kib in &reaches {
            let options = Options {
                in_place: Reach::within(kib << 10),
                ..Options::new(memory)
            };
            let patch = encode(&base, &target, &options).unwrap();
            assert!(support::apply(&base, &patch).unwrap() == target);
            println!(
                "{}\t{}\t{}\t{}\t{}\t{}\t{kib}\t{}",
                f[0],
                f[4],
                f[5],
                base.len(),
                target.len(),
                memory.bytes(),
                patch.len()
            );
        }
    }
}
