//! Firmware files as the field has them, flattened to the bytes a programmer would write to flash.
//!
//! What a file is shows in its first bytes, never in its name; [`ReadOptions::format`] goes before that. The bytes of a file come in
//! pieces, which `pieces` lays out: gaps read 0xff and are reported, what overlaps or leaves the slot is refused by its address.
//!
//! | module | what it reads |
//! |---|---|
//! | `dfuse` | DfuSe, and raw images with the suffix of USB DFU |
//! | `elf` | ELF, by its program headers |
//! | `hex` | Intel HEX |
//! | [`mcuboot`] | what an image says that was signed for MCUboot, in whatever file |
//! | `srec` | Motorola S-records |
//! | `uf2`, `uf2_family` | UF2, and which processor a family has |
//! | [`args`] | what a technician knows better than the file |
//! | [`describe`] | what was understood, for people and as JSON |

pub mod args;
pub mod describe;
mod dfuse;
mod elf;
mod error;
mod format;
mod hex;
mod machine;
pub mod mcuboot;
mod pieces;
mod srec;
mod uf2;
mod uf2_family;

use serde::Serialize;
use wire_manifest::IMAGE_BYTES_MAX;

pub use error::FirmwareError;
pub use format::FileFormat;
pub use machine::Machine;
pub use mcuboot::Mcuboot;
pub use pieces::{Gap, Slot};

/// Longest firmware file: an ELF of the largest image with plenty of debugging information.
pub const FIRMWARE_FILE_BYTES_MAX: u64 = 256 << 20;

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
    /// What no piece covers, in ascending order.
    pub gaps: Vec<Gap>,
    /// What else the file says.
    pub details: Vec<Detail>,
    /// What the image says of itself if it was signed for MCUboot; it is kept whole.
    pub mcuboot: Option<Mcuboot>,
    /// The device copies code from where the file puts it to where it runs.
    runs_elsewhere: bool,
}

/// One thing a file says beside its bytes, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detail {
    /// What it is about.
    pub name: &'static str,
    /// What is said, free of control characters.
    pub value: String,
}

impl Detail {
    fn new(name: &'static str, value: impl Into<String>) -> Self {
        Self {
            name,
            value: value.into(),
        }
    }
}

/// What is known better than the file says it. By default nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadOptions {
    /// What the file is; else its first bytes tell.
    pub format: Option<FileFormat>,
    /// Which of several families of a UF2 file.
    pub family: Option<u32>,
    /// Which of several targets of a DfuSe file, by its alternate setting.
    pub alternate: Option<u8>,
    /// Where the image must fit.
    pub slot: Slot,
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
            details: Vec::new(),
            mcuboot: None,
            runs_elsewhere: false,
        }
    }

    /// Where the first byte lies when the image runs, if the file says so.
    pub fn run_address(&self) -> Option<u64> {
        self.base_address.filter(|_| !self.runs_elsewhere)
    }

    /// Takes a file for what its first bytes say it is, anything unknown for a raw image.
    pub fn read(file: Vec<u8>) -> Result<Self, FirmwareError> {
        Self::read_with(file, &ReadOptions::default())
    }

    /// Takes a file for what it is said to be.
    pub fn read_with(file: Vec<u8>, options: &ReadOptions) -> Result<Self, FirmwareError> {
        let format = options.format.unwrap_or_else(|| FileFormat::of(&file));
        let firmware = match format {
            FileFormat::Raw => Self::of_raw(file, options)?,
            FileFormat::Elf => elf::read(&file, options)?,
            FileFormat::Hex => hex::read(&file, options)?,
            FileFormat::Srec => srec::read(&file, options)?,
            FileFormat::Uf2 => uf2::read(&file, options)?,
            FileFormat::DfuSe => dfuse::read_dfuse(&file, options)?,
            FileFormat::Dfu => dfuse::read_dfu(&file, options)?,
        };
        match firmware.image.len() {
            0 => Err(FirmwareError::Empty),
            _ if options.format == Some(FileFormat::Raw) => Ok(firmware),
            _ => firmware.understand(),
        }
    }

    /// Adds what the image says of itself.
    fn understand(mut self) -> Result<Self, FirmwareError> {
        let Some(mcuboot) = mcuboot::read(&self.image) else {
            return Ok(self);
        };
        let mcuboot = mcuboot.map_err(|problem| FirmwareError::DamagedMcuboot { problem })?;
        self.base_address = self.base_address.or(mcuboot.load_address.map(u64::from));
        self.mcuboot = Some(mcuboot);
        Ok(self)
    }

    fn of_raw(image: Vec<u8>, options: &ReadOptions) -> Result<Self, FirmwareError> {
        let bytes = image.len() as u64;
        if bytes > u64::from(IMAGE_BYTES_MAX) {
            return Err(FirmwareError::TooLarge { bytes });
        }
        options.slot.must_hold(bytes)?;
        Ok(Self::raw(image))
    }
}

/// What a file is whose first bytes are these, for people; `None`: raw, or no firmware file.
pub fn kind(start: &[u8]) -> Option<String> {
    match FileFormat::of(start) {
        _ if mcuboot::read(start).is_some() => Some("an image for MCUboot".to_owned()),
        FileFormat::Raw => None,
        format => Some(format!("a firmware file ({format})")),
    }
}

#[cfg(test)]
mod tests;
