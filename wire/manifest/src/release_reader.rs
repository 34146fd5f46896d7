//! A publisher's file as it arrives: keeps the envelope, passes over the text, and says where the image begins.
//!
//! For whoever has room for neither the file nor its text. Reads only the outermost level:
//!
//! ```text
//! D8 6B │ map head │ 02 bstr authentication │ 03 bstr manifest │ ? 17 bstr text │ 66 "#image" bstr head │ image …
//!                    └─────── kept, under a map head of 2 ─────┘
//! ```
//!
//! What is kept is what [`crate::sever_text`] makes of the file, and as little verified: [`crate::verify`] comes next.

use core::fmt;

use crate::{ENVELOPE_BYTES_MAX, IMAGE_PAYLOAD};

/// CBOR: tag 107, and a map of two entries.
const SEVERED_HEAD: [u8; 3] = [0xD8, 0x6B, 0xA2];
const TAG_BYTES: usize = 2;
/// CBOR major types, in the upper three bits.
const BYTE_STRING: u8 = 2;
const TEXT_STRING: u8 = 3;
const MAP: u8 = 5;

/// Reads a file up to its image, in pieces of any length.
#[derive(Debug)]
pub struct ReleaseReader {
    envelope: [u8; ENVELOPE_BYTES_MAX],
    len: usize,
    members_left: u8,
    state: State,
}

/// What comes next.
#[derive(Clone, Copy, Debug)]
enum State {
    /// This byte of the tag.
    Tag(usize),
    Map,
    Key,
    /// This byte of the image's name.
    Name(usize),
    /// The head of a member's byte string.
    Head(Member),
    /// So many more bytes of the length in the head, and the length so far.
    Length(Member, u8, u32),
    /// So many more bytes of the member, more than none.
    Body(Member, u32),
    /// The image, this long.
    Image(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Kept,
    PassedOver,
    Image,
}

/// Why a file cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReleaseError {
    /// It is no envelope, or one that no publisher's tool of ours writes.
    NotARelease,
    /// Its envelope has more than [`ENVELOPE_BYTES_MAX`] bytes without the text.
    EnvelopeTooLong,
    /// It was signed with the image beside it.
    WithoutImage,
}

impl ReleaseError {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::NotARelease => "the file is no signed image",
            Self::EnvelopeTooLong => "the envelope in the file is too long",
            Self::WithoutImage => "no image in the file",
        }
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl core::error::Error for ReleaseError {}

impl Default for ReleaseReader {
    fn default() -> Self {
        Self::new()
    }
}

impl ReleaseReader {
    /// A reader at the beginning of a file.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            envelope: [0; ENVELOPE_BYTES_MAX],
            len: 0,
            members_left: 0,
            state: State::Tag(0),
        }
    }

    /// Takes in what comes next in the file and gives how many of `bytes` it took: all, unless the image begins among them.
    ///
    /// # Errors
    /// [`ReleaseError`]; the reader is then of no more use.
    pub fn push(&mut self, bytes: &[u8]) -> Result<usize, ReleaseError> {
        for (at, &byte) in bytes.iter().enumerate() {
            if let State::Image(_) = self.state {
                return Ok(at);
            }
            self.state = self.next(byte)?;
        }
        Ok(bytes.len())
    }

    /// Once the image begins: the envelope without its text, and the length of the image.
    #[must_use]
    pub fn release(&self) -> Option<(&[u8], u32)> {
        match self.state {
            State::Image(bytes) => Some((self.envelope.get(..self.len)?, bytes)),
            _ => None,
        }
    }

    /// What was kept so far: after [`ReleaseError::WithoutImage`] a whole envelope.
    #[must_use]
    pub fn kept(&self) -> &[u8] {
        self.envelope.get(..self.len).unwrap_or_default()
    }

    fn next(&mut self, byte: u8) -> Result<State, ReleaseError> {
        match self.state {
            State::Tag(at) if SEVERED_HEAD.get(at) != Some(&byte) => Err(ReleaseError::NotARelease),
            State::Tag(at) if at + 1 < TAG_BYTES => Ok(State::Tag(at + 1)),
            State::Tag(_) => Ok(State::Map),
            State::Map => self.map(byte),
            State::Key => self.key(byte),
            State::Name(at) => name(byte, at),
            State::Head(member) => self.head(member, byte),
            State::Length(member, left, so_far) => {
                self.keep(member, byte)?;
                let length = so_far << 8 | u32::from(byte);
                match left {
                    1 => self.body(member, length),
                    _ => Ok(State::Length(member, left - 1, length)),
                }
            }
            State::Body(member, left) => {
                self.keep(member, byte)?;
                self.body(member, left - 1)
            }
            State::Image(bytes) => Ok(State::Image(bytes)),
        }
    }

    fn map(&mut self, byte: u8) -> Result<State, ReleaseError> {
        let (major, entries) = (byte >> 5, byte & 0x1F);
        if major != MAP || !(2..24).contains(&entries) {
            return Err(ReleaseError::NotARelease);
        }
        self.members_left = entries;
        for byte in SEVERED_HEAD {
            self.keep(Member::Kept, byte)?;
        }
        Ok(State::Key)
    }

    fn key(&mut self, byte: u8) -> Result<State, ReleaseError> {
        let name_head = TEXT_STRING << 5 | IMAGE_PAYLOAD.len() as u8;
        let member = match byte {
            2 | 3 => Member::Kept,
            23 => Member::PassedOver,
            _ if byte == name_head && self.members_left == 1 => return Ok(State::Name(0)),
            _ => return Err(ReleaseError::NotARelease),
        };
        self.keep(member, byte)?;
        Ok(State::Head(member))
    }

    fn head(&mut self, member: Member, byte: u8) -> Result<State, ReleaseError> {
        self.keep(member, byte)?;
        let (major, length) = (byte >> 5, byte & 0x1F);
        match length {
            _ if major != BYTE_STRING => Err(ReleaseError::NotARelease),
            0..24 => self.body(member, u32::from(length)),
            // RFC 8949 §3: 1, 2 or 4 bytes of length follow; with 8 it would be no file of this world.
            24..27 => Ok(State::Length(member, 1 << (length - 24), 0)),
            _ => Err(ReleaseError::NotARelease),
        }
    }

    /// What follows when `left` bytes of a member are still to come.
    fn body(&mut self, member: Member, left: u32) -> Result<State, ReleaseError> {
        if member == Member::Image {
            return Ok(State::Image(left));
        }
        if left > 0 {
            return Ok(State::Body(member, left));
        }
        self.members_left -= 1;
        match self.members_left {
            0 => Err(ReleaseError::WithoutImage),
            _ => Ok(State::Key),
        }
    }

    fn keep(&mut self, member: Member, byte: u8) -> Result<(), ReleaseError> {
        if member == Member::Kept {
            let place = self.envelope.get_mut(self.len);
            *place.ok_or(ReleaseError::EnvelopeTooLong)? = byte;
            self.len += 1;
        }
        Ok(())
    }
}

