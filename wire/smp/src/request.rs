//! What a client asks.

use crate::cbor::{Message, is, read_map, uint};
use crate::{Command, ErrorCode, HEADER_BYTES, Header, NoSpace, Operation};

/// The `query` of a bootloader request that is answered with [`crate::RecoveryInfo`].
pub const RECOVERY_QUERY: &[u8] = b"recovery";

/// What the message of an upload has besides its data, at most: header, map, `off` and `len` with 5 bytes each, `sha` with
/// 32, the head of `data`.
pub const UPLOAD_OVERHEAD_BYTES_MAX: usize = HEADER_BYTES + 1 + (4 + 5) + (4 + 5) + (4 + 2 + 32) + (5 + 3);

/// The protocol version in which our client asks: 2.
const VERSION: u8 = 1;

/// A request that a bootloader in recovery serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Give this text back.
    Echo {
        /// Any text, in UTF-8 as far as its client is concerned.
        text: &'a [u8],
    },
    /// How long may a message be?
    Parameters,
    /// Restart.
    Reset,
    /// Which bootloader is this?
    Bootloader {
        /// What more to tell, for example [`RECOVERY_QUERY`].
        query: Option<&'a [u8]>,
    },
    /// What is in the slots?
    ImageState,
    /// Take a piece of a file.
    Upload(Upload<'a>),
}

/// A piece of a file. `image` and `upgrade`, which clients may send too, decide nothing here: the bootloader chooses the slot,
/// and never takes an older image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Upload<'a> {
    /// `off`: where in the file the piece begins, in bytes.
    pub offset: u32,
    /// `data`: the piece.
    pub data: &'a [u8],
    /// `len`: bytes of the whole file; in the first piece.
    pub length: Option<u32>,
    /// `sha`: SHA-256 of the whole file, by which a client recognises its upload; may be in the first piece.
    pub sha: Option<&'a [u8]>,
}

impl<'a> Request<'a> {
    /// Reads the body of a message with this header.
    ///
    /// # Errors
    /// The code of the answer: not supported, or malformed.
    pub fn parse(header: &Header, body: &'a [u8]) -> Result<Self, ErrorCode> {
        let mut fields = Fields::default();
        let read = read_map(body, &mut |key, value| {
            match key {
                _ if is(key, "d") => fields.echo = Some(value.text_bytes()?),
                _ if is(key, "query") => fields.query = Some(value.text_bytes()?),
                _ if is(key, "off") => fields.offset = Some(uint(value)?),
                _ if is(key, "len") => fields.length = Some(uint(value)?),
                _ if is(key, "sha") => fields.sha = Some(value.bytes()?),
                _ if is(key, "data") => fields.data = Some(value.bytes()?),
                _ => drop(value.skip()?),
            }
            Ok(())
        });
        let asked = match (header.operation, header.command) {
            (Operation::Write, Command::ECHO) => fields.echo.map(|text| Self::Echo { text }),
            (Operation::Read, Command::PARAMETERS) => Some(Self::Parameters),
            (Operation::Write, Command::RESET) => Some(Self::Reset),
            (Operation::Read, Command::BOOTLOADER) => Some(Self::Bootloader { query: fields.query }),
            (Operation::Read, Command::IMAGE_STATE) => Some(Self::ImageState),
            (Operation::Write, Command::IMAGE_UPLOAD) => fields.upload().map(Self::Upload),
            _ => return Err(ErrorCode::NotSupported),
        };
        asked.filter(|_| read.is_ok()).ok_or(ErrorCode::Invalid)
    }

    /// What is asked for, and how.
    #[must_use]
    pub const fn command(&self) -> (Operation, Command) {
        match self {
            Self::Echo { .. } => (Operation::Write, Command::ECHO),
            Self::Parameters => (Operation::Read, Command::PARAMETERS),
            Self::Reset => (Operation::Write, Command::RESET),
            Self::Bootloader { .. } => (Operation::Read, Command::BOOTLOADER),
            Self::ImageState => (Operation::Read, Command::IMAGE_STATE),
            Self::Upload(_) => (Operation::Write, Command::IMAGE_UPLOAD),
        }
    }

    /// Writes the whole message into `out`; how long it is.
    ///
    /// # Errors
    /// [`NoSpace`]; an upload takes at most its data and [`UPLOAD_OVERHEAD_BYTES_MAX`].
    pub fn encode(&self, sequence: u8, out: &mut [u8]) -> Result<usize, NoSpace> {
        let (operation, command) = self.command();
        let header = Header {
            operation,
            version: VERSION,
            command,
            sequence,
        };
        let mut message = Message::new(header, out)?;
        let writer = &mut message.body;
        match self {
            Self::Echo { text } => {
                writer.map(1).text("d").text_bytes(text);
            }
            Self::Bootloader { query: Some(query) } => {
                writer.map(1).text("query").text_bytes(query);
            }
            Self::Parameters | Self::Reset | Self::Bootloader { query: None } | Self::ImageState => {
                writer.map(0);
            }
            Self::Upload(upload) => {
                writer.map(2 + u64::from(upload.length.is_some()) + u64::from(upload.sha.is_some()));
                if let Some(length) = upload.length {
                    writer.text("len").uint(length.into());
                }
                writer.text("off").uint(upload.offset.into());
                if let Some(sha) = upload.sha {
                    writer.text("sha").bytes(sha);
                }
                writer.text("data").bytes(upload.data);
            }
        }
        message.finish()
    }
}

