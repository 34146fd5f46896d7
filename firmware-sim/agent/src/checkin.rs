//! The check-in: what is said, and what its answer starts.

use embedded_storage::nor_flash::NorFlash;
use wire_checkin::{
    Answer, CHECK_IN_BYTES_MAX, CheckIn, DeferralStage, DigestPrefix, Job, LastUpdate, Outcome,
};
use wire_coap::{Code, Message};

use deltagate_flash::Region;

use crate::accept::{Update, judge};
use crate::core::{Core, FlashFailed, narrow};
use crate::event::Event;
use crate::journal::{JournalRecord, Link, Told};
use crate::state::{Envelope, State};

/// RFC 7252 §5.10.5: Max-Age when the option is absent, seconds.
const MAX_AGE_DEFAULT_S: u32 = 60;

impl<'m, F: NorFlash> Core<'m, F> {
    /// Sends a check-in.
    #[inline(never)]
    pub(crate) fn check_in(&mut self, now_ms: u64, state: &mut State<'m>) {
        #[cfg(feature = "edhoc")]
        if self.establish(now_ms, state) {
            return;
        }
        let reporting = self.pending_outcome();
        #[cfg(feature = "freshness")]
        let freshness = self.say_freshness(now_ms);
        #[cfg(not(feature = "freshness"))]
        let freshness = None;
        let check_in = CheckIn {
            device_id: self.config.device_id,
            vendor_id: self.provision.vendor_id,
            class_id: self.provision.class_id,
            running_digest: DigestPrefix::of(&self.running.digest),
            sequence_number: self.running.sequence.into(),
            slot_capacity_bytes: self.capacity_bytes(),
            staging_bytes: self.staging_bytes(),
            erase_sector_bytes: Region::<F>::SECTOR_BYTES,
            block_szx_max: self.config.block_size_max.szx(),
            round_trip_ms: self.client.round_trip_ms(),
            decoder_memory_bytes: self.memory_bytes,
            formats: self.formats(),
            last_update: reporting,
            on_trial: self.trial.is_some(),
            deferral: self.deferral(now_ms),
            in_place_reach_bytes: self.reach_bytes(),
            anchors: self.config.layout.anchors.map(|_| self.provision.number),
            anchors_waiting: self.kept.number(),
            freshness,
        };
        let mut buffer = [0; CHECK_IN_BYTES_MAX];
        // Both buffers hold any check-in. Were that not so, a later one may fit, and a panic would be worse.
        let sent = match check_in.encode(&mut buffer) {
            Ok(body) if self.may_send() => self.client.post_check_in(now_ms, body).is_ok(),
            _ => false,
        };
        match sent {
            true => *state = State::CheckingIn { reporting },
            false => state.idle_until(self.back_off(now_ms)),
        }
    }

    /// Takes the response to a check-in.
    #[inline(never)]
    pub(crate) fn handle_answer(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        reporting: Option<LastUpdate>,
        message: &Message<'_>,
    ) -> Result<(), FlashFailed> {
        if let Some(wait_s) = asked_to_wait(message) {
            self.effects.event(Event::Paused { seconds: wait_s });
            state.idle_until(self.next_check_in_ms(now_ms, wait_s));
            return Ok(());
        }
        match Answer::decode(message.payload()) {
            Ok(answer) if message.code() == Code::CHANGED => {
                self.take_answer(now_ms, state, reporting, &answer)
            }
            _ => {
                state.idle_until(self.back_off(now_ms));
                Ok(())
            }
        }
    }

