//! The delta encoder: alignment, parse and entropy coding of `wire-patch` streams.
//!
//! Pure computation: no clock, no randomness, no threads, so that the same images give the same patch everywhere.
//! Relocation models are not part of this draft.
//!
//! | module | decides |
//! |---|---|
//! | `align` | which parts of the target are copied from where |
//! | `repeats` | which of the rest the target has had before |
//! | `stream` | nothing: writes a parse through the models that `wire-patch` shares with us |
//! | `range` | nothing: turns bits and probabilities into bytes |

mod align;
mod range;
mod repeats;
mod stream;

use sha2::{Digest, Sha256};
use wire_patch::{Header, IMAGE_BYTES_MAX, MemoryClass, Models};

use align::Aligner;
use stream::Stream;

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decoder memory the patch may use.
    pub memory: MemoryClass,
}

/// Why no patch was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// An image does not fit the header's 24-bit sizes.
    #[error("image of {bytes} bytes is larger than a patch can describe (at most {IMAGE_BYTES_MAX})")]
    ImageTooLarge {
        /// Length of the image.
        bytes: usize,
    },
}

/// bsdiff's constant is 8; which one is best differs by pair, so that each is tried and the smallest patch kept.
const GAINS: [usize; 5] = [3, 5, 8, 14, 24];

/// A patch that turns `base` into `target`. The same input gives the same bytes everywhere.
///
/// Needs about 4 bytes of memory for each byte of the base and 12 for each byte of the target.
pub fn encode(base: &[u8], target: &[u8], options: &Options) -> Result<Vec<u8>, EncodeError> {
    let header = header(base, target, options)?;
    let mut aligner = Aligner::new(base, target);
    let mut memory = vec![0; options.memory.bytes() as usize];
    let mut best: Option<Vec<u8>> = None;
    for gain in GAINS {
        let plain = aligner.parse(gain);
        let repeating = repeats::with_repeats(base.len(), target, &plain);
        for triples in [Some(plain), repeating].into_iter().flatten() {
            let models = Models::new(options.memory, &mut memory).expect("memory was made for its class");
            let stream = Stream::new(base, target, models).encode(&triples);
            if best.as_ref().is_none_or(|best| stream.len() < best.len()) {
                best = Some(stream);
            }
        }
    }
    let mut patch = header.to_bytes().to_vec();
    patch.extend(best.unwrap_or_default());
    Ok(patch)
}

fn header(base: &[u8], target: &[u8], options: &Options) -> Result<Header, EncodeError> {
    let digest: [u8; 32] = Sha256::digest(base).into();
    let [d0, d1, d2, d3, d4, d5, d6, d7, ..] = digest;
    Ok(Header {
        memory: options.memory,
        target_bytes: image_bytes(target)?,
        base_bytes: image_bytes(base)?,
        base_digest_prefix: [d0, d1, d2, d3, d4, d5, d6, d7],
        target_crc: wire_patch::crc32(target),
    })
}

fn image_bytes(image: &[u8]) -> Result<u32, EncodeError> {
    (u32::try_from(image.len()).ok())
        .filter(|bytes| *bytes <= IMAGE_BYTES_MAX)
        .ok_or(EncodeError::ImageTooLarge { bytes: image.len() })
}