/// Every key that a request may have: together they are read by one function, which is shorter than one for each request.
#[derive(Default)]
struct Fields<'a> {
    echo: Option<&'a [u8]>,
    query: Option<&'a [u8]>,
    offset: Option<u32>,
    length: Option<u32>,
    sha: Option<&'a [u8]>,
    data: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn upload(&self) -> Option<Upload<'a>> {
        Some(Upload {
            offset: self.offset?,
            data: self.data?,
            length: self.length,
            sha: self.sha,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn parse(message: &[u8]) -> Result<Request<'_>, ErrorCode> {
        let (header, body) = Header::parse(message).unwrap();
        Request::parse(&header, body)
    }

    /// From the documentation of the Python package smp 4.2.0, the example of `smp.packet.decode`.
    #[test]
    fn an_upload_of_another_client_is_read() {
        let mut message = std::vec![0x0A, 0, 0, 116, 0, 1, 0x9A, 1];
        message.extend_from_slice(b"\xa6clen\rcoff\x18*cshaLtrust me broddataX@");
        message.extend(0..64);
        message.extend_from_slice(b"eimage\x00gupgrade\xf4");
        let data: Vec<u8> = (0..64).collect();
        assert_eq!(
            parse(&message),
            Ok(Request::Upload(Upload {
                offset: 42,
                data: &data,
                length: Some(13),
                sha: Some(b"trust me bro"),
            }))
        );
    }

    /// Clients on Qt and on Jackson write maps of indefinite length.
    #[test]
    fn a_map_of_indefinite_length_is_read() {
        assert_eq!(
            parse(b"\x02\0\0\x07\0\0\0\0\xbfadahi\xff"),
            Err(ErrorCode::Invalid),
            "text cut short"
        );
        assert_eq!(
            parse(b"\x02\0\0\x07\0\0\0\0\xbfadbhi\xff"),
            Ok(Request::Echo { text: b"hi" })
        );
    }

    #[test]
    fn what_is_not_served_is_not_supported_and_what_is_no_request_invalid() {
        assert_eq!(
            parse(&[0, 0, 0, 1, 0, 9, 0, 1, 0xA0]),
            Err(ErrorCode::NotSupported)
        );
        assert_eq!(
            parse(&[2, 0, 0, 1, 0, 1, 0, 0, 0xA0]),
            Err(ErrorCode::NotSupported)
        );
        for body in [
            &b"\xa1coff\x00"[..],
            b"\xa1ddataA\x00",
            b"\xa2coff\x20ddataA\x00",
            b"\xa0\x00",
            b"",
            b"\x80",
        ] {
            let header = Header {
                operation: Operation::Write,
                version: 0,
                command: Command::IMAGE_UPLOAD,
                sequence: 0,
            };
            assert_eq!(Request::parse(&header, body), Err(ErrorCode::Invalid), "{body:?}");
        }
    }

    #[test]
    fn the_stated_overhead_of_an_upload_is_enough_and_not_more() {
        let upload = Upload {
            offset: u32::MAX,
            data: &[0; 1000],
            length: Some(u32::MAX),
            sha: Some(&[0; 32]),
        };
        let mut buffer = [0; 1000 + UPLOAD_OVERHEAD_BYTES_MAX];
        let bytes = buffer.len();
        assert_eq!(Request::Upload(upload).encode(0, &mut buffer), Ok(bytes));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(message: Vec<u8>) {
            if let Some((header, body)) = Header::parse(&message) {
                let _ = Request::parse(&header, body);
            }
        }

        #[test]
        fn any_body_of_an_upload_is_read_or_refused(tail: Vec<u8>) {
            let header = Header { operation: Operation::Write, version: 1, command: Command::IMAGE_UPLOAD, sequence: 0 };
            let mut body = b"\xbfcoff\x01ddata".to_vec();
            body.extend(tail);
            let _ = Request::parse(&header, &body);
        }

        #[test]
        fn an_upload_comes_back(offset: u32, data: Vec<u8>, length: Option<u32>, sha: Option<[u8; 32]>) {
            let upload = Upload { offset, data: &data, length, sha: sha.as_ref().map(|sha| &sha[..]) };
            let mut buffer = [0; 1024];
            let bytes = Request::Upload(upload).encode(9, &mut buffer).unwrap();
            prop_assert_eq!(parse(&buffer[..bytes]), Ok(Request::Upload(upload)));
        }
    }
}
