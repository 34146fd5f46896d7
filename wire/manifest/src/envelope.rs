//! SUIT_Envelope (draft-ietf-suit-manifest-37 §8.2), at the level of any profile.

use core::fmt;

use wire_cbor::{Kind, Writer};

use crate::cbor::{Key, Keys, Reader};
use crate::cose::{self, SIGNATURES_MAX, Signature, TO_BE_SIGNED_BYTES_MAX};
use crate::error::told;
use crate::sha::sha256;
use crate::{
    Item, Malformed, Manifest, ManifestError, SignatureError, Unsupported, Unverified, Verified, Verifier,
    VerifyError,
};

/// Longest envelope on the air and in a device's slot header, with the text severed. Ours with one signature has at most
/// 2 (tag) + 1 (map) + 3 + 125 (authentication) + 3 + 156 (manifest) = 290 bytes; the rest is room for two more
/// signatures (86 bytes each) while keys change, and for later members.
pub const ENVELOPE_BYTES_MAX: usize = 512;

/// Envelope key of the image in a publisher's file.
pub const IMAGE_PAYLOAD: &str = "#image";

/// CBOR tag of an envelope.
pub(crate) const TAG_ENVELOPE: u64 = 107;

/// Most members of one envelope: authentication, manifest, three severed, and some integrated payloads.
const MEMBERS_MAX: usize = 12;

/// An envelope, read and not checked. Borrows from the bytes it was read from.
#[derive(Clone, Debug)]
pub struct Envelope<'a> {
    wrapper: Wrapper<'a>,
    authentication: &'a [u8],
    manifest: &'a [u8],
    manifest_with_header: &'a [u8],
    text: Option<(&'a [u8], &'a [u8])>,
    members: Reader<'a>,
    members_count: u32,
}

impl<'a> Envelope<'a> {
    /// Reads a whole envelope of any profile.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(bytes);
        if reader.peek()? != Kind::Tag || reader.tag()? != TAG_ENVELOPE {
            return Err(Unsupported::UntaggedEnvelope.into());
        }
        let members_count = reader.map()?;
        let members = reader.clone();
        let (mut authentication, mut manifest, mut text) = (None, None, None);
        let mut keys = Keys::<MEMBERS_MAX>::new(Item::EnvelopeMembers);
        for _ in 0..members_count {
            let key = reader.key()?;
            keys.insert(key)?;
            let member = reader.bytes_with_header()?;
            match key {
                Key::Int(2) => authentication = Some(member.0),
                Key::Int(3) => manifest = Some(member),
                Key::Int(16 | 20) | Key::Text(_) => {}
                Key::Int(23) => text = Some(member),
                Key::Int(other) => return Err(Unsupported::EnvelopeMember(told(other)).into()),
            }
        }
        reader.end()?;
        let authentication = authentication.ok_or(Malformed::Missing(Item::AuthenticationWrapper))?;
        let (manifest, manifest_with_header) = manifest.ok_or(Malformed::Missing(Item::Manifest))?;
        Ok(Self {
            wrapper: Wrapper::parse(authentication)?,
            authentication,
            manifest,
            manifest_with_header,
            text,
            members,
            members_count,
        })
    }

    /// Whether the digest in the authentication wrapper is that of the manifest: SHA-256 over the manifest's byte string
    /// *with* its CBOR header. Anybody can make it match; only a signature says who did.
    pub fn digest_matches(&self) -> bool {
        sha256(&[self.manifest_with_header]) == *self.wrapper.digest
    }

    /// The digest in the authentication wrapper, as stated.
    pub fn manifest_digest(&self) -> [u8; 32] {
        *self.wrapper.digest
    }

    /// The COSE_Sign1 blocks, in their order.
    pub fn signatures(&self) -> impl Iterator<Item = Signature<'a>> + use<'a> {
        let mut blocks = self.wrapper.blocks.clone();
        (0..self.wrapper.count).filter_map(move |_| Signature::parse(blocks.bytes().ok()?).ok()?)
    }

    /// Whether there are authentication blocks of a kind this crate does not read (a MAC, several signers, …).
    pub fn has_other_authentication(&self) -> bool {
        self.wrapper.has_other
    }

    /// Checks one signature alone, and says as a bit by which key it is. It is over the digest, so [`digest_matches`](Self::digest_matches) must hold too.
    pub fn check(&self, signature: &Signature<'_>, verifier: &impl Verifier) -> Result<u32, SignatureError> {
        let mut buffer = [0; TO_BE_SIGNED_BYTES_MAX];
        let to_be_signed = signature
            .to_be_signed(&mut buffer, self.wrapper.digest_bstr)
            .ok_or(SignatureError::Invalid)?;
        verifier.verify(signature, to_be_signed)
    }

    /// Checks digest and signatures, in this order, until those that `verifier` accepts are enough for it. Says nothing about
    /// what the manifest holds.
    pub fn authenticate(&self, verifier: &impl Verifier) -> Result<Verified<&'a [u8]>, VerifyError> {
        if !self.digest_matches() {
            return Err(VerifyError::DigestMismatch);
        }
        let mut nearest = match self.wrapper.has_other {
            true => VerifyError::UnsupportedAuthentication,
            false => VerifyError::NotSigned,
        };
        let mut signers = 0;
        for signature in self.signatures() {
            match self.check(&signature, verifier) {
                Ok(signer) => {
                    signers |= signer;
                    if verifier.suffices(signers) {
                        return Ok(Verified::new(self.manifest));
                    }
                    nearest = VerifyError::TooFewSignatures;
                }
                Err(error) if VerifyError::from(error).nearness() > nearest.nearness() => {
                    nearest = error.into()
                }
                Err(_) => {}
            }
        }
        Err(nearest)
    }

    /// What a further signature goes behind: the digest's content, the encoded authentication blocks, and how many they are.
    pub(crate) fn authentication_blocks(&self) -> (&'a [u8], &'a [u8], u32) {
        let blocks = self.wrapper.blocks.clone();
        (self.wrapper.digest_bstr, blocks.rest(), self.wrapper.count)
    }

    /// The manifest's bytes, without the header of their byte string.
    pub fn manifest_bytes(&self) -> &'a [u8] {
        self.manifest
    }

    /// The manifest in our profile, not verified: for showing, never for acting.
    pub fn interpret(&self) -> Result<Unverified<Manifest>, ManifestError> {
        Manifest::interpret(self.manifest)
    }

    /// The severable text, if it is there: the map's bytes, without the header of their byte string.
    pub fn text_bytes(&self) -> Option<&'a [u8]> {
        self.text.map(|(content, _)| content)
    }

    /// The text as a byte string with its header, which its digest covers.
    pub(crate) fn text_with_header(&self) -> Option<&'a [u8]> {
        self.text.map(|(_, whole)| whole)
    }

    /// The payload integrated under `name`, for example [`IMAGE_PAYLOAD`].
    pub fn integrated_payload(&self, name: &str) -> Option<&'a [u8]> {
        let mut members = self.members.clone();
        for _ in 0..self.members_count {
            let key = members.key().ok()?;
            let content = members.bytes().ok()?;
            if key == Key::Text(name.as_bytes()) {
                return Some(content);
            }
        }
        None
    }

    /// Writes the envelope with nothing but authentication and manifest into `out`.
    fn write_severed<'o>(&self, out: &'o mut [u8]) -> Option<&'o [u8]> {
        let mut writer = Writer::new(out);
        writer.tag(TAG_ENVELOPE).map(2);
        writer.uint(2).bytes(self.authentication);
        // The digest covers the header as it was written, so it is copied, not written anew.
        writer.uint(3).raw(self.manifest_with_header);
        writer.finish()
    }
}

