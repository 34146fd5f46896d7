//! Content-addressed files: images at rest (compressed) and the artefacts that are served (raw).
//!
//! A file's name is the SHA-256 of its content in hex: `images/<digest>` names the raw image, `artefacts/<digest>` the
//! payload as served. A file appears whole or not at all, and what appeared survives a power cut: written beside its
//! place, synced, renamed, directory synced. Nothing here knows what the files are for; rows in the database do.

mod durable;
mod image_file;
mod open_files;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gateway_core::{ArtefactDigest, ImageDigest, PayloadError, Payloads};
use sha2::{Digest, Sha256};

use crate::error_chain::chain;
use crate::reserve::{RESERVED_BYTES, free_bytes, is_full};

pub use image_file::ImageFileError;

use open_files::OpenFiles;

/// The two directories of blobs. Shared by the engine, the import and the build workers.
#[derive(Debug)]
pub struct Blobs {
    state_dir: PathBuf,
    images: PathBuf,
    artefacts: PathBuf,
    open: Mutex<OpenFiles>,
}

/// Why a blob cannot be had or kept.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The file is missing, or the disk refuses.
    #[error("cannot use blob {path}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The disk has no room, and nothing was written.
    #[error(
        "the disk has no room: {needs} bytes are needed, and {free} may be used (besides {RESERVED_BYTES} that stay free for the database)"
    )]
    NoRoom {
        /// What is needed at most.
        needs: u64,
        /// What there is.
        free: u64,
    },
    /// The file is not what was stored under its name.
    #[error("stored image {path} is damaged")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        source: ImageFileError,
    },
}

impl Blobs {
    /// Opens the store in `state_dir`, creates what is missing and removes what an interrupted write left behind.
    pub fn open(state_dir: &Path) -> Result<Blobs, BlobError> {
        let (images, artefacts) = (state_dir.join("images"), state_dir.join("artefacts"));
        for directory in [&images, &artefacts] {
            durable::prepare(directory).map_err(|source| io_error(directory, source))?;
        }
        durable::sync_directory(state_dir).map_err(|source| io_error(state_dir, source))?;
        Ok(Blobs {
            state_dir: state_dir.to_path_buf(),
            images,
            artefacts,
            open: Mutex::new(OpenFiles::new()),
        })
    }

    /// Size of a stored artefact; `None` when there is no such file. Says nothing about its content.
    pub fn artefact_bytes(&self, digest: &ArtefactDigest) -> Option<u64> {
        let metadata = std::fs::metadata(self.artefact_path(digest)).ok()?;
        metadata.is_file().then_some(metadata.len())
    }

    /// Stores an image, compressed, and says under which name. Storing it again is harmless, and heals a damaged file.
    pub fn write_image(&self, image: &[u8]) -> Result<ImageDigest, BlobError> {
        let digest = ImageDigest(Sha256::digest(image).into());
        if self.read_image(&digest).is_err() {
            self.write(&self.image_path(&digest), &image_file::pack(image))?;
        }
        Ok(digest)
    }

    /// The whole image, its digest verified.
    pub fn read_image(&self, digest: &ImageDigest) -> Result<Vec<u8>, BlobError> {
        let path = self.image_path(digest);
        let file = std::fs::read(&path).map_err(|source| io_error(&path, source))?;
        image_file::unpack(&file, &digest.0).map_err(|source| BlobError::Damaged { path, source })
    }

    /// Refuses when so many bytes could not be written.
    pub fn check_room(&self, needs: u64) -> Result<(), BlobError> {
        let free = free_bytes(&self.state_dir).map_err(|source| io_error(&self.state_dir, source))?;
        match needs > free {
            true => Err(BlobError::NoRoom { needs, free }),
            false => Ok(()),
        }
    }

    /// Removes an artefact; one that is not there is no error.
    pub fn remove_artefact(&self, digest: &ArtefactDigest) -> Result<(), BlobError> {
        self.open_files().forget(digest);
        let path = self.artefact_path(digest);
        durable::remove(&path).map_err(|source| io_error(&path, source))
    }

    /// Removes an image; one that is not there is no error.
    pub fn remove_image(&self, digest: &ImageDigest) -> Result<(), BlobError> {
        let path = self.image_path(digest);
        durable::remove(&path).map_err(|source| io_error(&path, source))
    }

    /// Stores an artefact as it is served and says under which name. A file of that name is replaced, so that a damaged
    /// one does not stay.
    pub fn write_artefact(&self, payload: &[u8]) -> Result<ArtefactDigest, BlobError> {
        let digest = ArtefactDigest(Sha256::digest(payload).into());
        let path = self.artefact_path(&digest);
        let intact = std::fs::read(&path).is_ok_and(|stored| stored == payload);
        if !intact {
            self.write(&path, payload)?;
            self.open_files().forget(&digest);
        }
        Ok(digest)
    }

