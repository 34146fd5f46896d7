//! Rows of the publisher.

use crate::support::{self, SMALL_BLOCKS};
use crate::table::{Ending, Told};
use crate::witness::{self, shown};
use fleet::board::Board;
use fleet::link::LinkProfile;
use fleet::rig::Rig;
use std::path::Path;

pub fn the_key_is_rotated() -> Told {
    let mut rig = support::rig(Board::Mps2An385, LinkProfile::FAST, 2_000);
    let new = rig.stranger().unwrap();
    rig.ship_trusting(&[&new], "v1.bin").unwrap();
    let key = new.public_key().to_owned();
    rig.reconfigure(|config| config.trust.push(key)).unwrap();
    let rig = support::started(rig);
    witness::updated(&rig);
    // The first image that the new key signs follows one of the old.
    support::assign_behind_its_back(&rig, || support::assign_other_as(&rig, &new, 3));
    rig.bridge.mend();
    witness::runs(&rig, 0, 3)
}

pub fn the_key_is_revoked() -> Told {
    let mut rig = support::running_rig(SMALL_BLOCKS);
    support::caught_after(&rig, 5);
    let other = rig.stranger().unwrap().public_key().to_owned();
    rig.reconfigure(|config| config.trust = vec![other]).unwrap();
    rig.bridge.mend();
    support::line(&rig, 0, "update to sequence 2 dropped");
    support::more_check_ins(&rig, 3);
    assert_eq!(support::count(&rig, "sequence 2, on trial"), 0);
    assert_eq!(
        rig.bridge.seen().observed.offers_of(2),
        1,
        "it is not offered again"
    );
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    shown(&rig)
}

/// The gateway takes nothing of what this file holds; the device runs on.
fn import_is_refused(rig: &Rig, signed: &Path) -> Told {
    let images = support::images(rig);
    let import = ["image", "import", &signed.display().to_string()];
    let told = witness::refused(rig.gateway.run(&import), 1, Ending::Blocked);
    assert_eq!(support::images(rig), images, "nothing of it is kept");
    support::more_check_ins(rig, 1);
    let inventory = fleet::gateway::device(&rig.gateway, &rig.device_id()).unwrap();
    assert!(inventory.runs(1), "{inventory:?}");
    told
}

pub fn the_key_is_unknown_to_the_gateway() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    let stranger = rig.stranger().unwrap();
    let signed = rig.sign_as(&stranger, rig.class(), "v2.bin", 2).unwrap();
    import_is_refused(&rig, &signed)
}

pub fn the_manifest_is_newer_than_the_gateway() -> Told {
    let rig = support::running_rig(LinkProfile::FAST);
    let signed = rig.sign_newer_profile("v2.bin", 2).unwrap();
    import_is_refused(&rig, &signed)
}
