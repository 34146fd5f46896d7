//! Public keys that are trusted: SPKI PEM files (RFC 8410).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use thiserror::Error;
use wire_manifest::Anchor;

/// Reads a trust anchor from each file. A key named twice counts once.
pub fn load_anchors(paths: &[PathBuf]) -> Result<Vec<Anchor>, AnchorError> {
    let mut anchors = Vec::new();
    for path in paths {
        let anchor = load_anchor(path)?;
        if !anchors.contains(&anchor) {
            anchors.push(anchor);
        }
    }
    Ok(anchors)
}

/// Reads the trust anchor in a file.
pub fn load_anchor(path: &Path) -> Result<Anchor, AnchorError> {
    let text = fs::read(path).map_err(|source| AnchorError::Read {
        path: path.to_owned(),
        source,
    })?;
    let text = String::from_utf8_lossy(&text);
    if text.contains("PRIVATE KEY-----") {
        return Err(AnchorError::PrivateKey {
            path: path.to_owned(),
        });
    }
    let not_a_key = || AnchorError::NotAPublicKey {
        path: path.to_owned(),
    };
    let key = VerifyingKey::from_public_key_pem(text.trim()).map_err(|_| not_a_key())?;
    let anchor = Anchor { key: key.to_bytes() };
    if anchor.is_usable() {
        Ok(anchor)
    } else {
        Err(AnchorError::WeakKey {
            path: path.to_owned(),
        })
    }
}

/// Why a file is no trust anchor.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum AnchorError {
    /// The file can not be read.
    #[error("cannot read trust anchor {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file holds a private key.
    #[error("{} is a private key, not a trust anchor", path.display())]
    PrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// The file holds no Ed25519 public key.
    #[error("{} is no Ed25519 public key in SPKI PEM", path.display())]
    NotAPublicKey {
        /// The file.
        path: PathBuf,
    },
    /// The key verifies anything, or nothing: its point has small order or is not canonically encoded.
    #[error("public key {} has small order", path.display())]
    WeakKey {
        /// The file.
        path: PathBuf,
    },
}

impl AnchorError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { .. } => "copy the publisher's .pub file there, or name where it is".to_owned(),
            Self::PrivateKey { .. } => {
                "take it off this machine and name the publisher's .pub file instead".to_owned()
            }
            Self::NotAPublicKey { .. } => "name the .pub file that `deltagate key generate` wrote".to_owned(),
            Self::WeakKey { .. } => "do not trust it, and ask the publisher where it comes from".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::publisher::key;

    fn in_file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("anchor");
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    #[test]
    fn a_private_key_is_named_as_such() {
        let dir = tempfile::tempdir().unwrap();
        let files = key::generate(&dir.path().join("k")).unwrap();
        let error = load_anchors(&[files.private_path]).unwrap_err();
        assert!(matches!(error, AnchorError::PrivateKey { .. }));
    }

    #[test]
    fn a_key_named_twice_counts_once() {
        let dir = tempfile::tempdir().unwrap();
        let public = key::generate(&dir.path().join("k")).unwrap().public_path;
        assert_eq!(load_anchors(&[public.clone(), public]).unwrap().len(), 1);
    }

    #[test]
    fn other_text_is_no_key() {
        let (_dir, path) = in_file("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n");
        assert!(matches!(
            load_anchors(&[path]),
            Err(AnchorError::NotAPublicKey { .. })
        ));
    }

    /// The RFC 8032 test key "a public key of RFC 8410 §10.1", as OpenSSL writes it.
    #[test]
    fn the_public_key_of_rfc_8410_is_read() {
        let (_dir, path) = in_file(
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n",
        );
        let anchors = load_anchors(&[path]).unwrap();
        assert_eq!(anchors[0].key[..4], [0x19, 0xbf, 0x44, 0x09]);
    }

    /// SPKI of the identity point: y = 1.
    #[test]
    fn a_key_of_small_order_is_refused() {
        let (_dir, path) = in_file(
            "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAAQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n-----END PUBLIC KEY-----\n",
        );
        assert!(matches!(load_anchors(&[path]), Err(AnchorError::WeakKey { .. })));
    }
}
