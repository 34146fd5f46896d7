//! The only way an image gets in: verified against the configured anchors before a byte of it is kept.
//!
//! Order: verify, keep the bytes, then tell the core, which stores the record, then answer as soon as the plain image is
//! served. A crash in between leaves bytes that
//! no record names, and the next start removes them. What fails leaves one line in the audit trail and nothing else.

use std::sync::Arc;

use gateway_core::{Bytes, ClassId, ImageDigest, ImageRecord, VendorId};
use tokio::sync::Mutex;
use wire_manifest::Anchor;

use crate::admin::{AnswerResult, Calls, EngineAsk};
use crate::blobs::{BlobError, Blobs};
use crate::clock::unix_s;
use crate::error_chain::chain;
use crate::publisher::{ImportError, ImportedImage, verify_import};

/// Verifies files and keeps their images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Importer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    anchors: Vec<Anchor>,
    blobs: Arc<Blobs>,
    /// One import at a time, until the core has decided: two of the largest files at once would double the memory,
    /// and a refused import must not remove the bytes that a second one of the same image has just kept.
    one_at_a_time: Mutex<()>,
}

/// What a technician sent.
#[derive(Debug)]
pub struct ImportFile {
    /// The envelope, and behind it the image when that came in a file of its own.
    pub bytes: Vec<u8>,
    /// Where the detached image begins.
    pub detached_at: Option<usize>,
}

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("file is not one to import")]
    Verify(#[from] ImportError),
    #[error("detached image begins behind the end of what was sent")]
    Framing,
    #[error("cannot keep the image")]
    Blob(#[from] BlobError),
}

impl Importer {
    /// Trusts `anchors`, keeps images in `blobs`.
    pub fn new(anchors: Vec<Anchor>, blobs: Arc<Blobs>) -> Importer {
        Importer {
            shared: Arc::new(Shared {
                anchors,
                blobs,
                one_at_a_time: Mutex::new(()),
            }),
        }
    }

    /// Imports, and answers what the technician is told.
    pub async fn import(&self, file: ImportFile, calls: &Calls) -> AnswerResult {
        let _turn = self.shared.one_at_a_time.lock().await;
        let shared = Arc::clone(&self.shared);
        let kept = tokio::task::spawn_blocking(move || shared.keep(&file)).await;
        match kept {
            Ok(Ok(record)) => calls.ask(EngineAsk::Import(Box::new(record))).await,
            Ok(Err(rejected)) => {
                let problem = chain(&rejected);
                let hint = match &rejected {
                    Rejected::Verify(error) => Some(error.hint()),
                    Rejected::Blob(error) if error.is_full() => Some(FULL_HINT.to_owned()),
                    Rejected::Framing | Rejected::Blob(_) => None,
                };
                // The engine writes the audit line; it answers only when that is on disk.
                match calls.ask(EngineAsk::ImportRejected(problem.clone())).await {
                    AnswerResult::Refused { .. } if matches!(&rejected, Rejected::Blob(error) if !error.is_full()) => {
                        AnswerResult::Failed { problem }
                    }
                    AnswerResult::Refused { .. } => AnswerResult::Refused { problem, hint },
                    other => other,
                }
            }
            Err(panicked) => AnswerResult::Failed {
                problem: format!("import ended early: {panicked}"),
            },
        }
    }
}

/// What an import writes at most: the original, and the plain payloads that are made of it at once.
const COPIES: u64 = 3;

/// What helps when the disk is full.
const FULL_HINT: &str = "make room where state_dir lies, for example with deltagate image remove IMAGE, \
                         and set disk_bytes_max in gateway.toml so that old payloads go in time";

impl Shared {
    fn keep(&self, file: &ImportFile) -> Result<ImageRecord, Rejected> {
        let (envelope, detached) = match file.detached_at {
            None => (file.bytes.as_slice(), None),
            Some(at) => {
                let (envelope, image) = file.bytes.split_at_checked(at).ok_or(Rejected::Framing)?;
                (envelope, Some(image))
            }
        };
        let imported = verify_import(envelope, detached, &self.anchors)?;
        self.blobs.check_room(COPIES * imported.image.len() as u64)?;
        self.blobs.write_image(&imported.image)?;
        Ok(record(imported))
    }
}

fn record(imported: ImportedImage) -> ImageRecord {
    let manifest = &imported.manifest;
    ImageRecord {
        digest: ImageDigest(manifest.image_digest),
        size: Bytes(manifest.image_size.into()),
        vendor: VendorId(manifest.vendor_id),
        class: ClassId(manifest.class_id),
        sequence_number: manifest.sequence_number,
        predecessor_min: manifest.predecessor_min,
        version: imported.version.unwrap_or_default(),
        description: imported.description.unwrap_or_default(),
        envelope: imported.envelope,
        key_id: imported.key_id.0,
        imported_unix_s: unix_s(),
    }
}
