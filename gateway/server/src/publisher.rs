//! The publisher's half: keys and signing, away from any gateway; and the check of a publisher's file, which a gateway
//! makes before it stores anything.
//!
//! Only [`key`] touches a private key, and does not show it: [`key::PrivateKey`] prints its key id. One in a [`token`] never comes
//! here. The daemon
//! uses [`import`], [`latest`] and [`anchors`] and nothing else of this module.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`], [`key_cli`], [`latest_cli`], `inspect_cli` | arguments of `image sign`, of `key …`, of `image latest` and of `image inspect` |
//! | [`signer`] | what signs, wherever its key lies |
//! | [`token`] | Ed25519 keys in PKCS#11 tokens |
//! | [`key`] | Ed25519 keys in PKCS#8 and SPKI PEM files |
//! | [`cosign`] | one more signature on a release |
//! | [`anchor_set`], [`anchors_cli`] | sets of trust anchors: made, signed, shown |
//! | [`anchors`] | public keys that are trusted |
//! | [`identity`] | vendor and class names as UUIDs |
//! | [`firmware`] | firmware files of any format, flattened to images |
//! | [`sign`] | from an image to a signed file |
//! | [`import`] | from a signed file to something a gateway may store |
//! | [`latest`] | statements of what is newest, signed and read |
//! | [`inspect`] | everything a file says, for people and as JSON |

pub mod anchor_set;
pub mod anchors;
pub mod anchors_cli;
pub mod cli;
pub mod cosign;
pub mod error;
pub mod files;
pub mod firmware;
pub mod identity;
pub mod import;
pub mod inspect;
mod inspect_cli;
pub mod key;
pub mod key_cli;
pub mod latest;
pub mod latest_cli;
pub mod sign;
pub mod signer;
pub mod token;

pub use anchors::{AnchorError, load_anchors};
pub use error::PublisherError;
pub use import::{ImportError, ImportedImage, SignedFile, read_signed_file, verify_import};
