//! Writes what a publisher signs: deterministic CBOR (RFC 8949 §4.2.1), into a caller's buffer.

use core::fmt;

use minicbor::Encoder;
use minicbor::data::Tag;
use minicbor::encode::Error;
use minicbor::encode::write::{Cursor, EndOfSlice};

use crate::cbor::{SHA_256, sha256_of_bstr};
use crate::cose::ToBeSigned;
use crate::envelope::TAG_ENVELOPE;
use crate::manifest::MANIFEST_VERSION;
use crate::text::TEXT_BYTES_MAX;
use crate::{
    ComponentIdentifier, IMAGE_BYTES_MAX, IMAGE_PAYLOAD, KeyId, Manifest, TEXT_STRING_BYTES_MAX, Text,
};

/// Bytes of a release's file besides its image: the envelope on the air, the text, and the heads of text and image.
pub const RELEASE_OVERHEAD_BYTES_MAX: usize = crate::ENVELOPE_BYTES_MAX + 4 + TEXT_BYTES_MAX + 16;

/// Protected header `{1: -19}`: Ed25519 as RFC 9864 numbers it.
const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x32];
/// Reporting policy of the conditions: all four bits, as in the draft's examples.
const POLICY_ALL: u8 = 15;
/// Reporting policy of invoke: record on failure, as in the draft's examples.
const POLICY_INVOKE: u8 = 2;
/// `[-16, bstr .size 32]`.
const DIGEST_BYTES: usize = 1 + 1 + 2 + 32;
/// Override of four parameters, then two conditions with their policies.
const SHARED_BYTES_MAX: usize = 1 + 1 + 1 + 2 * 18 + (1 + 2 + DIGEST_BYTES) + (1 + 5) + 4;
/// Components and shared sequence.
const COMMON_BYTES_MAX: usize = 1 + 1 + 4 + 1 + 2 + SHARED_BYTES_MAX;
/// Version, sequence number, common, validate, invoke, text digest.
const MANIFEST_BYTES_MAX: usize =
    1 + 2 + 6 + (1 + 2 + COMMON_BYTES_MAX) + 2 * (1 + 1 + 3) + (1 + DIGEST_BYTES);
/// Tag, array, protected, unprotected with a key id, nil, signature.
const SIGN1_BYTES: usize = 1 + 1 + (1 + PROTECTED.len()) + (1 + 1 + 1 + 8) + 1 + (2 + 64);
/// Array, digest and signature as byte strings.
const WRAPPER_BYTES: usize = 1 + (2 + DIGEST_BYTES) + (2 + SIGN1_BYTES);

const _: () = assert!(
    2 + 1 + (1 + 2 + WRAPPER_BYTES) + (1 + 2 + MANIFEST_BYTES_MAX) <= crate::ENVELOPE_BYTES_MAX,
    "what we write fits the air"
);

/// A release to be signed.
#[derive(Clone, Copy, Debug)]
pub struct Release<'a> {
    /// Newer than every release before it; at most `u32::MAX`.
    pub sequence_number: u64,
    /// UUID of the vendor.
    pub vendor_id: [u8; 16],
    /// UUID of the device class.
    pub class_id: [u8; 16],
    /// SHA-256 of the raw image.
    pub image_digest: [u8; 32],
    /// Bytes of the raw image, at most [`IMAGE_BYTES_MAX`].
    pub image_size: u32,
    /// Words for people; each string has at most [`TEXT_STRING_BYTES_MAX`] bytes.
    pub text: Option<Text<'a>>,
    /// The image, to be integrated into the file under [`IMAGE_PAYLOAD`]; `None`: it travels beside it.
    pub image: Option<&'a [u8]>,
}

