//! Who can be reached at the address that a plain datagram came from: anybody can write another's on it, and have the answer sent there.
//!
//! | a plain request | gets |
//! |---|---|
//! | from a trusted prefix | what its link serves |
//! | from an address that echoed what was sent there, not longer than [`VERIFIED_MS`] ago | the same |
//! | from any other, for what changes nothing | one answer of at most a block, out of its neighbourhood's budget |
//! | from any other, for what is kept; or while the budget is spent | 4.01 with Echo (RFC 9175 §2.4), at most [`FREE_BYTES`] longer than the request |
//!
//! A neighbourhood is an IPv4 /24 or an IPv6 /64. Nothing is kept of who was sent an Echo: it is made of the address and the time, under
//! a secret of this start.

use crate::config::Prefix;
use crate::shaper::TokenBucket;
use crate::units::{BitsPerSecond, Bytes};
use core::net::{IpAddr, SocketAddr};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};

/// What a peer is asked to send back. RFC 9175 §2.2.1: 1 to 40 bytes; 64 bits are beyond guessing over a network.
pub(crate) type Echo = [u8; 8];

/// An answer that is no longer than its request and so many bytes is nothing to send to somebody else: header and token are the request's,
/// and Echo takes 10 with its option's head, a protected challenge 13 more than the shortest request it answers. With 28 bytes of IP and
/// UDP around both, an answer is at most half as long again.
pub(crate) const FREE_BYTES: usize = 16;

/// What a neighbourhood may be sent unasked: 7 blocks of 1,024 bytes, so that a client that cannot echo sees at once that the gateway
/// lives and what it serves.
pub(crate) const BUDGET_BYTES: u64 = 8_192;

/// And what comes back of it: 16 bytes in a second, 512 seconds until it is whole.
const BUDGET_BITS_PER_SECOND: u64 = 128;

/// Neighbourhoods whose budget is not whole, at about 100 bytes each. More than that get nothing: what is sent to one is bounded however
/// many others are named.
const NEIGHBOURHOODS_MAX: usize = 4_096;

/// How often those whose budget is whole again are looked for when there is no room.
const SWEEP_INTERVAL_MS: u64 = 1_000;

/// How long an address that was proven counts. NAT gives it to another in the end.
pub(crate) const VERIFIED_MS: u64 = 600_000;

/// Proven addresses, at about 100 bytes each. Whose is pushed out is asked again.
const VERIFIED_MAX: usize = 4_096;

/// An Echo counts for this long at least and twice as long at most: RFC 7252's EXCHANGE_LIFETIME of a link with its own timings is
/// 247 s.
const ECHO_WINDOW_MS: u64 = 256_000;

/// What is known of addresses.
#[derive(Debug)]
pub(crate) struct Reach {
    trusted: Vec<Prefix>,
    seed: [u8; 32],
    verified: BTreeMap<SocketAddr, u64>,
    order: VecDeque<(u64, SocketAddr)>,
    budgets: BTreeMap<Neighbourhood, TokenBucket>,
    swept_ms: u64,
    challenges: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Neighbourhood {
    V4([u8; 3]),
    V6([u8; 8]),
}

impl Reach {
    pub(crate) fn new(trusted: Vec<Prefix>, seed: [u8; 32]) -> Reach {
        Reach {
            trusted,
            seed,
            verified: BTreeMap::new(),
            order: VecDeque::new(),
            budgets: BTreeMap::new(),
            swept_ms: 0,
            challenges: 0,
        }
    }

    /// Whether whoever sent this, with that Echo if any, gets what is sent to its address.
    pub(crate) fn is_reached(&mut self, now_ms: u64, peer: SocketAddr, echo: Option<&[u8]>) -> bool {
        if self.is_trusted(peer.ip()) {
            return true;
        }
        if echo.is_some_and(|echo| self.is_echo(now_ms, peer, echo)) {
            self.remember(now_ms, peer);
            return true;
        }
        self.verified
            .get(&peer)
            .is_some_and(|until_ms| now_ms < *until_ms)
    }

