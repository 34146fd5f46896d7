//! The only way an image gets in: verified against the configured anchors before a byte of it is kept.
//!
//! Order: verify, keep the bytes, then tell the core, which stores the record, then answer as soon as the plain image is
//! served. A crash in between leaves bytes that
//! no record names, and the next start removes them. What fails leaves one line in the audit trail and nothing else.

use std::sync::Arc;

use gateway_core::{AnchorsRecord, Bytes, ClassId, ImageDigest, ImageRecord, StatementRecord, VendorId};
use tokio::sync::Mutex;
use wire_manifest::{Envelope, VerifyError};

use crate::admin::{AnswerResult, Ask, Calls, EngineAsk, Secrets};
use crate::blobs::{BlobError, Blobs};
use crate::clock::unix_s;
use crate::error_chain::chain;
use crate::publisher::latest::imported_latest;
use crate::publisher::{ImportError, ImportedImage, verify_import};
use crate::trust::{Trust, Trusted};

/// Verifies files and keeps their images. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Importer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    trust: Trust,
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

/// What a file was.
enum Kept {
    /// An image, whose bytes are kept.
    Image(Box<ImageRecord>),
    /// What its publisher states to be the latest.
    Statement(Box<StatementRecord>),
}

/// Why nothing was kept.
#[derive(Debug, thiserror::Error)]
enum Rejected {
    #[error("file is not one to import")]
    Verify(#[from] ImportError),
    #[error("set {set} of trust anchors does not let the file in")]
    Set {
        set: u16,
        #[source]
        error: ImportError,
    },
    #[error(
        "set {set} of trust anchors lets no sequence number above {max} in, and the file has {sequence_number}"
    )]
    Sequence {
        set: u16,
        max: u32,
        sequence_number: u64,
    },
    #[error("detached image begins behind the end of what was sent")]
    Framing,
    #[error("cannot keep the image")]
    Blob(#[from] BlobError),
}

impl Importer {
    /// Keeps images in `blobs`.
    pub fn new(trust: Trust, blobs: Arc<Blobs>) -> Importer {
        Importer {
            shared: Arc::new(Shared {
                trust,
                blobs,
                one_at_a_time: Mutex::new(()),
            }),
        }
    }

    /// Puts a set of trust anchors in force. No image is verified meanwhile, so that none comes in under the set before.
    pub async fn import_anchors(&self, envelope: Secrets, calls: &Calls) -> AnswerResult {
        let _turn = self.shared.one_at_a_time.lock().await;
        let record = AnchorsRecord::read(&envelope, unix_s());
        let answer = calls
            .ask(EngineAsk::WithBody(Ask::AnchorsImport {}, envelope))
            .await;
        if let (AnswerResult::Ok(_), Some(record)) = (&answer, record) {
            self.shared.trust.add(record);
        }
        answer
    }

    /// Imports, and answers what the technician is told.
    pub async fn import(&self, file: ImportFile, calls: &Calls) -> AnswerResult {
        let _turn = self.shared.one_at_a_time.lock().await;
        let shared = Arc::clone(&self.shared);
        let kept = tokio::task::spawn_blocking(move || shared.keep(&file)).await;
        match kept {
            Ok(Ok(Kept::Image(record))) => calls.ask(EngineAsk::Import(record)).await,
            Ok(Ok(Kept::Statement(record))) => calls.ask(EngineAsk::ImportStatement(record)).await,
            Ok(Err(rejected)) => {
                let problem = chain(&rejected);
                let hint = match &rejected {
                    Rejected::Verify(error) => Some(error.hint()),
                    Rejected::Set { error, .. } => Some(set_hint(error)),
                    Rejected::Sequence { .. } => Some(
                        "ask the publisher for a set with a higher --sequence-max: deltagate anchors import FILE".to_owned(),
                    ),
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
    fn keep(&self, file: &ImportFile) -> Result<Kept, Rejected> {
        let (envelope, detached) = match file.detached_at {
            None => (file.bytes.as_slice(), None),
            Some(at) => {
                let (envelope, image) = file.bytes.split_at_checked(at).ok_or(Rejected::Framing)?;
                (envelope, Some(image))
            }
        };
        let trusted = self.trust.of(class_of(envelope));
        let imported = verify(envelope, detached, &trusted)?;
        if let Some(statement) = imported_latest(&imported, &trusted.keys)? {
            return Ok(Kept::Statement(Box::new(StatementRecord {
                vendor: VendorId(statement.vendor_id),
                class: ClassId(statement.class_id),
                signed: statement.signed,
                key_id: statement.key_id.0,
                imported_unix_s: unix_s(),
            })));
        }
        check_sequence(&imported, &trusted)?;
        self.blobs.check_room(COPIES * imported.image.len() as u64)?;
        self.blobs.write_image(&imported.image)?;
        Ok(Kept::Image(Box::new(record(imported))))
    }
}

/// With the keys that count for the class which the file names, and signs.
fn verify(envelope: &[u8], detached: Option<&[u8]>, trusted: &Trusted) -> Result<ImportedImage, Rejected> {
    let imported = verify_import(envelope, detached, &trusted.verifier());
    imported.map_err(|error| match trusted.set {
        Some(set) => Rejected::Set { set, error },
        None => Rejected::Verify(error),
    })
}

fn check_sequence(imported: &ImportedImage, trusted: &Trusted) -> Result<(), Rejected> {
    let (sequence_number, max) = (imported.manifest.sequence_number, trusted.sequence_max);
    match trusted.set {
        Some(set) if sequence_number > u64::from(max) => Err(Rejected::Sequence {
            set,
            max,
            sequence_number,
        }),
        _ => Ok(()),
    }
}

/// The class that a file names, before anybody verified it.
fn class_of(envelope: &[u8]) -> Option<ClassId> {
    let manifest = Envelope::parse(envelope).ok()?.interpret().ok()?;
    Some(ClassId(manifest.dangerous_unverified().class_id))
}

/// What helps where a set is in force, and `trust` in the configuration has no say.
fn set_hint(error: &ImportError) -> String {
    match error {
        ImportError::Verify(VerifyError::UnknownKey | VerifyError::TooFewSignatures) => {
            "have release keys of that set sign it: deltagate image cosign FILE --key KEY; deltagate anchors list names them"
                .to_owned()
        }
        error => error.hint(),
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
