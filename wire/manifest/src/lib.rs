//! SUIT envelopes under COSE_Sign1: parse, verify and interpret the deltagate profile.
//!
//! Everything a bootloader needs to decide whether an image may run, and nothing else: no heap, no clock, no I/O, no
//! recursion, no private key. The levels are apart, and each refuses in its own words:
//!
//! - **Any SUIT envelope** (draft-ietf-suit-manifest-37): [`Envelope::parse`] finds digest, signatures and members;
//!   [`Envelope::digest_matches`] and [`Envelope::authenticate`] tell whether they belong together. The draft's own
//!   examples pass here, ES256 included, given a [`Verifier`] that knows it.
//! - **Our profile** (`docs/manifest.md`): [`Manifest::interpret`] reads one image for one component. What is legal
//!   SUIT but not ours is [`ManifestError::Unsupported`] and named; what is no SUIT at all is
//!   [`ManifestError::Malformed`].
//! - **All of it at once**: [`verify`] goes from bytes and trusted keys to a [`Verified`] manifest. That type can not
//!   be made in another way, so a function that takes one can not be given something unchecked.
//!
//! For the publisher [`Release::encode`] writes an envelope; the signature comes from a function of the caller, so that the
//! key stays out of here. For the gateway [`sever_text`] writes the envelope that goes on the air.
//!
//! ```
//! use ed25519_dalek::{Signer, SigningKey};
//! use wire_manifest::{Anchor, Release, Text, TrustAnchors, sever_text, verify};
//!
//! let key = SigningKey::from_bytes(&[7; 32]);
//! let anchors = [Anchor { key: key.verifying_key().to_bytes() }];
//! let release = Release {
//!     sequence_number: 2,
//!     vendor_id: [1; 16],
//!     class_id: [2; 16],
//!     image_digest: [3; 32],
//!     image_size: 40_000,
//!     predecessor_min: 0,
//!     text: Some(Text { version: Some("1.4.0"), description: Some("quieter radio") }),
//!     image: None,
//! };
//! let mut buffer = [0; 1024];
//! let file = release.encode(&mut buffer, anchors[0].key_id(), |bytes| key.sign(bytes).to_bytes()).unwrap();
//!
//! let mut on_air = [0; wire_manifest::ENVELOPE_BYTES_MAX];
//! let envelope = sever_text(file, &mut on_air).unwrap();
//! let manifest = verify(envelope, &TrustAnchors::new(&anchors)).unwrap();
//! assert_eq!((manifest.sequence_number, manifest.image_size), (2, 40_000));
//! ```
//!
//! Modules: `cbor` (items, keys, digests), `cose` (COSE_Sign1), `envelope`, `manifest` with `sequence` (the profile), `text`,
//! `trust` (keys and verifiers), `ed25519`, `verified`, `builder`, `release_reader` (a publisher's file in pieces), `names` (the
//! draft's words for its numbers), `latest` (statements of what is newest), `error`.
//!
//! Without the feature `particulars`, as in a bootloader, errors say of what kind they are, and not where.
#![no_std]

#[cfg(test)]
extern crate std;

mod anchors;
mod builder;
mod cbor;
mod cose;
mod cosign;
mod ed25519;
mod envelope;
mod error;
mod latest;
mod manifest;
#[cfg(feature = "particulars")]
mod names;
mod release_reader;
mod sequence;
mod sha;
mod text;
mod trust;
mod verified;

pub use anchors::{ANCHORS_MAX, AnchorSet, Roles, SetKey, verify_set};
pub use builder::{EncodeError, RELEASE_OVERHEAD_BYTES_MAX, Release};
pub use cose::{Algorithm, SIGNATURES_MAX, Signature};
pub use cosign::{CosignError, SIGNATURE_BYTES_MAX, cosign, write_set};
pub use envelope::{ENVELOPE_BYTES_MAX, Envelope, IMAGE_PAYLOAD, SeverError, sever_text};
pub use error::{Item, Malformed, ManifestError, Number, Unsupported};
pub use latest::{
    LATEST_BYTES, LATEST_ENVELOPE_BYTES_MAX, LATEST_IMAGE_BYTES, Latest, NUMBER_MAX, SignedLatest,
    VALID_S_MAX, VALID_S_MIN, latest_class,
};
pub use manifest::{ComponentIdentifier, IMAGE_BYTES_MAX, Manifest};
pub use release_reader::{ReleaseError, ReleaseReader};
pub use text::{TEXT_STRING_BYTES_MAX, Text, TextError, verify_text};
pub use trust::{Anchor, KeyId, SignatureError, TrustAnchors, Verifier};
pub use verified::{Unverified, Verified, VerifyError, verify, verify_with};
