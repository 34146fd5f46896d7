//! Why a file can not become an image, and what to do next.

use thiserror::Error;
use wire_manifest::IMAGE_BYTES_MAX;

use super::FileFormat;
use super::mcuboot::Damage;
use super::pieces::PIECES_MAX;

/// Why a file can not become an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// There is nothing in it to load.
    #[error("it has no bytes to load")]
    Empty,
    /// The bytes of the image exceed [`IMAGE_BYTES_MAX`].
    #[error("image would have {bytes} bytes, more than {IMAGE_BYTES_MAX}")]
    TooLarge {
        /// What it would have, as far as was read.
        bytes: u64,
    },
    /// Two pieces lie farther apart than an image is long.
    #[error(
        "data at {address:#010x} would make an image of {bytes} bytes from {first:#010x} on, more than {IMAGE_BYTES_MAX}"
    )]
    TooFar {
        /// Where the piece lies that is too far up.
        address: u64,
        /// Where the image begins.
        first: u64,
        /// What the image would have, gaps included.
        bytes: u64,
    },
    /// The file is broken.
    #[error("{format} file is damaged: {problem}")]
    Damaged {
        /// What it was read as.
        format: FileFormat,
        /// What is wrong with it.
        problem: String,
    },
    /// A line of a text file is broken.
    #[error("line {line} of the {format} file is damaged: {problem}")]
    DamagedLine {
        /// What it was read as.
        format: FileFormat,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// An image that begins as those for MCUboot is none.
    #[error("it begins as an image for MCUboot, and {problem}")]
    DamagedMcuboot {
        /// What is wrong with it.
        problem: Damage,
    },
    /// MCUboot will not start the image.
    #[error("it is an image for MCUboot, and {problem}")]
    NotForMcuboot {
        /// What MCUboot would say.
        problem: &'static str,
    },
    /// A text file has no end record: a part of it is missing.
    #[error("{format} file ends early, without an end record")]
    EndsEarly {
        /// What it was read as.
        format: FileFormat,
    },
    /// Two pieces go to the same place.
    #[error("segments overlap at address {address:#x}")]
    Overlap {
        /// The first address that both want.
        address: u64,
    },
    /// More than 65,536 pieces that do not continue each other.
    #[error("it is in more than {PIECES_MAX} pieces")]
    TooManyPieces,
    /// A piece leaves the slot.
    #[error(
        "data at {address:#010x} lies outside the slot, which is {slot_bytes} bytes from {slot_address:#010x} on"
    )]
    OutsideSlot {
        /// The first address outside.
        address: u64,
        /// Where the slot begins.
        slot_address: u64,
        /// How long it is.
        slot_bytes: u64,
    },
    /// The image is longer than the slot.
    #[error("image has {bytes} bytes, and the slot {slot_bytes}")]
    LongerThanSlot {
        /// What the image has.
        bytes: u64,
        /// What the slot has.
        slot_bytes: u64,
    },
    /// The file holds several images.
    #[error("it is for several {what}: {found}")]
    Several {
        /// Of what there are several.
        what: &'static str,
        /// The option that chooses one.
        option: &'static str,
        /// Those that are in it.
        found: String,
    },
    /// What was chosen is not in the file.
    #[error("it has nothing for {wanted}, only for {found}")]
    NotThere {
        /// What was chosen.
        wanted: String,
        /// What is in it.
        found: String,
    },
    /// The file is not wrong, but not for us.
    #[error("{format} file {what}")]
    Unsupported {
        /// What it was read as.
        format: FileFormat,
        /// What it does.
        what: &'static str,
    },
    /// More than 256 program headers.
    #[error("ELF file has {0} program headers")]
    TooManySegments(usize),
}

impl FirmwareError {
    /// What to do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::TooLarge { .. } => {
                "give a raw image: objcopy -O binary -j SECTION … firmware.elf firmware.bin"
            }
            Self::TooFar { .. } => {
                "leave out what does not go into the slot, such as option bytes: objcopy --remove-section SECTION firmware.elf"
            }
            Self::Damaged { .. } | Self::DamagedLine { .. } | Self::EndsEarly { .. } => {
                "build or download the file again; what it is taken for can be said with --format"
            }
            Self::DamagedMcuboot { .. } | Self::NotForMcuboot { .. } => {
                "sign it again with imgtool, or take the bytes as they are with --format raw"
            }
            Self::Overlap { .. } => {
                "look for two programs merged into one file, such as a bootloader and an application"
            }
            Self::OutsideSlot { .. } => {
                "sign what goes into the slot only, without bootloader and option bytes; or correct --slot-address and --slot-bytes"
            }
            Self::LongerThanSlot { .. } => "make the image smaller, or correct --slot-bytes",
            Self::Several { option, .. } => return Some(format!("choose one with {option}")),
            Self::NotThere { .. } => "choose one that is in the file",
            Self::Unsupported { .. } => "give the program itself",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
