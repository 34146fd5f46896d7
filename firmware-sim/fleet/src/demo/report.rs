//! The table at the end: what the update cost, beside what it would have cost.

use crate::link::{BitsPerSecond, LinkProfile};
use crate::tap::Counts;
use std::fmt;
use std::time::Duration;

/// What one update cost, as measured at the bridge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Everything said from the check-in that got the job to the answer that confirmed the new image.
    pub counts: Counts,
    /// The time between these two.
    pub taken: Duration,
}

/// What one block costs beside its payload, as measured in the transfer that was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerBlock {
    /// A request, in bytes on the air.
    pub request_bytes: u64,
    /// A reply without its payload, in bytes on the air.
    pub reply_overhead_bytes: u64,
    /// Payload of a full block.
    pub block_bytes: u64,
    /// Of a request, what protection added.
    pub request_protection_bytes: u64,
    /// Of a reply, what protection added.
    pub reply_protection_bytes: u64,
}

impl PerBlock {
    /// Measures a whole transfer of `payload_bytes`; `None` if nothing was transferred. Rounded up.
    pub fn measured(counts: &Counts, payload_bytes: u64, block_bytes: u64) -> Option<Self> {
        let requests = u64::from(counts.payload_requests);
        let replies = u64::from(counts.payload_replies);
        if requests == 0 || replies == 0 {
            return None;
        }
        let overhead_bytes = counts.payload_reply_bytes.saturating_sub(payload_bytes);
        Some(Self {
            request_bytes: counts.payload_request_bytes.div_ceil(requests),
            reply_overhead_bytes: overhead_bytes.div_ceil(replies),
            block_bytes,
            request_protection_bytes: counts.payload_request_protection_bytes.div_ceil(requests),
            reply_protection_bytes: counts.payload_reply_protection_bytes.div_ceil(replies),
        })
    }

    /// The same without protection.
    pub fn in_the_clear(&self) -> Self {
        Self {
            request_bytes: self.request_bytes - self.request_protection_bytes,
            reply_overhead_bytes: self
                .reply_overhead_bytes
                .saturating_sub(self.reply_protection_bytes),
            request_protection_bytes: 0,
            reply_protection_bytes: 0,
            ..*self
        }
    }

    /// Bytes on the air both ways for a payload, without loss and without check-ins.
    pub fn air_bytes(&self, payload_bytes: u64) -> u64 {
        let blocks = payload_bytes.div_ceil(self.block_bytes);
        payload_bytes + blocks * (self.request_bytes + self.reply_overhead_bytes)
    }

    /// The least time the link allows for a payload: one request at a time, each waiting for its reply, none lost.
    pub fn least_time(&self, payload_bytes: u64, profile: &LinkProfile) -> Duration {
        let blocks = payload_bytes.div_ceil(self.block_bytes);
        let air_us = |rate: BitsPerSecond, bytes: u64| rate.airtime_us(bytes as usize);
        let up_us = air_us(profile.rate_up, blocks * self.request_bytes);
        let down_us = air_us(
            profile.rate_down,
            payload_bytes + blocks * self.reply_overhead_bytes,
        );
        Duration::from_micros(up_us + down_us + blocks * 2 * profile.delay_us)
    }
}

/// The check-ins of an update: the one that gets the job and the one that confirms the new image, as measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckIns {
    /// Bytes of both requests on the air.
    pub request_bytes: u64,
    /// Bytes of both answers on the air.
    pub reply_bytes: u64,
    /// Of all four, what protection added to the requests.
    pub request_protection_bytes: u64,
    /// And to the answers.
    pub reply_protection_bytes: u64,
}

impl CheckIns {
    /// Round trips of an update beside its payload.
    pub const COUNT: u64 = 2;

