//! Artefacts: builds every payload that turns one image into another, and proves each by applying it.
//!
//! [`build`] is a pure function; [`pool`] runs it on worker threads, off the network path, once for each key.
//! What is returned was decoded by the decoder that devices use (or the reference one) and compared by SHA-256: an
//! artefact that does not give the target never leaves this module.

pub mod lz4_stream;
pub mod pool;
mod prove;

use std::io;

use gateway_core::{BuildFormats, Bytes};
use sha2::{Digest, Sha256};
use wire_checkin::Format;
use wire_patch::{MemoryClass, Reach};

pub use pool::BuildPool;

/// A payload that gives the target, proven.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artefact {
    /// How it is decoded.
    pub format: Format,
    /// The bytes as served.
    pub payload: Vec<u8>,
    /// SHA-256 of the payload.
    pub digest: [u8; 32],
    /// What its decoder needs on the device; 0 for `full`.
    pub decoder_memory: Bytes,
    /// Of a patch that is applied in place, its reach.
    pub in_place: Option<Bytes>,
}

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// None of the formats makes sense for these images and this decoder memory.
    #[error("none of the formats asked for can be built")]
    NothingToBuild,
    /// An encoder failed.
    #[error("cannot encode {}", format.name())]
    Encode {
        /// Which one.
        format: Format,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An artefact was built but does not decode to the target: a fault of ours, and the artefact is dropped.
    #[error("{} artefact does not give the image back: {reason}", format.name())]
    NotProven {
        /// Which format.
        format: Format,
        /// What decoding it gave.
        reason: String,
    },
}

/// What libbz2 holds to decompress with 900 k blocks, 4 bytes for each, plus its own tables.
const BZIP2_BYTES: u64 = 3_700_000;

/// `bspatch` decompresses three streams side by side, and holds both images.
fn bsdiff_memory(base: &[u8], target: &[u8]) -> Bytes {
    Bytes(3 * BZIP2_BYTES + base.len() as u64 + target.len() as u64)
}

/// Every artefact of `formats` that makes sense for this pair, each proven. `base` is what devices run, if it is known:
/// without it there are no deltas.
///
/// A patch is for the largest decoder memory class within `patch_memory`, and with the longest reach within `in_place`. Formats that cannot be built for want of a
/// base or of decoder memory are left out; it is an error if nothing remains.
pub fn build(base: Option<&[u8]>, target: &[u8], formats: BuildFormats) -> Result<Vec<Artefact>, BuildError> {
    let mut artefacts = Vec::new();
    if formats.full {
        artefacts.push(artefact(Format::Full, target.to_vec(), Bytes(0)));
    }
    if formats.lz4 {
        let payload = lz4_stream::encode(target).map_err(|error| encode_error(Format::Lz4, error))?;
        artefacts.push(artefact(Format::Lz4, payload, Bytes(lz4_stream::DECODER_BYTES)));
    }
    if let (Some(base), true) = (base, formats.bsdiff) {
        artefacts.push(artefact(
            Format::Bsdiff,
            bsdiff(base, target)?,
            bsdiff_memory(base, target),
        ));
    }
    let in_place = reach(formats);
    // Applied in place, a patch from nothing is a whole image; with two slots there are better ways.
    let patched = base.or(in_place.and(Some(&[])));
    if let (Some(base), Some(memory)) = (patched, memory_class(formats)) {
        let options = gateway_delta::Options {
            in_place,
            ..gateway_delta::Options::new(memory)
        };
        let payload = gateway_delta::encode(base, target, &options)
            .map_err(|error| encode_error(Format::Patch, error))?;
        artefacts.push(Artefact {
            in_place: in_place.map(|reach| Bytes(reach.bytes().into())),
            ..artefact(Format::Patch, payload, Bytes(memory.bytes().into()))
        });
    }
    for artefact in &artefacts {
        prove::prove(base.unwrap_or_default(), target, artefact)?;
    }
    if artefacts.is_empty() {
        Err(BuildError::NothingToBuild)
    } else {
        Ok(artefacts)
    }
}

fn artefact(format: Format, payload: Vec<u8>, decoder_memory: Bytes) -> Artefact {
    let digest = Sha256::digest(&payload).into();
    Artefact {
        format,
        payload,
        digest,
        decoder_memory,
        in_place: None,
    }
}

