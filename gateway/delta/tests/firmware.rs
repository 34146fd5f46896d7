//! The decoder inverts the encoder on real firmware: eight fixed upgrades that `scripts/corpus` fetches, in every memory class.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod corpus;
mod support;

use gateway_delta::{Options, encode};
use support::apply;
use wire_patch::MemoryClass;

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
    for corpus::Pair { name, base, target } in corpus::round_trip_pairs() {
        let patch = encode(&base, &target, &Options::new(memory)).unwrap();
        let what = format!("{name} in {} bytes", memory.bytes());
        println!("{what}: {} bytes", patch.len());
        assert!(apply(&base, &patch).unwrap() == target, "{what}");
    }
}
