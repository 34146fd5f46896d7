//! The work on the spare slot: preparing it, turning the payload into an image, verifying, arming the trial; and going
//! on with all that after a restart.

use deltagate_flash::{BootRecord, ENVELOPE_BYTES_MAX, Region, SlotHeaderFault};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{DeferralStage, Format, Job, Outcome};
use wire_coap::BlockSize;
use wire_patch::{DecodeError, HEADER_BYTES_MAX, Progress};

use crate::accept::{Refusal, Update, check_patch, judge};
use crate::apply::{Erasing, HASH_STEP_BYTES, Source, Target};
use crate::core::{Core, FlashFailed};
use crate::decoder::Decoder;
use crate::event::Event;
use crate::in_place::InPlace;
use crate::journal::{JournalJob, JournalRecord, Stage, Terms, is_same_payload};
use crate::mend::Mend;
use crate::staging;
use crate::state::{Phase, State};

/// Units of decoding in one step of work, about an output byte each: some tens of milliseconds on a slow core.
const DECODE_BUDGET: u32 = 512;

impl<'m, F: NorFlash> Core<'m, F> {
    /// One step of `work`.
    pub(crate) fn work(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating { phase, .. } = state else {
            return Ok(());
        };
        match phase {
            Phase::Preparing { .. } => self.prepare(now_ms, state),
            Phase::Mending { .. } => self.mend(now_ms, state),
            Phase::Fetching { .. } => Ok(()),
            Phase::CheckingPayload { .. } => self.check_payload(now_ms, state),
            Phase::Clearing { erasing } => {
                if erasing.step(self.spare_slot().image()?)? {
                    self.begin_decoding(now_ms, state)?;
                }
                Ok(())
            }
            Phase::Decoding { .. } => self.decode(now_ms, state),
            Phase::Verifying { .. } => self.verify(now_ms, state),
        }
    }

    /// The header goes first: from then on the bootloader sees an empty slot, and no other update is resumed. The
    /// journal's record comes last: it promises a slot that is erased and holds its envelope.
    #[inline(never)]
    fn prepare(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating {
            update,
            phase: Phase::Preparing { envelope, erasing },
        } = state
        else {
            return Ok(());
        };
        let slot = self.spare_slot();
        let Some(begun) = erasing else {
            slot.erase_header()?;
            let sector = Region::<F>::SECTOR_BYTES;
            *erasing = Some(Erasing::new(update.job.payload_bytes, sector));
            return Ok(());
        };
        if !begun.step(self.payload_region(update)?)? {
            return Ok(());
        }
        slot.write_envelope(envelope.as_bytes())?;
        self.journal.append(JournalRecord::JobStarted(update.job))?;
        self.journal
            .append(JournalRecord::Terms(Terms::of(&update.job)))?;
        self.fetch_payload(now_ms, state, 0, self.config.block_size_max)
    }

    #[inline(never)]
    fn check_payload(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating { update, phase } = state else {
            return Ok(());
        };
        let Phase::CheckingPayload { hashing } = phase else {
            return Ok(());
        };
        if self.config.in_place.is_some()
            && self.is_verified()
            && let Some(until_ms) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
        {
            state.idle_until(until_ms);
            return Ok(());
        }
        let Some(digest) = hashing.step(self.payload_region(update)?, HASH_STEP_BYTES)? else {
            return Ok(());
        };
        if !digest.starts_with(&update.job.artefact_digest) {
            return self.end_update(now_ms, state, Outcome::PayloadChanged.into());
        }
        self.journal.append(JournalRecord::Staged)?;
        self.effects.event(Event::Staged);
        match self.config.in_place {
            None => {
                *phase = self.applying(update);
                Ok(())
            }
            Some(in_place) => self.hand_over(now_ms, state, in_place, digest),
        }
    }

    /// Leaves the rest to the updater.
    #[inline(never)]
    fn hand_over(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        in_place: InPlace,
        patch_digest: [u8; 32],
    ) -> Result<(), FlashFailed> {
        let State::Updating { update, .. } = state else {
            return Ok(());
        };
        if let Some(until_ms) = self.put_off(now_ms, DeferralStage::Restart, &update.job)? {
            self.journal.append(JournalRecord::Verified)?;
            state.idle_until(until_ms);
            return Ok(());
        }
        in_place.ask(self.flash, update.job.payload_bytes, patch_digest)?;
        self.journal.append(JournalRecord::Armed)?;
        self.effects.event(Event::Handed {
            sequence: update.image.sequence,
        });
        self.effects.reboot();
        self.client.cancel();
        *state = State::Rebooting;
        Ok(())
    }

