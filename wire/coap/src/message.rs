//! The reader: a borrowed datagram becomes a [`Message`] or a named error (RFC 7252 §3).
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |Ver| T |  TKL  |      Code     |          Message ID           |
//! +-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+-+
//! |   Token (if any, TKL bytes) | Options (if any) | 0xFF | Payload |
//! ```

use core::fmt;

use crate::block::{BlockError, BlockValue};
use crate::code::{Code, Kind, MessageId, Token};
use crate::option::{ContentFormat, ETag, OptionNumber};
use crate::writer;

/// Options accepted in one message. The longest request known to us (LwM2M with OSCORE and block-wise) has about a
/// dozen; twice that and some keeps the cost of one hostile datagram small whatever its length.
pub const OPTIONS_MAX: usize = 32;

/// Byte that separates options from payload (RFC 7252 §3).
pub(crate) const PAYLOAD_MARKER: u8 = 0xFF;
/// The only protocol version (RFC 7252 §3).
pub(crate) const VERSION: u8 = 1;

/// One datagram, checked once and borrowed. Options and payload point into the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Message<'a> {
    kind: Kind,
    code: Code,
    message_id: MessageId,
    token: Token,
    /// The options as on the wire, every one of them checked by `parse`.
    options: &'a [u8],
    payload: &'a [u8],
}

impl<'a> Message<'a> {
    /// Checks a whole datagram. What the error asks the caller to send is told by [`reject`].
    pub fn parse(datagram: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let (&[first, code, id_high, id_low], rest) = datagram
            .split_first_chunk::<4>()
            .ok_or(ParseError::HeaderTruncated)?;
        if first >> 6 != VERSION {
            return Err(ParseError::UnknownVersion);
        }
        let kind = Kind::from_bits(first >> 4);
        let code = Code(code);
        let message_id = MessageId(u16::from_be_bytes([id_high, id_low]));
        let token_length = usize::from(first & 0x0F);
        if token_length > Token::LENGTH_MAX {
            return Err(ParseError::ReservedTokenLength);
        }
        if code.is_reserved() {
            return Err(ParseError::ReservedClass);
        }
        if !kind.may_carry(code) {
            return Err(ParseError::KindForbidsCode);
        }
        // RFC 7252 §4.1: an Empty message has nothing after the message id.
        if code.is_empty() && (token_length != 0 || !rest.is_empty()) {
            return Err(ParseError::EmptyMessageNotEmpty);
        }
        let (token, rest) = rest
            .split_at_checked(token_length)
            .ok_or(ParseError::TokenTruncated)?;
        let token = Token::new(token).ok_or(ParseError::ReservedTokenLength)?;
        let (options, payload) = check_options(rest)?;
        Ok(Message {
            kind,
            code,
            message_id,
            token,
            options,
            payload,
        })
    }