    /// Takes them from what was counted.
    pub fn measured(counts: &Counts) -> Self {
        Self {
            request_bytes: counts.check_in_request_bytes,
            reply_bytes: counts.check_in_reply_bytes,
            request_protection_bytes: counts.check_in_request_protection_bytes,
            reply_protection_bytes: counts.check_in_reply_protection_bytes,
        }
    }

    /// The same without protection.
    pub fn in_the_clear(&self) -> Self {
        Self {
            request_bytes: self.request_bytes - self.request_protection_bytes,
            reply_bytes: self.reply_bytes - self.reply_protection_bytes,
            request_protection_bytes: 0,
            reply_protection_bytes: 0,
        }
    }

    /// Bytes on the air both ways.
    pub fn air_bytes(&self) -> u64 {
        self.request_bytes + self.reply_bytes
    }

    /// The least time the link allows for them.
    pub fn least_time(&self, profile: &LinkProfile) -> Duration {
        let up_us = profile.rate_up.airtime_us(self.request_bytes as usize);
        let down_us = profile.rate_down.airtime_us(self.reply_bytes as usize);
        Duration::from_micros(up_us + down_us + Self::COUNT * 2 * profile.delay_us)
    }
}

/// A number with a comma between thousands.
pub struct Grouped(pub u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.to_string();
        let mut text = String::with_capacity(digits.len() + digits.len() / 3);
        for (index, digit) in digits.chars().enumerate() {
            if index > 0 && (digits.len() - index).is_multiple_of(3) {
                text.push(',');
            }
            text.push(digit);
        }
        f.pad(&text)
    }
}

/// A duration in seconds with one decimal.
pub struct Seconds(pub Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.0.as_millis().div_ceil(100);
        f.pad(&format!("{}.{}", tenths / 10, tenths % 10))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BLOCK: PerBlock = PerBlock {
        request_bytes: 50,
        reply_overhead_bytes: 45,
        block_bytes: 1_024,
        request_protection_bytes: 14,
        reply_protection_bytes: 11,
    };

    #[test]
    fn a_payload_costs_itself_and_one_exchange_for_each_block() {
        assert_eq!(BLOCK.air_bytes(1_024), 1_024 + 95);
        assert_eq!(BLOCK.air_bytes(1_025), 1_025 + 2 * 95);
    }

    #[test]
    fn without_protection_a_block_is_shorter_by_its_bytes() {
        let clear = BLOCK.in_the_clear();
        assert_eq!(BLOCK.air_bytes(1_025) - clear.air_bytes(1_025), 2 * (14 + 11));
    }

    #[test]
    fn the_least_time_is_airtime_and_a_round_trip_for_each_block() {
        let profile = LinkProfile {
            rate_up: BitsPerSecond(8_000),
            rate_down: BitsPerSecond(8_000),
            delay_us: 1_000_000,
            ..LinkProfile::FAST
        };
        let least = BLOCK.least_time(2_048, &profile);
        // 100 bytes up, 2,048 + 90 bytes down at a byte a millisecond, and four seconds of delay.
        assert_eq!(least, Duration::from_millis(100 + 2_138 + 4_000));
    }

    #[test]
    fn the_least_time_of_check_ins_is_airtime_in_each_direction_and_two_round_trips() {
        let profile = LinkProfile {
            rate_up: BitsPerSecond(16_000),
            rate_down: BitsPerSecond(8_000),
            delay_us: 1_000_000,
            ..LinkProfile::FAST
        };
        let check_ins = CheckIns {
            request_bytes: 200,
            reply_bytes: 300,
            request_protection_bytes: 0,
            reply_protection_bytes: 0,
        };
        assert_eq!(
            check_ins.least_time(&profile),
            Duration::from_millis(100 + 300 + 4_000)
        );
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(Grouped(1_234_567).to_string(), "1,234,567");
        assert_eq!(Grouped(12).to_string(), "12");
        assert_eq!(format!("{:>6}", Grouped(1_000)), " 1,000");
        assert_eq!(Seconds(Duration::from_millis(1_240)).to_string(), "1.3");
    }
}
