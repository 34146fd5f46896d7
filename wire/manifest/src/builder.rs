//! Writes what a publisher signs: deterministic CBOR (RFC 8949 §4.2.1), into a caller's buffer.

use core::fmt;

use wire_cbor::Writer;

use crate::cbor::{SHA_256, sha256_of_bstr};
use crate::cose::{TO_BE_SIGNED_BYTES_MAX, to_be_signed};
use crate::cosign::write_sign1;
use crate::envelope::TAG_ENVELOPE;
use crate::manifest::MANIFEST_VERSION;
use crate::sequence::{VERSION, VERSION_AT_LEAST};
use crate::text::TEXT_BYTES_MAX;
use crate::{
    ComponentIdentifier, IMAGE_BYTES_MAX, IMAGE_PAYLOAD, KeyId, Manifest, TEXT_STRING_BYTES_MAX, Text,
};

/// Bytes of a release's file besides its image: the envelope on the air, the text, and the heads of text and image.
pub const RELEASE_OVERHEAD_BYTES_MAX: usize = crate::ENVELOPE_BYTES_MAX + 4 + TEXT_BYTES_MAX + 16;

/// Protected header `{1: -19}`: Ed25519 as RFC 9864 numbers it.
pub(crate) const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x32];
/// Reporting policy of the conditions: all four bits, as in the draft's examples.
const POLICY_ALL: u64 = 15;
/// Reporting policy of invoke: record on failure, as in the draft's examples.
const POLICY_INVOKE: u64 = 2;
/// `[-16, bstr .size 32]`.
const DIGEST_BYTES: usize = 1 + 1 + 2 + 32;
/// Override of four parameters, then two conditions with their policies.
const SHARED_BYTES_MAX: usize = 1 + 1 + 1 + 2 * 18 + (1 + 2 + DIGEST_BYTES) + (1 + 5) + 4;
/// Components and shared sequence.
const COMMON_BYTES_MAX: usize = 1 + 1 + 4 + 1 + 2 + SHARED_BYTES_MAX;
/// Key, head, and: override of the version, with its own head and a number of 32 bits; the condition with its policy.
const INSTALL_BYTES_MAX: usize = 1 + 1 + (1 + 1 + 1 + 2 + 1 + VERSION_BYTES_MAX + 2 + 1);
/// `[2, [number]]`
const VERSION_BYTES_MAX: usize = 1 + 1 + 1 + 5;
/// Version, sequence number, common, validate, invoke, install, text digest.
const MANIFEST_BYTES_MAX: usize =
    1 + 2 + 6 + (1 + 2 + COMMON_BYTES_MAX) + 2 * (1 + 1 + 3) + INSTALL_BYTES_MAX + (1 + DIGEST_BYTES);
/// Tag, array, protected, unprotected with a key id, nil, signature.
pub(crate) const SIGN1_BYTES: usize = 1 + 1 + (1 + PROTECTED.len()) + (1 + 1 + 1 + 8) + 1 + (2 + 64);
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
    /// The lowest sequence number that the image it replaces may have; 0: any. Below its own.
    pub predecessor_min: u64,
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
            Some(text) => Some(text.encode(&mut text_buffer).ok_or(EncodeError::NoSpace)?),
            None => None,
        };
        let manifest = self.manifest(text.map(sha256_of_bstr));
        let mut manifest_buffer = [0; MANIFEST_BYTES_MAX];
        let manifest = write(&mut manifest_buffer, |writer| write_manifest(writer, &manifest))?;
        let mut wrapper_buffer = [0; WRAPPER_BYTES];
        let wrapper = write_wrapper(&mut wrapper_buffer, manifest, key_id, sign)?;
        write(out, |writer| {
            self.write_envelope(writer, wrapper, manifest, text);
            Ok(())
        })
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
        if self.predecessor_min != 0 && self.predecessor_min >= self.sequence_number {
            return Err(EncodeError::Predecessor);
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
            predecessor_min: self.predecessor_min,
            text_digest,
        }
    }

    fn write_envelope(&self, writer: &mut Writer<'_>, wrapper: &[u8], manifest: &[u8], text: Option<&[u8]>) {
        let members = 2 + u64::from(text.is_some()) + u64::from(self.image.is_some());
        writer.tag(TAG_ENVELOPE).map(members);
        writer.uint(2).bytes(wrapper).uint(3).bytes(manifest);
        if let Some(text) = text {
            writer.uint(23).bytes(text);
        }
        if let Some(image) = self.image {
            writer.text(IMAGE_PAYLOAD).bytes(image);
        }
    }
}

