//! What only the system or the daemon knows: free space, owners and modes, the database. Elsewhere than on Unix these are
//! not known, and not checked.

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

/// How many devices the database of a state directory knows, or what is wrong with it; `None`: there is none.
#[cfg(unix)]
pub(super) fn database(state_dir: &Path) -> Option<Result<usize, String>> {
    use crate::store::{Store, path_in};
    let path = path_in(state_dir);
    let problem = |error| format!("{}: {}", path.display(), crate::error_chain::chain(&error));
    path.exists().then(|| Store::check(&path).map_err(problem))
}

/// The database is the daemon's, which needs Unix.
#[cfg(not(unix))]
pub(super) fn database(_: &Path) -> Option<Result<usize, String>> {
    None
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
