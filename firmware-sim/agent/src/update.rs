//! The work on the spare slot: preparing it, turning the payload into an image, verifying, arming the trial; and going
//! on with all that after a restart.

use deltagate_flash::{BootRecord, ENVELOPE_BYTES_MAX, Hashing, Region, SlotHeaderFault};
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
use crate::services::Hasher;
use crate::staging;
use crate::state::{Envelope, State};

/// Units of decoding in one step of work, about an output byte each: some tens of milliseconds on a slow core.
const DECODE_BUDGET: u32 = 512;

impl<'m, F: NorFlash> Core<'m, F> {
    /// One step of `work`.
    pub(crate) fn work(&mut self, now_ms: u64, state: State<'m>) -> Result<State<'m>, FlashFailed> {
        match state {
            State::Preparing {
                update,
                envelope,
                erasing,
            } => self.prepare(now_ms, update, envelope, erasing),
            State::Mending { update, size, mend } => self.mend(now_ms, update, size, mend),
            State::CheckingPayload { update, hashing } => self.check_payload(now_ms, update, hashing),
            State::Clearing { update, mut erasing } => match erasing.step(self.spare_slot().image()?)? {
                false => Ok(State::Clearing { update, erasing }),
                true => self.begin_decoding(now_ms, update),
            },
            State::Decoding {
                update,
                decoder,
                written,
            } => self.decode(now_ms, update, decoder, written),
            State::Verifying { update, hashing } => self.verify(now_ms, update, hashing),
            other => Ok(other),
        }
    }

    /// The header goes first: from then on the bootloader sees an empty slot, and no other update is resumed. The
    /// journal's record comes last: it promises a slot that is erased and holds its envelope.
    #[inline(never)]
    fn prepare(
        &mut self,
        now_ms: u64,
        update: Update,
        envelope: Envelope,
        erasing: Option<Erasing>,
    ) -> Result<State<'m>, FlashFailed> {
        let slot = self.spare_slot();
        let Some(mut erasing) = erasing else {
            slot.erase_header()?;
            let sector = Region::<F>::SECTOR_BYTES;
            let erasing = Some(Erasing::new(update.job.payload_bytes, sector));
            return Ok(State::Preparing {
                update,
                envelope,
                erasing,
            });
        };
        if !erasing.step(self.payload_region(&update)?)? {
            return Ok(State::Preparing {
                update,
                envelope,
                erasing: Some(erasing),
            });
        }
        slot.write_envelope(envelope.as_bytes())?;
        self.journal.append(JournalRecord::JobStarted(update.job))?;
        self.journal
            .append(JournalRecord::Terms(Terms::of(&update.job)))?;
        self.fetch_payload(now_ms, update, 0, self.config.block_size_max)
    }

