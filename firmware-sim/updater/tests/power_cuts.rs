//! The power goes away in every operation of an update, torn at several bytes, and again in every operation of the recovery.
//!
//! `cargo test` tries every first cut and a choice of the second ones; with `--ignored`, all of the second ones.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;
use std::rc::Rc;

use deltagate_flash::sim::{PowerCut, SimFlash};
use deltagate_updater::{Lost, Outcome, SingleSlot, Status, Updater};
use support::forks::{Forking, Forks};
use support::{MEMORY_BYTES, Signed, boot_log, bootable, noise, patch, request, run, ship, stage};

const SECTOR: u32 = 4_096;
/// Room for the base's three sectors to move by two; one of these is the patch's reach, so that there is a checkpoint at every
/// sector of the result but the last.
const LAYOUT: SingleSlot = SingleSlot::packed(SECTOR, 4_096, 2 * SECTOR, 6 * SECTOR);

/// Nothing, half of a piece, a part of a sector, all.
const TEARS: &[u32] = &[0, 30, 1_000, u32::MAX];
const FEW_TEARS: &[u32] = &[3, 2_000];

/// What is new in front of the target uses up the patch's reach, all but a few bytes.
fn images() -> (Signed, Signed) {
    let base = noise(9_000, 1);
    let mut target = [&noise(4_000, 2), &base[..4_000], &base[4_050..]].concat();
    for at in (0..target.len()).step_by(1_500) {
        target[at] ^= 0x55;
    }
    (Signed::new(1, &base), Signed::new(2, &target))
}

/// A scenario: what it begins with, and what a power-on does.
struct Scenario {
    base: Signed,
    target: Signed,
    patch: Vec<u8>,
    /// What was staged must stay as it is.
    staged: Vec<u8>,
}

impl Scenario {
    fn new() -> Self {
        let (base, target) = images();
        let patch = patch(&base.image, &target.image, SECTOR);
        Self {
            base,
            target,
            patch,
            staged: Vec::new(),
        }
    }

    /// A device with the update staged and asked for.
    fn asked(&mut self) -> SimFlash {
        let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
        ship(&flash, &LAYOUT, &self.base);
        let asked = stage(&flash, &LAYOUT, &self.target, &self.patch);
        request(&flash, LAYOUT, asked);
        let flash = flash.into_inner();
        self.staged = staging(&flash);
        flash
    }

    /// A device whose slot holds nothing that starts.
    fn lost(&mut self) -> SimFlash {
        let flash = RefCell::new(self.asked());
        run(&flash, LAYOUT).unwrap();
        let mut memory = vec![0; MEMORY_BYTES];
        Updater::open(&flash, LAYOUT, &mut memory)
            .unwrap()
            .give_up()
            .unwrap();
        flash.into_inner()
    }

    /// What may be in the slot at any moment.
    fn check(&self, flash: &RefCell<Forking>) {
        match bootable(flash, &LAYOUT) {
            None => {}
            Some((1, image)) => assert!(image == self.base.image),
            Some((2, image)) => assert!(image == self.target.image),
            Some((sequence, _)) => panic!("sequence {sequence} could run"),
        }
        assert_eq!(boot_log(flash, &LAYOUT).confirmed, Some(1));
    }

    /// From power-on to a device that runs the target, with nothing but what it has.
    fn update(&self, flash: &RefCell<Forking>) {
        self.check(flash);
        assert_eq!(run(flash, LAYOUT), Ok(Status::Idle(Some(Outcome::Done))));
        assert_eq!(bootable(flash, &LAYOUT), Some((2, self.target.image.clone())));
        let boot = boot_log(flash, &LAYOUT);
        assert_eq!(
            (boot.confirmed, boot.trial.map(|trial| trial.sequence)),
            (Some(1), Some(2))
        );
        assert!(
            staging(&flash.borrow().flash) == self.staged,
            "nothing is fetched again"
        );
    }

