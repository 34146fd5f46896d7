//! Whether a disk has room, asked before anything is written to it.

use std::io;
use std::path::Path;

/// What blobs leave free for the database: its log of at most 4 MiB between checkpoints, and as much for its growth and the system's own.
pub const RESERVED_BYTES: u64 = 8 << 20;

/// What may be written where `directory` lies.
pub(super) fn free_bytes(directory: &Path) -> io::Result<u64> {
    let disk = rustix::fs::statvfs(directory)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    Ok(free.saturating_sub(RESERVED_BYTES))
}

/// Whether the system refused for want of room, of whatever kind.
pub fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
    )
}
