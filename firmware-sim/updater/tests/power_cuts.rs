//! The power goes away in every operation of an update, torn at several bytes, and again in every operation of the recovery.
//!
//! `cargo test` tries every first cut on one part, and a choice of them and of the second ones on others; with `--ignored`, all of
//! two cuts in a row.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;

use deltagate_flash::sim::{Explored, Explorer, Limits, PowerCut, Probe, Rewrites, SimFlash, Tears};
use deltagate_updater::{Lost, Outcome, SingleSlot, Status, Updater};
use embedded_storage::nor_flash::NorFlash;
use support::{MEMORY_BYTES, Signed, boot_log, bootable, noise, patch, request, run, ship, stage};

/// What is new in front of the target uses up a reach of a sector, all but a few bytes.
fn images(sector: usize) -> (Signed, Signed) {
    let base = noise(2 * sector + sector / 5, 1);
    let mut target = [&noise(sector - 96, 2), &base[..sector], &base[sector + 50..]].concat();
    for at in (0..target.len()).step_by(1_500) {
        target[at] ^= 0x55;
    }
    (Signed::new(1, &base), Signed::new(2, &target))
}

/// What a device begins with, and what a power-on does.
struct Scenario {
    layout: SingleSlot,
    base: Signed,
    target: Signed,
    patch: Vec<u8>,
    /// What was staged must stay as it is.
    staged: Vec<u8>,
}

impl Scenario {
    /// Room for the base's three sectors to move by two; one of these is the patch's reach, so that there is a checkpoint at every
    /// sector of the result but the last.
    fn new(sector: u32) -> Self {
        let (base, target) = images(sector as usize);
        let patch = patch(&base.image, &target.image, sector);
        let header = deltagate_flash::slot_header_bytes(sector);
        Self {
            layout: SingleSlot::packed(sector, 4_096, patch.len() as u32, header + 5 * sector),
            base,
            target,
            patch,
            staged: Vec::new(),
        }
    }

    /// A device with the update staged and asked for.
    fn asked<const P: usize, const S: usize>(&mut self, rewrites: Rewrites) -> SimFlash<P, S> {
        let flash = RefCell::new(SimFlash::part(self.layout.end_bytes(), rewrites));
        ship(&flash, &self.layout, &self.base);
        let asked = stage(&flash, &self.layout, &self.target, &self.patch);
        request(&flash, self.layout, asked);
        let flash = flash.into_inner();
        self.staged = self.staging(&flash);
        flash
    }

    /// A device whose slot holds nothing that starts.
    fn lost<const P: usize, const S: usize>(&mut self, rewrites: Rewrites) -> SimFlash<P, S> {
        let flash = RefCell::new(self.asked(rewrites));
        run(&flash, self.layout).unwrap();
        let mut memory = vec![0; MEMORY_BYTES];
        let mut updater = Updater::open(&flash, self.layout, &mut memory).unwrap();
        updater.give_up().unwrap();
        flash.into_inner()
    }

    fn staging<const P: usize, const S: usize>(&self, flash: &SimFlash<P, S>) -> Vec<u8> {
        let place = self.layout.staging;
        flash.bytes()[place.offset as usize..(place.offset + place.bytes) as usize].to_vec()
    }

    /// What may be in the slot at any moment.
    fn check<F: NorFlash>(&self, flash: &RefCell<F>) {
        match bootable(flash, &self.layout) {
            None => {}
            Some((1, image)) => assert!(image == self.base.image),
            Some((2, image)) => assert!(image == self.target.image),
            Some((sequence, _)) => panic!("sequence {sequence} could run"),
        }
        assert_eq!(boot_log(flash, &self.layout).confirmed, Some(1));
    }

    /// From power-on to a device that runs the target, with nothing but what it has.
    fn update<F: NorFlash>(&self, flash: &RefCell<F>) {
        self.check(flash);
        assert_eq!(run(flash, self.layout), Ok(Status::Idle(Some(Outcome::Done))));
        assert!(
            bootable(flash, &self.layout) == Some((2, self.target.image.clone())),
            "image 2 does not start"
        );
        let boot = boot_log(flash, &self.layout);
        assert_eq!(
            (boot.confirmed, boot.trial.map(|trial| trial.sequence)),
            (Some(1), Some(2))
        );
    }

    /// From power-on to a device that runs the target, which is sent to it.
    fn restore<F: NorFlash>(&self, flash: &RefCell<F>) {
        self.check(flash);
        let mut memory = vec![0; MEMORY_BYTES];
        let mut updater = Updater::open(flash, self.layout, &mut memory).unwrap();
        let image = &self.target.image;
        if updater.status() == Status::NeedsImage(Lost::GivenUp) {
            let mut at = updater.offer(&self.target.envelope()).unwrap().unwrap() as usize;
            while let Some(wanted) = updater.wanted() {
                assert_eq!(wanted as usize, at);
                let end = image.len().min(at + 256);
                updater.write(at as u32, &image[at..end]).unwrap();
                at = end;
            }
        }
        assert_eq!(run(flash, self.layout), Ok(Status::Idle(Some(Outcome::Done))));
        assert!(
            bootable(flash, &self.layout) == Some((2, image.clone())),
            "image 2 does not start"
        );
    }
}

