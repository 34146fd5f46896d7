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

    /// How many whole blocks are in `bytes`. A shift, and so without the panic of a division that nobody proves possible.
    pub const fn blocks(self, bytes: u32) -> u32 {
        bytes >> 4 >> self.0
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
        if offset & (size.bytes() - 1) == 0 {
            BlockNumber::new(size.blocks(offset))
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
    /// Whether more blocks follow. In a request's Block2 sent as zero and ignored on reception (RFC 7959 §2.2).
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
/// Without a Block2 option the answer is the first block of `size_max`. A server uses the size asked for or a smaller
/// one (RFC 7959 §2.4); a smaller one begins at the byte that was asked for and is numbered in its own size.
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
mod tests {
    use super::*;

    fn value(number: u32, more: bool, size: BlockSize) -> BlockValue {
        BlockValue {
            number: BlockNumber::new(number).unwrap(),
            more,
            size,
        }
    }

    fn ask(number: u32, size: BlockSize) -> Option<BlockValue> {
        Some(value(number, false, size))
    }

    #[test]
    fn value_is_encoded_as_in_figure_1() {
        let encoded = |number, more, size| {
            let mut buffer = [0; 3];
            std::vec::Vec::from(value(number, more, size).encode(&mut buffer))
        };
        assert_eq!(encoded(0, false, BlockSize::B16), []);
        assert_eq!(encoded(0, true, BlockSize::B16), [0x08]);
        assert_eq!(encoded(15, false, BlockSize::B1024), [0xF6]);
        assert_eq!(encoded(16, true, BlockSize::B64), [0x01, 0x0A]);
        assert_eq!(encoded(4095, false, BlockSize::B64), [0xFF, 0xF2]);
        assert_eq!(encoded(4096, false, BlockSize::B64), [0x01, 0x00, 0x02]);
        assert_eq!(encoded(16_383, true, BlockSize::B64), [0x03, 0xFF, 0xFA]);
        assert_eq!(encoded(1_048_575, true, BlockSize::B16), [0xFF, 0xFF, 0xF8]);
    }

    #[test]
    fn every_value_of_24_bits_is_its_own_round_trip_or_reserved() {
        for uint in 0..1_u32 << 24 {
            match BlockValue::from_uint(uint) {
                Ok(value) => assert_eq!(value.to_uint(), uint),
                Err(error) => assert_eq!((error, uint & 7), (BlockError::ReservedSize, 7)),
            }
        }
    }

    #[test]
    fn size_7_and_four_bytes_are_refused() {
        assert_eq!(BlockValue::decode(&[0x07]), Err(BlockError::ReservedSize));
        assert_eq!(
            BlockValue::decode(&[0xFF, 0xFF, 0xFF]),
            Err(BlockError::ReservedSize)
        );
        assert_eq!(BlockValue::decode(&[0, 0, 0, 0]), Err(BlockError::TooLong));
        assert_eq!(BlockValue::from_uint(1 << 24), Err(BlockError::TooLong));
        assert_eq!(BlockSize::from_szx(7), None);
    }

    #[test]
    fn leading_zero_bytes_are_tolerated() {
        assert_eq!(
            BlockValue::decode(&[0, 0, 0x16]),
            Ok(value(1, false, BlockSize::B1024))
        );
    }

    #[test]
    fn number_of_21_bits_does_not_exist() {
        assert_eq!(BlockNumber::new(1_048_575), Some(BlockNumber::MAX));
        assert_eq!(BlockNumber::new(1_048_576), None);
    }

    #[test]
    fn largest_size_within_a_budget() {
        let sizes = [15, 16, 31, 32, 1023, 1024, u32::MAX].map(BlockSize::largest_within);
        let expected = [None, Some(0), Some(0), Some(1), Some(5), Some(6), Some(6)];
        assert_eq!(sizes.map(|size| size.map(BlockSize::szx)), expected);
    }

    /// RFC 7959 §3.1, Figure 2: three blocks of 128 bytes, the first one unasked.
    #[test]
    fn figure_2_is_answered() {
        let answer = |requested| slice(350, requested, BlockSize::B128).unwrap();
        let whole = BlockSlice {
            offset: 0,
            length: 128,
            value: value(0, true, BlockSize::B128),
        };
        assert_eq!(answer(None), whole);
        let second = BlockSlice {
            offset: 128,
            length: 128,
            value: value(1, true, BlockSize::B128),
        };
        assert_eq!(answer(ask(1, BlockSize::B128)), second);
        let third = BlockSlice {
            offset: 256,
            length: 94,
            value: value(2, false, BlockSize::B128),
        };
        assert_eq!(answer(ask(2, BlockSize::B128)), third);
    }

    /// RFC 7959 §3.1, Figure 4: after 128 bytes the client goes on in blocks of 64, with number 2.
    #[test]
    fn figure_4_late_negotiation_goes_on_in_smaller_blocks() {
        let answer = slice(350, ask(2, BlockSize::B64), BlockSize::B128).unwrap();
        assert_eq!(
            answer,
            BlockSlice {
                offset: 128,
                length: 64,
                value: value(2, true, BlockSize::B64)
            }
        );
    }

    #[test]
    fn smaller_block_begins_at_the_byte_asked_for() {
        let answer = slice(100_000, ask(3, BlockSize::B1024), BlockSize::B64).unwrap();
        assert_eq!(
            answer,
            BlockSlice {
                offset: 3072,
                length: 64,
                value: value(48, true, BlockSize::B64)
            }
        );
    }

    #[test]
    fn last_block_is_full_when_the_size_divides_the_total() {
        let answer = slice(2048, ask(1, BlockSize::B1024), BlockSize::B1024).unwrap();
        assert_eq!((answer.length, answer.value.more), (1024, false));
        assert_eq!(
            slice(2048, ask(2, BlockSize::B1024), BlockSize::B1024),
            Err(SliceError::NumberPastEnd)
        );
    }

    #[test]
    fn empty_representation_has_one_empty_block() {
        let answer = slice(0, None, BlockSize::B64).unwrap();
        assert_eq!((answer.offset, answer.length, answer.is_whole()), (0, 0, true));
        assert_eq!(
            slice(0, ask(1, BlockSize::B64), BlockSize::B64),
            Err(SliceError::NumberPastEnd)
        );
    }

    #[test]
    fn more_bit_of_a_request_is_ignored() {
        let request = Some(value(1, true, BlockSize::B64));
        assert_eq!(
            slice(1000, request, BlockSize::B64),
            slice(1000, ask(1, BlockSize::B64), BlockSize::B64)
        );
    }

    /// Where 12-bit block numbers end, where a signed byte more does, and where 20 bits do.
    #[test]
    fn numbers_around_the_old_limits_are_served_at_their_offset() {
        let total = 16 << 20;
        for number in [4095, 4096, 16_383, 16_384, 1_048_574, 1_048_575] {
            let answer = slice(total, ask(number, BlockSize::B16), BlockSize::B16).unwrap();
            assert_eq!(answer.offset, number * 16);
            assert_eq!(answer.value, value(number, number != 1_048_575, BlockSize::B16));
        }
    }

    #[test]
    fn number_beyond_20_bits_after_rescaling_is_refused() {
        let result = slice(1 << 30, ask(1 << 14, BlockSize::B1024), BlockSize::B16);
        assert_eq!(result, Err(SliceError::NumberTooLarge));
    }

    /// Whatever is asked, what is answered lies within the representation and says the truth about it.
    #[test]
    fn slices_cover_the_representation_exactly() {
        for total in [0, 1, 15, 16, 17, 1023, 1024, 1025, 5000] {
            for (asked, max) in (0..=6).flat_map(|asked| (0..=6).map(move |max| (asked, max))) {
                let (asked, max) = (BlockSize(asked), BlockSize(max));
                let (mut request, mut covered) = (value(0, false, asked), 0);
                loop {
                    let answer = slice(total, Some(request), max).unwrap();
                    assert_eq!((answer.offset, answer.value.offset()), (covered, covered));
                    assert!(answer.value.size <= asked && answer.value.size <= max);
                    covered += answer.length;
                    if !answer.value.more {
                        break;
                    }
                    assert_eq!(answer.length, answer.value.size.bytes());
                    request = value(answer.value.number.0 + 1, false, answer.value.size);
                }
                assert_eq!(covered, total);
            }
        }
    }
}