    /// Header and token alone.
    #[must_use]
    pub const fn head(&self) -> Message<'static> {
        Message {
            kind: self.kind,
            code: self.code,
            message_id: self.message_id,
            token: self.token,
            options: &[],
            payload: &[],
        }
    }

    /// This header and token with another code, a request's for a request and a response's for a response, and with what follows
    /// them in a datagram: `content`, checked as [`Message::parse`] does. For what travels inside of a message (RFC 8613 §5.3).
    pub fn with_content(self, code: Code, content: &'a [u8]) -> Result<Message<'a>, ParseError> {
        let is_of_its_kind = match self.code.is_request() {
            true => code.is_request(),
            false => code.is_response(),
        };
        if !is_of_its_kind {
            return Err(ParseError::KindForbidsCode);
        }
        let (options, payload) = check_options(content)?;
        Ok(Message {
            code,
            options,
            payload,
            ..self
        })
    }

    /// CON, NON, ACK or RST.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Method or response code; never of a reserved class.
    pub const fn code(&self) -> Code {
        self.code
    }

    /// The id that an ACK or RST echoes.
    pub const fn message_id(&self) -> MessageId {
        self.message_id
    }

    /// The token that a response echoes.
    pub const fn token(&self) -> Token {
        self.token
    }

    /// What follows the payload marker; empty when there is none.
    pub const fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Whether this is an Empty Confirmable, which is answered with a Reset (RFC 7252 §4.3, "CoAP ping").
    pub fn is_ping(&self) -> bool {
        self.kind == Kind::Confirmable && self.code.is_empty()
    }

    /// The options in the order of the datagram, which is ascending by number.
    pub const fn options(&self) -> Options<'a> {
        Options {
            rest: self.options,
            number: OptionNumber(0),
        }
    }

    /// The value of the first option with this number.
    pub fn option(&self, number: OptionNumber) -> Option<&'a [u8]> {
        self.values(number).next()
    }

    /// The values of all options with this number, in order.
    pub fn values(&self, number: OptionNumber) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.options()
            .filter(move |option| option.number == number)
            .map(|option| option.value)
    }

    /// The first value of this number as an unsigned integer (RFC 7252 §3.2): big-endian, leading zero bytes allowed,
    /// no bytes meaning 0. A value longer than the option's definition allows, or than 4 bytes, is an error.
    pub fn uint(&self, number: OptionNumber) -> Result<Option<u32>, OptionError> {
        self.option(number)
            .map(|value| decode_uint(number, value))
            .transpose()
    }

    /// The Block2 option (RFC 7959 §2.1).
    pub fn block2(&self) -> Result<Option<BlockValue>, OptionError> {
        self.block(OptionNumber::BLOCK2)
    }

    /// The Block1 option (RFC 7959 §2.1).
    pub fn block1(&self) -> Result<Option<BlockValue>, OptionError> {
        self.block(OptionNumber::BLOCK1)
    }

    fn block(&self, number: OptionNumber) -> Result<Option<BlockValue>, OptionError> {
        let decoded = self.option(number).map(BlockValue::decode).transpose();
        decoded.map_err(|error| match error {
            BlockError::TooLong => OptionError {
                number,
                fault: OptionFault::TooLong,
            },
            BlockError::ReservedSize => OptionError {
                number,
                fault: OptionFault::ReservedBlockSize,
            },
        })
    }

    /// The first ETag. An ill-sized one counts as absent, the option being elective (RFC 7252 §5.4.3).
    pub fn etag(&self) -> Option<ETag> {
        self.option(OptionNumber::ETAG).and_then(ETag::new)
    }

    /// Size2 (RFC 7959 §4): in a request 0 asks for the size, in a response it tells it. Ill-sized counts as absent.
    pub fn size2(&self) -> Option<u32> {
        self.uint(OptionNumber::SIZE2).ok().flatten()
    }

    /// Max-Age in seconds, as it stands in the message; ill-sized counts as absent. RFC 7252 §5.10.5: absent means
    /// 60 seconds.
    pub fn max_age(&self) -> Option<u32> {
        self.uint(OptionNumber::MAX_AGE).ok().flatten()
    }

    /// What the payload says it is. Ill-sized counts as absent.
    pub fn content_format(&self) -> Option<ContentFormat> {
        let number = self.uint(OptionNumber::CONTENT_FORMAT).ok().flatten()?;
        u16::try_from(number).ok().map(ContentFormat)
    }

    /// What the client wants. The option is critical: an ill-sized one is an error.
    pub fn accept(&self) -> Result<Option<ContentFormat>, OptionError> {
        let number = self.uint(OptionNumber::ACCEPT)?;
        Ok(number
            .and_then(|number| u16::try_from(number).ok())
            .map(ContentFormat))
    }

    /// The segments of the path, raw: whether they are UTF-8 is for the comparison to find out.
    pub fn uri_path(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.values(OptionNumber::URI_PATH)
    }

    /// Whether the path consists of exactly these segments.
    pub fn path_is(&self, segments: &[&str]) -> bool {
        self.uri_path()
            .eq(segments.iter().map(|segment| segment.as_bytes()))
    }

    /// The arguments of the query, raw.
    pub fn uri_query(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.values(OptionNumber::URI_QUERY)
    }

    /// The critical options that a recipient understanding only `understood` must answer with 4.02 Bad Option
    /// (RFC 7252 §5.4.1): unknown to it, of a length outside their definition (§5.4.3), or repeated although they may
    /// not be (§5.4.5). In a response, any such option means that the response is to be rejected.
    pub fn unrecognized_critical<'m>(
        &'m self,
        understood: &'m [OptionNumber],
    ) -> impl Iterator<Item = OptionNumber> + use<'a, 'm> {
        let mut previous = None;
        self.options().filter_map(move |option| {
            let repeated = previous.replace(option.number) == Some(option.number);
            let recognized = understood.contains(&option.number)
                && option.number.accepts_length(option.value.len())
                && (!repeated || option.number.is_repeatable());
            (option.number.is_critical() && !recognized).then_some(option.number)
        })
    }
}