    /// Applying always begins with erasing: a power cut may have left part of an image.
    fn applying(&mut self, update: &Update) -> Phase<'m> {
        self.effects.event(Event::Applying);
        Phase::Clearing {
            erasing: Erasing::new(update.image.bytes, Region::<F>::SECTOR_BYTES),
        }
    }

    #[inline(never)]
    fn begin_decoding(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating { update, phase } = state else {
            return Ok(());
        };
        let start = self.patch_start(update)?;
        let refusal = match check_patch(&self.device(), update, &start) {
            Ok(header) => match self.memory.take().map(|memory| Decoder::new(header, memory)) {
                Some(Ok(decoder)) => {
                    *phase = Phase::Decoding { decoder, written: 0 };
                    return Ok(());
                }
                _ => Outcome::DecoderMemory.into(),
            },
            Err(refusal) => refusal,
        };
        self.end_update(now_ms, state, refusal)
    }

    #[inline(never)]
    fn decode(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating { update, phase } = state else {
            return Ok(());
        };
        let Phase::Decoding { decoder, written } = phase else {
            return Ok(());
        };
        let stepped = self.decode_step(update, decoder, *written);
        if let Ok((Progress::More, so_far)) = stepped {
            *written = so_far;
            return Ok(());
        }
        let detail = decoder.produced();
        let verifying = Phase::Verifying {
            hashing: self.hashing(update.image.bytes),
        };
        if let Phase::Decoding { decoder, .. } = core::mem::replace(phase, verifying) {
            self.memory = Some(decoder.into_memory());
        }
        match stepped {
            Ok(_) => Ok(()),
            Err(DecodeError::BaseUnreadable | DecodeError::PatchUnreadable | DecodeError::OutputFailed) => {
                Err(FlashFailed)
            }
            Err(_) => {
                let refusal = Refusal {
                    outcome: Outcome::PatchFailed,
                    detail: Some(detail),
                };
                self.end_update(now_ms, state, refusal)
            }
        }
    }

    #[inline(never)]
    fn decode_step(
        &self,
        update: &Update,
        decoder: &mut Decoder<'m>,
        written: u32,
    ) -> Result<(Progress, u32), DecodeError> {
        let region = self.running_image().map_err(|_| DecodeError::BaseUnreadable)?;
        let mut base = Source {
            region,
            bytes: self.running.bytes,
        };
        let region = self
            .payload_region(update)
            .map_err(|_| DecodeError::PatchUnreadable)?;
        let mut patch = Source {
            region,
            bytes: update.job.payload_bytes,
        };
        let mut target = Target {
            slot: self.spare_slot(),
            written,
        };
        let progress = decoder.step(&mut base, &mut patch, &mut target, DECODE_BUDGET)?;
        Ok((progress, target.written))
    }

    #[inline(never)]
    fn verify(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<(), FlashFailed> {
        let State::Updating {
            update,
            phase: Phase::Verifying { hashing },
        } = state
        else {
            return Ok(());
        };
        if self.is_verified()
            && let Some(until_ms) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
        {
            state.idle_until(until_ms);
            return Ok(());
        }
        let image = self.spare_slot().image()?;
        let Some(digest) = hashing.step(image, HASH_STEP_BYTES)? else {
            return Ok(());
        };
        if digest == update.image.digest {
            match self.put_off(now_ms, DeferralStage::Restart, &update.job)? {
                None => {
                    self.arm(update.image.sequence)?;
                    *state = State::Rebooting;
                }
                Some(until_ms) => {
                    self.journal.append(JournalRecord::Verified)?;
                    state.idle_until(until_ms);
                }
            }
            return Ok(());
        }
        // Of a full image the job names the digest too: bytes that differ from the job's are the link's fault.
        let outcome = match update.job.format {
            Format::Full => Outcome::PayloadChanged,
            _ => Outcome::DigestMismatch,
        };
        self.end_update(now_ms, state, outcome.into())
    }

    /// Hands the image over to the bootloader. The journal's record comes first: it makes a revert of this trial
    /// one to report, even when the same image was reverted and reported before.
    #[inline(never)]
    fn arm(&mut self, sequence: u32) -> Result<(), FlashFailed> {
        self.journal.append(JournalRecord::Armed)?;
        self.append_boot_record(BootRecord::Trial {
            sequence,
            slot: self.spare,
        })?;
        self.effects.event(Event::Verified { sequence });
        self.effects.reboot();
        self.client.cancel();
        Ok(())
    }

    /// Goes on with the update that the journal knows, in the state where that is; false when there is none, or it is over.
    pub(crate) fn resume(&mut self, now_ms: u64, state: &mut State<'m>) -> Result<bool, FlashFailed> {
        self.put_off = self.put_off.filter(|_| self.is_verified());
        let Some(JournalJob {
            job,
            stage,
            block_size,
            mending,
            firm_bytes,
        }) = self.journal.state().job
        else {
            return Ok(false);
        };
        let update = match self.resumable(&job, stage)? {
            Some(update) if self.may_update() => update,
            _ => {
                self.journal.append(JournalRecord::JobEnded)?;
                return Ok(false);
            }
        };
        let sequence = update.image.sequence;
        self.begin(job.sequence_number);
        state.go_on(update);
        let State::Updating { update, phase } = state else {
            return Ok(true);
        };
        match stage {
            Stage::Started => {
                let largest = self.config.block_size_max;
                let size = block_size.map_or(largest, |size| size.min(largest));
                let payload = self.payload_region(update)?;
                let found = match mending {
                    Some(good) => good,
                    None => staging::staged(payload, update.job.payload_bytes, size.bytes())?.max(firm_bytes),
                };
                // A multiple of the block asked for, whatever its size was when this was written down.
                let staged_bytes = found - found % size.bytes().max(Region::<F>::PROGRAM_BYTES);
                self.effects.event(Event::Resumed {
                    sequence,
                    staged_bytes,
                });
                let mend = match mending {
                    Some(_) => self.mend_again(update, staged_bytes)?,
                    None => Mend::begin(staged_bytes),
                };
                *phase = Phase::Mending { size, mend };
                if !self.config.program_once && mending.is_none() {
                    // Nothing to mend.
                    self.resume_fetching(now_ms, state, staged_bytes, size)?;
                }
            }
            Stage::Staged | Stage::Verified | Stage::Armed => {
                if stage >= Stage::Verified
                    && let Some(until_ms) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
                {
                    state.idle_until(until_ms);
                    return Ok(true);
                }
                if let (Stage::Armed, Some(in_place)) = (stage, self.config.in_place) {
                    let outcome = in_place.refusal(self.flash)?.unwrap_or(Outcome::PatchFailed);
                    state.idle_until(self.drop_update(now_ms, job.sequence_number, outcome.into())?);
                    return Ok(true);
                }
                let staged_bytes = update.job.payload_bytes;
                self.effects.event(Event::Resumed {
                    sequence,
                    staged_bytes,
                });
                if self.config.in_place.is_some() {
                    let hashing = self.hashing(staged_bytes);
                    *phase = Phase::CheckingPayload { hashing };
                } else if (stage, update.job.format) == (Stage::Staged, Format::Patch) {
                    *phase = self.applying(update);
                } else {
                    let hashing = self.hashing(update.image.bytes);
                    *phase = Phase::Verifying { hashing };
                }
            }
        }
        Ok(true)
    }

    pub(crate) fn resume_fetching(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        staged_bytes: u32,
        size: BlockSize,
    ) -> Result<(), FlashFailed> {
        let State::Updating { update, .. } = state else {
            return Ok(());
        };
        if update.job.format == Format::Patch && staged_bytes as usize >= HEADER_BYTES_MAX {
            let start = self.patch_start(update)?;
            if let Err(refusal) = check_patch(&self.device(), update, &start) {
                return self.end_update(now_ms, state, refusal);
            }
        }
        self.fetch_payload(now_ms, state, staged_bytes, size)
    }

    /// The update of a journal entry, judged again by the envelope in the spare slot: the agent or its configuration
    /// may be another one than before, and so may the slot's content.
    fn resumable(&self, job: &Job, stage: Stage) -> Result<Option<Update>, FlashFailed> {
        let of_job = |sequence: u32| u64::from(sequence) == job.sequence_number;
        let tried = self.boot_log.trial.is_some_and(|trial| of_job(trial.sequence))
            || self
                .boot_log
                .reverted
                .is_some_and(|reverted| of_job(reverted.sequence));
        if stage == Stage::Armed && tried {
            return Ok(None);
        }
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let envelope = match self.spare_slot().envelope(&mut buffer) {
            Ok(envelope) => envelope,
            Err(SlotHeaderFault::Flash(error)) => return Err(error.into()),
            Err(_) => return Ok(None),
        };
        Ok(judge(&self.device(), job, envelope).ok())
    }

    /// Goes on with an update that the gateway offers again, under whatever path it has now.
    pub(crate) fn resume_offered(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        job: &Job,
    ) -> Result<bool, FlashFailed> {
        let Some(known) = self.journal.state().job else {
            return Ok(false);
        };
        if !is_same_payload(&known.job, job) {
            return Ok(false);
        }
        if known.job.path != job.path {
            self.journal.append(JournalRecord::JobStarted(*job))?;
        }
        self.journal.append(JournalRecord::Terms(Terms::of(job)))?;
        self.resume(now_ms, state)
    }
}
