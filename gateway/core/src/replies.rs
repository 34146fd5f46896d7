//! The window of answered check-ins: a repeated POST gets the same answer and changes nothing (RFC 7252 §4.5). GETs
//! need no window, being idempotent.

use core::net::SocketAddr;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, VecDeque};
use wire_checkin::DeviceId;
use wire_coap::MessageId;

type Key = (SocketAddr, u16);

/// Answers to be repeated, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Replies {
    answered: BTreeMap<Key, Answered>,
    order: VecDeque<(u64, Key)>,
}

/// A request with its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// SHA-256: a datagram may be padded to 2,048 bytes with options that nobody has to understand.
    request: [u8; 32],
    pub(crate) reply: Vec<u8>,
    pub(crate) device: Option<DeviceId>,
    expires_ms: u64,
}

/// An answer is at most 640 bytes beside some 200 of bookkeeping, so that the window takes about 3.5 MB at most.
/// A device whose entry was pushed out checks in anew, which is harmless.
const REPLIES_MAX: usize = 4_096;

impl Replies {
    /// The answer given to this very datagram before.
    ///
    /// Departs from RFC 7252 §4.5, which compares message ids only: a device that rebooted may use an id again at
    /// once, and must not be given the answer to what it asked before.
    pub(crate) fn find(
        &self,
        now_ms: u64,
        peer: SocketAddr,
        id: MessageId,
        request: &[u8],
    ) -> Option<&Answered> {
        let answered = self.answered.get(&(peer, id.0))?;
        (answered.request == digest(request) && now_ms < answered.expires_ms).then_some(answered)
    }

    /// Remembers an answer for `lifetime_ms`.
    pub(crate) fn remember(
        &mut self,
        now_ms: u64,
        lifetime_ms: u64,
        (peer, id): (SocketAddr, MessageId),
        request: &[u8],
        reply: &[u8],
        device: Option<DeviceId>,
    ) {
        self.purge(now_ms);
        let expires_ms = now_ms.saturating_add(lifetime_ms);
        let key = (peer, id.0);
        let answered = Answered {
            request: digest(request),
            reply: reply.to_vec(),
            device,
            expires_ms,
        };
        self.answered.insert(key, answered);
        self.order.push_back((expires_ms, key));
    }

    /// Drops what expired, and the oldest while there are too many. Links differ in lifetime, so a short one may stay
    /// a while behind a long one; it is not found any more.
    fn purge(&mut self, now_ms: u64) {
        while let Some((expires_ms, key)) = self.order.front().copied()
            && (expires_ms <= now_ms || self.order.len() >= REPLIES_MAX)
        {
            self.order.pop_front();
            if self
                .answered
                .get(&key)
                .is_some_and(|answered| answered.expires_ms == expires_ms)
            {
                self.answered.remove(&key);
            }
        }
    }
}

fn digest(request: &[u8]) -> [u8; 32] {
    Sha256::digest(request).into()
}

/// RFC 7252 §4.8.2: EXCHANGE_LIFETIME = MAX_TRANSMIT_SPAN + 2 × MAX_LATENCY + PROCESSING_DELAY, that is
/// `ACK_TIMEOUT` × 15 × 1.5 + 200 s + `ACK_TIMEOUT`.
pub(crate) fn exchange_lifetime_ms(ack_timeout_ms: u32) -> u64 {
    u64::from(ack_timeout_ms) * 47 / 2 + 200_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer() -> SocketAddr {
        "192.0.2.1:5683".parse().unwrap()
    }

    #[test]
    fn the_default_exchange_lifetime_is_247_seconds() {
        assert_eq!(exchange_lifetime_ms(2_000), 247_000);
    }

    #[test]
    fn an_answer_is_found_until_it_expires() {
        let mut replies = Replies::default();
        replies.remember(5, 100, (peer(), MessageId(7)), b"ask", b"told", None);
        assert_eq!(
            replies.find(104, peer(), MessageId(7), b"ask").unwrap().reply,
            b"told"
        );
        assert_eq!(replies.find(105, peer(), MessageId(7), b"ask"), None);
    }

    #[test]
    fn another_request_under_the_same_id_is_new() {
        let mut replies = Replies::default();
        replies.remember(0, 100, (peer(), MessageId(7)), b"ask", b"told", None);
        assert_eq!(replies.find(1, peer(), MessageId(7), b"ask again"), None);
        assert_eq!(replies.find(1, peer(), MessageId(8), b"ask"), None);
    }

    #[test]
    fn the_window_is_bounded() {
        let mut replies = Replies::default();
        for id in 0..=u16::MAX {
            replies.remember(0, 1_000, (peer(), MessageId(id)), b"ask", b"told", None);
        }
        assert!(replies.answered.len() <= REPLIES_MAX);
        assert!(replies.order.len() <= REPLIES_MAX);
        assert!(replies.find(1, peer(), MessageId(u16::MAX), b"ask").is_some());
    }
}
