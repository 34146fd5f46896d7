//! Secrets at rest are sealed with one key of this gateway.
//!
//! The key is 32 random bytes, written as 64 hex digits. It is the credential `deltagate.key` that systemd hands over in
//! `$CREDENTIALS_DIRECTORY` (`LoadCredentialEncrypted=`), where there is one; else the file `identity.key` in the state directory, of
//! mode 0600, made at the first start. A key that does not fit what was sealed, or one that is gone, stops the start and changes
//! nothing.
//!
//! ```text
//! sealed   0 version u8 = 1   1 nonce [24], random   25 ciphertext, as long as what was sealed   tag [16]
//! ```
//!
//! XChaCha20-Poly1305: its nonce is long enough to be drawn at random for ever, and it needs no help of the processor to be fast and
//! to take a time that tells nothing. What a secret belongs to is its associated data, so that what was sealed for one row does
//! not open in another.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

use crate::{hex, owner_only};

/// The credential's name in systemd's store.
pub const CREDENTIAL: &str = "deltagate.key";
/// The file's name in the state directory.
pub const KEY_FILE: &str = "identity.key";

const KEY_BYTES: usize = 32;
const VERSION: u8 = 1;
const NONCE_BYTES: usize = 24;

/// Why secrets cannot be sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The key file or credential cannot be read or made.
    #[error("cannot use sealing key {path}")]
    Io {
        /// Where.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Its text is no key.
    #[error("sealing key {path} is not one: it should be 64 hex digits")]
    Malformed {
        /// Where.
        path: PathBuf,
    },
    /// Others than its owner may read it.
    #[error("sealing key {path} can be read by others: its mode is {mode:o}")]
    Open {
        /// Where.
        path: PathBuf,
        /// Permission bits.
        mode: u32,
    },
    /// It is another key.
    #[error("sealing key {path} is not the one that the keys of {sealed} devices are sealed with")]
    Wrong {
        /// Where.
        path: PathBuf,
        /// How many could not be opened.
        sealed: usize,
    },
    /// It was there and is not any more.
    #[error("sealing key {path} is gone, and the keys of {sealed} devices are sealed with it")]
    Lost {
        /// Where it was looked for.
        path: PathBuf,
        /// How many cannot be opened.
        sealed: usize,
    },
    /// A row was altered, or moved from another place.
    #[error("what is sealed for {what} does not open: it was altered, or sealed for something else")]
    Altered {
        /// Whose.
        what: String,
    },
    /// The system gave no random numbers.
    #[error("no random numbers")]
    Random,
}

impl SealingError {
    /// What helps.
    pub fn hint(&self) -> String {
        match self {
            SealingError::Io { path, .. } => {
                format!("make {} readable for the gateway's user", path.display())
            }
            SealingError::Malformed { path } => {
                format!("put back {} as it was; nothing was changed", path.display())
            }
            SealingError::Open { path, .. } => format!("chmod 600 {}", path.display()),
            SealingError::Wrong { path, .. } | SealingError::Lost { path, .. } => format!(
                "put back the key that this database was used with as {}; nothing was changed (docs/identity.md has what to do without)",
                path.display()
            ),
            SealingError::Altered { .. } => {
                "restore gateway.db* from a backup; nothing was changed".to_owned()
            }
            SealingError::Random => "see to the system's random number generator".to_owned(),
        }
    }
}

/// The key, wiped when it is dropped.
pub struct SealingKey {
    key: Zeroizing<[u8; KEY_BYTES]>,
    path: PathBuf,
}

/// Where it came from, and nothing of it.
impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealingKey({})", self.path.display())
    }
}

impl SealingKey {
    /// The credential of that directory, else the key file of the state directory; `None` when there is neither.
    pub fn find(state_dir: &Path, credentials: Option<&Path>) -> Result<Option<SealingKey>, SealingError> {
        let credential = credentials.map(|directory| directory.join(CREDENTIAL));
        if let Some(path) = credential.filter(|path| path.exists()) {
            return SealingKey::read(path).map(Some);
        }
        let path = state_dir.join(KEY_FILE);
        let metadata = match std::fs::metadata(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(SealingError::Io { path, source }),
            Ok(metadata) => metadata,
        };
        if let Some(mode) = owner_only::mode(&metadata).filter(|mode| mode & 0o077 != 0) {
            return Err(SealingError::Open { path, mode });
        }
        SealingKey::read(path).map(Some)
    }

