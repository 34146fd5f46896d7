//! From an image to a signed file.

use sha2::{Digest, Sha256};
use wire_manifest::{EncodeError, RELEASE_OVERHEAD_BYTES_MAX, Release, Text};

use super::PublisherError;
use super::identity::{class_id, vendor_id};
use super::import::verify_import;
use super::key::PrivateKey;

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
    key: &PrivateKey,
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
    let mut out = vec![0; RELEASE_OVERHEAD_BYTES_MAX + if is_detached { 0 } else { image.len() }];
    let file = release
        .encode(&mut out, key.key_id(), |bytes| key.sign(bytes))
        .map_err(PublisherError::Sign)?;
    verify_import(file, is_detached.then_some(image), &[key.anchor()]).map_err(PublisherError::SelfCheck)?;
    let len = file.len();
    out.truncate(len);
    Ok(out)
}
