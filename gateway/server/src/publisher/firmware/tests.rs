//! Segments, gaps and everything that is refused.

use object::elf::PT_LOAD;

use super::*;

/// A little-endian 32-bit ARM ELF of these segments: (type, physical address, bytes).
fn elf(segments: &[(u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let half = |file: &mut Vec<u8>, value: u16| file.extend(value.to_le_bytes());
    let word = |file: &mut Vec<u8>, value: u32| file.extend(value.to_le_bytes());
    half(&mut file, 2);
    half(&mut file, 40);
    // version, entry, program header offset, section header offset, flags
    [1, 0, 52, 0, 0].iter().for_each(|value| word(&mut file, *value));
    // header size, program header size and count, section header size, count and names
    [52, 32, segments.len() as u16, 40, 0, 0]
        .iter()
        .for_each(|value| half(&mut file, *value));
    let mut offset = 52 + 32 * segments.len() as u32;
    for (kind, address, data) in segments {
        let len = data.len() as u32;
        // The virtual address differs, so that a test can tell them apart.
        [*kind, offset, 0x2000_0000, *address, len, len + 8, 5, 4]
            .iter()
            .for_each(|value| word(&mut file, *value));
        offset += len;
    }
    segments
        .iter()
        .for_each(|(_, _, data)| file.extend_from_slice(data));
    file
}

#[test]
fn a_raw_image_is_taken_as_it_is() {
    let firmware = Firmware::read(vec![1, 2, 3]).unwrap();
    assert_eq!((firmware.image, firmware.base_address), (vec![1, 2, 3], None));
}

#[test]
fn segments_are_laid_out_by_physical_address_with_erased_gaps() {
    let file = elf(&[
        (PT_LOAD, 0x1008, &[4, 5]),
        (PT_LOAD, 0x1000, &[1, 2, 3]),
        (4, 0x0, &[9; 40]),
    ]);
    let firmware = Firmware::read(file).unwrap();
    assert_eq!(firmware.image, [1, 2, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 5]);
    assert_eq!(firmware.base_address, Some(0x1000));
    assert_eq!(
        firmware.gaps,
        [Gap {
            address: 0x1003,
            bytes: 5
        }]
    );
}

#[test]
fn segments_without_bytes_load_nothing() {
    let firmware = Firmware::read(elf(&[(PT_LOAD, 0x1000, &[1]), (PT_LOAD, 0x2000_0000, &[])])).unwrap();
    assert_eq!(firmware.image, [1]);
    assert_eq!(firmware.gaps, []);
}

#[test]
fn overlapping_segments_are_refused() {
    let file = elf(&[(PT_LOAD, 0x1000, &[1, 2, 3]), (PT_LOAD, 0x1002, &[4])]);
    assert_eq!(
        Firmware::read(file),
        Err(FirmwareError::Overlap { address: 0x1002 })
    );
}

#[test]
fn an_image_past_the_bound_is_refused_before_it_is_made() {
    let file = elf(&[(PT_LOAD, 0, &[1]), (PT_LOAD, 0xffff_fff0, &[2])]);
    assert_eq!(
        Firmware::read(file),
        Err(FirmwareError::TooFar {
            address: 0xffff_fff0,
            first: 0,
            bytes: 0xffff_fff1
        })
    );
    let raw = vec![0; IMAGE_BYTES_MAX as usize + 1];
    assert_eq!(
        Firmware::read(raw),
        Err(FirmwareError::TooLarge {
            bytes: (16 << 20) + 1
        })
    );
    assert!(Firmware::read(vec![0; IMAGE_BYTES_MAX as usize]).is_ok());
}

#[test]
fn nothing_to_load_is_no_image() {
    assert_eq!(Firmware::read(vec![]), Err(FirmwareError::Empty));
    assert_eq!(Firmware::read(elf(&[])), Err(FirmwareError::Empty));
}

#[test]
fn no_truncation_or_altered_header_byte_panics() {
    let whole = elf(&[(PT_LOAD, 0x1000, &[1, 2, 3]), (PT_LOAD, 0x1008, &[4, 5])]);
    for len in 4..whole.len() {
        assert!(Firmware::read(whole[..len].to_vec()).is_err(), "{len}");
    }
    for at in 4..whole.len() {
        for to in [0, 1, 0x7f, 0xff] {
            let mut altered = whole.clone();
            altered[at] = to;
            if let Ok(firmware) = Firmware::read(altered) {
                assert!(firmware.image.len() <= IMAGE_BYTES_MAX as usize);
            }
        }
    }
}

/// A record of an Intel HEX file.
fn record(kind: u8, offset: u16, data: &[u8]) -> String {
    let mut bytes = vec![data.len() as u8, (offset >> 8) as u8, offset as u8, kind];
    bytes.extend(data);
    let sum = bytes.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    bytes.push(sum.wrapping_neg());
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!(":{digits}\r\n")
}

const END: &str = ":00000001FF\r\n";

#[test]
fn an_elf_names_its_machine() {
    let firmware = Firmware::read(elf(&[(PT_LOAD, 0x1000, &[1])])).unwrap();
    assert_eq!(
        (firmware.format, firmware.machine),
        (FileFormat::Elf, Some(Machine::Arm))
    );
}

#[test]
fn records_are_laid_out_by_address_with_erased_gaps() {
    let file = [
        record(4, 0, &[0x08, 0x01]),
        record(0, 0x0004, &[5, 6]),
        record(4, 0, &[0x08, 0x00]),
        record(0, 0xfffe, &[1, 2]),
        record(5, 0, &[0x08, 0, 0, 0xc1]),
        END.to_owned(),
    ];
    let firmware = Firmware::read(file.concat().into_bytes()).unwrap();
    assert_eq!(firmware.image, [1, 2, 0xff, 0xff, 0xff, 0xff, 5, 6]);
    assert_eq!(firmware.base_address, Some(0x0800_fffe));
    assert_eq!((firmware.format, firmware.machine), (FileFormat::Hex, None));
    let gap = Gap {
        address: 0x0801_0000,
        bytes: 4,
    };
    assert_eq!(firmware.gaps, [gap]);
}

#[test]
fn segment_addresses_count_sixteen_bytes() {
    let file = [record(2, 0, &[0x10, 0x00]), record(0, 0x20, &[7]), END.to_owned()];
    let firmware = Firmware::read(file.concat().into_bytes()).unwrap();
    assert_eq!((firmware.image, firmware.base_address), (vec![7], Some(0x1_0020)));
}

#[test]
fn a_damaged_or_unfinished_hex_file_is_refused_by_its_line() {
    let good = [record(0, 0, &[1, 2, 3]), record(0, 3, &[4]), END.to_owned()].concat();
    let refused = |text: &str| Firmware::read(text.as_bytes().to_vec()).unwrap_err();
    assert!(Firmware::read(good.clone().into_bytes()).is_ok());
    assert_eq!(
        refused(&good.replace(END, "")),
        FirmwareError::EndsEarly {
            format: FileFormat::Hex
        }
    );
    let wrong_sum = good.replacen(":0100030004F8", ":0100030004F9", 1);
    assert!(matches!(
        refused(&wrong_sum),
        FirmwareError::DamagedLine { line: 2, .. }
    ));
    let twice = [record(0, 0, &[1, 2, 3]), record(0, 2, &[4]), END.to_owned()].concat();
    assert_eq!(refused(&twice), FirmwareError::Overlap { address: 2 });
    let far = [
        record(0, 0, &[1]),
        record(4, 0, &[0x10, 0]),
        record(0, 0, &[2]),
        END.to_owned(),
    ]
    .concat();
    assert!(matches!(
        refused(&far),
        FirmwareError::TooFar {
            address: 0x1000_0000,
            ..
        }
    ));
    assert_eq!(refused(END), FirmwareError::Empty);
}

#[test]
fn a_raw_image_that_begins_with_a_colon_stays_raw() {
    let raw = b":10 is the time".to_vec();
    assert_eq!(Firmware::read(raw.clone()).unwrap().image, raw);
}

#[test]
fn the_last_address_allocates_nothing() {
    let far = [
        record(0, 0, &[1]),
        record(4, 0, &[0xff, 0xff]),
        record(0, 0xffff, &[2]),
        END.to_owned(),
    ]
    .concat();
    let expected = FirmwareError::TooFar {
        address: 0xffff_ffff,
        first: 0,
        bytes: 1 << 32,
    };
    assert_eq!(Firmware::read(far.into_bytes()), Err(expected));
    let alone = [
        record(4, 0, &[0xff, 0xff]),
        record(0, 0xffff, &[2]),
        END.to_owned(),
    ]
    .concat();
    let firmware = Firmware::read(alone.into_bytes()).unwrap();
    assert_eq!(
        (firmware.image, firmware.base_address),
        (vec![2], Some(0xffff_ffff))
    );
}

#[test]
fn what_lies_outside_the_slot_is_refused_by_its_address() {
    let file = elf(&[(PT_LOAD, 0x1008, &[4, 5]), (PT_LOAD, 0x1000, &[1, 2, 3])]);
    let read = |address, bytes| {
        let slot = Slot { address, bytes };
        Firmware::read_with(
            file.clone(),
            &ReadOptions {
                slot,
                ..ReadOptions::default()
            },
        )
    };
    let outside = |address, slot_address, slot_bytes| {
        Err(FirmwareError::OutsideSlot {
            address,
            slot_address,
            slot_bytes,
        })
    };
    assert_eq!(read(Some(0x1000), Some(10)).unwrap().image.len(), 10);
    assert_eq!(read(Some(0x1000), Some(9)), outside(0x1009, 0x1000, 9));
    assert_eq!(read(Some(0x1000), Some(4)), outside(0x1008, 0x1000, 4));
    assert_eq!(read(Some(0x1001), Some(99)), outside(0x1000, 0x1001, 99));
    assert_eq!(
        read(None, Some(9)),
        Err(FirmwareError::LongerThanSlot {
            bytes: 10,
            slot_bytes: 9
        })
    );
}

#[test]
fn an_image_begins_where_its_slot_does() {
    let slot = Slot {
        address: Some(0xffe),
        bytes: Some(64),
    };
    let options = ReadOptions {
        slot,
        ..ReadOptions::default()
    };
    let firmware = Firmware::read_with(elf(&[(PT_LOAD, 0x1000, &[1])]), &options).unwrap();
    assert_eq!(firmware.image, [0xff, 0xff, 1]);
    assert_eq!(firmware.base_address, Some(0xffe));
    assert_eq!(
        firmware.gaps,
        [Gap {
            address: 0xffe,
            bytes: 2
        }]
    );
}

#[test]
fn a_format_that_is_named_goes_before_the_first_bytes() {
    let text = [record(0, 0, &[1]), END.to_owned()].concat().into_bytes();
    let read = |format| {
        let options = ReadOptions {
            format: Some(format),
            ..ReadOptions::default()
        };
        Firmware::read_with(text.clone(), &options)
    };
    assert_eq!(read(FileFormat::Raw).unwrap().image, text);
    assert_eq!(read(FileFormat::Hex).unwrap().image, [1]);
    assert!(matches!(
        read(FileFormat::Elf),
        Err(FirmwareError::Damaged { .. })
    ));
}

#[test]
fn more_pieces_than_a_file_can_need_are_refused() {
    let mut text: String = (0..=pieces::PIECES_MAX)
        .map(|n| {
            let address = n as u32 * 8;
            let upper = ((address >> 16) as u16).to_be_bytes();
            record(4, 0, &upper) + &record(0, address as u16, &[7])
        })
        .collect();
    text += END;
    assert_eq!(
        Firmware::read(text.into_bytes()),
        Err(FirmwareError::TooManyPieces)
    );
}

#[test]
fn data_over_the_end_of_a_segment_is_refused() {
    let over = [
        record(2, 0, &[0x10, 0x00]),
        record(0, 0xffff, &[7, 8]),
        END.to_owned(),
    ]
    .concat();
    let refused = Firmware::read(over.into_bytes());
    assert!(matches!(refused, Err(FirmwareError::DamagedLine { line: 2, .. })));
}

/// What other people's tools make of `image.bin`; fixtures/README.md says which.
fn fixture(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    std::fs::read(path.join(name)).unwrap()
}

#[test]
fn files_of_other_tools_hold_the_same_image() {
    let image = fixture("image.bin");
    for (name, format, address) in [
        ("image.hex", FileFormat::Hex, 0x0800_4000),
        ("image.srec", FileFormat::Srec, 0x0800_4000),
        ("image.dfuse", FileFormat::DfuSe, 0x0800_4000),
        ("image.uf2", FileFormat::Uf2, 0x1000_0000),
    ] {
        let firmware = Firmware::read(fixture(name)).unwrap();
        assert_eq!(
            (firmware.format, firmware.base_address),
            (format, Some(address)),
            "{name}"
        );
        assert_eq!(firmware.image, image, "{name}");
    }
    let firmware = Firmware::read(fixture("image.dfu")).unwrap();
    assert_eq!((firmware.format, firmware.base_address), (FileFormat::Dfu, None));
    assert_eq!(firmware.image, image);
}
