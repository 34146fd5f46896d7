//! Families, numbers of blocks, and files that are not what they say.

use proptest::prelude::*;

use super::super::{Gap, Machine};
use super::*;

const RP2040: u32 = 0xe48b_ff56;
const RP2350: u32 = 0xe48b_ff59;

fn block(flags: u32, family: u32, address: u32, (number, total): (u32, u32), data: &[u8]) -> Vec<u8> {
    let bytes = data.len() as u32;
    let words = [MAGIC_0, MAGIC_1, flags, address, bytes, number, total, family];
    let mut block = words.map(u32::to_le_bytes).concat();
    block.extend_from_slice(data);
    block.resize(BLOCK_BYTES - 4, 0);
    block.extend(MAGIC_END.to_le_bytes());
    block
}

/// A file of one family, 256 bytes a block.
fn file(family: u32, address: u32, data: &[u8]) -> Vec<u8> {
    let chunks = data.chunks(256);
    let total = chunks.len() as u32;
    let blocks = (0..).zip(chunks).map(|(at, chunk)| {
        let place = address + at * 256;
        block(HAS_FAMILY, family, place, (at, total), chunk)
    });
    blocks.flatten().collect()
}

fn of_family(family: u32) -> ReadOptions {
    ReadOptions {
        family: Some(family),
        ..ReadOptions::default()
    }
}

