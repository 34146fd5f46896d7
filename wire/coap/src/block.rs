//! Block option values and the stateless server's side of Block2 (RFC 7959 §2).
//!
//! ```text
//! 0 to 3 bytes, big-endian: NUM (up to 20 bits) | M (1 bit) | SZX (3 bits), size = 2^(SZX + 4)
//! ```

use core::fmt;

/// A block size: a power of two from 16 to 1024 bytes (RFC 7959 §2.2). Ordered by size.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockSize(u8);

impl BlockSize {
    /// 16 bytes, SZX 0.
    pub const B16: BlockSize = BlockSize(0);
    /// 32 bytes, SZX 1.
    pub const B32: BlockSize = BlockSize(1);
    /// 64 bytes, SZX 2.
    pub const B64: BlockSize = BlockSize(2);
    /// 128 bytes, SZX 3.
    pub const B128: BlockSize = BlockSize(3);
    /// 256 bytes, SZX 4.
    pub const B256: BlockSize = BlockSize(4);
    /// 512 bytes, SZX 5.
    pub const B512: BlockSize = BlockSize(5);
    /// 1024 bytes, SZX 6.
    pub const B1024: BlockSize = BlockSize(6);

    /// `None` for 7, which is reserved (RFC 7959 §2.2), and above.
    pub const fn from_szx(szx: u8) -> Option<BlockSize> {
        if szx <= 6 { Some(BlockSize(szx)) } else { None }
    }

    /// The exponent on the wire, 0 to 6.
    pub const fn szx(self) -> u8 {
        self.0
    }

    /// 16 to 1024.
    pub const fn bytes(self) -> u32 {
        16 << self.0
    }

    /// The largest size of at most `bytes` bytes; `None` below 16.
    pub const fn largest_within(bytes: u32) -> Option<BlockSize> {
        match bytes {
            0..16 => None,
            1024.. => Some(BlockSize::B1024),
            _ => Some(BlockSize((bytes.ilog2() - 4) as u8)),
        }
    }
}

impl fmt::Debug for BlockSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BlockSize({} bytes)", self.bytes())
    }
}

/// Which block, counted from 0 in units of the block size; 20 bits (RFC 7959 §2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlockNumber(u32);

impl BlockNumber {
    /// The first block.
    pub const ZERO: BlockNumber = BlockNumber(0);
    /// 2^20 - 1. At 16 bytes a block, the last one within 16 MiB.
    pub const MAX: BlockNumber = BlockNumber(0xF_FFFF);

    /// `None` above 20 bits.
    pub const fn new(number: u32) -> Option<BlockNumber> {
        if number <= BlockNumber::MAX.0 {
            Some(BlockNumber(number))
        } else {
            None
        }
    }

    /// The block that begins at byte `offset`; `None` when none does or when its number exceeds 20 bits.
    pub const fn at_offset(offset: u32, size: BlockSize) -> Option<BlockNumber> {
        if offset.is_multiple_of(size.bytes()) {
            BlockNumber::new(offset / size.bytes())
        } else {
            None
        }
    }

    /// 0 to 1048575.
    pub const fn value(self) -> u32 {
        self.0
    }

    /// Where the block begins, in bytes; below 2^30.
    pub const fn offset(self, size: BlockSize) -> u32 {
        self.0 * size.bytes()
    }
}

/// The value of a Block1 or Block2 option.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BlockValue {
    /// Which block.
    pub number: BlockNumber,
    /// Whether more blocks follow. Zero in a request's Block2, ignored there by the server (RFC 7959 §2.2).
    pub more: bool,
    /// How long every block but the last is.
    pub size: BlockSize,
}

impl BlockValue {
    /// A client's first request, naming the size it prefers (RFC 7959 §2.4).
    pub const fn first(size: BlockSize) -> BlockValue {
        BlockValue::request(BlockNumber::ZERO, size)
    }

    /// A client's request for one block.
    pub const fn request(number: BlockNumber, size: BlockSize) -> BlockValue {
        BlockValue {
            number,
            more: false,
            size,
        }
    }

    /// Where the block begins, in bytes; below 2^30.
    pub const fn offset(self) -> u32 {
        self.number.offset(self.size)
    }

