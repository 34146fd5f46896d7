use core::cell::RefCell;
use std::vec::Vec;

use super::*;
use crate::sim::{Rewrites, SimFlash, explore_power_cuts};
use crate::{Partition, log_bank_bytes};

const REGION: Partition = Partition::new(0, 8192);
const INTERVAL: u8 = 7;

/// What the image with this number does while `confirmed` is the highest confirmed one.
fn with<const P: usize, const S: usize, T>(
    flash: &mut SimFlash<P, S>,
    running: u32,
    confirmed: u32,
    act: impl FnOnce(&mut Settings<'_, &mut SimFlash<P, S>>) -> T,
) -> T {
    let cell = RefCell::new(flash);
    let region = Region::new(&cell, Partition::new(0, 2 * log_bank_bytes(S as u32)));
    act(&mut Settings::open(region, running, Some(confirmed)).unwrap())
}

fn value<const P: usize, const S: usize>(
    flash: &mut SimFlash<P, S>,
    running: u32,
    confirmed: u32,
    version_max: u8,
) -> Option<(u8, Vec<u8>)> {
    with(flash, running, confirmed, |settings| {
        let setting = settings.get(INTERVAL, version_max).unwrap();
        setting.map(|setting| (setting.version(), setting.value().to_vec()))
    })
}

/// Image 1 wrote a value in version 1.
fn written() -> SimFlash {
    let mut flash = SimFlash::new(8192);
    with(&mut flash, 1, 1, |settings| {
        settings.set(INTERVAL, 1, b"old").unwrap()
    });
    flash
}

#[test]
fn a_failed_trial_leaves_the_old_images_settings_alone() {
    let mut flash = written();
    with(&mut flash, 2, 1, |settings| {
        assert_eq!(settings.get(INTERVAL, 2).unwrap().unwrap().value(), b"old");
        settings.set(INTERVAL, 1, b"spoilt").unwrap();
        settings.set(INTERVAL, 2, b"new form").unwrap();
        assert_eq!(settings.get(INTERVAL, 2).unwrap().unwrap().value(), b"new form");
    });
    assert_eq!(value(&mut flash, 1, 1, 1), Some((1, b"old".to_vec())), "reverted");
    assert_eq!(value(&mut flash, 1, 1, 9), Some((1, b"old".to_vec())));
    // Image 3 comes, is confirmed, and must not make what 2 wrote true.
    assert_eq!(value(&mut flash, 3, 1, 9), Some((1, b"old".to_vec())));
    assert_eq!(value(&mut flash, 3, 3, 9), Some((1, b"old".to_vec())));
}

#[test]
fn a_confirmed_image_keeps_what_it_wrote_on_trial() {
    let mut flash = written();
    with(&mut flash, 2, 1, |settings| {
        settings.set(INTERVAL, 2, b"new").unwrap()
    });
    assert_eq!(value(&mut flash, 2, 2, 2), Some((2, b"new".to_vec())));
    // Back on purpose: old code under a higher number knows version 1 only.
    assert_eq!(value(&mut flash, 3, 2, 1), Some((1, b"old".to_vec())));
    with(&mut flash, 3, 3, |settings| {
        settings.set(INTERVAL, 1, b"older").unwrap()
    });
    assert_eq!(value(&mut flash, 3, 3, 1), Some((1, b"older".to_vec())));
}

/// Each write of an image on trial, and the reading after its revert, cut at every byte.
#[test]
fn settings_survive_a_power_cut_at_every_byte_of_a_trial() {
    let every_byte: Vec<u32> = (0..=68).chain([2_000, 4_095]).collect();
    for filled in [0, 27, 28, 29, 30] {
        let mut flash = written();
        for number in 0..filled {
            with(&mut flash, 1, 1, |settings| {
                settings.set(9, 1, &[number]).unwrap()
            });
        }
        explore_power_cuts(
            &flash,
            &every_byte,
            |flash| {
                let cell = RefCell::new(flash);
                let region = Region::new(&cell, REGION);
                let _ = Settings::open(region, 2, Some(1))
                    .and_then(|mut settings| settings.set(INTERVAL, 2, b"new"));
            },
            |flash, first| {
                let found = value(flash, 2, 1, 2).unwrap();
                assert!(
                    found == (1, b"old".to_vec()) || found == (2, b"new".to_vec()),
                    "{first:?}"
                );
                let mut kept = flash.clone();
                assert_eq!(value(&mut kept, 2, 2, 2), Some(found), "confirmed, {first:?}");
                explore_power_cuts(
                    flash,
                    &[0, 40, 63, 67],
                    |flash| {
                        let cell = RefCell::new(flash);
                        let _ = Settings::open(Region::new(&cell, REGION), 1, Some(1));
                    },
                    |flash, second| {
                        let old = Some((1, b"old".to_vec()));
                        assert_eq!(value(flash, 1, 1, 9), old, "{first:?}, {second:?}");
                        assert_eq!(value(flash, 3, 3, 9), old, "{first:?}, {second:?}");
                        assert_eq!(flash.rules_broken(), 0);
                    },
                );
            },
        );
    }
}

#[test]
fn settings_have_limits() {
    let mut flash = SimFlash::new(8192);
    with(&mut flash, 1, 1, |settings| {
        for id in 1..=SETTINGS_MAX as u8 {
            settings.set(id, 1, &[id; SETTING_BYTES_MAX]).unwrap();
        }
        assert_eq!(settings.set(99, 1, b"one more"), Err(AppendError::TooManyLive));
        assert_eq!(
            settings.set(1, 1, &[0; SETTING_BYTES_MAX + 1]),
            Err(AppendError::TooManyLive)
        );
        assert_eq!(settings.set(0, 1, b""), Err(AppendError::TooManyLive));
        assert_eq!(settings.set(255, 1, b""), Err(AppendError::TooManyLive));
    });
    // All in two versions, and on trial in a third: a compaction has room for them.
    for (running, confirmed, version) in [(1, 1, 2), (2, 1, 3)] {
        for round in 0..20 {
            for id in 1..=SETTINGS_MAX as u8 {
                with(&mut flash, running, confirmed, |settings| {
                    settings.set(id, version, &[round, id]).unwrap();
                });
            }
        }
    }
    for id in 1..=SETTINGS_MAX as u8 {
        with(&mut flash, 1, 1, |settings| {
            assert_eq!(
                settings.get(id, 1).unwrap().unwrap().value(),
                [id; SETTING_BYTES_MAX]
            );
            assert_eq!(settings.get(id, 9).unwrap().unwrap().value(), [19, id]);
        });
    }
}

#[test]
fn what_is_set_already_is_not_written_again() {
    let mut flash = written();
    value(&mut flash, 1, 1, 1);
    flash.restart();
    with(&mut flash, 1, 1, |settings| {
        settings.set(INTERVAL, 1, b"old").unwrap()
    });
    assert_eq!(flash.operations(), 0);
}

#[test]
fn settings_live_on_parts_of_every_geometry() {
    fn on<const P: usize, const S: usize>(rewrites: Rewrites) {
        let mut flash = SimFlash::<P, S>::part(2 * log_bank_bytes(S as u32), rewrites);
        for number in 0..100_u8 {
            with(&mut flash, 1, 1, |settings| {
                settings.set(INTERVAL, 1, &[number]).unwrap()
            });
        }
        assert_eq!(value(&mut flash, 1, 1, 1), Some((1, [99].to_vec())));
    }
    on::<1, 256>(Rewrites::Bitwise);
    on::<8, 2_048>(Rewrites::Once);
    on::<32, 0x1_0000>(Rewrites::Once);
}
