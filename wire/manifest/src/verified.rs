//! The types that keep checked and unchecked apart, and the one way between them.

use core::borrow::Borrow;
use core::fmt;
use core::ops::Deref;

use crate::{
    Algorithm, Envelope, Malformed, Manifest, ManifestError, SignatureError, TrustAnchors, Unsupported,
    Verifier,
};

/// A value out of an envelope that was authentic. Only this crate can make one, after digest and signature matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }
}

impl<T> Deref for Verified<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

/// A value that was read and not authenticated.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Unverified<T>(T);

impl<T> Unverified<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(value)
    }

    /// The value, of which anybody may be the author: for showing it to people, and for tests.
    pub fn dangerous_unverified(&self) -> &T {
        &self.0
    }
}

/// Says that there is a value and hides it: logs are read as facts.
impl<T> fmt::Debug for Unverified<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Unverified(..)")
    }
}

/// Why an envelope gives no verified manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerifyError {
    /// Envelope or manifest break the draft or CBOR.
    Malformed(Malformed),
    /// Envelope or manifest are legal and use something outside our profile.
    Unsupported(Unsupported),
    /// The manifest is not the one the digest was made of.
    DigestMismatch,
    /// There is no signature at all.
    NotSigned,
    /// There are only authentication blocks of a kind we do not check.
    UnsupportedAuthentication,
    /// No signature is by a key we trust.
    UnknownKey,
    /// The signature that came nearest uses an algorithm we do not check.
    UnsupportedAlgorithm(Algorithm),
    /// A signature names a key we trust, and is not by it.
    BadSignature,
    /// Trusted keys signed it, and not as many as have to.
    TooFewSignatures,
}

impl VerifyError {
    /// Whether the fault lies with signature or digest, rather than with what the manifest says.
    pub fn is_authenticity(&self) -> bool {
        !matches!(self, Self::Malformed(_) | Self::Unsupported(_))
    }

    /// A clause without the particulars that `Display` gives: for programs too small to format.
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "the manifest is malformed",
            Self::Unsupported(_) => "the manifest uses what this version does not know",
            Self::DigestMismatch => "manifest does not match the digest that was signed",
            Self::NotSigned => "envelope is not signed",
            Self::UnsupportedAuthentication => "envelope has no COSE_Sign1 of a kind we check",
            Self::UnknownKey => "no signature is by a trusted key",
            Self::UnsupportedAlgorithm(_) => "signature algorithm is not supported",
            Self::BadSignature => "signature by a trusted key does not match",
            Self::TooFewSignatures => "not enough trusted keys signed it",
        }
    }

    /// How near a failed signature came to counting.
    pub(crate) fn nearness(&self) -> u8 {
        match self {
            Self::TooFewSignatures => 4,
            Self::BadSignature => 3,
            Self::UnsupportedAlgorithm(_) => 1,
            Self::UnknownKey => 2,
            _ => 0,
        }
    }
}

/// Reads `envelope`, checks its digest and that one of its signatures is by a trusted key, and interprets the manifest:
/// everything that must hold before a byte of payload is fetched or run.
///
/// Vendor, class and sequence number are the caller's to compare: only it knows its own.
pub fn verify<K: Borrow<[u8; 32]>>(
    envelope: &[u8],
    anchors: &TrustAnchors<'_, K>,
) -> Result<Verified<Manifest>, VerifyError> {
    verify_with(envelope, anchors)
}

/// As [`verify`], with another verifier.
pub fn verify_with(envelope: &[u8], verifier: &impl Verifier) -> Result<Verified<Manifest>, VerifyError> {
    let manifest = Envelope::parse(envelope)?.authenticate(verifier)?;
    Ok(Verified(Manifest::interpret(&manifest)?.0))
}

impl From<ManifestError> for VerifyError {
    fn from(error: ManifestError) -> Self {
        match error {
            ManifestError::Malformed(malformed) => Self::Malformed(malformed),
            ManifestError::Unsupported(unsupported) => Self::Unsupported(unsupported),
        }
    }
}

impl From<SignatureError> for VerifyError {
    fn from(error: SignatureError) -> Self {
        match error {
            SignatureError::UnknownKey => Self::UnknownKey,
            SignatureError::UnsupportedAlgorithm(algorithm) => Self::UnsupportedAlgorithm(algorithm),
            SignatureError::Invalid => Self::BadSignature,
        }
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unsupported(unsupported) => unsupported.fmt(f),
            Self::UnsupportedAlgorithm(algorithm) => {
                write!(f, "signature algorithm {algorithm} is not supported")
            }
            other => f.write_str(other.text()),
        }
    }
}

impl core::error::Error for VerifyError {}