    /// A new one, on disk in the state directory when this returns. One that is there is left alone.
    pub fn create(state_dir: &Path) -> Result<SealingKey, SealingError> {
        let path = state_dir.join(KEY_FILE);
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(&mut *key).map_err(|_| SealingError::Random)?;
        let mut text = Zeroizing::new(String::with_capacity(2 * KEY_BYTES + 1));
        key.iter().for_each(|byte| hex::push(&mut text, *byte));
        text.push('\n');
        let written = owner_only::create_new(&path, 0o600).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            // The name, too, before anything is sealed that needs it.
            std::fs::File::open(state_dir)?.sync_all()
        });
        match written {
            Ok(()) => Ok(SealingKey { key, path }),
            Err(source) => Err(SealingError::Io { path, source }),
        }
    }

    fn read(path: PathBuf) -> Result<SealingKey, SealingError> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => Zeroizing::new(text),
            Err(source) => return Err(SealingError::Io { path, source }),
        };
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        match hex::fill(text.trim_end(), &mut *key) {
            true => Ok(SealingKey { key, path }),
            false => Err(SealingError::Malformed { path }),
        }
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a new one would be.
    pub fn path_in(state_dir: &Path) -> PathBuf {
        state_dir.join(KEY_FILE)
    }

    /// Seals `plain` for what `belongs_to` names.
    pub fn seal(&self, belongs_to: &[u8], plain: &[u8]) -> Result<Vec<u8>, SealingError> {
        let mut nonce = [0; NONCE_BYTES];
        getrandom::fill(&mut nonce).map_err(|_| SealingError::Random)?;
        let payload = Payload {
            msg: plain,
            aad: belongs_to,
        };
        let sealed = self.cipher().encrypt(&XNonce::from(nonce), payload);
        let sealed = sealed.expect("fewer than 2^38 bytes are sealed");
        Ok([&[VERSION], &nonce[..], &sealed].concat())
    }

    /// What was sealed for this; `None` when it was sealed with another key, for something else, or altered.
    pub fn open(&self, belongs_to: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (version, rest) = sealed.split_first()?;
        let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_BYTES>()?;
        let payload = Payload {
            msg: ciphertext,
            aad: belongs_to,
        };
        let opened = self.cipher().decrypt(&XNonce::from(*nonce), payload);
        opened.ok().filter(|_| *version == VERSION).map(Zeroizing::new)
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new((&*self.key).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_is_sealed_opens_for_what_it_belongs_to_and_nothing_else() {
        let temp = tempfile::tempdir().unwrap();
        let key = SealingKey::create(temp.path()).unwrap();
        let sealed = key.seal(b"device 1", b"a secret").unwrap();
        assert_eq!(*key.open(b"device 1", &sealed).unwrap(), b"a secret");
        assert_eq!(key.open(b"device 2", &sealed), None);
        for at in 0..sealed.len() {
            let mut touched = sealed.clone();
            touched[at] ^= 1;
            assert_eq!(key.open(b"device 1", &touched), None, "byte {at}");
            assert_eq!(key.open(b"device 1", &sealed[..at]), None, "{at} bytes");
        }
        // Never twice the same.
        assert_ne!(key.seal(b"device 1", b"a secret").unwrap(), sealed);
        assert!(!format!("{key:?}").contains(&std::fs::read_to_string(key.path()).unwrap()[..8]));
    }

    #[test]
    fn the_key_file_is_its_owners_alone_and_never_replaced() {
        let temp = tempfile::tempdir().unwrap();
        let key = SealingKey::create(temp.path()).unwrap();
        let mode = std::fs::metadata(key.path()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(matches!(
            SealingKey::create(temp.path()),
            Err(SealingError::Io { .. })
        ));
        let found = SealingKey::find(temp.path(), None).unwrap().unwrap();
        let sealed = key.seal(b"", b"x").unwrap();
        assert!(found.open(b"", &sealed).is_some());
        std::fs::set_permissions(key.path(), std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(
            SealingKey::find(temp.path(), None),
            Err(SealingError::Open { mode: 0o640, .. })
        ));
    }

    #[test]
    fn the_systems_credential_goes_before_the_file() {
        let (state, credentials) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        assert!(
            SealingKey::find(state.path(), Some(credentials.path()))
                .unwrap()
                .is_none()
        );
        SealingKey::create(state.path()).unwrap();
        let credential = credentials.path().join(CREDENTIAL);
        std::fs::write(&credential, format!("{}\n", "5A".repeat(32))).unwrap();
        let found = SealingKey::find(state.path(), Some(credentials.path()))
            .unwrap()
            .unwrap();
        assert_eq!(found.path(), credential);
        std::fs::write(&credential, "5a").unwrap();
        assert!(matches!(
            SealingKey::find(state.path(), Some(credentials.path())),
            Err(SealingError::Malformed { .. })
        ));
    }
}
