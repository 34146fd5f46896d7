//! The client's side of a block-wise GET (RFC 7959 §2.4): which block to ask for, and whether an answer belongs.

use core::fmt;

use crate::block::{BlockNumber, BlockSize, BlockValue};
use crate::message::{Message, OptionError};
use crate::option::ETag;

/// What the client knows before the first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchPlan {
    /// The tag that every block must carry; `None` takes the first block's tag and holds the others to it.
    pub etag: Option<ETag>,
    /// The size of the whole, in bytes, when known.
    pub total: Option<u32>,
    /// Where to begin, in bytes. Rounded down to a whole block of `size`: see [`Block2Fetch::offset`].
    pub offset: u32,
    /// The size to ask for; the server may answer with a smaller one.
    pub size: BlockSize,
}

/// Fetches a representation block by block, in order, each block once.
///
/// | state | [`Block2Fetch::next_request`] | [`Block2Fetch::handle_response`] |
/// |---|---|---|
/// | fetching | the block at [`Block2Fetch::offset`] | accepts that block, ignores an earlier one, refuses the rest |
/// | finished | `None` | ignores every block |
///
/// An error changes nothing: the caller may ask again, begin anew, or give up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block2Fetch {
    etag: ExpectedETag,
    total: Option<u32>,
    offset: u32,
    size: BlockSize,
    finished: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpectedETag {
    /// No response yet, nothing known beforehand.
    Any,
    /// Every block carries this tag, or (`None`) every block goes without.
    Exactly(Option<ETag>),
}

/// What a 2.05 response says about its block: made from a [`Message`] by [`FetchedBlock::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchedBlock {
    /// The Block2 option; absent when the server answered with the whole representation.
    pub block2: Option<BlockValue>,
    /// The first ETag option.
    pub etag: Option<ETag>,
    /// The Size2 option.
    pub size2: Option<u32>,
    /// How many bytes the payload has.
    pub length: u32,
}

impl FetchedBlock {
    /// Takes the block's description from a response.
    pub fn of(response: &Message<'_>) -> Result<FetchedBlock, OptionError> {
        Ok(FetchedBlock {
            block2: response.block2()?,
            etag: response.etag(),
            size2: response.size2(),
            length: u32::try_from(response.payload().len()).unwrap_or(u32::MAX),
        })
    }
}

/// What became of a response that broke no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// The payload belongs at `offset`. When `last`, the representation is complete.
    Accept {
        /// Where the payload belongs, in bytes.
        offset: u32,
        /// Whether this was the last block.
        last: bool,
    },
    /// A block that was accepted before: drop it, and do not ask again because of it.
    Duplicate,
}

impl Block2Fetch {
    /// Begins or resumes a transfer.
    pub fn new(plan: FetchPlan) -> Result<Block2Fetch, FetchError> {
        let offset = plan.offset & !(plan.size.bytes() - 1);
        if plan.total.is_some_and(|total| offset != 0 && offset >= total) {
            return Err(FetchError::Overrun);
        }
        BlockNumber::at_offset(offset, plan.size).ok_or(FetchError::NumberTooLarge)?;
        let etag = plan
            .etag
            .map_or(ExpectedETag::Any, |etag| ExpectedETag::Exactly(Some(etag)));
        Ok(Block2Fetch {
            etag,
            total: plan.total,
            offset,
            size: plan.size,
            finished: false,
        })
    }

    /// The Block2 option of the next request; `None` when the representation is complete. Asking again after a loss
    /// gives the same value.
    pub fn next_request(&self) -> Option<BlockValue> {
        let number = BlockNumber::at_offset(self.offset, self.size)?;
        (!self.finished).then_some(BlockValue::request(number, self.size))
    }

    /// Bytes that need not be fetched any more: where the next block begins.
    pub const fn offset(&self) -> u32 {
        self.offset
    }

    /// The block size in use: what was asked for, or the smaller size that the server chose.
    pub const fn size(&self) -> BlockSize {
        self.size
    }

    /// The tag that the blocks carry, once known.
    pub const fn etag(&self) -> Option<ETag> {
        match self.etag {
            ExpectedETag::Exactly(etag) => etag,
            ExpectedETag::Any => None,
        }
    }

    /// Whether the last block was accepted.
    pub const fn is_finished(&self) -> bool {
        self.finished
    }