impl Release<'_> {
    /// Writes the signed envelope into `out` and returns it. [`RELEASE_OVERHEAD_BYTES_MAX`] and the image's length
    /// always suffice.
    ///
    /// `sign` gets the bytes to be signed and returns the Ed25519 signature by the key of `key_id`.
    pub fn encode<'o>(
        &self,
        out: &'o mut [u8],
        key_id: KeyId,
        sign: impl FnOnce(&[u8]) -> [u8; 64],
    ) -> Result<&'o [u8], EncodeError> {
        self.check()?;
        let mut text_buffer = [0; TEXT_BYTES_MAX];
        let text = match &self.text {
            Some(text) => Some(text.encode(&mut text_buffer)?),
            None => None,
        };
        let manifest = self.manifest(text.map(sha256_of_bstr));
        let mut manifest_buffer = [0; MANIFEST_BYTES_MAX];
        let manifest = write(&mut manifest_buffer, |encoder| write_manifest(encoder, &manifest))?;
        let mut wrapper_buffer = [0; WRAPPER_BYTES];
        let wrapper = write_wrapper(&mut wrapper_buffer, manifest, key_id, sign)?;
        Ok(write(out, |encoder| {
            self.write_envelope(encoder, wrapper, manifest, text)
        })?)
    }

    fn check(&self) -> Result<(), EncodeError> {
        let Text { version, description } = self.text.unwrap_or_default();
        let too_long =
            |string: Option<&str>| string.is_some_and(|string| string.len() > TEXT_STRING_BYTES_MAX);
        if too_long(version) || too_long(description) {
            return Err(EncodeError::TextTooLong);
        }
        if self.image_size > IMAGE_BYTES_MAX
            || self
                .image
                .is_some_and(|image| image.len() != self.image_size as usize)
        {
            return Err(EncodeError::ImageSize);
        }
        if self.sequence_number > u64::from(u32::MAX) {
            return Err(EncodeError::SequenceNumber);
        }
        Ok(())
    }

    fn manifest(&self, text_digest: Option<[u8; 32]>) -> Manifest {
        Manifest {
            sequence_number: self.sequence_number,
            vendor_id: self.vendor_id,
            class_id: self.class_id,
            component: ComponentIdentifier,
            image_digest: self.image_digest,
            image_size: self.image_size,
            text_digest,
        }
    }

    fn write_envelope(
        &self,
        encoder: &mut Writer<'_>,
        wrapper: &[u8],
        manifest: &[u8],
        text: Option<&[u8]>,
    ) -> Result<(), Error<EndOfSlice>> {
        let members = 2 + u64::from(text.is_some()) + u64::from(self.image.is_some());
        encoder.tag(Tag::new(TAG_ENVELOPE))?.map(members)?;
        encoder.u8(2)?.bytes(wrapper)?.u8(3)?.bytes(manifest)?;
        if let Some(text) = text {
            encoder.u8(23)?.bytes(text)?;
        }
        if let Some(image) = self.image {
            encoder.str(IMAGE_PAYLOAD)?.bytes(image)?;
        }
        Ok(())
    }
}

type Writer<'b> = Encoder<Cursor<&'b mut [u8]>>;

