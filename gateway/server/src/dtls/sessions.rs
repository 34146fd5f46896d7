//! Sessions: one for each identity, found by the address of its other end.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Instant;

use gateway_core::{PskIdentity, PskProof};

use super::association::{Association, Ended, Turn};
use super::record::{APPLICATION_DATA, Record};

/// Sessions at once. Measured, an idle one takes 9.4 KB (`docs/dtls.md`): 94 MB when there are so many.
pub const SESSIONS_MAX: usize = 10_000;

/// Records that the gateway sends in one session. dimpl draws their nonces, of 64 bits, at random (RFC 6655 §3 wants them unlike each other
/// and does not say how): that two of 2^20 are alike has a probability of 2^-25. At blocks of 64 bytes that is an image of 64 MB.
const RECORDS_MAX: u32 = 1 << 20;

/// One of them.
pub(super) struct Session {
    pub(super) peer: SocketAddr,
    pub(super) proof: PskProof,
    /// The client's random, to know its hello again.
    random: [u8; 32],
    association: Association,
    /// Number of the newest message that came.
    newest: Option<u64>,
    sent: u32,
    /// When it was last used, among others.
    used: u64,
}

impl Session {
    pub(super) fn new(
        peer: SocketAddr,
        proof: PskProof,
        random: [u8; 32],
        association: Association,
    ) -> Session {
        Session {
            peer,
            proof,
            random,
            association,
            newest: None,
            sent: 0,
            used: 0,
        }
    }

    /// Whether a record is worth decrypting. A message older than one that came was held back on its way, and what it says may be no
    /// news: a device has one request outstanding (RFC 7252 §4.7). RFC 6347 §4.1.2.6 would let it through. In the clear nothing counts once
    /// the other end has shown that it has the last flight.
    pub(super) fn takes(&self, record: &Record<'_>) -> bool {
        match (record.epoch, record.content_type) {
            (1, APPLICATION_DATA) => self.newest < Some(record.number),
            (1, _) => true,
            (0, _) => self.newest.is_none(),
            _ => false,
        }
    }

    pub(super) fn handle(&mut self, now: Instant, record: &Record<'_>) -> Result<Turn, Ended> {
        let turn = self.association.handle(now, record.bytes)?;
        if !turn.messages.is_empty() {
            self.newest = self.newest.max(Some(record.number));
        }
        Ok(turn)
    }

    /// `None`: it is over.
    pub(super) fn protect(&mut self, now: Instant, message: &[u8]) -> Option<Vec<u8>> {
        if self.sent >= RECORDS_MAX {
            return None;
        }
        self.sent += 1;
        let turn = self.association.protect(now, message).ok()?;
        turn.flights.into_iter().next()
    }
}

/// All of them.
pub(super) struct Sessions {
    max: usize,
    of: BTreeMap<u64, Session>,
    at: BTreeMap<SocketAddr, u64>,
    by: BTreeMap<PskIdentity, u64>,
    /// When each was last used, with its number.
    order: BTreeSet<(u64, u64)>,
    /// Counts sessions.
    next: u64,
    /// Counts uses.
    tick: u64,
}

/// What went because a session came.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Replaced {
    /// Sessions of the same identity or address.
    pub(super) by_own: u64,
    /// The longest unused.
    pub(super) unused: u64,
}

impl Sessions {
    /// None, and never more than `max`.
    pub(super) fn new(max: usize) -> Sessions {
        Sessions {
            max,
            of: BTreeMap::new(),
            at: BTreeMap::new(),
            by: BTreeMap::new(),
            order: BTreeSet::new(),
            next: 0,
            tick: 0,
        }
    }

    /// Takes a session in and gives its number, which no other ever has.
    pub(super) fn insert(&mut self, session: Session) -> (u64, Replaced) {
        let mut replaced = Replaced::default();
        let own = self.by.get(&session.proof.identity).copied();
        let there = self.at.get(&session.peer).copied();
        for old in [own, there].into_iter().flatten() {
            replaced.by_own += u64::from(self.remove(old));
        }
        while self.of.len() >= self.max {
            let Some(&(_, oldest)) = self.order.first() else {
                break;
            };
            replaced.unused += u64::from(self.remove(oldest));
        }
        let id = self.next;
        self.next += 1;
        self.at.insert(session.peer, id);
        self.by.insert(session.proof.identity, id);
        self.of.insert(id, session);
        self.used(id);
        (id, replaced)
    }

    /// Notes that a session is in use.
    pub(super) fn used(&mut self, id: u64) -> Option<&Session> {
        let session = self.of.get_mut(&id)?;
        self.order.remove(&(session.used, id));
        self.tick += 1;
        session.used = self.tick;
        self.order.insert((session.used, id));
        Some(session)
    }

    /// Whether it was there.
    pub(super) fn remove(&mut self, id: u64) -> bool {
        let Some(session) = self.of.remove(&id) else {
            return false;
        };
        self.order.remove(&(session.used, id));
        self.at.remove(&session.peer);
        self.by.remove(&session.proof.identity);
        true
    }

    pub(super) fn retain(&mut self, counts: impl Fn(&PskProof) -> bool) {
        let over = self.of.iter().filter(|(_, session)| !counts(&session.proof));
        let over: Vec<u64> = over.map(|(id, _)| *id).collect();
        for id in over {
            self.remove(id);
        }
    }

    pub(super) fn at(&self, peer: SocketAddr) -> Option<u64> {
        self.at.get(&peer).copied()
    }

    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Session> {
        self.of.get_mut(&id)
    }

    pub(super) fn has_greeted(&self, peer: SocketAddr, random: &[u8; 32]) -> bool {
        let session = self.at(peer).and_then(|id| self.of.get(&id));
        session.is_some_and(|session| session.random == *random)
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}