fn name(byte: u8, at: usize) -> Result<State, ReleaseError> {
    match IMAGE_PAYLOAD.as_bytes().get(at) {
        Some(&expected) if expected != byte => Err(ReleaseError::NotARelease),
        _ if at + 1 < IMAGE_PAYLOAD.len() => Ok(State::Name(at + 1)),
        _ => Ok(State::Head(Member::Image)),
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;
    use crate::{KeyId, RELEASE_OVERHEAD_BYTES_MAX, Release, Text, sever_text};

    fn file(image: Option<&[u8]>, text: Option<Text<'_>>) -> Vec<u8> {
        let release = Release {
            sequence_number: 5,
            vendor_id: [1; 16],
            class_id: [2; 16],
            image_digest: [3; 32],
            image_size: image.map_or(9, |image| image.len() as u32),
            predecessor_min: 0,
            text,
            image,
        };
        let mut buffer = std::vec![0; RELEASE_OVERHEAD_BYTES_MAX + 70_000];
        let file = release.encode(&mut buffer, KeyId([4; 8]), |_| [5; 64]).unwrap();
        file.to_vec()
    }

    /// The envelope, the image's length, and where it begins.
    fn read(file: &[u8], piece: usize) -> Result<(Vec<u8>, u32, usize), ReleaseError> {
        let mut reader = ReleaseReader::new();
        let mut at = 0;
        for piece in file.chunks(piece) {
            let taken = reader.push(piece)?;
            at += taken;
            if taken < piece.len() {
                break;
            }
        }
        let (envelope, bytes) = reader.release().expect("the whole file was read");
        Ok((envelope.to_vec(), bytes, at))
    }

    #[test]
    fn a_file_in_any_pieces_gives_its_severed_envelope_and_its_image() {
        let words = "w".repeat(crate::TEXT_STRING_BYTES_MAX);
        let long = Text {
            version: Some(&words),
            description: Some(&words),
        };
        let short = Text {
            version: Some("1.0"),
            ..long
        };
        for text in [None, Some(short), Some(long)] {
            for bytes in [1, 23, 24, 255, 256, 65_535, 65_536] {
                let image: Vec<u8> = (0..bytes).map(|at| at as u8).collect();
                let file = file(Some(&image), text);
                let mut buffer = [0; ENVELOPE_BYTES_MAX];
                let severed = sever_text(&file, &mut buffer).unwrap();
                for piece in [1, 2, 7, 100, 1024, file.len()] {
                    let (envelope, length, at) = read(&file, piece).unwrap();
                    assert_eq!((&envelope[..], length as usize), (severed, bytes));
                    assert_eq!(file[at..], image);
                }
            }
        }
    }

    #[test]
    fn what_is_not_such_a_file_is_refused() {
        let sound = file(Some(b"image"), None);
        assert_eq!(read(&file(None, None), 100), Err(ReleaseError::WithoutImage));
        assert_eq!(read(b"\x7fELF\x01\x01\x01", 100), Err(ReleaseError::NotARelease));
        assert_eq!(read(&sound[1..], 100), Err(ReleaseError::NotARelease));
        let mut not_last = sound.clone();
        not_last[2] += 1;
        assert_eq!(read(&not_last, 100), Err(ReleaseError::NotARelease));
        let mut endless = sound[..3].to_vec();
        endless.extend([2, 0x5A, 0xFF, 0xFF, 0xFF, 0xFF]);
        endless.resize(4096, 0);
        assert_eq!(read(&endless, 100), Err(ReleaseError::EnvelopeTooLong));
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken_or_refused(tail: Vec<u8>, cut in 0usize..320, piece in 1usize..50) {
            let mut bytes = file(Some(b"image"), None);
            bytes.truncate(cut);
            bytes.extend(tail);
            let mut reader = ReleaseReader::new();
            for piece in bytes.chunks(piece) {
                match reader.push(piece) {
                    Ok(taken) => prop_assert!(taken <= piece.len()),
                    Err(_) => return Ok(()),
                }
            }
        }
    }
}
