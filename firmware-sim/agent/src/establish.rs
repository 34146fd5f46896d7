//! EDHOC between a device that has a key of its own and its gateway (RFC 9528, RFC 9668): how it comes to credentials.
//!
//! | the channel is | and at a check-in | becomes |
//! |---|---|---|
//! | without credentials, or with damaged ones, or with a lost count and uncounted starts | | Establishing: message_1 goes out |
//! | with a lost count | | Secured under other keys of the same credentials, without a handshake: `channel::renewal`. Unanswered, as the next row |
//! | Secured | the application asked for other keys, or [`UNHEARD_MAX`] requests in a row were not answered | the same, every other time: the keys that are there may be the right ones |
//! | Establishing | message_2 is of the gateway | Secured under new keys, which only the RAM has |
//! | Establishing | anything else came | the same: the true message_2 may still come |
//! | Secured, new | | message_3 goes out, in front of the check-in |
//! | Secured, new | an answer is authentic: the gateway has them | Secured: written over those that are stored |
//! | Secured, new | nobody answers | as after a restart: what is stored, or Establishing |
//!
//! Stored credentials are replaced by what the gateway has shown to have, and by nothing else. Whatever the power does, the device has
//! the old ones or the new ones or none, and its own key; if the gateway has others, [`UNHEARD_MAX`] says when that is noticed.
//!
//! The count of messages is the device's and goes on under other keys: `deltagate_flash::SequenceLog`.

use core::fmt;

use deltagate_flash::{Credentials, Name, OwnKey, Region, SequenceLog, StoredKey};
use deltagate_services::Services;
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::DeviceId;
use wire_coap::{Code, Message};
use wire_edhoc::{Credential, Established, Fault, Initiator, PrivateKey, PublicKey, Sent};
use wire_oscore::Id;

use crate::channel::{Channel, Secured, Silence, context, sha256};
use crate::core::Core;
use crate::event::Event;
use crate::state::State;

/// Requests in a row without an answer, after which the gateway may have lost the keys: with the defaults, 5 minutes.
const UNHEARD_MAX: u8 = 3;

/// The kid of the gateway's credential: `docs/protocol.md`.
const GATEWAY_KID: [u8; 1] = [0];

/// How much longer than without a request may be: the EDHOC option 2, and message_3.
pub(crate) const OVERHEAD_BYTES_MAX: usize = 2 + wire_edhoc::MESSAGE_3_BYTES_MAX;

/// A device that has no keys, and awaits message_2 if it has sent message_1.
pub(crate) struct Establishing {
    key: OwnKey,
    /// Numbers below it may have been used.
    end: u64,
    /// There are credentials to go back to.
    is_renewal: bool,
    initiator: Option<Initiator>,
}

/// Shows no key.
impl fmt::Debug for Establishing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Establishing").finish_non_exhaustive()
    }
}

/// Keys that are not stored yet.
#[derive(Debug)]
pub(crate) struct Fresh {
    pub(crate) credentials: Credentials,
    /// Until it is sent.
    pub(crate) message_3: Option<Name<{ wire_edhoc::MESSAGE_3_BYTES_MAX }>>,
}

impl Channel {
    /// What a device with a key of its own has instead of a channel that it cannot use.
    pub(crate) fn or_establishing<F: NorFlash>(self, region: Region<'_, F>, end: u64) -> Self {
        if matches!(self, Self::Secured(_)) {
            return self;
        }
        match OwnKey::read(region) {
            StoredKey::Nothing => self,
            StoredKey::Damaged => Self::Silent(Silence::Credentials),
            StoredKey::Sound(key) => Self::Establishing(Establishing {
                key,
                end,
                is_renewal: false,
                initiator: None,
            }),
        }
    }

    /// Looks whether a response that is awaited is message_2 of the gateway; if so, the channel has other keys now.
    #[inline(never)]
    pub(crate) fn hear(&mut self, services: &dyn Services, device: DeviceId, message: &Message<'_>) {
        let Self::Establishing(establishing) = self else {
            return;
        };
        if message.code() != Code::CHANGED {
            return;
        }
        if let Some(secured) = establishing.secured(services, device, message.payload()) {
            *self = Self::Secured(secured);
        }
    }
}

impl Establishing {
    /// Makes message_1 under a key that follows from this device's own, what was never said before, and what the application gave.
    fn hello(&mut self, services: &dyn Services, seed: &[u8]) -> Result<Sent, Fault> {
        let sha256 = &mut sha256(services);
        let seed = sha256(&[b"deltagate.ephemeral/1", &self.key.private, seed]);
        let ephemeral = PrivateKey::of_seed_with(sha256, &seed)?;
        let (initiator, message_1) = Initiator::start_with(sha256, &[], &ephemeral, Id::EMPTY)?;
        self.initiator = Some(initiator);
        Ok(message_1)
    }

