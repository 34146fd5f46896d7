//! Handshakes (EDHOC, RFC 9528) that wait for message_3, of whom nobody knows yet.
//!
//! What strangers can make the gateway hold and compute is bounded for each link: at [`PER_S`] handshakes a second, after [`BURST`] at once,
//! each forgotten after [`LIFETIME_MS`], no more than [`HALF_OPEN_MAX`] wait at a time. So nobody's handshake has to go for another's, and
//! whoever uses up the budget of a link uses up that of no other.
//!
//! An ephemeral key follows from a seed that came in from outside, and message_1. The seed is hashed forward each time: what it was is not
//! known any more, so that keys of handshakes that are over cannot be made again.

use crate::credentials::Kid;
use crate::links::LinkIndex;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use wire_edhoc::HalfOpen;
use zeroize::Zeroizing;

/// Handshakes begun on a link, in a second. Each costs three multiplications on the curve, and a fourth when it ends.
const PER_S: u64 = 4;
/// Handshakes begun at once: a site whose power comes back.
const BURST: u64 = 32;
/// RFC 7252 §4.8.2: EXCHANGE_LIFETIME, after which no retransmission of anything that followed message_1 is under way.
const LIFETIME_MS: u64 = 247_000;
/// What that comes to on a link. At some 250 bytes each 255 KB.
const HALF_OPEN_MAX: u64 = PER_S * LIFETIME_MS / 1_000 + BURST;
const _: () = assert!(HALF_OPEN_MAX == 1_020);

/// Handshakes that wait, and what new ones may cost.
#[derive(Debug, Default)]
pub(crate) struct Handshakes {
    /// `None`: nothing random came in yet, and there are no handshakes.
    seed: Option<Zeroizing<[u8; 32]>>,
    /// Until when, and what.
    waiting: BTreeMap<Kid, (u64, HalfOpen)>,
    /// In the order in which they began.
    expiry: VecDeque<(u64, Kid)>,
    budgets: BTreeMap<LinkIndex, Budget>,
}

/// What a link may begin.
#[derive(Clone, Copy, Debug)]
struct Budget {
    /// In thousandths of a handshake.
    left: u64,
    counted_ms: u64,
}

impl Handshakes {
    /// Takes random bytes.
    pub(crate) fn seed(&mut self, seed: &[u8; 32]) {
        self.seed = Some(Zeroizing::new(*seed));
    }

    /// Bytes that nobody else knows, others each time. `None` before anything random came in.
    pub(crate) fn draw(&mut self, message_1: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let seed = self.seed.as_mut()?;
        let drawn = hash(b"draw", seed, message_1);
        *seed = hash(b"next", seed, &[]);
        Some(drawn)
    }

    /// Whether a link may begin another one, and if so takes it from what it has; else the seconds to wait.
    pub(crate) fn admit(&mut self, now_ms: u64, link: LinkIndex) -> Result<(), u32> {
        self.expire(now_ms);
        let budget = self.budgets.entry(link).or_insert(Budget {
            left: BURST * 1_000,
            counted_ms: now_ms,
        });
        let passed_ms = now_ms.saturating_sub(budget.counted_ms);
        budget.left = budget
            .left
            .saturating_add(passed_ms.saturating_mul(PER_S))
            .min(BURST * 1_000);
        budget.counted_ms = now_ms;
        match budget.left.checked_sub(1_000) {
            Some(left) => {
                budget.left = left;
                Ok(())
            }
            None => Err(RETRY_S),
        }
    }

    /// Keeps one that was begun.
    pub(crate) fn insert(&mut self, now_ms: u64, kid: Kid, half_open: HalfOpen) {
        let until_ms = now_ms.saturating_add(LIFETIME_MS);
        self.expiry.push_back((until_ms, kid));
        self.waiting.insert(kid, (until_ms, half_open));
    }

    /// Whether this id is that of a handshake.
    pub(crate) fn has(&self, kid: Kid) -> bool {
        self.waiting.contains_key(&kid)
    }

    pub(crate) fn get(&self, kid: Kid) -> Option<&HalfOpen> {
        self.waiting.get(&kid).map(|(_, half_open)| half_open)
    }

    /// Ends one.
    pub(crate) fn end(&mut self, kid: Kid) {
        self.waiting.remove(&kid);
    }

    /// Forgets those that have had their time.
    pub(crate) fn expire(&mut self, now_ms: u64) {
        while let Some((until_ms, kid)) = self.expiry.pop_front_if(|(until_ms, _)| *until_ms <= now_ms) {
            // The id may be another's by now, if this one ended early.
            if self
                .waiting
                .get(&kid)
                .is_some_and(|(until, _)| *until == until_ms)
            {
                self.waiting.remove(&kid);
            }
        }
    }

    /// When the next one has had its time.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.expiry.front().map(|(at_ms, _)| *at_ms)
    }
}

/// Seconds until a device that was put off tries again: at four a second 32 more have had their turn.
const RETRY_S: u32 = 8;

fn hash(what: &[u8; 4], seed: &[u8; 32], more: &[u8]) -> Zeroizing<[u8; 32]> {
    let hash = Sha256::new()
        .chain_update(b"deltagate.handshake/1")
        .chain_update(what)
        .chain_update(seed)
        .chain_update(more);
    Zeroizing::new(hash.finalize().into())
}
