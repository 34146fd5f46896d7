//! What the bootloader answers.

use wire_cbor::{Fault, Reader};

use crate::cbor::{Message, is, read_entries, read_map, uint};
use crate::{Command, Header, NoSpace};

/// Why a request was refused, as mcumgr numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// What is not below; for a bootloader of ours, the flash failed.
    Unknown,
    /// The file does not fit.
    NoMemory,
    /// The request makes no sense.
    Invalid,
    /// Not as things are: the device has no key to check a signature with.
    BadState,
    /// The answer would be too long.
    TooLong,
    /// No such command here.
    NotSupported,
    /// What arrived is not what was signed.
    Corrupt,
    /// Not for this device: signature, vendor, class or age.
    AccessDenied,
    /// A number that is not in this list.
    Other(u32),
}

impl ErrorCode {
    const NUMBERS: [(u32, Self); 8] = [
        (1, Self::Unknown),
        (2, Self::NoMemory),
        (3, Self::Invalid),
        (6, Self::BadState),
        (7, Self::TooLong),
        (8, Self::NotSupported),
        (9, Self::Corrupt),
        (11, Self::AccessDenied),
    ];

    /// Its number in `rc`.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Unknown => 1,
            Self::NoMemory => 2,
            Self::Invalid => 3,
            Self::BadState => 6,
            Self::TooLong => 7,
            Self::NotSupported => 8,
            Self::Corrupt => 9,
            Self::AccessDenied => 11,
            Self::Other(number) => number,
        }
    }

    fn from_number(number: u32) -> Self {
        let known = Self::NUMBERS.iter().find(|(known, _)| *known == number);
        known.map_or(Self::Other(number), |(_, code)| *code)
    }
}

/// A slot that holds an image which verifies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Image {
    /// 0 for slot A, 1 for slot B.
    pub slot: u8,
    /// Its sequence number, which clients are shown as its version.
    pub sequence: u32,
    /// Its SHA-256.
    pub digest: [u8; 32],
    /// Whether it would boot: `false` when it is older than the confirmed one.
    pub bootable: bool,
}

/// The device as a technician needs to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecoveryInfo<'a> {
    /// `state`: why it is in recovery, for people.
    pub state: &'a str,
    /// `vendor` and `class`: UUIDs; absent from a device that is not provisioned.
    pub identity: Option<([u8; 16], [u8; 16])>,
    /// `confirmed`: the sequence number below which nothing is taken; absent if nothing was confirmed yet.
    pub confirmed: Option<u32>,
    /// `room`: the largest image that fits, in bytes.
    pub room_bytes: u32,
}

/// Writes an answer into a buffer: each method is one sort of answer, and says how long the whole message is.
///
/// 256 bytes suffice for all but the echo, with texts of up to 128 bytes.
#[derive(Debug)]
pub struct Answer<'o>(Message<'o>);

impl<'o> Answer<'o> {
    /// An answer with this header.
    ///
    /// # Errors
    /// [`NoSpace`], here and below.
    pub fn new(header: Header, out: &'o mut [u8]) -> Result<Self, NoSpace> {
        Message::new(header, out).map(Self)
    }

    /// To a reset: it comes at once.
    pub fn done(mut self) -> Result<usize, NoSpace> {
        self.0.body.map(0);
        self.0.finish()
    }

    /// To an echo.
    pub fn echo(mut self, text: &[u8]) -> Result<usize, NoSpace> {
        self.0.body.map(1).text("r").text_bytes(text);
        self.0.finish()
    }

    /// To the question for parameters: the longest packet, as in [`crate::MessageReader`].
    pub fn parameters(mut self, buffer_bytes: u32) -> Result<usize, NoSpace> {
        let body = &mut self.0.body;
        body.map(2).text("buf_size").uint(buffer_bytes.into());
        body.text("buf_count").uint(1);
        self.0.finish()
    }

    /// To the question for the bootloader: who it is, and what was asked besides.
    pub fn bootloader(mut self, name: &str, recovery: Option<&RecoveryInfo<'_>>) -> Result<usize, NoSpace> {
        let body = &mut self.0.body;
        body.map(1 + u64::from(recovery.is_some()));
        body.text("bootloader").text(name);
        if let Some(info) = recovery {
            let identity = 2 * u64::from(info.identity.is_some());
            body.text("response")
                .map(2 + identity + u64::from(info.confirmed.is_some()));
            body.text("room").uint(info.room_bytes.into());
            if let Some((vendor, class)) = &info.identity {
                body.text("class").bytes(class).text("vendor").bytes(vendor);
            }
            body.text("state").text(info.state);
            if let Some(confirmed) = info.confirmed {
                body.text("confirmed").uint(confirmed.into());
            }
        }
        self.0.finish()
    }

    /// To the question for the slots.
    pub fn images(mut self, images: &[Option<Image>; 2]) -> Result<usize, NoSpace> {
        let body = &mut self.0.body;
        let count = images.iter().flatten().count();
        body.map(1).text("images").array(count as u64);
        for image in images.iter().flatten() {
            let mut digits = [0; DIGITS_MAX];
            body.map(4).text("hash").bytes(&image.digest);
            body.text("slot").uint(image.slot.into());
            body.text("version")
                .text_bytes(decimal(image.sequence, &mut digits));
            body.text("bootable").bool(image.bootable);
        }
        self.0.finish()
    }

