//! What can be wrong with a body, read or written.

use core::fmt;

/// Why bytes are not a body this version reads. Every variant means the sender is wrong or newer than we are; nothing
/// of such a body is used. A key past 32 bits is told as the nearest within.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// The bytes end inside an item.
    Truncated,
    /// An item is of another CBOR type than the key's, or has an indefinite length.
    WrongType,
    /// A value lies outside the range the CDDL gives the key.
    OutOfRange {
        /// The map key the value stands under.
        key: i32,
    },
    /// A key stands in one map twice.
    DuplicateKey {
        /// The key.
        key: i32,
    },
    /// A key that must be there is not.
    MissingKey {
        /// The key.
        key: i32,
    },
    /// A map has more than [`ENTRIES_MAX`](crate::ENTRIES_MAX) entries.
    TooManyEntries,
    /// There are bytes behind the map.
    TrailingBytes,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("body ends inside an item"),
            Self::WrongType => f.write_str("item of an unexpected type or of indefinite length"),
            Self::OutOfRange { key } => write!(f, "value of key {key} is out of range"),
            Self::DuplicateKey { key } => write!(f, "key {key} stands twice in one map"),
            Self::MissingKey { key } => write!(f, "key {key} is missing"),
            Self::TooManyEntries => write!(f, "map has more than {} entries", crate::ENTRIES_MAX),
            Self::TrailingBytes => f.write_str("bytes follow the map"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// A device returns it from function to function: in two registers, not through memory.
const _: () = assert!(size_of::<DecodeError>() == 8);

/// Why a body was not written. Misuse by our caller: the buffer's contents are then unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is shorter than the body. `CHECK_IN_BYTES_MAX` and `ANSWER_BYTES_MAX` always suffice.
    NoSpace,
    /// A value lies outside the range the CDDL gives the key: a reader would refuse it.
    OutOfRange {
        /// The map key the value stands under.
        key: i32,
    },
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("body does not fit the buffer"),
            Self::OutOfRange { key } => write!(f, "value of key {key} is out of range"),
        }
    }
}

impl core::error::Error for EncodeError {}
