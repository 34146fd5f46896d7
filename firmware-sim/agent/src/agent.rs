//! The agent: one object that turns datagrams and time into flash contents and effects.

use core::cell::RefCell;
use core::fmt;

use deltagate_flash::{BootInfo, FlashError, Provision};
use embedded_storage::nor_flash::NorFlash;

use crate::config::Config;
use crate::event::{Effect, Stats};

/// The device side of the protocol.
///
/// After every `handle_*` and [`Agent::work`] the caller drains [`Agent::poll_transmit`] and [`Agent::poll_effect`]
/// until they say `None`; then it calls [`Agent::work`] for as long as that says `true`, and otherwise sleeps until a
/// datagram comes or the time that [`Agent::poll_timeout`] tells. Every call may move that time.
///
/// The times are milliseconds of a clock that never goes back, from any beginning.
pub struct Agent<'m, F> {
    flash: &'m RefCell<F>,
    config: Config,
    stats: Stats,
    memory: Option<&'m mut [u8]>,
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
    /// may use, and its length is what the device reports; `seed` chooses message ids, tokens and jitter, and should
    /// differ from boot to boot.
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
        let _ = (provision, boot, seed, now_ms);
        Ok(Self {
            flash,
            config,
            stats: Stats::default(),
            memory: Some(decoder_memory),
        })
    }

    /// Takes a datagram from the gateway. Anything at all may be in it.
    pub fn handle_datagram(&mut self, now_ms: u64, datagram: &[u8]) {
        let _ = (now_ms, datagram, self.flash, &self.config, &self.memory);
    }

    /// Does what is due at `now_ms`; harmless when nothing is.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let _ = now_ms;
    }

    /// Does one bounded step of erasing, decoding or hashing: a sector erased or a few hundred bytes processed. Whether
    /// there is more to do at once.
    pub fn work(&mut self, now_ms: u64) -> bool {
        let _ = now_ms;
        false
    }

    /// Writes the next datagram for the gateway into `into`, which holds [`crate::DATAGRAM_BYTES_MAX`]; its length.
    pub fn poll_transmit(&mut self, into: &mut [u8]) -> Option<usize> {
        let _ = into;
        None
    }

    /// The next thing for the caller to do.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        None
    }

    /// When to call [`Agent::handle_timeout`]; `None` while there is work or after [`Effect::Reboot`].
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}
