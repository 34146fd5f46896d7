//! The gateway's end of OSCORE (RFC 8613): whose a protected request is, found by its key id and never by its address.
//!
//! | a protected request | is |
//! |---|---|
//! | the same datagram as the last one under this key | answered with the same bytes, wherever it comes from now: a retransmission. Elsewhere than where it first came from, within what [`crate::reach`] lets go there |
//! | under a key that nobody has | refused, plain, 4.01 |
//! | forged, altered, of another context, seen before | dropped in silence: whoever caused it is not worth airtime |
//! | authentic, and the replay window of its key was lost (a restart) | challenged with Echo under a number of the gateway's own (Appendix B.1.2); nothing else happens |
//! | the first of a device that lost its count (Appendix B.2: [`wire_oscore::renewal`]) | answered with R2; nothing else happens |
//! | under new keys with that R2 in them, authentic | the device's from now on: they are stored as such, and the old ones are no more |
//! | authentic and new, but a check-in older than one that was taken | dropped: somebody held it back, and it is no news |
//! | authentic and new | routed like a plain one, for the device whose key it is; its one answer takes the request's nonce |
//!
//! What survives a restart: [`KeyState`], the numbers of the gateway's own that may have been used, reserved before they are, and which
//! keys a device made anew. What does not: replay windows and kept answers. So no nonce meets two plaintexts: the request's nonce is taken by one answer only (the
//! exchange that holds it is used up by that), a retransmission gets those bytes again, and after a restart nothing
//! is answered under a nonce of a request that may have been answered before. Numbers of its own also begin by the clock, for a gateway
//! whose database is gone.

use crate::credentials::{Credentials, Kid};
use core::net::SocketAddr;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use wire_checkin::DeviceId;
use wire_coap::{Message, MessageId, OptionNumber, Token};
use wire_oscore::renewal::{Inputs, Random, ServerRenewal};
use wire_oscore::{
    Context, EchoValue, FreshPartialIv, Id, IdContext, OVERHEAD_BYTES_MAX, OscoreOption, PartialIv,
    ReplayWindow, SenderSequence, ServerExchange,
};

/// What is kept of a key besides its credentials.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyState {
    /// Numbers of the gateway's own below this may have been used under the key. Never less than before, also when the key goes and
    /// comes back.
    pub reserved: u64,
    /// When a device first proved that it has the key. From then on nobody is believed to be that device without.
    pub used_unix_s: Option<u64>,
    /// The ID Context that takes the place of the credentials' own, since the device lost its count and made new keys. It goes with the
    /// credentials.
    pub renewed: Option<Renewed>,
}

/// The ID Context of keys that were made anew: R2 of the gateway, R3 of the device.
pub type Renewed = [u8; 16];

/// What a protected request says of itself before anyone knows whether it is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Outer {
    /// The key that it names; `None` when that is no key id.
    pub(crate) kid: Option<Kid>,
    /// What it says of making new keys.
    pub(crate) renewal: Renewal,
    /// Whether it is well-formed as far as anybody can see.
    pub(crate) is_sound: bool,
    /// The number of its nonce.
    pub(crate) number: Option<u64>,
    /// What its answer is told by.
    pub(crate) answers: (MessageId, Token),
}

impl Outer {
    /// `None` of a datagram that is no protected request.
    pub(crate) fn of(datagram: &[u8]) -> Option<Outer> {
        let message = Message::parse(datagram).ok()?;
        let value = message.option(OptionNumber::OSCORE)?;
        if !message.code().is_request() {
            return None;
        }
        let option = OscoreOption::parse(value).ok();
        let context = option.and_then(|option| option.kid_context);
        let is_short = context.is_none_or(|context| context.len() <= NAMED_BYTES_MAX);
        Some(Outer {
            kid: option.and_then(|option| option.kid).and_then(Kid::new),
            renewal: context.map_or(Renewal::No, Renewal::of),
            is_sound: option.is_some() && is_short,
            number: option.and_then(|option| option.partial_iv).map(PartialIv::value),
            answers: (message.message_id(), message.token()),
        })
    }
}