fn memory_class(formats: BuildFormats) -> Option<MemoryClass> {
    MemoryClass::fitting(u32::try_from(formats.patch_memory?.0).unwrap_or(u32::MAX))
}

fn reach(formats: BuildFormats) -> Option<Reach> {
    Reach::within(u32::try_from(formats.in_place?.0).unwrap_or(u32::MAX))
}

/// A BSDIFF40 patch, built on this thread alone: the pool decides how many cores builds may take.
fn bsdiff(base: &[u8], target: &[u8]) -> Result<Vec<u8>, BuildError> {
    let mut patch = Vec::new();
    qbsdiff::Bsdiff::new(base, target)
        .parallel_scheme(qbsdiff::ParallelScheme::Never)
        .compare(io::Cursor::new(&mut patch))
        .map_err(|error| encode_error(Format::Bsdiff, error))?;
    Ok(patch)
}

fn encode_error(format: Format, source: impl std::error::Error + Send + Sync + 'static) -> BuildError {
    BuildError::Encode {
        format,
        source: Box::new(source),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const ALL: BuildFormats = BuildFormats {
        full: true,
        lz4: true,
        bsdiff: true,
        patch_memory: Some(Bytes(5_000)),
        in_place: None,
    };

    /// Two images that differ a little.
    pub(crate) fn images() -> (Vec<u8>, Vec<u8>) {
        let base: Vec<u8> = (0..20_000_u32).map(|n| (n * n / 7) as u8).collect();
        let mut target = base.clone();
        target.splice(5_000..5_000, *b"inserted");
        target[9_000] ^= 1;
        (base, target)
    }

    #[test]
    fn every_format_is_built_and_says_what_its_decoder_needs() {
        let (base, target) = images();
        let built = build(Some(&base), &target, ALL).unwrap();
        let formats: Vec<Format> = built.iter().map(|artefact| artefact.format).collect();
        assert_eq!(formats, Format::ALL);
        let memory: Vec<u64> = built.iter().map(|artefact| artefact.decoder_memory.0).collect();
        assert_eq!(memory, [0, 8_192, 3 * 3_700_000 + 40_008, 4_096]);
        assert_eq!(built[0].payload, target);
        assert!(built[3].payload.len() < 120, "{}", built[3].payload.len());
    }

    #[test]
    fn without_a_base_there_are_no_deltas() {
        let (_, target) = images();
        let built = build(None, &target, ALL).unwrap();
        assert!(built.iter().all(|artefact| !artefact.format.is_delta()));
        let deltas = BuildFormats {
            full: false,
            lz4: false,
            ..ALL
        };
        assert!(matches!(
            build(None, &target, deltas),
            Err(BuildError::NothingToBuild)
        ));
    }

    #[test]
    fn a_decoder_without_memory_gets_no_patch() {
        let (base, target) = images();
        let formats = BuildFormats {
            patch_memory: Some(Bytes(4_095)),
            ..ALL
        };
        let built = build(Some(&base), &target, formats).unwrap();
        assert!(built.iter().all(|artefact| artefact.format != Format::Patch));
    }

    #[test]
    fn a_patch_to_be_applied_in_place_says_its_reach() {
        let (base, target) = images();
        let formats = BuildFormats {
            full: false,
            lz4: false,
            bsdiff: false,
            in_place: Some(Bytes(8_200)),
            ..ALL
        };
        let patch = |base| {
            let built = build(base, &target, formats).unwrap();
            let [patch] = built.as_slice() else {
                panic!("{built:?}")
            };
            let header = wire_patch::Header::parse(&patch.payload).unwrap();
            assert_eq!(header.in_place.map(Reach::bytes), Some(8_192));
            assert_eq!(
                (patch.format, patch.in_place),
                (Format::Patch, Some(Bytes(8_192)))
            );
            (header.base_bytes, patch.payload.len())
        };
        let (delta, whole) = (patch(Some(&base)), patch(None));
        assert_eq!((delta.0, whole.0), (20_000, 0));
        assert!(delta.1 < 120 && whole.1 > delta.1, "{delta:?} {whole:?}");
    }

    #[test]
    fn empty_images_are_no_special_case() {
        let (base, _) = images();
        assert_eq!(build(Some(&base), &[], ALL).unwrap().len(), 4);
        assert_eq!(build(Some(&[]), &base, ALL).unwrap().len(), 4);
        assert_eq!(build(Some(&[]), &[], ALL).unwrap().len(), 4);
    }
}
