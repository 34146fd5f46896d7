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
        let offset = plan.offset - plan.offset % plan.size.bytes();
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

/// RFC 7959 §2.3: with M set the payload is exactly one block long, without it at most one block. Only block 0 may be
/// empty: another empty block would not have existed.
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
#[path = "fetch_tests.rs"]
mod tests;
