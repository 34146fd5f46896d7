//! The power goes away while a file is taken.

use deltagate_flash::sim::explore_power_cuts;

use super::*;

/// Every operation cut at several bytes; then the client tries again, and is cut again at every operation of that.
#[test]
fn an_upload_cut_anywhere_goes_on_and_boots() {
    let file = File::right().bytes();
    let torn = [0, 1, 255, 4095];
    let operations = explore_power_cuts(
        &device(),
        &torn,
        |flash| {
            let _ = Client::new(&RefCell::new(flash)).upload(&file, 700);
        },
        |flash, cut| {
            let flash = RefCell::new(flash.clone());
            assert!(
                matches!(boots(&flash), Ok((Slot::A, 5)) | Err(Recovery::NoImage)),
                "{cut:?}"
            );
            let mut client = Client::new(&flash);
            assert_eq!(client.upload(&file, 700), Ok(file.len()), "{cut:?}");
            assert_eq!(boots(&flash), Ok((Slot::A, 5)), "{cut:?}");
        },
    );
    assert!(operations > 50, "{operations} operations");
}

#[test]
fn a_second_cut_while_going_on_loses_nothing_either() {
    let file = File::right().bytes();
    let half = RefCell::new(device());
    Client::new(&half)
        .upload_until(&file, 700, 2 * SECTOR + 900)
        .unwrap();
    explore_power_cuts(
        &half.into_inner(),
        &[1, 256],
        |flash| {
            let _ = Client::new(&RefCell::new(flash)).upload(&file, 700);
        },
        |flash, cut| {
            let flash = RefCell::new(flash.clone());
            assert_eq!(Client::new(&flash).upload(&file, 700), Ok(file.len()), "{cut:?}");
            assert_eq!(boots(&flash), Ok((Slot::A, 5)), "{cut:?}");
        },
    );
}

/// After a power cut not more than a sector, what was in RAM, and the head are sent again.
#[test]
fn going_on_costs_a_sector_at_most() {
    let file = File::solid().bytes();
    let head = file.len() - IMAGE_BYTES;
    for stop in (head..file.len()).step_by(500) {
        let flash = RefCell::new(device());
        let reached = Client::new(&flash).upload_until(&file, 500, stop).unwrap();
        let mut again = Client::new(&flash);
        again.upload(&file, 500).unwrap();
        let more = again.sent_bytes - (file.len() - reached);
        let head_pieces = head.next_multiple_of(500);
        assert!(
            more <= head_pieces + 2 * SECTOR,
            "{more} bytes sent again after {reached}"
        );
        assert_eq!(boots(&flash), Ok((Slot::A, 5)));
    }
}

/// At every operation, torn at several bytes: the image that runs can start, until the record is there that tries the new one.
#[test]
fn an_upload_beside_an_image_that_crashed_never_costs_that_image() {
    let (file, slot) = (newer().bytes(), Slot::A);
    let bring =
        |flash: &RefCell<SimFlash>| Client::of_device(flash, Recovery::Crashed(slot)).upload(&file, 700);
    let operations = explore_power_cuts(
        &crashed_device(slot),
        &[0, 1, 255, 4095],
        |flash| {
            let _ = Client::of_device(&RefCell::new(flash), Recovery::Crashed(slot)).upload(&file, 700);
        },
        |flash, cut| {
            let flash = RefCell::new(flash.clone());
            let boot = boots_from(&flash);
            assert!(
                matches!(boot, (Slot::A, 5, false) | (Slot::B, 6, true)),
                "{cut:?} {boot:?}"
            );
            if boot.0 == slot {
                assert_eq!(bring(&flash), Ok(file.len()), "{cut:?}");
                assert_eq!(boots_from(&flash), (Slot::B, 6, true), "{cut:?}");
            }
        },
    );
    assert!(operations > 50, "{operations} operations");
}