/// One option of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageOption<'a> {
    /// Which option.
    pub number: OptionNumber,
    /// Its bytes, in the datagram.
    pub value: &'a [u8],
}

/// The options of a parsed message.
#[derive(Clone, Debug)]
pub struct Options<'a> {
    rest: &'a [u8],
    number: OptionNumber,
}

impl<'a> Iterator for Options<'a> {
    type Item = MessageOption<'a>;

    fn next(&mut self) -> Option<MessageOption<'a>> {
        // `Message::parse` walked these bytes before, so there is no error to lose.
        let (option, rest) = read_option(self.rest, self.number).ok()??;
        self.rest = rest;
        self.number = option.number;
        Some(option)
    }
}

/// Splits what follows the token into options and payload.
fn check_options(bytes: &[u8]) -> Result<(&[u8], &[u8]), ParseError> {
    let mut rest = bytes;
    let mut number = OptionNumber(0);
    let mut count = 0;
    while let Some((option, after)) = read_option(rest, number)? {
        count += 1;
        if count > OPTIONS_MAX {
            return Err(ParseError::TooManyOptions);
        }
        number = option.number;
        rest = after;
    }
    let (options, _) = bytes
        .split_at_checked(bytes.len() - rest.len())
        .ok_or(ParseError::OptionTruncated)?;
    match rest.split_first() {
        None => Ok((options, &[])),
        // RFC 7252 §3: a marker followed by a zero-length payload is a message format error.
        Some((_marker, [])) => Err(ParseError::PayloadMissing),
        Some((_marker, payload)) => Ok((options, payload)),
    }
}

/// Reads one option (RFC 7252 §3.1); `None` at the payload marker or at the end.
fn read_option(
    bytes: &[u8],
    previous: OptionNumber,
) -> Result<Option<(MessageOption<'_>, &[u8])>, ParseError> {
    let (first, rest) = match bytes.split_first() {
        None | Some((&PAYLOAD_MARKER, _)) => return Ok(None),
        Some((first, rest)) => (*first, rest),
    };
    let (delta, rest) = read_extended(first >> 4, rest)?;
    let (length, rest) = read_extended(first & 0x0F, rest)?;
    let number = u32::from(previous.0) + delta;
    let number = u16::try_from(number).map_err(|_| ParseError::OptionNumberOverflow)?;
    let (value, rest) = rest
        .split_at_checked(length as usize)
        .ok_or(ParseError::OptionTruncated)?;
    Ok(Some((
        MessageOption {
            number: OptionNumber(number),
            value,
        },
        rest,
    )))
}

