//! The `lz4` format: frames so small and so independent that a microcontroller decodes each in bounded memory.
//!
//! ```text
//! 0  3   magic "dGz"
//! 3  1   version, 1
//! 4  4   raw size in bytes, little-endian
//! 8  …   frames until the raw size is reached; each stands for 4096 raw bytes, the last for fewer:
//!          2  length of what follows, little-endian; bit 15 set: the bytes as they are
//!          …  an LZ4 block (or the raw bytes), which refers to nothing outside itself
//! ```
//!
//! A decoder needs one frame and what it decodes to: at most 8192 bytes, because a block that does not shrink is
//! stored as it is.

const MAGIC: &[u8; 4] = b"dGz\x01";
const FRAME_BYTES: usize = 4_096;
const STORED: u16 = 1 << 15;

/// What a decoder needs: a frame as it came and its raw bytes.
pub const DECODER_BYTES: u64 = 2 * FRAME_BYTES as u64;

/// An image too large for the format's 32-bit size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("image of {bytes} bytes does not fit the lz4 format")]
pub struct TooLarge {
    /// Length of the image.
    pub bytes: usize,
}

/// What is wrong with a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The first bytes are not those of this format.
    #[error("not an lz4 stream of version 1")]
    UnknownFormat,
    /// It ends within a frame or before the raw size is reached.
    #[error("lz4 stream ends early")]
    Truncated,
    /// Bytes follow the last frame.
    #[error("lz4 stream has bytes after its end")]
    TrailingBytes,
    /// A frame does not decode to its size.
    #[error("lz4 frame at raw offset {offset} does not decode")]
    BadFrame {
        /// Where in the image it belongs.
        offset: usize,
    },
}

/// The stream of an image.
pub fn encode(image: &[u8]) -> Result<Vec<u8>, TooLarge> {
    let size = u32::try_from(image.len()).map_err(|_| TooLarge { bytes: image.len() })?;
    let mut stream = MAGIC.to_vec();
    stream.extend(size.to_le_bytes());
    for raw in image.chunks(FRAME_BYTES) {
        let compressed = lz4_flex::block::compress(raw);
        let (frame, flag) = if compressed.len() < raw.len() {
            (&compressed[..], 0)
        } else {
            (raw, STORED)
        };
        stream.extend((frame.len() as u16 | flag).to_le_bytes());
        stream.extend_from_slice(frame);
    }
    Ok(stream)
}

/// The image of a stream.
pub fn decode(stream: &[u8]) -> Result<Vec<u8>, StreamError> {
    let rest = stream.strip_prefix(MAGIC).ok_or(StreamError::UnknownFormat)?;
    let (size, mut rest) = rest.split_first_chunk().ok_or(StreamError::Truncated)?;
    let size = u32::from_le_bytes(*size) as usize;
    let mut image = Vec::new();
    while image.len() < size {
        let offset = image.len();
        let (head, tail) = rest.split_first_chunk().ok_or(StreamError::Truncated)?;
        let head = u16::from_le_bytes(*head);
        let (frame, tail) = tail
            .split_at_checked((head & !STORED) as usize)
            .ok_or(StreamError::Truncated)?;
        let raw_bytes = FRAME_BYTES.min(size - offset);
        if head & STORED != 0 {
            image.extend_from_slice(frame);
        } else {
            let raw = lz4_flex::block::decompress(frame, raw_bytes);
            image.extend(raw.map_err(|_| StreamError::BadFrame { offset })?);
        }
        if image.len() != offset + raw_bytes {
            return Err(StreamError::BadFrame { offset });
        }
        rest = tail;
    }
    if rest.is_empty() {
        Ok(image)
    } else {
        Err(StreamError::TrailingBytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_frame_boundary_comes_back() {
        for bytes in [
            0,
            1,
            FRAME_BYTES - 1,
            FRAME_BYTES,
            FRAME_BYTES + 1,
            5 * FRAME_BYTES,
        ] {
            let image: Vec<u8> = (0..bytes).map(|n| (n / 7) as u8).collect();
            assert_eq!(decode(&encode(&image).unwrap()), Ok(image));
        }
    }

    #[test]
    fn bad_streams_are_named() {
        let stream = encode(&[7; 100]).unwrap();
        assert_eq!(decode(b"dGz\x02"), Err(StreamError::UnknownFormat));
        assert_eq!(decode(&stream[..stream.len() - 1]), Err(StreamError::Truncated));
        let mut longer = stream.clone();
        longer.push(0);
        assert_eq!(decode(&longer), Err(StreamError::TrailingBytes));
        let mut stored = MAGIC.to_vec();
        stored.extend([2, 0, 0, 0, 1, 0x80, 9]);
        assert_eq!(decode(&stored), Err(StreamError::BadFrame { offset: 0 }));
    }

    proptest! {
        #[test]
        fn any_image_comes_back(image in prop::collection::vec(0..4_u8, 0..10_000)) {
            prop_assert_eq!(decode(&encode(&image).unwrap()), Ok(image));
        }

        #[test]
        fn any_bytes_end_in_an_image_or_an_error(mut stream in prop::collection::vec(any::<u8>(), 0..200)) {
            stream.splice(0..0, *MAGIC);
            let _ = decode(&stream);
        }
    }
}