    /// The value as the option's unsigned integer, below 2^24.
    pub const fn to_uint(self) -> u32 {
        self.number.0 << 4 | (self.more as u32) << 3 | self.size.0 as u32
    }

    /// The inverse of [`BlockValue::to_uint`].
    pub fn from_uint(value: u32) -> Result<BlockValue, BlockError> {
        let number = BlockNumber::new(value >> 4).ok_or(BlockError::TooLong)?;
        let size = BlockSize::from_szx((value & 0b111) as u8).ok_or(BlockError::ReservedSize)?;
        Ok(BlockValue {
            number,
            more: value & 0b1000 != 0,
            size,
        })
    }

    /// Reads an option value of 0 to 3 bytes.
    pub fn decode(bytes: &[u8]) -> Result<BlockValue, BlockError> {
        if bytes.len() > 3 {
            return Err(BlockError::TooLong);
        }
        BlockValue::from_uint(bytes.iter().fold(0, |uint, byte| uint << 8 | u32::from(*byte)))
    }

    /// Writes the option value in as few bytes as possible and returns them; [`crate::Writer::block`] does the same.
    pub fn encode(self, buffer: &mut [u8; 3]) -> &[u8] {
        let [_, bytes @ ..] = self.to_uint().to_be_bytes();
        *buffer = bytes;
        let leading_zeros = (self.to_uint().leading_zeros() as usize / 8).saturating_sub(1);
        buffer.get(leading_zeros..).unwrap_or(&[])
    }
}

/// A block option that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BlockError {
    /// More than 3 bytes: the option counts as unrecognized, so the answer is 4.02 (RFC 7252 §5.4.3).
    TooLong,
    /// SZX 7: the answer is 4.00 (RFC 7959 §2.2).
    ReservedSize,
}

impl fmt::Display for BlockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BlockError::TooLong => "block value is longer than 3 bytes",
            BlockError::ReservedSize => "block size 7 is reserved",
        })
    }
}

impl core::error::Error for BlockError {}

/// What a stateless server answers to one Block2 request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BlockSlice {
    /// Where the payload begins in the representation, in bytes.
    pub offset: u32,
    /// How many bytes it has; 0 only when the whole representation is empty.
    pub length: u32,
    /// The Block2 option of the answer.
    pub value: BlockValue,
}

impl BlockSlice {
    /// Whether the answer is the whole representation. To a request without Block2, such an answer needs no Block2.
    pub const fn is_whole(&self) -> bool {
        self.offset == 0 && !self.value.more
    }
}

/// Chooses the slice of a representation of `total` bytes that answers `requested`, remembering nothing.
///
/// Without a Block2 option the answer is the first block of `size_max`. When the client asks for larger blocks than
/// `size_max`, the answer begins at the byte it asked for and is numbered in the smaller size (RFC 7959 §2.4, Figure 4).
pub fn slice(
    total: u32,
    requested: Option<BlockValue>,
    size_max: BlockSize,
) -> Result<BlockSlice, SliceError> {
    let requested = requested.unwrap_or(BlockValue::first(size_max));
    let size = requested.size.min(size_max);
    let offset = requested.offset();
    if offset != 0 && offset >= total {
        return Err(SliceError::NumberPastEnd);
    }
    let number = BlockNumber::at_offset(offset, size).ok_or(SliceError::NumberTooLarge)?;
    let rest = total - offset;
    let value = BlockValue {
        number,
        more: rest > size.bytes(),
        size,
    };
    Ok(BlockSlice {
        offset,
        length: rest.min(size.bytes()),
        value,
    })
}

/// A block that cannot be served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SliceError {
    /// The block begins at or after the end of the representation: answered with 4.00.
    NumberPastEnd,
    /// In the smaller size the block's number would exceed 20 bits: answered with 4.00.
    NumberTooLarge,
}

impl fmt::Display for SliceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SliceError::NumberPastEnd => "block number is past the end",
            SliceError::NumberTooLarge => "block number exceeds 20 bits at the smaller size",
        })
    }
}

impl core::error::Error for SliceError {}

#[cfg(test)]
#[path = "block_tests.rs"]
mod tests;
