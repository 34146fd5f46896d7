//! What signs: a key in a file, or one that never leaves its token.

use std::ffi::OsStr;
use std::path::Path;

use wire_manifest::{Anchor, KeyId};

use super::PublisherError;
use super::key::PrivateKey;
use super::token::{TokenKey, TokenUri};

/// A private key that can be asked for signatures and for nothing else.
pub trait Signer {
    /// The public key, as gateways and devices trust it.
    fn anchor(&self) -> Anchor;

    /// The Ed25519 signature over `message`.
    fn sign(&self, message: &[u8]) -> Result<[u8; 64], PublisherError>;

    /// The key's id.
    fn key_id(&self) -> KeyId {
        self.anchor().key_id()
    }
}

/// The key of this name: a PKCS#11 URI, or else a file.
pub fn open(name: &OsStr) -> Result<Box<dyn Signer>, PublisherError> {
    Ok(match name.to_str().filter(|name| TokenUri::is_one(name)) {
        Some(uri) => Box::new(TokenKey::open(uri)?),
        None => Box::new(PrivateKey::load(Path::new(name))?),
    })
}
