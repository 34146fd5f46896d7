//! Items, one after the other.

use crate::{major, simple};

/// Why an item was not read. The reader then stands where it stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end inside the item.
    Truncated,
    /// The item is of another type than was asked for, outside the range of that type, or of a kind we never read.
    WrongType,
}

/// What the next item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// An integer from 0 on.
    Unsigned,
    /// An integer below 0.
    Negative,
    /// A byte string.
    Bytes,
    /// A text.
    Text,
    /// An array.
    Array,
    /// A map.
    Map,
    /// A tag, to which the next item belongs.
    Tag,
    /// A simple value or a float.
    Simple,
}

/// Reads items from a slice.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader that stands before the first of `bytes`.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether nothing follows.
    pub const fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    /// The kind of the next item, by its first byte alone.
    pub fn peek(&self) -> Result<Kind, Fault> {
        let (first, _) = self.rest.split_first().ok_or(Fault::Truncated)?;
        Ok(match first >> 5 {
            major::UNSIGNED => Kind::Unsigned,
            major::NEGATIVE => Kind::Negative,
            major::BYTES => Kind::Bytes,
            major::TEXT => Kind::Text,
            major::ARRAY => Kind::Array,
            major::MAP => Kind::Map,
            major::TAG => Kind::Tag,
            _ => Kind::Simple,
        })
    }

    /// An unsigned integer.
    pub fn uint(&mut self) -> Result<u64, Fault> {
        self.argument(major::UNSIGNED)
    }

    /// An integer within 64 bits.
    pub fn int(&mut self) -> Result<i64, Fault> {
        let kind = self.peek()?;
        if !matches!(kind, Kind::Unsigned | Kind::Negative) {
            return Err(Fault::WrongType);
        }
        let mut ahead = *self;
        let value = i64::try_from(ahead.head()?).map_err(|_| Fault::WrongType)?;
        *self = ahead;
        // RFC 8949 §3.1: -1 minus the argument, in two's complement all bits the other way.
        Ok(if kind == Kind::Negative { !value } else { value })
    }

    /// A byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        self.string(major::BYTES)
    }

    /// A text in UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Fault> {
        let before = *self;
        let bytes = self.text_bytes()?;
        core::str::from_utf8(bytes).map_err(|_| {
            *self = before;
            Fault::WrongType
        })
    }

    /// The content of a text, which need not be UTF-8: for who only compares it, or passes it on.
    pub fn text_bytes(&mut self) -> Result<&'a [u8], Fault> {
        self.string(major::TEXT)
    }

    /// The number of items of an array, which follow. More than 32 bits count could not all be there.
    pub fn array(&mut self) -> Result<u32, Fault> {
        self.count(major::ARRAY)
    }

    /// The number of entries of a map, which follow, a key and a value each. As [`Reader::array`]'s.
    pub fn map(&mut self) -> Result<u32, Fault> {
        self.count(major::MAP)
    }

    /// A tag, whose item follows.
    pub fn tag(&mut self) -> Result<u64, Fault> {
        self.argument(major::TAG)
    }

    /// False or true.
    pub fn bool(&mut self) -> Result<bool, Fault> {
        match self.simple()? {
            (simple::FALSE, rest) => {
                self.rest = rest;
                Ok(false)
            }
            (simple::TRUE, rest) => {
                self.rest = rest;
                Ok(true)
            }
            _ => Err(Fault::WrongType),
        }
    }

    /// Null.
    pub fn null(&mut self) -> Result<(), Fault> {
        match self.simple()? {
            (simple::NULL, rest) => {
                self.rest = rest;
                Ok(())
            }
            _ => Err(Fault::WrongType),
        }
    }

    /// Passes over one item of any kind, with all that belongs to it, and returns its bytes: a text among them need not be UTF-8
    /// (RFC 8949 §5.3.1 leaves that to whoever reads it). Instead of calling itself it
    /// counts the items it still owes; every turn takes at least one byte, so the loop ends with the input, however many
    /// items a head announces.
    pub fn skip(&mut self) -> Result<&'a [u8], Fault> {
        let mut ahead = *self;
        let mut owed: u32 = 1;
        while owed > 0 {
            owed = (owed - 1).saturating_add(ahead.skip_head()?);
        }
        let skipped = self.until(&ahead);
        *self = ahead;
        Ok(skipped)
    }

    /// What lies between this reader and `later`, which was this one and has read on.
    pub fn until(&self, later: &Reader<'a>) -> &'a [u8] {
        let bytes = self.rest.len().saturating_sub(later.rest.len());
        self.rest.get(..bytes).unwrap_or_default()
    }

    /// Passes over a head and, where they follow at once, its bytes. How many items belong to it.
    fn skip_head(&mut self) -> Result<u32, Fault> {
        let kind = self.peek()?;
        if kind == Kind::Simple {
            (_, self.rest) = self.simple()?;
            return Ok(0);
        }
        let count = u32::try_from(self.head()?).map_err(|_| Fault::Truncated);
        Ok(match kind {
            Kind::Bytes | Kind::Text => {
                self.take(count? as usize)?;
                0
            }
            Kind::Array => count?,
            Kind::Map => count?.saturating_mul(2),
            Kind::Tag => 1,
            _ => 0,
        })
    }

    /// A simple value that we know, and what is behind it.
    fn simple(&self) -> Result<(u8, &'a [u8]), Fault> {
        match self.rest.split_first() {
            Some((&first @ simple::FALSE..=simple::UNDEFINED, rest)) => Ok((first, rest)),
            Some(_) => Err(Fault::WrongType),
            None => Err(Fault::Truncated),
        }
    }

    /// The content of a string.
    fn string(&mut self, major: u8) -> Result<&'a [u8], Fault> {
        let mut ahead = *self;
        let length = ahead.count(major)?;
        let content = ahead.take(length as usize)?;
        *self = ahead;
        Ok(content)
    }

    /// A head whose argument says how much follows.
    #[inline(never)]
    fn count(&mut self, major: u8) -> Result<u32, Fault> {
        let mut ahead = *self;
        let count = u32::try_from(ahead.argument(major)?).map_err(|_| Fault::Truncated)?;
        *self = ahead;
        Ok(count)
    }

    /// A whole head: the argument of an item that must be of this major type.
    #[inline(never)]
    fn argument(&mut self, major: u8) -> Result<u64, Fault> {
        match self.rest.first() {
            Some(first) if first >> 5 != major => Err(Fault::WrongType),
            _ => self.head(),
        }
    }

    /// A whole head: the argument of an item of any major type.
    fn head(&mut self) -> Result<u64, Fault> {
        let (&first, rest) = self.rest.split_first().ok_or(Fault::Truncated)?;
        let mut ahead = Self { rest };
        let argument = match first & 0x1F {
            small @ 0..24 => u64::from(small),
            // RFC 8949 §3: 24 to 27 say that 1, 2, 4 or 8 bytes follow.
            log @ 24..28 => {
                let bytes = ahead.take(1 << (log - 24))?;
                bytes.iter().fold(0, |value, &byte| value << 8 | u64::from(byte))
            }
            // Reserved, or an indefinite length.
            _ => return Err(Fault::WrongType),
        };
        *self = ahead;
        Ok(argument)
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Fault::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_32_bits_do_not_count_is_not_there() {
        // An array of 2^32 items, and one of 2^32 - 1, whose items are asked for next.
        let too_many = [0x9b, 0, 0, 0, 1, 0, 0, 0, 0];
        assert_eq!(Reader::new(&too_many).array(), Err(Fault::Truncated));
        assert_eq!(Reader::new(&too_many).skip(), Err(Fault::Truncated));
        let most = [0x9a, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(Reader::new(&most).array(), Ok(u32::MAX));
        assert_eq!(Reader::new(&most).skip(), Err(Fault::Truncated));
    }

    #[test]
    fn skipping_ends_where_the_item_ends() {
        let nested = [0x82, 0xa1, 0x01, 0xc1, 0x44, 1, 2, 3, 4, 0xf6, 0x07];
        let mut reader = Reader::new(&nested);
        assert_eq!(reader.skip(), Ok(&nested[..10]));
        assert_eq!(reader.uint(), Ok(7));
        assert!(reader.is_at_end());
    }

    #[test]
    fn a_head_that_announces_more_than_there_is_ends_with_the_input() {
        for first in [0x9b, 0xbb, 0x5b, 0x7b] {
            let bytes = [first, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
            assert_eq!(Reader::new(&bytes).skip(), Err(Fault::Truncated));
        }
    }

    #[test]
    fn ten_thousand_levels_are_skipped_without_a_stack() {
        let mut deep = std::vec![0x81; 10_000];
        assert_eq!(Reader::new(&deep).skip(), Err(Fault::Truncated));
        deep.push(0);
        assert_eq!(Reader::new(&deep).skip().map(<[u8]>::len), Ok(10_001));
    }

    #[test]
    fn indefinite_lengths_floats_and_other_simple_values_are_refused() {
        for bytes in [
            &[0x5f, 0x41, 0, 0xff][..],
            &[0x7f, 0xff],
            &[0x9f, 0xff],
            &[0xbf, 0xff],
            &[0x81, 0x9f, 0xff],
            &[0xff],
            &[0xf9, 0, 0],
            &[0xe0],
            &[0xf8, 0x14],
            &[0x1c],
        ] {
            assert_eq!(Reader::new(bytes).skip(), Err(Fault::WrongType), "{bytes:02x?}");
        }
    }

    #[test]
    fn integers_have_64_bits() {
        let int = |bytes: &[u8]| Reader::new(bytes).int();
        let largest = [0x1b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        let beyond = [0x1b, 0x80, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(int(&largest), Ok(i64::MAX));
        assert_eq!(int(&beyond), Err(Fault::WrongType));
        assert_eq!(Reader::new(&beyond).uint(), Ok(1 << 63));
        let negative = |bytes: [u8; 9]| [&[0x3b][..], &bytes[1..]].concat();
        assert_eq!(int(&negative(largest)), Ok(i64::MIN));
        assert_eq!(int(&negative(beyond)), Err(Fault::WrongType));
        assert_eq!(int(&[0x20]), Ok(-1));
    }

    #[test]
    fn a_reader_stays_where_it_is_when_the_item_is_another() {
        let mut reader = Reader::new(&[0x62, 0xff, 0xff, 0x01]);
        assert_eq!(reader.uint(), Err(Fault::WrongType));
        assert_eq!(reader.text(), Err(Fault::WrongType), "no UTF-8");
        assert_eq!(reader.bytes(), Err(Fault::WrongType));
        assert_eq!(reader.null(), Err(Fault::WrongType));
        assert_eq!(reader.peek(), Ok(Kind::Text));
        assert_eq!(reader.text_bytes(), Ok(&[0xff, 0xff][..]));
        assert_eq!(reader.uint(), Ok(1));
    }
}
