//! The trial of a new image: what confirms it, and what ends it.

use deltagate_flash::{BootRecord, RevertReason};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{LastUpdate, Outcome};

use crate::core::{Core, FlashFailed, TrialLimit};
use crate::event::Event;
use crate::journal::JournalRecord;
use crate::state::State;

impl<'m, F: NorFlash> Core<'m, F> {
    /// The gateway answered: an image on trial is confirmed by one record in the boot log. That it is, is reported
    /// with the next check-in.
    pub(crate) fn confirm(&mut self) -> Result<(), FlashFailed> {
        if self.trial.is_none() {
            return Ok(());
        }
        let sequence = self.running.sequence;
        let is_update = self
            .boot_log
            .trial
            .is_some_and(|trial| trial.sequence == sequence);
        self.append_boot_record(BootRecord::Confirmed { sequence })?;
        self.trial = None;
        self.effects.event(Event::Confirmed { sequence });
        if is_update {
            let outcome = LastUpdate {
                sequence_number: sequence.into(),
                outcome: Outcome::Confirmed,
                detail: None,
            };
            self.journal.append(JournalRecord::Outcome(outcome))?;
        }
        Ok(())
    }

    /// Whether the image on trial had its time.
    pub(crate) fn trial_is_over(&self, now_ms: u64) -> bool {
        self.trial_deadline_ms()
            .is_some_and(|deadline_ms| deadline_ms <= now_ms)
    }

    pub(crate) fn trial_deadline_ms(&self) -> Option<u64> {
        self.trial.and_then(|limit| limit.deadline_ms)
    }

    /// Gives the running image up. Should the record not be written, the bootloader's count of attempts does it.
    pub(crate) fn give_up(&mut self) -> State<'m> {
        let (sequence, reason) = (self.running.sequence, RevertReason::NoContact);
        let written = self.append_boot_record(BootRecord::Reverted { sequence, reason });
        if written.is_err() {
            self.effects.event(Event::FlashFailed);
        }
        self.effects.event(Event::Reverting { sequence, reason });
        self.effects.reboot();
        self.client.cancel();
        State::Rebooting
    }
}

impl TrialLimit {
    /// The limit of an image started at `now_ms`. The bootloader counts no attempts of a last resort: there is
    /// nothing to go back to, so that image keeps trying.
    pub(crate) fn new(attempt: u8, now_ms: u64, contact_ms_max: u64) -> Self {
        Self {
            deadline_ms: (attempt > 0).then(|| now_ms.saturating_add(contact_ms_max)),
        }
    }
}
