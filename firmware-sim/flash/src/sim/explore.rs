//! Every power cut of a scenario, and every power cut of every recovery from one.
//!
//! A [`Probe`] is a part that hands a copy of itself to the [`Explorer`] at every operation, once for each way that the power
//! may go away in it. Each copy is a *fork*: the state a device wakes up in. The explorer lets the device recover from each,
//! which in turn gives the forks of the second cut, and so on as deep as it is told. Equal states are visited once.

use core::cell::RefCell;
use core::hash::{Hash, Hasher};
use std::collections::HashSet;
use std::rc::Rc;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use super::{PowerCut, SimFlash, SimFlashError};

/// Where in an operation the power goes away, beside just before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tears {
    /// At the first byte, at one chosen by chance, and at the last.
    Few,
    /// At so many bytes spread evenly, first and last included, for a program operation and for an erase.
    Many(u32),
}

impl Tears {
    fn at(self, length: u32, chance: u64) -> Vec<u32> {
        let mut at = match self {
            Self::Few => Vec::from([0, (chance % u64::from(length.max(1))) as u32, length - 1]),
            Self::Many(count) => (0..count)
                .map(|i| (u64::from(length - 1) * u64::from(i) / u64::from(count.max(2) - 1)) as u32)
                .collect(),
        };
        at.dedup();
        at
    }
}

/// What a run may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// How many cuts follow each other, each in the recovery from the one before.
    pub depth: u32,
    /// Where operations are torn.
    pub tears: Tears,
    /// How many states that the first cut left are recovered from: all of them, or so many chosen by the seed.
    pub states_max: Option<usize>,
    /// The same of each further cut, for every recovery.
    pub deeper_max: Option<usize>,
    /// Of the bits in flux and of the choice.
    pub seed: u64,
}

/// What was tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Explored {
    /// Flash operations of the uncut run.
    pub operations: u64,
    /// Power cuts made, at each depth together.
    pub cuts: u64,
    /// Distinct states that they left.
    pub states: u64,
    /// States from which a recovery was run, all the way to a device that works and takes one more update.
    pub recoveries: u64,
}

impl Explored {
    /// Adds up two explorations.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            operations: self.operations + other.operations,
            cuts: self.cuts + other.cuts,
            states: self.states + other.states,
            recoveries: self.recoveries + other.recoveries,
        }
    }
}

/// What is common to a [`Probe`] and the one who drives it: the world outside the part, and the forks so far.
pub struct Forks<W, const PROGRAM: usize, const SECTOR: usize> {
    /// The world, which outlives the device's power cuts. The driver keeps it up to date.
    pub world: W,
    /// Whether operations fork.
    pub enabled: bool,
    tears: Tears,
    seed: u64,
    cuts: u64,
    seen: HashSet<u64>,
    new: Vec<(SimFlash<PROGRAM, SECTOR>, W)>,
}

impl<W: Clone + Hash, const PROGRAM: usize, const SECTOR: usize> Forks<W, PROGRAM, SECTOR> {
    fn keep(&mut self, mut flash: SimFlash<PROGRAM, SECTOR>) {
        self.cuts += 1;
        flash.restart();
        let mut hasher = std::collections::hash_map::DefaultHasher::new();
        flash.state_hash().hash(&mut hasher);
        self.world.hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.new.push((flash, self.world.clone()));
        }
    }

    /// Cuts the power before and in an operation of `length` bytes which `operate` does.
    fn fork(
        &mut self,
        flash: &SimFlash<PROGRAM, SECTOR>,
        length: u32,
        operate: impl Fn(&mut SimFlash<PROGRAM, SECTOR>) -> Result<(), SimFlashError>,
    ) {
        if !self.enabled {
            return;
        }
        self.keep(flash.clone());
        let chance = self.seed ^ flash.operations.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        for torn_at in self.tears.at(length, chance >> 7) {
            let mut torn = flash.clone();
            torn.seed(chance ^ u64::from(torn_at));
            torn.cut_power_at(PowerCut {
                operation: flash.operations,
                torn_at,
            });
            // A refusal is the uncut run's to find.
            if operate(&mut torn) == Err(SimFlashError::PowerLost) {
                self.keep(torn);
            }
        }
    }
}

/// A part under exploration.
pub struct Probe<W, const PROGRAM: usize, const SECTOR: usize> {
    /// The part itself.
    pub flash: SimFlash<PROGRAM, SECTOR>,
    forks: Rc<RefCell<Forks<W, PROGRAM, SECTOR>>>,
}

impl<W, const PROGRAM: usize, const SECTOR: usize> ErrorType for Probe<W, PROGRAM, SECTOR> {
    type Error = SimFlashError;
}

