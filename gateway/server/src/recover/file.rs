//! The signed file that is sent, and what it says of itself.

use std::path::Path;

use wire_manifest::{
    AnchorSet, ENVELOPE_BYTES_MAX, Envelope, IMAGE_BYTES_MAX, IMAGE_PAYLOAD, Manifest, sever_text,
};

use super::RecoverError;
use crate::publisher::files;

/// The longest signed file: the largest image and 64 KiB of envelope.
const FILE_BYTES_MAX: u64 = IMAGE_BYTES_MAX as u64 + (64 << 10);
/// The head of an envelope: tag 107 in two bytes, and a map.
const TAG_BYTES: usize = 2;
const MAP_OF_THREE: u8 = 0xA3;

/// What goes over the line.
#[derive(Debug, Clone)]
pub struct ReleaseFile {
    /// The bytes: an envelope, of an image with that in it.
    pub bytes: Vec<u8>,
    /// What the publisher signed. The device verifies it; we only tell early what it would say.
    pub content: Content,
}

/// What a signed file brings to a device.
#[derive(Debug, Clone, Copy)]
pub enum Content {
    /// An image.
    Image(Manifest),
    /// A set of trust anchors: whom the device believes from then on.
    Anchors {
        /// Which of two is newer.
        number: u16,
        /// The one class that it is for.
        class_id: Option<[u8; 16]>,
    },
}

impl ReleaseFile {
    /// Reads a signed file, and its image if that lies beside it.
    ///
    /// # Errors
    /// A file that cannot be read, is no release, or has no image.
    pub fn read(path: &Path, image: Option<&Path>) -> Result<Self, RecoverError> {
        let file = files::read(path, FILE_BYTES_MAX)?;
        let image = image
            .map(|image| files::read(image, IMAGE_BYTES_MAX.into()))
            .transpose()?;
        Self::of(&path.display().to_string(), file, image.as_deref())
    }

    fn of(path: &str, file: Vec<u8>, detached: Option<&[u8]>) -> Result<Self, RecoverError> {
        let not_a_release = |problem: String| RecoverError::NotARelease {
            path: path.to_owned(),
            problem,
        };
        let envelope =
            Envelope::parse(&file).map_err(|error| not_a_release(format!("is no signed file: {error}")))?;
        if let Some(set) = AnchorSet::read(envelope.manifest_bytes()) {
            if detached.is_some() {
                return Err(not_a_release(
                    "is a set of trust anchors, which has no image".to_owned(),
                ));
            }
            let content = Content::Anchors {
                number: set.number,
                class_id: set.class_id.try_into().ok(),
            };
            return Ok(Self { bytes: file, content });
        }
        let manifest = envelope
            .interpret()
            .map_err(|error| not_a_release(format!("cannot be used: {error}")))?;
        let manifest = *manifest.dangerous_unverified();
        let integrated = envelope.integrated_payload(IMAGE_PAYLOAD);
        let image = detached
            .or(integrated)
            .ok_or_else(|| RecoverError::WithoutImage {
                path: path.to_owned(),
            })?;
        if image.len() as u64 != u64::from(manifest.image_size) {
            return Err(not_a_release(format!(
                "is for an image of {} bytes, and this one has {}",
                manifest.image_size,
                image.len()
            )));
        }
        let bytes = match detached {
            None => file,
            Some(image) => {
                integrate(&file, image).map_err(|error| not_a_release(format!("cannot be used: {error}")))?
            }
        };
        Ok(Self {
            bytes,
            content: Content::Image(manifest),
        })
    }
}

/// The same release with the image in the file, and without its text.
fn integrate(file: &[u8], image: &[u8]) -> Result<Vec<u8>, wire_manifest::SeverError> {
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let severed = sever_text(file, &mut buffer)?;
    let mut bytes = severed.to_vec();
    bytes[TAG_BYTES] = MAP_OF_THREE;
    // RFC 8949 §3: a text of its length, and a byte string with four bytes of length.
    bytes.push(0x60 | IMAGE_PAYLOAD.len() as u8);
    bytes.extend_from_slice(IMAGE_PAYLOAD.as_bytes());
    bytes.push(0x5A);
    bytes.extend_from_slice(&(image.len() as u32).to_be_bytes());
    bytes.extend_from_slice(image);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use wire_manifest::{
        KeyId, RELEASE_OVERHEAD_BYTES_MAX, Release, ReleaseReader, Roles, SetKey, Text, write_set,
    };

    use super::*;

    fn signed(image: &[u8], integrated: bool) -> Vec<u8> {
        let release = Release {
            sequence_number: 3,
            vendor_id: [1; 16],
            class_id: [2; 16],
            image_digest: [3; 32],
            image_size: image.len() as u32,
            predecessor_min: 0,
            text: Some(Text {
                version: Some("3.0.0"),
                description: None,
            }),
            image: integrated.then_some(image),
        };
        let mut buffer = vec![0; RELEASE_OVERHEAD_BYTES_MAX + image.len()];
        let file = release.encode(&mut buffer, KeyId([0; 8]), |_| [0; 64]).unwrap();
        file.to_vec()
    }

    #[test]
    fn a_file_with_its_image_is_sent_as_it_is() {
        let file = signed(b"the image", true);
        let release = ReleaseFile::of("f", file.clone(), None).unwrap();
        assert_eq!(release.bytes, file);
        let Content::Image(manifest) = release.content else {
            panic!("{release:?}");
        };
        assert_eq!(manifest.sequence_number, 3);
    }

    #[test]
    fn an_image_beside_its_file_is_put_into_it() {
        let image = [7; 700];
        let release = ReleaseFile::of("f", signed(&image, false), Some(&image)).unwrap();
        let mut reader = ReleaseReader::new();
        let taken = reader.push(&release.bytes).unwrap();
        let (envelope, bytes) = reader.release().unwrap();
        assert_eq!(bytes, 700);
        assert_eq!(release.bytes[taken..], image);
        assert!(Envelope::parse(envelope).unwrap().digest_matches());
        assert_eq!(
            Envelope::parse(&release.bytes)
                .unwrap()
                .integrated_payload(IMAGE_PAYLOAD),
            Some(&image[..])
        );
    }

    #[test]
    fn a_set_of_trust_anchors_is_sent_as_it_is() {
        let both = Roles::RELEASE.and(Roles::RECOVERY);
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let mut keys = [SetKey::new(both, &[7; 32])];
        let set = write_set(&mut buffer, 3, Some([2; 16]), u32::MAX, (1, 1), &mut keys).unwrap();
        let file = ReleaseFile::of("f", set.to_vec(), None).unwrap();
        assert_eq!(file.bytes, set);
        assert!(matches!(
            file.content,
            Content::Anchors {
                number: 3,
                class_id: Some([2, ..])
            }
        ));
        let with_image = ReleaseFile::of("f", set.to_vec(), Some(b"image"));
        assert!(matches!(with_image, Err(RecoverError::NotARelease { .. })));
    }

    #[test]
    fn what_cannot_be_sent_is_said_before_the_line_is_opened() {
        let without = ReleaseFile::of("f", signed(b"image", false), None);
        assert!(matches!(without, Err(RecoverError::WithoutImage { .. })));
        let other = ReleaseFile::of("f", signed(b"image", false), Some(b"another"));
        assert!(matches!(other, Err(RecoverError::NotARelease { .. })));
        let raw = ReleaseFile::of("f", b"\x7fELF".to_vec(), None);
        assert!(matches!(raw, Err(RecoverError::NotARelease { .. })));
    }
}
