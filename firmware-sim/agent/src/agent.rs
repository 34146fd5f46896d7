//! The agent: one object that turns datagrams and time into flash contents and effects.

use core::cell::RefCell;
use core::fmt;

use deltagate_flash::{
    BootInfo, BootLog, BootLogState, ENVELOPE_BYTES_MAX, FlashError, Provision, Region, SlotHeaderFault,
    SlotRegion,
};
use deltagate_services::{Services, SignedImage};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::DeferralStage;
use wire_coap::Message;

use crate::accept::authenticate;
use crate::anchors::Kept;
use crate::channel::Channel;
use crate::client::{Client, Incoming};
use crate::config::Config;
use crate::core::{Core, Effects, FlashFailed, Setbacks, TrialLimit};
use crate::event::{Effect, Event, Stats};
#[cfg(feature = "freshness")]
use crate::freshness::{Known, Watch};
use crate::gate::Gate;
use crate::journal::{Journal, JournalRecord};
use crate::services::LinkedServices;
use crate::state::{Phase, State};

/// Upper bound of the size of [`Agent`], besides the decoder memory it borrows: an envelope of 512 bytes, a request of
/// 200, the decoder's own 384, the hash's 110, and what the journal and the provision record say. With OSCORE a request of 60
/// more, keys and names of 90, and the exchange under way with what is to be echoed.
/// With EDHOC a request of 60 more, and keys that are not stored yet, with message_3. With statements of what is newest the one
/// that is kept, of 40, and 40 of what is counted.
pub const AGENT_BYTES_MAX: usize = match (cfg!(feature = "edhoc"), cfg!(feature = "oscore")) {
    (true, _) => 2_560,
    (false, true) => 2_304,
    (false, false) => 2_048,
} + if cfg!(feature = "freshness") { 80 } else { 0 };

/// The device side of the protocol.
///
/// After every `handle_*` and [`Agent::work`] the caller drains [`Agent::poll_transmit`] and [`Agent::poll_effect`]
/// until they say `None`; then it calls [`Agent::work`] for as long as that says `true`, and otherwise sleeps until a
/// datagram comes or the time that [`Agent::poll_timeout`] tells. Every call may move that time.
///
/// The times are milliseconds of a clock that never goes back, from any beginning.
pub struct Agent<'m, F> {
    core: Core<'m, F>,
    state: State<'m>,
}

