//! Disk space that is held for the database, so that a disk which others fill does not stop the gateway.
//!
//! A file as long as the reserve lies beside the database and takes its blocks. When the database finds the disk full, the file is
//! removed, and the database goes on in what it took; as soon as there is room again it is made anew. Blobs never take that room.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// The database's log, which is 4 MiB before it is written back and used again, and as much for its growth: at 100 bytes an audit line,
/// 40,000 of them.
pub const RESERVED_BYTES: u64 = 8 << 20;

/// Makes the reserve unless it is there or would leave nothing; says whether it is there.
pub fn hold(state_dir: &Path) -> io::Result<bool> {
    if held_bytes(state_dir) >= RESERVED_BYTES {
        return Ok(true);
    }
    if free_bytes(state_dir)? < RESERVED_BYTES {
        return Ok(false);
    }
    let path = path(state_dir);
    let made = allocate(&path);
    if made.is_err() {
        release(state_dir);
    }
    made.map(|()| true)
}

/// Gives the reserve up; says whether there was one.
pub fn release(state_dir: &Path) -> bool {
    fs::remove_file(path(state_dir)).is_ok()
}

/// What blobs may take where `state_dir` lies.
pub fn free_bytes(state_dir: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(state_dir)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let not_held = RESERVED_BYTES.saturating_sub(held_bytes(state_dir));
    Ok(free.saturating_sub(not_held))
}

/// Whether the system refused for want of room, of whatever kind.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}

fn path(state_dir: &Path) -> PathBuf {
    state_dir.join("reserve")
}

fn held_bytes(state_dir: &Path) -> u64 {
    fs::metadata(path(state_dir)).map_or(0, |metadata| metadata.len())
}

/// A file system that cannot allocate is written to.
fn allocate(path: &Path) -> io::Result<()> {
    let mut file = File::create(path)?;
    let all = rustix::fs::FallocateFlags::empty();
    match rustix::fs::fallocate(&file, all, 0, RESERVED_BYTES) {
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
            let zeros = [0; 64 << 10];
            for _ in 0..RESERVED_BYTES / zeros.len() as u64 {
                file.write_all(&zeros)?;
            }
        }
        allocated => allocated?,
    }
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_not_taken_from_what_is_free_twice() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(held_bytes(temp.path()), 0);
        assert!(hold(temp.path()).unwrap());
        assert_eq!(held_bytes(temp.path()), RESERVED_BYTES);
        assert!(hold(temp.path()).unwrap());
        assert!(release(temp.path()));
        assert!(!release(temp.path()));
    }
}
