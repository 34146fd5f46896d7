//! An image at rest: independent LZ4 frames, so that any part can be read without the rest.
//!
//! ```text
//! 0   8        magic "dgimage" and version 1
//! 8   4        raw size in bytes, little-endian
//! 12  4 × n    for each of the n = ceil(size / 65536) frames: stored length; bit 31 set: stored as it is
//! …            the frames: 65536 raw bytes each, the last fewer, as LZ4 blocks
//! ```

use sha2::{Digest, Sha256};

const MAGIC: &[u8; 8] = b"dgimage\x01";
const FRAME_BYTES: usize = 65_536;
const STORED: u32 = 1 << 31;

/// What is wrong with a stored image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ImageFileError {
    /// Not written by this version of the gateway.
    #[error("file is not a stored image of version 1")]
    UnknownFormat,
    /// Lengths in it contradict its length.
    #[error("file is incomplete or has bytes too many")]
    BadLengths,
    /// A frame does not decompress to its size.
    #[error("frame {index} does not decompress")]
    BadFrame {
        /// Which one, from 0.
        index: usize,
    },
    /// All of it decompresses, but to another image.
    #[error("image has another digest")]
    WrongDigest,
}

/// The file of an image. `image` is shorter than 4 GiB: an import bounds it far below.
pub(super) fn pack(image: &[u8]) -> Vec<u8> {
    let mut file = MAGIC.to_vec();
    file.extend((image.len() as u32).to_le_bytes());
    let mut frames = Vec::with_capacity(image.len() / 2);
    for raw in image.chunks(FRAME_BYTES) {
        let compressed = lz4_flex::block::compress(raw);
        let (frame, flag) = if compressed.len() < raw.len() {
            (&compressed[..], 0)
        } else {
            (raw, STORED)
        };
        file.extend((frame.len() as u32 | flag).to_le_bytes());
        frames.extend_from_slice(frame);
    }
    file.extend(frames);
    file
}

/// The image in a file, if it has the digest.
pub(super) fn unpack(file: &[u8], digest: &[u8; 32]) -> Result<Vec<u8>, ImageFileError> {
    let rest = file.strip_prefix(MAGIC).ok_or(ImageFileError::UnknownFormat)?;
    let (size, rest) = rest.split_first_chunk().ok_or(ImageFileError::BadLengths)?;
    let size = u32::from_le_bytes(*size) as usize;
    let (index, mut frames) = rest
        .split_at_checked(size.div_ceil(FRAME_BYTES) * 4)
        .ok_or(ImageFileError::BadLengths)?;
    // The index is there, so that `size` is at most 16384 times the file's length: no bomb.
    let mut image = Vec::with_capacity(size);
    for (number, entry) in index.as_chunks().0.iter().enumerate() {
        let entry = u32::from_le_bytes(*entry);
        let (frame, rest) = frames
            .split_at_checked((entry & !STORED) as usize)
            .ok_or(ImageFileError::BadLengths)?;
        let raw_bytes = FRAME_BYTES.min(size - image.len());
        let raw = if entry & STORED != 0 {
            frame.to_vec()
        } else {
            lz4_flex::block::decompress(frame, raw_bytes)
                .map_err(|_| ImageFileError::BadFrame { index: number })?
        };
        if raw.len() != raw_bytes {
            return Err(ImageFileError::BadFrame { index: number });
        }
        image.extend(raw);
        frames = rest;
    }
    if !frames.is_empty() {
        return Err(ImageFileError::BadLengths);
    }
    let found: [u8; 32] = Sha256::digest(&image).into();
    if found == *digest {
        Ok(image)
    } else {
        Err(ImageFileError::WrongDigest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(image: &[u8]) -> [u8; 32] {
        Sha256::digest(image).into()
    }

    fn noise(bytes: usize) -> Vec<u8> {
        let mut x = 1_u32;
        let mut next = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 24) as u8
        };
        (0..bytes).map(|_| next()).collect()
    }

    #[test]
    fn images_of_every_awkward_size_come_back() {
        for bytes in [
            0,
            1,
            FRAME_BYTES - 1,
            FRAME_BYTES,
            FRAME_BYTES + 1,
            3 * FRAME_BYTES,
        ] {
            for image in [vec![0; bytes], noise(bytes)] {
                assert_eq!(unpack(&pack(&image), &digest(&image)), Ok(image));
            }
        }
    }

    #[test]
    fn noise_costs_only_the_index() {
        assert_eq!(pack(&noise(FRAME_BYTES + 1)).len(), 12 + 2 * 4 + FRAME_BYTES + 1);
    }

    #[test]
    fn every_damaged_byte_and_every_cut_is_noticed() {
        let image: Vec<u8> = noise(64).into_iter().cycle().take(700).collect();
        let file = pack(&image);
        for at in 0..file.len() {
            let mut damaged = file.clone();
            damaged[at] ^= 0x55;
            // A byte of an LZ4 block may be ambiguous; the image must never be.
            let found = unpack(&damaged, &digest(&image));
            assert!(found.is_err() || found == Ok(image.clone()), "byte {at}");
            assert!(unpack(&file[..at], &digest(&image)).is_err());
        }
        assert_eq!(unpack(&file, &[0; 32]), Err(ImageFileError::WrongDigest));
        assert_eq!(
            unpack(b"dgimage\x02", &[0; 32]),
            Err(ImageFileError::UnknownFormat)
        );
    }
}
