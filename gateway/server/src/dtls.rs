//! DTLS 1.2 with pre-shared keys, for the installed base: what lies between the socket of `coaps://` and the core.
//!
//! `TLS_PSK_WITH_AES_128_CCM_8` (RFC 6655, what RFC 7925 §4.2 asks of devices) and nothing else. Flights and records are dimpl's; which datagram
//! belongs to whom, and what may come into being because of it, is decided here:
//!
//! | a datagram from a peer is | and becomes |
//! |---|---|
//! | a ClientHello that offers nothing of ours | an alert of 15 bytes, and nothing is kept |
//! | a ClientHello without our cookie | a HelloVerifyRequest of 60 bytes, shorter than what it answers, and nothing is kept (RFC 6347 §4.2.1) |
//! | a ClientHello with it | a handshake, beside a session that the peer may have (RFC 6347 §4.2.8): it ends when the new one is proven |
//! | the same again | the handshake's last flight again |
//! | of a handshake | the next flight; at its end the session of an identity, in place of every other one of that identity |
//! | of a session, newer than what came before | a CoAP message |
//! | of a session, and not newer | nothing: held back on its way, or replayed |
//! | anything else | nothing, and counted |
//!
//! A handshake proves an address by its cookie and an identity by its last message; until then it costs a place among
//! [`HANDSHAKES_MAX`], of which no prefix has more than [`HANDSHAKES_PER_PREFIX_MAX`]. Unknown identities and wrong keys end alike.
//! The longest unused session goes when there are [`SESSIONS_MAX`].
//!
//! One shape as the cores have it: [`Dtls::handle_datagram`] and [`Dtls::handle_timeout`] feed it, [`Dtls::poll_flight`] and
//! [`Dtls::poll_message`] drain it, [`Dtls::poll_timeout`] says when to call again. It opens nothing and reads no clock; random
//! numbers of a handshake are drawn by dimpl from the system.

mod association;
mod cookie;
mod counters;
mod handshakes;
mod hello;
mod keys;
mod record;
mod sessions;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gateway_core::{Psk, PskProof};

use association::{Association, Ended, Turn};
use cookie::Cookies;
pub use counters::DtlsCounters;
pub use handshakes::{HANDSHAKES_MAX, HANDSHAKES_PER_PREFIX_MAX};
use handshakes::{Handshake, Handshakes};
use hello::{Hello, NotHello};
use keys::Keys;
use record::Record;
pub use sessions::SESSIONS_MAX;
use sessions::{Session, Sessions};

/// A CoAP message that came through a session.
#[derive(Debug, PartialEq, Eq)]
pub struct SessionMessage {
    /// Whence.
    pub peer: SocketAddr,
    /// Through which session.
    pub session: u64,
    /// Under which key.
    pub proof: PskProof,
    /// What.
    pub bytes: Vec<u8>,
}

/// Every handshake and session of one port.
pub struct Dtls {
    /// The instant of `now_ms` = 0.
    start: Instant,
    cookies: Cookies,
    keys: Arc<Keys>,
    config: Arc<dimpl::Config>,
    handshakes: Handshakes,
    sessions: Sessions,
    flights: VecDeque<(SocketAddr, Vec<u8>)>,
    messages: VecDeque<SessionMessage>,
    counters: DtlsCounters,
}

/// Nothing of a session is worth printing.
impl std::fmt::Debug for Dtls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Dtls({:?})", self.counters())
    }
}

impl Dtls {
    /// One that nobody has spoken to, at `start`, whose cookies nobody can make who does not know `secret`: random bytes, others at each
    /// start.
    pub fn new(start: Instant, secret: [u8; 32]) -> Dtls {
        let keys = Arc::new(Keys::default());
        Dtls {
            start,
            cookies: Cookies::new(secret),
            config: association::config(&keys),
            keys,
            handshakes: Handshakes::default(),
            sessions: Sessions::new(SESSIONS_MAX),
            flights: VecDeque::new(),
            messages: VecDeque::new(),
            counters: DtlsCounters::default(),
        }
    }