    fn is_trusted(&self, peer: IpAddr) -> bool {
        self.trusted.iter().any(|prefix| prefix.contains(peer))
    }

    /// Takes from the budget of a peer's neighbourhood, or says that there is too little.
    pub(crate) fn spend(&mut self, now_ms: u64, peer: SocketAddr, bytes: Bytes) -> bool {
        let neighbourhood = Neighbourhood::of(peer.ip());
        if !self.budgets.contains_key(&neighbourhood) && !self.has_room(now_ms) {
            return false;
        }
        let budget = self.budgets.entry(neighbourhood).or_insert_with(budget);
        budget.take(now_ms, bytes)
    }

    /// What `peer` is asked to send back, and that it was asked.
    pub(crate) fn challenge(&mut self, now_ms: u64, peer: SocketAddr) -> Echo {
        self.challenges = self.challenges.saturating_add(1);
        self.echo(now_ms / ECHO_WINDOW_MS, peer)
    }

    /// How often somebody was asked.
    pub(crate) fn challenges(&self) -> u64 {
        self.challenges
    }

    fn is_echo(&self, now_ms: u64, peer: SocketAddr, echo: &[u8]) -> bool {
        let window = now_ms / ECHO_WINDOW_MS;
        let before = window.checked_sub(1);
        let mut counting = [Some(window), before].into_iter().flatten();
        counting.any(|window| is_same(&self.echo(window, peer), echo))
    }

    fn echo(&self, window: u64, peer: SocketAddr) -> Echo {
        let address = match peer.ip().to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        let digest: [u8; 32] = Sha256::new()
            // Challenges of OSCORE are made of the same seed.
            .chain_update(b"deltagate reach")
            .chain_update(self.seed)
            .chain_update(address.octets())
            .chain_update(peer.port().to_be_bytes())
            .chain_update(window.to_be_bytes())
            .finalize()
            .into();
        let [a, b, c, d, e, f, g, h, ..] = digest;
        [a, b, c, d, e, f, g, h]
    }

    fn remember(&mut self, now_ms: u64, peer: SocketAddr) {
        while let Some((until_ms, oldest)) = self.order.front().copied()
            && (until_ms <= now_ms || self.order.len() >= VERIFIED_MAX)
        {
            self.order.pop_front();
            if self.verified.get(&oldest) == Some(&until_ms) {
                self.verified.remove(&oldest);
            }
        }
        let until_ms = now_ms.saturating_add(VERIFIED_MS);
        self.verified.insert(peer, until_ms);
        self.order.push_back((until_ms, peer));
    }

    /// Whether one more neighbourhood has room. A whole budget is as good as none on record.
    fn has_room(&mut self, now_ms: u64) -> bool {
        let is_full = |budgets: &BTreeMap<_, _>| budgets.len() >= NEIGHBOURHOODS_MAX;
        if is_full(&self.budgets) && now_ms >= self.swept_ms.saturating_add(SWEEP_INTERVAL_MS) {
            self.swept_ms = now_ms;
            self.budgets
                .retain(|_, budget| budget.wait_ms(now_ms, Bytes(BUDGET_BYTES)) > 0);
        }
        !is_full(&self.budgets)
    }
}

impl Neighbourhood {
    fn of(peer: IpAddr) -> Neighbourhood {
        match peer.to_canonical() {
            IpAddr::V4(ip) => {
                let [a, b, c, _] = ip.octets();
                Neighbourhood::V4([a, b, c])
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h, ..] = ip.octets();
                Neighbourhood::V6([a, b, c, d, e, f, g, h])
            }
        }
    }
}

fn budget() -> TokenBucket {
    let rate = BitsPerSecond::new(BUDGET_BITS_PER_SECOND).expect("128 bit/s is in range");
    TokenBucket::new(rate, Bytes(BUDGET_BYTES))
}

