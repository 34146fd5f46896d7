//! What can be wrong with an envelope or a manifest, sorted by blame.

use core::fmt;

mod particulars;

pub(crate) use particulars::told;
pub use particulars::{Item, Number};

/// Why bytes are not an envelope or a manifest we can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManifestError {
    /// The bytes break the draft or CBOR: nobody should accept them.
    Malformed(Malformed),
    /// The bytes are legal and use something outside our profile.
    Unsupported(Unsupported),
}

/// How bytes break the draft or CBOR.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Malformed {
    /// The bytes end inside an item.
    Truncated,
    /// An item is of another CBOR type than its place asks for, or has an indefinite length.
    WrongType,
    /// There are bytes behind the end.
    TrailingBytes,
    /// A key stands in one map twice, or a COSE label in both headers.
    DuplicateKey,
    /// A value lies outside the range the draft gives it: named is where it stands.
    OutOfRange(Item),
    /// Something the draft makes mandatory is not there.
    Missing(Item),
}

/// What is legal and not ours. The numbers are those of the draft; `Display` gives their names. A number past 32 bits is told as the
/// nearest within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unsupported {
    /// More of something than our bounds hold: named is what.
    TooMany(Item),
    /// An envelope without tag 107.
    UntaggedEnvelope,
    /// An envelope member we do not know.
    EnvelopeMember(Number<i32>),
    /// A digest algorithm other than SHA-256 (-16).
    DigestAlgorithm(Number<i32>),
    /// A manifest under a tag: the draft's 1070, for one that travels alone.
    TaggedManifest,
    /// A manifest-version other than 1.
    ManifestVersion(Number<u32>),
    /// A sequence number past 32 bits.
    SequenceNumber,
    /// A manifest member outside the profile: install, load, reference-uri, …
    ManifestMember(Number<i32>),
    /// A member of common outside the profile: dependencies, …
    CommonMember(Number<i32>),
    /// More than one component, or one that is not `[h'00']`.
    Components,
    /// A command outside the profile, or at a place where the profile has none: try-each, fetch, copy, …
    Command(Number<i32>),
    /// A parameter outside the profile: uri, component-slot, …
    Parameter(Number<i32>),
    /// A vendor or class identifier that is not a UUID.
    IdentifierKind(Number<i32>),
    /// An image of more than [`IMAGE_BYTES_MAX`](crate::IMAGE_BYTES_MAX) bytes.
    ImageSize(Number<u32>),
    /// An install section that says something else than that the image replaced has at least some sequence number.
    Install,
    /// The profile asks for something the manifest may leave out: named is what.
    Without(Item),
    /// Text inside the manifest instead of its digest.
    UnseveredText,
}

/// Returned from function to function: with particulars in two registers, not through memory, and without them in a part of one.
const _: () = assert!(size_of::<ManifestError>() == if cfg!(feature = "particulars") { 8 } else { 2 });

impl From<Malformed> for ManifestError {
    fn from(malformed: Malformed) -> Self {
        Self::Malformed(malformed)
    }
}

impl From<Unsupported> for ManifestError {
    fn from(unsupported: Unsupported) -> Self {
        Self::Unsupported(unsupported)
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(malformed) => malformed.fmt(f),
            Self::Unsupported(unsupported) => unsupported.fmt(f),
        }
    }
}

impl core::error::Error for ManifestError {}
impl core::error::Error for Malformed {}
impl core::error::Error for Unsupported {}