    #[inline(never)]
    fn check_payload(
        &mut self,
        now_ms: u64,
        update: Update,
        mut hashing: Hashing<Hasher<'m>>,
    ) -> Result<State<'m>, FlashFailed> {
        if self.config.in_place.is_some()
            && self.is_verified()
            && let Some(state) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
        {
            return Ok(state);
        }
        let Some(digest) = hashing.step(self.payload_region(&update)?, HASH_STEP_BYTES)? else {
            return Ok(State::CheckingPayload { update, hashing });
        };
        if !digest.starts_with(&update.job.artefact_digest) {
            return self.drop_update(now_ms, update.job.sequence_number, Outcome::PayloadChanged.into());
        }
        self.journal.append(JournalRecord::Staged)?;
        self.effects.event(Event::Staged);
        match self.config.in_place {
            None => Ok(self.begin_applying(update)),
            Some(in_place) => self.hand_over(now_ms, &update, in_place, digest),
        }
    }

    /// Leaves the rest to the updater.
    #[inline(never)]
    fn hand_over(
        &mut self,
        now_ms: u64,
        update: &Update,
        in_place: InPlace,
        patch_digest: [u8; 32],
    ) -> Result<State<'m>, FlashFailed> {
        if let Some(state) = self.put_off(now_ms, DeferralStage::Restart, &update.job)? {
            self.journal.append(JournalRecord::Verified)?;
            return Ok(state);
        }
        in_place.ask(self.flash, update.job.payload_bytes, patch_digest)?;
        self.journal.append(JournalRecord::Armed)?;
        self.effects.event(Event::Handed {
            sequence: update.image.sequence,
        });
        self.effects.reboot();
        self.client.cancel();
        Ok(State::Rebooting)
    }

    /// Applying always begins with erasing: a power cut may have left part of an image.
    fn begin_applying(&mut self, update: Update) -> State<'m> {
        self.effects.event(Event::Applying);
        let erasing = Erasing::new(update.image.bytes, Region::<F>::SECTOR_BYTES);
        State::Clearing { update, erasing }
    }

    #[inline(never)]
    fn begin_decoding(&mut self, now_ms: u64, update: Update) -> Result<State<'m>, FlashFailed> {
        let sequence = update.job.sequence_number;
        let start = self.patch_start(&update)?;
        let header = match check_patch(&self.device(), &update, &start) {
            Ok(header) => header,
            Err(refusal) => return self.drop_update(now_ms, sequence, refusal),
        };
        match self.memory.take().map(|memory| Decoder::new(header, memory)) {
            Some(Ok(decoder)) => Ok(State::Decoding {
                update,
                decoder,
                written: 0,
            }),
            _ => self.drop_update(now_ms, sequence, Outcome::DecoderMemory.into()),
        }
    }

    #[inline(never)]
    fn decode(
        &mut self,
        now_ms: u64,
        update: Update,
        mut decoder: Decoder<'m>,
        written: u32,
    ) -> Result<State<'m>, FlashFailed> {
        let stepped = self.decode_step(&update, &mut decoder, written);
        if let Ok((Progress::More, written)) = stepped {
            return Ok(State::Decoding {
                update,
                decoder,
                written,
            });
        }
        let detail = decoder.produced();
        self.memory = Some(decoder.into_memory());
        match stepped {
            Ok(_) => Ok(State::Verifying {
                update,
                hashing: self.hashing(update.image.bytes),
            }),
            Err(DecodeError::BaseUnreadable | DecodeError::PatchUnreadable | DecodeError::OutputFailed) => {
                Err(FlashFailed)
            }
            Err(_) => {
                let refusal = Refusal {
                    outcome: Outcome::PatchFailed,
                    detail: Some(detail),
                };
                self.drop_update(now_ms, update.job.sequence_number, refusal)
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
    fn verify(
        &mut self,
        now_ms: u64,
        update: Update,
        mut hashing: Hashing<Hasher<'m>>,
    ) -> Result<State<'m>, FlashFailed> {
        if self.is_verified()
            && let Some(state) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
        {
            return Ok(state);
        }
        let image = self.spare_slot().image()?;
        let Some(digest) = hashing.step(image, HASH_STEP_BYTES)? else {
            return Ok(State::Verifying { update, hashing });
        };
        if digest == update.image.digest {
            let Some(state) = self.put_off(now_ms, DeferralStage::Restart, &update.job)? else {
                return self.arm(&update);
            };
            self.journal.append(JournalRecord::Verified)?;
            return Ok(state);
        }
        // Of a full image the job names the digest too: bytes that differ from the job's are the link's fault.
        let is_payload = update.job.format == Format::Full;
        let outcome = if is_payload {
            Outcome::PayloadChanged
        } else {
            Outcome::DigestMismatch
        };
        self.drop_update(now_ms, update.job.sequence_number, outcome.into())
    }

    /// Hands the image over to the bootloader. The journal's record comes first: it makes a revert of this trial
    /// one to report, even when the same image was reverted and reported before.
    #[inline(never)]
    fn arm(&mut self, update: &Update) -> Result<State<'m>, FlashFailed> {
        let sequence = update.image.sequence;
        self.journal.append(JournalRecord::Armed)?;
        self.append_boot_record(BootRecord::Trial {
            sequence,
            slot: self.spare,
        })?;
        self.effects.event(Event::Verified { sequence });
        self.effects.reboot();
        self.client.cancel();
        Ok(State::Rebooting)
    }

    /// The state in which an update that the journal knows goes on; `None` when there is none, or it is over.
    pub(crate) fn resume(&mut self, now_ms: u64) -> Result<Option<State<'m>>, FlashFailed> {
        self.put_off = self.put_off.filter(|_| self.is_verified());
        let Some(JournalJob {
            job,
            stage,
            block_size,
            mending,
            firm_bytes,
        }) = self.journal.state().job
        else {
            return Ok(None);
        };
        let update = match self.resumable(&job, stage)? {
            Some(update) if self.may_update() => update,
            _ => {
                self.journal.append(JournalRecord::JobEnded)?;
                return Ok(None);
            }
        };
        let sequence = update.image.sequence;
        self.begin(job.sequence_number);
        match stage {
            Stage::Started => {
                let largest = self.config.block_size_max;
                let size = block_size.map_or(largest, |size| size.min(largest));
                let payload = self.payload_region(&update)?;
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
                if self.config.program_once || mending.is_some() {
                    let mend = match mending {
                        Some(_) => self.mend_again(&update, staged_bytes)?,
                        None => Mend::begin(staged_bytes),
                    };
                    return Ok(Some(State::Mending { update, size, mend }));
                }
                self.resume_fetching(now_ms, update, staged_bytes, size).map(Some)
            }
            Stage::Staged | Stage::Verified | Stage::Armed => {
                if stage >= Stage::Verified
                    && let Some(state) = self.put_off(now_ms, DeferralStage::Restart, &update.job)?
                {
                    return Ok(Some(state));
                }
                if let (Stage::Armed, Some(in_place)) = (stage, self.config.in_place) {
                    let outcome = in_place.refusal(self.flash)?.unwrap_or(Outcome::PatchFailed);
                    return self
                        .drop_update(now_ms, job.sequence_number, outcome.into())
                        .map(Some);
                }
                let staged_bytes = update.job.payload_bytes;
                self.effects.event(Event::Resumed {
                    sequence,
                    staged_bytes,
                });
                if self.config.in_place.is_some() {
                    let hashing = self.hashing(staged_bytes);
                    return Ok(Some(State::CheckingPayload { update, hashing }));
                }
                Ok(Some(match (stage, update.job.format) {
                    (Stage::Staged, Format::Patch) => self.begin_applying(update),
                    _ => State::Verifying {
                        update,
                        hashing: self.hashing(update.image.bytes),
                    },
                }))
            }
        }
    }

    pub(crate) fn resume_fetching(
        &mut self,
        now_ms: u64,
        update: Update,
        staged_bytes: u32,
        size: BlockSize,
    ) -> Result<State<'m>, FlashFailed> {
        if update.job.format == Format::Patch && staged_bytes as usize >= HEADER_BYTES_MAX {
            let start = self.patch_start(&update)?;
            if let Err(refusal) = check_patch(&self.device(), &update, &start) {
                return self.drop_update(now_ms, update.job.sequence_number, refusal);
            }
        }
        self.fetch_payload(now_ms, update, staged_bytes, size)
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
        job: &Job,
    ) -> Result<Option<State<'m>>, FlashFailed> {
        let Some(known) = self.journal.state().job else {
            return Ok(None);
        };
        if !is_same_payload(&known.job, job) {
            return Ok(None);
        }
        if known.job.path != job.path {
            self.journal.append(JournalRecord::JobStarted(*job))?;
        }
        self.journal.append(JournalRecord::Terms(Terms::of(job)))?;
        self.resume(now_ms)
    }
}