/// Writes with `fill` into `buffer` and returns what was written.
pub(crate) fn write(
    buffer: &mut [u8],
    fill: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<&[u8], EncodeError> {
    let mut writer = Writer::new(buffer);
    fill(&mut writer)?;
    writer.finish().ok_or(EncodeError::NoSpace)
}

pub(crate) fn write_digest(writer: &mut Writer<'_>, digest: &[u8; 32]) {
    writer.array(2).int(SHA_256.into()).bytes(digest);
}

/// A sequence of one command with its reporting policy, as a byte string.
fn write_only(writer: &mut Writer<'_>, command: i32, policy: u64) {
    writer.bytes_head(3).array(2).int(command.into()).uint(policy);
}

fn write_manifest(writer: &mut Writer<'_>, manifest: &Manifest) -> Result<(), EncodeError> {
    let mut common_buffer = [0; COMMON_BYTES_MAX];
    let common = write(&mut common_buffer, |writer| write_common(writer, manifest))?;
    let has_install = manifest.predecessor_min > 0;
    writer.map(5 + u64::from(has_install) + u64::from(manifest.text_digest.is_some()));
    writer.uint(1).uint(MANIFEST_VERSION.into());
    writer.uint(2).uint(manifest.sequence_number);
    writer.uint(3).bytes(common);
    write_only(writer.uint(7), crate::sequence::IMAGE_MATCH, POLICY_ALL);
    write_only(writer.uint(9), crate::sequence::INVOKE, POLICY_INVOKE);
    if has_install {
        let mut buffer = [0; INSTALL_BYTES_MAX];
        let install = write(&mut buffer, |writer| {
            write_install(writer, manifest.predecessor_min)
        })?;
        writer.uint(20).bytes(install);
    }
    if let Some(digest) = &manifest.text_digest {
        write_digest(writer.uint(23), digest);
    }
    Ok(())
}

fn write_install(writer: &mut Writer<'_>, predecessor_min: u64) -> Result<(), EncodeError> {
    let mut buffer = [0; VERSION_BYTES_MAX];
    let version = write(&mut buffer, |writer| {
        writer
            .array(2)
            .uint(VERSION_AT_LEAST)
            .array(1)
            .uint(predecessor_min);
        Ok(())
    })?;
    writer.array(4).uint(20).map(1).int(VERSION.into()).bytes(version);
    writer.int(VERSION.into()).uint(POLICY_ALL);
    Ok(())
}

fn write_common(writer: &mut Writer<'_>, manifest: &Manifest) -> Result<(), EncodeError> {
    let mut shared_buffer = [0; SHARED_BYTES_MAX];
    let shared = write(&mut shared_buffer, |writer| write_shared(writer, manifest))?;
    writer.map(2);
    writer
        .uint(2)
        .array(1)
        .array(1)
        .bytes(&ComponentIdentifier::SEGMENT);
    writer.uint(4).bytes(shared);
    Ok(())
}

fn write_shared(writer: &mut Writer<'_>, manifest: &Manifest) -> Result<(), EncodeError> {
    writer.array(6).uint(20).map(4);
    writer.uint(1).bytes(&manifest.vendor_id);
    writer.uint(2).bytes(&manifest.class_id);
    writer.uint(3).bytes_head(DIGEST_BYTES as u64);
    write_digest(writer, &manifest.image_digest);
    writer.uint(14).uint(manifest.image_size.into());
    writer.uint(1).uint(POLICY_ALL).uint(2).uint(POLICY_ALL);
    Ok(())
}

/// The authentication wrapper over `manifest`, with one signature.
fn write_wrapper<'b>(
    buffer: &'b mut [u8; WRAPPER_BYTES],
    manifest: &[u8],
    key_id: KeyId,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<&'b [u8], EncodeError> {
    let mut digest_buffer = [0; DIGEST_BYTES];
    let digest = write(&mut digest_buffer, |writer| {
        write_digest(writer, &sha256_of_bstr(manifest));
        Ok(())
    })?;
    let mut signed_buffer = [0; TO_BE_SIGNED_BYTES_MAX];
    let signed = to_be_signed(&mut signed_buffer, &PROTECTED, digest).ok_or(EncodeError::NoSpace)?;
    let signature = sign(signed);
    write(buffer, |writer| {
        writer.array(2).bytes(digest);
        write_sign1(writer, key_id, &signature);
        Ok(())
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
    /// The image would have to follow itself or a later one.
    Predecessor,
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
            Self::Predecessor => {
                f.write_str("the lowest sequence number to follow is not below the image's own")
            }
        }
    }
}

impl core::error::Error for EncodeError {}
