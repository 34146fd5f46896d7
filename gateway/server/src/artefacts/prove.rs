//! The proof of an artefact: apply it, compare what comes out.

use std::io::Cursor;

use sha2::{Digest, Sha256};
use wire_checkin::Format;
use wire_patch::Header;

use super::{Artefact, BuildError, lz4_stream};
use crate::delta::decode;

/// Applies `artefact` to `base` with its decoder and compares the SHA-256 of the result with the target's.
pub(super) fn prove(base: &[u8], target: &[u8], artefact: &Artefact) -> Result<(), BuildError> {
    let format = artefact.format;
    let not_proven = |reason| BuildError::NotProven { format, reason };
    let result = apply(base, target.len(), artefact).map_err(|error| not_proven(error.to_string()))?;
    if Sha256::digest(&result) == Sha256::digest(target) {
        Ok(())
    } else {
        Err(not_proven("it gives another image".to_string()))
    }
}

/// What the artefact makes of `base`, but no more than `bytes_max` and a little.
fn apply(base: &[u8], bytes_max: usize, artefact: &Artefact) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let payload = &artefact.payload;
    Ok(match artefact.format {
        Format::Full => payload.clone(),
        Format::Lz4 => lz4_stream::decode(payload)?,
        Format::Bsdiff => {
            let mut result = Vec::with_capacity(bytes_max);
            qbsdiff::Bspatch::new(payload)?.apply(base, Cursor::new(&mut result))?;
            result
        }
        Format::Patch => apply_patch(base, payload, artefact.decoder_memory.0 as usize)?,
    })
}

/// Our decoder, with exactly the memory that the artefact is recorded with, on the base whose digest the patch names.
fn apply_patch(base: &[u8], patch: &[u8], memory: usize) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    if !Sha256::digest(base).starts_with(&Header::parse(patch)?.base_digest_prefix) {
        return Err("it names another base".into());
    }
    Ok(decode::apply_in(&mut vec![0; memory], base, patch)?)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{ALL, images};
    use super::super::{artefact, build};
    use super::*;

    #[test]
    fn an_artefact_for_another_target_or_another_base_is_not_proven() {
        let (base, target) = images();
        for built in build(Some(&base), &target, ALL).unwrap() {
            prove(&base, &target, &built).unwrap();
            let is_not_proven = |result| matches!(result, Err(BuildError::NotProven { .. }));
            assert!(is_not_proven(prove(&base, &base, &built)), "{:?}", built.format);
            if built.format.is_delta() {
                assert!(
                    is_not_proven(prove(&target, &target, &built)),
                    "{:?}",
                    built.format
                );
            }
        }
    }

    #[test]
    fn damaged_payloads_are_not_proven() {
        let (base, target) = images();
        for built in build(Some(&base), &target, ALL).unwrap() {
            let mut payload = built.payload.clone();
            payload.truncate(payload.len() / 2);
            let damaged = artefact(built.format, payload, built.decoder_memory);
            assert!(prove(&base, &target, &damaged).is_err(), "{:?}", built.format);
        }
    }
}