    /// Judges a 2.05 response. On [`Taken::Accept`] the transfer has moved on, and the payload is the caller's to keep.
    pub fn handle_response(&mut self, block: FetchedBlock) -> Result<Taken, FetchError> {
        self.check_identity(&block)?;
        let (at, more, size) = match block.block2 {
            Some(value) => (value.offset(), value.more, value.size),
            None => (0, false, self.size),
        };
        if size > self.size {
            return Err(FetchError::SizeLarger);
        }
        if self.finished || at < self.offset && block.block2.is_some() {
            return Ok(Taken::Duplicate);
        }
        if at != self.offset {
            return Err(FetchError::WrongNumber);
        }
        if let Some(value) = block.block2 {
            check_length(value, block.length)?;
        }
        let end = at.checked_add(block.length).ok_or(FetchError::Overrun)?;
        self.check_total(end, more)?;
        if more && BlockNumber::at_offset(end, size).is_none() {
            return Err(FetchError::NumberTooLarge);
        }
        self.etag = ExpectedETag::Exactly(block.etag);
        self.offset = end;
        self.size = size;
        self.finished = !more;
        Ok(Taken::Accept {
            offset: at,
            last: self.finished,
        })
    }

    /// RFC 7959 §2.4: the client compares the entity tags of the blocks.
    fn check_identity(&self, block: &FetchedBlock) -> Result<(), FetchError> {
        if matches!(self.etag, ExpectedETag::Exactly(etag) if etag != block.etag) {
            return Err(FetchError::ETagChanged);
        }
        match (self.total, block.size2) {
            (Some(total), Some(size2)) if total != size2 => Err(FetchError::TotalChanged),
            _ => Ok(()),
        }
    }

    fn check_total(&self, end: u32, more: bool) -> Result<(), FetchError> {
        match self.total {
            Some(total) if end > total || more && end == total => Err(FetchError::Overrun),
            Some(total) if !more && end < total => Err(FetchError::EndsEarly),
            _ => Ok(()),
        }
    }
}

/// RFC 7959 §2.3: with M set the payload is exactly one block long. Departs for the last block: SZX does not govern its
/// length there, but a longer one would not fit the caller's block buffer, so it is refused. Only block 0 may be empty:
/// the block before any other empty one would have been the last.
fn check_length(value: BlockValue, length: u32) -> Result<(), FetchError> {
    let size = value.size.bytes();
    if length > size {
        return Err(FetchError::BlockTooLong);
    }
    if value.more && length < size || length == 0 && value.number != BlockNumber::ZERO {
        return Err(FetchError::BlockTooShort);
    }
    Ok(())
}

/// Why a response cannot be a part of this transfer. All but the last mean that the server misbehaved or that
/// the representation is another one now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchError {
    /// Another entity tag, or none where there was one: the representation changed.
    ETagChanged,
    /// Size2 differs from the size known beforehand.
    TotalChanged,
    /// Not the block that was asked for, nor an earlier one; or no Block2 in the middle of a transfer.
    WrongNumber,
    /// A larger block size than was asked for (RFC 7959 §2.4 forbids it).
    SizeLarger,
    /// More blocks are said to follow, but this one is not full; or a block after the first is empty.
    BlockTooShort,
    /// The payload is longer than the block size.
    BlockTooLong,
    /// The representation is longer than was known beforehand.
    Overrun,
    /// The last block comes before the size known beforehand is reached.
    EndsEarly,
    /// A block beyond this one would need more than 20 bits; only larger blocks can fetch the rest.
    NumberTooLarge,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FetchError::ETagChanged => "entity tag of the block differs from that of the transfer",
            FetchError::TotalChanged => "size of the representation differs from the one expected",
            FetchError::WrongNumber => "response holds another block than was asked for",
            FetchError::SizeLarger => "block size of the response is larger than was asked for",
            FetchError::BlockTooShort => "block is shorter than its size although more follow",
            FetchError::BlockTooLong => "block is longer than its size",
            FetchError::Overrun => "representation is longer than expected",
            FetchError::EndsEarly => "last block comes before the expected end",
            FetchError::NumberTooLarge => "next block number exceeds 20 bits",
        })
    }
}

