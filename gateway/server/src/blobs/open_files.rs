//! The artefacts that are open: block reads come one by one, and opening a file for each would cost more than reading.
//!
//! A file is read whole and its digest compared the first time it is opened, so that what a card has garbled goes on no
//! air: the device would find out after it has paid for all of it, and ask again in vain.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use gateway_core::ArtefactDigest;
use sha2::{Digest, Sha256};

/// As many transfers as make sense at once on one host's links; each is one descriptor of the usual 1024.
const OPEN_FILES_MAX: usize = 64;

/// Open files, the least recently used first.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: Vec<(ArtefactDigest, Arc<File>)>,
    /// Intact when they were first opened; 32 bytes for each artefact.
    intact: BTreeSet<ArtefactDigest>,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        Self {
            files: Vec::with_capacity(OPEN_FILES_MAX),
            intact: BTreeSet::new(),
        }
    }

    /// The open file of an artefact, opened now if need be. The longest unused one is closed when there are too many.
    pub(super) fn open(&mut self, digest: &ArtefactDigest, path: &Path) -> io::Result<Arc<File>> {
        let file = match self.files.iter().position(|(open, _)| open == digest) {
            Some(at) => self.files.remove(at).1,
            None => Arc::new(self.open_intact(digest, path)?),
        };
        if self.files.len() == OPEN_FILES_MAX {
            self.files.remove(0);
        }
        self.files.push((*digest, Arc::clone(&file)));
        Ok(file)
    }

    fn open_intact(&mut self, digest: &ArtefactDigest, path: &Path) -> io::Result<File> {
        let file = File::open(path)?;
        if !self.intact.contains(digest) {
            let content = std::fs::read(path)?;
            if ArtefactDigest(Sha256::digest(content).into()) != *digest {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidData,
                    "its digest is another",
                ));
            }
            self.intact.insert(*digest);
        }
        Ok(file)
    }

    pub(super) fn forget(&mut self, digest: &ArtefactDigest) {
        self.files.retain(|(open, _)| open != digest);
        self.intact.remove(digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_file_is_closed_first() {
        let temp = tempfile::tempdir().unwrap();
        let mut open = OpenFiles::new();
        let digest = |n: u8| ArtefactDigest(Sha256::digest([n]).into());
        for n in 0..=OPEN_FILES_MAX as u8 {
            let path = temp.path().join(n.to_string());
            std::fs::write(&path, [n]).unwrap();
            open.open(&digest(n), &path).unwrap();
            if n > 0 {
                open.open(&digest(0), &temp.path().join("0")).unwrap();
            }
        }
        assert_eq!(open.files.len(), OPEN_FILES_MAX);
        assert!(
            open.files.iter().any(|(open, _)| *open == digest(0)),
            "in use all the time"
        );
        assert!(
            open.files.iter().all(|(open, _)| *open != digest(1)),
            "unused the longest"
        );
    }

    #[test]
    fn a_garbled_file_is_not_opened() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("garbled");
        std::fs::write(&path, b"garbled").unwrap();
        let digest = ArtefactDigest(Sha256::digest(b"correct").into());
        let mut open = OpenFiles::new();
        let error = open.open(&digest, &path).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        std::fs::write(&path, b"correct").unwrap();
        open.open(&digest, &path).unwrap();
    }
}
