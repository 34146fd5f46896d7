//! What can be wrong with an envelope or a manifest, sorted by blame.

use core::fmt;

use crate::names;

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
    EnvelopeMember(i32),
    /// A digest algorithm other than SHA-256 (-16).
    DigestAlgorithm(i32),
    /// A manifest under a tag: the draft's 1070, for one that travels alone.
    TaggedManifest,
    /// A manifest-version other than 1.
    ManifestVersion(u32),
    /// A sequence number past 32 bits.
    SequenceNumber,
    /// A manifest member outside the profile: install, load, reference-uri, …
    ManifestMember(i32),
    /// A member of common outside the profile: dependencies, …
    CommonMember(i32),
    /// More than one component, or one that is not `[h'00']`.
    Components,
    /// A command outside the profile, or at a place where the profile has none: try-each, fetch, copy, …
    Command(i32),
    /// A parameter outside the profile: uri, component-slot, …
    Parameter(i32),
    /// A vendor or class identifier that is not a UUID.
    IdentifierKind(i32),
    /// An image of more than [`IMAGE_BYTES_MAX`](crate::IMAGE_BYTES_MAX) bytes.
    ImageSize(u32),
    /// An install section that says something else than that the image replaced has at least some sequence number.
    Install,
    /// The profile asks for something the manifest may leave out: named is what.
    Without(Item),
    /// Text inside the manifest instead of its digest.
    UnseveredText,
}

/// Of what something is said: a name of one byte, so that an error is no larger than a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "`name` says what each is")]
#[non_exhaustive]
pub enum Item {
    Digest,
    ManifestDigest,
    CoseSign1,
    SignatureAlgorithm,
    HeaderLabels,
    Signatures,
    EnvelopeMembers,
    AuthenticationWrapper,
    Manifest,
    ManifestVersion,
    ManifestSequenceNumber,
    Common,
    Components,
    SharedSequence,
    Validate,
    Invoke,
    CommandSequence,
    OverrideParameters,
    VendorCondition,
    ClassCondition,
    ImageMatch,
    InvokeDirective,
    ReportingPolicy,
    Identifier,
    VendorIdentifier,
    ClassIdentifier,
    ImageDigest,
    ImageSize,
    Languages,
    TextEntries,
}

impl Item {
    /// In the draft's words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::ManifestDigest => "manifest digest",
            Self::CoseSign1 => "COSE_Sign1",
            Self::SignatureAlgorithm => "signature algorithm",
            Self::HeaderLabels => "header labels",
            Self::Signatures => "signatures",
            Self::EnvelopeMembers => "envelope members",
            Self::AuthenticationWrapper => "authentication-wrapper",
            Self::Manifest => "manifest",
            Self::ManifestVersion => "manifest-version",
            Self::ManifestSequenceNumber => "manifest-sequence-number",
            Self::Common => "common",
            Self::Components => "components",
            Self::SharedSequence => "shared-sequence",
            Self::Validate => "validate",
            Self::Invoke => "invoke",
            Self::CommandSequence => "command sequence",
            Self::OverrideParameters => "directive-override-parameters",
            Self::VendorCondition => "condition-vendor-identifier",
            Self::ClassCondition => "condition-class-identifier",
            Self::ImageMatch => "condition-image-match",
            Self::InvokeDirective => "directive-invoke",
            Self::ReportingPolicy => "reporting policy",
            Self::Identifier => "vendor or class identifier",
            Self::VendorIdentifier => "vendor-identifier",
            Self::ClassIdentifier => "class-identifier",
            Self::ImageDigest => "image-digest",
            Self::ImageSize => "image-size",
            Self::Languages => "languages",
            Self::TextEntries => "text entries",
        }
    }
}

/// A device returns it from function to function: in two registers, not through memory.
const _: () = assert!(size_of::<ManifestError>() == 8);

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

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("malformed: bytes end inside an item"),
            Self::WrongType => f.write_str("malformed: item of an unexpected type or of indefinite length"),
            Self::TrailingBytes => f.write_str("malformed: bytes follow the end"),
            Self::DuplicateKey => f.write_str("malformed: key stands twice in one map"),
            Self::OutOfRange(place) => write!(f, "malformed: value of {} is out of range", place.name()),
            Self::Missing(what) => write!(f, "malformed: {} is missing", what.name()),
        }
    }
}

impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, number, name) = match self {
            Self::TooMany(what) => return write!(f, "unsupported: too many {}", what.name()),
            Self::UntaggedEnvelope => return f.write_str("unsupported: envelope without tag 107"),
            Self::TaggedManifest => return f.write_str("unsupported: manifest under a tag"),
            Self::ManifestVersion(version) => return write!(f, "unsupported: manifest-version {version}"),
            Self::SequenceNumber => return f.write_str("unsupported: sequence number exceeds 32 bits"),
            Self::Components => return f.write_str("unsupported: components other than the one [h'00']"),
            Self::ImageSize(bytes) => return write!(f, "unsupported: image of {bytes} bytes"),
            Self::Without(what) => return write!(f, "unsupported: manifest without {}", what.name()),
            Self::Install => {
                return f.write_str(
                    "unsupported: install section other than \"follows at least this sequence number\"",
                );
            }
            Self::UnseveredText => return f.write_str("unsupported: text inside the manifest"),
            Self::EnvelopeMember(key) => ("envelope member", key, names::manifest_member(*key)),
            Self::DigestAlgorithm(id) => ("digest algorithm", id, names::digest_algorithm(*id)),
            Self::ManifestMember(key) => ("manifest member", key, names::manifest_member(*key)),
            Self::CommonMember(key) => ("member of common", key, names::common_member(*key)),
            Self::Command(command) => ("command", command, names::command(*command)),
            Self::Parameter(key) => ("parameter", key, names::parameter(*key)),
            Self::IdentifierKind(key) => ("kind of parameter", key, names::parameter(*key)),
        };
        match name {
            Some(name) => write!(f, "unsupported: {kind} {name} ({number})"),
            None => write!(f, "unsupported: {kind} {number}"),
        }
    }
}

impl core::error::Error for ManifestError {}
impl core::error::Error for Malformed {}
impl core::error::Error for Unsupported {}
