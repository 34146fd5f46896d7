//! What a link is like: the numbers that a [`LinkModel`](super::LinkModel) obeys.

/// A rate on the air.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BitsPerSecond(pub u64);

impl BitsPerSecond {
    /// Microseconds that `bytes` occupy the link, rounded up so that the rate is never exceeded.
    pub fn airtime_us(self, bytes: usize) -> u64 {
        (bytes as u64 * 8 * 1_000_000).div_ceil(self.0.max(1))
    }
}

/// How often something happens, in cases of a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PerMillion(pub u32);

impl PerMillion {
    /// It does not happen.
    pub const NEVER: Self = Self(0);

    /// `percent` of a hundred.
    pub const fn percent(percent: u32) -> Self {
        Self(percent * 10_000)
    }
}

/// Loss that comes in bursts, after Gilbert and Elliott: each direction is good or bad, may change before every packet, and
/// loses all of them while it is bad.
///
/// Of all packets `begin / (begin + end)` are lost, in bursts of `1 / end` on average.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bursts {
    /// How often a good direction turns bad.
    pub begin: PerMillion,
    /// How often a bad one turns good.
    pub end: PerMillion,
}

impl Bursts {
    /// No packet is lost in a burst.
    pub const NEVER: Self = Self {
        begin: PerMillion::NEVER,
        end: PerMillion::NEVER,
    };

    /// 40 % of all packets, five in a row on average: 2 / 15 / (2 / 15 + 1 / 5).
    pub const FORTY_PERCENT: Self = Self {
        begin: PerMillion(133_333),
        end: PerMillion::percent(20),
    };
}

/// The properties of one link, the same for the life of a [`LinkModel`](super::LinkModel).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkProfile {
    /// Rate from the device to the gateway.
    pub rate_up: BitsPerSecond,
    /// Rate from the gateway to the device.
    pub rate_down: BitsPerSecond,
    /// Time from the last bit sent to the packet's delivery, each way.
    pub delay_us: u64,
    /// Packets that are sent and do not arrive.
    pub loss: PerMillion,
    /// Packets that are sent and do not arrive, several in a row.
    pub bursts: Bursts,
    /// Packets that are sent twice.
    pub duplicate: PerMillion,
    /// Packets that arrive late, so that others may overtake them.
    pub reorder: PerMillion,
    /// How much later than [`Self::delay_us`] such a packet arrives, at most.
    pub reorder_delay_us: u64,
    /// Largest IP packet. A larger one is dropped, not fragmented.
    pub mtu_bytes: usize,
    /// Bytes that may wait in front of each transmitter. What does not fit is lost.
    pub queue_bytes: usize,
}

impl LinkProfile {
    /// A link that gets in nobody's way: 100 Mbit/s, 200 µs each way, no faults.
    pub const FAST: Self = Self {
        rate_up: BitsPerSecond(100_000_000),
        rate_down: BitsPerSecond(100_000_000),
        delay_us: 200,
        loss: PerMillion::NEVER,
        bursts: Bursts::NEVER,
        duplicate: PerMillion::NEVER,
        reorder: PerMillion::NEVER,
        reorder_delay_us: 0,
        mtu_bytes: 1_500,
        queue_bytes: 256 * 1_024,
    };

    /// NB-IoT as in 3GPP release 13 (NB1): 26 kbit/s down, 62 kbit/s up, the 2 s round trip of a
    /// device in fair coverage, 5 % loss. IP MTU as RFC 9391 names it.
    pub const NB_IOT: Self = Self {
        rate_up: BitsPerSecond(62_000),
        rate_down: BitsPerSecond(26_000),
        delay_us: 1_000_000,
        loss: PerMillion::percent(5),
        mtu_bytes: 1_358,
        queue_bytes: 16 * 1_024,
        ..Self::FAST
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn airtime_is_rounded_up() {
        assert_eq!(BitsPerSecond(26_000).airtime_us(325), 100_000);
        assert_eq!(BitsPerSecond(3).airtime_us(1), 2_666_667);
    }
}
