//! From a publisher's file to something a gateway may store: everything is checked first.

use ed25519_dalek::{Signature as StrictSignature, VerifyingKey};
use sha2::{Digest, Sha256};
use thiserror::Error;
use wire_manifest::{
    ENVELOPE_BYTES_MAX, Envelope, IMAGE_PAYLOAD, KeyId, Manifest, Signature, SignatureError, TextError,
    TrustAnchors, Unsupported, Verified, Verifier, VerifyError, sever_text, verify_text, verify_with,
};

/// A publisher's file, taken apart and not checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedFile<'a> {
    /// The envelope as it goes on the air: without text and image.
    pub envelope: Vec<u8>,
    /// The severable text, if it is there.
    pub text: Option<&'a [u8]>,
    /// The integrated image, if it is there.
    pub image: Option<&'a [u8]>,
}

/// Takes a publisher's file apart.
pub fn read_signed_file(file: &[u8]) -> Result<SignedFile<'_>, ImportError> {
    let parsed = Envelope::parse(file).map_err(VerifyError::from)?;
    let mut on_air = [0; ENVELOPE_BYTES_MAX];
    let envelope = sever_text(file, &mut on_air)?.to_vec();
    Ok(SignedFile {
        envelope,
        text: parsed.text_bytes(),
        image: parsed.integrated_payload(IMAGE_PAYLOAD),
    })
}

/// An image that a trusted publisher signed, complete and intact.
#[derive(Clone, Debug)]
pub struct ImportedImage {
    /// The envelope as it goes on the air, at most [`ENVELOPE_BYTES_MAX`] bytes.
    pub envelope: Vec<u8>,
    /// What it says.
    pub manifest: Verified<Manifest>,
    /// The trusted key that signed it.
    pub key_id: KeyId,
    /// The version in the text, if the file has it.
    pub version: Option<String>,
    /// The description in the text, if the file has it.
    pub description: Option<String>,
    /// The raw image.
    pub image: Vec<u8>,
}

/// Checks a publisher's file against trusted keys: as many signatures as they ask for, profile, size and
/// digest of the image, digest of the text. `detached` is the image of a file that was signed with `--detached`.
pub fn verify_import(
    file: &[u8],
    detached: Option<&[u8]>,
    anchors: &TrustAnchors<'_>,
) -> Result<ImportedImage, ImportError> {
    let verifier = Strict(*anchors);
    let parts = read_signed_file(file)?;
    let manifest = verify_with(file, &verifier)?;
    // The severed envelope is what devices get, so it is what must verify for them.
    verify_with(&parts.envelope, &verifier)?;
    let image = match (parts.image, detached) {
        (Some(image), None) | (None, Some(image)) => image,
        (None, None) => return Err(ImportError::NoImage),
        (Some(_), Some(_)) => return Err(ImportError::TwoImages),
    };
    check_predecessor(&manifest)?;
    check_image(&manifest, image)?;
    let envelope = Envelope::parse(file).map_err(VerifyError::from)?;
    let text = verify_text(&envelope, &manifest)?.unwrap_or_default();
    let signer = envelope
        .signatures()
        .find(|signature| envelope.check(signature, &verifier).is_ok());
    let key_id = signer
        .as_ref()
        .and_then(Signature::key_id)
        .ok_or(VerifyError::NotSigned)?;
    Ok(ImportedImage {
        manifest,
        key_id,
        version: text.version.map(str::to_owned),
        description: text.description.map(str::to_owned),
        image: image.to_vec(),
        envelope: parts.envelope,
    })
}

/// An image that would have to follow itself: nothing of ours signs that, and no device could take it.
fn check_predecessor(manifest: &Manifest) -> Result<(), ImportError> {
    let (follows, sequence_number) = (manifest.predecessor_min, manifest.sequence_number);
    match follows > 0 && follows >= sequence_number {
        true => Err(ImportError::Predecessor {
            follows,
            sequence_number,
        }),
        false => Ok(()),
    }
}

/// Size before digest, as the draft asks: a wrong length is the better message, and the cheaper check.
pub(super) fn check_image(manifest: &Manifest, image: &[u8]) -> Result<(), ImportError> {
    if image.is_empty() {
        return Err(ImportError::EmptyImage);
    }
    let stated = manifest.image_size;
    if image.len() as u64 != u64::from(stated) {
        return Err(ImportError::ImageSize {
            stated,
            found: image.len() as u64,
        });
    }
    match <[u8; 32]>::from(Sha256::digest(image)) == manifest.image_digest {
        true => Ok(()),
        false => Err(ImportError::ImageDigest),
    }
}