/// Writes `envelope` into `out` as it goes on the air: without text and integrated payloads, which the signature covers
/// by digest or not at all. The result verifies exactly when `envelope` does.
pub fn sever_text<'o>(envelope: &[u8], out: &'o mut [u8]) -> Result<&'o [u8], SeverError> {
    Envelope::parse(envelope)
        .map_err(SeverError::Envelope)?
        .write_severed(out)
        .ok_or(SeverError::NoSpace)
}

/// Why no severed envelope was written. `out` is then unspecified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeverError {
    /// The envelope can not be read.
    Envelope(ManifestError),
    /// The severed envelope does not fit `out`.
    NoSpace,
}

impl fmt::Display for SeverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Envelope(error) => error.fmt(f),
            Self::NoSpace => f.write_str("envelope without its text does not fit"),
        }
    }
}

impl core::error::Error for SeverError {}

/// The authentication wrapper: `[bstr .cbor digest, * bstr .cbor authentication-block]`.
#[derive(Clone, Debug)]
struct Wrapper<'a> {
    digest: &'a [u8; 32],
    digest_bstr: &'a [u8],
    /// Before the authentication blocks, of which there are so many. Each was read once, and is read again when it is asked for: a
    /// device has room for one.
    blocks: Reader<'a>,
    count: u32,
    has_other: bool,
}

impl<'a> Wrapper<'a> {
    fn parse(bytes: &'a [u8]) -> Result<Self, ManifestError> {
        let mut reader = Reader::new(bytes);
        let items = reader.array()?;
        let blocks = items
            .checked_sub(1)
            .ok_or(Malformed::Missing(Item::ManifestDigest))?;
        let digest_bstr = reader.bytes()?;
        if !cose::is_signable(digest_bstr) {
            return Err(Malformed::OutOfRange(Item::ManifestDigest).into());
        }
        let mut inner = Reader::new(digest_bstr);
        let digest = inner.digest()?;
        inner.end()?;
        if blocks > SIGNATURES_MAX as u32 {
            return Err(Unsupported::TooMany(Item::Signatures).into());
        }
        let before = reader.clone();
        let mut has_other = false;
        for _ in 0..blocks {
            has_other |= Signature::parse(reader.bytes()?)?.is_none();
        }
        reader.end()?;
        Ok(Self {
            digest,
            digest_bstr,
            blocks: before,
            count: blocks,
            has_other,
        })
    }
}
