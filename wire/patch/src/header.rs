//! The 22 bytes before the coded stream.

use crate::error::DecodeError;

/// Length of every header.
pub const HEADER_BYTES: usize = 22;

/// The largest base and the largest result: what fits 24 bits.
pub const IMAGE_BYTES_MAX: u32 = 0x00FF_FFFF;

const MAGIC: [u8; 2] = *b"dG";

/// The version of the format, frozen. Drafts had the top bit set.
pub const VERSION: u8 = 1;

/// Decoder memory that a patch was made for: a power of two from 4 KiB to 128 KiB, written as its exponent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemoryClass(u8);

impl MemoryClass {
    /// 4 KiB.
    pub const MIN: Self = Self(12);
    /// 128 KiB.
    pub const MAX: Self = Self(17);

    /// The class of exactly `1 << exponent` bytes.
    pub const fn from_exponent(exponent: u8) -> Result<Self, DecodeError> {
        if exponent < Self::MIN.0 || exponent > Self::MAX.0 {
            return Err(DecodeError::UnknownMemoryClass(exponent));
        }
        Ok(Self(exponent))
    }

    /// The largest class that fits into `bytes`; `None` below 4 KiB.
    pub const fn fitting(bytes: u32) -> Option<Self> {
        if bytes < Self::MIN.bytes() {
            return None;
        }
        let exponent = bytes.ilog2() as u8;
        Some(if exponent > Self::MAX.0 {
            Self::MAX
        } else {
            Self(exponent)
        })
    }

    /// Bytes of `memory` that [`crate::Decoder::new`] needs.
    pub const fn bytes(self) -> u32 {
        1 << self.0
    }

    /// log2 of [`Self::bytes`].
    pub const fn exponent(self) -> u8 {
        self.0
    }
}

/// What a patch says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Decoder memory that the patch was made for.
    pub memory: MemoryClass,
    /// Bytes of the result, at most [`IMAGE_BYTES_MAX`].
    pub target_bytes: u32,
    /// Bytes of the base image, at most [`IMAGE_BYTES_MAX`].
    pub base_bytes: u32,
    /// First 8 bytes of the base image's SHA-256. Compared by the caller before it starts: the decoder knows no
    /// SHA-256, and a device has the digest of what it runs at hand.
    pub base_digest_prefix: [u8; 8],
    /// CRC-32 (ISO-HDLC) of the result. Computed and compared by the decoder, against accidents only.
    pub target_crc: u32,
}

impl Header {
    /// Reads the header at the start of a patch; `bytes` may be longer.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let bytes: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [m0, m1, version, memory, t0, t1, t2, b0, b1, b2, rest @ ..] = *bytes;
        if [m0, m1] != MAGIC {
            return Err(DecodeError::NotAPatch);
        }
        if version != VERSION {
            return Err(DecodeError::UnknownVersion(version));
        }
        let [d0, d1, d2, d3, d4, d5, d6, d7, c0, c1, c2, c3] = rest;
        Ok(Self {
            memory: MemoryClass::from_exponent(memory)?,
            target_bytes: u32::from_le_bytes([t0, t1, t2, 0]),
            base_bytes: u32::from_le_bytes([b0, b1, b2, 0]),
            base_digest_prefix: [d0, d1, d2, d3, d4, d5, d6, d7],
            target_crc: u32::from_le_bytes([c0, c1, c2, c3]),
        })
    }

    /// The header as it stands at the start of a patch.
    ///
    /// Sizes above [`IMAGE_BYTES_MAX`] do not fit; the encoder refuses them before it comes here.
    pub fn to_bytes(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[..2].copy_from_slice(&MAGIC);
        out[2] = VERSION;
        out[3] = self.memory.exponent();
        out[4..7].copy_from_slice(&self.target_bytes.to_le_bytes()[..3]);
        out[7..10].copy_from_slice(&self.base_bytes.to_le_bytes()[..3]);
        out[10..18].copy_from_slice(&self.base_digest_prefix);
        out[18..].copy_from_slice(&self.target_crc.to_le_bytes());
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: Header = Header {
        memory: MemoryClass::MIN,
        target_bytes: 0x01_0203,
        base_bytes: 0x04_0506,
        base_digest_prefix: [1, 2, 3, 4, 5, 6, 7, 8],
        target_crc: 0x0A0B_0C0D,
    };

    #[test]
    fn layout_is_the_documented_one() {
        let bytes = [
            b'd', b'G', 1, 12, 3, 2, 1, 6, 5, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0x0D, 0x0C, 0x0B, 0x0A,
        ];
        assert_eq!(HEADER.to_bytes(), bytes);
        assert_eq!(Header::parse(&bytes), Ok(HEADER));
    }

    #[test]
    fn foreign_bytes_are_named() {
        let mut bytes = HEADER.to_bytes();
        assert_eq!(Header::parse(&bytes[..21]), Err(DecodeError::Truncated));
        bytes[3] = 11;
        assert_eq!(Header::parse(&bytes), Err(DecodeError::UnknownMemoryClass(11)));
        bytes[2] = 2;
        assert_eq!(Header::parse(&bytes), Err(DecodeError::UnknownVersion(2)));
        bytes[0] = b'B';
        assert_eq!(Header::parse(&bytes), Err(DecodeError::NotAPatch));
    }

    #[test]
    fn a_class_fits_what_it_is_asked_to_fit() {
        assert_eq!(MemoryClass::fitting(4_095), None);
        assert_eq!(MemoryClass::fitting(4_096), Some(MemoryClass::MIN));
        assert_eq!(MemoryClass::fitting(40_000).map(MemoryClass::bytes), Some(32_768));
        assert_eq!(MemoryClass::fitting(u32::MAX), Some(MemoryClass::MAX));
    }
}
