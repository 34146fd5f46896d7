//! From an image to a signed file.

use sha2::{Digest, Sha256};
use wire_manifest::{EncodeError, RELEASE_OVERHEAD_BYTES_MAX, Release, Text, TrustAnchors};

use super::PublisherError;
use super::identity::{class_id, vendor_id};
use super::import::verify_import;
use super::signer::Signer;

/// What a publisher says of an image.
#[derive(Clone, Copy, Debug)]
pub struct Statement<'a> {
    /// The vendor's domain.
    pub vendor: &'a str,
    /// The device class, within the vendor's name space.
    pub class: &'a str,
    /// The version, for people.
    pub version: &'a str,
    /// What the release is, for people.
    pub description: Option<&'a str>,
    /// Newer than every release of the class before it.
    pub sequence_number: u32,
    /// The lowest sequence number that the image may follow; `None`: any.
    pub follows: Option<u32>,
}

/// Signs `image` and returns the file: an envelope with text, and with the image in it unless `is_detached`.
///
/// The file is checked as a gateway would before it is returned, so that no file leaves here which none would take.
pub fn sign(
    statement: &Statement<'_>,
    image: &[u8],
    is_detached: bool,
    key: &dyn Signer,
) -> Result<Vec<u8>, PublisherError> {
    let vendor_id = vendor_id(statement.vendor);
    let release = Release {
        sequence_number: statement.sequence_number.into(),
        vendor_id,
        class_id: class_id(&vendor_id, statement.class),
        image_digest: Sha256::digest(image).into(),
        predecessor_min: statement.follows.unwrap_or(0).into(),
        image_size: u32::try_from(image.len()).map_err(|_| PublisherError::Sign(EncodeError::ImageSize))?,
        text: Some(Text {
            version: Some(statement.version),
            description: statement.description,
        }),
        image: (!is_detached).then_some(image),
    };
    let file = encode(&release, key)?;
    let anchors = [key.anchor()];
    verify_import(&file, is_detached.then_some(image), &TrustAnchors::new(&anchors))
        .map_err(PublisherError::SelfCheck)?;
    Ok(file)
}

/// The signed file of a release.
pub(super) fn encode(release: &Release<'_>, key: &dyn Signer) -> Result<Vec<u8>, PublisherError> {
    let mut out = vec![0; RELEASE_OVERHEAD_BYTES_MAX + release.image.map_or(0, <[u8]>::len)];
    // The encoder asks a signature that cannot fail; a token's can.
    let mut failed = None;
    let encoded = release.encode(&mut out, key.key_id(), |bytes| {
        key.sign(bytes).unwrap_or_else(|error| {
            failed = Some(error);
            [0; 64]
        })
    });
    if let Some(error) = failed {
        return Err(error);
    }
    let len = encoded.map_err(PublisherError::Sign)?.len();
    out.truncate(len);
    Ok(out)
}
