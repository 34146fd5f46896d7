use super::*;

#[test]
fn programming_clears_bits_and_never_sets_them() {
    let mut flash = SimFlash::new(4096);
    flash.write(0, &[0xF0; 4]).unwrap();
    flash.write(0, &[0x30; 4]).unwrap();
    assert_eq!(flash.bytes()[..5], [0x30, 0x30, 0x30, 0x30, 0xFF]);
    assert_eq!(flash.write(0, &[0x31; 4]), Err(SimFlashError::BitNotErased));
    flash.erase(0, 4096).unwrap();
    flash.write(0, &[0x31; 4]).unwrap();
    assert_eq!(flash.wear(), [1]);
    assert_eq!(flash.operations(), 4);
}

#[test]
fn alignment_and_bounds_are_enforced() {
    let mut flash = SimFlash::new(8192);
    assert_eq!(flash.write(1, &[0; 4]), Err(SimFlashError::NotAligned));
    assert_eq!(flash.write(0, &[0; 2]), Err(SimFlashError::NotAligned));
    assert_eq!(flash.erase(0, 4), Err(SimFlashError::NotAligned));
    assert_eq!(flash.erase(4096, 0), Err(SimFlashError::OutOfBounds));
    assert_eq!(flash.write(8192, &[0; 4]), Err(SimFlashError::OutOfBounds));
    assert_eq!(flash.read(8190, &mut [0; 4]), Err(SimFlashError::OutOfBounds));
}

#[test]
fn a_torn_program_does_part_of_its_work_and_then_nothing_works() {
    let mut flash = SimFlash::new(4096);
    flash.cut_power_at(PowerCut {
        operation: 1,
        torn_at: 2,
    });
    flash.write(0, &[1; 4]).unwrap();
    assert_eq!(flash.write(4, &[0; 4]), Err(SimFlashError::PowerLost));
    assert_eq!(flash.read(0, &mut [0; 4]), Err(SimFlashError::PowerLost));
    assert_eq!(flash.write(8, &[0; 4]), Err(SimFlashError::PowerLost));
    flash.restart();
    assert_eq!(flash.bytes()[..4], [1; 4]);
    assert!(flash.bytes()[8..].iter().all(|byte| *byte == 0xFF));
}

#[test]
fn a_torn_erase_of_two_sectors_keeps_the_second() {
    let mut flash = SimFlash::from_bytes(vec![0; 8192]);
    flash.cut_power_at(PowerCut {
        operation: 0,
        torn_at: 4095,
    });
    assert_eq!(flash.erase(0, 8192), Err(SimFlashError::PowerLost));
    flash.restart();
    assert_eq!(flash.bytes()[4094], 0xFF);
    assert_eq!(flash.bytes()[4096..4098], [0, 0]);
}

#[test]
fn a_unit_in_flux_reads_differently_until_it_is_programmed_or_erased() {
    let mut flash = SimFlash::new(4096);
    flash.cut_power_at(PowerCut {
        operation: 0,
        torn_at: 0,
    });
    assert_eq!(flash.write(0, &[0; 4]), Err(SimFlashError::PowerLost));
    flash.restart();
    assert!(flash.bytes_in_flux() > 0);
    let mut read = || {
        let mut bytes = [0; 8];
        flash.read(0, &mut bytes).unwrap();
        assert_eq!(bytes[4..], [0xFF; 4], "other units are left alone");
        bytes
    };
    let first = read();
    assert!((0..64).any(|_| read() != first));
    assert_eq!(
        flash.write(0, &[0xFF; 4]),
        Err(SimFlashError::BitNotErased),
        "nothing to rely on"
    );
    assert_eq!(flash.rules_broken(), 1);
    let mut again = flash.clone();
    again.write(0, &[0; 4]).unwrap();
    flash.erase(0, 4096).unwrap();
    assert_eq!((again.bytes_in_flux(), flash.bytes_in_flux()), (0, 0));
}

#[test]
fn an_erase_cut_short_of_its_end_must_be_repeated() {
    let mut flash = SimFlash::from_bytes(vec![0; 4096]);
    flash.cut_power_at(PowerCut {
        operation: 0,
        torn_at: 4095,
    });
    flash.erase(0, 4096).unwrap_err();
    flash.restart();
    assert!(
        flash.bytes()[..4095].iter().all(|byte| *byte == 0xFF),
        "looks erased"
    );
    let broken = (0..4092)
        .step_by(4)
        .filter(|at| flash.clone().write(*at, &[0xFF; 4]).is_err());
    assert!(broken.count() > 10);
    flash.erase(0, 4096).unwrap();
    assert_eq!(flash.bytes_in_flux(), 0);
}

#[test]
fn a_part_of_write_once_words_takes_each_word_once() {
    let mut flash = SimFlash::<8, 256>::part(512, Rewrites::Once);
    flash.write(0, &[0xF0; 16]).unwrap();
    assert_eq!(flash.write(8, &[0; 8]), Err(SimFlashError::WrittenTwice));
    flash.cut_power_at(PowerCut {
        operation: 1,
        torn_at: 200,
    });
    flash.erase(0, 256).unwrap_err();
    flash.restart();
    assert_eq!(flash.write(0, &[0; 8]), Err(SimFlashError::WrittenTwice));
    assert_eq!(flash.rules_broken(), 2);
    flash.erase(0, 256).unwrap();
    flash.write(0, &[0; 8]).unwrap();
    assert_eq!(flash.write(4, &[0; 8]), Err(SimFlashError::NotAligned));
}

#[test]
fn the_hash_tells_states_apart() {
    let blank = SimFlash::new(8192);
    let mut other = blank.clone();
    assert_eq!(blank.state_hash(), other.state_hash());
    other.write(8188, &[0xFF, 0xFF, 0xFF, 0x7F]).unwrap();
    assert_ne!(blank.state_hash(), other.state_hash());
}

#[test]
fn the_explorer_cuts_every_operation_at_every_point() {
    let mut cuts = Vec::new();
    let operations = explore_power_cuts(
        &SimFlash::new(4096),
        &[0, 4],
        |flash| {
            let _ = flash.write(0, &[0; 4]).and_then(|()| flash.write(4, &[0; 4]));
        },
        |flash, cut| cuts.extend(cut.map(|cut| (cut.operation, cut.torn_at, flash.bytes()[4]))),
    );
    assert_eq!(operations, 2);
    let seen: Vec<_> = cuts
        .iter()
        .map(|(operation, torn_at, _)| (*operation, *torn_at))
        .collect();
    assert_eq!(seen, [(0, 0), (0, 4), (1, 0), (1, 4)]);
    assert_eq!((cuts[0].2, cuts[1].2, cuts[3].2), (0xFF, 0xFF, 0));
}
