//! Image files of a delta, in any format of [`crate::publisher::firmware`].

use std::path::Path;

use sha2::{Digest, Sha256};
use wire_patch::Header;

use super::{DeltaError, files, hex};
use crate::publisher::firmware::describe::Description;
use crate::publisher::firmware::{FIRMWARE_FILE_BYTES_MAX, Firmware, Machine, ReadOptions};

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
    description: Description,
}

impl Image {
    /// Reads an image. An empty file is an empty image.
    pub fn read(path: &Path, options: &ReadOptions) -> Result<Self, DeltaError> {
        let file = files::read(path, FIRMWARE_FILE_BYTES_MAX)?;
        let firmware = if file.is_empty() {
            Firmware::raw(file)
        } else {
            Firmware::read_with(file, options).map_err(|source| DeltaError::Image {
                path: path.to_owned(),
                source,
            })?
        };
        Ok(Self {
            description: Description::of(&firmware),
            digest: Sha256::digest(&firmware.image).into(),
            // An image that lies beyond 32 bits has no address that a patch could name.
            address: firmware
                .run_address()
                .and_then(|address| u32::try_from(address).ok()),
            bytes: firmware.image,
            machine: firmware.machine,
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
    pub(super) fn row(&self) -> Description {
        self.description.clone()
    }
}

/// As lines for a terminal, the first of them under this name.
pub(super) fn to_text(image: &Description, name: &str) -> String {
    let mut text = format!(
        "{name:<10} {} bytes, SHA-256 {}\n",
        image.size_bytes, image.digest
    );
    for line in image.lines() {
        text += &format!("{:<10} {line}\n", "");
    }
    text
}