/// In the same time wherever they differ.
fn is_same(ours: &Echo, theirs: &[u8]) -> bool {
    let differing = ours.iter().zip(theirs).fold(0, |sum, (a, b)| sum | (a ^ b));
    theirs.len() == ours.len() && differing == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach() -> Reach {
        Reach::new(vec!["10.0.0.0/8".parse().unwrap()], [7; 32])
    }

    fn peer(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_echoes_is_reached_and_nobody_else_with_that() {
        let mut reach = reach();
        let own = peer("192.0.2.1:5683");
        assert!(!reach.is_reached(0, own, None));
        let echo = reach.challenge(0, own);
        for other in ["192.0.2.1:5684", "192.0.2.2:5683", "[2001:db8::1]:5683"] {
            assert!(!reach.is_reached(0, peer(other), Some(&echo)));
        }
        assert!(!reach.is_reached(0, own, Some(&echo[..7])));
        assert!(!reach.is_reached(0, own, Some(&[])));
        // A dual-stack socket names it so.
        assert!(reach.is_reached(1, peer("[::ffff:192.0.2.1]:5683"), Some(&echo)));
        assert!(reach.is_reached(ECHO_WINDOW_MS, own, Some(&echo)));
        assert!(reach.is_reached(ECHO_WINDOW_MS + VERIFIED_MS - 1, own, None));
        assert!(!reach.is_reached(ECHO_WINDOW_MS + VERIFIED_MS, own, None));
        assert!(!reach.is_reached(2 * ECHO_WINDOW_MS, peer("192.0.2.1:1"), Some(&echo)));
        assert!(reach.is_reached(0, peer("10.9.9.9:1"), None));
        let other_start = Reach::new(Vec::new(), [8; 32]).challenge(0, own);
        assert_ne!(other_start, echo);
    }

    #[test]
    fn a_neighbourhood_gets_no_more_than_its_budget_whoever_else_is_named() {
        let mut reach = reach();
        let mut sent = 0;
        // 200,000 requests in 100 s, from 256 hosts of the victim's network and as many from elsewhere.
        for at in 0..200_000_u32 {
            let [_, a, b, c] = at.to_be_bytes();
            let victim = SocketAddr::from(([192, 0, 2, c], 5683));
            let elsewhere = SocketAddr::from(([198, a, b, c], 5683));
            let now_ms = u64::from(at / 2);
            reach.spend(now_ms, elsewhere, Bytes(1_070));
            if reach.spend(now_ms, victim, Bytes(1_070)) {
                sent += 1_070;
            }
        }
        assert!(sent > 0 && sent <= BUDGET_BYTES + 100 * 16, "{sent} bytes");
        assert!(reach.budgets.len() <= NEIGHBOURHOODS_MAX);
        // All of them are whole again in the end, and make room.
        for at in 0..10_000_u32 {
            let [_, _, a, b] = at.to_be_bytes();
            reach.spend(2_000_000, SocketAddr::from(([198, a, b, 1], 1)), Bytes(1_070));
        }
        assert!(reach.spend(4_000_000, peer("[2001:db8::1]:1"), Bytes(1_070)));
        assert_eq!(reach.budgets.len(), 1);
    }

    #[test]
    fn an_ipv6_neighbourhood_is_a_64() {
        let mut reach = reach();
        assert!(reach.spend(0, peer("[2001:db8::1]:1"), Bytes(BUDGET_BYTES)));
        assert!(!reach.spend(0, peer("[2001:db8::ffff:0:0:1]:1"), Bytes(1)));
        assert!(reach.spend(0, peer("[2001:db8:0:1::1]:1"), Bytes(1)));
    }

    #[test]
    fn proven_addresses_are_bounded() {
        let mut reach = reach();
        for at in 0..10_000_u32 {
            let [_, _, a, b] = at.to_be_bytes();
            let peer = SocketAddr::from(([192, 0, a, b], 5683));
            let echo = reach.challenge(0, peer);
            assert!(reach.is_reached(0, peer, Some(&echo)));
        }
        assert!(reach.verified.len() <= VERIFIED_MAX && reach.order.len() <= VERIFIED_MAX);
    }
}
