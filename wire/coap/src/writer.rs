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
            buffer,
            length: 0,
            number: OptionNumber(0),
            stage,
        };
        let space = writer.reserve(4 + token.as_bytes().len())?;
        let (header, after) = space.split_at_mut(4);
        header.copy_from_slice(&fixed_header(kind, token.as_bytes().len(), code, message_id));
        after.copy_from_slice(token.as_bytes());
        Ok(writer)
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
        let (delta_extension, length_extension) = (delta_extension.as_bytes(), length_extension.as_bytes());
        let head = 1 + delta_extension.len() + length_extension.len();
        let space = self.reserve(head + value.len())?;
        let (head, rest) = space.split_at_mut(1);
        head.fill(delta_nibble << 4 | length_nibble);
        let (delta_space, rest) = rest.split_at_mut(delta_extension.len());
        delta_space.copy_from_slice(delta_extension);
        let (length_space, rest) = rest.split_at_mut(length_extension.len());
        length_space.copy_from_slice(length_extension);
        rest.copy_from_slice(value);
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
        self.payload_space(bytes.len())?.copy_from_slice(bytes);
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
        self.reserve(1)?;
        if self.buffer.len() - self.length < length {
            self.length -= 1;
            return Err(WriteError::BufferTooSmall);
        }
        if let Some(marker) = self.buffer.get_mut(self.length - 1) {
            *marker = PAYLOAD_MARKER;
        }
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
#[path = "writer_tests.rs"]
mod tests;