    /// The keys that count from now on; sessions under others end.
    pub fn set_keys<'a>(&mut self, psks: impl Iterator<Item = &'a Psk>) {
        self.keys.set(psks);
        let keys = &self.keys;
        self.sessions.retain(|proof| keys.counts(proof));
    }

    /// Takes what came from `peer`, `now_ms` after the start.
    pub fn handle_datagram(&mut self, now_ms: u64, peer: SocketAddr, datagram: &[u8]) {
        // Port 0 cannot be answered.
        let first = Record::first(datagram).filter(|_| peer.port() != 0);
        let Some(first) = first else {
            self.counters.malformed += 1;
            return;
        };
        match Hello::read(datagram) {
            Ok(hello) => self.hello(now_ms, peer, &hello, datagram),
            Err(NotHello::Broken) => self.counters.malformed += 1,
            Err(NotHello::Other) if self.handshakes.has(peer) && first.is_of_handshake() => {
                self.step(now_ms, peer, |association, now| association.handle(now, datagram));
            }
            Err(NotHello::Other) => match self.sessions.at(peer) {
                Some(session) => self.session_datagram(now_ms, session, datagram),
                None => self.counters.strangers += 1,
            },
        }
    }

    /// Does what is due: repeats flights, gives handshakes up.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        let now = self.at(now_ms);
        for peer in self.handshakes.due(now) {
            self.step(now_ms, peer, Association::timeout);
        }
    }

    /// What a handshake sends next, and to whom.
    pub fn poll_flight(&mut self) -> Option<(SocketAddr, Vec<u8>)> {
        self.flights.pop_front()
    }

    /// What came through a session next.
    pub fn poll_message(&mut self) -> Option<SessionMessage> {
        self.messages.pop_front()
    }

    /// When to call [`Dtls::handle_timeout`], in milliseconds since the start.
    pub fn poll_timeout(&self) -> Option<u64> {
        let wake = self.handshakes.wake()?;
        // Never before it.
        Some(wake.saturating_duration_since(self.start).as_millis() as u64 + 1)
    }

    /// Protects a message for the other end of a session, and says who that is; `None` when the session is gone, or ends with this.
    pub fn protect(&mut self, now_ms: u64, session: u64, message: &[u8]) -> Option<(SocketAddr, Vec<u8>)> {
        let now = self.at(now_ms);
        let live = self.sessions.get_mut(session)?;
        match live.protect(now, message) {
            Some(record) => Some((live.peer, record)),
            None => {
                self.end(session);
                None
            }
        }
    }

    /// Ends a session, without a word: its key counts no more.
    pub fn end(&mut self, session: u64) {
        self.sessions.remove(session);
        self.counters.ended += 1;
    }

    /// What has happened so far.
    pub fn counters(&self) -> DtlsCounters {
        DtlsCounters {
            sessions: self.sessions.len() as u64,
            handshakes: self.handshakes.len() as u64,
            ..self.counters
        }
    }

    fn at(&self, now_ms: u64) -> Instant {
        self.start + Duration::from_millis(now_ms)
    }

    fn hello(&mut self, now_ms: u64, peer: SocketAddr, hello: &Hello<'_>, datagram: &[u8]) {
        if let Err(unfit) = hello.fits() {
            self.counters.unfit(unfit);
            let alert = record::alert(hello.record_number, record::HANDSHAKE_FAILURE);
            self.flights.push_back((peer, alert));
            return;
        }
        if !self.cookies.verify(now_ms, peer, hello) {
            self.counters.hellos += 1;
            let cookie = self.cookies.make(now_ms, peer, hello);
            self.flights.push_back((peer, hello.verify_request(&cookie)));
            return;
        }
        if self.sessions.has_greeted(peer, &hello.random) {
            self.counters.late += 1;
            return;
        }
        if self.handshakes.has_greeted(peer, &hello.random) {
            self.step(now_ms, peer, |association, now| association.handle(now, datagram));
            return;
        }
        let now = self.at(now_ms);
        match Association::begin(&self.config, now, hello, datagram) {
            Ok((association, turn)) => {
                let wake = turn.wake;
                self.send(peer, turn.flights);
                self.counters.begun += 1;
                let handshake = Handshake {
                    association,
                    random: hello.random,
                    proof: None,
                    wake,
                };
                self.counters.crowded_out += u64::from(self.handshakes.insert(peer, handshake));
            }
            Err(ended) => self.counters.ended_by(&ended),
        }
    }

    /// Goes on with a peer's handshake.
    fn step(
        &mut self,
        now_ms: u64,
        peer: SocketAddr,
        go_on: impl FnOnce(&mut Association, Instant) -> Result<Turn, Ended>,
    ) {
        let now = self.at(now_ms);
        let Some(handshake) = self.handshakes.get_mut(peer) else {
            return;
        };
        let turn = go_on(&mut handshake.association, now);
        handshake.proof = self.keys.take_asked().or(handshake.proof);
        match turn {
            Ok(turn) if turn.is_connected => self.connected(peer, turn),
            Ok(turn) if turn.is_closed => drop(self.handshakes.remove(peer)),
            Ok(turn) => {
                handshake.wake = turn.wake;
                self.send(peer, turn.flights);
            }
            Err(ended) => {
                let handshake = self.handshakes.remove(peer);
                self.counters.ended_by(&ended);
                // The same for an identity that nobody has and for a wrong key.
                if let Some(number) =
                    handshake.and_then(|handshake| handshake.association.alert_number(&ended))
                {
                    self.send(peer, vec![record::alert(number, record::DECRYPT_ERROR)]);
                }
            }
        }
    }

    fn connected(&mut self, peer: SocketAddr, turn: Turn) {
        let Some(handshake) = self.handshakes.remove(peer) else {
            return;
        };
        // It cannot be connected under a key that was not asked for, nor under one that went meanwhile.
        let Some(proof) = handshake.proof.filter(|proof| self.keys.counts(proof)) else {
            self.counters.broken += 1;
            return;
        };
        self.counters.completed += 1;
        let session = Session::new(peer, proof, handshake.random, handshake.association);
        let (id, replaced) = self.sessions.insert(session);
        self.counters.replaced += replaced.by_own;
        self.counters.evicted += replaced.unused;
        self.send(peer, turn.flights);
        self.deliver(id, turn.messages);
    }

    /// Each record for itself, so that one which is forged takes no other along.
    fn session_datagram(&mut self, now_ms: u64, session: u64, datagram: &[u8]) {
        let now = self.at(now_ms);
        for record in Record::all(datagram) {
            let Some(live) = self.sessions.get_mut(session) else {
                return;
            };
            if !live.takes(&record) {
                self.counters.late += 1;
                continue;
            }
            match live.handle(now, &record) {
                Ok(turn) => {
                    let peer = live.peer;
                    self.counters.undecryptable += u64::from(turn.is_nothing());
                    self.send(peer, turn.flights);
                    self.deliver(session, turn.messages);
                    if turn.is_closed {
                        self.sessions.remove(session);
                        self.counters.closed += 1;
                    }
                }
                Err(ended) => {
                    self.sessions.remove(session);
                    self.counters.ended_by(&ended);
                }
            }
        }
    }

    fn send(&mut self, peer: SocketAddr, flights: Vec<Vec<u8>>) {
        self.flights
            .extend(flights.into_iter().map(|flight| (peer, flight)));
    }

    fn deliver(&mut self, session: u64, messages: Vec<Vec<u8>>) {
        if messages.is_empty() {
            return;
        }
        let Some(live) = self.sessions.used(session) else {
            return;
        };
        let (peer, proof) = (live.peer, live.proof);
        self.messages
            .extend(messages.into_iter().map(|bytes| SessionMessage {
                peer,
                session,
                proof,
                bytes,
            }));
    }
}

#[cfg(test)]
mod tests;
