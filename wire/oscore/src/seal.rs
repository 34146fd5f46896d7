//! A plain message into a protected one and back: what requests and responses have in common (RFC 8613 §4, §5.3).
//!
//! ```text
//! plain       header │ token │ options of all classes              │ ff │ payload
//! protected   header │ token │ options U, OSCORE │ ff │ code │ options E │ ff │ payload │ tag
//!             outer code                              └────────── encrypted ──────────┘
//! ```

use wire_coap::{Code, Kind, Message, MessageId, OptionNumber, Token, WriteError, Writer};

use crate::aad::{self, aad};
use crate::bytes::Bytes;
use crate::ccm::{Ccm, KEY_BYTES, NONCE_BYTES, TAG_BYTES, TEXT_BYTES_MAX};
use crate::class::{Class, class, may_stand_outside};
use crate::error::{ProtectError, UnprotectError};
use crate::id::Id;
use crate::option::OscoreOption;
use crate::request::Bound;
use crate::sequence::PartialIv;

/// Bytes of the fixed header.
const HEADER_BYTES: usize = 4;
const PAYLOAD_MARKER: u8 = 0xFF;

/// With what a message is encrypted.
pub(crate) struct Seal<'k> {
    key: &'k [u8; KEY_BYTES],
    nonce: [u8; NONCE_BYTES],
    aad: Bytes<{ aad::BYTES_MAX }>,
}

impl<'k> Seal<'k> {
    /// `request` is what the message is, or answers.
    pub(crate) fn new(key: &'k [u8; KEY_BYTES], nonce: [u8; NONCE_BYTES], request: &Bound) -> Seal<'k> {
        Seal {
            key,
            nonce,
            aad: aad(&request.kid, request.partial_iv),
        }
    }
}

/// Writes `plain`, protected, into `out`.
pub(crate) fn protect<'o>(
    seal: &Seal<'_>,
    option: &[u8],
    plain: &Message<'_>,
    out: &'o mut [u8],
) -> Result<&'o [u8], ProtectError> {
    let outer_bytes = write_outer(option, plain, out)?;
    // The text's code follows the payload marker. Its options are written by a writer of their own, whose four bytes of header
    // lie over that code, the marker and the two bytes before it, all of which are put back.
    let header_at = outer_bytes - 2;
    let text_at = outer_bytes + 1;
    let too_small = ProtectError::Write(WriteError::BufferTooSmall);
    let (_, room) = out.split_at_mut_checked(header_at).ok_or(too_small)?;
    let &[a, b, ..] = &*room else {
        return Err(too_small);
    };
    let room_bytes = room.len().checked_sub(TAG_BYTES).ok_or(too_small)?;
    let (inner, _) = room.split_at_mut_checked(room_bytes).ok_or(too_small)?;
    let inner_bytes = write_inner(plain, inner)?;
    if let [first, second, marker, code, ..] = room {
        (*first, *second, *marker, *code) = (a, b, PAYLOAD_MARKER, plain.code().0);
    }
    let text_bytes = 1 + inner_bytes - HEADER_BYTES;
    if text_bytes > TEXT_BYTES_MAX {
        return Err(ProtectError::TooLong);
    }
    let text_end = text_at + text_bytes;
    let text = out.get_mut(text_at..text_end).ok_or(too_small)?;
    let tag = Ccm::new(seal.key).seal(&seal.nonce, seal.aad.as_slice(), text);
    let end = text_end + TAG_BYTES;
    out.get_mut(text_end..end).ok_or(too_small)?.copy_from_slice(&tag);
    out.get(..end).ok_or(too_small)
}

/// Header, token, options outside; how many bytes that is, at least six.
#[inline(never)]
fn write_outer(option: &[u8], plain: &Message<'_>, out: &mut [u8]) -> Result<usize, ProtectError> {
    let observes = plain.option(OptionNumber::OBSERVE).is_some();
    let code = outer_code(plain.code(), observes);
    let mut writer = Writer::new(out, plain.kind(), code, plain.message_id(), plain.token())?;
    let mut is_marked = false;
    for outer in plain.options() {
        match class(outer.number) {
            Class::Inner => continue,
            Class::Refused => return Err(ProtectError::Option(outer.number)),
            Class::Outer | Class::Both => {}
        }
        if !is_marked && outer.number > OptionNumber::OSCORE {
            writer.option(OptionNumber::OSCORE, option)?;
            is_marked = true;
        }
        writer.option(outer.number, outer.value)?;
    }
    if !is_marked {
        writer.option(OptionNumber::OSCORE, option)?;
    }
    Ok(writer.finish().len())
}

/// RFC 8613 §4.2: what a proxy sees is a POST and its success, or, where it is to see an observation, a FETCH and its content.
const fn outer_code(code: Code, observes: bool) -> Code {
    match (code.is_request(), observes) {
        (true, false) => Code::POST,
        (true, true) => Code::FETCH,
        (false, false) => Code::CHANGED,
        (false, true) => Code::CONTENT,
    }
}

