//! Writes sets of trust anchors, and adds signatures to what has some: releases and sets alike.

use wire_cbor::Writer;

use crate::anchors::VERSION;
use crate::builder::{EncodeError, PROTECTED, SIGN1_BYTES, write, write_digest};
use crate::cbor::{Key, Reader, sha256_of_bstr};
use crate::cose::{SIGNATURES_MAX, TAG_SIGN1, TO_BE_SIGNED_BYTES_MAX, to_be_signed};
use crate::envelope::TAG_ENVELOPE;
use crate::{ANCHORS_MAX, AnchorSet, ENVELOPE_BYTES_MAX, Envelope, KeyId, SetKey};

/// The array of a set: its head, version, number, class, highest sequence number, and the body with its head.
const SET_BYTES_MAX: usize = 1 + 1 + 3 + 17 + 5 + (2 + 2 + 33 * ANCHORS_MAX);
/// What one more signature takes in an envelope: its byte string, and longer heads of the wrapper at most.
pub const SIGNATURE_BYTES_MAX: usize = 2 + SIGN1_BYTES + 2;

/// Writes an envelope that nobody has signed yet into `out` and returns it: a set of these keys, in any order. `None`: no device
/// would take it, or `out` is shorter than [`ENVELOPE_BYTES_MAX`].
pub fn write_set<'o>(
    out: &'o mut [u8],
    number: u16,
    class_id: Option<[u8; 16]>,
    sequence_max: u32,
    (release_min, recovery_min): (u8, u8),
    keys: &mut [SetKey],
) -> Option<&'o [u8]> {
    keys.sort_unstable_by_key(SetKey::order);
    let mut body = [0; 2 + 33 * ANCHORS_MAX];
    let (least, places) = body.split_at_mut(2);
    least.copy_from_slice(&[release_min, recovery_min]);
    for (at, key) in keys.iter().enumerate() {
        places
            .as_chunks_mut::<33>()
            .0
            .get_mut(at)?
            .copy_from_slice(&key.bytes());
    }
    let body = body.get(..2 + 33 * keys.len())?;
    let mut set_buffer = [0; SET_BYTES_MAX];
    let mut writer = Writer::new(&mut set_buffer);
    writer.array(5).uint(VERSION.into()).uint(number.into());
    writer
        .bytes(class_id.as_ref().map_or(&[], |class| class))
        .uint(sequence_max.into())
        .bytes(body);
    let set = writer.finish()?;
    AnchorSet::read(set)?;
    let mut wrapper_buffer = [0; 40];
    let wrapper = write(&mut wrapper_buffer, |writer| {
        writer.array(1).bytes_head(36);
        write_digest(writer, &sha256_of_bstr(set));
        Ok(())
    });
    let mut writer = Writer::new(out);
    writer.tag(TAG_ENVELOPE).map(2);
    writer.uint(2).bytes(wrapper.ok()?).uint(3).bytes(set);
    writer.finish()
}

/// Copies `envelope` into `out` with one more signature, by the key of `key_id`. With [`SIGNATURE_BYTES_MAX`] bytes more than
/// `envelope` it fits.
///
/// # Errors
/// [`CosignError`].
pub fn cosign<'o>(
    envelope: &[u8],
    out: &'o mut [u8],
    key_id: KeyId,
    sign: impl FnOnce(&[u8]) -> [u8; 64],
) -> Result<&'o [u8], CosignError> {
    let parsed = Envelope::parse(envelope).map_err(CosignError::Envelope)?;
    if !parsed.digest_matches() {
        return Err(CosignError::Altered);
    }
    if parsed
        .signatures()
        .any(|signature| signature.key_id() == Some(key_id))
    {
        return Err(CosignError::SignedAlready);
    }
    let (digest_bstr, blocks, count) = parsed.authentication_blocks();
    if count >= SIGNATURES_MAX as u32 {
        return Err(CosignError::TooMany);
    }
    let mut signed_buffer = [0; TO_BE_SIGNED_BYTES_MAX];
    let signed = to_be_signed(&mut signed_buffer, &PROTECTED, digest_bstr).ok_or(CosignError::NoSpace)?;
    let signature = sign(signed);
    let mut wrapper_buffer = [0; ENVELOPE_BYTES_MAX];
    let wrapper = write(&mut wrapper_buffer, |writer| {
        writer.array((2 + count).into()).bytes(digest_bstr).raw(blocks);
        write_sign1(writer, key_id, &signature);
        Ok(())
    })
    .map_err(|_| CosignError::NoSpace)?;
    let mut members = Reader::new(envelope);
    let mut writer = Writer::new(out);
    let malformed = |error| CosignError::Envelope(crate::ManifestError::Malformed(error));
    members.tag().map_err(malformed)?;
    let number = members.map().map_err(malformed)?;
    writer.tag(TAG_ENVELOPE).map(number.into());
    for _ in 0..number {
        match members.key().map_err(malformed)? {
            Key::Int(2) => {
                members.skip().map_err(malformed)?;
                writer.uint(2).bytes(wrapper);
            }
            Key::Int(key) => {
                writer.int(key.into()).raw(members.skip().map_err(malformed)?);
            }
            Key::Text(key) => {
                writer.text_bytes(key).raw(members.skip().map_err(malformed)?);
            }
        }
    }
    writer.finish().ok_or(CosignError::NoSpace)
}

/// A signature as a byte string of the wrapper.
pub(crate) fn write_sign1(writer: &mut Writer<'_>, key_id: KeyId, signature: &[u8; 64]) {
    writer.bytes_head(SIGN1_BYTES as u64);
    writer.tag(TAG_SIGN1).array(4).bytes(&PROTECTED);
    writer.map(1).uint(4).bytes(&key_id.0);
    writer.null().bytes(signature);
}

/// Why a signature was not added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CosignError {
    /// It is no envelope.
    Envelope(crate::ManifestError),
    /// Its digest is not that of what is in it: somebody altered it.
    Altered,
    /// This key signed it.
    SignedAlready,
    /// It has as many signatures as an envelope may.
    TooMany,
    /// It does not fit the buffer.
    NoSpace,
}

impl core::fmt::Display for CosignError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Envelope(error) => error.fmt(f),
            Self::Altered => f.write_str("what is in the envelope is not what its digest is of"),
            Self::SignedAlready => f.write_str("this key signed it already"),
            Self::TooMany => write!(f, "it has {SIGNATURES_MAX} signatures, as many as fit"),
            Self::NoSpace => f.write_str("it does not fit with one more signature"),
        }
    }
}

impl core::error::Error for CosignError {}

impl From<EncodeError> for CosignError {
    fn from(_: EncodeError) -> Self {
        Self::NoSpace
    }
}
