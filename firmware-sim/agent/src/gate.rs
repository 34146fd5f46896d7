//! The application's say: an update may be put off before its download and before the restart, and for how long.
//!
//! Nothing here can be made shorter by a gateway than the firmware's author guarantees, nor longer than he allows: the
//! job's own figure is clamped between [`Config::defer_s_min`](crate::Config::defer_s_min) and
//! [`Config::defer_s_max`](crate::Config::defer_s_max).

use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{Deferral, DeferralReason, DeferralStage, Job};

use crate::core::{Core, FlashFailed, narrow, seconds};
use crate::event::Event;
use crate::journal::{Deferred, JournalRecord, Stage};

/// What the application says to the next step of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be done.
    Clear,
    /// Not now.
    Deferred(DeferralReason),
}

/// The application's say, until it says otherwise with [`crate::Agent::set_gate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gate {
    /// Consulted before anything is erased or fetched for an update.
    pub download: Verdict,
    /// Consulted when the new image is verified, before it is handed to the bootloader.
    pub restart: Verdict,
}

impl Gate {
    /// Nothing is put off: how an agent begins.
    pub const CLEAR: Self = Self {
        download: Verdict::Clear,
        restart: Verdict::Clear,
    };

    pub(crate) const fn verdict(&self, stage: DeferralStage) -> Verdict {
        match stage {
            DeferralStage::Download => self.download,
            DeferralStage::Restart => self.restart,
        }
    }
}

/// No update has this sequence number: it would have to be above that of what runs.
const NO_IMAGE: u64 = 0;

/// How long a deferral is remembered at least.
const DEFERRED_MS_MIN: u64 = 3_600_000;

/// An update that waits for its gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PutOff {
    stage: DeferralStage,
    sequence_number: u64,
    /// The gate is heeded no longer.
    until_ms: u64,
}

impl<F: NorFlash> Core<'_, F> {
    /// Puts `job` off before `stage` if the application wants that and its time is not over: when the agent then is to check in,
    /// as usual.
    pub(crate) fn put_off(
        &mut self,
        now_ms: u64,
        stage: DeferralStage,
        job: &Job,
    ) -> Result<Option<u64>, FlashFailed> {
        let sequence_number = job.sequence_number;
        let Verdict::Deferred(reason) = self.gate.verdict(stage) else {
            self.put_off = None;
            return Ok(None);
        };
        let known = self.journal.state().deferred;
        let since_ms = known
            .filter(|deferred| deferred.sequence_number == sequence_number)
            .map_or(now_ms, |deferred| deferred.since_ms);
        let (least_s, most_s) = (self.config.defer_s_min, self.config.defer_s_max);
        let longest_s = job.defer_s_max.unwrap_or(most_s).min(most_s).max(least_s);
        let until_ms = since_ms.saturating_add(u64::from(longest_s) * 1_000);
        if until_ms <= now_ms {
            self.put_off = None;
            return Ok(None);
        }
        self.journal.append(JournalRecord::Deferred(Deferred {
            sequence_number,
            since_ms,
        }))?;
        let put_off = PutOff {
            stage,
            sequence_number,
            until_ms,
        };
        if self.put_off != Some(put_off) {
            self.put_off = Some(put_off);
            self.effects.event(Event::Deferred {
                sequence: narrow(sequence_number),
                severity: job.severity,
                stage,
                reason,
            });
        }
        Ok(Some(self.next_check_in_ms(now_ms, self.checkin_interval_s)))
    }

    /// Nothing is offered any more: the image put off last is put off anew, should it be offered again. Not in the first
    /// hour, or a gateway that cannot make up its mind would wear the journal out.
    pub(crate) fn forget_deferral(&mut self, now_ms: u64) -> Result<(), FlashFailed> {
        self.put_off = None;
        let is_old = |deferred: &Deferred| {
            deferred.sequence_number != NO_IMAGE
                && now_ms.saturating_sub(deferred.since_ms) >= DEFERRED_MS_MIN
        };
        if self.journal.state().deferred.as_ref().is_some_and(is_old) {
            self.journal.append(JournalRecord::Deferred(Deferred {
                sequence_number: NO_IMAGE,
                since_ms: now_ms,
            }))?;
        }
        Ok(())
    }

    /// What a check-in says of an update put off.
    pub(crate) fn deferral(&self, now_ms: u64) -> Option<Deferral> {
        let PutOff {
            stage,
            sequence_number,
            ..
        } = self.put_off?;
        let Verdict::Deferred(reason) = self.gate.verdict(stage) else {
            return None;
        };
        let since = self.journal.state().deferred;
        let since = since.filter(|deferred| deferred.sequence_number == sequence_number)?;
        Some(Deferral {
            stage,
            reason,
            seconds: seconds(now_ms.saturating_sub(since.since_ms)),
        })
    }

    /// When an update put off goes on whatever the application says.
    pub(crate) fn deferred_until_ms(&self) -> Option<u64> {
        self.put_off.map(|put_off| put_off.until_ms)
    }

    /// The stage at which an update was put off and may go on now. Told once: what fails after it waits like any other.
    pub(crate) fn let_go(&mut self, now_ms: u64) -> Option<DeferralStage> {
        let PutOff { stage, until_ms, .. } = self.put_off?;
        let open = self.gate.verdict(stage) == Verdict::Clear || until_ms <= now_ms;
        open.then(|| self.put_off = None).map(|()| stage)
    }

    /// Whether the image of the job under way is complete and verified, and waits for its restart.
    pub(crate) fn is_verified(&self) -> bool {
        self.journal
            .state()
            .job
            .is_some_and(|job| job.stage >= Stage::Verified)
    }
}
