//! The 22 bytes before the coded stream, or 24 of a patch that may be applied in place.

use core::num::NonZeroU16;
use core::ops::Deref;

use crate::error::DecodeError;

/// Length of the header of every patch that is not made for a single slot, and of what all headers begin with.
pub const HEADER_BYTES: usize = 22;

/// Length of the longest header: one that states a [`Reach`].
pub const HEADER_BYTES_MAX: usize = 24;

/// The largest base and the largest result: what fits 24 bits.
pub const IMAGE_BYTES_MAX: u32 = 0x00FF_FFFF;

const MAGIC: [u8; 2] = *b"dG";

/// The version of the format, frozen. Drafts had the top bit set.
pub const VERSION: u8 = 1;

/// The version with a bit added: of patches that may be applied in place. Decoders that do not know them refuse them.
const IN_PLACE_VERSION: u8 = VERSION | 0x40;

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

/// How far behind the result a patch still needs its base, so that the result may take the base's place.
///
/// A decoder that has produced `t` bytes depends on no byte of the base at an offset below `t` - reach any more. A multiple of
/// 256 bytes, below 16 MiB, not 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reach(NonZeroU16);

/// Reaches are multiples of this, the smallest sector there is.
const REACH_STEP_BYTES: u32 = 256;

/// The literal models are trained with the four bytes before the first one, too, and that may be where a copy ends.
const BEFORE_TRAINING_BYTES: u32 = 4;

impl Reach {
    /// The largest reach of at most `bytes`; `None` below 256.
    pub const fn within(bytes: u32) -> Option<Self> {
        let steps = bytes / REACH_STEP_BYTES;
        let steps = if steps > u16::MAX as u32 {
            u16::MAX
        } else {
            steps as u16
        };
        match NonZeroU16::new(steps) {
            Some(steps) => Some(Self(steps)),
            None => None,
        }
    }

    /// In bytes.
    pub const fn bytes(self) -> u32 {
        self.0.get() as u32 * REACH_STEP_BYTES
    }

    /// Whether a copy from the base may be made that starts at offset `source` of the base and `target` of the result,
    /// both below 2^26.
    pub const fn allows(self, source: u32, target: u32) -> bool {
        source + self.bytes() >= target + BEFORE_TRAINING_BYTES
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
    /// How far behind the result the base is needed, if the patch may be applied in place. Any device can apply such a patch
    /// to another place as well.
    pub in_place: Option<Reach>,
}

/// A header as it stands at the start of a patch: [`HEADER_BYTES`], or [`HEADER_BYTES_MAX`] with a [`Reach`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderBytes {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl Deref for HeaderBytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl Header {
    /// Reads the header at the start of a patch; `bytes` may be longer.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let first: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [m0, m1, version, memory, t0, t1, t2, b0, b1, b2, rest @ ..] = *first;
        if [m0, m1] != MAGIC {
            return Err(DecodeError::NotAPatch);
        }
        let in_place = match version {
            VERSION => None,
            IN_PLACE_VERSION => match bytes[HEADER_BYTES..] {
                [r0, r1, ..] => {
                    let steps = NonZeroU16::new(u16::from_le_bytes([r0, r1]));
                    Some(Reach(steps.ok_or(DecodeError::NoReach)?))
                }
                _ => return Err(DecodeError::Truncated),
            },
            _ => return Err(DecodeError::UnknownVersion(version)),
        };
        let [d0, d1, d2, d3, d4, d5, d6, d7, c0, c1, c2, c3] = rest;
        Ok(Self {
            memory: MemoryClass::from_exponent(memory)?,
            target_bytes: u32::from_le_bytes([t0, t1, t2, 0]),
            base_bytes: u32::from_le_bytes([b0, b1, b2, 0]),
            base_digest_prefix: [d0, d1, d2, d3, d4, d5, d6, d7],
            target_crc: u32::from_le_bytes([c0, c1, c2, c3]),
            in_place,
        })
    }

    /// Its length in bytes, behind which the coded stream begins.
    pub const fn length(&self) -> u32 {
        match self.in_place {
            None => HEADER_BYTES as u32,
            Some(_) => HEADER_BYTES_MAX as u32,
        }
    }

    /// The header as it stands at the start of a patch.
    ///
    /// Sizes above [`IMAGE_BYTES_MAX`] do not fit; the encoder refuses them before it comes here.
    pub fn to_bytes(&self) -> HeaderBytes {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[..2].copy_from_slice(&MAGIC);
        bytes[2] = VERSION;
        bytes[3] = self.memory.exponent();
        bytes[4..7].copy_from_slice(&self.target_bytes.to_le_bytes()[..3]);
        bytes[7..10].copy_from_slice(&self.base_bytes.to_le_bytes()[..3]);
        bytes[10..18].copy_from_slice(&self.base_digest_prefix);
        bytes[18..HEADER_BYTES].copy_from_slice(&self.target_crc.to_le_bytes());
        if let Some(Reach(steps)) = self.in_place {
            bytes[2] = IN_PLACE_VERSION;
            bytes[HEADER_BYTES..].copy_from_slice(&steps.get().to_le_bytes());
        }
        HeaderBytes {
            bytes,
            len: self.length() as u8,
        }
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
        in_place: None,
    };

    #[test]
    fn layout_is_the_documented_one() {
        let bytes = [
            b'd', b'G', 1, 12, 3, 2, 1, 6, 5, 4, 1, 2, 3, 4, 5, 6, 7, 8, 0x0D, 0x0C, 0x0B, 0x0A,
        ];
        assert_eq!(HEADER.to_bytes()[..], bytes);
        assert_eq!(Header::parse(&bytes), Ok(HEADER));
        assert_eq!(HEADER.length(), 22);
    }

    #[test]
    fn a_reach_stands_behind_the_rest() {
        let header = Header {
            in_place: Reach::within(0x3_0000),
            ..HEADER
        };
        let mut bytes = HEADER.to_bytes().to_vec();
        bytes[2] = 0x41;
        bytes.extend([0x00, 0x03]);
        assert_eq!(header.to_bytes()[..], bytes);
        assert_eq!(Header::parse(&bytes), Ok(header));
        assert_eq!(Header::parse(&bytes[..23]), Err(DecodeError::Truncated));
        assert_eq!(header.length(), 24);
        bytes[23] = 0;
        assert_eq!(Header::parse(&bytes), Err(DecodeError::NoReach));
    }

    #[test]
    fn a_reach_is_whole_steps() {
        let bytes = |within| Reach::within(within).map(Reach::bytes);
        assert_eq!(
            [0, 255, 256, 511, 512, u32::MAX].map(bytes),
            [None, None, Some(256), Some(256), Some(512), Some((1 << 24) - 256)]
        );
        let reach = Reach::within(256).expect("a step");
        assert!(reach.allows(0, 252) && !reach.allows(0, 253));
        assert!(reach.allows(1_000, 1_252) && !reach.allows(1_000, 1_253));
    }

    #[test]
    fn foreign_bytes_are_named() {
        let mut bytes = HEADER.to_bytes().to_vec();
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
