//! What only the system knows: free space, owners and modes. Elsewhere than on Unix these are not known, and not checked.

use std::path::Path;

/// Of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ownership {
    /// Its owner, as a number.
    pub(super) owner: u32,
    /// Who looks, as a number.
    pub(super) me: u32,
    /// Its permission bits.
    pub(super) mode: u32,
}

/// Owner and mode of a directory.
#[cfg(unix)]
pub(super) fn ownership(path: &Path) -> Option<Ownership> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(Ownership {
        owner: metadata.uid(),
        me: rustix::process::geteuid().as_raw(),
        mode: metadata.mode() & 0o777,
    })
}

/// Bytes that may still be written to the file system of a path.
#[cfg(unix)]
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let space = rustix::fs::statvfs(path).ok()?;
    Some(space.f_bavail.saturating_mul(space.f_frsize))
}

/// Owner and mode of a directory.
#[cfg(not(unix))]
pub(super) fn ownership(_: &Path) -> Option<Ownership> {
    None
}

/// Bytes that may still be written to the file system of a path.
#[cfg(not(unix))]
pub(super) fn free_bytes(_: &Path) -> Option<u64> {
    None
}
