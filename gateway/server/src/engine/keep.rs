//! What the core lets go of: files, once the rows that named them are gone.

use gateway_core::File;

use crate::blobs::Blobs;

/// Removes files. One that stays takes room until the next start removes it.
pub(super) fn discard(blobs: &Blobs, files: Vec<File>) {
    for file in files {
        let removed = match &file {
            File::Image(digest) => blobs.remove_image(digest),
            File::Artefact(digest) => blobs.remove_artefact(digest),
        };
        match removed {
            Ok(()) => tracing::info!(?file, "removed"),
            Err(error) => {
                tracing::warn!(?file, %error, "a file that nobody needs stays until the next start")
            }
        }
    }
}
