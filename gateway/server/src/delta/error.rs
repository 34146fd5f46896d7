//! What a delta command can not do, and what to do next. Whatever the error, nothing was changed.

use std::io;
use std::path::PathBuf;

use gateway_delta::EncodeError;
use thiserror::Error;
use wire_patch::DecodeError;

use crate::publisher::firmware::FirmwareError;

/// Why a delta command failed. [`hint`](Self::hint) says what to do, [`exit_code`](Self::exit_code) whose fault it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum DeltaError {
    /// A file can not be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A file is longer than anything it could be.
    #[error("cannot read {}: it has more than {bytes_max} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most we read.
        bytes_max: u64,
    },
    /// A file can not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// A firmware file can not become an image.
    #[error("cannot make an image of {}", path.display())]
    Image {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: FirmwareError,
    },
    /// The images do not fit a patch.
    #[error("cannot make a patch")]
    Encode(#[source] EncodeError),
    /// The patch that was just made does not decode: our fault.
    #[error("cannot make a patch: what was made does not decode")]
    NotProven(#[source] DecodeError),
    /// The patch that was just made gives another image: our fault.
    #[error("cannot make a patch: what was made gives another image")]
    OtherResult,
    /// The file is no patch, or a damaged one.
    #[error("cannot {operation} {}", path.display())]
    Patch {
        /// What was to be done.
        operation: &'static str,
        /// The patch.
        path: PathBuf,
        /// Why not.
        #[source]
        source: DecodeError,
    },
    /// The patch needs more memory than it may have.
    #[error("cannot apply the patch: it needs {needed} bytes of decoder memory, and may use {limit}")]
    MemoryLimit {
        /// What it needs.
        needed: u32,
        /// What it may have.
        limit: u32,
    },
    /// The patch was made for another image.
    #[error("the patch is for the image {expected}…, and {} is {found}", path.display())]
    OtherBase {
        /// The image that was given.
        path: PathBuf,
        /// Its digest.
        found: String,
        /// The leading digits of the right one's.
        expected: String,
    },
    /// The result is not the one asked for.
    #[error("cannot accept the new image: its digest is {found}, expected was {expected}")]
    UnexpectedDigest {
        /// What was asked for.
        expected: String,
        /// What came out.
        found: String,
    },
    /// A folder has nothing to measure.
    #[error("cannot find a pair of images to measure in {}", path.display())]
    NoPairs {
        /// The folder, or the table in it.
        path: PathBuf,
    },
    /// Ours failed on a pair of the benchmark: our fault.
    #[error("cannot patch {pair} with {tool}: {reason}")]
    BenchFailed {
        /// In which setting.
        tool: String,
        /// The pair.
        pair: String,
        /// What happened.
        reason: String,
    },
    /// Standard output can not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl DeltaError {
    /// What to do next, as one line for a terminal.
    pub fn hint(&self) -> Option<String> {
        let next = match self {
            Self::Read { .. } => "check the path",
            Self::TooLarge { .. } => "images have at most 16 MiB: is this the right file?",
            Self::Write { .. } => "choose a place that can be written",
            Self::Image { source, .. } => &source.hint().unwrap_or_else(|| "check the file".to_owned()),
            Self::Encode(EncodeError::ImageTooLarge { .. }) => "sign and serve the whole image instead",
            Self::Patch { source, .. } => after(*source),
            Self::MemoryLimit { .. } => {
                "make a patch for that memory: deltagate delta create --memory SIZE OLD NEW PATCH"
            }
            Self::NoPairs { .. } => {
                "name images PRODUCT/VERSION.bin, two or more of a product, or let scripts/corpus fetch some"
            }
            Self::OtherBase { .. } => {
                "give the image that the patch was made for, or make a patch for this one"
            }
            Self::UnexpectedDigest { .. } => "get the patch to the image you expect, or check its digest",
            Self::BenchFailed { .. } => {
                return Some(
                    "the results are written; please report it, with the images if you can".to_owned(),
                );
            }
            // Whatever happened before, it is not undone.
            Self::Output(_) => return None,
            _ => "this is a fault of deltagate: please report it, with the images if you can",
        };
        Some(format!("nothing changed; {next}"))
    }

    /// The process's exit code: 1 refused by the state of things, 3 internal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotProven(_) | Self::OtherResult | Self::BenchFailed { .. } => 3,
            _ => 1,
        }
    }
}

/// What to do about a patch that can not be decoded.
fn after(error: DecodeError) -> &'static str {
    match error {
        DecodeError::NotAPatch => {
            "give a file that `deltagate delta create` made; the old image comes before it"
        }
        DecodeError::UnknownVersion(_) | DecodeError::UnknownMemoryClass(_) => {
            "use the version of deltagate that made it, or make it again"
        }
        _ => "the patch is damaged or not complete: get it again",
    }
}
