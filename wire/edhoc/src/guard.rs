//! Messages, read strictly: by the initiator, which is ours, and before lakers, which is the responder, sees them. Found by reading lakers
//! 0.8: each of these would make it panic, and anybody can send them.
//!
//! | bytes | where lakers panics |
//! |---|---|
//! | a connection identifier of 8 to 23 bytes | `ConnId::from_decoder`: its buffer has 8 |
//! | a message_3 or message_4 that says more than 192 bytes | `decrypt_message_3`: its buffer has 192 |
//! | a long credential or external data in plaintext_3 | `encode_kdf_context`, `encode_ead_item`: 256, 192 |
//! | a point that is not on the curve | the back end's `p256_ecdh` has no way to refuse it |
//!
//! So every message is read here first, strictly and within bounds below those buffers; plaintexts as soon as they are decrypted, inside of
//! the back end ([`crate::crypto`]).

#[cfg(feature = "responder")]
use lakers::{MAX_BUFFER_LEN, MAX_KDF_CONTEXT_LEN, MAX_MESSAGE_SIZE_LEN};
use wire_cbor::{Fault as CborFault, Kind, Reader};
use wire_oscore::Id;

#[cfg(feature = "responder")]
use crate::credential::CREDENTIAL_BYTES_MAX;
use crate::credential::KID_BYTES_MAX;
use crate::error::Fault;
use crate::key::KEY_BYTES;
#[cfg(feature = "responder")]
use crate::key::PublicKey;
use crate::schedule::MAC_BYTES;

/// Method 1, nine suites 19, G_X 34, C_I 8, and some padding: 62 and more.
pub const MESSAGE_1_BYTES_MAX: usize = 96;
/// Head 2, G_Y 32, and a plaintext.
pub const MESSAGE_2_BYTES_MAX: usize = 2 + KEY_BYTES + PLAINTEXT_BYTES_MAX;
/// Head 2, a plaintext, tag 8.
pub const MESSAGE_3_BYTES_MAX: usize = 2 + PLAINTEXT_BYTES_MAX + TAG_BYTES;
/// A byte string of nothing but a tag, or with some padding in it.
pub const MESSAGE_4_BYTES_MAX: usize = 2 + EAD_BYTES_MAX + TAG_BYTES;

/// C_R 8, ID_CRED 17, MAC 9, external data.
pub(crate) const PLAINTEXT_BYTES_MAX: usize =
    (1 + Id::BYTES_MAX) + (1 + KID_BYTES_MAX) + (1 + MAC_BYTES) + EAD_BYTES_MAX;
/// External data that is not critical is not looked at, but it is part of what is authenticated: padding.
pub(crate) const EAD_BYTES_MAX: usize = 16;
const TAG_BYTES: usize = 8;
#[cfg(feature = "responder")]
const HASH_BYTES: usize = 34;

#[cfg(feature = "responder")]
const _: () = assert!(MESSAGE_1_BYTES_MAX <= MAX_MESSAGE_SIZE_LEN);
#[cfg(feature = "responder")]
const _: () = assert!(MESSAGE_2_BYTES_MAX <= MAX_MESSAGE_SIZE_LEN);
#[cfg(feature = "responder")]
const _: () = assert!(MESSAGE_3_BYTES_MAX <= MAX_MESSAGE_SIZE_LEN);
// The context of a MAC: C_R, ID_CRED as a map of kid, a hash, the credential, external data; its length is written in one byte.
#[cfg(feature = "responder")]
const _: () = assert!(
    (1 + Id::BYTES_MAX) + (3 + KID_BYTES_MAX) + HASH_BYTES + CREDENTIAL_BYTES_MAX + EAD_BYTES_MAX
        <= if MAX_KDF_CONTEXT_LEN < 255 {
            MAX_KDF_CONTEXT_LEN
        } else {
            255
        }
);
// A transcript: a hash, a plaintext, the credential.
#[cfg(feature = "responder")]
const _: () = assert!(HASH_BYTES + PLAINTEXT_BYTES_MAX + CREDENTIAL_BYTES_MAX <= MAX_BUFFER_LEN);
// A keystream, whose length is written in one byte behind a head of one.
#[cfg(feature = "responder")]
const _: () = assert!(PLAINTEXT_BYTES_MAX < 256);

impl From<CborFault> for Fault {
    fn from(_: CborFault) -> Fault {
        Fault::Malformed
    }
}

/// Reads message_1 and gives C_I: `METHOD, SUITES_I, G_X, C_I, ? EAD_1` (RFC 9528 §5.2.1).
#[cfg(feature = "responder")]
pub(crate) fn message_1(bytes: &[u8]) -> Result<Id, Fault> {
    if bytes.len() > MESSAGE_1_BYTES_MAX {
        return Err(Fault::Malformed);
    }
    let mut reader = Reader::new(bytes);
    if reader.int()? != 3 {
        return Err(Fault::Method);
    }
    if selected_suite(&mut reader)? != 2 {
        return Err(Fault::Suite);
    }
    let g_x = reader.bytes()?.try_into().map_err(|_| Fault::Malformed)?;
    PublicKey::new(g_x)?;
    let c_i = connection(&mut reader)?;
    external(&mut reader)?;
    Ok(c_i)
}

/// The last of at most nine; one alone stands without an array.
#[cfg(feature = "responder")]
fn selected_suite(reader: &mut Reader<'_>) -> Result<i64, Fault> {
    let Kind::Array = reader.peek()? else {
        return Ok(reader.int()?);
    };
    let count = reader.array()?;
    if !(2..=SUITES_MAX).contains(&count) {
        return Err(Fault::Malformed);
    }
    let mut last = 0;
    for _ in 0..count {
        last = reader.int()?;
    }
    Ok(last)
}

