//! What encoding allocates stays within its bound. One test runs at a time: the allocator counts for the whole process.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod corpus;
mod support;

use gateway_delta::{Options, encode};
use peak_alloc::PeakAlloc;
use support::{images_like_firmware, thumb_images};
use wire_patch::MemoryClass;

#[global_allocator]
static ALLOCATED: PeakAlloc = PeakAlloc;

/// For each byte of the larger image, both images included.
const BYTES_A_BYTE_MAX: usize = 24;

/// The same for images in which all is there several times, so that ways through them fork everywhere.
const BYTES_A_BYTE_MAX_IF_REPEATED: usize = 40;

/// Smaller images may take as much as one of this size: the memory of the models does not become less with the image.
const IMAGE_BYTES_MIN: usize = 26_000;

/// At the most at a time, both images included, in the classes with the least and the most decoder memory.
fn is_bound_kept(name: &str, base: &[u8], target: &[u8], bytes_a_byte_max: usize) {
    let larger = base.len().max(target.len());
    for memory in [MemoryClass::MIN, MemoryClass::MAX] {
        let before = ALLOCATED.current_usage();
        ALLOCATED.reset_peak_usage();
        encode(base, target, &Options::new(memory)).unwrap();
        let bytes = ALLOCATED.peak_usage() - before + base.len() + target.len();
        let for_a_byte = bytes as f64 / larger as f64;
        println!(
            "{name} in {} bytes: {bytes} bytes, {for_a_byte:.2} a byte",
            memory.bytes()
        );
        assert!(bytes <= bytes_a_byte_max * larger.max(IMAGE_BYTES_MIN), "{name}");
    }
}

#[test]
fn images_take_what_is_documented() {
    for bytes in [IMAGE_BYTES_MIN, 100_000] {
        let (base, target) = images_like_firmware(bytes);
        is_bound_kept("words and pointers", &base, &target, BYTES_A_BYTE_MAX);
    }
    is_bound_kept(
        "nothing but matches",
        &[0; 40_000],
        &[0; 40_000],
        BYTES_A_BYTE_MAX,
    );
    let (base, target) = thumb_images();
    let (base, target) = (base.repeat(4), target.repeat(4));
    is_bound_kept(
        "every function four times",
        &base,
        &target,
        BYTES_A_BYTE_MAX_IF_REPEATED,
    );
}

#[test]
#[ignore = "needs real firmware: run scripts/corpus --set round-trip, then this with cargo test --release"]
fn real_firmware_takes_what_is_documented() {
    for pair in corpus::round_trip_pairs() {
        is_bound_kept(&pair.name, &pair.base, &pair.target, BYTES_A_BYTE_MAX);
    }
}
