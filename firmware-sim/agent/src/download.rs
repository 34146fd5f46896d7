//! Fetching: the manifest into RAM when the answer had no room for it, the payload into the spare slot.

use deltagate_flash::FlashError;
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{Format, Job, Outcome};
use wire_coap::{Block2Fetch, BlockSize, Code, ETag, FetchError, FetchPlan, FetchedBlock, Message, Taken};
use wire_patch::HEADER_BYTES_MAX;

use crate::accept::{Update, check_patch};
use crate::checkin::asked_to_wait;
use crate::core::{Core, FlashFailed};
use crate::event::Event;
use crate::journal::JournalRecord;
use crate::state::{Envelope, Phase, State, Transfer};

/// Answers in a row that are not the block asked for, before the payload counts as changed: a gateway that does
/// this is broken, and every one costs a round trip.
const FAULTS_MAX: u8 = 4;

/// What a response to a block request means.
enum Judged {
    /// The payload belongs at this offset.
    Accept { offset: u32, last: bool },
    /// The same request again, now.
    Again,
    /// The same request again, later.
    Pause { until_ms: u64 },
    /// There is no such payload any more.
    Gone,
}

impl<'m, F: NorFlash> Core<'m, F> {
    pub(crate) fn fetch_manifest(&mut self, now_ms: u64, state: &mut State<'m>, job: Job) {
        let plan = FetchPlan {
            etag: None,
            total: None,
            offset: 0,
            size: self.config.block_size_max,
        };
        let Ok(fetch) = Block2Fetch::new(plan) else {
            // A transfer may always begin at 0.
            return state.idle_until(self.back_off(now_ms));
        };
        let mut transfer = Transfer::new(fetch);
        self.request_block(now_ms, &job, true, &mut transfer);
        *state = State::FetchingManifest {
            job,
            transfer,
            envelope: Envelope::EMPTY,
        };
    }

    #[inline(never)]
    pub(crate) fn handle_manifest_block(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        message: &Message<'_>,
    ) -> Result<(), FlashFailed> {
        let State::FetchingManifest {
            job,
            transfer,
            envelope,
        } = state
        else {
            return Ok(());
        };
        let outcome = match self.judge_block(now_ms, transfer, message) {
            Judged::Accept { last, .. } => match envelope.append(message.payload()) {
                Some(()) if last => {
                    match self.consider(now_ms, job, envelope.as_bytes())? {
                        Ok(update) => *state = State::preparing(update, envelope.clone()),
                        Err(until_ms) => state.idle_until(until_ms),
                    }
                    return Ok(());
                }
                Some(()) => None,
                None => Some(Outcome::RefusedUnsupported),
            },
            Judged::Again => None,
            Judged::Pause { until_ms } => {
                transfer.paused_until_ms = Some(until_ms);
                return Ok(());
            }
            Judged::Gone => Some(Outcome::PayloadChanged),
        };
        match outcome {
            None => self.request_block(now_ms, job, true, transfer),
            Some(outcome) => return self.end_update(now_ms, state, outcome.into()),
        }
        Ok(())
    }

    /// Begins to fetch the payload at `offset`, the beginning of a block of `size`.
    pub(crate) fn fetch_payload(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        offset: u32,
        size: BlockSize,
    ) -> Result<(), FlashFailed> {
        let State::Updating { update, phase } = state else {
            return Ok(());
        };
        let plan = FetchPlan {
            etag: Some(ETag::from_array(update.job.etag())),
            total: Some(update.job.payload_bytes),
            offset,
            size,
        };
        let Ok(fetch) = Block2Fetch::new(plan) else {
            return self.end_update(now_ms, state, Outcome::RefusedUnsupported.into());
        };
        let mut transfer = Transfer::new(fetch);
        self.request_block(now_ms, &update.job, false, &mut transfer);
        *phase = Phase::Fetching { transfer };
        Ok(())
    }

    #[inline(never)]
    pub(crate) fn handle_payload_block(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        message: &Message<'_>,
    ) -> Result<(), FlashFailed> {
        let State::Updating {
            update,
            phase: Phase::Fetching { transfer },
        } = state
        else {
            return Ok(());
        };
        match self.judge_block(now_ms, transfer, message) {
            Judged::Accept { offset, last } => {
                return self.take_block(now_ms, state, offset, last, message.payload());
            }
            Judged::Again => self.request_block(now_ms, &update.job, false, transfer),
            Judged::Pause { until_ms } => transfer.paused_until_ms = Some(until_ms),
            Judged::Gone => return self.end_update(now_ms, state, Outcome::PayloadChanged.into()),
        }
        Ok(())
    }

