//! The key schedule (RFC 9528 §4), for any SHA-256.

use core::fmt;

use sha2::Digest;
use wire_oscore::primitives::{Ccm, HASH_BYTES, KEY_BYTES, NONCE_BYTES, Sha256, TAG_BYTES, hmac};
use zeroize::Zeroizing;

use crate::credential::{CREDENTIAL_BYTES_MAX, KID_BYTES_MAX};
use crate::error::Fault;
use crate::guard::EAD_BYTES_MAX;

/// RFC 9528 §3.6: of cipher suite 2.
pub(crate) const MAC_BYTES: usize = 8;

/// The head of a byte string of 32.
pub(crate) const STRING_32: [u8; 2] = [0x58, 32];

/// Label 1, the context's head 2, C_R 8, ID_CRED 3 and a kid, a hash with its head, a credential, external data, length 2.
const INFO_BYTES_MAX: usize =
    1 + 2 + 8 + 3 + KID_BYTES_MAX + 2 + HASH_BYTES + CREDENTIAL_BYTES_MAX + EAD_BYTES_MAX + 2;

/// The head of a byte string of less than 24.
pub(crate) const fn string(length: usize) -> u8 {
    0x40 | length as u8
}

/// SHA-256 of whoever has none in ROM.
pub(crate) fn sha2(parts: &[&[u8]]) -> [u8; HASH_BYTES] {
    let mut hash = sha2::Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// What a key is for (RFC 9528 §4.1.2, Table 6).
#[derive(Clone, Copy, Debug)]
pub(crate) enum Label {
    Keystream2,
    Salt3e2m,
    Mac2,
    Key3,
    Iv3,
    Salt4e3m,
    Mac3,
    Out,
    Key4,
    Iv4,
    Exporter,
    /// Of the exporter: they count for themselves.
    Exported(u8),
}

impl Label {
    const fn number(self) -> u8 {
        match self {
            Label::Keystream2 => 0,
            Label::Salt3e2m => 1,
            Label::Mac2 => 2,
            Label::Key3 => 3,
            Label::Iv3 => 4,
            Label::Salt4e3m => 5,
            Label::Mac3 => 6,
            Label::Out => 7,
            Label::Key4 => 8,
            Label::Iv4 => 9,
            Label::Exporter => 10,
            Label::Exported(number) => number,
        }
    }
}

/// EDHOC_KDF (RFC 9528 §4.1.2): `info = label: int, context: bstr, length: uint`. The context is the concatenation of its parts.
#[inline(never)]
pub(crate) fn kdf(
    sha256: Sha256<'_>,
    prk: &[u8; HASH_BYTES],
    label: Label,
    context: &[&[u8]],
    output: &mut [u8],
) -> Result<(), Fault> {
    let mut room = [0; INFO_BYTES_MAX];
    let mut writer = wire_cbor::Writer::new(&mut room);
    writer
        .uint(label.number().into())
        .bytes_head(context.iter().map(|part| part.len() as u64).sum());
    for part in context {
        writer.raw(part);
    }
    writer.uint(output.len() as u64);
    let info = writer.finish().ok_or(Fault::Malformed)?;
    // RFC 5869 §2.3: each block of the output has the one before in it.
    let mut block = Zeroizing::new([0; HASH_BYTES]);
    for (number, place) in (1_u8..).zip(output.chunks_mut(HASH_BYTES)) {
        let before: &[u8] = if number == 1 { &[] } else { &*block };
        let next = hmac(sha256, prk, &[before, info, &[number]]);
        *block = next;
        for (byte, made) in place.iter_mut().zip(next) {
            *byte = made;
        }
    }
    Ok(())
}

/// What is left when message_3 was made.
pub(crate) struct Transcript {
    pub(crate) prk_4e3m: Zeroizing<[u8; HASH_BYTES]>,
    pub(crate) th_4: [u8; HASH_BYTES],
}

/// Shows no key.
impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript").finish_non_exhaustive()
    }
}

/// What encrypts one message, once.
pub(crate) struct Aead {
    cipher: Ccm,
    nonce: [u8; NONCE_BYTES],
    aad: [u8; AAD_HEAD.len() + HASH_BYTES],
}

/// RFC 9528 §5.4.2: `["Encrypt0", h'', TH]`, up to the hash.
const AAD_HEAD: [u8; 13] = *b"\x83\x68Encrypt0\x40\x58\x20";

impl Aead {
    pub(crate) fn new(
        sha256: Sha256<'_>,
        prk: &[u8; HASH_BYTES],
        [key_label, iv_label]: [Label; 2],
        transcript: &[u8; HASH_BYTES],
    ) -> Result<Aead, Fault> {
        let (mut key, mut nonce) = (Zeroizing::new([0; KEY_BYTES]), [0; NONCE_BYTES]);
        kdf(sha256, prk, key_label, &[transcript], &mut *key)?;
        kdf(sha256, prk, iv_label, &[transcript], &mut nonce)?;
        let mut aad = [0; AAD_HEAD.len() + HASH_BYTES];
        for (place, byte) in aad.iter_mut().zip(AAD_HEAD.iter().chain(transcript)) {
            *place = *byte;
        }
        Ok(Aead {
            cipher: Ccm::new(&key),
            nonce,
            aad,
        })
    }

    /// Writes text and tag as a byte string; its length.
    pub(crate) fn seal(self, text: &[u8], into: &mut [u8]) -> Option<usize> {
        let mut writer = wire_cbor::Writer::new(into);
        writer
            .bytes_head((text.len() + TAG_BYTES) as u64)
            .raw(text)
            .raw(&[0; TAG_BYTES]);
        let all = writer.finish()?.len();
        let (body, tag) = into.get_mut(..all)?.split_last_chunk_mut::<TAG_BYTES>()?;
        let head = body.len().checked_sub(text.len())?;
        *tag = self.cipher.seal(&self.nonce, &self.aad, body.get_mut(head..)?);
        Some(all)
    }

    /// Decrypts text and tag.
    pub(crate) fn open<'r>(self, sealed: &[u8], room: &'r mut [u8]) -> Result<&'r [u8], Fault> {
        let (sealed, tag) = sealed.split_last_chunk::<TAG_BYTES>().ok_or(Fault::Malformed)?;
        let text = room.get_mut(..sealed.len()).ok_or(Fault::Malformed)?;
        text.copy_from_slice(sealed);
        match self.cipher.open(&self.nonce, &self.aad, text, tag) {
            true => Ok(text),
            false => Err(Fault::Forged),
        }
    }
}
