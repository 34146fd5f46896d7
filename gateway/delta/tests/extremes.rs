//! Images that are made to be slow or large to encode: they end soon, and come back.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use gateway_delta::{Effort, Options, encode};
use support::{apply, images_like_firmware, noise};
use wire_patch::{Header, MemoryClass};

/// Encodes with every effort; returns the bytes of the smallest patch.
fn smallest(base: &[u8], target: &[u8]) -> usize {
    let patches = [Effort::Fast, Effort::Default, Effort::Best].map(|effort| {
        let options = Options {
            effort,
            ..Options::new(MemoryClass::MIN)
        };
        let patch = encode(base, target, &options).unwrap();
        assert!(apply(base, &patch).unwrap() == target, "{effort:?}");
        patch.len()
    });
    let [fast, default, best] = patches;
    assert!(
        best <= fast && best <= default,
        "more effort, more bytes: {patches:?}"
    );
    best
}

/// `bytes` of `period`, every `step`-th byte changed.
fn disturbed(period: &[u8], bytes: usize, step: usize) -> Vec<u8> {
    let mut image: Vec<u8> = period.iter().copied().cycle().take(bytes).collect();
    for (at, byte) in image.iter_mut().skip(step - 1).step_by(step).enumerate() {
        *byte ^= 1 + (at % 255) as u8;
    }
    image
}

#[test]
fn periods_with_disturbances_end_soon() {
    for (period, step) in [
        (&b"\0"[..], 1_000),
        (b"\0", 37),
        (b"ab", 501),
        (b"abcdefg", 5_000),
        (b"\xFF", 9),
    ] {
        let base = disturbed(period, 30_000, step);
        let target = disturbed(period, 30_000, step + 1);
        let changes = 30_000 / step;
        let bytes = smallest(&base, &target);
        assert!(
            bytes < 100 + 8 * changes,
            "period {period:?}, step {step}: {bytes}"
        );
    }
}

#[test]
fn a_fibonacci_word_ends_soon() {
    // Its suffixes share long prefixes with many others.
    let (mut word, mut before) = (b"ab".to_vec(), b"a".to_vec());
    while word.len() < 30_000 {
        (word, before) = ([&word[..], &before].concat(), word);
    }
    let target: Vec<u8> = word[1_000..].iter().map(|byte| byte ^ 3).collect();
    let bytes = smallest(&word[..20_000], &word);
    assert!(bytes <= 48, "{bytes}");
    let bytes = smallest(&word, &target);
    assert!(bytes <= 600, "{bytes}");
}

#[test]
fn what_has_nothing_in_common_costs_little_more_than_itself() {
    assert!(smallest(&noise(40_000, 1), &noise(40_000, 2)) <= 41_700);
    assert!(smallest(&[0; 40_000], &noise(40_000, 2)) <= 41_700);
    let bytes = smallest(&noise(40_000, 1), &[0; 40_000]);
    assert!(bytes <= 48, "{bytes}");
}

#[test]
fn a_target_much_smaller_than_the_base_is_found_in_it() {
    let (base, _) = images_like_firmware(100_000);
    assert!(smallest(&base, &base[71_003..71_503]) <= 32);
    assert!(smallest(&base, &base[99_999..]) <= 24);
    assert!(smallest(&base, b"") == wire_patch::HEADER_BYTES);
}

#[test]
fn moved_duplicated_and_filled_blocks_are_copied() {
    let base = noise(30_000, 5);
    let (first, rest) = base.split_at(10_000);
    let (second, third) = rest.split_at(10_000);
    let fill = [0xFF; 8_000];
    let moved = [second, third, first].concat();
    assert!(smallest(&base, &moved) <= 45);
    let doubled = [first, second, second, third, second].concat();
    assert!(smallest(&base, &doubled) <= 50);
    let filled = [first, &fill, second, &fill[..5_000], third].concat();
    assert!(smallest(&base, &filled) <= 60);
    assert!(smallest(&filled, &base) <= 45);
    let new = noise(2_000, 6);
    let new_and_again = [first, &new, second, &new, third].concat();
    assert!(smallest(&base, &new_and_again) <= 2_200);
}

#[test]
fn a_longer_run_than_any_counter_comes_back() {
    let zeros = vec![0; 1 << 20];
    let patch = encode(&zeros[1..], &zeros, &Options::new(MemoryClass::MAX)).unwrap();
    assert!(patch.len() <= 40, "{}", patch.len());
    assert_eq!(Header::parse(&patch).unwrap().target_bytes, 1 << 20);
    assert!(apply(&zeros[1..], &patch).unwrap() == zeros);
    let patch = encode(b"", &zeros, &Options::new(MemoryClass::MAX)).unwrap();
    assert!(patch.len() <= 60, "{}", patch.len());
    assert!(apply(b"", &patch).unwrap() == zeros);
}
