//! Which rows the core gets back at a start.
//!
//! The database and the files may disagree: a backup without the cache was restored, a file was removed by hand. Then
//! the core must not be told of the artefact, nor that its build is done: it asks for the build again, which gives the
//! same bytes under the same path, so that a device in the middle of its transfer goes on.

use std::collections::BTreeSet;

use gateway_core::{ArtefactRecord, Change, ImageDigest};

use crate::blobs::Blobs;

/// Everything but artefacts whose file is missing or cut, and the builds that gave them.
pub fn restorable(changes: Vec<Change>, blobs: &Blobs) -> Vec<Change> {
    let mut lost: BTreeSet<(ImageDigest, Option<ImageDigest>)> = BTreeSet::new();
    for change in &changes {
        if let Change::Artefact(artefact) = change
            && !is_there(artefact, blobs)
        {
            tracing::warn!(
                artefact = &artefact.digest.to_string()[..16],
                image = artefact.target.short_hex(),
                "artefact is missing and will be built again"
            );
            lost.insert((artefact.target, artefact.base));
        }
    }
    let holds = |change: &Change| match change {
        Change::Artefact(artefact) => is_there(artefact, blobs),
        Change::Built(key) => !lost.contains(&(key.target, key.base)),
        _ => true,
    };
    changes.into_iter().filter(holds).collect()
}

fn is_there(artefact: &ArtefactRecord, blobs: &Blobs) -> bool {
    blobs.artefact_bytes(&artefact.digest) == Some(artefact.size.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use gateway_core::{ArtefactDigest, BuildFormats, BuildKey, Bytes};
    use wire_checkin::Format;

    fn artefact(payload: &[u8], digest: ArtefactDigest, base: Option<ImageDigest>) -> Change {
        Change::Artefact(ArtefactRecord {
            digest,
            target: ImageDigest([2; 32]),
            base,
            format: Format::Patch,
            size: Bytes(payload.len() as u64),
            decoder_memory: Bytes(0),
            in_place: None,
            built_unix_s: 1,
        })
    }

    fn built(base: Option<ImageDigest>) -> Change {
        Change::Built(BuildKey {
            base,
            target: ImageDigest([2; 32]),
            formats: BuildFormats {
                full: true,
                lz4: false,
                bsdiff: false,
                patch_memory: None,
                in_place: None,
            },
        })
    }

    #[test]
    fn a_lost_or_cut_artefact_takes_its_build_with_it_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(temp.path()).unwrap();
        let kept = artefact(b"kept", blobs.write_artefact(b"kept").unwrap(), None);
        let cut = blobs.write_artefact(b"whole").unwrap();
        std::fs::write(temp.path().join("artefacts").join(cut.to_string()), b"who").unwrap();
        let (from_1, from_3) = (Some(ImageDigest([1; 32])), Some(ImageDigest([3; 32])));
        let changes = vec![
            kept.clone(),
            artefact(b"whole", cut, from_1),
            artefact(b"gone", ArtefactDigest([9; 32]), from_3),
            built(None),
            built(from_1),
            built(from_3),
        ];
        assert_eq!(restorable(changes, &blobs), [kept, built(None)]);
    }
}