/// Reads an option delta or length: the nibble itself, or 13 plus one byte, or 269 plus two.
fn read_extended(nibble: u8, rest: &[u8]) -> Result<(u32, &[u8]), ParseError> {
    match nibble {
        0..=12 => Ok((u32::from(nibble), rest)),
        13 => {
            let (byte, rest) = rest.split_first().ok_or(ParseError::OptionTruncated)?;
            Ok((13 + u32::from(*byte), rest))
        }
        14 => {
            let (bytes, rest) = rest.split_first_chunk().ok_or(ParseError::OptionTruncated)?;
            Ok((269 + u32::from(u16::from_be_bytes(*bytes)), rest))
        }
        _ => Err(ParseError::ReservedOptionNibble),
    }
}

fn decode_uint(number: OptionNumber, value: &[u8]) -> Result<u32, OptionError> {
    let too_long = OptionError {
        number,
        fault: OptionFault::TooLong,
    };
    if value.len() > size_of::<u32>() || !number.accepts_length(value.len()) {
        return Err(too_long);
    }
    Ok(value.iter().fold(0, |uint, byte| uint << 8 | u32::from(*byte)))
}

/// The four bytes to send back for a datagram that [`Message::parse`] refused, or `None` for silence.
///
/// RFC 7252 §4.2 and §4.3: rejecting a Confirmable means a Reset with its message id, rejecting anything else means
/// ignoring it. §3: another version is ignored silently, and what has no header has no id to echo. An Empty
/// Confirmable (ping) parses; answer it with [`crate::reset`].
pub fn reject(datagram: &[u8]) -> Option<[u8; 4]> {
    let (&[first, _, id_high, id_low], _) = datagram.split_first_chunk::<4>()?;
    let confirmable = first >> 6 == VERSION && Kind::from_bits(first >> 4) == Kind::Confirmable;
    confirmable.then(|| writer::reset(MessageId(u16::from_be_bytes([id_high, id_low]))))
}

/// Why a datagram is not a CoAP message. All but the last are malformed bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ParseError {
    /// Shorter than four bytes.
    HeaderTruncated,
    /// Not version 1: silently ignored (RFC 7252 §3).
    UnknownVersion,
    /// Token length 9 to 15 (RFC 7252 §3).
    ReservedTokenLength,
    /// The datagram ends within the token.
    TokenTruncated,
    /// Code class 1, 6 or 7 (RFC 7252 §4.2).
    ReservedClass,
    /// A Reset that is not empty, an Acknowledgement with a request, or an empty Non-confirmable (RFC 7252 §4.2, §4.3).
    KindForbidsCode,
    /// Code 0.00 with bytes after the message id (RFC 7252 §4.1).
    EmptyMessageNotEmpty,
    /// Option delta or length 15 outside the payload marker (RFC 7252 §3.1).
    ReservedOptionNibble,
    /// The datagram ends within an option.
    OptionTruncated,
    /// The deltas add up to more than 65535.
    OptionNumberOverflow,
    /// A payload marker with nothing after it (RFC 7252 §3).
    PayloadMissing,
    /// Legal, but more than [`OPTIONS_MAX`] options.
    TooManyOptions,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ParseError::HeaderTruncated => "datagram is shorter than the fixed header",
            ParseError::UnknownVersion => "protocol version is not 1",
            ParseError::ReservedTokenLength => "token length is reserved",
            ParseError::TokenTruncated => "datagram ends within the token",
            ParseError::ReservedClass => "code class is reserved",
            ParseError::KindForbidsCode => "message type does not go with the code",
            ParseError::EmptyMessageNotEmpty => "empty message has bytes after the message id",
            ParseError::ReservedOptionNibble => "option delta or length is reserved",
            ParseError::OptionTruncated => "datagram ends within an option",
            ParseError::OptionNumberOverflow => "option number exceeds 65535",
            ParseError::PayloadMissing => "payload marker has nothing after it",
            ParseError::TooManyOptions => "message has more than 32 options",
        })
    }
}

impl core::error::Error for ParseError {}

