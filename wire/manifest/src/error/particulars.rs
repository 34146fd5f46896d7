//! What an error says beside its kind: names and numbers, with the feature `particulars`, by which a person finds the place in the draft.
//!
//! A bootloader has nobody to tell them to. Without the feature they are types of no bytes, at the same places: what carries them
//! from function to function is 888 bytes of its flash.

use core::fmt;

use crate::{Malformed, Unsupported};

macro_rules! items {
    ($($item:ident $name:literal)*) => {
        /// Of what something is said. Without the feature `particulars` nothing is.
        #[cfg(feature = "particulars")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "`name` says what each is")]
        #[non_exhaustive]
        pub enum Item {
            $($item),*
        }

        #[cfg(feature = "particulars")]
        impl Item {
            /// In the draft's words.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$item => $name),*
                }
            }
        }

        /// Nothing: without the feature `particulars` errors say of nothing what it is.
        #[cfg(not(feature = "particulars"))]
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub struct Item;

        #[cfg(not(feature = "particulars"))]
        #[expect(missing_docs, non_upper_case_globals, reason = "they stand where the names do")]
        impl Item {
            $(pub const $item: Self = Self;)*
        }
    };
}

items! {
    Digest "digest"
    ManifestDigest "manifest digest"
    CoseSign1 "COSE_Sign1"
    SignatureAlgorithm "signature algorithm"
    HeaderLabels "header labels"
    Signatures "signatures"
    EnvelopeMembers "envelope members"
    AuthenticationWrapper "authentication-wrapper"
    Manifest "manifest"
    ManifestVersion "manifest-version"
    ManifestSequenceNumber "manifest-sequence-number"
    Common "common"
    Components "components"
    SharedSequence "shared-sequence"
    Validate "validate"
    Invoke "invoke"
    CommandSequence "command sequence"
    OverrideParameters "directive-override-parameters"
    VendorCondition "condition-vendor-identifier"
    ClassCondition "condition-class-identifier"
    ImageMatch "condition-image-match"
    InvokeDirective "directive-invoke"
    ReportingPolicy "reporting policy"
    Identifier "vendor or class identifier"
    VendorIdentifier "vendor-identifier"
    ClassIdentifier "class-identifier"
    ImageDigest "image-digest"
    ImageSize "image-size"
    Languages "languages"
    TextEntries "text entries"
}

/// A number of the draft's. Without the feature `particulars` it is not told.
#[cfg(feature = "particulars")]
pub type Number<T> = T;

/// A number that is not told.
#[cfg(not(feature = "particulars"))]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number<T>(core::marker::PhantomData<T>);

#[cfg(feature = "particulars")]
pub(crate) const fn told<T>(number: T) -> Number<T> {
    number
}

#[cfg(not(feature = "particulars"))]
pub(crate) const fn told<T: Copy>(_: T) -> Number<T> {
    Number(core::marker::PhantomData)
}

#[cfg(feature = "particulars")]
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

#[cfg(feature = "particulars")]
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
            Self::EnvelopeMember(key) => ("envelope member", key, crate::names::manifest_member(*key)),
            Self::DigestAlgorithm(id) => ("digest algorithm", id, crate::names::digest_algorithm(*id)),
            Self::ManifestMember(key) => ("manifest member", key, crate::names::manifest_member(*key)),
            Self::CommonMember(key) => ("member of common", key, crate::names::common_member(*key)),
            Self::Command(command) => ("command", command, crate::names::command(*command)),
            Self::Parameter(key) => ("parameter", key, crate::names::parameter(*key)),
            Self::IdentifierKind(key) => ("kind of parameter", key, crate::names::parameter(*key)),
        };
        match name {
            Some(name) => write!(f, "unsupported: {kind} {name} ({number})"),
            None => write!(f, "unsupported: {kind} {number}"),
        }
    }
}

#[cfg(not(feature = "particulars"))]
impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("malformed")
    }
}

#[cfg(not(feature = "particulars"))]
impl fmt::Display for Unsupported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("unsupported")
    }
}
