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
#[path = "message_tests.rs"]
mod tests;
