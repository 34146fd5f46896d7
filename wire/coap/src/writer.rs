//! The writer: puts a message together in the caller's buffer.

use core::fmt;

use crate::block::BlockValue;
use crate::code::{Code, Kind, MessageId, Token};
use crate::message::{PAYLOAD_MARKER, VERSION};
use crate::option::{ContentFormat, OptionNumber};

/// Writes one message front to back. Options come in ascending order, the payload last; [`Writer::finish`] gives the
/// datagram.
///
/// A call that fails writes nothing: the message is as it was before, and may be finished without that part.
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    length: usize,
    /// Number of the option written last; deltas are relative to it.
    number: OptionNumber,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Code 0.00: nothing may follow.
    Empty,
    Options,
    Payload,
}

impl<'b> Writer<'b> {
    /// Begins a message at the start of `buffer`.
    pub fn new(
        buffer: &'b mut [u8],
        kind: Kind,
        code: Code,
        message_id: MessageId,
        token: Token,
    ) -> Result<Writer<'b>, WriteError> {
        if code.is_reserved() || !kind.may_carry(code) {
            return Err(WriteError::KindForbidsCode);
        }
        if code.is_empty() && !token.is_empty() {
            return Err(WriteError::EmptyMessage);
        }
        let stage = if code.is_empty() {
            Stage::Empty
        } else {
            Stage::Options
        };
        let mut writer = Writer {
            stage,
            ..Writer::content(buffer)
        };
        let space = writer.reserve(4 + token.as_bytes().len())?;
        let (header, after) = space.split_at_mut(4);
        header.copy_from_slice(&fixed_header(kind, token.as_bytes().len(), code, message_id));
        after.copy_from_slice(token.as_bytes());
        Ok(writer)
    }

    /// Begins with the options of a message whose header is elsewhere, or nowhere: as in what travels inside of another (RFC 8613
    /// §5.3).
    #[must_use]
    pub const fn content(buffer: &'b mut [u8]) -> Writer<'b> {
        Writer {
            buffer,
            length: 0,
            number: OptionNumber(0),
            stage: Stage::Options,
        }
    }

    /// Appends an option. Its number must not be below that of the option before.
    pub fn option(&mut self, number: OptionNumber, value: &[u8]) -> Result<(), WriteError> {
        match self.stage {
            Stage::Empty => return Err(WriteError::EmptyMessage),
            Stage::Payload => return Err(WriteError::OutOfOrder),
            Stage::Options => {}
        }
        let delta = number
            .0
            .checked_sub(self.number.0)
            .ok_or(WriteError::OutOfOrder)?;
        let (delta_nibble, delta_extension) = Extension::of(usize::from(delta))?;
        let (length_nibble, length_extension) = Extension::of(value.len())?;
        let parts = [
            &[delta_nibble << 4 | length_nibble],
            delta_extension.as_bytes(),
            length_extension.as_bytes(),
            value,
        ];
        // All of it or nothing.
        if parts.iter().map(|part| part.len()).sum::<usize>() > self.remaining() {
            return Err(WriteError::BufferTooSmall);
        }
        for part in parts {
            let space = self.reserve(part.len())?;
            space
                .iter_mut()
                .zip(part)
                .for_each(|(place, &byte)| *place = byte);
        }
        self.number = number;
        Ok(())
    }

    /// Appends an option holding an unsigned integer in as few bytes as possible (RFC 7252 §3.2).
    pub fn uint(&mut self, number: OptionNumber, value: u32) -> Result<(), WriteError> {
        let bytes = value.to_be_bytes();
        let leading_zeros = value.leading_zeros() as usize / 8;
        self.option(number, bytes.get(leading_zeros..).unwrap_or(&[]))
    }

    /// Appends a Block1 or Block2 option (RFC 7959 §2.1).
    pub fn block(&mut self, number: OptionNumber, value: BlockValue) -> Result<(), WriteError> {
        self.uint(number, value.to_uint())
    }

    /// Appends Content-Format.
    pub fn content_format(&mut self, format: ContentFormat) -> Result<(), WriteError> {
        self.uint(OptionNumber::CONTENT_FORMAT, u32::from(format.0))
    }

    /// Appends one segment of the path.
    pub fn uri_path(&mut self, segment: &str) -> Result<(), WriteError> {
        self.option(OptionNumber::URI_PATH, segment.as_bytes())
    }

    /// Appends the payload. An empty one writes nothing, not even the marker (RFC 7252 §3).
    pub fn payload(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        // Not `copy_from_slice`: that both have one length is not seen by every optimiser, and it would panic.
        for (place, byte) in self.payload_space(bytes.len())?.iter_mut().zip(bytes) {
            *place = *byte;
        }
        Ok(())
    }

    /// Appends a payload of exactly `length` bytes and hands it out to be filled, so that a block can be read from its
    /// source straight into the datagram.
    pub fn payload_space(&mut self, length: usize) -> Result<&mut [u8], WriteError> {
        match self.stage {
            Stage::Options => {}
            Stage::Payload => return Err(WriteError::OutOfOrder),
            Stage::Empty if length != 0 => return Err(WriteError::EmptyMessage),
            Stage::Empty => return Ok(&mut []),
        }
        if length == 0 {
            return Ok(&mut []);
        }
        if self.remaining() <= length {
            return Err(WriteError::BufferTooSmall);
        }
        self.reserve(1)?.fill(PAYLOAD_MARKER);
        self.stage = Stage::Payload;
        self.reserve(length)
    }

    /// Bytes left in the buffer. A payload of `n` bytes needs `n + 1` of them.
    pub fn remaining(&self) -> usize {
        self.buffer.len() - self.length
    }

    /// The finished datagram; its length is the slice's.
    pub fn finish(self) -> &'b [u8] {
        let Writer { buffer, length, .. } = self;
        buffer.get(..length).unwrap_or(&[])
    }

    /// Claims the next `length` bytes.
    fn reserve(&mut self, length: usize) -> Result<&mut [u8], WriteError> {
        let end = self
            .length
            .checked_add(length)
            .ok_or(WriteError::BufferTooSmall)?;
        let space = self
            .buffer
            .get_mut(self.length..end)
            .ok_or(WriteError::BufferTooSmall)?;
        self.length = end;
        Ok(space)
    }
}