impl<W, const PROGRAM: usize, const SECTOR: usize> ReadNorFlash for Probe<W, PROGRAM, SECTOR> {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl<W: Clone + Hash, const PROGRAM: usize, const SECTOR: usize> NorFlash for Probe<W, PROGRAM, SECTOR> {
    const WRITE_SIZE: usize = PROGRAM;
    const ERASE_SIZE: usize = SECTOR;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        for at in (from..to).step_by(SECTOR) {
            let sector = SECTOR as u32;
            self.forks
                .borrow_mut()
                .fork(&self.flash, sector, |flash| flash.erase(at, at + sector));
            self.flash.erase(at, at + sector)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        self.forks
            .borrow_mut()
            .fork(&self.flash, bytes.len() as u32, |flash| {
                flash.write(offset, bytes)
            });
        self.flash.write(offset, bytes)
    }
}

/// Explores one scenario on one part.
pub struct Explorer<W, const PROGRAM: usize, const SECTOR: usize> {
    limits: Limits,
    forks: Rc<RefCell<Forks<W, PROGRAM, SECTOR>>>,
}

impl<W: Clone + Hash, const PROGRAM: usize, const SECTOR: usize> Explorer<W, PROGRAM, SECTOR> {
    /// An explorer of a scenario that begins in this world.
    #[must_use]
    pub fn new(limits: Limits, world: W) -> Self {
        let forks = Forks {
            world,
            enabled: false,
            tears: limits.tears,
            seed: limits.seed,
            cuts: 0,
            seen: HashSet::new(),
            new: Vec::new(),
        };
        Self {
            limits,
            forks: Rc::new(RefCell::new(forks)),
        }
    }

    /// Runs the scenario uncut from `initial`, then a recovery from every state that a cut leaves, up to the depth.
    ///
    /// `run` takes the part from power-on to the end of the scenario, and panics where a promise is broken. It is told how many
    /// cuts there were, keeps [`Forks::world`] up to date, and switches [`Forks::enabled`] off for what is no longer part
    /// of the scenario.
    ///
    /// Returns what was tried, and the wear of the uncut run.
    pub fn explore(
        &self,
        initial: SimFlash<PROGRAM, SECTOR>,
        mut run: impl FnMut(
            Probe<W, PROGRAM, SECTOR>,
            &Rc<RefCell<Forks<W, PROGRAM, SECTOR>>>,
            u32,
        ) -> SimFlash<PROGRAM, SECTOR>,
    ) -> (Explored, SimFlash<PROGRAM, SECTOR>) {
        let world = self.forks.borrow().world.clone();
        let uncut = self.run(&mut run, initial, world, 0);
        let mut explored = Explored {
            operations: uncut.operations(),
            ..Explored::default()
        };
        self.recover(&mut run, 1, &mut explored);
        explored.cuts = self.forks.borrow().cuts;
        (explored, uncut)
    }

    /// Recovers from each of the forks since the last call, and from the forks of each recovery before the next: so no more
    /// than those of one run at each depth are kept.
    fn recover(
        &self,
        run: &mut impl FnMut(
            Probe<W, PROGRAM, SECTOR>,
            &Rc<RefCell<Forks<W, PROGRAM, SECTOR>>>,
            u32,
        ) -> SimFlash<PROGRAM, SECTOR>,
        depth: u32,
        explored: &mut Explored,
    ) {
        let mut states = core::mem::take(&mut self.forks.borrow_mut().new);
        explored.states += states.len() as u64;
        self.choose(&mut states, depth, explored.recoveries);
        for (flash, world) in states {
            explored.recoveries += 1;
            self.run(run, flash, world, depth);
            if depth < self.limits.depth {
                self.recover(run, depth + 1, explored);
            }
        }
    }

    fn run(
        &self,
        run: &mut impl FnMut(
            Probe<W, PROGRAM, SECTOR>,
            &Rc<RefCell<Forks<W, PROGRAM, SECTOR>>>,
            u32,
        ) -> SimFlash<PROGRAM, SECTOR>,
        mut flash: SimFlash<PROGRAM, SECTOR>,
        world: W,
        depth: u32,
    ) -> SimFlash<PROGRAM, SECTOR> {
        flash.restart();
        let mut forks = self.forks.borrow_mut();
        forks.world = world;
        // Forks of the last recovery would be those of one cut more.
        forks.enabled = depth < self.limits.depth;
        drop(forks);
        let probe = Probe {
            flash,
            forks: Rc::clone(&self.forks),
        };
        run(probe, &self.forks, depth)
    }

    /// Keeps a seeded choice of so many states, spread over all of them in the order in which they came up.
    fn choose(&self, states: &mut Vec<(SimFlash<PROGRAM, SECTOR>, W)>, depth: u32, turn: u64) {
        let most = if depth == 1 {
            self.limits.states_max
        } else {
            self.limits.deeper_max
        };
        let Some(most) = most.filter(|most| *most < states.len()) else {
            return;
        };
        let count = states.len();
        let first = (self.limits.seed.wrapping_add(turn.wrapping_mul(31)) % count as u64) as usize;
        let chosen: HashSet<usize> = (0..most).map(|i| (first + i * count / most) % count).collect();
        let mut index = 0;
        states.retain(|_| {
            index += 1;
            chosen.contains(&(index - 1))
        });
    }
}
