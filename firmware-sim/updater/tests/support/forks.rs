//! Every power cut of a run, and of every recovery from one.
//!
//! A [`Forking`] part hands a copy of itself to [`Forks`] at every operation, once for each way in which the power may go away in
//! it. Each copy is the state that a device wakes up in; equal states are kept once.

use std::cell::RefCell;
use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use deltagate_flash::sim::{PowerCut, SimFlash, SimFlashError};
use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

/// What the cuts left so far.
pub(crate) struct Forks {
    /// Bytes of an operation that still happen.
    pub(crate) tears: &'static [u32],
    pub(crate) enabled: bool,
    pub(crate) cuts: u64,
    seen: HashSet<u64>,
    new: Vec<SimFlash>,
}

impl Forks {
    pub(crate) fn new(tears: &'static [u32]) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Self {
            tears,
            enabled: false,
            cuts: 0,
            seen: HashSet::new(),
            new: Vec::new(),
        }))
    }

    /// The states since the last call.
    pub(crate) fn take(&mut self) -> Vec<SimFlash> {
        std::mem::take(&mut self.new)
    }

    fn keep(&mut self, flash: SimFlash) {
        self.cuts += 1;
        let mut hasher = DefaultHasher::new();
        flash.bytes().hash(&mut hasher);
        if self.seen.insert(hasher.finish()) {
            self.new.push(flash);
        }
    }
}

pub(crate) struct Forking {
    pub(crate) flash: SimFlash,
    forks: Rc<RefCell<Forks>>,
}

impl Forking {
    pub(crate) fn new(mut flash: SimFlash, forks: &Rc<RefCell<Forks>>) -> Self {
        flash.restart();
        Self {
            flash,
            forks: Rc::clone(forks),
        }
    }

    fn fork(&self, operate: impl Fn(&mut SimFlash) -> Result<(), SimFlashError>) {
        let mut forks = self.forks.borrow_mut();
        if !forks.enabled {
            return;
        }
        for &torn_at in forks.tears {
            let mut torn = self.flash.clone();
            torn.cut_power_at(PowerCut {
                operation: self.flash.operations(),
                torn_at,
            });
            // A refusal is for the uncut run to find.
            if operate(&mut torn) == Err(SimFlashError::PowerLost) {
                torn.restart();
                forks.keep(torn);
            }
        }
    }
}

impl ErrorType for Forking {
    type Error = SimFlashError;
}

impl ReadNorFlash for Forking {
    const READ_SIZE: usize = <SimFlash as ReadNorFlash>::READ_SIZE;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        self.flash.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.flash.capacity()
    }
}

impl NorFlash for Forking {
    const WRITE_SIZE: usize = <SimFlash as NorFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <SimFlash as NorFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        for at in (from..to).step_by(Self::ERASE_SIZE) {
            let end = at + Self::ERASE_SIZE as u32;
            self.fork(|flash| flash.erase(at, end));
            self.flash.erase(at, end)?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        self.fork(|flash| flash.write(offset, bytes));
        self.flash.write(offset, bytes)
    }
}
