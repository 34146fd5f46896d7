//! The delta encoder: alignment, parse and entropy coding of `wire-patch` streams.
//!
//! Pure computation: no clock, no randomness, no threads, so that the same images give the same patch everywhere.
//!
//! | module | decides |
//! |---|---|
//! | [`account`] | nothing: says where the bytes of a patch go |
//! | `isa` | which instruction set the images are of, where they run, which of their bytes `align` is to disregard |
//! | `suffixes` | nothing: sorts an image's suffixes |
//! | `align` | bsdiff's parse, and matches |
//! | `propose`, `proposals` | where copies might begin, and which of too many are left out |
//! | `plan`, `path` | which of them do: the cheapest way through the target |
//! | `cost` | what things cost |
//! | `search` | which parses are tried |
//! | `stream` | nothing: writes a parse through the models that `wire-patch` shares with us |
//! | `range` | nothing: turns bits and probabilities into bytes |

pub mod account;
mod align;
mod cost;
mod isa;
mod path;
mod plan;
mod proposals;
mod propose;
mod range;
mod search;
mod stream;
mod suffixes;

use sha2::{Digest, Sha256};
use wire_patch::{Header, IMAGE_BYTES_MAX, MemoryClass};
pub use wire_patch::{Isa, Layout, Reach, Relocation, Segment};

use search::Search;

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decoder memory the patch may use.
    pub memory: MemoryClass,
    /// How long to search for a smaller patch.
    pub effort: Effort,
    /// For a device with a single slot: how far behind the result it still has the base. The patch needs no more.
    pub in_place: Option<Reach>,
}

impl Options {
    /// Options with the default effort, for a device that keeps its base.
    pub const fn new(memory: MemoryClass) -> Self {
        Self {
            memory,
            effort: Effort::Default,
            in_place: None,
        }
    }
}

/// How long to search for a smaller patch. More effort tries everything that less effort does and keeps the smallest, so that
/// its patch is never larger. The bytes depend on the effort and the input alone, never on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Effort {
    /// One planned parse.
    Fast,
    /// Three planned parses, each from what the one before cost: 9 to 16 times the CPU time of bsdiff (measured: six pairs of
    /// 0.7 to 1.5 MB).
    #[default]
    Default,
    /// Eight, and more limits for the map.
    Best,
}

/// The instruction set and the load addresses of the images, which tell addresses from numbers. Wrong ones cost bytes, never correctness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Addresses {
    /// Inferred from the images; nothing is moved if they do not look like code we know. [`inferred`] tells what it is.
    #[default]
    Inferred,
    /// Given, for instance by the images' ELF files.
    Given(Relocation),
    /// Nothing is moved.
    Ignored,
}

impl Addresses {
    fn of(self, base: &[u8], target: &[u8]) -> Option<Relocation> {
        match self {
            Self::Inferred => isa::infer(base, target),
            Self::Given(relocation) => Some(relocation),
            Self::Ignored => None,
        }
    }
}

/// What [`Addresses::Inferred`] stands for with these images: `None` if nothing is moved.
pub fn inferred(base: &[u8], target: &[u8]) -> Option<Relocation> {
    isa::infer(base, target)
}

/// The instruction set of an image, if it looks like code we know.
pub fn inferred_isa(image: &[u8]) -> Option<Isa> {
    isa::instruction_set(image)
}

/// Where an image of this set runs, by the header of its format or by its pointers.
pub fn inferred_layout(isa: Isa, image: &[u8]) -> Option<Layout> {
    isa::layout(isa, image)
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

/// A patch that turns `base` into `target`, load addresses inferred. The same input gives the same bytes everywhere.
pub fn encode(base: &[u8], target: &[u8], options: &Options) -> Result<Vec<u8>, EncodeError> {
    encode_at(base, target, options, Addresses::Inferred)
}

/// As [`encode`], told where the images run.
///
/// Allocates at most 24 bytes for each byte of the larger image, both images included (both and both with labels 4, suffix
/// array and ranks 8, proposals 9), and for one of less than 26,000 bytes what one of that size takes. Images in which all is
/// there several times take up to 40. `tests/memory.rs` holds it there; 16 to 23 were measured on pairs of 0.8 to 1.5 MB.
pub fn encode_at(
    base: &[u8],
    target: &[u8],
    options: &Options,
    addresses: Addresses,
) -> Result<Vec<u8>, EncodeError> {
    let header = header(base, target, options)?;
    let relocation = addresses.of(base, target);
    let mut search = Search::new(base, target, options);
    search.run(relocation);
    let mut patch = header.to_bytes().to_vec();
    patch.extend(search.into_stream());
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
        in_place: options.in_place,
    })
}

fn image_bytes(image: &[u8]) -> Result<u32, EncodeError> {
    (u32::try_from(image.len()).ok())
        .filter(|bytes| *bytes <= IMAGE_BYTES_MAX)
        .ok_or(EncodeError::ImageTooLarge { bytes: image.len() })
}
