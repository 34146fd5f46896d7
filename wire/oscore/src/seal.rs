//! A plain message into a protected one and back: what requests and responses have in common (RFC 8613 §4, §5.3).
//!
//! ```text
//! plain       header │ token │ options of all classes              │ ff │ payload
//! protected   header │ token │ options U, OSCORE │ ff │ code │ options E │ ff │ payload │ tag
//!             outer code                              └────────── encrypted ──────────┘
//! ```

use wire_coap::{Code, Message, MessageOption, OptionNumber, WriteError, Writer};

use crate::aad::{AAD_BYTES_MAX, aad};
use crate::ccm::{Ccm, KEY_BYTES, NONCE_BYTES, TAG_BYTES, TEXT_BYTES_MAX};
use crate::class::{Class, class, may_stand_outside};
use crate::error::{ProtectError, UnprotectError};
use crate::option::OscoreOption;
use crate::request::Bound;

/// With what a message is encrypted.
pub(crate) struct Seal<'k> {
    pub(crate) key: &'k [u8; KEY_BYTES],
    pub(crate) nonce: [u8; NONCE_BYTES],
    /// What the message is, or answers.
    pub(crate) request: &'k Bound,
}

/// Writes `plain`, protected, into `out`.
#[inline(never)]
pub(crate) fn protect<'o>(
    seal: &Seal<'_>,
    option: &[u8],
    plain: &Message<'_>,
    out: &'o mut [u8],
) -> Result<&'o [u8], ProtectError> {
    const TOO_SMALL: ProtectError = ProtectError::Write(WriteError::BufferTooSmall);
    let observes = plain.option(OptionNumber::OBSERVE).is_some();
    let code = outer_code(plain.code(), observes);
    let out_bytes = out.len();
    let mut outer = Writer::new(out, plain.kind(), code, plain.message_id(), plain.token())?;
    write_options(plain, Some(option), &mut outer)?;
    // A payload of all that is left: how long it gets is known when it is written.
    let room = outer.payload_space(outer.remaining().saturating_sub(1))?;
    let text_at = out_bytes - room.len();
    let (code, content) = room.split_first_mut().ok_or(TOO_SMALL)?;
    *code = plain.code().0;
    let mut inner = Writer::content(content);
    write_options(plain, None, &mut inner)?;
    inner.payload(plain.payload())?;
    let text_bytes = 1 + inner.finish().len();
    if text_bytes > TEXT_BYTES_MAX {
        return Err(ProtectError::TooLong);
    }
    let (text, rest) = room.split_at_mut_checked(text_bytes).ok_or(TOO_SMALL)?;
    let tag = rest.first_chunk_mut().ok_or(TOO_SMALL)?;
    *tag = Ccm::new(seal.key).seal(&seal.nonce, aad(seal.request, &mut [0; AAD_BYTES_MAX]), text);
    outer
        .finish()
        .get(..text_at + text_bytes + TAG_BYTES)
        .ok_or(TOO_SMALL)
}

/// Writes the options of one side: those outside, with the `oscore` option among them, or without it those inside.
#[inline(never)]
fn write_options(
    plain: &Message<'_>,
    oscore: Option<&[u8]>,
    writer: &mut Writer<'_>,
) -> Result<(), ProtectError> {
    let is_outside = oscore.is_some();
    let mut due = oscore;
    for MessageOption { number, value } in plain.options() {
        if number > OptionNumber::OSCORE
            && let Some(oscore) = due.take()
        {
            writer.option(OptionNumber::OSCORE, oscore)?;
        }
        match class(number) {
            Class::Refused => return Err(ProtectError::Option(number)),
            Class::Inner if is_outside => {}
            Class::Outer if !is_outside => {}
            // §4.1.3.5.2: empty in notifications; the number to order them by is the Partial IV.
            Class::Both if !is_outside && plain.code().is_response() => writer.option(number, &[])?,
            Class::Inner | Class::Outer | Class::Both => writer.option(number, value)?,
        }
    }
    due.map_or(Ok(()), |oscore| writer.option(OptionNumber::OSCORE, oscore))?;
    Ok(())
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

/// What is outside of a protected message: what its option is judged to say, and where its text begins.
pub(crate) struct Envelope<T> {
    pub(crate) judged: T,
    text_at: usize,
}

impl<T> Envelope<T> {
    /// Reads what is outside, and has it judged.
    pub(crate) fn read(
        datagram: &[u8],
        judge: impl FnOnce(&Message<'_>, &OscoreOption<'_>) -> Result<T, UnprotectError>,
    ) -> Result<Envelope<T>, UnprotectError> {
        let message = Message::parse(datagram).map_err(UnprotectError::Coap)?;
        let (mut value, mut refused) = (None, None);
        for option in message.options() {
            if option.number == OptionNumber::OSCORE && value.replace(option.value).is_some() {
                return Err(UnprotectError::Malformed);
            }
            if !may_stand_outside(option.number) {
                refused = refused.or(Some(option.number));
            }
        }
        let value = value.ok_or(UnprotectError::NotProtected)?;
        if let Some(number) = refused {
            return Err(UnprotectError::Unsupported(number));
        }
        let option = OscoreOption::parse(value)?;
        // At least the code inside, and the tag.
        let text_bytes = message.payload().len().saturating_sub(TAG_BYTES);
        if text_bytes == 0 || text_bytes > TEXT_BYTES_MAX {
            return Err(UnprotectError::Malformed);
        }
        Ok(Envelope {
            judged: judge(&message, &option)?,
            text_at: datagram.len() - message.payload().len(),
        })
    }

    /// Decrypts the text where it is; nothing is changed unless the tag is right. What is inside of an authentic message is the plain
    /// one, or none.
    pub(crate) fn open<'d>(
        &self,
        seal: &Seal<'_>,
        datagram: &'d mut [u8],
    ) -> Result<Result<Message<'d>, UnprotectError>, UnprotectError> {
        let payload = datagram.get_mut(self.text_at..).unwrap_or_default();
        let (text, tag) = payload
            .split_last_chunk_mut::<TAG_BYTES>()
            .ok_or(UnprotectError::Malformed)?;
        let aad_room = &mut [0; AAD_BYTES_MAX];
        if !Ccm::new(seal.key).open(&seal.nonce, aad(seal.request, aad_room), text, tag) {
            return Err(UnprotectError::Forged);
        }
        Ok(plain(datagram).ok_or(UnprotectError::Inner))
    }
}

/// The message inside of a datagram whose text is decrypted.
fn plain(datagram: &[u8]) -> Option<Message<'_>> {
    let outer = Message::parse(datagram).ok()?;
    let (text, _tag) = outer.payload().split_last_chunk::<TAG_BYTES>()?;
    let (code, content) = text.split_first()?;
    let message = outer.with_content(Code(*code), content).ok()?;
    // §4.1.3.7: nested OSCORE is not supported.
    let is_nested = message.option(OptionNumber::OSCORE).is_some();
    (!is_nested).then_some(message)
}
