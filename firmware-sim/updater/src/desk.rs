//! The running firmware's end of the journal: where it asks for an update, and learns what became of the last one.

use deltagate_flash::Region;
use embedded_storage::nor_flash::NorFlash;

use crate::journal::{Entry, Journal, JournalState, Request};
use crate::outcome::{Fault, Outcome};

/// The journal, opened by firmware that runs in the slot. It is idle then: an update under way leaves nothing that could run.
pub struct Desk<'f, F> {
    journal: Journal<'f, F>,
}

impl<'f, F: NorFlash> Desk<'f, F> {
    /// Reads the journal that lies in `region`: [`crate::SingleSlot::journal`].
    ///
    /// # Errors
    /// The flash's.
    pub fn open(region: Region<'f, F>) -> Result<Self, Fault> {
        let journal = Journal::open(region)?;
        Ok(Self { journal })
    }

    /// What became of the last request; `None` if there was none yet, or one waits.
    #[must_use]
    pub fn last(&self) -> Option<Outcome> {
        match self.journal.state() {
            JournalState::Idle(outcome) => outcome,
            _ => None,
        }
    }

    /// Asks for a patch to be applied, which lies in the staging area behind its image's envelope. The update begins when the
    /// updater runs next: after a reset. Asked for the same one again while it waits, nothing changes.
    ///
    /// # Errors
    /// [`Fault::Misuse`] if something else is to be done already, or the flash's.
    pub fn request(&mut self, request: Request) -> Result<(), Fault> {
        match self.journal.state() {
            JournalState::Requested(waiting) if waiting == request => Ok(()),
            JournalState::Idle(_) => {
                self.journal.settle()?;
                Ok(self.journal.append(Entry::Requested(request))?)
            }
            _ => Err(Fault::Misuse),
        }
    }
}
