//! Targets, suffixes, and files that are not what they say.

use proptest::prelude::*;

use super::super::Gap;
use super::*;

fn with_suffix(mut file: Vec<u8>, bcd_dfu: u16) -> Vec<u8> {
    for number in [0x2200, 0xdf11, 0x0483, bcd_dfu] {
        file.extend(u16::to_le_bytes(number));
    }
    file.extend(b"UFD\x10");
    let crc = Crc::<u32>::new(&CRC_32_JAMCRC).checksum(&file);
    file.extend(crc.to_le_bytes());
    file
}

fn target(alternate: u8, name: &str, elements: &[(u32, &[u8])]) -> Vec<u8> {
    let word = |number: usize| (number as u32).to_le_bytes();
    let mut body = Vec::new();
    for (address, data) in elements {
        body.extend(address.to_le_bytes());
        body.extend(word(data.len()));
        body.extend_from_slice(data);
    }
    let mut target = b"Target".to_vec();
    target.push(alternate);
    target.extend(word(usize::from(!name.is_empty())));
    target.extend_from_slice(name.as_bytes());
    target.resize(11 + NAME_BYTES, 0);
    target.extend(word(body.len()));
    target.extend(word(elements.len()));
    target.extend(body);
    target
}

fn dfuse(targets: &[Vec<u8>]) -> Vec<u8> {
    let body = targets.concat();
    let mut file = PREFIX.to_vec();
    file.extend((11 + body.len() as u32).to_le_bytes());
    file.push(targets.len() as u8);
    file.extend(body);
    with_suffix(file, 0x011a)
}

fn problem(file: Vec<u8>) -> String {
    match Firmware::read(file).unwrap_err() {
        FirmwareError::Damaged { problem, .. } => problem,
        other => panic!("{other}"),
    }
}

#[test]
fn elements_are_laid_out_with_erased_gaps() {
    let elements: &[(u32, &[u8])] = &[(0x0800_0004, &[4]), (0x0800_0000, &[1, 2])];
    let firmware = Firmware::read(dfuse(&[target(0, "Internal Flash", elements)])).unwrap();
    assert_eq!(firmware.image, [1, 2, 0xff, 0xff, 4]);
    assert_eq!(firmware.format, FileFormat::DfuSe);
    assert_eq!(firmware.base_address, Some(0x0800_0000));
    let gap = Gap {
        address: 0x0800_0002,
        bytes: 2,
    };
    assert_eq!(firmware.gaps, [gap]);
    let expected = [
        Detail::new("USB device", "0483:df11, release 2200; checksum good"),
        Detail::new("target", "alternate setting 0, \"Internal Flash\""),
    ];
    assert_eq!(firmware.details, expected);
}

#[test]
fn several_targets_are_refused_until_one_is_chosen() {
    let file = dfuse(&[
        target(0, "Flash", &[(0x0800_0000, &[1])]),
        target(1, "", &[(0x1fff_c000, &[2])]),
    ]);
    let refused = Firmware::read(file.clone()).unwrap_err();
    let FirmwareError::Several { option, found, .. } = &refused else {
        panic!("{refused}");
    };
    assert_eq!(*option, "--alternate NUMBER");
    assert_eq!(found, "alternate setting 0, \"Flash\"; alternate setting 1");
    let read = |alternate| {
        let options = ReadOptions {
            alternate: Some(alternate),
            ..ReadOptions::default()
        };
        Firmware::read_with(file.clone(), &options)
    };
    assert_eq!(read(1).unwrap().image, [2]);
    assert!(matches!(read(7), Err(FirmwareError::NotThere { .. })));
}

