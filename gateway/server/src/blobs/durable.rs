//! Files that appear whole or not at all, and stay.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::state_dir::make_private;

/// The suffix of a file that is being written. No digest contains a dot.
const PARTIAL: &str = "partial";

/// Tells concurrent writes of one name apart.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Creates a directory if it is missing and removes half-written files from it.
pub(super) fn prepare(directory: &Path) -> io::Result<()> {
    make_private(directory)?;
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == PARTIAL) {
            std::fs::remove_file(path)?;
        }
    }
    sync_directory(directory)
}

/// Writes a file so that after any interruption it is there completely or not at all.
pub(super) fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let count = WRITES.fetch_add(1, Ordering::Relaxed);
    let partial = path.with_extension(format!("{count}.{PARTIAL}"));
    let written = write_partial(&partial, bytes).and_then(|()| std::fs::rename(&partial, path));
    if let Err(error) = written {
        // Best effort: what stays is removed at the next start.
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    sync_directory(parent(path))
}

fn write_partial(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Removes a file if it is there.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(()) => sync_directory(parent(path)),
    }
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Reads until `buffer` is full or the file ends.
pub(super) fn read_at(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    // An offset that no file reaches is past its end, not an error of the system.
    while done < buffer.len() && offset.saturating_add(done as u64) <= i64::MAX as u64 {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(bytes) => done += bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
