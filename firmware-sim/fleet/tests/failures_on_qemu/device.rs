//! Rows of the device.

use crate::support::{self, SMALL_BLOCKS};
use crate::table::{self, Ending, Told};
use crate::witness::{self, shown};
use fleet::board::Board;
use fleet::gateway::FakedClock;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use std::time::Duration;
use wire_checkin::Format;

pub fn the_device_has_no_clock() -> Told {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    let clock = FakedClock::new(rig.directory()).unwrap();
    clock.set(0).unwrap();
    rig.reconfigure(|config| config.clock = Some(clock)).unwrap();
    support::caught_after(&rig, 2);
    for replies in [2, 4, 6] {
        support::wait_for_replies(&rig, replies);
        rig.machine.kill();
        // The next cut is there before the device is.
        support::cut_after(&rig, replies + 2);
        rig.machine.start().unwrap();
    }
    rig.bridge.mend();
    let told = witness::runs(&rig, 0, 2);
    assert!(support::count(&rig, "goes on after") >= 2);
    told
}

pub fn sdk_nrf_29040_a_staged_patch_of_another_job_is_found() -> Told {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    // The device is off while another image is assigned, and comes back with half a patch of the first.
    rig.machine.kill();
    support::assign_behind_its_back(&rig, || support::assign_other(&rig, 3));
    rig.bridge.mend();
    rig.machine.start().unwrap();
    let told = witness::runs(&rig, 0, 3);
    assert_eq!(support::count(&rig, "update to sequence 2 dropped"), 1);
    assert_eq!(
        support::count(&rig, "sequence 2, on trial"),
        0,
        "nothing was made of the first patch"
    );
    told
}

/// Worn out is all of the flash, and it says so, as QEMU's only part does that can. Nothing can be kept then, not even the report.
#[test]
#[ignore = "nine minutes: scripts/soak-power worn"]
fn a_flash_that_takes_no_writes_at_all_is_reported() {
    const FIVE_TRIES: Duration = Duration::from_secs(900);
    let mut rig = support::running_rig_on(Board::Virt, SMALL_BLOCKS);
    rig.machine.kill();
    rig.machine.wear_out_flash();
    support::assign(&rig, "v2.bin", 2);
    support::wait_until_built(&rig);
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line_within(&rig, mark, "sequence 2 reported", FIVE_TRIES);
    support::more_check_ins(&rig, 3);
    let said = rig.machine.serial().lines_from(mark);
    assert!(!said.iter().any(|line| line.contains("offered")), "{said:?}");
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    table::row("the_flash_takes_no_writes").check(&shown(&rig));
}

pub fn the_spare_slot_is_too_small() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    let capacity = rig.board().layout().image_capacity_bytes() as usize;
    let first = rig.image("v1.bin").unwrap();
    let image: Vec<u8> = first.into_iter().cycle().take(capacity + 1).collect();
    let (signed, digest) = rig.sign_bytes(&rig.publisher, "large", &image, 2, None).unwrap();
    support::import(&rig.gateway, &signed);
    let class = &support::images(&rig)[0].class_id;
    rig.bridge.cut_when(|_| true);
    support::run(&rig.gateway, &["update", "assign", &digest, "--class", class]);
    support::wait_until_built(&rig);
    rig.bridge.mend();
    support::more_check_ins(&rig, 1);
    assert_eq!(
        rig.bridge.seen().observed.offers.len(),
        0,
        "nothing is offered that cannot fit"
    );
    shown(&rig)
}

pub fn the_decoder_has_too_little_memory() -> Told {
    const IMAGE: &str = "v1-small-decoder.bin";
    let rig = support::rig(Board::Mps2An385, LinkProfile::FAST, 2_000);
    rig.ship_instead(IMAGE).unwrap();
    let rig = support::started_with(rig, IMAGE);
    let meanwhile = shown_during_the_transfer(&rig);
    assert_eq!(rig.bridge.seen().observed.offers[0].format, Format::Full);
    Told {
        printed: meanwhile.printed,
        ..witness::runs(&rig, 0, 2)
    }
}

/// Assigns version 2 and looks after the first block; the link carries packets again.
fn shown_during_the_transfer(rig: &Rig) -> Told {
    support::cut_after(rig, 1);
    support::assign(rig, "v2.bin", 2);
    support::wait_for_replies(rig, 1);
    let meanwhile = shown(rig);
    rig.bridge.mend();
    meanwhile
}

pub fn hawkbit_331_the_running_image_is_unknown() -> Told {
    let mut rig = support::rig(Board::Mps2An385, LinkProfile::FAST, 2_000);
    rig.machine.start().unwrap();
    support::line(&rig, 0, "checked in");
    support::run(&rig.gateway, &["device", "claim", &rig.device_id()]);
    let meanwhile = shown_during_the_transfer(&rig);
    assert_eq!(rig.bridge.seen().observed.offers[0].format, Format::Full);
    Told {
        printed: meanwhile.printed,
        ..witness::runs(&rig, 0, 2)
    }
}

pub fn mcuboot_1708_an_older_image_is_assigned() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    witness::updated(&rig);
    let (id, older) = (rig.device_id(), rig.digest("v1.bin").unwrap());
    let refused = rig.gateway.run(&["update", "assign", &older, "--device", &id]);
    let refused = witness::refused(refused, 1, Ending::Blocked);
    // To the class it may be assigned: other devices may need it. This one is not offered it.
    support::run(&rig.gateway, &["update", "cancel", "--device", &id]);
    support::run(
        &rig.gateway,
        &[
            "update",
            "assign",
            &older,
            "--class",
            &support::images(&rig)[0].class_id,
        ],
    );
    support::more_check_ins(&rig, 3);
    assert_eq!(rig.bridge.seen().observed.offers_of(1), 0);
    let shown = shown(&rig);
    Told {
        ending: Ending::Blocked,
        printed: refused.printed + &shown.printed,
        told: shown.told,
    }
}