/// Why the agent cannot begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StartError {
    /// The running slot holds no manifest that this device believes, though it was booted.
    RunningImage,
    /// The flash part failed.
    Flash(FlashError),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::RunningImage => f.write_str("the running slot holds no valid manifest"),
            Self::Flash(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for StartError {}

impl From<FlashError> for StartError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl<'m, F: NorFlash> Agent<'m, F> {
    /// Starts the agent of a booted image. `boot` is what the bootloader handed over; `decoder_memory` is what a patch
    /// may use, and its length is what the device reports, unless the updater applies patches and it may be empty; `seed` chooses message ids, tokens and jitter, and must
    /// differ from device to device: from the part's source of random numbers where it has one (RFC 7252 §5.3.1), else the device's address. The agent counts its
    /// starts in the journal and mixes the count in, and on a device with credentials what is derived from them: there nobody guesses a token.
    ///
    /// It brings its own check of signatures, [`LinkedServices`].
    ///
    /// # Errors
    /// [`StartError`]: nothing was written, and an image on trial that cannot start its agent is one to revert.
    pub fn new(
        config: Config,
        provision: Provision,
        flash: &'m RefCell<F>,
        boot: BootInfo,
        decoder_memory: &'m mut [u8],
        seed: u64,
        now_ms: u64,
    ) -> Result<Self, StartError> {
        Self::with_services(
            &LinkedServices,
            config,
            provision,
            flash,
            boot,
            decoder_memory,
            seed,
            now_ms,
        )
    }

    /// As [`Agent::new`], with the services of whoever offers them: the bootloader's, so that the image need not bring its own.
    ///
    /// # Errors
    /// As [`Agent::new`].
    #[expect(clippy::too_many_arguments, reason = "those of `new`, and one")]
    pub fn with_services(
        services: &'m dyn Services,
        config: Config,
        provision: Provision,
        flash: &'m RefCell<F>,
        boot: BootInfo,
        decoder_memory: &'m mut [u8],
        seed: u64,
        now_ms: u64,
    ) -> Result<Self, StartError> {
        // The signature check takes the most stack there is; nothing large lies below it.
        let running = running_image(services, &config, &provision, flash, boot)?;
        let kept = Kept::recall(services, &config, &provision, flash);
        // A log takes almost as much when it is compacted.
        let logs = Logs::open(flash, &config, now_ms)?;
        // Resumed where the caller wants it, not moved there afterwards.
        let mut started = Self::assembled(
            services,
            config,
            provision,
            flash,
            boot,
            running,
            kept,
            logs,
            decoder_memory,
            seed,
            now_ms,
        );
        started.resume(now_ms);
        Ok(started)
    }

    #[inline(never)]
    #[expect(clippy::too_many_arguments, reason = "those of `new`, and what it found")]
    fn assembled(
        services: &'m dyn Services,
        config: Config,
        provision: Provision,
        flash: &'m RefCell<F>,
        boot: BootInfo,
        running: SignedImage,
        kept: Kept,
        logs: Logs<'m, F>,
        decoder_memory: &'m mut [u8],
        seed: u64,
        now_ms: u64,
    ) -> Self {
        let Logs {
            journal,
            boot_log,
            is_counted,
        } = logs;
        let seed = seed_of_start(seed, journal.state().starts);
        let channel = Channel::open(services, flash, &config, &journal, is_counted.then_some(seed));
        let seed = channel.unguessable(services, seed);
        let link = journal.state().link;
        #[cfg(feature = "freshness")]
        let heard = journal.state().heard;
        let ack_timeout_ms = link.map_or(config.ack_timeout_ms, |link| link.ack_timeout_ms);
        let mut effects = Effects::NONE;
        effects.event(Event::Started {
            sequence: running.sequence,
            on_trial: boot.on_trial,
        });
        if !is_counted {
            // Message ids may be those of the last start; a device that cannot report it would be worse.
            effects.event(Event::FlashFailed);
        }
        // Put together where it is returned: a copy on the way would be two kilobytes of stack.
        Self {
            core: Core {
                flash,
                services,
                provision,
                running,
                spare: boot.slot.other(),
                boot_log,
                journal,
                client: Client::new(
                    channel,
                    ack_timeout_ms,
                    link.map_or(0, |link| link.round_trip_ms),
                    seed,
                ),
                effects,
                memory_bytes: match &config.in_place {
                    Some(in_place) => in_place.memory_bytes(),
                    None => u32::try_from(decoder_memory.len()).unwrap_or(u32::MAX),
                },
                memory: Some(decoder_memory),
                trial: boot
                    .on_trial
                    .then(|| TrialLimit::new(boot.attempt, now_ms, &config)),
                unanswered: 0,
                called_ms: now_ms,
                setbacks: Setbacks::default(),
                offered: None,
                flash_failures: 0,
                unwritten: None,
                gate: Gate::CLEAR,
                put_off: None,
                checkin_interval_s: 0,
                kept,
                #[cfg(feature = "freshness")]
                watch: Watch::start(heard, now_ms),
                link_kept_until_ms: now_ms,
                seed,
                #[cfg(feature = "edhoc")]
                wants_keys: false,
                #[cfg(feature = "edhoc")]
                random: [0; 32],
                config,
            },
            state: State::Idle { until_ms: now_ms },
        }
    }

    #[inline(never)]
    fn resume(&mut self, now_ms: u64) {
        self.step(now_ms, &mut |core, state| core.resume(now_ms, state).map(|_| ()));
    }

    /// Takes random bytes, from wherever the device has them, to be called after a start and before [`Agent::handle_timeout`]: keys of
    /// handshakes follow from them, too. Without any, who takes the device apart later can read what was recorded before.
    #[cfg(feature = "edhoc")]
    pub fn handle_random(&mut self, bytes: &[u8; 32]) {
        self.core.random = *bytes;
    }

    /// Wants other keys for the channel: the next check-in establishes them, of a device with a key of its own. Those that it has count
    /// until the gateway has shown that it has the new ones.
    #[cfg(feature = "edhoc")]
    pub fn renew_keys(&mut self) {
        self.core.wants_keys = true;
    }

    /// Takes a datagram from the gateway. Anything at all may be in it. What is encrypted is decrypted where it is.
    #[inline(never)]
    pub fn handle_datagram(&mut self, now_ms: u64, datagram: &mut [u8]) {
        #[cfg(feature = "oscore")]
        if self.core.is_renewed(datagram) {
            return self.core.ask_again(now_ms, &mut self.state);
        }
        #[cfg(feature = "edhoc")]
        self.core
            .client
            .hear(self.core.services, self.core.config.device_id, datagram);
        match self.core.client.handle_datagram(now_ms, datagram) {
            Incoming::Nothing => {}
            Incoming::Response(message) => {
                #[cfg(feature = "edhoc")]
                self.core.keep_established();
                self.step(now_ms, &mut |core, state| {
                    core.handle_response(now_ms, state, &message)
                });
            }
            Incoming::Rejected => self.core.handle_no_answer(now_ms, &mut self.state),
            #[cfg(feature = "oscore")]
            Incoming::Again => self.core.ask_again(now_ms, &mut self.state),
        }
    }

    /// Does what is due at `now_ms`; harmless when nothing is.
    #[inline(never)]
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if matches!(self.state, State::Rebooting) {
            return;
        }
        self.core.called_ms = now_ms;
        #[cfg(feature = "freshness")]
        self.core.keep_time(now_ms);
        if self.core.trial_is_over(now_ms) {
            let reason = self.core.lacking();
            return self.core.give_up(&mut self.state, reason);
        }
        if self.core.client.handle_timeout(now_ms) {
            self.core.handle_no_answer(now_ms, &mut self.state);
        }
        self.go_on(now_ms);
        if self.state.due_ms().is_some_and(|due_ms| due_ms <= now_ms) {
            self.core.handle_due(now_ms, &mut self.state);
        }
    }

    /// Does one bounded step of erasing, decoding or hashing: a sector erased or a few hundred bytes processed. Whether
    /// there is more to do at once.
    #[inline(never)]
    pub fn work(&mut self, now_ms: u64) -> bool {
        if self.state.has_work() {
            self.step(now_ms, &mut |core, state| core.work(now_ms, state));
        }
        self.state.has_work()
    }

    /// Takes the application's say on updates, which holds until it says otherwise or the agent starts anew. What it puts
    /// off goes on as soon as it is clear again, or when the longest deferral is over.
    ///
    /// To be called after every start before [`Agent::work`] or [`Agent::handle_timeout`], and whenever it changes.
    pub fn set_gate(&mut self, now_ms: u64, gate: Gate) {
        self.core.gate = gate;
        self.go_on(now_ms);
    }

    /// Ends the agent of a device that is about to lose its RAM on purpose; the time at which to start one again, which
    /// goes on where this one ended. What it has programmed is not fetched again.
    ///
    /// To be called when [`Agent::work`] says that there is no more to do, and the last request was answered or is
    /// not sent yet: an answer that comes later finds nobody. Not on trial, where each start is one of a few.
    pub fn suspend(mut self, now_ms: u64) -> u64 {
        if let State::Updating {
            phase: Phase::Fetching { transfer },
            ..
        } = &self.state
        {
            let firm_bytes = transfer.filling.firm_bytes();
            // Unwritten it costs a block: what is found in flash may be torn at its end.
            let _ = self.core.journal.append(JournalRecord::Firm(firm_bytes));
        }
        let due_ms = self.state.due_ms().unwrap_or(now_ms);
        let times = [self.core.deferred_until_ms(), self.core.trial_deadline_ms()];
        times.into_iter().flatten().fold(due_ms, u64::min)
    }

    /// Takes the verdict of the application's self-test on the running image. One on trial that did not pass is given up
    /// at once; one that passed is confirmed when it also has had contact. A confirmed image stays, whatever is said.
    pub fn handle_self_test(&mut self, now_ms: u64, passed: bool) {
        if !matches!(self.state, State::Rebooting) {
            self.step(now_ms, &mut |core, state| core.self_tested(state, passed));
        }
    }

    /// Whether the watchdog may be fed: always by a confirmed image; by one on trial only while its agent is at work, that
    /// is while [`Agent::handle_timeout`] was called within [`Config::silence_ms_max`] and the trial is not over. So an
    /// image that runs without its agent ends in the watchdog instead of staying on trial for ever.
    #[must_use]
    pub fn may_feed_watchdog(&self, now_ms: u64) -> bool {
        let silent_ms = now_ms.saturating_sub(self.core.called_ms);
        let at_work = silent_ms <= self.core.config.silence_ms_max && !self.core.trial_is_over(now_ms);
        self.core.trial.is_none() || at_work
    }

    /// Writes the next datagram for the gateway into `into`, which holds [`crate::DATAGRAM_BYTES_MAX`]; its length.
    #[inline(never)]
    pub fn poll_transmit(&mut self, into: &mut [u8]) -> Option<usize> {
        self.core.client.poll_transmit(into)
    }

    /// The next thing for the caller to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.core.effects.poll()
    }

    /// When to call [`Agent::handle_timeout`]; `None` while there is work or after [`Effect::Reboot`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        if matches!(self.state, State::Rebooting) {
            return None;
        }
        let mut next_ms = u64::MAX;
        let mut or_at = |at_ms: Option<u64>| next_ms = next_ms.min(at_ms.unwrap_or(u64::MAX));
        or_at(self.state.due_ms());
        or_at(self.core.client.poll_timeout());
        or_at(self.core.trial_deadline_ms());
        #[cfg(feature = "freshness")]
        or_at(self.core.keeps_time_ms());
        if self.state.may_go_on() {
            or_at(self.core.deferred_until_ms());
        }
        (next_ms < u64::MAX).then_some(next_ms)
    }

    /// What is known of the newest release, by its publisher's word: `docs/freeze.md`. `None`: no statement has come yet.
    #[cfg(feature = "freshness")]
    #[must_use]
    pub fn known(&self, now_ms: u64) -> Option<Known> {
        self.core.known(now_ms)
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.core.client.stats()
    }

    /// Goes on with an update that was put off, if it may.
    fn go_on(&mut self, now_ms: u64) {
        if !self.state.may_go_on() {
            return;
        }
        match self.core.let_go(now_ms) {
            Some(DeferralStage::Restart) => {
                self.core.client.cancel();
                self.state.idle_until(now_ms);
                self.resume(now_ms);
            }
            Some(DeferralStage::Download) if matches!(self.state, State::Idle { .. }) => {
                self.core.check_in(now_ms, &mut self.state);
            }
            _ => {}
        }
    }

    /// From one state to the next, or nowhere: what stays where it is is not moved, for that would be copying it.
    #[inline(never)]
    fn step(&mut self, now_ms: u64, handle: Handle<'_, 'm, F>) {
        if let Err(FlashFailed) = handle(&mut self.core, &mut self.state) {
            let until_ms = self.core.flash_failed(now_ms);
            self.state.idle_until(until_ms);
        }
    }
}