    /// From power-on to a device that runs the target, which is sent to it.
    fn restore(&self, flash: &RefCell<Forking>) {
        self.check(flash);
        let mut memory = vec![0; MEMORY_BYTES];
        let mut updater = Updater::open(flash, LAYOUT, &mut memory).unwrap();
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
        assert_eq!(run(flash, LAYOUT), Ok(Status::Idle(Some(Outcome::Done))));
        assert_eq!(bootable(flash, &LAYOUT), Some((2, image.clone())));
    }
}

fn staging(flash: &SimFlash) -> Vec<u8> {
    let place = LAYOUT.staging;
    flash.bytes()[place.offset as usize..(place.offset + place.bytes) as usize].to_vec()
}

/// What was tried.
#[derive(Debug, Default)]
struct Tried {
    cuts: u64,
    recoveries: usize,
}

/// Runs from `initial` uncut, then from every state that a cut leaves, then from `deeper` in so many states, at least one, that
/// a cut in one of those recoveries leaves; of each of them.
fn explore(initial: SimFlash, run: impl Fn(&RefCell<Forking>), deeper: Deeper) -> Tried {
    let forks = Forks::new(TEARS);
    let mut tried = Tried::default();
    let mut power_on = |flash: SimFlash, fork: bool, forks: &Rc<RefCell<Forks>>| {
        forks.borrow_mut().enabled = fork;
        let flash = RefCell::new(Forking::new(flash, forks));
        run(&flash);
        tried.recoveries += 1;
    };
    power_on(initial, true, &forks);
    let first = forks.borrow_mut().take();
    forks.borrow_mut().tears = FEW_TEARS;
    for (number, flash) in first.into_iter().enumerate() {
        let again = number % deeper.first_every == 0;
        power_on(flash, again, &forks);
        let second = forks.borrow_mut().take();
        for flash in second
            .into_iter()
            .skip(number % deeper.second_every)
            .step_by(deeper.second_every)
        {
            power_on(flash, false, &forks);
        }
    }
    tried.cuts = forks.borrow().cuts;
    tried
}

/// Of how many first cuts, and of how many second ones after each of them, one is recovered from.
struct Deeper {
    first_every: usize,
    second_every: usize,
}

const SAMPLE: Deeper = Deeper {
    first_every: 100,
    second_every: 50,
};

const ALL: Deeper = Deeper {
    first_every: 1,
    second_every: 1,
};

fn update(deeper: Deeper) {
    let mut scenario = Scenario::new();
    let initial = scenario.asked();
    let tried = explore(initial, |flash| scenario.update(flash), deeper);
    println!("update in place: {tried:?}");
    assert!(tried.recoveries > 500);
}

fn restore(deeper: Deeper) {
    let mut scenario = Scenario::new();
    let initial = scenario.lost();
    let tried = explore(initial, |flash| scenario.restore(flash), deeper);
    println!("a whole image: {tried:?}");
    assert!(tried.recoveries > 300);
}

#[test]
fn an_update_survives_every_cut() {
    update(SAMPLE);
}

#[test]
fn a_whole_image_survives_every_cut() {
    restore(SAMPLE);
}

#[test]
fn no_more_than_a_sector_of_a_whole_image_is_fetched_again() {
    let mut scenario = Scenario::new();
    let lost = scenario.lost();
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
        let mut updater = Updater::open(&flash, LAYOUT, &mut memory).unwrap();
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
        let mut updater = Updater::open(&flash, LAYOUT, &mut memory).unwrap();
        let from = updater.offer(&scenario.target.envelope()).unwrap().unwrap();
        assert_eq!(
            from as usize,
            taken - taken % SECTOR as usize,
            "operation {operation}"
        );
    }
}

#[test]
#[ignore = "takes long: for scripts/soak-power"]
fn an_update_survives_every_two_cuts() {
    update(ALL);
}

#[test]
#[ignore = "takes long: for scripts/soak-power"]
fn a_whole_image_survives_every_two_cuts() {
    restore(ALL);
}
