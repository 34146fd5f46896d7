//! The model itself, its verdicts and its counters.

use super::{Direction, LinkProfile, PerMillion};
use crate::rng::Rng;
use std::collections::VecDeque;

/// What becomes of one offered packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It arrives, once or twice, at these times.
    Deliver {
        /// When it arrives.
        at_us: u64,
        /// When its duplicate arrives, if the link made one.
        again_at_us: Option<u64>,
    },
    /// It does not arrive.
    Drop(DropReason),
}

/// Why a packet does not arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropReason {
    /// Sent, and lost on the air.
    Lost,
    /// Not sent: the queue had no room.
    QueueFull,
    /// Not sent: larger than the MTU.
    TooBig,
}

/// Packets and bytes, IP and UDP headers included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets that spent airtime, duplicates and lost ones included.
    pub sent_packets: u64,
    /// Their bytes: what an operator pays for.
    pub sent_bytes: u64,
    /// Time the transmitter was busy with them.
    pub airtime_us: u64,
    /// Packets that spent airtime and did not arrive.
    pub lost_packets: u64,
    /// Packets dropped before they were sent, for want of room or for their size.
    pub refused_packets: u64,
}

/// The counters of both directions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From the device to the gateway.
    pub up: Counters,
    /// From the gateway to the device.
    pub down: Counters,
}

impl Traffic {
    /// Bytes on the air in both directions.
    pub fn sent_bytes(&self) -> u64 {
        self.up.sent_bytes + self.down.sent_bytes
    }
}

/// One device's link. See the [module](super) for the order in which a packet meets its fate.
#[derive(Clone, Debug)]
pub struct LinkModel {
    profile: LinkProfile,
    up: Lane,
    down: Lane,
}

impl LinkModel {
    /// A link without traffic. Equal profiles, seeds and offers give equal verdicts.
    pub fn new(profile: LinkProfile, seed: u64) -> Self {
        Self {
            profile,
            up: Lane::new(Rng::for_stream(seed, 1)),
            down: Lane::new(Rng::for_stream(seed, 2)),
        }
    }

    /// Decides what becomes of an IP packet of `packet_bytes` offered at `now_us`.
    ///
    /// Times must not go back between calls for one direction.
    pub fn offer(&mut self, now_us: u64, direction: Direction, packet_bytes: usize) -> Verdict {
        let profile = self.profile;
        let (lane, rate) = match direction {
            Direction::Up => (&mut self.up, profile.rate_up),
            Direction::Down => (&mut self.down, profile.rate_down),
        };
        lane.forget_sent(now_us);
        if packet_bytes > profile.mtu_bytes {
            lane.counters.refused_packets += 1;
            return Verdict::Drop(DropReason::TooBig);
        }
        let airtime_us = rate.airtime_us(packet_bytes);
        let Some(sent_us) = lane.send(now_us, packet_bytes, airtime_us, profile.queue_bytes) else {
            lane.counters.refused_packets += 1;
            return Verdict::Drop(DropReason::QueueFull);
        };
        let again_us = if lane.rng.happens(profile.duplicate.0) {
            lane.send(now_us, packet_bytes, airtime_us, profile.queue_bytes)
        } else {
            None
        };
        let first = lane.arrival(sent_us, &profile);
        let second = again_us.and_then(|sent_us| lane.arrival(sent_us, &profile));
        match (first, second) {
            (Some(at_us), again_at_us) => Verdict::Deliver { at_us, again_at_us },
            (None, Some(at_us)) => Verdict::Deliver {
                at_us,
                again_at_us: None,
            },
            (None, None) => Verdict::Drop(DropReason::Lost),
        }
    }

    /// What the link carried so far.
    pub fn traffic(&self) -> Traffic {
        Traffic {
            up: self.up.counters,
            down: self.down.counters,
        }
    }

    /// The numbers this link obeys.
    pub fn profile(&self) -> &LinkProfile {
        &self.profile
    }
}

/// One direction: a transmitter, and the packets that wait for it or are being sent.
#[derive(Clone, Debug)]
struct Lane {
    rng: Rng,
    busy_until_us: u64,
    /// (time its last bit is sent, bytes), oldest first; bounded by the profile's queue.
    queue: VecDeque<(u64, usize)>,
    queued_bytes: usize,
    /// Within a burst of losses.
    is_bad: bool,
    counters: Counters,
}

impl Lane {
    fn new(rng: Rng) -> Self {
        Self {
            rng,
            busy_until_us: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            is_bad: false,
            counters: Counters::default(),
        }
    }

    fn forget_sent(&mut self, now_us: u64) {
        while let Some(&(sent_us, bytes)) = self.queue.front() {
            if sent_us > now_us {
                break;
            }
            self.queue.pop_front();
            self.queued_bytes -= bytes;
        }
    }