/// What leads from one state to the next.
type Handle<'h, 'm, F> = &'h mut dyn FnMut(&mut Core<'m, F>, &mut State<'m>) -> Result<(), FlashFailed>;

impl<'m, F: NorFlash> Core<'m, F> {
    fn handle_response(
        &mut self,
        now_ms: u64,
        state: &mut State<'m>,
        message: &Message<'_>,
    ) -> Result<(), FlashFailed> {
        match state {
            State::CheckingIn { reporting } => {
                let reporting = *reporting;
                self.handle_answer(now_ms, state, reporting, message)
            }
            State::FetchingManifest { .. } => self.handle_manifest_block(now_ms, state, message),
            State::Updating { .. } => self.handle_payload_block(now_ms, state, message),
            _ => Ok(()),
        }
    }

    /// A request ended without a response. A transfer goes on where it was, later.
    fn handle_no_answer(&mut self, now_ms: u64, state: &mut State<'m>) {
        match state {
            State::Updating {
                phase: Phase::Fetching { transfer },
                ..
            } => transfer.paused_until_ms = Some(self.back_off(now_ms)),
            State::CheckingIn { .. } | State::FetchingManifest { .. } => {
                state.idle_until(self.back_off(now_ms));
            }
            _ => {}
        }
    }

    /// What was asked is due again.
    #[cfg(feature = "oscore")]
    fn ask_again(&self, now_ms: u64, state: &mut State<'m>) {
        match state {
            State::FetchingManifest { transfer, .. }
            | State::Updating {
                phase: Phase::Fetching { transfer },
                ..
            } => transfer.paused_until_ms = Some(now_ms),
            State::CheckingIn { .. } => state.idle_until(now_ms),
            _ => {}
        }
    }

