//! Files that appear whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::DeltaError;

/// Reads a file of at most `bytes_max` bytes.
pub fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>, DeltaError> {
    let failed = |source| DeltaError::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > bytes_max {
        return Err(DeltaError::TooLarge {
            path: path.to_owned(),
            bytes_max,
        });
    }
    Ok(bytes)
}

/// Writes beside `path` and renames: whatever interrupts it, there is the whole file or what was there before.
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), DeltaError> {
    replace(path, bytes).map_err(|source| DeltaError::Write {
        path: path.to_owned(),
        source,
    })
}

fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a link names is replaced, not the link; a device or a directory stays what it is.
    let path = match fs::canonicalize(path) {
        Ok(there) if there.is_file() => there,
        Ok(_) => return Err(io::Error::other("it is there and no regular file")),
        Err(_) => path.to_owned(),
    };
    let partial = partial(&path);
    let written = write_partial(&partial, bytes).and_then(|()| fs::rename(&partial, &path));
    if written.is_err() {
        // Best effort: the name says that it is nothing.
        let _ = fs::remove_file(&partial);
    }
    written
}

fn write_partial(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// `out.dG` becomes `out.dG.<process>.partial`, in the same directory so that the rename stays within a file system.
fn partial(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}.partial", std::process::id()));
    PathBuf::from(name)
}