/// Writes with `fill` into `buffer` and returns what was written.
fn write(
    buffer: &mut [u8],
    fill: impl FnOnce(&mut Writer<'_>) -> Result<(), Error<EndOfSlice>>,
) -> Result<&[u8], Error<EndOfSlice>> {
    let mut encoder = Encoder::new(Cursor::new(&mut *buffer));
    fill(&mut encoder)?;
    let len = encoder.writer().position();
    Ok(&buffer[..len])
}

fn write_digest(encoder: &mut Writer<'_>, digest: &[u8; 32]) -> Result<(), Error<EndOfSlice>> {
    encoder.array(2)?.i64(SHA_256)?.bytes(digest)?.ok()
}

fn write_manifest(encoder: &mut Writer<'_>, manifest: &Manifest) -> Result<(), Error<EndOfSlice>> {
    let mut common_buffer = [0; COMMON_BYTES_MAX];
    let common = write(&mut common_buffer, |encoder| write_common(encoder, manifest))?;
    encoder.map(5 + u64::from(manifest.text_digest.is_some()))?;
    encoder.u8(1)?.u64(MANIFEST_VERSION)?;
    encoder.u8(2)?.u64(manifest.sequence_number)?;
    encoder.u8(3)?.bytes(common)?;
    encoder
        .u8(7)?
        .bytes(&[0x82, crate::sequence::IMAGE_MATCH as u8, POLICY_ALL])?;
    encoder
        .u8(9)?
        .bytes(&[0x82, crate::sequence::INVOKE as u8, POLICY_INVOKE])?;
    match &manifest.text_digest {
        Some(digest) => write_digest(encoder.u8(23)?, digest),
        None => Ok(()),
    }
}

fn write_common(encoder: &mut Writer<'_>, manifest: &Manifest) -> Result<(), Error<EndOfSlice>> {
    let mut shared_buffer = [0; SHARED_BYTES_MAX];
    let shared = write(&mut shared_buffer, |encoder| write_shared(encoder, manifest))?;
    encoder.map(2)?;
    encoder
        .u8(2)?
        .array(1)?
        .array(1)?
        .bytes(&ComponentIdentifier::SEGMENT)?;
    encoder.u8(4)?.bytes(shared)?.ok()
}

fn write_shared(encoder: &mut Writer<'_>, manifest: &Manifest) -> Result<(), Error<EndOfSlice>> {
    let mut digest_buffer = [0; DIGEST_BYTES];
    let digest = write(&mut digest_buffer, |encoder| {
        write_digest(encoder, &manifest.image_digest)
    })?;
    encoder.array(6)?.u8(20)?.map(4)?;
    encoder.u8(1)?.bytes(&manifest.vendor_id)?;
    encoder.u8(2)?.bytes(&manifest.class_id)?;
    encoder.u8(3)?.bytes(digest)?;
    encoder.u8(14)?.u32(manifest.image_size)?;
    encoder.u8(1)?.u8(POLICY_ALL)?.u8(2)?.u8(POLICY_ALL)?.ok()
}

/// The authentication wrapper over `manifest`, with one signature.
fn write_wrapper<'b>(
    buffer: &'b mut [u8; WRAPPER_BYTES],
    manifest: &[u8],
    key_id: KeyId,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<&'b [u8], Error<EndOfSlice>> {
    let mut digest_buffer = [0; DIGEST_BYTES];
    let digest = write(&mut digest_buffer, |encoder| {
        write_digest(encoder, &sha256_of_bstr(manifest))
    })?;
    let signature = sign(ToBeSigned::new(&PROTECTED, digest).as_bytes());
    let mut sign1_buffer = [0; SIGN1_BYTES];
    let sign1 = write(&mut sign1_buffer, |encoder| {
        encoder.tag(Tag::new(18))?.array(4)?.bytes(&PROTECTED)?;
        encoder.map(1)?.u8(4)?.bytes(&key_id.0)?;
        encoder.null()?.bytes(&signature)?.ok()
    })?;
    write(buffer, |encoder| {
        encoder.array(2)?.bytes(digest)?.bytes(sign1)?.ok()
    })
}

/// Why a release was not written. Misuse by our caller; `out` is then unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EncodeError {
    /// The buffer is too short.
    NoSpace,
    /// Version or description have more than [`TEXT_STRING_BYTES_MAX`] bytes.
    TextTooLong,
    /// The image has more than [`IMAGE_BYTES_MAX`] bytes, or not as many as stated.
    ImageSize,
    /// The sequence number exceeds 32 bits.
    SequenceNumber,
}

impl From<Error<EndOfSlice>> for EncodeError {
    fn from(_: Error<EndOfSlice>) -> Self {
        Self::NoSpace
    }
}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => f.write_str("envelope does not fit the buffer"),
            Self::TextTooLong => write!(
                f,
                "version or description has more than {TEXT_STRING_BYTES_MAX} bytes"
            ),
            Self::ImageSize => write!(
                f,
                "image does not have its stated size, or more than {IMAGE_BYTES_MAX} bytes"
            ),
            Self::SequenceNumber => f.write_str("sequence number exceeds 32 bits"),
        }
    }
}

impl core::error::Error for EncodeError {}