    /// Reads from byte `offset` of an artefact until `buffer` is full; fewer bytes only at its end.
    pub fn read_artefact(
        &self,
        digest: &ArtefactDigest,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, BlobError> {
        let path = self.artefact_path(digest);
        let file = self
            .open_files()
            .open(digest, &path)
            .map_err(|source| io_error(&path, source))?;
        durable::read_at(&file, offset, buffer).map_err(|source| io_error(&path, source))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), BlobError> {
        self.check_room(bytes.len() as u64)?;
        durable::write(path, bytes).map_err(|source| io_error(path, source))
    }

    /// A panic while holding the lock leaves at worst a file too few in the cache.
    fn open_files(&self) -> std::sync::MutexGuard<'_, OpenFiles> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn image_path(&self, digest: &ImageDigest) -> PathBuf {
        self.images.join(digest.to_string())
    }

    fn artefact_path(&self, digest: &ArtefactDigest) -> PathBuf {
        self.artefacts.join(digest.to_string())
    }
}

impl BlobError {
    /// Whether it is for want of room.
    pub fn is_full(&self) -> bool {
        match self {
            BlobError::NoRoom { .. } => true,
            BlobError::Io { source, .. } => is_full(source),
            BlobError::Damaged { .. } => false,
        }
    }
}

impl Payloads for Blobs {
    fn read(&self, artefact: &ArtefactDigest, offset: u64, buffer: &mut [u8]) -> Result<usize, PayloadError> {
        self.read_artefact(artefact, offset, buffer)
            .map_err(|error| PayloadError {
                reason: chain(&error),
            })
    }
}

fn io_error(path: &Path, source: io::Error) -> BlobError {
    BlobError::Io {
        path: path.to_path_buf(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Blobs) {
        let temp = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(temp.path()).unwrap();
        (temp, blobs)
    }

    fn image() -> Vec<u8> {
        (0..200_000_u32).map(|n| (n / 64) as u8).collect()
    }

    fn files_in(directory: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(directory).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn an_image_comes_back_and_lies_compressed() {
        let (temp, blobs) = store();
        let digest = blobs.write_image(&image()).unwrap();
        assert_eq!(blobs.read_image(&digest).unwrap(), image());
        let file = temp.path().join("images").join(digest.to_string());
        assert!(std::fs::metadata(file).unwrap().len() < 100_000);
        assert_eq!(files_in(&temp.path().join("images")), [digest.to_string()]);
    }

    #[test]
    fn a_damaged_image_is_named_and_healed_by_storing_it_again() {
        let (temp, blobs) = store();
        let digest = blobs.write_image(&image()).unwrap();
        let path = temp.path().join("images").join(digest.to_string());
        let mut bytes = std::fs::read(&path).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(matches!(
            blobs.read_image(&digest),
            Err(BlobError::Damaged { .. })
        ));
        assert_eq!(blobs.write_image(&image()).unwrap(), digest);
        assert_eq!(blobs.read_image(&digest).unwrap(), image());
    }

    #[test]
    fn what_is_not_there_is_an_io_error() {
        let (_temp, blobs) = store();
        assert!(matches!(
            blobs.read_image(&ImageDigest([7; 32])),
            Err(BlobError::Io { .. })
        ));
        let mut buffer = [0; 4];
        assert!(matches!(
            blobs.read_artefact(&ArtefactDigest([7; 32]), 0, &mut buffer),
            Err(BlobError::Io { .. })
        ));
        assert_eq!(blobs.artefact_bytes(&ArtefactDigest([7; 32])), None);
        blobs.remove_image(&ImageDigest([7; 32])).unwrap();
    }

    #[test]
    fn an_artefact_is_read_at_any_place_and_short_only_at_its_end() {
        let (_temp, blobs) = store();
        let payload: Vec<u8> = (0..=255).collect();
        let digest = blobs.write_artefact(&payload).unwrap();
        let mut buffer = [0; 64];
        assert_eq!(blobs.read_artefact(&digest, 100, &mut buffer).unwrap(), 64);
        assert_eq!(buffer, payload[100..164]);
        assert_eq!(blobs.read_artefact(&digest, 250, &mut buffer).unwrap(), 6);
        assert_eq!(blobs.read_artefact(&digest, 256, &mut buffer).unwrap(), 0);
        assert_eq!(blobs.read_artefact(&digest, u64::MAX, &mut buffer).unwrap(), 0);
    }

    #[test]
    fn a_damaged_artefact_is_replaced_even_while_it_is_open() {
        let (temp, blobs) = store();
        let digest = blobs.write_artefact(b"payload").unwrap();
        let mut buffer = [0; 7];
        blobs.read_artefact(&digest, 0, &mut buffer).unwrap();
        std::fs::write(temp.path().join("artefacts").join(digest.to_string()), b"damaged").unwrap();
        blobs.write_artefact(b"payload").unwrap();
        blobs.read_artefact(&digest, 0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"payload");
    }

    #[test]
    fn leftovers_of_an_interrupted_write_go_at_the_next_start() {
        let (temp, blobs) = store();
        let digest = blobs.write_artefact(b"payload").unwrap();
        let directory = temp.path().join("artefacts");
        std::fs::write(directory.join(format!("{digest}.1.partial")), b"half").unwrap();
        std::fs::write(directory.join("README"), b"somebody else's").unwrap();
        drop(blobs);
        let blobs = Blobs::open(temp.path()).unwrap();
        assert_eq!(blobs.artefact_bytes(&digest), Some(7));
        let mut expected = [digest.to_string(), "README".to_string()];
        expected.sort();
        let mut left = files_in(&directory);
        left.sort();
        assert_eq!(left, expected);
    }
}
