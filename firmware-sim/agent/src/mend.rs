//! After a restart in the middle of a fetch, on a part whose program units take one programming between two erases.
//!
//! The unit under way when the power went away is neither programmed nor erased, and nobody can tell by reading which it was.
//! Its sector has to be erased, and what was staged before it in that sector must not be fetched again:
//!
//! | step | does | after a restart here |
//! |---|---|---|
//! | Save | erases the scratch sector, the last one of the spare slot, and copies the good part of the sector there | Save |
//! | | journal: Mending, with the number of good bytes | Clear |
//! | Clear | erases the sector and all that follow it, for nobody knows which bytes past it are in flux | Clear |
//! | Restore | copies the good part back | Clear |
//! | | journal: Firm, with the same number; the fetch goes on | Save |
//!
//! Every restart costs one more pass over the rest of the payload's sectors, and one erase of the scratch sector.

use deltagate_flash::{FlashError, Region};
use embedded_storage::nor_flash::NorFlash;

use crate::accept::Update;
use crate::apply::Erasing;
use crate::core::{Core, FlashFailed};
use crate::journal::JournalRecord;
use crate::state::{Phase, State};

/// Bytes copied in one step of work.
const COPY_STEP_BYTES: u32 = 1_024;
/// Bytes of it on the stack: whole program units of any part.
const COPY_WINDOW_BYTES: usize = 64;

/// Where the mending stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mend {
    /// So many bytes of the payload are good.
    good: u32,
    step: Step,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// `copied` bytes of the sector are in the scratch sector; `None` before that is erased.
    Save {
        copied: Option<u32>,
    },
    Clear(Erasing),
    Restore {
        copied: u32,
    },
}

impl Mend {
    /// Begins with `good` bytes of the payload, whole blocks and units.
    pub(crate) const fn begin(good: u32) -> Self {
        Self {
            good,
            step: Step::Save { copied: None },
        }
    }
}

impl<'m, F: NorFlash> Core<'m, F> {
    /// Goes on with a mending that the journal knows of.
    pub(crate) fn mend_again(&self, update: &Update, good: u32) -> Result<Mend, FlashError> {
        let sector = Region::<F>::SECTOR_BYTES;
        let end = self.payload_region(update)?.bytes();
        Ok(Mend {
            good,
            step: Step::Clear(Erasing::rest(good - good % sector, end)),
        })
    }

    /// One step of it.
    pub(crate) fn mend(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating {
            update,
            phase: Phase::Mending { size, mend },
        } = state
        else {
            return Ok(());
        };
        let (payload, scratch) = (self.payload_region(update)?, self.scratch_region()?);
        let kept = mend.good % Region::<F>::SECTOR_BYTES;
        let sector = payload.sub(mend.good - kept, kept)?;
        match &mut mend.step {
            Step::Save { copied: Some(copied) } if *copied < kept => copy(sector, scratch, copied, kept)?,
            Step::Save { copied: None } if kept > 0 => {
                scratch.erase(0, scratch.bytes())?;
                mend.step = Step::Save { copied: Some(0) };
            }
            Step::Save { .. } => {
                self.journal.append(JournalRecord::Mending(mend.good))?;
                *mend = self.mend_again(update, mend.good)?;
            }
            Step::Clear(erasing) => {
                if erasing.step(payload)? {
                    mend.step = Step::Restore { copied: 0 };
                }
            }
            Step::Restore { copied } if *copied < kept => copy(scratch, sector, copied, kept)?,
            Step::Restore { .. } => {
                self.journal.append(JournalRecord::Firm(mend.good))?;
                let (good, size) = (mend.good, *size);
                return self.resume_fetching(now_ms, state, good, size);
            }
        }
        Ok(())
    }

    /// A sector of the spare slot that no image and no payload reaches.
    fn scratch_region(&self) -> Result<Region<'m, F>, FlashError> {
        let sector = Region::<F>::SECTOR_BYTES;
        let slot = self.spare_slot().image()?;
        slot.sub(slot.bytes().saturating_sub(sector), sector)
    }
}

fn copy<F: NorFlash>(
    from: Region<'_, F>,
    to: Region<'_, F>,
    copied: &mut u32,
    all: u32,
) -> Result<(), FlashError> {
    let end = all.min(copied.saturating_add(COPY_STEP_BYTES));
    let mut window = [0; COPY_WINDOW_BYTES];
    while *copied < end {
        let length = (end - *copied).min(COPY_WINDOW_BYTES as u32);
        let part = window.get_mut(..length as usize).ok_or(FlashError::OutOfBounds)?;
        from.read(*copied, part)?;
        to.program(*copied, part)?;
        *copied += length;
    }
    Ok(())
}
