//! Why a patch was not applied.

use core::fmt;

/// Why a patch was not applied. Sorted by blame: the bytes, a format that is not ours, the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DecodeError {
    /// Malformed: shorter than a header, or the coded stream ends before the image is complete.
    Truncated,
    /// Malformed: the image is complete but coded bytes remain.
    TrailingBytes,
    /// Malformed: a number in the control stream has more digits than any legal one.
    NumberTooLarge,
    /// Malformed: a control triple that yields no byte.
    EmptyTriple,
    /// Malformed: the control stream asks for more bytes than the image has left.
    OutputOverrun,
    /// Malformed: a copy from outside the base image and the output written so far.
    SourceOutOfRange,
    /// Malformed: a patch to be applied in place with a reach of nothing.
    NoReach,
    /// Malformed: a copy from a part of the base that the result may have overwritten.
    SourceOutOfReach,
    /// The image was produced but its CRC-32 is not the one in the header: corrupt patch or wrong base.
    ResultMismatch,
    /// Unsupported: the first bytes are not those of this format.
    NotAPatch,
    /// Unsupported: this format, in another version than ours.
    UnknownVersion(u8),
    /// Unsupported: a memory class this decoder does not know.
    UnknownMemoryClass(u8),
    /// Unsupported: an instruction set this decoder does not know. Nothing was written.
    UnknownInstructionSet(u8),
    /// The patch needs more decoder memory than the caller gave. Nothing was written.
    MemoryTooSmall {
        /// Bytes the patch was made for.
        needed: u32,
        /// Bytes the caller gave.
        given: u32,
    },
    /// The base image has not the length the header states. Nothing was written.
    BaseLength {
        /// The length in the header.
        expected: u32,
        /// The length of what the caller gave.
        found: u32,
    },
    /// The caller's base image could not be read.
    BaseUnreadable,
    /// The caller's patch could not be read.
    PatchUnreadable,
    /// The caller's output could not be written or read back.
    OutputFailed,
    /// Misuse: `step` after an error.
    Poisoned,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Truncated => f.write_str("patch ends early"),
            Self::TrailingBytes => f.write_str("patch has bytes after its end"),
            Self::NumberTooLarge => f.write_str("patch holds a number that is too large"),
            Self::EmptyTriple => f.write_str("patch holds a control triple without bytes"),
            Self::OutputOverrun => f.write_str("patch yields more bytes than it declares"),
            Self::SourceOutOfRange => f.write_str("patch copies from outside its sources"),
            Self::NoReach => f.write_str("patch has no reach"),
            Self::SourceOutOfReach => f.write_str("patch copies from behind its reach"),
            Self::ResultMismatch => f.write_str("patched image has the wrong checksum"),
            Self::NotAPatch => f.write_str("not a deltagate patch"),
            Self::UnknownVersion(version) => write!(f, "patch of unknown version {version}"),
            Self::UnknownMemoryClass(class) => write!(f, "patch of unknown memory class {class}"),
            Self::UnknownInstructionSet(isa) => write!(f, "patch for unknown instruction set {isa}"),
            Self::MemoryTooSmall { needed, given } => {
                write!(f, "patch needs {needed} bytes of decoder memory (has {given})")
            }
            Self::BaseLength { expected, found } => {
                write!(f, "patch is for a base of {expected} bytes (found {found})")
            }
            Self::BaseUnreadable => f.write_str("base image could not be read"),
            Self::PatchUnreadable => f.write_str("patch could not be read"),
            Self::OutputFailed => f.write_str("patched image could not be written"),
            Self::Poisoned => f.write_str("decoder was stepped after an error"),
        }
    }
}

impl core::error::Error for DecodeError {}

/// What may go wrong while bytes are made. One byte: it is handed up through every model, which is code wherever it passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Truncated,
    PatchUnreadable,
    BaseUnreadable,
    OutputFailed,
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated,
            Fault::PatchUnreadable => Self::PatchUnreadable,
            Fault::BaseUnreadable => Self::BaseUnreadable,
            Fault::OutputFailed => Self::OutputFailed,
        }
    }
}