/// An option whose value is not what its definition says. For a critical option the answer is 4.02, an elective one
/// is ignored (RFC 7252 §5.4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionError {
    /// Which option.
    pub number: OptionNumber,
    /// What is wrong with its value.
    pub fault: OptionFault,
}

/// What can be wrong with an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum OptionFault {
    /// More bytes than defined.
    TooLong,
    /// SZX 7 (RFC 7959 §2.2): the answer is 4.00.
    ReservedBlockSize,
}

impl fmt::Display for OptionError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.fault {
            OptionFault::TooLong => write!(f, "value of option {} is too long", self.number),
            OptionFault::ReservedBlockSize => {
                write!(f, "option {} names the reserved block size 7", self.number)
            }
        }
    }
}

impl core::error::Error for OptionError {}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::{BlockNumber, BlockSize};
    use std::vec::Vec;

    /// CON GET, id 0x0102, no token, then `rest`.
    fn get_with(rest: &[u8]) -> Vec<u8> {
        [&[0x40, 0x01, 0x01, 0x02], rest].concat()
    }

    fn refusal(datagram: &[u8]) -> ParseError {
        Message::parse(datagram).unwrap_err()
    }

    #[test]
    fn other_versions_are_ignored_silently() {
        for first in [0x00, 0x80, 0xC0] {
            let datagram = [first, 0x01, 0x01, 0x02];
            assert_eq!(refusal(&datagram), ParseError::UnknownVersion);
            assert_eq!(reject(&datagram), None);
        }
    }

    #[test]
    fn header_is_four_bytes() {
        for length in 0..4 {
            let datagram = [0x40, 0x01, 0x01];
            assert_eq!(refusal(&datagram[..length.min(3)]), ParseError::HeaderTruncated);
            assert_eq!(reject(&datagram[..length.min(3)]), None);
        }
        assert!(Message::parse(&[0x40, 0x01, 0x01, 0x02]).is_ok());
    }

    #[test]
    fn token_lengths_9_to_15_are_refused() {
        for length in 0..=15_u8 {
            let datagram = [
                &[0x40 | length, 0x01, 0x01, 0x02][..],
                &[0xAA; 15][..usize::from(length)],
            ]
            .concat();
            match Message::parse(&datagram) {
                Ok(message) => assert_eq!(message.token().as_bytes().len(), usize::from(length)),
                Err(error) => assert_eq!((error, length > 8), (ParseError::ReservedTokenLength, true)),
            }
        }
    }

    #[test]
    fn token_ends_within_the_datagram() {
        assert_eq!(
            refusal(&[0x44, 0x01, 0x01, 0x02, 1, 2, 3]),
            ParseError::TokenTruncated
        );
    }

    #[test]
    fn reserved_classes_are_refused() {
        for code in (0x20..0x40).chain(0xC0..=0xFF) {
            assert_eq!(refusal(&[0x40, code, 0x01, 0x02]), ParseError::ReservedClass);
        }
        assert!(
            Message::parse(&[0x40, 0x1F, 0x01, 0x02]).is_ok(),
            "an unknown method is answered with 4.05"
        );
        assert!(
            Message::parse(&[0x60, 0x7F, 0x01, 0x02]).is_ok(),
            "an unknown response counts as its class"
        );
    }

    #[test]
    fn empty_message_has_nothing_after_the_message_id() {
        assert!(Message::parse(&[0x40, 0, 1, 2]).unwrap().is_ping());
        assert_eq!(refusal(&[0x41, 0, 1, 2, 0xAA]), ParseError::EmptyMessageNotEmpty);
        assert_eq!(
            refusal(&[0x40, 0, 1, 2, 0xFF, 0xAA]),
            ParseError::EmptyMessageNotEmpty
        );
        assert_eq!(
            refusal(&[0x60, 0, 1, 2, 0xB1, b'a']),
            ParseError::EmptyMessageNotEmpty
        );
    }

    #[test]
    fn kind_and_code_must_go_together() {
        assert_eq!(refusal(&[0x50, 0x00, 1, 2]), ParseError::KindForbidsCode);
        assert_eq!(refusal(&[0x60, 0x01, 1, 2]), ParseError::KindForbidsCode);
        assert_eq!(refusal(&[0x70, 0x45, 1, 2]), ParseError::KindForbidsCode);
    }

    #[test]
    fn only_a_refused_confirmable_deserves_a_reset() {
        let malformed = |first: u8| [first, 0x01, 0xAB, 0xCD, 0xFF];
        assert_eq!(refusal(&malformed(0x40)), ParseError::PayloadMissing);
        assert_eq!(reject(&malformed(0x40)), Some([0x70, 0x00, 0xAB, 0xCD]));
        for first in [0x50, 0x60, 0x70] {
            assert_eq!(reject(&malformed(first)), None);
        }
    }

    #[test]
    fn marker_without_payload_is_refused() {
        assert_eq!(refusal(&get_with(&[0xFF])), ParseError::PayloadMissing);
        assert_eq!(
            refusal(&get_with(&[0xB1, b'a', 0xFF])),
            ParseError::PayloadMissing
        );
        assert_eq!(
            Message::parse(&get_with(&[0xFF, 0xFF])).unwrap().payload(),
            [0xFF]
        );
    }

    #[test]
    fn delta_and_length_have_three_forms() {
        for number in [0_u16, 12, 13, 14, 268, 269, 270, 65_534, 65_535] {
            for length in [0_usize, 12, 13, 268, 269, 1_000] {
                let extended = |value: usize| match value {
                    0..=12 => (value as u8, std::vec![]),
                    13..=268 => (13, std::vec![(value - 13) as u8]),
                    _ => (14, ((value - 269) as u16).to_be_bytes().to_vec()),
                };
                let (delta, delta_extension) = extended(usize::from(number));
                let (nibble, length_extension) = extended(length);
                let value = std::vec![0x5A; length];
                let option = [
                    &[delta << 4 | nibble][..],
                    &delta_extension,
                    &length_extension,
                    &value,
                ]
                .concat();
                let datagram = get_with(&option);
                let message = Message::parse(&datagram).unwrap();
                let options: Vec<_> = message.options().collect();
                assert_eq!(
                    options,
                    [MessageOption {
                        number: OptionNumber(number),
                        value: &value
                    }]
                );
                for cut in 1..option.len() {
                    assert_eq!(refusal(&get_with(&option[..cut])), ParseError::OptionTruncated);
                }
            }
        }
    }

    #[test]
    fn nibble_15_is_reserved_outside_the_marker() {
        for first in (0xF0..0xFF).chain((0x00..0xF0).step_by(16).map(|delta| delta | 0x0F)) {
            assert_eq!(
                refusal(&get_with(&[first, 0, 0])),
                ParseError::ReservedOptionNibble,
                "{first:#04x}"
            );
        }
    }

    #[test]
    fn numbers_beyond_65535_are_refused() {
        // 65535 = 269 + 0xFEF2
        assert!(Message::parse(&get_with(&[0xE0, 0xFE, 0xF2])).is_ok());
        assert_eq!(
            refusal(&get_with(&[0xE0, 0xFE, 0xF3])),
            ParseError::OptionNumberOverflow
        );
        assert_eq!(
            refusal(&get_with(&[0xE0, 0xFE, 0xF2, 0x10])),
            ParseError::OptionNumberOverflow
        );
        assert_eq!(
            refusal(&get_with(&[0xE0, 0xFF, 0xFF])),
            ParseError::OptionNumberOverflow
        );
    }

    #[test]
    fn options_are_counted() {
        assert!(Message::parse(&get_with(&[0xB0; 1])).is_ok());
        assert!(Message::parse(&get_with(&[0x00; OPTIONS_MAX])).is_ok());
        assert_eq!(
            refusal(&get_with(&[0x00; OPTIONS_MAX + 1])),
            ParseError::TooManyOptions
        );
        assert_eq!(refusal(&get_with(&[0x00; 60_000])), ParseError::TooManyOptions);
    }

    #[test]
    fn path_is_compared_segment_by_segment() {
        let datagram = get_with(&[0xB1, b'i', 0x02, b'0', b'1']);
        let message = Message::parse(&datagram).unwrap();
        assert!(message.path_is(&["i", "01"]));
        for other in [&["i"][..], &["i", "0"], &["i", "01", ""], &["i/01"], &[]] {
            assert!(!message.path_is(other), "{other:?}");
        }
    }

    #[test]
    fn uint_tolerates_leading_zeros_up_to_the_defined_length() {
        let size2 = |value: &[u8]| {
            // 28 = 13 + 15
            get_with(&[&[0xD0 | value.len() as u8, 15][..], value].concat())
        };
        let read = |value: &[u8]| Message::parse(&size2(value)).unwrap().uint(OptionNumber::SIZE2);
        assert_eq!(read(&[]), Ok(Some(0)));
        assert_eq!(read(&[0, 0, 0, 7]), Ok(Some(7)));
        assert_eq!(read(&[0xFF; 4]), Ok(Some(u32::MAX)));
        let too_long = OptionError {
            number: OptionNumber::SIZE2,
            fault: OptionFault::TooLong,
        };
        assert_eq!(read(&[0, 0, 0, 0, 7]), Err(too_long));
        assert_eq!(
            Message::parse(&size2(&[0; 5])).unwrap().size2(),
            None,
            "elective: as if absent"
        );
    }

    #[test]
    fn block2_is_read_or_named() {
        let block2 = |value: &[u8]| {
            let datagram = get_with(&[&[0xD0 | value.len() as u8, 10][..], value].concat());
            Message::parse(&datagram).unwrap().block2()
        };
        let number = BlockNumber::new(4096).unwrap();
        assert_eq!(
            block2(&[1, 0, 2]),
            Ok(Some(BlockValue::request(number, BlockSize::B64)))
        );
        let fault = |fault| {
            Err(OptionError {
                number: OptionNumber::BLOCK2,
                fault,
            })
        };
        assert_eq!(block2(&[7]), fault(OptionFault::ReservedBlockSize));
        assert_eq!(block2(&[0, 0, 0, 0]), fault(OptionFault::TooLong));
        assert_eq!(Message::parse(&get_with(&[])).unwrap().block2(), Ok(None));
    }

    #[test]
    fn unrecognized_critical_options_are_named() {
        let understood = [OptionNumber::URI_PATH, OptionNumber::BLOCK2, OptionNumber::ACCEPT];
        let unrecognized = |options: &[u8]| -> Vec<u16> {
            let datagram = get_with(options);
            let message = Message::parse(&datagram).unwrap();
            message
                .unrecognized_critical(&understood)
                .map(|number| number.0)
                .collect()
        };
        assert!(
            unrecognized(&[0xB1, b'a', 0x01, b'b', 0xC1, 0x02]).is_empty(),
            "path, path, Block2"
        );
        assert!(
            unrecognized(&[0x41, 0xAA, 0xA0]).is_empty(),
            "elective ETag and Max-Age are ignored"
        );
        assert_eq!(unrecognized(&[0x31, b'h', 0x80]), [3], "Uri-Host unknown here");
        assert_eq!(unrecognized(&[0xD3, 4, 0, 0, 50]), [17], "Accept of three bytes");
        assert_eq!(
            unrecognized(&[0xD1, 10, 0x02, 0x01, 0x12]),
            [23],
            "a second Block2"
        );
        assert_eq!(unrecognized(&[0x10, 0x40]), [1, 5], "in order");
    }
}