/// The longest kid context: an ID Context, as it is or as a CBOR byte string.
const NAMED_BYTES_MAX: usize = 1 + size_of::<Renewed>();

/// What a kid context says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Renewal {
    /// Nothing of the kind.
    No,
    /// Request 1.
    Asked,
    /// It may be request 2, or a later one whose sender does not know that the first was heard.
    Named(Renewed),
}

impl Renewal {
    fn of(kid_context: &[u8]) -> Renewal {
        match kid_context {
            asked if ServerRenewal::is_asked(asked) => Renewal::Asked,
            [0x50, named @ ..] => named.try_into().map_or(Renewal::No, Renewal::Named),
            _ => Renewal::No,
        }
    }
}

/// A key in use.
pub(crate) struct Session {
    credentials: Credentials,
    renewed: Option<Renewed>,
    /// What the device gets to make new keys with. Of this session alone: who takes part in it ends the session.
    renewal: ServerRenewal,
    pub(crate) context: Context,
    pub(crate) window: ReplayWindow,
    sequence: SenderSequence,
    /// Number of the newest check-in that was taken.
    checked_in: Option<u64>,
}

impl Session {
    /// Response 1 to a device that makes new keys: see [`wire_oscore::renewal`].
    pub(crate) fn offer(&self, datagram: &[u8], fresh: MessageId) -> Option<Vec<u8>> {
        let mut buffer = [0; RESPONSE_1_BYTES_MAX];
        let inputs = inputs(&self.credentials)?;
        let sent = self
            .renewal
            .answer(&inputs, &mut datagram.to_vec(), fresh, &mut buffer);
        Some(sent.ok()?.to_vec())
    }

    /// What the keys were made anew with, if they are not the credentials' own.
    pub(crate) const fn renewed(&self) -> Option<Renewed> {
        self.renewed
    }

    /// Whether an authentic check-in is older than one that was taken: it was held back on its way, and what it says is no news. What
    /// was held back since before a start does not come so far.
    pub(crate) fn is_late(&mut self, number: Option<u64>) -> bool {
        let is_late = self.checked_in >= number;
        if !is_late {
            self.checked_in = number;
        }
        is_late
    }

    /// A number of the gateway's own, and what must be stored before it is used. `None`: all 2^40 are gone.
    pub(crate) fn own_number(&mut self) -> Option<(FreshPartialIv, Option<u64>)> {
        let reservation = self.sequence.reservation(1, RESERVATION);
        if let Some(end) = reservation {
            self.sequence.reserved(end);
        }
        Some((self.sequence.take()?, reservation))
    }
}

impl KeyState {
    /// The same, of a gateway that may have forgotten how far it came: its database is gone and the device was enrolled again, or it came
    /// back from a backup. Its numbers begin no earlier than 64 for each second since 1970, of which 2^40 are 544 years: what it used before
    /// is below, unless it challenged one device more often than that all the time, or its clock was set back.
    pub(crate) fn at(self, unix_s: u64) -> KeyState {
        // Half of all numbers are left to a clock that is far ahead.
        let by_clock = unix_s.saturating_mul(u64::from(RESERVATION)).min(1 << 39);
        KeyState {
            reserved: self.reserved.max(by_clock),
            ..self
        }
    }
}

/// Numbers reserved at once: a write for each 64 challenges, and 64 of 2^40 lost at a restart.
const RESERVATION: u32 = 64;

/// Nothing of a key is worth printing.
impl core::fmt::Debug for Session {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Session({:?})", self.credentials)
    }
}

/// An answer that a retransmission gets again.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    request: [u8; 32],
    /// Where that came from first.
    pub(crate) peer: SocketAddr,
    pub(crate) reply: Vec<u8>,
    pub(crate) device: DeviceId,
}

/// The one answer that may be given under a request's nonce.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) kid: Kid,
    pub(crate) device: DeviceId,
    request: [u8; 32],
    peer: SocketAddr,
    exchange: ServerExchange,
}

