//! Where the bytes of a patch go: every bit is accounted for, under the right name.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use gateway_delta::account::{Account, account, outline};
use gateway_delta::{Options, encode};
use support::{apply, thumb_images};
use wire_patch::{HEADER_BYTES, MemoryClass};

fn patch(base: &[u8], target: &[u8], memory: MemoryClass) -> Vec<u8> {
    encode(base, target, &Options::new(memory)).unwrap()
}

fn accounted(base: &[u8], target: &[u8], memory: MemoryClass) -> (Account, usize) {
    let patch = patch(base, target, memory);
    assert_eq!(apply(base, &patch).unwrap(), target);
    (account(base, &patch).unwrap(), patch.len() - HEADER_BYTES)
}

#[test]
fn the_parts_add_up_to_the_stream() {
    let (base, target) = thumb_images();
    for memory in [MemoryClass::MIN, MemoryClass::MAX] {
        let (account, stream_bytes) = accounted(&base, &target, memory);
        let outline = &account.outline;
        let parts = [
            outline.setup_bits,
            outline.triples_bits,
            account.block_bits,
            account.hit_bits,
            account.miss_bits,
            account.literal_bits,
        ];
        let bits: f64 = parts.iter().sum();
        // The coder's end takes up to four bytes, and trailing zeros are cut off.
        let left = stream_bytes as f64 * 8.0 - bits;
        assert!((-32.0..=33.0).contains(&left), "{left} of {bits}");
    }
}

#[test]
fn every_byte_of_the_target_is_counted_once() {
    let (base, target) = thumb_images();
    let (account, _) = accounted(&base, &target, MemoryClass::MIN);
    let copied: u32 = account
        .outline
        .triples
        .iter()
        .map(|triple| triple.copy_bytes)
        .sum();
    let literals: u32 = account.literals.iter().map(|run| run.bytes).sum();
    assert_eq!(copied + literals, target.len() as u32);
    let groups: u64 = account.kinds.iter().map(|kind| kind.groups).sum();
    let predicted: u64 = account.kinds.iter().map(|kind| kind.predicted).sum();
    assert_eq!(groups - predicted, account.misses.len() as u64);
    assert!((u64::from(copied / 4)..=u64::from(copied)).contains(&groups));
    assert!(account.outline.map_entries > 0);
    assert!(account.outline.map_entries <= account.outline.map_entries_max);
}

#[test]
fn equal_images_cost_almost_nothing() {
    let (base, _) = thumb_images();
    let (account, _) = accounted(&base, &base, MemoryClass::MIN);
    assert_eq!(account.outline.triples.len(), 1);
    assert!(account.misses.is_empty());
    assert_eq!(account.literal_bits, 0.0);
}

#[test]
fn the_outline_needs_no_base_and_the_account_needs_the_right_one() {
    let (base, target) = thumb_images();
    let patch = patch(&base, &target, MemoryClass::MIN);
    let outline = outline(&patch).unwrap();
    let bytes: u32 = outline
        .triples
        .iter()
        .map(|triple| triple.copy_bytes + triple.extra_bytes)
        .sum();
    assert_eq!(bytes, target.len() as u32);
    assert!(account(&vec![0; base.len()], &patch).is_err());
}

#[test]
fn damaged_patches_are_refused_without_a_panic() {
    let (base, target) = thumb_images();
    let whole = patch(&base, &target, MemoryClass::MIN);
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        let _ = outline(&damaged);
        let _ = account(&base, &damaged);
        let _ = outline(&whole[..at]);
    }
}
