//! What a publisher's command can not do, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;
use wire_manifest::{CosignError, EncodeError, KeyId, ManifestError, SeverError};

use super::anchor_set::SetError;
use super::anchors::AnchorError;
use super::firmware::FirmwareError;
use super::import::ImportError;
use super::token::TokenError;

/// Why a command of the publisher failed. [`hint`](Self::hint) says what to do, [`exit_code`](Self::exit_code) whose
/// fault it is.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PublisherError {
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
    #[error("{} has {bytes} bytes, more than {bytes_max}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: u64,
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
    /// A key file exists already: keys are never overwritten.
    #[error("{} exists already", path.display())]
    KeyExists {
        /// The file.
        path: PathBuf,
    },
    /// Other users can read a private key file.
    #[error("private key {} can be read by others (mode {mode:03o})", path.display())]
    KeyIsOpen {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A file holds no Ed25519 private key. The text never quotes the file.
    #[error("{} is no Ed25519 private key in PKCS#8 PEM", path.display())]
    NotAPrivateKey {
        /// The file.
        path: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("the system gave no random bytes for a key")]
    Randomness(#[source] getrandom::Error),
    /// A key could not be put into PEM.
    #[error("cannot encode the key")]
    KeyEncoding,
    /// The firmware file can not become an image.
    #[error("cannot make an image of {}", path.display())]
    Firmware {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: FirmwareError,
    },
    /// A firmware file was given where a signed one belongs.
    #[error("cannot import {}: it is {kind}, and not signed for a gateway", path.display())]
    NotSigned {
        /// The file.
        path: PathBuf,
        /// What it is.
        kind: String,
    },
    /// The fields do not make a manifest of our profile.
    #[error("cannot sign")]
    Sign(#[source] EncodeError),
    /// A file is not a SUIT envelope.
    #[error("{} is not an envelope we can read", path.display())]
    Envelope {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ManifestError,
    },
    /// The file that was just signed does not pass the check a gateway makes: our fault.
    #[error("the signed file does not verify")]
    SelfCheck(#[source] ImportError),
    /// A trust anchor can not be used.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// A key in a token can not be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// `image inspect --trust` came to the end that the file would not be imported.
    #[error("{} does not verify", path.display())]
    NotVerified {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: ImportError,
    },
    /// A signature can not be added.
    #[error("cannot add a signature to {}", path.display())]
    Cosign {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: CosignError,
    },
    /// A set of trust anchors was given where a release belongs.
    #[error("{} is a set of trust anchors, and no release", path.display())]
    IsASet {
        /// The file.
        path: PathBuf,
    },
    /// Something else was given where a set of trust anchors belongs.
    #[error("{} is no set of trust anchors", path.display())]
    NotASet {
        /// The file.
        path: PathBuf,
        /// Whether it is a release.
        is_release: bool,
    },
    /// The keys make no set of trust anchors.
    #[error("cannot make a set of trust anchors")]
    Set(#[from] SetError),
    /// A key's signature on a set would not count.
    #[error("key {key} is no recovery key of that set, so no device would count its signature")]
    NotARecoveryKey {
        /// Which.
        key: KeyId,
    },
    /// `anchors show --trust` came to the end that a device would not take the set.
    #[error("a device with these keys would not take {}: too few of its recovery keys signed it", path.display())]
    SetNotSigned {
        /// The file.
        path: PathBuf,
    },
    /// A statement is to follow one that it cannot follow.
    #[error("{} is no statement about this class that another could follow", path.display())]
    NotTheStatementBefore {
        /// The file.
        path: PathBuf,
    },
    /// The clock says nothing that could be signed.
    #[error("the clock of this machine is not set")]
    ClockNotSet,
    /// The statement before was signed later than now.
    #[error("by this machine's clock, {} was issued in the future: {before} UTC", path.display())]
    ClockIsBehind {
        /// The file.
        path: PathBuf,
        /// When it was.
        before: String,
    },
    /// Standard output can not be written.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
}

impl PublisherError {
    /// What to do next, as one line for a terminal.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::KeyExists { .. } => {
                Some("choose another name with --out; a replaced key would lock out every device".to_owned())
            }
            Self::KeyIsOpen { path, .. } => Some(format!("chmod 600 {}", path.display())),
            Self::NotAPrivateKey { .. } => Some("make one with: deltagate key generate".to_owned()),
            Self::Firmware { source, .. } => source.hint(),
            Self::NotSigned { path, .. } => Some(format!(
                "nothing changed; sign it first: deltagate image sign {} --help",
                path.display()
            )),
            Self::Sign(EncodeError::Predecessor) => {
                Some("--follows takes a number below --sequence".to_owned())
            }
            Self::Sign(EncodeError::TextTooLong) => Some("shorten --version or --description".to_owned()),
            Self::Read { source, .. } => Some(reading(source).to_owned()),
            Self::Write { .. } => Some("name a file in a directory that is there and yours".to_owned()),
            Self::NotTheStatementBefore { .. } => Some(
                "name the last file that deltagate image latest wrote for this class, or --number".to_owned(),
            ),
            Self::ClockNotSet => Some("set it, for example with timedatectl: devices go by it".to_owned()),
            Self::ClockIsBehind { .. } => Some(
                "set this machine's clock; if it was the other one that was wrong, add --clock-was-wrong"
                    .to_owned(),
            ),
            Self::Anchor(error) => Some(error.hint()),
            Self::Token(error) => error.hint(),
            Self::NotVerified { source, .. } => Some(source.hint()),
            Self::Cosign { path, source } => cosigning(path, source),
            Self::IsASet { path } => Some(format!(
                "deltagate anchors show {0} says what is in it; deltagate anchors sign {0} --key FILE signs it",
                path.display()
            )),
            Self::NotASet { path, is_release } => Some(match is_release {
                true => format!(
                    "it is a release: deltagate image inspect {0}, deltagate image cosign {0} --key FILE",
                    path.display()
                ),
                false => "make one with: deltagate anchors new".to_owned(),
            }),
            Self::Set(error) => Some(error.hint().to_owned()),
            Self::NotARecoveryKey { .. } => Some(
                "sign with a recovery key that is in the set; deltagate anchors show FILE names them"
                    .to_owned(),
            ),
            Self::SetNotSigned { path } => Some(format!(
                "have recovery keys sign it that the factory wrote and that the set still has: deltagate anchors sign {} --key FILE",
                path.display()
            )),
            _ => None,
        }
    }

    /// The process's exit code: 1 refused by the state of things, 3 internal.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::SelfCheck(_) | Self::KeyEncoding | Self::Randomness(_) => 3,
            _ => 1,
        }
    }
}

fn cosigning(path: &Path, error: &CosignError) -> Option<String> {
    let hint = match error {
        CosignError::Altered => "the file was altered on its way; fetch it from the first signer again",
        CosignError::SignedAlready => {
            return Some(format!(
                "nothing is left to do with this key; deltagate image inspect {} shows who signed",
                path.display()
            ));
        }
        CosignError::TooMany | CosignError::NoSpace => {
            "sign it with fewer keys: begin again with the unsigned file"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What to do about a file that cannot be read.
pub(crate) fn reading(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound => "check its name, and the directory that you are in",
        io::ErrorKind::PermissionDenied => "it is another user's: read it as that user, or with sudo",
        _ => "name a regular file",
    }
}

impl From<SeverError> for ImportError {
    fn from(error: SeverError) -> Self {
        match error {
            SeverError::Envelope(error) => Self::Verify(error.into()),
            SeverError::NoSpace => Self::EnvelopeTooLong,
        }
    }
}