    fn handle_due(&mut self, now_ms: u64, state: &mut State<'m>) {
        match state {
            State::Idle { .. } => self.check_in(now_ms, state),
            // The answer leads back to where the transfer is.
            #[cfg(feature = "edhoc")]
            State::FetchingManifest { .. } | State::Updating { .. } if self.doubts_its_keys() => {
                self.check_in(now_ms, state);
            }
            State::FetchingManifest { job, transfer, .. } => {
                self.request_block(now_ms, job, true, transfer);
            }
            State::Updating {
                update,
                phase: Phase::Fetching { transfer },
            } => {
                self.request_block(now_ms, &update.job, false, transfer);
            }
            _ => {}
        }
    }
}

/// RFC 7252 §4.4: a message id is not used again within EXCHANGE_LIFETIME, restarts or not; a gateway would take the
/// request for a copy and repeat its old answer. 65,536 starts in a row begin at different ids, because the step is odd;
/// neighbours begin thousands of ids apart, because it is near the golden section of 2^16.
const fn seed_of_start(seed: u64, starts: u32) -> u64 {
    const STEP: u64 = 0x9E37_79B9_7F4A_9E37;
    seed.wrapping_add(STEP.wrapping_mul(starts as u64))
}

/// What flash says at a start, this one counted.
struct Logs<'f, F> {
    journal: Journal<'f, F>,
    boot_log: BootLogState,
    is_counted: bool,
}

