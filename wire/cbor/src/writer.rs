//! Items into a caller's buffer.

use crate::{major, simple};

/// Writes items one after the other. Whether all of them found room is asked once, by [`Writer::finish`].
#[derive(Debug)]
pub struct Writer<'b> {
    buffer: &'b mut [u8],
    /// Bytes written; `None` once something did not fit.
    length: Option<usize>,
}

impl<'b> Writer<'b> {
    /// Writes from the beginning of `buffer`.
    pub const fn new(buffer: &'b mut [u8]) -> Self {
        Self {
            buffer,
            length: Some(0),
        }
    }

    /// What was written; `None` if it did not fit, and the buffer's contents are then unspecified.
    pub fn finish(self) -> Option<&'b [u8]> {
        self.buffer.get(..self.length?)
    }

    /// An unsigned integer.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(major::UNSIGNED, value)
    }

    /// An integer.
    pub fn int(&mut self, value: i64) -> &mut Self {
        match value < 0 {
            true => self.head(major::NEGATIVE, !value as u64),
            false => self.head(major::UNSIGNED, value as u64),
        }
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes_head(bytes.len() as u64).raw(bytes)
    }

    /// The head of a byte string of this length.
    pub fn bytes_head(&mut self, length: u64) -> &mut Self {
        self.head(major::BYTES, length)
    }

    /// A text.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.text_bytes(text.as_bytes())
    }

    /// A text, as [`Reader::text_bytes`](crate::Reader::text_bytes) read it.
    pub fn text_bytes(&mut self, text: &[u8]) -> &mut Self {
        self.head(major::TEXT, text.len() as u64).raw(text)
    }

    /// The head of an array; its items are to follow.
    pub fn array(&mut self, items: u64) -> &mut Self {
        self.head(major::ARRAY, items)
    }

    /// The head of a map; its entries are to follow, a key and a value each.
    pub fn map(&mut self, entries: u64) -> &mut Self {
        self.head(major::MAP, entries)
    }

    /// A map whose entries `write` writes and counts: for who does not know beforehand how many there are. More than 23 do not fit.
    pub fn counted_map(&mut self, write: impl FnOnce(&mut Self) -> u8) -> &mut Self {
        let head = self.length;
        let entries = write(self.map(0));
        match head.and_then(|at| self.buffer.get_mut(at)) {
            Some(place) if entries < 24 => *place = major::MAP << 5 | entries,
            _ => self.length = None,
        }
        self
    }

    /// A tag; its item is to follow.
    pub fn tag(&mut self, tag: u64) -> &mut Self {
        self.head(major::TAG, tag)
    }

    /// False or true.
    pub fn bool(&mut self, value: bool) -> &mut Self {
        self.raw(&[if value { simple::TRUE } else { simple::FALSE }])
    }

    /// Null.
    pub fn null(&mut self) -> &mut Self {
        self.raw(&[simple::NULL])
    }

    /// Items that are encoded already.
    pub fn raw(&mut self, encoded: &[u8]) -> &mut Self {
        self.length = self.length.and_then(|at| {
            let end = at.checked_add(encoded.len())?;
            // Not `copy_from_slice`: that both have one length is not seen by every optimiser, and it would panic.
            let room = self.buffer.get_mut(at..end)?;
            room.iter_mut()
                .zip(encoded)
                .for_each(|(place, &byte)| *place = byte);
            Some(end)
        });
        self
    }

    /// RFC 8949 §4.2.1: the shortest head there is.
    #[inline(never)]
    fn head(&mut self, major: u8, argument: u64) -> &mut Self {
        let (info, bytes) = match argument {
            0..24 => (argument as u8, 0),
            24..=0xFF => (24, 1),
            0x100..=0xFFFF => (25, 2),
            0x1_0000..=0xFFFF_FFFF => (26, 4),
            _ => (27, 8),
        };
        let argument = argument.to_be_bytes();
        self.raw(&[major << 5 | info])
            .raw(argument.get(8 - bytes..).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_no_result() {
        for room in 0..9 {
            let mut buffer = [0; 9];
            let mut writer = Writer::new(&mut buffer[..room]);
            writer.array(2).uint(1).bytes(&[1, 2, 3, 4, 5]);
            assert_eq!(writer.finish().is_some(), room >= 8, "{room}");
        }
    }

    #[test]
    fn a_map_may_be_counted_while_it_is_written() {
        let counted = |entries: u8| {
            let mut buffer = [0xEE; 48];
            let mut writer = Writer::new(&mut buffer);
            writer.uint(7).counted_map(|writer| {
                for key in 0..entries {
                    writer.uint(key.into()).null();
                }
                entries
            });
            writer.finish().map(<[u8]>::to_vec)
        };
        assert_eq!(counted(0), Some(std::vec![7, 0xA0]));
        assert_eq!(counted(2), Some(std::vec![7, 0xA2, 0, 0xF6, 1, 0xF6]));
        assert_eq!(counted(23).map(|bytes| bytes[1]), Some(0xB7));
        assert_eq!(counted(24), None);
        assert!(Writer::new(&mut []).counted_map(|_| 0).length.is_none());
    }

    #[test]
    fn nothing_is_written_behind_what_did_not_fit() {
        let mut buffer = [0; 4];
        let mut writer = Writer::new(&mut buffer);
        writer.bytes(&[1; 9]).uint(1);
        assert!(writer.finish().is_none());
        assert_eq!(buffer, [0x49, 0, 0, 0]);
    }
}
