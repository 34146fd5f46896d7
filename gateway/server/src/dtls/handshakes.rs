//! Handshakes that are not complete: few, and not all of one neighbourhood.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use gateway_core::PskProof;

use super::association::Association;

/// Handshakes at once. Each has proved its address, takes about 10 KB, and lasts two round trips, or 60 seconds when nobody answers: 256 are
/// 2.6 MB, and 64 devices a second where a round trip takes two.
pub const HANDSHAKES_MAX: usize = 256;
/// Of one IPv4 /24 or IPv6 /64: a quarter, so that whoever has one of those does not have them all.
pub const HANDSHAKES_PER_PREFIX_MAX: usize = HANDSHAKES_MAX / 4;

/// One of them.
pub(super) struct Handshake {
    pub(super) association: Association,
    /// The client's random, to know its hello again.
    pub(super) random: [u8; 32],
    /// The key that it named, when that is known.
    pub(super) proof: Option<PskProof>,
    /// When to call again.
    pub(super) wake: Option<Instant>,
}

/// All of them, by peer.
#[derive(Default)]
pub(super) struct Handshakes {
    of: BTreeMap<SocketAddr, Entry>,
    next: u64,
}

struct Entry {
    handshake: Handshake,
    /// In the order in which they began.
    number: u64,
}

impl Handshakes {
    pub(super) fn has(&self, peer: SocketAddr) -> bool {
        self.of.contains_key(&peer)
    }

    pub(super) fn has_greeted(&self, peer: SocketAddr, random: &[u8; 32]) -> bool {
        let entry = self.of.get(&peer);
        entry.is_some_and(|entry| entry.handshake.random == *random)
    }

    pub(super) fn get_mut(&mut self, peer: SocketAddr) -> Option<&mut Handshake> {
        self.of.get_mut(&peer).map(|entry| &mut entry.handshake)
    }

    pub(super) fn remove(&mut self, peer: SocketAddr) -> Option<Handshake> {
        self.of.remove(&peer).map(|entry| entry.handshake)
    }

    /// In place of the peer's own, if it had one; else, when there is no room, of the oldest of its prefix; else of the oldest of the prefix
    /// that has the most. Says whether somebody else's went.
    pub(super) fn insert(&mut self, peer: SocketAddr, handshake: Handshake) -> bool {
        self.next += 1;
        let number = self.next;
        let had_one = self.of.insert(peer, Entry { handshake, number }).is_some();
        let goes = match had_one {
            true => None,
            false => self.crowded_out(peer),
        };
        goes.is_some_and(|goes| self.of.remove(&goes).is_some())
    }

    fn crowded_out(&self, newcomer: SocketAddr) -> Option<SocketAddr> {
        let mut counts: BTreeMap<[u8; 8], usize> = BTreeMap::new();
        for peer in self.of.keys() {
            *counts.entry(prefix(peer.ip())).or_default() += 1;
        }
        let own = prefix(newcomer.ip());
        let of_own = counts.get(&own).copied().unwrap_or_default();
        let crowd = match (of_own > HANDSHAKES_PER_PREFIX_MAX, self.of.len() > HANDSHAKES_MAX) {
            (true, _) => own,
            (false, true) => counts.into_iter().max_by_key(|(_, count)| *count)?.0,
            (false, false) => return None,
        };
        let of_crowd = self
            .of
            .iter()
            .filter(|(peer, _)| **peer != newcomer && prefix(peer.ip()) == crowd);
        of_crowd
            .min_by_key(|(_, entry)| entry.number)
            .map(|(peer, _)| *peer)
    }

    /// Those that want to be called.
    pub(super) fn due(&self, now: Instant) -> Vec<SocketAddr> {
        let is_due = |entry: &Entry| entry.handshake.wake.is_some_and(|wake| wake <= now);
        let due = self.of.iter().filter(|(_, entry)| is_due(entry));
        due.map(|(peer, _)| *peer).collect()
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.of.values().filter_map(|entry| entry.handshake.wake).min()
    }

    pub(super) fn len(&self) -> usize {
        self.of.len()
    }
}

/// A neighbourhood: the first 24 bits of IPv4, 64 of IPv6.
fn prefix(address: IpAddr) -> [u8; 8] {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            // No IPv6 address that is routed begins so.
            [0, 0, 0, 0, 0, a, b, c]
        }
        IpAddr::V6(v6) => {
            let [prefix @ .., _, _, _, _, _, _, _, _] = v6.octets();
            prefix
        }
    }
}
