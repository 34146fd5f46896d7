//! More effort never makes a larger patch, whatever the images.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "support/code.rs"]
mod code;
mod support;

use gateway_delta::{Addresses, Effort, Options, Relocation, encode_at};
use support::damage::Random;
use support::{apply, images_like_firmware, noise, thumb_images};
use wire_patch::{Isa, MemoryClass};

/// Sizes of the patches of every effort, which must give the target.
fn sizes(base: &[u8], target: &[u8], memory: u8, addresses: Addresses) -> [usize; 3] {
    [Effort::Fast, Effort::Default, Effort::Best].map(|effort| {
        let memory = MemoryClass::from_exponent(memory).unwrap();
        let patch = encode_at(
            base,
            target,
            &Options {
                effort,
                ..Options::new(memory)
            },
            addresses,
        )
        .unwrap();
        assert!(apply(base, &patch).unwrap() == target, "{effort:?}");
        patch.len()
    })
}

#[track_caller]
fn never_larger(sizes: [usize; 3]) {
    let [fast, default, best] = sizes;
    assert!(best <= default && default <= fast, "{sizes:?}");
}

#[test]
fn more_effort_never_makes_more_of_images_like_firmware() {
    let (base, target) = images_like_firmware(12_000);
    let (thumb_base, thumb_target) = thumb_images();
    let unlike = noise(3_000, 4);
    for memory in [12, 15, 17] {
        for (base, target) in [
            (&base, &target),
            (&target, &base),
            (&thumb_base, &thumb_target),
            (&thumb_target, &thumb_base),
            (&unlike, &thumb_target),
        ] {
            never_larger(sizes(base, target, memory, Addresses::Inferred));
        }
    }
}

#[test]
fn more_effort_never_makes_more_of_any_instruction_set() {
    let mut random = Random(7);
    let mut wins = 0;
    for isa in code::SETS {
        for parted in [false, true] {
            let (base, target) = code::images(isa, 1_200, &mut random);
            let layout = code::layout(isa, parted && isa != Isa::Mcs51);
            let relocation = Relocation {
                isa,
                base: layout,
                target: layout,
            };
            let sizes = sizes(&base, &target, 12, Addresses::Given(relocation));
            never_larger(sizes);
            wins += usize::from(sizes[1] < sizes[0]);
        }
    }
    assert!(wins > 0, "effort wins nothing");
}