    /// Queues a packet behind the others; the time its last bit is sent, or `None` without room.
    fn send(&mut self, now_us: u64, bytes: usize, airtime_us: u64, room: usize) -> Option<u64> {
        if self.queued_bytes + bytes > room {
            return None;
        }
        let sent_us = self.busy_until_us.max(now_us) + airtime_us;
        self.busy_until_us = sent_us;
        self.queue.push_back((sent_us, bytes));
        self.queued_bytes += bytes;
        self.counters.sent_packets += 1;
        self.counters.sent_bytes += bytes as u64;
        self.counters.airtime_us += airtime_us;
        Some(sent_us)
    }

    /// Whether a burst of losses swallows the next packet.
    fn is_in_burst(&mut self, profile: &LinkProfile) -> bool {
        if profile.bursts.begin == PerMillion::NEVER {
            return false;
        }
        let change = match self.is_bad {
            true => profile.bursts.end,
            false => profile.bursts.begin,
        };
        self.is_bad ^= self.rng.happens(change.0);
        self.is_bad
    }

    /// When a sent packet arrives, or `None` if the air swallows it.
    fn arrival(&mut self, sent_us: u64, profile: &LinkProfile) -> Option<u64> {
        if self.rng.happens(profile.loss.0) || self.is_in_burst(profile) {
            self.counters.lost_packets += 1;
            return None;
        }
        let late_us = if self.rng.happens(profile.reorder.0) {
            self.rng.below(profile.reorder_delay_us + 1)
        } else {
            0
        };
        Some(sent_us + profile.delay_us + late_us)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{BitsPerSecond, Bursts};
    use super::*;
    use proptest::prelude::*;

    fn slow() -> LinkProfile {
        LinkProfile {
            rate_up: BitsPerSecond(8_000),
            rate_down: BitsPerSecond(8_000),
            delay_us: 500_000,
            queue_bytes: 4_000,
            ..LinkProfile::FAST
        }
    }

    /// Arrival times of `offers` (gap before each, size), in the order offered.
    fn arrivals(model: &mut LinkModel, offers: &[(u32, u16)]) -> Vec<(u64, usize)> {
        let mut now_us = 0;
        let mut all = Vec::new();
        for &(gap_us, bytes) in offers {
            now_us += u64::from(gap_us);
            let bytes = usize::from(bytes);
            if let Verdict::Deliver { at_us, again_at_us } = model.offer(now_us, Direction::Down, bytes) {
                all.push((at_us, bytes));
                all.extend(again_at_us.map(|at_us| (at_us, bytes)));
            }
        }
        all
    }

    #[test]
    fn a_packet_takes_its_airtime_and_the_delay() {
        let mut link = LinkModel::new(slow(), 1);
        assert_eq!(
            link.offer(10, Direction::Up, 100),
            Verdict::Deliver {
                at_us: 10 + 100_000 + 500_000,
                again_at_us: None
            }
        );
        assert_eq!(link.traffic().up.sent_bytes, 100);
        assert_eq!(link.traffic().down.sent_bytes, 0);
    }

    #[test]
    fn a_full_queue_counts_as_loss_and_drains_with_time() {
        let mut link = LinkModel::new(slow(), 1);
        for _ in 0..4 {
            assert!(matches!(
                link.offer(0, Direction::Down, 1_000),
                Verdict::Deliver { .. }
            ));
        }
        assert_eq!(
            link.offer(0, Direction::Down, 1_000),
            Verdict::Drop(DropReason::QueueFull)
        );
        assert!(matches!(
            link.offer(1_000_000, Direction::Down, 1_000),
            Verdict::Deliver { .. }
        ));
        assert_eq!(link.traffic().down.refused_packets, 1);
    }

    #[test]
    fn a_packet_above_the_mtu_is_dropped_unsent() {
        let mut link = LinkModel::new(slow(), 1);
        assert_eq!(
            link.offer(0, Direction::Down, 1_501),
            Verdict::Drop(DropReason::TooBig)
        );
        assert_eq!(link.traffic().down.sent_packets, 0);
    }

    #[test]
    fn a_lost_packet_spends_its_airtime() {
        let all = LinkProfile {
            loss: PerMillion::percent(100),
            ..slow()
        };
        let mut link = LinkModel::new(all, 1);
        assert_eq!(link.offer(0, Direction::Up, 50), Verdict::Drop(DropReason::Lost));
        assert_eq!(link.traffic().up.sent_bytes, 50);
        assert_eq!(link.traffic().up.lost_packets, 1);
    }

    #[test]
    fn loss_keeps_near_its_rate_for_every_seed() {
        for seed in 0..20 {
            let profile = LinkProfile {
                loss: PerMillion::percent(20),
                ..LinkProfile::FAST
            };
            let mut link = LinkModel::new(profile, seed);
            for n in 0..10_000u64 {
                link.offer(n * 1_000, Direction::Up, 100);
            }
            let lost = link.traffic().up.lost_packets;
            // 2,000 expected; the standard deviation is 40, so this is five of them.
            assert!((1_800..=2_200).contains(&lost), "seed {seed}: {lost}");
        }
    }

    #[test]
    fn bursts_lose_their_share_several_in_a_row() {
        for seed in 0..20 {
            let profile = LinkProfile {
                bursts: Bursts::FORTY_PERCENT,
                ..LinkProfile::FAST
            };
            let mut link = LinkModel::new(profile, seed);
            let lost: Vec<bool> = (0..20_000u64)
                .map(|n| link.offer(n * 1_000, Direction::Up, 100) == Verdict::Drop(DropReason::Lost))
                .collect();
            let count = lost.iter().filter(|lost| **lost).count();
            let bursts = lost.windows(2).filter(|pair| !pair[0] && pair[1]).count();
            // A burst is geometric with a mean of 5, so a share has a standard deviation of about 1 %.
            assert!((7_200..=8_800).contains(&count), "seed {seed}: {count} lost");
            assert!(
                (4 * bursts..=6 * bursts).contains(&count),
                "seed {seed}: {bursts} bursts"
            );
        }
    }

    #[test]
    fn a_late_packet_is_overtaken() {
        let profile = LinkProfile {
            reorder: PerMillion::percent(50),
            reorder_delay_us: 1_000_000,
            ..LinkProfile::FAST
        };
        let offers = vec![(10, 100); 50];
        let times = arrivals(&mut LinkModel::new(profile, 3), &offers);
        assert!(times.windows(2).any(|pair| pair[1].0 < pair[0].0));
    }

    fn any_profile() -> impl Strategy<Value = LinkProfile> {
        (1_000u64..1_000_000, 0u32..400_000, 0u32..400_000, 0u32..400_000).prop_map(
            |(rate, loss, duplicate, reorder)| LinkProfile {
                rate_down: BitsPerSecond(rate),
                loss: PerMillion(loss),
                duplicate: PerMillion(duplicate),
                reorder: PerMillion(reorder),
                ..slow()
            },
        )
    }

    proptest! {
        #[test]
        fn no_window_carries_more_than_the_rate(
            profile in any_profile(),
            seed: u64,
            offers in prop::collection::vec((0u32..200_000, 1u16..1_500), 1..60),
        ) {
            // Late arrivals are not the transmitter's doing: look at the link without them.
            let profile = LinkProfile { reorder: PerMillion::NEVER, ..profile };
            let mut link = LinkModel::new(profile, seed);
            let times = arrivals(&mut link, &offers);
            for from in 0..times.len() {
                let mut bytes = 0;
                // The packet that ends the window's first instant was sent before the window.
                for later in &times[from + 1..] {
                    bytes += later.1;
                    let window_us = later.0 - times[from].0;
                    prop_assert!(bytes as u64 * 8 * 1_000_000 <= window_us * profile.rate_down.0);
                }
            }
        }

        #[test]
        fn order_is_kept_without_reordering(
            profile in any_profile(),
            seed: u64,
            offers in prop::collection::vec((0u32..200_000, 1u16..1_500), 1..60),
        ) {
            let profile = LinkProfile {
                reorder: PerMillion::NEVER,
                duplicate: PerMillion::NEVER,
                ..profile
            };
            let times = arrivals(&mut LinkModel::new(profile, seed), &offers);
            prop_assert!(times.windows(2).all(|pair| pair[0].0 < pair[1].0));
        }

        #[test]
        fn one_seed_gives_one_history(
            profile in any_profile(),
            seed: u64,
            offers in prop::collection::vec((0u32..200_000, 1u16..1_600), 1..60),
        ) {
            let (mut a, mut b) = (LinkModel::new(profile, seed), LinkModel::new(profile, seed));
            prop_assert_eq!(arrivals(&mut a, &offers), arrivals(&mut b, &offers));
            prop_assert_eq!(a.traffic(), b.traffic());
        }

        #[test]
        fn what_waits_never_exceeds_the_queue(
            profile in any_profile(),
            seed: u64,
            offers in prop::collection::vec((0u32..50_000, 1u16..1_500), 1..60),
        ) {
            let mut link = LinkModel::new(profile, seed);
            let mut now_us = 0;
            for (gap_us, bytes) in offers {
                now_us += u64::from(gap_us);
                link.offer(now_us, Direction::Down, usize::from(bytes));
                prop_assert!(link.down.queued_bytes <= profile.queue_bytes);
            }
        }
    }
}
