//! The publisher's half: keys and signing, away from any gateway; and the check of a publisher's file, which a gateway
//! makes before it stores anything.
//!
//! Only [`key`] and [`sign`] touch a private key, and neither shows it: [`key::PrivateKey`] prints its key id. The daemon
//! uses [`import`] and [`anchors`] and nothing else of this module.
//!
//! | module | what it is |
//! |---|---|
//! | [`cli`], `inspect_cli` | arguments of `key generate` and `image sign`, and of `image inspect` |
//! | [`key`] | Ed25519 keys in PKCS#8 and SPKI PEM files |
//! | [`anchors`] | public keys that are trusted |
//! | [`identity`] | vendor and class names as UUIDs |
//! | [`firmware`] | firmware files of any format, flattened to images |
//! | [`sign`] | from an image to a signed file |
//! | [`import`] | from a signed file to something a gateway may store |
//! | [`inspect`] | everything a file says, for people and as JSON |

pub mod anchors;
pub mod cli;
pub mod error;
pub mod files;
pub mod firmware;
pub mod identity;
pub mod import;
pub mod inspect;
mod inspect_cli;
pub mod key;
pub mod sign;

pub use anchors::{AnchorError, load_anchors};
pub use error::PublisherError;
pub use import::{ImportError, ImportedImage, SignedFile, read_signed_file, verify_import};
