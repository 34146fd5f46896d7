//! The trial of a new image: what confirms it, and what ends it.

use deltagate_flash::{BootRecord, RevertReason};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{LastUpdate, Outcome};

use crate::config::Config;
use crate::core::{Core, FlashFailed, TrialLimit};
use crate::event::Event;
use crate::journal::JournalRecord;
use crate::state::State;

impl<'m, F: NorFlash> Core<'m, F> {
    /// The gateway answered.
    pub(crate) fn had_contact(&mut self) -> Result<(), FlashFailed> {
        if let Some(limit) = &mut self.trial {
            limit.contact = true;
        }
        self.confirm()
    }

    /// The application judged itself. One that fails is given up at once, asked for or not, where there is another
    /// image to go back to: then `state` says so.
    pub(crate) fn self_tested(&mut self, state: &mut State<'m>, passed: bool) -> Result<(), FlashFailed> {
        match &mut self.trial {
            Some(limit) if passed => limit.self_test = true,
            Some(limit) if limit.deadline_ms.is_some() => {
                self.give_up(state, RevertReason::SelfTest);
                return Ok(());
            }
            _ => {}
        }
        self.confirm()
    }

    /// An image on trial that has proved itself is confirmed by one record in the boot log. That it is, is reported
    /// with the next check-in.
    fn confirm(&mut self) -> Result<(), FlashFailed> {
        if !self.trial.is_some_and(|limit| limit.contact && limit.self_test) {
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

    /// Why the image on trial is given up when its time is over.
    pub(crate) fn lacking(&self) -> RevertReason {
        match self.trial {
            Some(limit) if limit.contact => RevertReason::SelfTest,
            _ => RevertReason::NoContact,
        }
    }

    /// Gives the running image up. Should the record not be written, the bootloader's count of attempts does it.
    pub(crate) fn give_up(&mut self, state: &mut State<'m>, reason: RevertReason) {
        let sequence = self.running.sequence;
        let written = self.append_boot_record(BootRecord::Reverted { sequence, reason });
        if written.is_err() {
            self.effects.event(Event::FlashFailed);
        }
        self.effects.event(Event::Reverting { sequence, reason });
        self.effects.reboot();
        self.client.cancel();
        *state = State::Rebooting;
    }
}

impl TrialLimit {
    /// The limit of an image started at `now_ms`. The bootloader counts no attempts of a last resort: there is
    /// nothing to go back to, so that image keeps trying.
    pub(crate) fn new(attempt: u8, now_ms: u64, config: &Config) -> Self {
        Self {
            deadline_ms: (attempt > 0).then(|| now_ms.saturating_add(config.contact_ms_max)),
            contact: false,
            self_test: !config.self_test,
        }
    }
}
