//! Reading and writing files, bounded and with the path in every error.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;

use super::PublisherError;
use crate::owner_only;

/// Reads a file of at most `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, PublisherError> {
    let failed = |source| PublisherError::Read {
        path: path.to_owned(),
        source,
    };
    let too_large = |bytes| PublisherError::TooLarge {
        path: path.to_owned(),
        bytes,
        bytes_max,
    };
    let file = File::open(path).map_err(failed)?;
    let said = file.metadata().map_err(failed)?.len();
    if said > bytes_max {
        return Err(too_large(said));
    }
    // A pipe, or a file that grows, says less than it has.
    let mut bytes = Vec::new();
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        read if read > bytes_max => Err(too_large(read)),
        _ => Ok(bytes),
    }
}

/// Writes a file, replacing one that is there.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), PublisherError> {
    fs::write(path, bytes).map_err(|source| PublisherError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file; one that is there is replaced when all of it is on the disk.
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), PublisherError> {
    let failed = |source| PublisherError::Write {
        path: path.to_owned(),
        source,
    };
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    let new = Path::new(&name);
    let written = File::create(new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(new, path)
    });
    written
        .inspect_err(|_| drop(fs::remove_file(new)))
        .map_err(failed)
}

/// Writes a key file with these permission bits; one that is there is left alone.
pub fn create_key(path: &Path, text: &str, mode: u32) -> Result<(), PublisherError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AlreadyExists => PublisherError::KeyExists {
            path: path.to_owned(),
        },
        _ => PublisherError::Write {
            path: path.to_owned(),
            source,
        },
    };
    let mut file = owner_only::create_new(path, mode).map_err(failed)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(failed)
}