#[test]
fn a_suffix_is_no_part_of_a_raw_image() {
    let image: Vec<u8> = (0..100).collect();
    let firmware = Firmware::read(with_suffix(image.clone(), 0x0100)).unwrap();
    assert_eq!(
        (firmware.image, firmware.format),
        (image.clone(), FileFormat::Dfu)
    );
    // With another checksum it may be anything, and is taken as it is; who says that it is one is told.
    let mut torn = with_suffix(image, 0x0100);
    torn[50] ^= 1;
    assert_eq!(Firmware::read(torn.clone()).unwrap().image, torn);
    let options = ReadOptions {
        format: Some(FileFormat::Dfu),
        ..ReadOptions::default()
    };
    assert!(matches!(
        Firmware::read_with(torn, &options),
        Err(FirmwareError::Damaged { .. })
    ));
}

#[test]
fn the_checksum_is_that_of_the_specification() {
    // USB DFU 1.1, appendix B: the polynomial 0xedb88320 over all but the last four bytes, starting with all ones and not inverted.
    let file = with_suffix(b"123456789".to_vec(), 0x0100);
    let mut crc = u32::MAX;
    for byte in &file[..file.len() - 4] {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ ((crc & 1) * 0xedb8_8320);
        }
    }
    assert!(file.ends_with(&crc.to_le_bytes()));
}

#[test]
fn a_file_that_is_not_whole_is_refused() {
    let whole = dfuse(&[target(0, "", &[(0x0800_0000, &[1, 2, 3])])]);
    let again = |change: fn(&mut Vec<u8>)| {
        let mut body = whole[..whole.len() - SUFFIX_BYTES].to_vec();
        change(&mut body);
        problem(with_suffix(body, 0x011a))
    };
    assert_eq!(
        problem(whole[..whole.len() - 1].to_vec()),
        "it has no suffix: its end is missing"
    );
    let mut torn = whole.clone();
    torn[300] ^= 1;
    assert_eq!(problem(torn), "the checksum in its suffix is wrong");
    assert!(again(|body| body.truncate(50)).starts_with("its length is not what it says"));
    assert_eq!(
        again(|body| body[10] = 2),
        "a part is longer than what is left of it"
    );
    assert_eq!(
        again(|body| body[10] = 0),
        "there are bytes behind its last target"
    );
    assert_eq!(again(|body| body[11] = b't'), "a target does not begin as one");
    // The number of elements of the only target, and the length of the only element.
    assert_eq!(
        again(|body| body[11 + 270] = 2),
        "a part is longer than what is left of it"
    );
    assert_eq!(
        again(|body| body[11 + 278] = 2),
        "a target is longer than its elements"
    );
    assert_eq!(
        again(|body| body[11 + 281] = 0xff),
        "a part is longer than what is left of it"
    );
    let over = dfuse(&[target(0, "", &[(4, &[1, 2]), (5, &[3])])]);
    assert_eq!(Firmware::read(over), Err(FirmwareError::Overlap { address: 5 }));
    assert_eq!(Firmware::read(dfuse(&[])), Err(FirmwareError::Empty));
}

#[test]
fn a_name_cannot_move_the_cursor() {
    let firmware = Firmware::read(dfuse(&[target(0, "\x1b[2J", &[(0, &[1])])])).unwrap();
    assert!(
        firmware
            .details
            .iter()
            .all(|detail| !detail.value.contains('\x1b'))
    );
}

proptest! {
    /// Altered bytes with a checksum that fits them neither panic nor make more of a file than it holds.
    #[test]
    fn hostile_files_are_refused_or_bounded(at in 0_usize..600, word in any::<u32>()) {
        let whole = dfuse(&[target(0, "x", &[(0x0800_0000, &[1; 100]), (0x0800_0100, &[2; 100])])]);
        let mut body = whole[..whole.len() - SUFFIX_BYTES].to_vec();
        let at = at % (body.len() - 4);
        body[at..at + 4].copy_from_slice(&word.to_le_bytes());
        if let Ok(firmware) = Firmware::read(with_suffix(body, 0x011a)) {
            prop_assert!(firmware.image.len() <= wire_manifest::IMAGE_BYTES_MAX as usize);
        }
    }
}