/// What everybody checks with, and ed25519-dalek's `verify_strict` besides. They accept the same set, which the edge tests of
/// `wire-manifest` show; should they ever differ, nothing is imported that a device could refuse.
pub(super) struct Strict<'a>(pub(super) TrustAnchors<'a>);

impl Verifier for Strict<'_> {
    fn verify(&self, signature: &Signature<'_>, to_be_signed: &[u8]) -> Result<u32, SignatureError> {
        let signer = self.0.verify(signature, to_be_signed)?;
        let anchor = signature
            .key_id()
            .and_then(|id| self.0.find(id))
            .ok_or(SignatureError::UnknownKey)?;
        let key = VerifyingKey::from_bytes(&anchor.key).map_err(|_| SignatureError::Invalid)?;
        let bytes = StrictSignature::from_slice(signature.signature).map_err(|_| SignatureError::Invalid)?;
        key.verify_strict(to_be_signed, &bytes)
            .map(|()| signer)
            .map_err(|_| SignatureError::Invalid)
    }

    fn suffices(&self, signers: u32) -> bool {
        self.0.suffices(signers)
    }
}

/// Why a file is not imported. Nothing of it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ImportError {
    /// Envelope or signature do not count.
    #[error(transparent)]
    Verify(#[from] VerifyError),
    /// The envelope is longer than devices take.
    #[error("envelope without its text exceeds {ENVELOPE_BYTES_MAX} bytes")]
    EnvelopeTooLong,
    /// The file has no image in it, and none came beside it.
    #[error("the file holds no image, and none was given beside it")]
    NoImage,
    /// The file has an image in it, and another came beside it.
    #[error("the file holds an image, and another was given beside it")]
    TwoImages,
    /// The image may follow later images only.
    #[error(
        "the image has sequence number {sequence_number} and may only follow {follows} or higher: no device could take it"
    )]
    Predecessor {
        /// The lowest number that it may follow.
        follows: u64,
        /// Its own.
        sequence_number: u64,
    },
    /// The image has no bytes.
    #[error("the image is empty")]
    EmptyImage,
    /// The image has another length than was signed.
    #[error("the image has {found} bytes, the manifest says {stated}")]
    ImageSize {
        /// What the manifest says.
        stated: u32,
        /// What the image has.
        found: u64,
    },
    /// The image is another than was signed.
    #[error("the image does not match its digest in the manifest")]
    ImageDigest,
    /// A statement of what is newest has something in it that devices do not know of.
    #[error("the statement is in another form than devices put together")]
    StatementForm,
    /// The text is another than was signed.
    #[error(transparent)]
    Text(#[from] TextError),
}

impl ImportError {
    /// What to do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Verify(VerifyError::UnknownKey) => {
                "if the publisher is yours, add its .pub file to `trust` in gateway.toml"
            }
            Self::Verify(VerifyError::NotSigned) => "sign it with: deltagate image sign",
            Self::Verify(VerifyError::TooFewSignatures) => {
                "have others sign it as well: deltagate image cosign FILE --key KEY; then import it again"
            }
            Self::Verify(VerifyError::UnsupportedAlgorithm(_) | VerifyError::UnsupportedAuthentication) => {
                "have it signed with Ed25519: deltagate image sign"
            }
            Self::Verify(VerifyError::Unsupported(Unsupported::UntaggedEnvelope)) => {
                "it is nothing that was signed: sign it with deltagate image sign, if it is an image"
            }
            Self::Verify(VerifyError::Unsupported(_)) => "docs/manifest.md says what a manifest may hold",
            Self::Verify(VerifyError::Malformed(_)) => "see what it is with: deltagate image inspect FILE",
            Self::StatementForm => "have it signed again: deltagate image latest",
            Self::NoImage => "give the image of a detached envelope with --image FILE",
            Self::TwoImages => "leave out --image, or sign with --detached",
            Self::EnvelopeTooLong => "sign it with fewer signatures",
            Self::EmptyImage => "sign an image with bytes in it",
            Self::Predecessor { .. } => "sign it again with --follows below --sequence",
            Self::Verify(VerifyError::DigestMismatch | VerifyError::BadSignature)
            | Self::ImageSize { .. }
            | Self::ImageDigest
            | Self::Text(_) => {
                "the file was altered or damaged on its way; fetch it from the publisher again"
            }
        }
        .to_owned()
    }
}

#[cfg(test)]
mod tests;
