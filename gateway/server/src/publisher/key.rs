//! Ed25519 keys in files: the private key in PKCS#8 PEM (RFC 5958), the public key in SPKI PEM (RFC 8410).

use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::spki::der::zeroize::Zeroizing;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, EncodePublicKey, KeypairBytes};
use ed25519_dalek::{Signer as _, SigningKey, VerifyingKey};
use wire_manifest::{Anchor, KeyId};

use super::signer::Signer;
use super::{PublisherError, files};
use crate::owner_only;

/// Longest key file: an Ed25519 key in PEM has some 120 bytes, and people put comments above it.
const KEY_FILE_BYTES_MAX: u64 = 16 * 1024;

/// Permission bits of a private key file.
const PRIVATE_MODE: u32 = 0o600;
/// Permission bits of a public key file.
const PUBLIC_MODE: u32 = 0o644;

/// A publisher's private key. Wiped from memory on drop; shows nothing but its key id.
pub struct PrivateKey(SigningKey);

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.key_id())
    }
}

impl PrivateKey {
    /// Reads a PKCS#8 PEM file that only its owner may read.
    pub fn load(path: &Path) -> Result<Self, PublisherError> {
        let metadata = fs::metadata(path).map_err(|source| PublisherError::Read {
            path: path.to_owned(),
            source,
        })?;
        let bytes = Zeroizing::new(files::read(path, KEY_FILE_BYTES_MAX)?);
        // The parser's error is dropped, so that no message can come to quote the file.
        let key = std::str::from_utf8(&bytes)
            .ok()
            .and_then(|pem| SigningKey::from_pkcs8_pem(pem).ok());
        let key = key.ok_or_else(|| PublisherError::NotAPrivateKey {
            path: path.to_owned(),
        })?;
        if let Some(mode) = owner_only::open_to_others(path, &metadata) {
            return Err(PublisherError::KeyIsOpen {
                path: path.to_owned(),
                mode,
            });
        }
        Ok(Self(key))
    }
}

impl Signer for PrivateKey {
    fn anchor(&self) -> Anchor {
        Anchor {
            key: self.0.verifying_key().to_bytes(),
        }
    }

    fn sign(&self, message: &[u8]) -> Result<[u8; 64], PublisherError> {
        Ok(self.0.sign(message).to_bytes())
    }
}

/// Where a new key pair was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPairFiles {
    /// The id of the key.
    pub key_id: KeyId,
    /// The private key file, `PREFIX.key`, readable by its owner only.
    pub private_path: PathBuf,
    /// The public key file, `PREFIX.pub`.
    pub public_path: PathBuf,
}

/// Makes a key pair and writes `PREFIX.key` and `PREFIX.pub`. Neither may exist.
pub fn generate(prefix: &Path) -> Result<KeyPairFiles, PublisherError> {
    let (private_path, public_path) = (with_suffix(prefix, ".key"), public_path(prefix));
    if public_path.exists() {
        return Err(PublisherError::KeyExists { path: public_path });
    }
    // Version 1 of PKCS#8, without the public key: what every tool reads.
    let mut pair = KeypairBytes {
        secret_key: [0; 32],
        public_key: None,
    };
    getrandom::fill(&mut pair.secret_key).map_err(PublisherError::Randomness)?;
    let key = PrivateKey(SigningKey::from_bytes(&pair.secret_key));
    let private = pair
        .to_pkcs8_pem(LineEnding::LF)
        .map_err(|_| PublisherError::KeyEncoding)?;
    files::create_key(&private_path, &private, PRIVATE_MODE)?;
    write_public(&public_path, &key.anchor())?;
    Ok(KeyPairFiles {
        key_id: key.key_id(),
        private_path,
        public_path,
    })
}

/// Where the public key of a pair goes: `PREFIX.pub`.
pub fn public_path(prefix: &Path) -> PathBuf {
    with_suffix(prefix, ".pub")
}

/// Writes a public key in SPKI PEM to a file that is not there yet.
pub fn write_public(path: &Path, anchor: &Anchor) -> Result<(), PublisherError> {
    files::create_key(path, &public_pem(anchor)?, PUBLIC_MODE)
}

/// A public key in SPKI PEM.
pub fn public_pem(anchor: &Anchor) -> Result<String, PublisherError> {
    let key = VerifyingKey::from_bytes(&anchor.key).ok();
    let pem = key.and_then(|key| key.to_public_key_pem(LineEnding::LF).ok());
    pem.ok_or(PublisherError::KeyEncoding)
}

fn with_suffix(prefix: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(prefix);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::load_anchors;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_generated_pair_is_read_back() {
        let dir = tempfile::tempdir().unwrap();
        let files = generate(&dir.path().join("release.2026")).unwrap();
        assert_eq!(files.private_path, dir.path().join("release.2026.key"));
        let key = PrivateKey::load(&files.private_path).unwrap();
        assert_eq!(key.key_id(), files.key_id);
        assert_eq!(load_anchors(&[files.public_path]).unwrap(), [key.anchor()]);
    }

    #[test]
    fn the_private_key_file_is_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let files = generate(&dir.path().join("k")).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&files.private_path), 0o600);

        fs::set_permissions(&files.private_path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = PrivateKey::load(&files.private_path).unwrap_err();
        assert!(matches!(error, PublisherError::KeyIsOpen { mode: 0o640, .. }));
        assert!(error.hint().unwrap().starts_with("chmod 600 "));
    }

    #[test]
    fn a_key_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let files = generate(&dir.path().join("k")).unwrap();
        let before = fs::read(&files.private_path).unwrap();
        assert!(matches!(
            generate(&dir.path().join("k")),
            Err(PublisherError::KeyExists { .. })
        ));
        fs::remove_file(&files.public_path).unwrap();
        assert!(matches!(
            generate(&dir.path().join("k")),
            Err(PublisherError::KeyExists { .. })
        ));
        assert_eq!(fs::read(&files.private_path).unwrap(), before);
        assert!(
            !files.public_path.exists(),
            "nothing is written beside a key that stays"
        );
    }

    #[test]
    fn two_keys_differ() {
        let dir = tempfile::tempdir().unwrap();
        let (a, b) = (
            generate(&dir.path().join("a")).unwrap(),
            generate(&dir.path().join("b")).unwrap(),
        );
        assert_ne!(a.key_id, b.key_id);
    }

    #[test]
    fn debug_output_shows_the_key_id_and_nothing_else() {
        let key = PrivateKey(SigningKey::from_bytes(&[7; 32]));
        assert_eq!(format!("{key:?}"), format!("PrivateKey({})", key.key_id()));
    }

    #[test]
    fn a_public_key_is_no_private_key_and_the_error_does_not_quote_it() {
        let dir = tempfile::tempdir().unwrap();
        let files = generate(&dir.path().join("k")).unwrap();
        let text = fs::read_to_string(&files.private_path).unwrap();
        let broken = text.replace("PRIVATE KEY", "BROKEN KEY");
        fs::write(&files.private_path, &broken).unwrap();
        let error = PrivateKey::load(&files.private_path).unwrap_err();
        assert!(matches!(error, PublisherError::NotAPrivateKey { .. }));
        let secret = text.lines().nth(1).unwrap();
        assert!(!format!("{error} {error:?}").contains(secret));
    }
}