    fn secured(&self, services: &dyn Services, device: DeviceId, message_2: &[u8]) -> Option<Secured> {
        let initiator = self.initiator.as_ref()?;
        let key = PrivateKey::new(&self.key.private).ok()?;
        let ours = Credential::new(device.as_bytes(), key.public()).ok()?;
        let theirs = Credential::new(&GATEWAY_KID, &PublicKey::new(&self.key.gateway).ok()?).ok()?;
        let answered = initiator.answer_with(&mut sha256(services), message_2, &key, &ours, &theirs);
        let (proved, message_3) = answered.ok()?;
        let credentials = credentials(&proved.established)?;
        let context = context(services, &credentials, None)?;
        let fresh = Fresh {
            credentials,
            message_3: Some(Name::new(message_3.as_bytes())?),
        };
        Some(Secured::fresh(context, self.end, fresh))
    }
}

fn credentials(established: &Established) -> Option<Credentials> {
    Some(Credentials {
        master_secret: *established.master_secret,
        master_salt: Name::new(&established.master_salt)?,
        id_context: Name::new(&[])?,
        kid: Name::new(established.initiator.as_bytes())?,
        gateway: Name::new(established.responder.as_bytes())?,
    })
}

/// What a check-in has to do first.
enum First {
    Nothing,
    /// The stored credentials, or what there is without.
    Reopen,
    /// Other keys than the stored ones.
    Renew,
}

impl<'m, F: NorFlash> Core<'m, F> {
    /// Sends message_1 in place of a check-in, if there are no keys or other ones are due. Whether it did.
    #[inline(never)]
    pub(crate) fn establish(&mut self, now_ms: u64, state: &mut State<'m>) -> bool {
        match self.first() {
            First::Nothing => {}
            First::Reopen => {
                let (services, config, journal) = (self.services, &self.config, &self.journal);
                // This start may have drawn what other keys would be made of: those are a handshake's now.
                self.client.channel = Channel::open(services, self.flash, config, journal, None);
            }
            First::Renew => self.renew(),
        }
        let (starts, requests) = (self.journal.state().starts, self.client.requests());
        let Channel::Establishing(establishing) = &mut self.client.channel else {
            return false;
        };
        let mut seed = [0; 4 + 4 + 32];
        let parts = starts.to_le_bytes().into_iter().chain(requests.to_le_bytes());
        for (place, byte) in seed.iter_mut().zip(parts.chain(self.random)) {
            *place = byte;
        }
        let message_1 = establishing.hello(self.services, &seed);
        let sent = message_1.is_ok_and(|message_1| self.client.post_message_1(now_ms, &message_1).is_ok());
        match sent {
            true => *state = State::CheckingIn { reporting: None },
            false => state.idle_until(self.back_off(now_ms)),
        }
        true
    }

    fn first(&self) -> First {
        let is_even = self.unanswered.is_multiple_of(2);
        match &self.client.channel {
            Channel::Establishing(establishing) if establishing.is_renewal && !self.renews(is_even) => {
                First::Reopen
            }
            Channel::Secured(secured) => match &secured.fresh {
                // Message_3 went out, and nobody answered.
                Some(fresh) if fresh.message_3.is_none() => First::Reopen,
                None if self.renews(is_even) => First::Renew,
                _ => First::Nothing,
            },
            _ => First::Nothing,
        }
    }

    const fn renews(&self, is_even: bool) -> bool {
        (self.wants_keys && is_even) || (self.unanswered >= UNHEARD_MAX && !is_even)
    }

    /// Whether a transfer that nobody answers had better ask for other keys.
    pub(crate) fn doubts_its_keys(&self) -> bool {
        let is_renewal = matches!(self.first(), First::Renew);
        let region = self.config.credentials.map(|at| Region::new(self.flash, at));
        is_renewal && region.is_some_and(|region| matches!(OwnKey::read(region), StoredKey::Sound(_)))
    }

    fn renew(&mut self) {
        let Some(region) = self.config.credentials.map(|at| Region::new(self.flash, at)) else {
            return;
        };
        let Ok(end) = SequenceLog::open(region).map(|log| log.end()) else {
            return;
        };
        if let StoredKey::Sound(key) = OwnKey::read(region) {
            self.client.channel = Channel::Establishing(Establishing {
                key,
                end,
                is_renewal: true,
                initiator: None,
            });
        }
    }

    /// Stores keys that the gateway has shown to have: a response under them came.
    #[inline(never)]
    pub(crate) fn keep_established(&mut self) {
        let Channel::Secured(Secured { fresh, .. }) = &mut self.client.channel else {
            return;
        };
        if fresh.as_ref().is_none_or(|fresh| fresh.message_3.is_some()) {
            return;
        }
        let (Some(fresh), Some(partition)) = (fresh.take(), self.config.credentials) else {
            return;
        };
        self.wants_keys = false;
        let region = Region::new(self.flash, partition);
        let mut room = [0; deltagate_flash::CREDENTIALS_BYTES_MAX];
        let written = Credentials::write(fresh.credentials.encode(&mut room), region);
        self.effects.event(match written {
            Ok(()) => Event::Established,
            // Good until the next start, which establishes others.
            Err(_) => Event::FlashFailed,
        });
    }
}

/// What nobody guesses who has not the key.
pub(crate) fn unguessable(establishing: &Establishing, services: &dyn Services) -> u64 {
    let digest = sha256(services)(&[b"deltagate.tokens/1", &establishing.key.private]);
    digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