fn problem(file: Vec<u8>) -> String {
    match Firmware::read(file).unwrap_err() {
        FirmwareError::Damaged { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn a_family_says_where_and_on_what_it_runs() {
    let firmware = Firmware::read(file(RP2040, 0x1000_0000, &[7; 700])).unwrap();
    assert_eq!(firmware.image, [7; 700]);
    assert_eq!(firmware.format, FileFormat::Uf2);
    assert_eq!(firmware.machine, Some(Machine::Arm));
    assert_eq!(firmware.run_address(), Some(0x1000_0000));
    assert_eq!(firmware.details, [Detail::new("family", "RP2040 (0xe48bff56)")]);
}

#[test]
fn code_that_is_copied_to_run_does_not_run_where_the_file_puts_it() {
    let firmware = Firmware::read(file(0xc47e_5767, 0x1_0000, &[7; 9])).unwrap();
    assert_eq!(firmware.machine, Some(Machine::Xtensa));
    assert_eq!(
        (firmware.base_address, firmware.run_address()),
        (Some(0x1_0000), None)
    );
}

#[test]
fn an_unknown_family_and_none_are_images_too() {
    let unknown = Firmware::read(file(0x1234_5678, 0, &[1])).unwrap();
    assert_eq!(
        (unknown.machine, unknown.details[0].value.as_str()),
        (None, "0x12345678")
    );
    let none = Firmware::read(block(0, 99, 0x4000, (0, 1), &[1, 2])).unwrap();
    assert_eq!((none.machine, none.details[0].value.as_str()), (None, "none"));
}

#[test]
fn several_families_are_refused_until_one_is_chosen() {
    let joined = [
        file(RP2040, 0x1000_0000, &[1; 300]),
        file(RP2350, 0x1000_0000, &[2; 300]),
    ]
    .concat();
    let refused = Firmware::read(joined.clone()).unwrap_err();
    let FirmwareError::Several { option, found, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*option, "--family FAMILY");
    assert_eq!(found, "RP2040 (0xe48bff56), RP2350_ARM_S (0xe48bff59)");
    let chosen = Firmware::read_with(joined.clone(), &of_family(RP2350)).unwrap();
    assert_eq!(chosen.image, [2; 300]);
    assert_eq!(
        chosen.details[1],
        Detail::new("left out", "blocks of 1 other family")
    );
    let missing = Firmware::read_with(joined, &of_family(1));
    assert!(matches!(missing, Err(FirmwareError::NotThere { .. })));
}

#[test]
fn families_may_be_numbered_as_one_file() {
    let joined = [
        block(HAS_FAMILY, RP2040, 0, (0, 2), &[1]),
        block(HAS_FAMILY, RP2350, 0, (1, 2), &[2]),
    ]
    .concat();
    let chosen = Firmware::read_with(joined, &of_family(RP2350)).unwrap();
    assert_eq!(chosen.image, [2]);
}

#[test]
fn the_block_that_an_rp2350_needs_in_front_is_no_image() {
    let fill = [E10_FILL; E10_BYTES];
    let first = |data: &[u8]| block(0xa000, uf2_family::RP2XXX_ABSOLUTE, 0x10ff_ff00, (0, 2), data);
    let with = |first: Vec<u8>| [first, file(RP2350, 0x1000_0000, &[2; 300])].concat();
    let firmware = Firmware::read(with(first(&fill))).unwrap();
    assert_eq!(
        (firmware.image, firmware.base_address),
        (vec![2; 300], Some(0x1000_0000))
    );
    assert!(firmware.details.iter().any(|detail| detail.value.contains("E10")));
    let mut other = fill;
    other[9] = 0;
    let refused = Firmware::read(with(first(&other)));
    assert!(matches!(refused, Err(FirmwareError::Several { .. })));
}

#[test]
fn what_is_not_for_flash_is_left_out_and_gaps_are_erased_flash() {
    let blocks = [
        block(0, 0, 0x4000, (0, 3), &[1]),
        block(NOT_MAIN_FLASH, 0, 0x4001, (1, 3), &[9]),
        block(0, 0, 0x4003, (2, 3), &[2]),
    ];
    let firmware = Firmware::read(blocks.concat()).unwrap();
    assert_eq!(firmware.image, [1, 0xff, 0xff, 2]);
    let gap = Gap {
        address: 0x4001,
        bytes: 2,
    };
    assert_eq!(firmware.gaps, [gap]);
    assert_eq!(
        firmware.details[1],
        Detail::new("left out", "1 block that is not for flash")
    );
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let whole = file(RP2040, 0, &[7; 700]);
    assert_eq!(
        problem(whole[..1_000].to_vec()),
        "it ends in the middle of a block of 512 bytes"
    );
    assert_eq!(problem(whole[..1_024].to_vec()), "2 of 3 blocks are there");
    assert_eq!(
        problem([&whole[..512], &whole[1_024..]].concat()),
        "block 1 is missing"
    );
    assert_eq!(
        problem([&whole[..512], &whole].concat()),
        "block 0 is there twice"
    );
    let mut torn = whole.clone();
    torn[1_023] ^= 1;
    assert_eq!(problem(torn), "there is no block at 0x200");
    let mut long = whole.clone();
    long[16..18].copy_from_slice(&[0xdd, 1]);
    assert_eq!(problem(long), "the block at 0x0 is too long");
    let mut counts = whole.clone();
    counts[512 + 24] = 9;
    assert_eq!(problem(counts), "block 1 counts 9 blocks, others 3");
    let files = block(PART_OF_A_FILE, 0, 0, (0, 1), &[1]);
    assert!(matches!(
        Firmware::read(files),
        Err(FirmwareError::Unsupported { .. })
    ));
    let far = [block(0, 0, 0, (0, 2), &[1]), block(0, 0, u32::MAX, (1, 2), &[1])].concat();
    assert!(matches!(Firmware::read(far), Err(FirmwareError::TooFar { .. })));
    let over = [block(0, 0, 0, (0, 2), &[1, 2]), block(0, 0, 1, (1, 2), &[1])].concat();
    assert_eq!(Firmware::read(over), Err(FirmwareError::Overlap { address: 1 }));
}

proptest! {
    /// In whatever order the blocks come, the image is theirs.
    #[test]
    fn what_is_written_is_read(
        data in proptest::collection::vec(any::<u8>(), 1..3_000),
        turn in 0_usize..12,
    ) {
        let mut file = file(RP2040, 0x1000_0000, &data);
        let turn = turn * BLOCK_BYTES % file.len();
        file.rotate_left(turn);
        let firmware = Firmware::read(file).unwrap();
        prop_assert_eq!(firmware.image, data);
    }

    /// No altered word panics or allocates beyond the bound.
    #[test]
    fn hostile_headers_are_refused_or_bounded(at in 0_usize..128, word in any::<u32>()) {
        let mut file = file(RP2040, 0x1000_0000, &[7; 700]);
        let at = at * 4 % file.len();
        file[at..at + 4].copy_from_slice(&word.to_le_bytes());
        let options = ReadOptions { format: Some(FileFormat::Uf2), ..ReadOptions::default() };
        if let Ok(firmware) = Firmware::read_with(file, &options) {
            prop_assert!(firmware.image.len() <= wire_manifest::IMAGE_BYTES_MAX as usize);
        }
    }
}