/// The bytes after the first one of an option delta or length.
#[derive(Clone, Copy)]
enum Extension {
    None,
    One([u8; 1]),
    Two([u8; 2]),
}

impl Extension {
    /// The nibble and what follows it (RFC 7252 §3.1).
    fn of(value: usize) -> Result<(u8, Extension), WriteError> {
        match value {
            0..=12 => Ok((value as u8, Extension::None)),
            13..=268 => Ok((13, Extension::One([(value - 13) as u8]))),
            _ => {
                let rest = u16::try_from(value - 269).map_err(|_| WriteError::ValueTooLong)?;
                Ok((14, Extension::Two(rest.to_be_bytes())))
            }
        }
    }

    fn as_bytes(&self) -> &[u8] {
        match self {
            Extension::None => &[],
            Extension::One(bytes) => bytes,
            Extension::Two(bytes) => bytes,
        }
    }
}

/// The Empty Acknowledgement of a Confirmable whose response comes later (RFC 7252 §5.2.2).
pub const fn empty_acknowledgement(message_id: MessageId) -> [u8; 4] {
    fixed_header(Kind::Acknowledgement, 0, Code::EMPTY, message_id)
}

/// The Reset that rejects a message (RFC 7252 §4.2, §4.3).
pub const fn reset(message_id: MessageId) -> [u8; 4] {
    fixed_header(Kind::Reset, 0, Code::EMPTY, message_id)
}

/// The Empty Confirmable that asks for a Reset (RFC 7252 §4.3).
pub const fn ping(message_id: MessageId) -> [u8; 4] {
    fixed_header(Kind::Confirmable, 0, Code::EMPTY, message_id)
}

