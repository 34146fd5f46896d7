//! Keys that are trusted, and what checks a signature.

use core::borrow::Borrow;
use core::fmt;

use crate::sha::sha256;
use crate::{Algorithm, Signature, ed25519};

/// The name of a key: the first 8 bytes of the SHA-256 of the raw Ed25519 public key. COSE carries it as `kid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(
    /// The bytes, as in the `kid` header.
    pub [u8; 8],
);

impl KeyId {
    /// The id of this raw public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(&[public_key]);
        Self([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A key whose signatures count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The raw Ed25519 public key (RFC 8032 §5.1.5).
    pub key: [u8; 32],
}

impl Anchor {
    /// The key's id.
    pub fn key_id(&self) -> KeyId {
        KeyId::of(&self.key)
    }

    /// Whether the key can verify anything: it is the canonical encoding of a point that has no small order.
    pub fn is_usable(&self) -> bool {
        ed25519::is_usable(&self.key)
    }
}

impl Borrow<[u8; 32]> for Anchor {
    fn borrow(&self) -> &[u8; 32] {
        &self.key
    }
}

/// The keys a device or gateway trusts, and how many of them have to sign. A device's are the keys as they are stored.
#[derive(Clone, Copy, Debug)]
pub struct TrustAnchors<'a, K = Anchor> {
    anchors: &'a [K],
    least: u8,
}

impl<'a, K: Borrow<[u8; 32]>> TrustAnchors<'a, K> {
    /// Trusts these keys; any one of them is enough. With none, nothing verifies.
    pub const fn new(anchors: &'a [K]) -> Self {
        Self::at_least(1, anchors)
    }

    /// Trusts these keys, if at least so many of them sign, at least one. A key that is named twice would count twice.
    pub const fn at_least(least: u8, anchors: &'a [K]) -> Self {
        Self { anchors, least }
    }

    /// The key of this id.
    pub fn find(&self, key_id: KeyId) -> Option<&'a K> {
        self.anchors
            .iter()
            .find(|anchor| KeyId::of((*anchor).borrow()) == key_id)
    }
}

/// Decides whether a signature counts. [`TrustAnchors`] is the one that everybody uses; a gateway asks a second
/// implementation as well, and the tests bring one for the draft's ES256.
pub trait Verifier {
    /// Checks `signature` over `to_be_signed`, the encoded Sig_structure. Which key it is by, as a bit of its own.
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<u32, SignatureError>;

    /// Whether these keys together are enough; of none, they are not.
    fn suffices(&self, signers: u32) -> bool {
        signers != 0
    }
}

/// Why a signature does not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignatureError {
    /// No trusted key has this id, or the signature names none.
    UnknownKey,
    /// Made with an algorithm this verifier does not check.
    UnsupportedAlgorithm(Algorithm),
    /// By a trusted key, and wrong: somebody altered the manifest or the signature.
    Invalid,
}

/// The one verifier of publisher, gateway, agent and bootloader, so that none of them accepts what another refuses.
impl<K: Borrow<[u8; 32]>> Verifier for TrustAnchors<'_, K> {
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<u32, SignatureError> {
        let (Algorithm::Ed25519 | Algorithm::EdDsa) = signature.algorithm else {
            return Err(SignatureError::UnsupportedAlgorithm(signature.algorithm));
        };
        let id = signature.key_id().ok_or(SignatureError::UnknownKey)?;
        let mut bit = 1;
        for key in self.anchors.iter().map(Borrow::borrow) {
            if KeyId::of(key) == id {
                return match ed25519::verify(key, to_be_signed, signature.signature) {
                    true => Ok(bit),
                    false => Err(SignatureError::Invalid),
                };
            }
            bit <<= 1;
        }
        Err(SignatureError::UnknownKey)
    }

    fn suffices(&self, signers: u32) -> bool {
        signers.count_ones() >= u32::from(self.least.max(1))
    }
}
