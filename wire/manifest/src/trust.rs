//! Keys that are trusted, and what checks a signature.

use core::fmt;

use ed25519_dalek::{Signature as Ed25519Signature, VerifyingKey};

use crate::cbor::sha256;
use crate::{Algorithm, Signature};

/// The name of a key: the first 8 bytes of the SHA-256 of the raw Ed25519 public key. COSE carries it as `kid`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(
    /// The bytes, as in the `kid` header.
    pub [u8; 8],
);

impl KeyId {
    /// The id of this raw public key.
    pub fn of(public_key: &[u8; 32]) -> Self {
        let [a, b, c, d, e, f, g, h, ..] = sha256(public_key);
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
        self.point().is_some_and(|point| !point.is_weak())
    }

    /// The point, decoded as RFC 8032 §5.1.3 asks: y is below p = 2²⁵⁵ − 19. The decoder we use takes greater ones modulo p
    /// (ZIP 215). The other encoding that the clause refuses, x = 0 with its sign set, is of points of small order.
    fn point(&self) -> Option<VerifyingKey> {
        let [first, middle @ .., last] = &self.key;
        let is_below_p = *first < 0xED || middle.iter().any(|&byte| byte != 0xFF) || last | 0x80 != 0xFF;
        match VerifyingKey::from_bytes(&self.key) {
            Ok(point) if is_below_p => Some(point),
            _ => None,
        }
    }

    /// Whether `signature` over `message` is by this key: RFC 8032 §5.1.7 in its strictest reading, `verify_strict` of
    /// ed25519-dalek. S is below L, key and R have no small order, and R is, byte for byte, what S and the key give, without
    /// a cofactor. What passes here passes any verifier.
    ///
    /// Not inlined: its stack, the deepest there is, shall be in use for no longer than it takes.
    #[inline(never)]
    fn signed(&self, message: &[u8], signature: &[u8]) -> bool {
        match (self.point(), Ed25519Signature::from_slice(signature)) {
            (Some(point), Ok(signature)) => point.verify_strict(message, &signature).is_ok(),
            _ => false,
        }
    }
}

/// The keys a device or gateway trusts. Any one of them is enough.
#[derive(Clone, Copy, Debug)]
pub struct TrustAnchors<'a> {
    anchors: &'a [Anchor],
}

impl<'a> TrustAnchors<'a> {
    /// Trusts these keys. With none, nothing verifies.
    pub const fn new(anchors: &'a [Anchor]) -> Self {
        Self { anchors }
    }

    /// The key of this id.
    pub fn find(&self, key_id: KeyId) -> Option<&'a Anchor> {
        self.anchors.iter().find(|anchor| anchor.key_id() == key_id)
    }
}

/// Decides whether a signature counts. [`TrustAnchors`] is the one that everybody uses; the tests bring one for the draft's
/// ES256.
pub trait Verifier {
    /// Checks `signature` over `to_be_signed`, the encoded Sig_structure.
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<(), SignatureError>;
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
impl Verifier for TrustAnchors<'_> {
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<(), SignatureError> {
        let (Algorithm::Ed25519 | Algorithm::EdDsa) = signature.algorithm else {
            return Err(SignatureError::UnsupportedAlgorithm(signature.algorithm));
        };
        let anchor = signature
            .key_id()
            .and_then(|id| self.find(id))
            .ok_or(SignatureError::UnknownKey)?;
        match anchor.signed(to_be_signed, signature.signature) {
            true => Ok(()),
            false => Err(SignatureError::Invalid),
        }
    }
}
