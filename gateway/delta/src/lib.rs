//! The delta encoder: alignment, parse and entropy coding of `wire-patch` streams.
//!
//! Pure computation: no clock, no randomness, no threads, so that the same images give the same patch everywhere.
//!
//! | module | decides |
//! |---|---|
//! | [`account`] | nothing: says where the bytes of a patch go |
//! | `isa` | which instruction set the images are of, where they run, which of their bytes `align` is to disregard |
//! | `align` | which parts of the target are copied from where |
//! | `repeats` | which of the rest the target has had before |
//! | `stream` | nothing: writes a parse through the models that `wire-patch` shares with us |
//! | `range` | nothing: turns bits and probabilities into bytes |

pub mod account;
mod align;
mod isa;
mod range;
mod repeats;
mod stream;

use sha2::{Digest, Sha256};
use wire_patch::{Header, IMAGE_BYTES_MAX, MemoryClass, Models, Setup, Triple};
pub use wire_patch::{Isa, Layout, Relocation, Segment};

use align::Aligner;
use stream::Stream;

/// How to encode.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Decoder memory the patch may use.
    pub memory: MemoryClass,
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

/// bsdiff's constant is 8; which one is best differs by pair, so that each is tried and the smallest patch kept.
const GAINS: [usize; 4] = [3, 5, 8, 20];

/// Shortest repeats inside the target that become copies; each is tried, and so is none.
const REPEAT_BYTES_MIN: [usize; 2] = [12, 40];

/// Shortest copies that enter the map, as powers of two; the first is tried with every parse, the others with the best.
const MAP_COPY_BYTES_LOG2: [u32; 4] = [4, 3, 5, 7];

/// A patch that turns `base` into `target`, load addresses inferred. The same input gives the same bytes everywhere.
pub fn encode(base: &[u8], target: &[u8], options: &Options) -> Result<Vec<u8>, EncodeError> {
    encode_at(base, target, options, Addresses::Inferred)
}

/// As [`encode`], told where the images run.
///
/// Needs about 5 bytes of memory for each byte of the base and 13 for each byte of the target.
pub fn encode_at(
    base: &[u8],
    target: &[u8],
    options: &Options,
    addresses: Addresses,
) -> Result<Vec<u8>, EncodeError> {
    let header = header(base, target, options)?;
    let relocation = addresses.of(base, target);
    let mut search = Search {
        base,
        target,
        options,
        memory: vec![0; options.memory.bytes() as usize],
        best: None,
    };
    let setup = Setup {
        relocation,
        map_copy_bytes_log2: MAP_COPY_BYTES_LOG2[0],
        copies_share: 0,
    };
    search.parses(Aligner::new(base, target), setup);
    if let Some(relocation) = relocation {
        let base = isa::normalised(base, relocation.isa, &relocation.base);
        let target = isa::normalised(target, relocation.isa, &relocation.target);
        search.parses(Aligner::new(&base, &target), setup);
    }
    search.setups(setup);
    let mut patch = header.to_bytes().to_vec();
    patch.extend(search.best.map(|best| best.stream).unwrap_or_default());
    Ok(patch)
}

/// The smallest stream so far.
struct Search<'a> {
    base: &'a [u8],
    target: &'a [u8],
    options: &'a Options,
    memory: Vec<u8>,
    best: Option<Best>,
}

struct Best {
    stream: Vec<u8>,
    triples: Vec<Triple>,
    setup: Setup,
}

impl Search<'_> {
    /// Tries every parse of an aligner.
    fn parses(&mut self, mut aligner: Aligner<'_>, setup: Setup) {
        for gain in GAINS {
            let plain = aligner.parse(gain);
            for bytes_min in REPEAT_BYTES_MIN {
                if let Some(triples) = repeats::with_repeats(self.base.len(), self.target, &plain, bytes_min)
                {
                    self.attempt(triples, setup);
                }
            }
            self.attempt(plain, setup);
        }
    }

    /// Tries the best parse with other setups: first the map's, then the shares of the memory.
    fn setups(&mut self, setup: Setup) {
        if setup.relocation.is_some() {
            for map_copy_bytes_log2 in &MAP_COPY_BYTES_LOG2[1..] {
                self.again(Setup {
                    map_copy_bytes_log2: *map_copy_bytes_log2,
                    ..setup
                });
            }
            self.again(Setup::default());
        }
        for copies_share in 1..4 {
            let best = self.best.as_ref().map_or(setup, |best| best.setup);
            self.again(Setup { copies_share, ..best });
        }
    }

    /// Tries the best parse with another setup.
    fn again(&mut self, setup: Setup) {
        if let Some(triples) = self.best.as_ref().map(|best| best.triples.clone()) {
            self.attempt(triples, setup);
        }
    }

    fn attempt(&mut self, triples: Vec<Triple>, setup: Setup) {
        let models =
            Models::new(self.options.memory, &mut self.memory).expect("memory was made for its class");
        let stream = Stream::new(self.base, self.target, models).encode(setup, &triples);
        if self
            .best
            .as_ref()
            .is_none_or(|best| stream.len() < best.stream.len())
        {
            self.best = Some(Best {
                stream,
                triples,
                setup,
            });
        }
    }
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