impl Exchange {
    pub(crate) fn new(
        kid: Kid,
        device: DeviceId,
        (peer, datagram): (SocketAddr, &[u8]),
        exchange: ServerExchange,
    ) -> Exchange {
        Exchange {
            kid,
            device,
            request: digest(datagram),
            peer,
            exchange,
        }
    }
}

/// Keys in use, by key id, and the last answer under each.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    open: BTreeMap<Kid, Session>,
    kept: BTreeMap<Kid, Kept>,
    order: VecDeque<Kid>,
    challenges: u64,
}

/// Header, token of 8, and what protection adds.
const RESPONSE_1_BYTES_MAX: usize = 4 + 8 + OVERHEAD_BYTES_MAX;

/// Answers kept: the last one under each of so many keys, which has one request outstanding (RFC 7252 §4.7). At up to
/// 1,100 bytes each 4.5 MB. Whoever lost one asks anew.
const KEPT_MAX: usize = 4_096;

impl Sessions {
    /// The session of a key. One that is not open yet, or was of other credentials, begins with a window that was lost: keys may
    /// have been used before. `seed` is another one at each start.
    pub(crate) fn open(
        &mut self,
        credentials: &Credentials,
        state: KeyState,
        seed: &[u8; 32],
    ) -> Option<&mut Session> {
        let kid = credentials.kid;
        let is_open = self
            .open
            .get(&kid)
            .is_some_and(|session| session.credentials == *credentials && session.renewed == state.renewed);
        if !is_open {
            self.close(kid);
            let session = self.begin(credentials, state, seed)?;
            self.open.insert(kid, session);
        }
        self.open.get_mut(&kid)
    }

    /// The session of keys that were made just now: nobody used them before.
    pub(crate) fn open_new(&mut self, credentials: &Credentials, state: KeyState, seed: &[u8; 32]) {
        self.close(credentials.kid);
        if let Some(session) = self.begin(credentials, state, seed) {
            let window = ReplayWindow::new();
            self.open.insert(credentials.kid, Session { window, ..session });
        }
    }

    fn begin(&mut self, credentials: &Credentials, state: KeyState, seed: &[u8; 32]) -> Option<Session> {
        self.challenges += 1;
        let drawn = Sha256::new()
            .chain_update(seed)
            .chain_update(credentials.kid.as_bytes())
            .chain_update(self.challenges.to_be_bytes())
            .finalize();
        let (echo, r2) = (*drawn.first_chunk()?, *drawn.last_chunk()?);
        let echo = EchoValue(echo);
        Some(Session {
            context: context(credentials, state.renewed)?,
            credentials: credentials.clone(),
            renewed: state.renewed,
            renewal: ServerRenewal::new(Random(r2)),
            window: ReplayWindow::lost(echo),
            sequence: SenderSequence::resume(state.reserved),
            checked_in: None,
        })
    }

    /// Takes keys that a device made anew with this session's R2, if the request that names them is authentic: its key from now on, with
    /// a window in which nothing came.
    pub(crate) fn renew(&mut self, kid: Kid, named: Renewed, datagram: &[u8], seed: &[u8; 32]) -> Option<()> {
        let session = self.open.get(&kid)?;
        let mut kid_context = [0x50; NAMED_BYTES_MAX];
        kid_context.get_mut(1..)?.copy_from_slice(&named);
        let inputs = inputs(&session.credentials)?;
        let keys = session.renewal.keys(&inputs, &kid_context).ok()??;
        keys.unprotect_request(&mut ReplayWindow::new(), &mut datagram.to_vec())
            .ok()?;
        let state = KeyState {
            renewed: Some(named),
            ..KeyState::default()
        };
        let (credentials, sequence) = (session.credentials.clone(), session.sequence.end());
        let mut session = self.begin(&credentials, state, seed)?;
        session.window = ReplayWindow::new();
        session.sequence = SenderSequence::resume(sequence);
        self.kept.remove(&kid);
        self.open.insert(kid, session);
        Some(())
    }

