//! `deltagate delta apply`: an old image and a patch in, the new image out.

use std::path::PathBuf;

use clap::Args;
use serde::Serialize;
use sha2::{Digest, Sha256};
use wire_patch::Header;

use super::create::Memory;
use super::image::Image;
use super::{DeltaError, Report, decode, files, hex};
use crate::publisher::firmware::args::FirmwareArgs;

/// Longest patch file: an image coded as nothing but surprises, and room.
pub(super) const PATCH_BYTES_MAX: u64 = 32 << 20;

/// Make the new image from the old one and a patch.
#[derive(Args, Clone, Debug)]
pub struct ApplyArgs {
    /// Refuse patches that need more decoder memory than this, from 4KiB to 128KiB
    #[arg(long, value_name = "LIMIT", hide_possible_values = true)]
    pub memory: Option<Memory>,
    /// Refuse a result with another digest than this one of 64 hex digits
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub expect_sha256: Option<String>,
    /// How the old image is read
    #[command(flatten)]
    pub firmware: FirmwareArgs,
    /// The image the patch was made for
    pub old: PathBuf,
    /// What `delta create` made
    pub patch: PathBuf,
    /// Where the new image goes
    pub new: PathBuf,
}

impl ApplyArgs {
    /// Checks everything that can be checked, decodes, and writes the image.
    pub(super) fn run(&self) -> Result<Applied, DeltaError> {
        let not_applied = |source| DeltaError::Patch {
            operation: "apply",
            path: self.patch.clone(),
            source,
        };
        let patch = files::read(&self.patch, PATCH_BYTES_MAX)?;
        let header = Header::parse(&patch).map_err(not_applied)?;
        if let Some(limit) = self.memory
            && header.memory > limit.class()
        {
            return Err(DeltaError::MemoryLimit {
                needed: header.memory.bytes(),
                limit: limit.class().bytes(),
            });
        }
        let old = Image::read(&self.old, &self.firmware.options())?;
        old.must_be_base_of(&header, &self.old)?;
        let new = decode::apply(&old.bytes, &patch).map_err(not_applied)?;
        let digest = hex(&Sha256::digest(&new));
        if let Some(expected) = &self.expect_sha256
            && *expected != digest
        {
            return Err(DeltaError::UnexpectedDigest {
                expected: expected.clone(),
                found: digest,
            });
        }
        files::write(&self.new, &new)?;
        Ok(Applied {
            image: self.new.display().to_string(),
            size_bytes: new.len() as u64,
            digest,
            is_expected: self.expect_sha256.as_ref().map(|_| true),
        })
    }
}

/// What was made.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Applied {
    image: String,
    size_bytes: u64,
    digest: String,
    /// `null`: nothing was expected.
    is_expected: Option<bool>,
}

impl Report for Applied {
    fn to_text(&self) -> String {
        let expected = if self.is_expected == Some(true) {
            ", as expected"
        } else {
            ""
        };
        format!(
            "new        {} bytes, SHA-256 {}{expected}\nwritten    {}\n",
            self.size_bytes, self.digest, self.image
        )
    }
}

/// A digest as typed, in lower case.
fn sha256(text: &str) -> Result<String, String> {
    if text.len() == 64 && text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        Ok(text.to_ascii_lowercase())
    } else {
        Err("not a SHA-256 of 64 hex digits".to_owned())
    }
}
