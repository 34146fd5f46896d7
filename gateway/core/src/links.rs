//! Links: which peer is on which, what each carries, and the replies that wait for their turn.

use crate::config::{CoreConfig, LinkConfig, LinkName};
use crate::effect::Transmit;
use crate::records::{DeviceRecord, Traffic};
use crate::shaper::TokenBucket;
use crate::state::State;
use crate::units::Bytes;
use core::net::{IpAddr, SocketAddr};
use std::borrow::Cow;
use std::collections::VecDeque;
use wire_checkin::DeviceId;
use wire_coap::{MessageId, Token};

/// Every link of the configuration; index 0 is the default.
#[derive(Debug)]
pub(crate) struct Links {
    links: Vec<Link>,
}

/// Which link; only [`Links`] makes one, so it is always in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkIndex(usize);

/// One link.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) config: LinkConfig,
    bucket: TokenBucket,
    queue: VecDeque<Waiting>,
    queued_bytes: Bytes,
}

/// A reply on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) transmit: Transmit,
    /// The request it answers.
    pub(crate) answers: (MessageId, Token),
    /// Whose bytes these are.
    pub(crate) device: Option<DeviceId>,
}

#[derive(Debug)]
struct Waiting {
    outgoing: Outgoing,
    bytes: Bytes,
}

/// What became of a reply given to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It leaves now.
    Now,
    /// It waits for its turn.
    Paced,
    /// The queue is full.
    Dropped,
}

/// Replies that wait on one link. A peer has one request outstanding (RFC 7252 §4.7, NSTART = 1), so this is the number
/// of devices that may be mid-transfer on a link; at 1,024-byte blocks it bounds the queue to about 1.1 MB.
pub(crate) const QUEUE_DATAGRAMS_MAX: usize = 1_024;

/// Below this no timer is worth setting: a bucket holds what the link carries in that time, at least one MTU.
const BURST_MS: u64 = 10;

/// The smallest burst: every reply without a block fits it (check-in answer without envelope at most 80 bytes, 48 of
/// headers), as does a 16-byte block.
const BURST_BYTES_MIN: u64 = 128;

impl Links {
    pub(crate) fn new(config: &CoreConfig) -> Links {
        let configs = std::iter::once(&config.default_link).chain(&config.links);
        Links {
            links: configs.map(|config| Link::new(config.clone())).collect(),
        }
    }

    /// The link whose longest prefix covers the peer, else the default.
    pub(crate) fn of(&self, peer: IpAddr) -> LinkIndex {
        let covering = self.links.iter().enumerate().skip(1).filter_map(|(index, link)| {
            let prefixes = link.config.prefixes.iter().filter(|prefix| prefix.contains(peer));
            prefixes
                .map(|prefix| prefix.length())
                .max()
                .map(|length| (length, index))
        });
        LinkIndex(
            covering
                .max_by_key(|(length, _)| *length)
                .map_or(0, |(_, index)| index),
        )
    }

    pub(crate) fn get(&self, index: LinkIndex) -> &Link {
        &self.links[index.0]
    }

    pub(crate) fn get_mut(&mut self, index: LinkIndex) -> &mut Link {
        &mut self.links[index.0]
    }

    /// The link of this name, else the default: a device may have been heard on one that is configured no more.
    fn by_name(&self, name: &LinkName) -> &Link {
        self.links
            .iter()
            .find(|link| link.config.name == *name)
            .unwrap_or(&self.links[0])
    }

    /// The link a device was last heard on, as it is for that device.
    pub(crate) fn of_device(&self, state: &State, device: &DeviceRecord) -> Cow<'_, LinkConfig> {
        let name = device.report.as_ref().map(|report| &report.link);
        let link = &name.map_or(&self.links[0], |name| self.by_name(name)).config;
        match state.identities.overhead(device.id) {
            Some(overhead) => Cow::Owned(link.secured(overhead)),
            None => Cow::Borrowed(link),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Link> {
        self.links.iter()
    }

    pub(crate) fn indices(&self) -> impl Iterator<Item = LinkIndex> + use<> {
        (0..self.links.len()).map(LinkIndex)
    }

    /// When the next waiting reply may leave.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.links.iter().filter_map(Link::next_departure_ms).min()
    }
}

impl Link {
    fn new(config: LinkConfig) -> Link {
        let burst = (config.rate.bits().saturating_mul(BURST_MS) / 8_000).max(u64::from(config.mtu));
        let bucket = TokenBucket::new(config.rate, Bytes(burst.max(BURST_BYTES_MIN)));
        Link {
            config,
            bucket,
            queue: VecDeque::new(),
            queued_bytes: Bytes(0),
        }
    }

    /// A UDP payload's bytes on this link.
    pub(crate) fn on_link(&self, payload: usize) -> Bytes {
        Bytes(payload as u64 + u64::from(self.config.header_bytes))
    }

    /// One datagram as counted.
    pub(crate) fn traffic(&self, bytes: Bytes) -> Traffic {
        Traffic {
            datagrams: 1,
            bytes,
            air_time: self.config.rate.air_time(bytes),
        }
    }

    /// How long a reply with this UDP payload would wait behind those that wait already.
    pub(crate) fn wait_ms(&mut self, now_ms: u64, payload: usize) -> u64 {
        let behind = self.queued_bytes + self.on_link(payload);
        self.bucket.wait_ms(now_ms, behind)
    }

    /// Whether a reply that waits so long is better answered with 5.03: it would meet the peer's retransmission.
    pub(crate) fn is_too_long(&self, wait_ms: u64) -> bool {
        wait_ms > u64::from(self.config.ack_timeout_ms) / 4
    }

    /// Whether the reply to this request waits already.
    pub(crate) fn is_queued(&self, peer: SocketAddr, answers: (MessageId, Token)) -> bool {
        self.queue
            .iter()
            .any(|waiting| waiting.outgoing.transmit.peer == peer && waiting.outgoing.answers == answers)
    }

    /// Takes a reply. Replies leave in the order they came.
    pub(crate) fn admit(&mut self, now_ms: u64, outgoing: Outgoing) -> Admission {
        let bytes = self.on_link(outgoing.transmit.length());
        if self.queue.len() >= QUEUE_DATAGRAMS_MAX || bytes > self.bucket.burst() {
            return Admission::Dropped;
        }
        let wait_ms = self.bucket.wait_ms(now_ms, self.queued_bytes + bytes);
        self.queued_bytes += bytes;
        self.queue.push_back(Waiting { outgoing, bytes });
        if wait_ms == 0 {
            Admission::Now
        } else {
            Admission::Paced
        }
    }

    /// The next reply whose time has come.
    pub(crate) fn depart(&mut self, now_ms: u64) -> Option<Outgoing> {
        let bytes = self.queue.front()?.bytes;
        if !self.bucket.take(now_ms, bytes) {
            return None;
        }
        self.queued_bytes = self.queued_bytes.saturating_sub(bytes);
        self.queue.pop_front().map(|waiting| waiting.outgoing)
    }

    /// Replies that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }

    fn next_departure_ms(&self) -> Option<u64> {
        let bytes = self.queue.front()?.bytes;
        Some(self.bucket.ready_at_ms(bytes))
    }
}
