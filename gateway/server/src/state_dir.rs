//! The gateway's directory on disk: made on first start, readable by its owner only, used by one gateway at a time.
//!
//! ```text
//! state_dir/            0700
//! ├── lock              held (flock) as long as the gateway runs
//! ├── gateway.db        every decision, with -wal and -shm beside it
//! ├── identity.key      0600: what secrets in the database are sealed with, unless systemd hands that over
//! ├── images/           what was imported, compressed
//! ├── artefacts/        what is served, raw
//! ├── coap.addr         the address CoAP is spoken on, for tools; rewritten at every start
//! ├── coaps.addr        the address of CoAP over DTLS, when that is spoken
//! ├── metrics.addr      the address of metrics and health, when they are served
//! └── admin.sock        the technician's socket, 0600, unless configured elsewhere
//! ```

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// A state directory that this process alone uses, until it is dropped.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    _lock: File,
}

/// Why a state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateDirError {
    /// Another gateway runs on it.
    #[error("state directory {path} is used by another gateway")]
    InUse {
        /// The directory.
        path: PathBuf,
    },
    /// It cannot be made or written.
    #[error("cannot use state directory {path}")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
}

impl StateDir {
    /// Creates what is missing and takes the lock. The system releases it even when the process is killed.
    pub fn open(path: &Path) -> Result<StateDir, StateDirError> {
        let failed = |source| StateDirError::Io {
            path: path.to_path_buf(),
            source,
        };
        make_private(path).map_err(failed)?;
        warn_if_open(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(StateDir {
                path: path.to_path_buf(),
                _lock: lock,
            }),
            Err(TryLockError::WouldBlock) => Err(StateDirError::InUse {
                path: path.to_path_buf(),
            }),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Leaves a bound address in the file `name`, where tools find it, whole or not at all; without one, no file.
    pub fn write_address(&self, name: &str, address: Option<SocketAddr>) -> io::Result<()> {
        let target = self.path.join(name);
        let Some(address) = address else {
            return match std::fs::remove_file(target) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        };
        let fresh = self.path.join(format!("{name}.new"));
        std::fs::write(&fresh, format!("{address}\n"))?;
        std::fs::rename(fresh, target)
    }
}

/// File of the address that CoAP is spoken on.
pub const COAP_ADDRESS: &str = "coap.addr";
/// File of the address that CoAP is spoken on over DTLS.
pub const COAPS_ADDRESS: &str = "coaps.addr";
/// File of the address that metrics are served on.
pub const METRICS_ADDRESS: &str = "metrics.addr";
/// File of the address that technicians elsewhere are listened to on.
pub const REMOTE_ADDRESS: &str = "remote.addr";

/// A directory that an operator made keeps the mode that the operator gave it, but not in silence.
fn warn_if_open(path: &Path) -> io::Result<()> {
    let mode = std::fs::metadata(path)?.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let mode = format!("{mode:o}");
        tracing::warn!(
            mode,
            "other users can enter {}; chmod 700 keeps images and inventory private",
            path.display()
        );
    }
    Ok(())
}

/// Makes a directory that only its owner can enter; one that exists stays as it is.
pub fn make_private(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_gateway_at_a_time() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a/b");
        let first = StateDir::open(&path).unwrap();
        assert!(matches!(StateDir::open(&path), Err(StateDirError::InUse { .. })));
        drop(first);
        StateDir::open(&path).unwrap();
    }

    #[test]
    fn nobody_else_can_look_inside() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(&temp.path().join("state")).unwrap();
        let mode = std::fs::metadata(state.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn the_address_is_left_for_tools() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(temp.path()).unwrap();
        let write = |address| state.write_address(COAP_ADDRESS, address).unwrap();
        let read = || std::fs::read_to_string(temp.path().join("coap.addr"));
        write(Some("127.0.0.1:5683".parse().unwrap()));
        assert_eq!(read().unwrap(), "127.0.0.1:5683\n");
        write(None);
        write(None);
        assert!(read().is_err());
    }
}
