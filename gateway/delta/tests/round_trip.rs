//! The decoder inverts the encoder, whatever the images, the memory and the chopping.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use gateway_delta::{EncodeError, Options, encode};
use proptest::prelude::*;
use support::{apply, decode, images_like_firmware, noise};
use wire_patch::{Header, MemoryClass};

fn round_trip(base: &[u8], target: &[u8]) -> usize {
    let mut smallest = usize::MAX;
    for memory in [
        MemoryClass::MIN,
        MemoryClass::fitting(32_768).unwrap(),
        MemoryClass::MAX,
    ] {
        let patch = encode(base, target, &Options::new(memory)).unwrap();
        assert_eq!(Header::parse(&patch).unwrap().memory, memory);
        assert!(
            apply(base, &patch).unwrap() == target,
            "{} to {} bytes",
            base.len(),
            target.len()
        );
        smallest = smallest.min(patch.len());
    }
    smallest
}

#[test]
fn tiny_and_empty_images_come_back() {
    for base in [&b""[..], b"a", b"ab", b"abc"] {
        for target in [&b""[..], b"a", b"b", b"ab", b"abcd"] {
            round_trip(base, target);
        }
    }
}

#[test]
fn an_unchanged_image_costs_next_to_nothing() {
    let (base, _) = images_like_firmware(100_000);
    assert!(round_trip(&base, &base) <= 32);
}

#[test]
fn one_changed_byte_costs_a_few() {
    let base = noise(50_000, 1);
    let mut target = base.clone();
    target[25_000] ^= 0x10;
    assert!(round_trip(&base, &target) <= 40);
}

#[test]
fn an_image_without_base_costs_little_more_than_itself() {
    let target = noise(10_000, 2);
    assert!(round_trip(b"", &target) <= 10_400);
}

#[test]
fn repeats_inside_the_target_are_copied() {
    let piece = noise(1_000, 3);
    let target = [&piece[..], &piece, &piece].concat();
    assert!(round_trip(b"", &target) <= 1_150);
}

#[test]
fn zeros_and_periods_are_cheap_and_end_soon() {
    let zeros = vec![0; 60_000];
    assert!(round_trip(&zeros[..1_000], &zeros) <= 60);
    assert!(round_trip(&zeros, &zeros[..1_000]) <= 40);
    let period: Vec<u8> = b"abcdefg".iter().copied().cycle().take(60_000).collect();
    assert!(round_trip(&period[..50], &period) <= 80);
    assert!(round_trip(&period[3..], &period) <= 60);
    assert!(round_trip(b"", &zeros) <= 60);
}

#[test]
fn moved_and_changed_parts_come_back_small() {
    let (base, target) = images_like_firmware(60_000);
    let patch = round_trip(&base, &target);
    assert!(patch < 3_000, "{patch}");
}

#[test]
fn the_same_images_give_the_same_bytes() {
    let (base, target) = images_like_firmware(20_000);
    let options = Options::new(MemoryClass::MIN);
    assert_eq!(encode(&base, &target, &options), encode(&base, &target, &options));
}

#[test]
fn an_image_beyond_24_bits_is_refused() {
    let large = vec![0; 1 << 24];
    let options = Options::new(MemoryClass::MIN);
    let refused = Err(EncodeError::ImageTooLarge { bytes: 1 << 24 });
    assert_eq!(encode(&large, b"", &options), refused);
    assert_eq!(encode(b"", &large, &options), refused);
}

#[test]
fn every_chopping_gives_the_same_output() {
    let (base, target) = images_like_firmware(10_000);
    let patch = encode(&base, &target, &Options::new(MemoryClass::MIN)).unwrap();
    for budget in [0, 1, 2, 63, 64, 65, 4_096] {
        assert!(
            decode(&base, &patch, budget).unwrap() == target,
            "budget {budget}"
        );
    }
}

#[test]
fn what_memory_held_before_does_not_matter() {
    let (base, target) = images_like_firmware(10_000);
    let patch = encode(&base, &target, &Options::new(MemoryClass::MIN)).unwrap();
    let header = Header::parse(&patch).unwrap();
    let mut memory = noise(5_000, 4);
    assert!(support::decode_in(&base, &patch, 1_000, header, &mut memory).unwrap() == target);
    let untouched = noise(5_000, 4);
    assert_eq!(
        memory[4_096..],
        untouched[4_096..],
        "memory beyond the class was used"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_pair_comes_back(
        base in prop::collection::vec(0..6_u8, 0..400),
        target in prop::collection::vec(0..6_u8, 0..400),
    ) {
        round_trip(&base, &target);
    }

    #[test]
    fn any_edit_comes_back(
        seed in any::<u32>(),
        edits in prop::collection::vec((0..3_000_usize, 0..80_usize, prop::collection::vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let base = noise(3_000, seed);
        let mut target = base.clone();
        for (at, removed, inserted) in edits {
            let start = at.min(target.len());
            let end = (start + removed).min(target.len());
            target.splice(start..end, inserted);
        }
        round_trip(&base, &target);
    }
}