/// As many as lakers takes.
#[cfg(feature = "responder")]
const SUITES_MAX: u32 = 9;

/// Reads message_2: `G_Y ‖ CIPHERTEXT_2` in one byte string (RFC 9528 §5.3.1). G_Y may be no point.
pub(crate) fn message_2(bytes: &[u8]) -> Result<(&[u8; KEY_BYTES], &[u8]), Fault> {
    let text = sole(bytes, MESSAGE_2_BYTES_MAX)?;
    text.split_first_chunk().ok_or(Fault::Malformed)
}

/// Reads message_3 (RFC 9528 §5.4.1).
#[cfg(feature = "responder")]
pub(crate) fn message_3(bytes: &[u8]) -> Result<(), Fault> {
    ciphertext(bytes, MESSAGE_3_BYTES_MAX).map(|_| ())
}

/// Reads message_4 (RFC 9528 §5.5.1): text and tag.
pub(crate) fn message_4(bytes: &[u8]) -> Result<&[u8], Fault> {
    ciphertext(bytes, MESSAGE_4_BYTES_MAX)
}

fn ciphertext(bytes: &[u8], bytes_max: usize) -> Result<&[u8], Fault> {
    let sealed = sole(bytes, bytes_max)?;
    match sealed.len() < TAG_BYTES {
        true => Err(Fault::Malformed),
        false => Ok(sealed),
    }
}

/// A byte string and nothing behind it.
fn sole(bytes: &[u8], bytes_max: usize) -> Result<&[u8], Fault> {
    let mut reader = Reader::new(bytes);
    let text = reader.bytes()?;
    match reader.is_at_end() && bytes.len() <= bytes_max {
        true => Ok(text),
        false => Err(Fault::Malformed),
    }
}

/// What is in PLAINTEXT_2.
pub(crate) struct Plaintext2<'p> {
    pub(crate) c_r: Id,
    pub(crate) c_r_encoded: &'p [u8],
    pub(crate) kid: &'p [u8],
    pub(crate) mac: &'p [u8],
    pub(crate) external: &'p [u8],
}

/// `C_R, ID_CRED_R, MAC_2, ? EAD_2`
pub(crate) fn plaintext_2(bytes: &[u8]) -> Result<Plaintext2<'_>, Fault> {
    let mut reader = Reader::new(bytes);
    let c_r = connection(&mut reader)?;
    let c_r_encoded = Reader::new(bytes).until(&reader);
    let [kid, mac, external] = rest(&mut reader)?;
    Ok(Plaintext2 {
        c_r,
        c_r_encoded,
        kid,
        mac,
        external,
    })
}

/// `ID_CRED_I, MAC_3, ? EAD_3`
#[cfg(feature = "responder")]
pub(crate) fn plaintext_3(bytes: &[u8]) -> Result<(), Fault> {
    rest(&mut Reader::new(bytes)).map(|_| ())
}

/// `? EAD_4`
pub(crate) fn plaintext_4(bytes: &[u8]) -> Result<(), Fault> {
    external(&mut Reader::new(bytes)).map(|_| ())
}

/// The kid, the MAC, and external data as they are.
fn rest<'p>(reader: &mut Reader<'p>) -> Result<[&'p [u8]; 3], Fault> {
    let kid = match reader.peek()? {
        Kind::Unsigned | Kind::Negative => one_byte(reader)?,
        Kind::Bytes => Some(reader.bytes()?)
            .filter(|kid| !kid.is_empty() && kid.len() <= KID_BYTES_MAX && !is_one_byte(kid))
            .ok_or(Fault::Malformed)?,
        _ => return Err(Fault::CredentialKind),
    };
    let mac = reader.bytes()?;
    if mac.len() != MAC_BYTES {
        return Err(Fault::Malformed);
    }
    Ok([kid, mac, external(reader)?])
}

/// A connection identifier (RFC 9528 §3.3.2): a byte string, or the integer whose encoding is its one byte.
pub(crate) fn connection(reader: &mut Reader<'_>) -> Result<Id, Fault> {
    match reader.peek()? {
        Kind::Unsigned | Kind::Negative => Id::new(one_byte(reader)?),
        _ => Some(reader.bytes()?)
            .filter(|id| !is_one_byte(id))
            .and_then(Id::new),
    }
    .ok_or(Fault::Malformed)
}

/// An integer of one byte, as that byte.
fn one_byte<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], Fault> {
    let before = *reader;
    reader.int()?;
    let byte = before.until(reader);
    match byte.len() {
        1 => Ok(byte),
        _ => Err(Fault::Malformed),
    }
}

/// Whether these bytes are an integer's encoding, and have to be sent as that.
pub(crate) fn is_one_byte(id: &[u8]) -> bool {
    matches!(id, [0x00..=0x17 | 0x20..=0x37])
}

/// External authorization data: labels, each with a value or none. One that is negative is critical (RFC 9528 §3.8).
fn external<'p>(reader: &mut Reader<'p>) -> Result<&'p [u8], Fault> {
    let before = *reader;
    while !reader.is_at_end() {
        if reader.int()? < 0 {
            return Err(Fault::CriticalEad);
        }
        if reader.peek() == Ok(Kind::Bytes) {
            reader.bytes()?;
        }
    }
    match before.until(reader) {
        data if data.len() <= EAD_BYTES_MAX => Ok(data),
        _ => Err(Fault::Malformed),
    }
}
