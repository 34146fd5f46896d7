//! The eight bytes before each body.

/// Bytes of a header.
pub const HEADER_BYTES: usize = 8;

/// The newest protocol version, SMP version 2, as the header has it.
const VERSION_MAX: u8 = 1;

/// What is to be done with a resource, or what was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Ask for it.
    Read,
    /// The answer to [`Operation::Read`].
    ReadResponse,
    /// Change it.
    Write,
    /// The answer to [`Operation::Write`].
    WriteResponse,
}

impl Operation {
    const ALL: [Self; 4] = [Self::Read, Self::ReadResponse, Self::Write, Self::WriteResponse];

    /// The operation of the answer; `None` for an answer, which gets none.
    #[must_use]
    pub const fn response(self) -> Option<Self> {
        match self {
            Self::Read => Some(Self::ReadResponse),
            Self::Write => Some(Self::WriteResponse),
            Self::ReadResponse | Self::WriteResponse => None,
        }
    }
}

/// A resource: group and command, as numbered by mcumgr.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command {
    /// 0 OS, 1 image.
    pub group: u16,
    /// Counts within the group.
    pub command: u8,
}

impl Command {
    /// Gives a text back.
    pub const ECHO: Self = Self::new(0, 0);
    /// Restarts the device.
    pub const RESET: Self = Self::new(0, 5);
    /// How long a message may be.
    pub const PARAMETERS: Self = Self::new(0, 6);
    /// Which bootloader this is.
    pub const BOOTLOADER: Self = Self::new(0, 8);
    /// What is in the slots.
    pub const IMAGE_STATE: Self = Self::new(1, 0);
    /// Takes a file.
    pub const IMAGE_UPLOAD: Self = Self::new(1, 1);

    const fn new(group: u16, command: u8) -> Self {
        Self { group, command }
    }
}

/// The header of a message, without its length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// What is done.
    pub operation: Operation,
    /// The protocol version: 0 is version 1, 1 is version 2.
    pub version: u8,
    /// To what.
    pub command: Command,
    /// Chosen by the client; the answer has the same.
    pub sequence: u8,
}

impl Header {
    /// Header and body of `message`; `None` if it is shorter or longer than its header says, or of an operation that does
    /// not exist. Flags are not looked at: none is defined.
    #[must_use]
    pub fn parse(message: &[u8]) -> Option<(Self, &[u8])> {
        let (head, body) = message.split_first_chunk::<HEADER_BYTES>()?;
        let &[
            first,
            _flags,
            len_high,
            len_low,
            group_high,
            group_low,
            sequence,
            command,
        ] = head;
        if body.len() != usize::from(u16::from_be_bytes([len_high, len_low])) {
            return None;
        }
        let header = Self {
            operation: *Operation::ALL.get(usize::from(first & 7))?,
            version: first >> 3 & 3,
            command: Command::new(u16::from_be_bytes([group_high, group_low]), command),
            sequence,
        };
        Some((header, body))
    }

    /// The eight bytes for a body of this length, at most 65,535 bytes.
    #[must_use]
    pub const fn encode(&self, body_bytes: usize) -> [u8; HEADER_BYTES] {
        let [len_high, len_low] = (body_bytes as u16).to_be_bytes();
        let [group_high, group_low] = self.command.group.to_be_bytes();
        let first = self.version << 3 | self.operation as u8;
        [
            first,
            0,
            len_high,
            len_low,
            group_high,
            group_low,
            self.sequence,
            self.command.command,
        ]
    }

    /// The header of the answer: same resource and sequence, and the client's version as far as there is one. `None`: this
    /// is an answer itself.
    #[must_use]
    pub fn response(&self) -> Option<Self> {
        Some(Self {
            operation: self.operation.response()?,
            version: self.version.min(VERSION_MAX),
            ..*self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification: a version 2 read of the image state with sequence 0x42.
    #[test]
    fn a_header_is_laid_out_as_specified() {
        let header = Header {
            operation: Operation::Read,
            version: 1,
            command: Command::IMAGE_STATE,
            sequence: 0x42,
        };
        assert_eq!(header.encode(1), [0x08, 0, 0, 1, 0, 1, 0x42, 0]);
        assert_eq!(
            Header::parse(&[0x08, 0, 0, 1, 0, 1, 0x42, 0, 0xA0]),
            Some((header, &[0xA0][..]))
        );
        let response = header.response().unwrap();
        assert_eq!(response.encode(300), [0x09, 0, 1, 44, 0, 1, 0x42, 0]);
        assert_eq!(response.response(), None);
    }

    #[test]
    fn a_length_that_is_not_the_body_s_is_refused() {
        let whole = [0x08, 0, 0, 1, 0, 1, 0x42, 0, 0xA0, 0xA0];
        for bytes in [0, 7, 8, 10] {
            assert_eq!(Header::parse(&whole[..bytes]), None, "{bytes}");
        }
        assert_eq!(Header::parse(&[4, 0, 0, 0, 0, 0, 0, 0]), None, "operation 4");
    }
}
