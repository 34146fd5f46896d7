//! EDHOC within CoAP: what is in a request's payload (RFC 9528 Appendix A.2), and the request that has message_3 and a first protected
//! one in it (RFC 9668 §3).
//!
//! ```text
//! POST /.well-known/edhoc    F5 ‖ message_1          2.04: message_2
//! POST /.well-known/edhoc    C_R ‖ message_3         2.04: message_4
//! any protected request, with the EDHOC option       message_3 ‖ ciphertext of OSCORE; its kid is C_R
//! ```
//!
//! Every message is a CBOR item, so each says where it ends. C_R is one, too: an integer of one byte, or a byte string.

use wire_cbor::Reader;
use wire_coap::{ContentFormat, Message, OptionNumber, WriteError, Writer};
use wire_oscore::Id;

use crate::error::Fault;
use crate::guard::{self, is_one_byte};

/// Segments of the resource's path (RFC 9528 §9.7).
pub const PATH: [&str; 2] = [".well-known", "edhoc"];
/// Content-Format `application/edhoc+cbor-seq` (RFC 9528 §10.9): an answer.
pub const ANSWER: ContentFormat = ContentFormat(64);
/// Content-Format `application/cid-edhoc+cbor-seq`: a request, with `true` or C_R in front.
pub const REQUEST: ContentFormat = ContentFormat(65);

/// The simple value `true` in front of message_1.
const TRUE: u8 = 0xF5;

/// A request's payload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload<'p> {
    /// message_1.
    First(&'p [u8]),
    /// message_3 of this handshake.
    Third(Id, &'p [u8]),
}

impl<'p> Payload<'p> {
    /// Reads what is in front. What follows is not looked at.
    ///
    /// # Errors
    /// [`Fault::Malformed`] for what begins with neither `true` nor a connection identifier.
    pub fn read(payload: &'p [u8]) -> Result<Payload<'p>, Fault> {
        if let Some((&TRUE, message_1)) = payload.split_first() {
            return Ok(Payload::First(message_1));
        }
        let mut reader = Reader::new(payload);
        let c_r = guard::connection(&mut reader)?;
        let length = Reader::new(payload).until(&reader).len();
        let message_3 = payload.get(length..).unwrap_or_default();
        Ok(Payload::Third(c_r, message_3))
    }

    /// Writes it to the beginning of `buffer`; what was written.
    ///
    /// # Errors
    /// [`WriteError::BufferTooSmall`].
    pub fn write(self, buffer: &mut [u8]) -> Result<&[u8], WriteError> {
        let mut writer = wire_cbor::Writer::new(buffer);
        match self {
            Payload::First(message_1) => writer.bool(true).raw(message_1),
            Payload::Third(c_r, message_3) => match is_one_byte(c_r.as_bytes()) {
                true => writer.raw(c_r.as_bytes()).raw(message_3),
                false => writer.bytes(c_r.as_bytes()).raw(message_3),
            },
        };
        writer.finish().ok_or(WriteError::BufferTooSmall)
    }
}

/// Whether a request has message_3 in front of what OSCORE protects.
#[must_use]
pub fn is_combined(message: &Message<'_>) -> bool {
    message.option(OptionNumber::EDHOC).is_some()
}

/// Takes a combined request apart: message_3, and the protected request alone, which is written to `buffer`. RFC 9668 §3.3.1.
///
/// # Errors
/// [`Fault::Malformed`] when it is not combined, not protected, or has nothing of one of both in it.
pub fn split<'m, 'b>(message: &Message<'m>, buffer: &'b mut [u8]) -> Result<(&'m [u8], &'b [u8]), Fault> {
    let is_whole = is_combined(message) && message.option(OptionNumber::OSCORE).is_some();
    let mut reader = Reader::new(message.payload());
    reader.bytes()?;
    let message_3 = Reader::new(message.payload()).until(&reader);
    let protected = message.payload().get(message_3.len()..).unwrap_or_default();
    if !is_whole || protected.is_empty() || message_3.len() > guard::MESSAGE_3_BYTES_MAX {
        return Err(Fault::Malformed);
    }
    let rest = rewrite(message, None, protected, buffer).map_err(|_| Fault::Malformed)?;
    Ok((message_3, rest))
}

/// Puts message_3 in front of what OSCORE protected: the combined request. RFC 9668 §3.2.1. It is longer by message_3 and two bytes
/// at most: the option's head, and the payload marker that a protected request has anyway.
///
/// # Errors
/// [`WriteError::BufferTooSmall`].
pub fn combine<'b>(
    protected: &Message<'_>,
    message_3: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b [u8], WriteError> {
    rewrite(protected, Some(message_3), protected.payload(), buffer)
}

/// The message with or without the EDHOC option, and with this payload.
fn rewrite<'b>(
    message: &Message<'_>,
    message_3: Option<&[u8]>,
    payload: &[u8],
    buffer: &'b mut [u8],
) -> Result<&'b [u8], WriteError> {
    let mut writer = Writer::new(
        buffer,
        message.kind(),
        message.code(),
        message.message_id(),
        message.token(),
    )?;
    let mut is_due = message_3.is_some();
    for option in message.options() {
        if option.number > OptionNumber::EDHOC && core::mem::take(&mut is_due) {
            writer.option(OptionNumber::EDHOC, &[])?;
        }
        if option.number != OptionNumber::EDHOC {
            writer.option(option.number, option.value)?;
        }
    }
    if is_due {
        writer.option(OptionNumber::EDHOC, &[])?;
    }
    let front = message_3.unwrap_or_default();
    let space = writer.payload_space(front.len() + payload.len())?;
    let (first, second) = space
        .split_at_mut_checked(front.len())
        .ok_or(WriteError::BufferTooSmall)?;
    let places = first.iter_mut().chain(second);
    for (place, byte) in places.zip(front.iter().chain(payload)) {
        *place = *byte;
    }
    Ok(writer.finish())
}
