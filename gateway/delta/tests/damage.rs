//! A damaged patch ends in a named error, or by luck in the right image, and always soon.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use gateway_delta::{Options, encode};
use support::{apply, decode, images_like_firmware};
use wire_patch::{DecodeError, MemoryClass};

fn patch_of(base: &[u8], target: &[u8]) -> Vec<u8> {
    encode(base, target, &Options::new(MemoryClass::MIN)).unwrap()
}

#[test]
fn every_damaged_byte_is_noticed() {
    let (base, target) = images_like_firmware(1_500);
    let patch = patch_of(&base, &target);
    let mut names = std::collections::BTreeSet::new();
    for at in 0..patch.len() {
        for flip in [0x01, 0x80, 0xFF] {
            let mut damaged = patch.clone();
            damaged[at] ^= flip;
            match bounded(&base, &damaged) {
                // The base digest is the caller's to compare, and another memory class may decode the same.
                Ok(result) => assert!(result == target, "byte {at} turned the image into another"),
                Err(error) => _ = names.insert(format!("{error:?}")),
            }
        }
    }
    for name in ["NotAPatch", "ResultMismatch", "OutputOverrun"] {
        assert!(names.contains(name), "{name} is not among {names:?}");
    }
}

/// Large targets are refused here: a damaged length would only make the test slow.
fn bounded(base: &[u8], patch: &[u8]) -> Result<Vec<u8>, DecodeError> {
    match wire_patch::Header::parse(patch)?.target_bytes {
        0..100_000 => apply(base, patch),
        _ => Err(DecodeError::Truncated),
    }
}

#[test]
fn every_cut_patch_is_refused() {
    let (base, target) = images_like_firmware(1_500);
    let patch = patch_of(&base, &target);
    let cuts: Vec<DecodeError> = (0..patch.len())
        .map(|bytes| apply(&base, &patch[..bytes]).unwrap_err())
        .collect();
    // Zeros are read in place of four missing bytes, and what they say may be illegal before the end is noticed.
    let truncated = cuts
        .iter()
        .filter(|error| **error == DecodeError::Truncated)
        .count();
    assert!(truncated > cuts.len() / 2, "{cuts:?}");
}

#[test]
fn bytes_after_the_end_are_refused() {
    let (base, target) = images_like_firmware(1_500);
    let mut patch = patch_of(&base, &target);
    patch.extend([0; 5]);
    assert_eq!(apply(&base, &patch), Err(DecodeError::TrailingBytes));
}

#[test]
fn another_base_of_the_same_length_is_noticed() {
    let (base, target) = images_like_firmware(1_500);
    let patch = patch_of(&base, &target);
    let mut other = base.clone();
    other[10] ^= 1;
    // The base predicts what is read, so another one derails the stream, which then does not end where the patch does.
    let result = decode(&other, &patch, 7);
    assert!(
        matches!(
            result,
            Err(DecodeError::TrailingBytes | DecodeError::Truncated | DecodeError::ResultMismatch)
        ),
        "{result:?}"
    );
}