/// Options and payload inside, behind four bytes that count for nothing; how many bytes with those.
#[inline(never)]
fn write_inner(plain: &Message<'_>, room: &mut [u8]) -> Result<usize, ProtectError> {
    let mut writer = Writer::new(room, plain.kind(), plain.code(), MessageId(0), Token::EMPTY)?;
    for inner in plain.options() {
        match class(inner.number) {
            Class::Inner => writer.option(inner.number, inner.value)?,
            // §4.1.3.5.2: empty in notifications; the number to order them by is the Partial IV.
            Class::Both if plain.code().is_response() => writer.option(inner.number, &[])?,
            Class::Both => writer.option(inner.number, inner.value)?,
            Class::Outer | Class::Refused => {}
        }
    }
    writer.payload(plain.payload())?;
    Ok(writer.finish().len())
}

/// What is outside of a protected message.
#[derive(Clone, Copy)]
pub(crate) struct Envelope {
    pub(crate) kind: Kind,
    pub(crate) code: Code,
    pub(crate) message_id: MessageId,
    pub(crate) token: Token,
    pub(crate) partial_iv: Option<PartialIv>,
    pub(crate) kid: Option<Kid>,
    pub(crate) has_kid_context: bool,
    text_at: usize,
}

/// The kid of a message.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kid {
    Id(Id),
    /// Longer than any id.
    NoId,
}

impl Envelope {
    /// Reads what is outside; `is_known` judges the kid context.
    pub(crate) fn read(
        datagram: &[u8],
        is_known: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Envelope, UnprotectError> {
        let message = Message::parse(datagram).map_err(UnprotectError::Coap)?;
        let mut values = message.values(OptionNumber::OSCORE);
        let value = values.next().ok_or(UnprotectError::NotProtected)?;
        if values.next().is_some() {
            return Err(UnprotectError::Malformed);
        }
        let mut outside = message.options().map(|option| option.number);
        if let Some(number) = outside.find(|number| !may_stand_outside(*number)) {
            return Err(UnprotectError::Unsupported(number));
        }
        let option = OscoreOption::parse(value)?;
        if option.kid_context.is_some_and(|bytes| !is_known(bytes)) {
            return Err(UnprotectError::OtherContext);
        }
        // At least the code inside, and the tag.
        let text_bytes = message.payload().len().saturating_sub(TAG_BYTES);
        if text_bytes == 0 || text_bytes > TEXT_BYTES_MAX {
            return Err(UnprotectError::Malformed);
        }
        Ok(Envelope {
            kind: message.kind(),
            code: message.code(),
            message_id: message.message_id(),
            token: message.token(),
            partial_iv: option.partial_iv,
            kid: option.kid.map(|bytes| Id::new(bytes).map_or(Kid::NoId, Kid::Id)),
            has_kid_context: option.kid_context.is_some(),
            text_at: datagram.len() - message.payload().len(),
        })
    }

    /// Decrypts the text where it is. Nothing is changed unless the tag is right.
    #[inline(never)]
    pub(crate) fn open(&self, seal: &Seal<'_>, datagram: &mut [u8]) -> Result<(), UnprotectError> {
        let (_, payload) = datagram
            .split_at_mut_checked(self.text_at)
            .ok_or(UnprotectError::Malformed)?;
        let (text, tag) = payload
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(UnprotectError::Malformed)?;
        if Ccm::new(seal.key).open(&seal.nonce, seal.aad.as_slice(), text, tag) {
            Ok(())
        } else {
            Err(UnprotectError::Forged)
        }
    }

    /// The plain message, of a datagram that was opened: header and token are written anew right before the options that were
    /// inside. There is room: the code inside, the payload marker and the OSCORE option, a byte each at least, are before them.
    #[inline(never)]
    pub(crate) fn plain<'d>(&self, datagram: &'d mut [u8]) -> Result<Message<'d>, UnprotectError> {
        let code = Code(*datagram.get(self.text_at).ok_or(UnprotectError::Inner)?);
        let is_of_its_kind = code.is_request() == self.code.is_request() && !code.is_empty();
        if !is_of_its_kind || code.is_reserved() {
            return Err(UnprotectError::Inner);
        }
        let head_bytes = HEADER_BYTES + self.token.as_bytes().len();
        let start = (self.text_at + 1)
            .checked_sub(head_bytes)
            .ok_or(UnprotectError::Malformed)?;
        let end = datagram.len().saturating_sub(TAG_BYTES);
        let plain = datagram.get_mut(start..end).ok_or(UnprotectError::Malformed)?;
        Writer::new(plain, self.kind, code, self.message_id, self.token)
            .map_err(|_| UnprotectError::Inner)?;
        let plain: &'d [u8] = plain;
        let message = Message::parse(plain).map_err(|_| UnprotectError::Inner)?;
        // §4.1.3.7: nested OSCORE is not supported.
        if message.option(OptionNumber::OSCORE).is_some() {
            return Err(UnprotectError::Inner);
        }
        Ok(message)
    }
}