    #[inline(never)]
    fn take_answer(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        reporting: Option<LastUpdate>,
        answer: &Answer<'_>,
    ) -> Result<(), FlashFailed> {
        self.unanswered = 0;
        self.had_contact()?;
        if self.learn_link(now_ms, answer).is_err() {
            // Not worth the answer: at the next start the timing is learned again.
            self.effects.event(Event::FlashFailed);
        }
        if let Some(update) = reporting {
            self.unwritten = self.unwritten.filter(|unwritten| *unwritten != update);
            self.journal.append(JournalRecord::Reported(Told::of(&update)))?;
            let sequence = narrow(update.sequence_number);
            self.effects.event(Event::Reported {
                sequence,
                outcome: update.outcome,
            });
        }
        #[cfg(feature = "freshness")]
        if self
            .hear(
                now_ms,
                answer.statement,
                answer.job.map(|job| job.sequence_number),
            )
            .is_err()
        {
            // Not worth the answer: it asks again.
            self.effects.event(Event::FlashFailed);
        }
        if self.take_anchors(answer.anchors) {
            self.effects.reboot();
            *state = State::Rebooting;
            return Ok(());
        }
        self.checkin_interval_s = answer.next_check_in_s;
        if !self.takes_jobs() {
            self.effects.event(Event::Unprotected);
        }
        if answer.job.is_none() {
            self.forget_deferral(now_ms)?;
            if self.is_verified()
                && let Some(known) = self.journal.state().job
            {
                let refusal = Outcome::Cancelled.into();
                state.idle_until(self.drop_update(now_ms, known.job.sequence_number, refusal)?);
                return Ok(());
            }
        }
        let Some(job) = answer.job.filter(|_| self.may_update() && self.takes_jobs()) else {
            self.effects.event(Event::CheckedIn {
                next_s: answer.next_check_in_s,
            });
            state.idle_until(self.next_check_in_ms(now_ms, answer.next_check_in_s));
            return Ok(());
        };
        self.client.begin_update();
        self.effects.event(Event::Offered {
            sequence: narrow(job.sequence_number),
            format: job.format,
            payload_bytes: job.payload_bytes,
            severity: job.severity,
        });
        self.begin(job.sequence_number);
        if self.resume_offered(now_ms, state, &job)? {
            return Ok(());
        }
        match answer.envelope {
            Some(envelope) => {
                let mut kept = Envelope::EMPTY;
                // A longer one is no envelope.
                let envelope = kept.append(envelope).map_or(&[][..], |()| envelope);
                match self.consider(now_ms, &job, envelope)? {
                    Ok(update) => *state = State::preparing(update, kept),
                    Err(until_ms) => state.idle_until(until_ms),
                }
            }
            None => match self.put_off(now_ms, DeferralStage::Download, &job)? {
                Some(until_ms) => state.idle_until(until_ms),
                None => self.fetch_manifest(now_ms, state, job),
            },
        }
        Ok(())
    }

    /// Uses what the gateway says of the link, and keeps it when it is news.
    fn learn_link(&mut self, now_ms: u64, answer: &Answer<'_>) -> Result<(), FlashFailed> {
        if let Some(ms) = answer.ack_timeout_ms {
            self.client.set_ack_timeout_ms(ms);
        }
        let link = Link {
            ack_timeout_ms: self.client.ack_timeout_ms(),
            round_trip_ms: self.client.round_trip_ms(),
        };
        let is_news = self.journal.state().link.is_none_or(|old| {
            let (low, high) = (old.round_trip_ms / 2, old.round_trip_ms.saturating_mul(2));
            old.ack_timeout_ms != link.ack_timeout_ms || !(low..=high).contains(&link.round_trip_ms)
        });
        match is_news {
            true => self.keep_link(now_ms, link),
            false => Ok(()),
        }
    }

    /// Judges a manifest: the update to prepare for, or when to check in. Nothing was erased before, and no payload asked for.
    #[inline(never)]
    pub(crate) fn consider(
        &mut self,
        now_ms: u64,
        job: &Job,
        envelope: &[u8],
    ) -> Result<Result<Update, u64>, FlashFailed> {
        match judge(&self.device(), job, envelope) {
            Ok(update) => {
                if let Some(until_ms) = self.put_off(now_ms, DeferralStage::Download, job)? {
                    return Ok(Err(until_ms));
                }
                self.journal.append(JournalRecord::JobEnded)?;
                self.effects.event(Event::Accepted {
                    sequence: update.image.sequence,
                });
                Ok(Ok(update))
            }
            Err(refusal) => self.drop_update(now_ms, job.sequence_number, refusal).map(Err),
        }
    }
}

/// Max-Age of a response that asks the client to come again later: 5.03 (RFC 7252 §5.9.3.4) or 4.29 (RFC 8516).
pub(crate) fn asked_to_wait(message: &Message<'_>) -> Option<u32> {
    matches!(
        message.code(),
        Code::SERVICE_UNAVAILABLE | Code::TOO_MANY_REQUESTS
    )
    .then(|| message.max_age().unwrap_or(MAX_AGE_DEFAULT_S))
}
