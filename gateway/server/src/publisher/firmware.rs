//! Firmware files: raw images as they are; ELF and Intel HEX files flattened to the bytes a programmer would write to flash.

mod elf;
mod hex;

use std::fmt;

use serde::Serialize;
use thiserror::Error;
use wire_manifest::IMAGE_BYTES_MAX;

/// What erased flash reads as; fills the gaps between segments.
const ERASED: u8 = 0xff;

/// An image, ready to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// The image's bytes.
    pub image: Vec<u8>,
    /// What it came in.
    pub format: FileFormat,
    /// Where the first byte goes, if the file says so.
    pub base_address: Option<u64>,
    /// The processor it runs on, if the file says so.
    pub machine: Option<Machine>,
    /// What no segment covers, in ascending order.
    pub gaps: Vec<Gap>,
}

/// What an image came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FileFormat {
    /// The bytes themselves.
    Raw,
    /// ELF, 32 or 64 bits.
    Elf,
    /// Intel HEX.
    Hex,
}

/// A family of processors, as ELF files name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// 32-bit Arm, which on a microcontroller means Thumb.
    Arm,
    /// 64-bit Arm.
    AArch64,
    /// RISC-V of 32 bits.
    RiscV32,
    /// RISC-V of 64 bits.
    RiscV64,
    /// Xtensa.
    Xtensa,
    /// AVR.
    Avr,
    /// Another one, by its number.
    Other(u16),
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm => f.write_str("Arm"),
            Self::AArch64 => f.write_str("AArch64"),
            Self::RiscV32 => f.write_str("RISC-V 32"),
            Self::RiscV64 => f.write_str("RISC-V 64"),
            Self::Xtensa => f.write_str("Xtensa"),
            Self::Avr => f.write_str("AVR"),
            Self::Other(number) => write!(f, "ELF machine {number}"),
        }
    }
}

/// A stretch of an image that no segment of the file covers, filled with 0xff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Physical address of its first byte.
    pub address: u64,
    /// Its length.
    pub bytes: u64,
}

impl Firmware {
    /// These bytes, whatever they look like.
    pub fn raw(image: Vec<u8>) -> Self {
        Self {
            image,
            format: FileFormat::Raw,
            base_address: None,
            machine: None,
            gaps: Vec::new(),
        }
    }

    /// Takes a file: an ELF by its magic, Intel HEX by its first line, anything else as a raw image.
    pub fn read(file: Vec<u8>) -> Result<Self, FirmwareError> {
        let firmware = if file.starts_with(b"\x7fELF") {
            elf::read(&file)?
        } else if hex::is_hex(&file) {
            hex::read(&file)?
        } else {
            Self::raw(file)
        };
        match firmware.image.len() as u64 {
            0 => Err(FirmwareError::Empty),
            bytes if bytes > u64::from(IMAGE_BYTES_MAX) => Err(FirmwareError::TooLarge { bytes }),
            _ => Ok(firmware),
        }
    }
}

/// Why a file can not become an image.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FirmwareError {
    /// There is nothing in it to load.
    #[error("it has no bytes to load")]
    Empty,
    /// The image, gaps included, exceeds [`IMAGE_BYTES_MAX`].
    #[error("image would have {bytes} bytes, more than {IMAGE_BYTES_MAX}")]
    TooLarge {
        /// What it would have.
        bytes: u64,
    },
    /// The ELF file is broken.
    #[error("ELF file is damaged: {0}")]
    Damaged(String),
    /// The Intel HEX file is broken.
    #[error("line {line} of the Intel HEX file is damaged: {problem}")]
    DamagedHex {
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The Intel HEX file has no end record: a part of it is missing.
    #[error("Intel HEX file ends early, without an end record")]
    HexEndsEarly,
    /// Two segments go to the same place.
    #[error("segments overlap at address {address:#x}")]
    Overlap {
        /// The first address that both want.
        address: u64,
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
            Self::DamagedHex { .. } | Self::HexEndsEarly => "build or download the file again",
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// Bytes that go to one place.
struct Segment<Bytes> {
    address: u64,
    data: Bytes,
}

/// Segments in the order of their addresses, erased flash between them.
fn lay_out<Bytes: AsRef<[u8]>>(
    mut segments: Vec<Segment<Bytes>>,
    format: FileFormat,
    machine: Option<Machine>,
) -> Result<Firmware, FirmwareError> {
    segments.sort_by_key(|segment| segment.address);
    let Some(first) = segments.first() else {
        return Err(FirmwareError::Empty);
    };
    let base = first.address;
    let mut firmware = Firmware {
        image: Vec::new(),
        format,
        base_address: Some(base),
        machine,
        gaps: Vec::new(),
    };
    for Segment { address, data } in segments {
        let data = data.as_ref();
        let end = base + firmware.image.len() as u64;
        if address < end {
            return Err(FirmwareError::Overlap { address });
        }
        let span = (address - base).saturating_add(data.len() as u64);
        if span > u64::from(IMAGE_BYTES_MAX) {
            return Err(FirmwareError::TooLarge { bytes: span });
        }
        if address > end {
            firmware.gaps.push(Gap {
                address: end,
                bytes: address - end,
            });
            firmware.image.resize((address - base) as usize, ERASED);
        }
        firmware.image.extend_from_slice(data);
    }
    Ok(firmware)
}

#[cfg(test)]
mod tests;
