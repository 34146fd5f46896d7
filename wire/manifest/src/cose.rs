//! COSE_Sign1 (RFC 9052 §4.2) with a detached payload, as SUIT uses it.

use core::fmt;

use wire_cbor::Writer;

use crate::cbor::{Key, Keys, Reader};
use crate::{Item, KeyId, Malformed, ManifestError};

/// Most authentication blocks of one envelope: a publisher's key, its successor, and one of another algorithm, with
/// one to spare.
pub const SIGNATURES_MAX: usize = 4;

/// Longest protected header, and longest encoded digest, we make a Sig_structure of. Ours have 4 and 36 bytes.
const PART_BYTES_MAX: usize = 64;

/// RFC 9052 §4.4: array header, "Signature1" with its header, then protected header, empty external data and payload
/// with theirs.
pub(crate) const TO_BE_SIGNED_BYTES_MAX: usize = 1 + 11 + (2 + PART_BYTES_MAX) + 1 + (2 + PART_BYTES_MAX);

/// Most header labels of one signature: the eight of RFC 9052 §3.1 and some of others.
const LABELS_MAX: usize = 12;

/// CBOR tag of COSE_Sign1.
pub(crate) const TAG_SIGN1: u64 = 18;

/// How a signature was made: label 1 of the protected header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// -19, Ed25519 (RFC 9864): what we write.
    Ed25519,
    /// -8, EdDSA (RFC 9053): read as Ed25519.
    EdDsa,
    /// -7, ES256: the draft's examples; no device of ours accepts it.
    Es256,
    /// Any other number of IANA's COSE Algorithms; one past 32 bits as the nearest within.
    Other(i32),
}

impl Algorithm {
    fn from_id(id: i32) -> Self {
        match id {
            -19 => Self::Ed25519,
            -8 => Self::EdDsa,
            -7 => Self::Es256,
            other => Self::Other(other),
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519 => f.write_str("Ed25519 (-19)"),
            Self::EdDsa => f.write_str("EdDSA (-8)"),
            Self::Es256 => f.write_str("ES256 (-7)"),
            Self::Other(id) => write!(f, "COSE algorithm {id}"),
        }
    }
}

/// One COSE_Sign1 of an envelope, read and not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature<'a> {
    /// What the signer says it used.
    pub algorithm: Algorithm,
    /// Label 4, `kid`: which key, as the signer names it; often absent in the draft's examples.
    pub kid: Option<&'a [u8]>,
    /// The signature itself: 64 bytes for Ed25519 and ES256.
    pub signature: &'a [u8],
    /// Content of the protected header's byte string.
    protected: &'a [u8],
}

impl<'a> Signature<'a> {
    /// The key id of our profile, if the kid has its length.
    pub fn key_id(&self) -> Option<KeyId> {
        self.kid.and_then(|kid| kid.try_into().ok()).map(KeyId)
    }

    /// Reads an authentication block. `None`: legal COSE of a kind we do not check (a MAC, several signers, critical
    /// headers, an algorithm named by text, an attached payload).
    pub(crate) fn parse(block: &'a [u8]) -> Result<Option<Self>, ManifestError> {
        let mut reader = Reader::new(block);
        if reader.tag()? != TAG_SIGN1 {
            reader.skip()?;
            reader.end()?;
            return Ok(None);
        }
        if reader.array()? != 4 {
            return Err(Malformed::OutOfRange(Item::CoseSign1).into());
        }
        let mut headers = Headers {
            labels: Keys::new(Item::HeaderLabels),
            algorithm: None,
            kid: None,
            foreign: false,
        };
        let protected = reader.bytes()?;
        if !protected.is_empty() {
            let mut inner = Reader::new(protected);
            headers.read(&mut inner, Bucket::Protected)?;
            inner.end()?;
        }
        headers.read(&mut reader, Bucket::Unprotected)?;
        headers.foreign |= reader.null().is_err();
        if headers.foreign || protected.len() > PART_BYTES_MAX {
            return Ok(None);
        }
        let signature = reader.bytes()?;
        reader.end()?;
        let algorithm = headers
            .algorithm
            .ok_or(Malformed::Missing(Item::SignatureAlgorithm))?;
        Ok(Some(Self {
            algorithm,
            kid: headers.kid,
            signature,
            protected,
        }))
    }

    /// The bytes this signature is over, given the content of the envelope's digest byte string, written into `buffer`.
    pub(crate) fn to_be_signed<'b>(
        self,
        buffer: &'b mut [u8; TO_BE_SIGNED_BYTES_MAX],
        digest_bstr: &[u8],
    ) -> Option<&'b [u8]> {
        to_be_signed(buffer, self.protected, digest_bstr)
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Bucket {
    Protected,
    Unprotected,
}

struct Headers<'a> {
    labels: Keys<'a, LABELS_MAX>,
    algorithm: Option<Algorithm>,
    kid: Option<&'a [u8]>,
    /// Something that we must understand to check the signature, and do not.
    foreign: bool,
}

impl<'a> Headers<'a> {
    /// RFC 9052 §3: a label stands once in both buckets together; the algorithm counts in the protected one only, as
    /// anybody could change it in the other.
    fn read(&mut self, reader: &mut Reader<'a>, bucket: Bucket) -> Result<(), ManifestError> {
        for _ in 0..reader.map()? {
            let label = reader.key()?;
            self.labels.insert(label)?;
            match (label, bucket) {
                (Key::Int(1), Bucket::Protected) => match reader.key()? {
                    Key::Int(id) => self.algorithm = Some(Algorithm::from_id(id)),
                    Key::Text(_) => self.foreign = true,
                },
                (Key::Int(4), _) => self.kid = Some(reader.bytes()?),
                (Key::Int(2), _) => {
                    reader.skip()?;
                    self.foreign = true;
                }
                _ => drop(reader.skip()?),
            }
        }
        Ok(())
    }
}

/// A Sig_structure, encoded into `buffer`: `["Signature1", protected, h'', payload]`. `None`: a part is longer than
/// `PART_BYTES_MAX`, which its reader or writer sees to.
pub(crate) fn to_be_signed<'b>(
    buffer: &'b mut [u8; TO_BE_SIGNED_BYTES_MAX],
    protected: &[u8],
    payload: &[u8],
) -> Option<&'b [u8]> {
    let mut writer = Writer::new(buffer);
    writer
        .array(4)
        .text("Signature1")
        .bytes(protected)
        .bytes(&[])
        .bytes(payload);
    writer.finish()
}

/// Whether an encoded digest is short enough to be signed.
pub(crate) fn is_signable(digest_bstr: &[u8]) -> bool {
    digest_bstr.len() <= PART_BYTES_MAX
}