impl core::error::Error for FetchError {}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::slice;

    const ETAG: ETag = ETag::from_array([1, 2, 3, 4]);
    const OTHER: ETag = ETag::from_array([1, 2, 3, 5]);

    fn plan(offset: u32, size: BlockSize) -> FetchPlan {
        FetchPlan {
            etag: Some(ETAG),
            total: Some(1000),
            offset,
            size,
        }
    }

    fn begin(plan: FetchPlan) -> Block2Fetch {
        Block2Fetch::new(plan).unwrap()
    }

    fn block(number: u32, more: bool, size: BlockSize, length: u32) -> FetchedBlock {
        let number = BlockNumber::new(number).unwrap();
        let block2 = Some(BlockValue { number, more, size });
        FetchedBlock {
            block2,
            etag: Some(ETAG),
            size2: None,
            length,
        }
    }

    /// What an honest server with this largest size answers.
    fn answer(total: u32, request: BlockValue, size_max: BlockSize) -> FetchedBlock {
        let slice = slice(total, Some(request), size_max).unwrap();
        FetchedBlock {
            block2: Some(slice.value),
            etag: Some(ETAG),
            size2: (slice.offset == 0).then_some(total),
            length: slice.length,
        }
    }

    #[test]
    fn fetch_of_an_honest_server_covers_everything_once_in_order() {
        for total in [0, 1, 15, 16, 17, 1000, 1024, 1025] {
            for (asked, max) in (0..=6).flat_map(|asked| (0..=6).map(move |max| (asked, max))) {
                let size = BlockSize::from_szx(asked).unwrap();
                let size_max = BlockSize::from_szx(max).unwrap();
                let mut fetch = begin(FetchPlan {
                    etag: Some(ETAG),
                    total: Some(total),
                    offset: 0,
                    size,
                });
                let mut covered = 0;
                while let Some(request) = fetch.next_request() {
                    assert!(!request.more, "RFC 7959 §2.4: zero in a request");
                    let block = answer(total, request, size_max);
                    let last = covered + block.length == total;
                    assert_eq!(
                        fetch.handle_response(block),
                        Ok(Taken::Accept {
                            offset: covered,
                            last
                        })
                    );
                    covered += block.length;
                }
                assert_eq!((covered, fetch.is_finished()), (total, true));
            }
        }
    }

    #[test]
    fn resume_begins_at_the_block_that_holds_the_offset() {
        let fetch = begin(plan(200, BlockSize::B64));
        assert_eq!(fetch.offset(), 192);
        assert_eq!(fetch.next_request().unwrap().number.value(), 3);
    }

    #[test]
    fn resume_beyond_the_end_is_refused() {
        assert_eq!(
            Block2Fetch::new(plan(1024, BlockSize::B64)),
            Err(FetchError::Overrun)
        );
        let far = FetchPlan {
            etag: None,
            total: None,
            offset: 16 << 20,
            size: BlockSize::B16,
        };
        assert_eq!(Block2Fetch::new(far), Err(FetchError::NumberTooLarge));
    }

    /// A server that prefers 64 bytes answers a resume at block 1 of 512 with block 8 of 64.
    #[test]
    fn smaller_block_is_followed_from_the_same_byte() {
        let mut fetch = begin(plan(512, BlockSize::B512));
        let taken = fetch.handle_response(block(8, true, BlockSize::B64, 64));
        assert_eq!(
            taken,
            Ok(Taken::Accept {
                offset: 512,
                last: false
            })
        );
        let next = BlockValue::request(BlockNumber::new(9).unwrap(), BlockSize::B64);
        assert_eq!((fetch.next_request(), fetch.size()), (Some(next), BlockSize::B64));
    }

    #[test]
    fn larger_block_is_refused() {
        let mut fetch = begin(plan(0, BlockSize::B64));
        let larger = block(0, true, BlockSize::B128, 128);
        assert_eq!(fetch.handle_response(larger), Err(FetchError::SizeLarger));
    }

    #[test]
    fn changed_entity_tag_is_refused() {
        let mut fetch = begin(plan(0, BlockSize::B64));
        let good = block(0, true, BlockSize::B64, 64);
        for etag in [Some(OTHER), None] {
            let changed = FetchedBlock { etag, ..good };
            assert_eq!(fetch.handle_response(changed), Err(FetchError::ETagChanged));
        }
        assert!(fetch.handle_response(good).is_ok(), "an error changes nothing");
    }

    #[test]
    fn first_entity_tag_binds_the_others() {
        for first in [Some(ETAG), None] {
            let mut fetch = begin(FetchPlan {
                etag: None,
                total: None,
                ..plan(0, BlockSize::B64)
            });
            let block_0 = FetchedBlock {
                etag: first,
                ..block(0, true, BlockSize::B64, 64)
            };
            assert!(fetch.handle_response(block_0).is_ok());
            assert_eq!(fetch.etag(), first);
            let block_1 = FetchedBlock {
                etag: Some(OTHER),
                ..block(1, true, BlockSize::B64, 64)
            };
            assert_eq!(fetch.handle_response(block_1), Err(FetchError::ETagChanged));
        }
    }

    #[test]
    fn earlier_block_is_a_duplicate_and_a_later_one_is_wrong() {
        let mut fetch = begin(plan(128, BlockSize::B64));
        assert_eq!(
            fetch.handle_response(block(1, true, BlockSize::B64, 64)),
            Ok(Taken::Duplicate)
        );
        assert_eq!(
            fetch.handle_response(block(3, true, BlockSize::B64, 64)),
            Err(FetchError::WrongNumber)
        );
        assert_eq!(fetch.offset(), 128);
    }

    #[test]
    fn finished_fetch_takes_nothing_more() {
        let mut fetch = begin(FetchPlan {
            total: Some(10),
            ..plan(0, BlockSize::B64)
        });
        let only = block(0, false, BlockSize::B64, 10);
        assert_eq!(
            fetch.handle_response(only),
            Ok(Taken::Accept {
                offset: 0,
                last: true
            })
        );
        assert_eq!(fetch.handle_response(only), Ok(Taken::Duplicate));
        assert_eq!(fetch.next_request(), None);
    }

    #[test]
    fn middle_block_must_be_full() {
        let mut fetch = begin(plan(0, BlockSize::B64));
        let short = block(0, true, BlockSize::B64, 63);
        assert_eq!(fetch.handle_response(short), Err(FetchError::BlockTooShort));
        let long = block(0, true, BlockSize::B64, 65);
        assert_eq!(fetch.handle_response(long), Err(FetchError::BlockTooLong));
    }

    #[test]
    fn total_binds_the_end() {
        let mut fetch = begin(plan(960, BlockSize::B64));
        let overrun = block(15, true, BlockSize::B64, 64);
        assert_eq!(fetch.handle_response(overrun), Err(FetchError::Overrun));
        let early = block(15, false, BlockSize::B64, 39);
        assert_eq!(fetch.handle_response(early), Err(FetchError::EndsEarly));
        let empty = block(15, false, BlockSize::B64, 0);
        assert_eq!(fetch.handle_response(empty), Err(FetchError::BlockTooShort));
        let right = block(15, false, BlockSize::B64, 40);
        assert_eq!(
            fetch.handle_response(right),
            Ok(Taken::Accept {
                offset: 960,
                last: true
            })
        );
    }

    #[test]
    fn more_blocks_after_the_expected_end_are_an_overrun() {
        let mut fetch = begin(FetchPlan {
            total: Some(64),
            ..plan(0, BlockSize::B64)
        });
        let endless = block(0, true, BlockSize::B64, 64);
        assert_eq!(fetch.handle_response(endless), Err(FetchError::Overrun));
    }

    #[test]
    fn other_size2_means_another_representation() {
        let mut fetch = begin(plan(0, BlockSize::B64));
        let grown = FetchedBlock {
            size2: Some(1001),
            ..block(0, true, BlockSize::B64, 64)
        };
        assert_eq!(fetch.handle_response(grown), Err(FetchError::TotalChanged));
    }

    #[test]
    fn response_without_block2_is_the_whole() {
        let whole = FetchedBlock {
            block2: None,
            etag: Some(ETAG),
            size2: None,
            length: 1000,
        };
        let mut fetch = begin(plan(0, BlockSize::B64));
        assert_eq!(
            fetch.handle_response(whole),
            Ok(Taken::Accept {
                offset: 0,
                last: true
            })
        );
        let mut resumed = begin(plan(64, BlockSize::B64));
        assert_eq!(resumed.handle_response(whole), Err(FetchError::WrongNumber));
    }

    #[test]
    fn block_1048575_is_the_last_that_can_be_fetched() {
        let offset = (16 << 20) - 16;
        let mut fetch = begin(FetchPlan {
            etag: None,
            total: None,
            offset,
            size: BlockSize::B16,
        });
        let number = fetch.next_request().unwrap().number.value();
        assert_eq!(number, 1_048_575);
        assert_eq!(
            fetch.handle_response(block(number, true, BlockSize::B16, 16)),
            Err(FetchError::NumberTooLarge)
        );
        let last = fetch.handle_response(block(number, false, BlockSize::B16, 16));
        assert_eq!(last, Ok(Taken::Accept { offset, last: true }));
    }
}
