//! Addresses that moved are predicted, and a wrong idea of them costs bytes only.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod support;

use gateway_delta::account::outline;
use gateway_delta::{Addresses, Isa, Layout, Options, Relocation, encode, encode_at};
use support::{THUMB_ADDRESS, apply, decode, noise, thumb_image_at, thumb_images, thumb_images_at};
use wire_patch::MemoryClass;

const SMALL: Options = Options::new(MemoryClass::MIN);

fn patch_bytes(base: &[u8], target: &[u8], addresses: Addresses) -> usize {
    let patch = encode_at(base, target, &SMALL, addresses).unwrap();
    assert!(apply(base, &patch).unwrap() == target, "{addresses:?}");
    patch.len()
}

fn given(base_address: u32, target_address: u32) -> Addresses {
    Addresses::Given(Relocation {
        isa: Isa::Thumb,
        base: Layout::flat(base_address),
        target: Layout::flat(target_address),
    })
}

#[test]
fn moved_calls_and_pointers_are_predicted() {
    let (base, target) = thumb_images();
    let ignored = patch_bytes(&base, &target, Addresses::Ignored);
    let inferred = patch_bytes(&base, &target, Addresses::Inferred);
    assert!(inferred * 5 < ignored * 3, "{inferred} of {ignored}");
}

#[test]
fn the_load_address_is_inferred() {
    let (base, target) = thumb_images();
    let told = encode_at(&base, &target, &SMALL, given(THUMB_ADDRESS, THUMB_ADDRESS)).unwrap();
    assert_eq!(encode(&base, &target, &SMALL).unwrap(), told);
}

#[test]
fn wrong_addresses_cost_bytes_only() {
    let (base, target) = thumb_images();
    for address in [0, 4, THUMB_ADDRESS - 64, 0xFFFF_FFFC] {
        patch_bytes(&base, &target, given(address, THUMB_ADDRESS));
        patch_bytes(&base, &target, given(THUMB_ADDRESS, address));
    }
}

#[test]
fn an_image_that_runs_elsewhere_is_predicted_too() {
    let (base, _) = thumb_images();
    let elsewhere = thumb_images_at(THUMB_ADDRESS + 0x8000).1;
    let ignored = patch_bytes(&base, &elsewhere, Addresses::Ignored);
    let wrong = patch_bytes(&base, &elsewhere, given(THUMB_ADDRESS, THUMB_ADDRESS));
    let known = patch_bytes(&base, &elsewhere, Addresses::Inferred);
    assert!(
        known < wrong && known * 5 < ignored * 3,
        "{known} of {wrong} and {ignored}"
    );
}

#[test]
fn every_instruction_set_decodes_what_is_none_of_its_code() {
    // Bytes of all kinds, with a part left out, one byte in 97 changed, and so many new ones that the patch is not tried
    // without relocation.
    let mut x = 1_u32;
    let base: Vec<u8> = std::iter::repeat_with(|| {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    })
    .take(6_001)
    .collect();
    let mut target = [&base[..1_999], &base[2_222..], &noise(1_100, 3)].concat();
    target.iter_mut().step_by(97).for_each(|byte| *byte ^= 0x55);
    let sets = [
        Isa::Words,
        Isa::Thumb,
        Isa::RiscV32,
        Isa::RiscV64,
        Isa::AArch64,
        Isa::Xtensa,
        Isa::Avr,
        Isa::Mcs51,
    ];
    for isa in sets {
        for address in [0, 0x4020_0000, 0xFFFF_F000] {
            let layout = Layout::flat(address);
            let relocation = Relocation {
                isa,
                base: layout,
                target: layout,
            };
            let patch = encode_at(&base, &target, &SMALL, Addresses::Given(relocation)).unwrap();
            assert_eq!(outline(&patch).unwrap().setup.relocation, Some(relocation));
            assert!(apply(&base, &patch).unwrap() == target, "{relocation:?}");
            for at in (22..patch.len()).step_by(patch.len() / 8) {
                let mut damaged = patch.clone();
                damaged[at] ^= 0x10;
                assert!(apply(&base, &damaged).is_err(), "{isa:?} {at}");
            }
        }
    }
}

#[test]
fn a_full_map_still_decodes() {
    // More moves than the 128 entries that 4 KiB hold: every second function goes to the end.
    let order: Vec<(u32, u32)> = (0..400).map(|name| (name, 12 + name % 7)).collect();
    let (even, odd): (Vec<_>, Vec<_>) = order.iter().partition(|(name, _)| name % 2 == 0);
    let (base, target) = (
        thumb_image_at(THUMB_ADDRESS, &order),
        thumb_image_at(THUMB_ADDRESS, &[even, odd].concat()),
    );
    for exponent in 12..=17 {
        let memory = MemoryClass::from_exponent(exponent).unwrap();
        let patch = encode(&base, &target, &Options::new(memory)).unwrap();
        for budget in [1, 1_000] {
            assert!(decode(&base, &patch, budget).unwrap() == target, "{exponent}");
        }
    }
}

#[test]
fn damage_to_a_patch_that_moves_addresses_is_noticed() {
    let (base, target) = thumb_images();
    let patch = encode(&base, &target, &SMALL).unwrap();
    for at in 22..patch.len() {
        for flip in [0x01, 0x40, 0xFF] {
            let mut damaged = patch.clone();
            damaged[at] ^= flip;
            if let Ok(result) = apply(&base, &damaged) {
                assert!(result == target, "byte {at} turned the image into another");
            }
        }
    }
}