impl<'f, F: NorFlash> Logs<'f, F> {
    #[inline(never)]
    fn open(flash: &'f RefCell<F>, config: &Config, now_ms: u64) -> Result<Self, StartError> {
        let mut journal = Journal::open(Region::new(flash, config.layout.journal))?;
        let boot_log = BootLog::open(Region::new(flash, config.layout.boot_log))?.state();
        let counted = journal
            .count_start()
            .and_then(|()| journal.restart_deferral(now_ms));
        Ok(Self {
            journal,
            boot_log,
            is_counted: counted.is_ok(),
        })
    }
}

/// The running image as its own manifest describes it: the bootloader checked the bytes, this only reads.
#[inline(never)]
fn running_image<F: NorFlash>(
    services: &dyn Services,
    config: &Config,
    provision: &Provision,
    flash: &RefCell<F>,
    boot: BootInfo,
) -> Result<SignedImage, StartError> {
    let slot = SlotRegion::new(Region::new(flash, config.layout.slot(boot.slot)));
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let envelope = slot.envelope(&mut buffer).map_err(|fault| match fault {
        SlotHeaderFault::Flash(error) => StartError::Flash(error),
        _ => StartError::RunningImage,
    })?;
    let image = authenticate(services, envelope, provision, provision.starting_keys())
        .map_err(|_| StartError::RunningImage)?;
    if image.sequence != boot.sequence {
        return Err(StartError::RunningImage);
    }
    Ok(image)
}

#[cfg(test)]
mod tests {
    use deltagate_flash::sim::SimFlash;

    use super::*;

    #[test]
    fn the_agent_stays_below_its_stated_size() {
        let bytes = size_of::<Agent<'static, SimFlash>>();
        assert!(bytes <= AGENT_BYTES_MAX, "{bytes} bytes");
    }

    #[test]
    fn starts_near_each_other_use_message_ids_far_apart() {
        let first = |starts| seed_of_start(77, starts) as u16;
        let distinct: std::collections::BTreeSet<u16> = (0..=0xFFFF).map(first).collect();
        assert_eq!(distinct.len(), 0x1_0000);
        for later in 1..=20 {
            let apart = first(1_000 + later).wrapping_sub(first(1_000));
            assert!(apart.min(apart.wrapping_neg()) > 1_000, "{later} starts later");
        }
    }
}
