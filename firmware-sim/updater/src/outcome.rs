//! What becomes of updates, in numbers that are stored and in words.

use core::fmt;

use deltagate_flash::{AppendError, FlashError, SlotHeaderFault};
use wire_manifest::VerifyError;

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Outcome {
    /// The new image is in the slot and on trial, or it is the confirmed one.
    Done = 0,
    /// Refused: no envelope was staged.
    NoEnvelope = 1,
    /// Refused: not signed by a key that the device believes, or it says what we do not understand.
    Signature = 2,
    /// Refused: for another vendor's device, or another class.
    Class = 3,
    /// Refused: not newer than what runs or was confirmed, or given up before.
    Sequence = 4,
    /// Refused: what is staged is not the patch that was asked for.
    OtherPatch = 5,
    /// Refused: not a patch that can be applied in place, or not one to the image that was signed.
    UnusablePatch = 6,
    /// Refused: the patch is for another base than the one in the slot.
    OtherBase = 7,
    /// Refused: the slot has too little room for the image, or to move the base out of the patch's reach.
    NoRoom = 8,
    /// Refused: the decoder needs more memory, or its checkpoints more flash.
    NoMemory = 9,
    /// The update was given up, and the slot holds an image again that came another way.
    Restored = 10,
    /// Refused: it has to follow a newer image than the one that runs.
    Predecessor = 11,
}

impl Outcome {
    /// As stored.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Outcome::code`].
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            0 => Self::Done,
            1 => Self::NoEnvelope,
            2 => Self::Signature,
            3 => Self::Class,
            4 => Self::Sequence,
            5 => Self::OtherPatch,
            6 => Self::UnusablePatch,
            7 => Self::OtherBase,
            8 => Self::NoRoom,
            9 => Self::NoMemory,
            10 => Self::Restored,
            11 => Self::Predecessor,
            _ => return None,
        })
    }
}

impl Outcome {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Done => "the new image is in the slot",
            Self::NoEnvelope => "no envelope is staged",
            Self::Signature => "the envelope is not signed by a trusted key",
            Self::Class => "the image is for another kind of device",
            Self::Sequence => "the image is not newer",
            Self::OtherPatch => "what is staged is not the patch that was asked for",
            Self::UnusablePatch => "the patch cannot be applied in place, or makes another image",
            Self::OtherBase => "the patch is for another base",
            Self::NoRoom => "the slot has too little room",
            Self::NoMemory => "the decoder needs more memory",
            Self::Restored => "an image was brought from outside",
            Self::Predecessor => "the image has to follow a newer one than this",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// Why the slot holds no image that could run, and only a whole image helps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Lost {
    /// The patch turned out not to be one.
    Patch = 1,
    /// What was written is not the image that was signed.
    Digest = 2,
    /// A checkpoint could not be used.
    Checkpoint = 3,
    /// What the updater needs to go on is not there any more.
    Staging = 4,
    /// Somebody decided so: nothing in the slot starts.
    GivenUp = 5,
}

impl Lost {
    /// As stored.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The inverse of [`Lost::code`].
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Patch,
            2 => Self::Digest,
            3 => Self::Checkpoint,
            4 => Self::Staging,
            5 => Self::GivenUp,
            _ => return None,
        })
    }
}

impl Lost {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Patch => "the patch was malformed",
            Self::Digest => "what was written is not the signed image",
            Self::Checkpoint => "a checkpoint was damaged",
            Self::Staging => "what was staged is gone",
            Self::GivenUp => "nothing in the slot starts",
        }
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

/// Why a step was not taken. The journal is as it was, or one record further: after a reset the updater goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The flash failed.
    Flash(FlashError),
    /// The device has no identity and no keys.
    NotProvisioned,
    /// Misuse: not possible in this state, or after another fault.
    Misuse,
}

impl From<FlashError> for Fault {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl From<AppendError> for Fault {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Flash(error) => Self::Flash(error),
            _ => Self::Misuse,
        }
    }
}

impl From<SlotHeaderFault> for Fault {
    fn from(fault: SlotHeaderFault) -> Self {
        match fault {
            SlotHeaderFault::Flash(error) => Self::Flash(error),
            _ => Self::Misuse,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flash(error) => error.fmt(formatter),
            Self::NotProvisioned => formatter.write_str("the device is not provisioned"),
            Self::Misuse => formatter.write_str("the updater was asked for what it cannot do now"),
        }
    }
}

impl core::error::Error for Fault {}

impl From<VerifyError> for Outcome {
    fn from(_: VerifyError) -> Self {
        Self::Signature
    }
}