    /// To an upload: where the next piece begins; the file's length when it is whole, verified and about to boot.
    pub fn upload(mut self, offset: u32) -> Result<usize, NoSpace> {
        self.0.body.map(1).text("off").uint(offset.into());
        self.0.finish()
    }

    /// Refused: which sort, and why, for people.
    pub fn refused(mut self, code: ErrorCode, reason: &str) -> Result<usize, NoSpace> {
        let body = &mut self.0.body;
        body.map(2).text("rc").uint(code.number().into());
        body.text("rsn").text(reason);
        self.0.finish()
    }
}

/// Digits of the largest number of 32 bits.
const DIGITS_MAX: usize = 10;

fn decimal(mut number: u32, digits: &mut [u8; DIGITS_MAX]) -> &[u8] {
    let mut used = 0;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
        used += 1;
        if number == 0 {
            break;
        }
    }
    digits.get(DIGITS_MAX - used..).unwrap_or_default()
}

/// An answer, as a client reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response<'a> {
    /// To a reset.
    Done,
    /// To an echo.
    Echo(&'a str),
    /// To the question for parameters.
    Parameters {
        /// Longest packet the device reads.
        buffer_bytes: u32,
    },
    /// To the question for the bootloader.
    Bootloader {
        /// Who it is.
        name: &'a str,
        /// What was asked besides.
        recovery: Option<RecoveryInfo<'a>>,
    },
    /// To an upload.
    Upload {
        /// Where the next piece begins.
        offset: u32,
    },
    /// Refused.
    Refused {
        /// Which sort.
        code: ErrorCode,
        /// Why, for people; may be empty.
        reason: &'a str,
    },
}

impl<'a> Response<'a> {
    /// Reads the answer to a request for `command`. Not the slots, which no client of ours asks for.
    /// `None`: it is no answer to that.
    #[must_use]
    pub fn parse(command: Command, body: &'a [u8]) -> Option<Self> {
        let mut fields = Fields::default();
        read_map(body, &mut |key, value| fields.read(key, value)).ok()?;
        // SMP version 1 has successful answers with `rc` 0 too.
        if let Some(number) = fields.code.filter(|&number| number != 0) {
            return Some(Self::Refused {
                code: ErrorCode::from_number(number),
                reason: fields.reason.unwrap_or(""),
            });
        }
        match command {
            Command::ECHO => fields.echo.map(Self::Echo),
            Command::RESET => Some(Self::Done),
            Command::PARAMETERS => fields
                .buffer_bytes
                .map(|buffer_bytes| Self::Parameters { buffer_bytes }),
            Command::BOOTLOADER => fields.name.map(|name| Self::Bootloader {
                name,
                recovery: fields.recovery,
            }),
            Command::IMAGE_UPLOAD => fields.offset.map(|offset| Self::Upload { offset }),
            _ => None,
        }
    }
}

/// Every key that an answer may have.
#[derive(Default)]
struct Fields<'a> {
    code: Option<u32>,
    reason: Option<&'a str>,
    echo: Option<&'a str>,
    buffer_bytes: Option<u32>,
    name: Option<&'a str>,
    recovery: Option<RecoveryInfo<'a>>,
    offset: Option<u32>,
}

impl<'a> Fields<'a> {
    fn read(&mut self, key: &[u8], value: &mut Reader<'a>) -> Result<(), Fault> {
        match key {
            _ if is(key, "rc") => self.code = Some(uint(value)?),
            _ if is(key, "rsn") => self.reason = Some(value.text()?),
            _ if is(key, "r") => self.echo = Some(value.text()?),
            _ if is(key, "buf_size") => self.buffer_bytes = Some(uint(value)?),
            _ if is(key, "bootloader") => self.name = Some(value.text()?),
            _ if is(key, "off") => self.offset = Some(uint(value)?),
            // SMP version 2: group and number. Every group has numbers of its own, so this says only that it failed.
            _ if is(key, "err") => {
                read_entries(value, &mut |_, value| value.skip().map(drop))?;
                self.code = Some(ErrorCode::Unknown.number());
            }
            _ if is(key, "response") => self.recovery = Some(read_recovery(value)?),
            _ => drop(value.skip()?),
        }
        Ok(())
    }
}

