//! The artefacts that are open: block reads come one by one, and opening a file for each would cost more than reading.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use gateway_core::ArtefactDigest;

/// As many transfers as make sense at once on one host's links; each is one descriptor of the usual 1024.
const OPEN_FILES_MAX: usize = 64;

/// Open files, the least recently used first.
#[derive(Debug)]
pub(super) struct OpenFiles {
    files: Vec<(ArtefactDigest, Arc<File>)>,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        Self {
            files: Vec::with_capacity(OPEN_FILES_MAX),
        }
    }

    /// The open file of an artefact, opened now if need be. The longest unused one is closed when there are too many.
    pub(super) fn open(&mut self, digest: &ArtefactDigest, path: &Path) -> io::Result<Arc<File>> {
        let file = match self.files.iter().position(|(open, _)| open == digest) {
            Some(at) => self.files.remove(at).1,
            None => Arc::new(File::open(path)?),
        };
        if self.files.len() == OPEN_FILES_MAX {
            self.files.remove(0);
        }
        self.files.push((*digest, Arc::clone(&file)));
        Ok(file)
    }

    pub(super) fn forget(&mut self, digest: &ArtefactDigest) {
        self.files.retain(|(open, _)| open != digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_least_recently_used_file_is_closed_first() {
        let temp = tempfile::tempdir().unwrap();
        let mut open = OpenFiles::new();
        for n in 0..=OPEN_FILES_MAX as u8 {
            let path = temp.path().join(n.to_string());
            std::fs::write(&path, [n]).unwrap();
            open.open(&ArtefactDigest([n; 32]), &path).unwrap();
            if n > 0 {
                open.open(&ArtefactDigest([0; 32]), &temp.path().join("0"))
                    .unwrap();
            }
        }
        assert_eq!(open.files.len(), OPEN_FILES_MAX);
        assert!(
            open.files.iter().any(|(digest, _)| digest.0[0] == 0),
            "in use all the time"
        );
        assert!(
            open.files.iter().all(|(digest, _)| digest.0[0] != 1),
            "unused the longest"
        );
    }
}