    #[inline(never)]
    fn take_block(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        offset: u32,
        last: bool,
        block: &[u8],
    ) -> Result<(), FlashFailed> {
        let State::Updating { update, phase } = state else {
            return Ok(());
        };
        let Phase::Fetching { transfer } = phase else {
            return Ok(());
        };
        let region = self.payload_region(update)?;
        transfer.filling.push(region, block)?;
        if last {
            transfer.filling.finish(region)?;
        }
        let size = transfer.fetch.size();
        self.effects.event(Event::Block {
            number: size.blocks(offset).saturating_add(1),
            count: size
                .blocks(update.job.payload_bytes.saturating_sub(1))
                .saturating_add(1),
        });
        if transfer.fetch.size() < self.config.block_size_max {
            // A restart then need not go back by a whole block of the size the device would have liked.
            self.journal
                .append(JournalRecord::SmallerBlocks(transfer.fetch.size()))?;
        }
        if !last && block.iter().all(|byte| *byte == 0xFF) && transfer.is_worth_a_record() {
            // Nothing in flash tells that these bytes came.
            let firm_bytes = transfer.filling.firm_bytes();
            self.journal.append(JournalRecord::Firm(firm_bytes))?;
        }
        let (before, now) = (offset as usize, transfer.fetch.offset() as usize);
        let header_came = before < HEADER_BYTES_MAX && (now >= HEADER_BYTES_MAX || last);
        if header_came && update.job.format == Format::Patch {
            let start = self.patch_start(update)?;
            if let Err(refusal) = check_patch(&self.device(), update, &start) {
                return self.end_update(now_ms, state, refusal);
            }
        }
        if last {
            *phase = self.payload_complete(update);
        } else {
            self.request_block(now_ms, &update.job, false, transfer);
        }
        Ok(())
    }

    fn payload_complete(&self, update: &Update) -> Phase<'m> {
        let hashing = self.hashing(update.job.payload_bytes);
        match update.job.format {
            // The payload is the image: one hash answers for both.
            Format::Full => Phase::Verifying { hashing },
            _ => Phase::CheckingPayload { hashing },
        }
    }

    /// The first bytes of the staged patch; erased ones where there are fewer.
    pub(crate) fn patch_start(&self, update: &Update) -> Result<[u8; HEADER_BYTES_MAX], FlashError> {
        let mut start = [0; HEADER_BYTES_MAX];
        self.payload_region(update)?.read(0, &mut start)?;
        Ok(start)
    }

    /// Asks for the next block.
    pub(crate) fn request_block(&mut self, now_ms: u64, job: &Job, manifest: bool, transfer: &mut Transfer) {
        transfer.paused_until_ms = None;
        if let Some(block) = transfer.fetch.next_request() {
            let path = job.path.as_bytes();
            let sent = self.may_send() && self.client.get(now_ms, path, manifest, block).is_ok();
            if !sent {
                // The request buffer holds any GET; were that not so, the transfer waits instead of hanging.
                transfer.paused_until_ms = Some(self.back_off(now_ms));
            }
        }
    }

    fn judge_block(&mut self, now_ms: u64, transfer: &mut Transfer, message: &Message<'_>) -> Judged {
        if let Some(wait_s) = asked_to_wait(message) {
            self.effects.event(Event::Paused { seconds: wait_s });
            return Judged::Pause {
                until_ms: Self::wait_until(now_ms, wait_s),
            };
        }
        if message.code() != Code::CONTENT {
            // RFC 7252 §5.9.2: a client error will not go away by asking again.
            return if message.code().class() == 4 {
                Judged::Gone
            } else {
                Judged::Pause {
                    until_ms: self.back_off(now_ms),
                }
            };
        }
        self.unanswered = 0;
        let Ok(block2) = message.block2() else {
            return again_or_gone(transfer);
        };
        let block = FetchedBlock {
            block2,
            etag: message.etag(),
            size2: message.size2(),
            length: message.payload().len() as u32,
        };
        match transfer.fetch.handle_response(block) {
            Ok(Taken::Accept { offset, last }) => {
                transfer.faults = 0;
                Judged::Accept { offset, last }
            }
            // RFC 7959 §2.4: another tag or length is another representation.
            Err(
                FetchError::ETagChanged
                | FetchError::TotalChanged
                | FetchError::Overrun
                | FetchError::EndsEarly,
            ) => Judged::Gone,
            Ok(Taken::Duplicate) | Err(_) => again_or_gone(transfer),
        }
    }
}

fn again_or_gone(transfer: &mut Transfer) -> Judged {
    transfer.faults += 1;
    if transfer.faults < FAULTS_MAX {
        Judged::Again
    } else {
        Judged::Gone
    }
}
