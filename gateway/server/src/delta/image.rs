//! Image files of a delta: raw, ELF or Intel HEX.

use std::path::Path;

use serde::Serialize;
use sha2::{Digest, Sha256};
use wire_patch::Header;

use super::{DeltaError, address, files, hex};
use crate::publisher::firmware::{FileFormat, Firmware, Gap, Machine};

/// Longest firmware file: an ELF of the largest image with plenty of debugging information.
const FIRMWARE_FILE_BYTES_MAX: u64 = 256 << 20;

/// An image file, flattened to the bytes that lie in flash.
#[derive(Clone, Debug)]
pub struct Image {
    /// What lies in flash.
    pub bytes: Vec<u8>,
    /// SHA-256 of them.
    pub digest: [u8; 32],
    /// Where the first byte lies, if the file says so.
    pub address: Option<u32>,
    /// What it runs on, if the file says so.
    pub machine: Option<Machine>,
    format: FileFormat,
    gaps: Vec<Gap>,
}

impl Image {
    /// Reads an image. An empty file is an empty image.
    pub fn read(path: &Path) -> Result<Self, DeltaError> {
        let file = files::read(path, FIRMWARE_FILE_BYTES_MAX)?;
        let firmware = if file.is_empty() {
            Firmware::raw(file)
        } else {
            Firmware::read(file).map_err(|source| DeltaError::Image {
                path: path.to_owned(),
                source,
            })?
        };
        Ok(Self {
            digest: Sha256::digest(&firmware.image).into(),
            // An image that lies beyond 32 bits has no address that a patch could name.
            address: firmware
                .base_address
                .and_then(|address| u32::try_from(address).ok()),
            bytes: firmware.image,
            machine: firmware.machine,
            format: firmware.format,
            gaps: firmware.gaps,
        })
    }

    /// Refuses to be the base of a patch that names another one.
    pub(super) fn must_be_base_of(&self, header: &Header, path: &Path) -> Result<(), DeltaError> {
        if self.digest.starts_with(&header.base_digest_prefix) {
            return Ok(());
        }
        Err(DeltaError::OtherBase {
            path: path.to_owned(),
            found: hex(&self.digest),
            expected: hex(&header.base_digest_prefix),
        })
    }

    /// For a document.
    pub(super) fn row(&self) -> ImageRow {
        ImageRow {
            digest: hex(&self.digest),
            size_bytes: self.bytes.len() as u64,
            format: self.format,
            machine: self.machine.map(|machine| machine.to_string()),
            address: self.address.map(address),
            gaps: self.gaps.iter().map(GapRow::of).collect(),
        }
    }
}

/// One image in a document.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ImageRow {
    digest: String,
    size_bytes: u64,
    format: FileFormat,
    machine: Option<String>,
    address: Option<String>,
    gaps: Vec<GapRow>,
}

/// A stretch that the file says nothing about.
#[derive(Clone, Debug, Serialize)]
struct GapRow {
    address: String,
    bytes: u64,
}

impl GapRow {
    fn of(gap: &Gap) -> Self {
        Self {
            address: format!("{:#010x}", gap.address),
            bytes: gap.bytes,
        }
    }
}

/// Gaps that are listed for people; the document has all.
const GAPS_SHOWN_MAX: usize = 4;

impl ImageRow {
    pub(super) fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// As lines for a terminal, the first of them under this name.
    pub(super) fn to_text(&self, name: &str) -> String {
        let mut text = format!("{name:<10} {} bytes, SHA-256 {}\n", self.size_bytes, self.digest);
        let format = match self.format {
            FileFormat::Raw => return text,
            FileFormat::Elf => "ELF",
            FileFormat::Hex => "Intel HEX",
        };
        let machine = (self.machine.as_ref()).map_or(String::new(), |machine| format!(" for {machine}"));
        let address = (self.address.as_ref()).map_or(String::new(), |address| format!(", at {address}"));
        text += &format!("{:<10} from {format}{machine}{address}\n", "");
        for gap in self.gaps.iter().take(GAPS_SHOWN_MAX) {
            text += &format!(
                "{:<10} gap of {} bytes at {}, filled with 0xff\n",
                "", gap.bytes, gap.address
            );
        }
        if let Some(more @ 1..) = self.gaps.len().checked_sub(GAPS_SHOWN_MAX) {
            text += &format!("{:<10} and {more} more gaps\n", "");
        }
        text
    }
}