/// Every cut, torn in three places.
const EVERY: Limits = Limits {
    depth: 1,
    tears: Tears::Few,
    states_max: None,
    deeper_max: None,
    seed: 1,
};

/// A choice of the first and the second cuts.
const SOME: Limits = Limits {
    depth: 2,
    states_max: Some(16),
    deeper_max: Some(8),
    ..EVERY
};

/// Every two in a row.
const EVERY_TWO: Limits = Limits { depth: 2, ..EVERY };

fn update<const P: usize, const S: usize>(rewrites: Rewrites, limits: Limits) {
    let mut scenario = Scenario::new(S as u32);
    let initial = scenario.asked::<P, S>(rewrites);
    let explored = explore(initial, limits, |flash| {
        scenario.update(flash);
        let staged = scenario.staging(&flash.borrow().flash);
        assert!(staged == scenario.staged, "nothing is fetched again");
    });
    println!("update in place, units of {P}, sectors of {S}, {rewrites:?}: {explored:?}");
}

fn restore<const P: usize, const S: usize>(rewrites: Rewrites, limits: Limits) {
    let mut scenario = Scenario::new(S as u32);
    let initial = scenario.lost::<P, S>(rewrites);
    let explored = explore(initial, limits, |flash| scenario.restore(flash));
    println!("a whole image, units of {P}, sectors of {S}, {rewrites:?}: {explored:?}");
}

fn explore<const P: usize, const S: usize>(
    initial: SimFlash<P, S>,
    limits: Limits,
    power_on: impl Fn(&RefCell<Probe<(), P, S>>),
) -> Explored {
    let (explored, flash) = Explorer::new(limits, ()).explore(initial, |probe, _, _| {
        let flash = RefCell::new(probe);
        power_on(&flash);
        let flash = flash.into_inner().flash;
        assert_eq!(flash.rules_broken(), 0);
        flash
    });
    assert!(explored.recoveries > 10 && flash.operations() == explored.operations);
    explored
}

#[test]
fn an_update_survives_every_cut() {
    update::<4, 1_024>(Rewrites::Bitwise, EVERY);
}

#[test]
fn a_whole_image_survives_every_cut() {
    restore::<4, 1_024>(Rewrites::Bitwise, EVERY);
}

#[test]
fn two_cuts_do_no_harm_on_other_parts() {
    update::<8, 2_048>(Rewrites::Once, SOME);
    update::<32, 4_096>(Rewrites::Once, SOME);
    update::<1, 512>(Rewrites::Bitwise, SOME);
    restore::<8, 2_048>(Rewrites::Once, SOME);
}

#[test]
fn no_more_than_a_sector_of_a_whole_image_is_fetched_again() {
    let mut scenario = Scenario::new(4_096);
    let lost: SimFlash = scenario.lost(Rewrites::Bitwise);
    let image = &scenario.target.image;
    for operation in (3..180).step_by(11) {
        let mut flash = lost.clone();
        flash.restart();
        flash.cut_power_at(PowerCut {
            operation,
            torn_at: 7,
        });
        let flash = RefCell::new(flash);
        let mut memory = vec![0; MEMORY_BYTES];
        let mut updater = Updater::open(&flash, scenario.layout, &mut memory).unwrap();
        let mut taken = 0;
        if updater.offer(&scenario.target.envelope()) == Ok(Ok(0)) {
            for block in image.chunks(256) {
                if updater.write(taken as u32, block).is_err() {
                    break;
                }
                taken += block.len();
            }
        }
        assert!(!flash.borrow().is_powered() && taken < image.len());
        flash.borrow_mut().restart();
        let mut memory = vec![0; MEMORY_BYTES];
        let mut updater = Updater::open(&flash, scenario.layout, &mut memory).unwrap();
        let from = updater.offer(&scenario.target.envelope()).unwrap().unwrap();
        assert_eq!(from as usize, taken - taken % 4_096, "operation {operation}");
    }
}

#[test]
#[ignore = "takes long: for scripts/soak-power"]
fn an_update_survives_every_two_cuts() {
    update::<4, 1_024>(Rewrites::Bitwise, EVERY_TWO);
    update::<8, 2_048>(Rewrites::Once, EVERY_TWO);
}

#[test]
#[ignore = "takes long: for scripts/soak-power"]
fn a_whole_image_survives_every_two_cuts() {
    restore::<4, 1_024>(Rewrites::Bitwise, EVERY_TWO);
    restore::<8, 2_048>(Rewrites::Once, EVERY_TWO);
}