fn read_recovery<'a>(value: &mut Reader<'a>) -> Result<RecoveryInfo<'a>, Fault> {
    let (mut room_bytes, mut state, mut confirmed) = (None, None, None);
    let (mut vendor, mut class) = (None, None);
    let uuid = |value: &mut Reader<'a>| value.bytes()?.try_into().map_err(|_| Fault::WrongType);
    read_entries(value, &mut |key, value| {
        match key {
            _ if is(key, "room") => room_bytes = Some(uint(value)?),
            _ if is(key, "state") => state = Some(value.text()?),
            _ if is(key, "confirmed") => confirmed = Some(uint(value)?),
            _ if is(key, "vendor") => vendor = Some(uuid(value)?),
            _ if is(key, "class") => class = Some(uuid(value)?),
            _ => drop(value.skip()?),
        }
        Ok(())
    })?;
    Ok(RecoveryInfo {
        state: state.ok_or(Fault::WrongType)?,
        identity: vendor.zip(class),
        confirmed,
        room_bytes: room_bytes.ok_or(Fault::WrongType)?,
    })
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::Operation;

    const HEADER: Header = Header {
        operation: Operation::WriteResponse,
        version: 1,
        command: Command::ECHO,
        sequence: 3,
    };

    fn body(write: impl FnOnce(Answer<'_>) -> Result<usize, NoSpace>) -> Vec<u8> {
        let mut buffer = [0; 256];
        let bytes = write(Answer::new(HEADER, &mut buffer).unwrap()).unwrap();
        let (header, body) = Header::parse(&buffer[..bytes]).unwrap();
        assert_eq!(header, HEADER);
        body.to_vec()
    }

    #[test]
    fn answers_come_back() {
        let parse = |command, body: &[u8]| std::format!("{:?}", Response::parse(command, body).unwrap());
        let shown = |response: Response<'_>| std::format!("{response:?}");
        assert_eq!(
            parse(Command::RESET, &body(|answer| answer.done())),
            shown(Response::Done)
        );
        let echo = body(|answer| answer.echo(b"hi"));
        assert_eq!(parse(Command::ECHO, &echo), shown(Response::Echo("hi")));
        let parameters = Response::Parameters { buffer_bytes: 1024 };
        assert_eq!(
            parse(Command::PARAMETERS, &body(|answer| answer.parameters(1024))),
            shown(parameters)
        );
        for offset in [0, 23, 24, 255, 256, 65_535, 65_536, u32::MAX] {
            let upload = body(|answer| answer.upload(offset));
            assert_eq!(
                parse(Command::IMAGE_UPLOAD, &upload),
                shown(Response::Upload { offset })
            );
        }
        let reason = "the image is for another class";
        let refused = body(|answer| answer.refused(ErrorCode::AccessDenied, reason));
        let code = ErrorCode::AccessDenied;
        assert_eq!(
            parse(Command::IMAGE_UPLOAD, &refused),
            shown(Response::Refused { code, reason })
        );
    }

    #[test]
    fn the_bootloader_says_who_it_is_and_how_the_device_is() {
        let name = "deltagate";
        let plain = body(|answer| answer.bootloader(name, None));
        let expected = Response::Bootloader { name, recovery: None };
        assert_eq!(Response::parse(Command::BOOTLOADER, &plain), Some(expected));
        let state = "no slot holds a valid image";
        for (identity, confirmed) in [(Some(([1; 16], [2; 16])), Some(7)), (None, None)] {
            let info = RecoveryInfo {
                state,
                identity,
                confirmed,
                room_bytes: 520_192,
            };
            let told = body(|answer| answer.bootloader(name, Some(&info)));
            let recovery = Some(info);
            let expected = Response::Bootloader { name, recovery };
            assert_eq!(Response::parse(Command::BOOTLOADER, &told), Some(expected));
        }
    }

    /// Byte by byte as clients read it: `hash`, `slot`, `version`, `bootable`.
    #[test]
    fn the_slots_are_written_as_clients_read_them() {
        let image = Image {
            slot: 1,
            sequence: 4_294_967_295,
            digest: [0xAB; 32],
            bootable: true,
        };
        let mut expected = b"\xa1fimages\x81\xa4dhash\x58\x20".to_vec();
        expected.extend([0xAB; 32]);
        expected.extend_from_slice(b"dslot\x01gversion\x6a4294967295hbootable\xf5");
        assert_eq!(body(|answer| answer.images(&[None, Some(image)])), expected);
        assert!(body(|answer| answer.images(&[Some(image); 2])).len() < 256 - 8);
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 9, 10, 4_294_967_295] {
            assert_eq!(
                decimal(number, &mut [0; DIGITS_MAX]),
                std::format!("{number}").as_bytes()
            );
        }
    }

    #[test]
    fn every_code_has_its_number() {
        for number in 0..300 {
            assert_eq!(ErrorCode::from_number(number).number(), number);
        }
    }

    #[test]
    fn an_error_of_version_2_is_an_error() {
        let body = b"\xa1cerr\xa2egroup\x01brc\x18\x1b";
        let refused = Response::Refused {
            code: ErrorCode::Unknown,
            reason: "",
        };
        assert_eq!(Response::parse(Command::IMAGE_UPLOAD, body), Some(refused));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(body: Vec<u8>, number in 0u8..10) {
            for command in [Command::BOOTLOADER, Command::IMAGE_UPLOAD, Command { group: 0, command: number }] {
                let _ = Response::parse(command, &body);
                let mut nested = b"\xa1hresponse".to_vec();
                nested.extend_from_slice(&body);
                let _ = Response::parse(command, &nested);
            }
        }
    }
}
