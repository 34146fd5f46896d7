//! Files for their owner only. Where the system knows no owners and modes, a file is as private as its directory.

use std::fs::{File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Makes a file that is not there yet, with these permission bits.
pub fn create_new(path: &Path, mode: u32) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    options.open(path)
}

/// Where systemd hands over credentials (systemd.exec(5), `LoadCredential=`). Only root makes anything there.
const CREDENTIALS: &str = "/run/credentials";

/// The permission bits of a file that others than its owner may read or write. A pipe is as private as who made it. Of a credential
/// systemd sees to that, by an access list whose mask looks like a mode for the group.
pub fn open_to_others(path: &Path, metadata: &Metadata) -> Option<u32> {
    let is_ours = metadata.is_file() && !path.starts_with(CREDENTIALS);
    mode(metadata).filter(|mode| is_ours && mode & 0o077 != 0)
}

/// Permission bits, where there are any.
#[cfg(unix)]
pub fn mode(metadata: &Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(metadata.permissions().mode() & 0o777)
}

/// Permission bits, where there are any.
#[cfg(not(unix))]
pub fn mode(_: &Metadata) -> Option<u32> {
    None
}
