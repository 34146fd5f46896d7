//! What gets through to a device: a path whose MTU is smaller than configured drops large replies and says nothing.
//!
//! The same request comes again and again: so its replies are lost. After [`LOST_MAX`] of them the device gets blocks of
//! half the size, and so on down to 16 bytes. Bad luck looks the same for a while, so the next update tries the double
//! size again; a path that swallows it once more keeps the smaller one.
//!
//! Kept in memory only: a gateway that starts anew learns it anew, in a few minutes. Bounded by the devices in the
//! inventory, for only they get paths and long answers.

use crate::records::OfferPath;
use std::collections::BTreeMap;
use wire_checkin::DeviceId;
use wire_coap::BlockSize;

/// What a device asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// A check-in whose answer is as long as a block.
    CheckIn,
    /// The block of a payload at this offset.
    Payload(OfferPath, u32),
    /// The block of a manifest at this offset.
    Manifest(OfferPath, u32),
}

/// Every device whose replies are watched.
#[derive(Debug, Default)]
pub(crate) struct Passage {
    devices: BTreeMap<DeviceId, Watched>,
}

#[derive(Clone, Copy, Debug)]
struct Watched {
    asked: Asked,
    /// Times in a row that it asked for that.
    times: u8,
    /// The largest block that it is sent; `None` while nothing speaks against the link's own.
    limit: Option<BlockSize>,
    /// Whether a block got through since the limit changed.
    got_through: bool,
    /// Whether the double size was tried again.
    was_doubled: bool,
}

impl Passage {
    /// Notes a request; the largest block to answer it with, where the link's own is `usual`.
    pub(crate) fn asked(&mut self, id: DeviceId, asked: Asked, usual: BlockSize) -> BlockSize {
        let watched = self.devices.entry(id).or_insert(Watched {
            asked,
            times: 0,
            limit: None,
            got_through: false,
            was_doubled: false,
        });
        if watched.asked == asked {
            watched.times += 1;
        } else {
            watched.times = 1;
            watched.got_through |= asked != Asked::CheckIn && watched.asked != Asked::CheckIn;
            watched.asked = asked;
        }
        match watched.limit {
            _ if watched.times > LOST_MAX => {
                watched.times = 1;
                watched.got_through = false;
                watched.limit = Some(half(watched.limit.unwrap_or(usual).min(usual)));
            }
            Some(limit) if asked == Asked::CheckIn && watched.got_through && !watched.was_doubled => {
                watched.got_through = false;
                watched.was_doubled = true;
                watched.limit = double(limit).filter(|size| *size < usual);
            }
            _ => {}
        }
        watched.limit.map_or(usual, |limit| limit.min(usual))
    }

    /// The answer to a check-in was short: what was asked for with the long ones before it is over. A block is not: a device that
    /// does not get its manifest checks in between two attempts.
    pub(crate) fn short_answer(&mut self, id: DeviceId) {
        if let Some(watched) = self.devices.get_mut(&id)
            && watched.asked == Asked::CheckIn
        {
            watched.times = 0;
        }
    }

    /// The largest block that a device is sent, where that is less than its link's own.
    pub(crate) fn limit(&self, id: DeviceId, usual: BlockSize) -> Option<BlockSize> {
        self.devices.get(&id)?.limit.filter(|limit| *limit < usual)
    }

    /// Forgets a device.
    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.devices.remove(&id);
    }
}

fn half(size: BlockSize) -> BlockSize {
    BlockSize::largest_within(size.bytes() / 2).unwrap_or(BlockSize::B16)
}

fn double(size: BlockSize) -> Option<BlockSize> {
    BlockSize::largest_within(size.bytes() * 2)
}

/// Replies lost in a row before a smaller block is tried: an exchange of 5 datagrams (RFC 7252 §4.8, `MAX_RETRANSMIT` 4)
/// and the next one. Where 40 % are lost, each for itself, that happens to one block in 10,000.
const LOST_MAX: u8 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn device() -> DeviceId {
        DeviceId::new(&[1]).expect("one byte is an id")
    }

    fn payload(offset: u32) -> Asked {
        Asked::Payload(OfferPath(*b"abcdefg"), offset)
    }

    /// Asks as often as it takes to be given another size; that size.
    fn swallowed(passage: &mut Passage, asked: Asked, usual: BlockSize) -> BlockSize {
        let given = passage.asked(device(), asked, usual);
        let sizes = std::iter::repeat_with(|| passage.asked(device(), asked, usual)).take(50);
        sizes.into_iter().find(|size| *size != given).unwrap_or(given)
    }

    #[test]
    fn what_is_asked_for_again_and_again_comes_in_smaller_blocks() {
        let mut passage = Passage::default();
        let usual = BlockSize::B256;
        assert_eq!(swallowed(&mut passage, Asked::CheckIn, usual), BlockSize::B128);
        assert_eq!(swallowed(&mut passage, payload(0), usual), BlockSize::B64);
        assert_eq!(passage.limit(device(), usual), Some(BlockSize::B64));
        for block in 1..1_000 {
            assert_eq!(
                passage.asked(device(), payload(64 * block), usual),
                BlockSize::B64
            );
        }
        assert_eq!(passage.limit(device(), BlockSize::B64), None);
    }

    #[test]
    fn the_next_update_tries_the_double_size_once() {
        let mut passage = Passage::default();
        let usual = BlockSize::B1024;
        assert_eq!(swallowed(&mut passage, payload(0), usual), BlockSize::B512);
        passage.asked(device(), payload(512), usual);
        assert_eq!(passage.asked(device(), Asked::CheckIn, usual), BlockSize::B1024);
        assert_eq!(swallowed(&mut passage, payload(1), usual), BlockSize::B512);
        passage.asked(device(), payload(513), usual);
        assert_eq!(passage.asked(device(), Asked::CheckIn, usual), BlockSize::B512);
    }

    #[test]
    fn loss_that_spares_one_reply_in_ten_changes_nothing() {
        let mut passage = Passage::default();
        for block in 0..100 {
            for _ in 0..LOST_MAX {
                assert_eq!(
                    passage.asked(device(), payload(block), BlockSize::B64),
                    BlockSize::B64
                );
            }
        }
    }

    #[test]
    fn a_manifest_that_does_not_come_is_asked_for_between_check_ins() {
        let mut passage = Passage::default();
        let manifest = Asked::Manifest(OfferPath(*b"abcdefg"), 0);
        let mut size = BlockSize::B256;
        for _ in 0..3 {
            for _ in 0..5 {
                size = passage.asked(device(), manifest, BlockSize::B256);
            }
            passage.short_answer(device());
        }
        assert_eq!(size, BlockSize::B128);
        for _ in 0..100 {
            passage.asked(device(), Asked::CheckIn, BlockSize::B64);
            passage.short_answer(device());
        }
        assert_eq!(passage.limit(device(), BlockSize::B64), None);
    }

    #[test]
    fn sixteen_bytes_are_the_least() {
        let mut passage = Passage::default();
        for _ in 0..1_000 {
            passage.asked(device(), payload(0), BlockSize::B32);
        }
        assert_eq!(passage.limit(device(), BlockSize::B32), Some(BlockSize::B16));
    }
}