const fn fixed_header(kind: Kind, token_length: usize, code: Code, message_id: MessageId) -> [u8; 4] {
    let [id_high, id_low] = message_id.0.to_be_bytes();
    [
        VERSION << 6 | kind.bits() << 4 | token_length as u8,
        code.0,
        id_high,
        id_low,
    ]
}

/// Why a part was not written. All are misuse by the caller, except a buffer that the link made too small.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WriteError {
    /// The buffer cannot hold the part.
    BufferTooSmall,
    /// An option below the one before it, or anything after the payload.
    OutOfOrder,
    /// An option value longer than 65804 bytes.
    ValueTooLong,
    /// Token, option or payload in a message with code 0.00 (RFC 7252 §4.1).
    EmptyMessage,
    /// Message type and code do not go together (RFC 7252 §4.3, Table 1), or the code is of a reserved class.
    KindForbidsCode,
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            WriteError::BufferTooSmall => "message does not fit the buffer",
            WriteError::OutOfOrder => "option or payload written out of order",
            WriteError::ValueTooLong => "option value is longer than 65804 bytes",
            WriteError::EmptyMessage => "empty message cannot carry token, options or payload",
            WriteError::KindForbidsCode => "message type does not go with the code",
        })
    }
}

impl core::error::Error for WriteError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Message;

    fn request(buffer: &mut [u8]) -> Writer<'_> {
        Writer::new(buffer, Kind::Confirmable, Code::GET, MessageId(1), Token::EMPTY).unwrap()
    }

    #[test]
    fn four_byte_messages_are_the_header_alone() {
        assert_eq!(empty_acknowledgement(MessageId(0x7d38)), [0x60, 0x00, 0x7d, 0x38]);
        assert_eq!(reset(MessageId(0xad7c)), [0x70, 0x00, 0xad, 0x7c]);
        assert_eq!(ping(MessageId(0x0102)), [0x40, 0x00, 0x01, 0x02]);
    }

    #[test]
    fn options_must_ascend() {
        let mut buffer = [0; 32];
        let mut writer = request(&mut buffer);
        writer.uri_path("a").unwrap();
        writer.uri_path("b").unwrap();
        assert_eq!(
            writer.option(OptionNumber::ETAG, &[1]),
            Err(WriteError::OutOfOrder)
        );
        assert_eq!(writer.finish(), [0x40, 1, 0, 1, 0xB1, b'a', 0x01, b'b']);
    }

    #[test]
    fn nothing_follows_the_payload() {
        let mut buffer = [0; 32];
        let mut writer = request(&mut buffer);
        writer.payload(b"x").unwrap();
        assert_eq!(
            writer.option(OptionNumber::SIZE1, &[]),
            Err(WriteError::OutOfOrder)
        );
        assert_eq!(writer.payload(b"y"), Err(WriteError::OutOfOrder));
        assert_eq!(writer.finish(), [0x40, 1, 0, 1, 0xFF, b'x']);
    }

    #[test]
    fn uint_is_as_short_as_it_can_be() {
        for (uint, bytes) in [
            (0_u32, &[][..]),
            (1, &[1]),
            (255, &[255]),
            (256, &[1, 0]),
            (65_536, &[1, 0, 0]),
            (u32::MAX, &[255; 4]),
        ] {
            let mut buffer = [0; 32];
            let mut writer = request(&mut buffer);
            writer.uint(OptionNumber::SIZE1, uint).unwrap();
            let message = Message::parse(writer.finish()).unwrap();
            assert_eq!(message.option(OptionNumber::SIZE1), Some(bytes));
            assert_eq!(message.uint(OptionNumber::SIZE1), Ok(Some(uint)));
        }
    }

    #[test]
    fn empty_payload_has_no_marker() {
        let mut buffer = [0; 8];
        let mut writer = request(&mut buffer);
        writer.payload(&[]).unwrap();
        assert_eq!(writer.finish(), [0x40, 1, 0, 1]);
    }

    #[test]
    fn payload_space_is_filled_in_place() {
        let mut buffer = [0; 8];
        let mut writer = request(&mut buffer);
        writer.payload_space(3).unwrap().copy_from_slice(b"abc");
        assert_eq!(writer.remaining(), 0);
        assert_eq!(writer.finish(), [0x40, 1, 0, 1, 0xFF, b'a', b'b', b'c']);
    }

    #[test]
    fn empty_message_carries_nothing() {
        let mut buffer = [0; 16];
        let token = Token::from_u32(1);
        let with_token = Writer::new(
            &mut buffer,
            Kind::Acknowledgement,
            Code::EMPTY,
            MessageId(1),
            token,
        );
        assert_eq!(with_token.unwrap_err(), WriteError::EmptyMessage);
        let mut writer = Writer::new(
            &mut buffer,
            Kind::Acknowledgement,
            Code::EMPTY,
            MessageId(1),
            Token::EMPTY,
        )
        .unwrap();
        assert_eq!(
            writer.option(OptionNumber::ETAG, &[1]),
            Err(WriteError::EmptyMessage)
        );
        assert_eq!(writer.payload(b"x"), Err(WriteError::EmptyMessage));
        assert_eq!(writer.payload(&[]), Ok(()));
        assert_eq!(writer.finish(), empty_acknowledgement(MessageId(1)));
    }

    #[test]
    fn what_a_recipient_would_reject_is_not_written() {
        for (kind, code) in [
            (Kind::Reset, Code::CONTENT),
            (Kind::Acknowledgement, Code::GET),
            (Kind::NonConfirmable, Code::EMPTY),
            (Kind::Confirmable, Code::new(7, 1)),
        ] {
            let mut buffer = [0; 16];
            let result = Writer::new(&mut buffer, kind, code, MessageId(1), Token::EMPTY);
            assert_eq!(result.unwrap_err(), WriteError::KindForbidsCode);
        }
    }

    #[test]
    fn value_beyond_the_longest_length_is_refused() {
        let mut buffer = std::vec![0; 70_000];
        let value = std::vec![0; 65_805];
        let mut writer = request(&mut buffer);
        assert_eq!(
            writer.option(OptionNumber(2048), &value),
            Err(WriteError::ValueTooLong)
        );
        assert_eq!(writer.option(OptionNumber(2048), &value[1..]), Ok(()));
        assert_eq!(
            Message::parse(writer.finish())
                .unwrap()
                .option(OptionNumber(2048)),
            Some(&value[1..])
        );
    }

    /// Cuts the buffer at every length: the parts before the cut are intact, the first that does not fit is refused.
    #[test]
    fn short_buffer_is_an_error_and_leaves_a_whole_message() {
        for capacity in 0..=64 {
            let mut buffer = std::vec![0; capacity];
            let token = Token::from_u32(7);
            let begun = Writer::new(&mut buffer, Kind::Confirmable, Code::GET, MessageId(1), token);
            if capacity < 8 {
                assert_eq!(begun.unwrap_err(), WriteError::BufferTooSmall);
                continue;
            }
            let mut writer = begun.unwrap();
            let path = writer.uri_path("a-segment-of-20-byte");
            let no_response = writer.option(OptionNumber::NO_RESPONSE, &[2]);
            let payload = writer.payload(b"payload");
            let message = Message::parse(writer.finish()).unwrap();
            assert_eq!(
                path,
                if capacity < 30 {
                    Err(WriteError::BufferTooSmall)
                } else {
                    Ok(())
                }
            );
            assert_eq!(
                message.options().count(),
                usize::from(path.is_ok()) + usize::from(no_response.is_ok())
            );
            assert_eq!(message.uri_path().next().is_some(), path.is_ok());
            assert_eq!(
                message.option(OptionNumber::NO_RESPONSE).is_some(),
                no_response.is_ok()
            );
            assert_eq!(message.payload() == b"payload", payload.is_ok());
            assert_eq!(message.payload().is_empty(), payload.is_err());
        }
    }
}
