//! The bodies of messages: maps with texts as keys.

use wire_cbor::{Fault, Reader, Writer};

use crate::{HEADER_BYTES, Header, NoSpace};

/// RFC 8949 §3.2.1: a map of indefinite length, and the break at its end.
const OPEN_MAP: u8 = 0xBF;
const BREAK: u8 = 0xFF;

/// Reads `body`, which is one map: calls `entry` with each key, which reads its value or skips it. The map may be of indefinite
/// length, as some clients write it; nothing in it may.
///
/// Every turn takes a byte or more, so this ends with the input whatever length the map says it has.
#[expect(clippy::type_complexity, reason = "a key and its value, and it may fail")]
pub(crate) fn read_map<'a>(
    body: &'a [u8],
    entry: &mut dyn FnMut(&'a [u8], &mut Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut reader;
    if let [OPEN_MAP, entries @ .., BREAK] = body {
        reader = Reader::new(entries);
        while !reader.is_at_end() {
            let key = reader.text_bytes()?;
            entry(key, &mut reader)?;
        }
    } else {
        reader = Reader::new(body);
        read_entries(&mut reader, entry)?;
    }
    if reader.is_at_end() {
        Ok(())
    } else {
        Err(Fault::WrongType)
    }
}

/// Reads a map of definite length, as [`read_map`] does.
#[expect(clippy::type_complexity, reason = "as above")]
pub(crate) fn read_entries<'a>(
    reader: &mut Reader<'a>,
    entry: &mut dyn FnMut(&'a [u8], &mut Reader<'a>) -> Result<(), Fault>,
) -> Result<(), Fault> {
    for _ in 0..reader.map()? {
        let key = reader.text_bytes()?;
        entry(key, reader)?;
    }
    Ok(())
}

/// Whether a key is this one.
// Not inlined: six comparisons of constant length are 200 bytes more of a bootloader than six calls.
#[inline(never)]
pub(crate) fn is(key: &[u8], name: &str) -> bool {
    key == name.as_bytes()
}

/// An unsigned integer of 32 bits.
pub(crate) fn uint(reader: &mut Reader<'_>) -> Result<u32, Fault> {
    u32::try_from(reader.uint()?).map_err(|_| Fault::WrongType)
}

/// A message being written: room for the header, which has the length of the body, and the body.
#[derive(Debug)]
pub(crate) struct Message<'o> {
    header: Header,
    head: &'o mut [u8; HEADER_BYTES],
    pub(crate) body: Writer<'o>,
}

impl<'o> Message<'o> {
    pub(crate) fn new(header: Header, out: &'o mut [u8]) -> Result<Self, NoSpace> {
        let (head, body) = out.split_first_chunk_mut().ok_or(NoSpace)?;
        let body = Writer::new(body);
        Ok(Self { header, head, body })
    }

    /// Writes the header; how long the message is.
    pub(crate) fn finish(self) -> Result<usize, NoSpace> {
        let body_bytes = self.body.finish().ok_or(NoSpace)?.len();
        *self.head = self.header.encode(body_bytes);
        Ok(HEADER_BYTES + body_bytes)
    }
}