    /// Forgets keys that nobody has any more, wiping them.
    pub(crate) fn retain(&mut self, has: impl Fn(Kid) -> bool) {
        self.open.retain(|kid, _| has(*kid));
        self.kept.retain(|kid, _| has(*kid));
    }

    pub(crate) fn get_mut(&mut self, kid: Kid) -> Option<&mut Session> {
        self.open.get_mut(&kid)
    }

    fn close(&mut self, kid: Kid) {
        self.open.remove(&kid);
        self.kept.remove(&kid);
    }

    /// The answer given to this very datagram before. Departs from RFC 7252 §4.5, where a retransmission comes from the same
    /// address: these bytes can be made by the device only, and its address may have changed since.
    pub(crate) fn answered(&self, kid: Kid, datagram: &[u8]) -> Option<&Kept> {
        let kept = self.kept.get(&kid)?;
        (kept.request == digest(datagram)).then_some(kept)
    }

    /// Protects the one answer to a request, and keeps it. `None`: it cannot be protected, and nothing is sent.
    pub(crate) fn protect(&mut self, exchange: Exchange, plain: &[u8]) -> Option<Vec<u8>> {
        let Exchange {
            kid,
            device,
            request,
            peer,
            mut exchange,
        } = exchange;
        let session = self.open.get(&kid)?;
        let mut buffer = vec![0; plain.len() + OVERHEAD_BYTES_MAX];
        let plain = Message::parse(plain).ok()?;
        let context = &session.context;
        let sent = context.protect_response(&mut exchange, None, &plain, &mut buffer);
        let reply = sent.ok()?.to_vec();
        self.keep(
            kid,
            Kept {
                request,
                peer,
                reply: reply.clone(),
                device,
            },
        );
        Some(reply)
    }

    fn keep(&mut self, kid: Kid, kept: Kept) {
        if self.kept.insert(kid, kept).is_none() {
            self.order.push_back(kid);
        }
        while self.order.len() > KEPT_MAX {
            if let Some(oldest) = self.order.pop_front() {
                self.kept.remove(&oldest);
            }
        }
    }
}

/// What keys are derived from at the gateway's side. `None` for credentials that cannot stand, which none are.
fn inputs(credentials: &Credentials) -> Option<Inputs<'_>> {
    Some(Inputs {
        master_secret: credentials.secret.expose(),
        master_salt: credentials.salt.as_bytes(),
        sender_id: Id::new(credentials.gateway_id.as_bytes())?,
        recipient_id: Id::new(credentials.kid.as_bytes())?,
    })
}

/// The context of the gateway's side. `None` as above.
fn context(credentials: &Credentials, renewed: Option<Renewed>) -> Option<Context> {
    let own = credentials.id_context.as_bytes();
    let id_context = match &renewed {
        Some(renewed) => Some(IdContext::new(renewed)?),
        None if own.is_empty() => None,
        None => Some(IdContext::new(own)?),
    };
    let of = inputs(credentials)?;
    let (own, other) = (of.sender_id, of.recipient_id);
    Context::derive(of.master_secret, of.master_salt, id_context, own, other).ok()
}

fn digest(datagram: &[u8]) -> [u8; 32] {
    Sha256::digest(datagram).into()
}

/// How much longer a protected answer is than a plain one: option 1, marker 1, code 1, tag 8.
pub(crate) const ANSWER_OVERHEAD_BYTES: u16 = 11;
/// How much longer a request without payload is: as much, and in the option flags 1, Partial IV 3, key id 2.
const REQUEST_OVERHEAD_BYTES: u16 = 17;

/// How much longer a message is on an average of a request and its answer: what the arithmetic of a link counts as part of the
/// headers below CoAP.
pub(crate) const MESSAGE_OVERHEAD_BYTES: u16 = (ANSWER_OVERHEAD_BYTES + REQUEST_OVERHEAD_BYTES) / 2;
const _: () = assert!(MESSAGE_OVERHEAD_BYTES == 14 && MESSAGE_OVERHEAD_BYTES >= ANSWER_OVERHEAD_BYTES);
