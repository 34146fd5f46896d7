//! Strict CBOR reading: definite lengths, no duplicate keys, nothing behind the end, no recursion.
//!
//! Depth is bounded by construction: each level is read by its own function, and [`Reader::skip`] counts the items it
//! still owes instead of calling itself.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};
use sha2::{Digest, Sha256};

use crate::{Malformed, ManifestError, Unsupported};

/// COSE hash algorithm SHA-256 (RFC 9054), the one the draft makes mandatory.
pub(crate) const SHA_256: i64 = -16;

/// Reads items one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self {
            decoder: Decoder::new(bytes),
        }
    }

    pub(crate) fn is_at_end(&self) -> bool {
        self.decoder.position() == self.decoder.input().len()
    }

    /// Refuses bytes behind the last item read.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        if self.is_at_end() {
            Ok(())
        } else {
            Err(Malformed::TrailingBytes)
        }
    }

    /// The type of the next item.
    pub(crate) fn peek(&self) -> Result<Type, Malformed> {
        self.decoder.datatype().map_err(blame)
    }

    pub(crate) fn uint(&mut self) -> Result<u64, Malformed> {
        self.decoder.u64().map_err(blame)
    }

    /// An integer; one past 63 bits is of no use to anyone here.
    pub(crate) fn int(&mut self) -> Result<i64, Malformed> {
        self.decoder.i64().map_err(blame)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        self.decoder.bytes().map_err(blame)
    }

    /// A byte string, and the same with its CBOR header: what SUIT digests cover.
    pub(crate) fn bytes_with_header(&mut self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let start = self.decoder.position();
        let content = self.bytes()?;
        Ok((content, self.since(start)))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        self.decoder.str().map_err(blame)
    }

    pub(crate) fn null(&mut self) -> Result<(), Malformed> {
        self.decoder.null().map_err(blame)
    }

    pub(crate) fn tag(&mut self) -> Result<u64, Malformed> {
        self.decoder.tag().map(|tag| tag.as_u64()).map_err(blame)
    }

    /// The number of items of an array.
    pub(crate) fn array(&mut self) -> Result<u64, Malformed> {
        self.decoder.array().map_err(blame)?.ok_or(Malformed::WrongType)
    }

    /// The number of entries of a map.
    pub(crate) fn map(&mut self) -> Result<u64, Malformed> {
        self.decoder.map().map_err(blame)?.ok_or(Malformed::WrongType)
    }

    /// A map key: an integer or a text.
    pub(crate) fn key(&mut self) -> Result<Key<'a>, Malformed> {
        match self.peek()? {
            Type::String => Ok(Key::Text(self.text()?)),
            _ => Ok(Key::Int(self.int()?)),
        }
    }

    /// A SUIT_Digest that must be SHA-256: `[-16, bstr .size 32]`.
    pub(crate) fn digest(&mut self) -> Result<[u8; 32], ManifestError> {
        if self.array()? != 2 {
            return Err(Malformed::OutOfRange("digest").into());
        }
        let algorithm = self.int()?;
        let bytes = self.bytes()?;
        if algorithm != SHA_256 {
            return Err(Unsupported::DigestAlgorithm(algorithm).into());
        }
        bytes
            .try_into()
            .map_err(|_| Malformed::OutOfRange("digest").into())
    }

    /// Passes over one item of any type and returns its bytes. Every turn takes at least one byte, so the loop ends
    /// with the input, however many items a header announces.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        let start = self.decoder.position();
        let mut owed: u64 = 1;
        while owed > 0 {
            owed = (owed - 1).saturating_add(self.skip_head()?);
        }
        Ok(self.since(start))
    }

    /// Passes over a head and, where they follow at once, its bytes. Returns how many items belong to it.
    fn skip_head(&mut self) -> Result<u64, Malformed> {
        match self.peek()? {
            Type::Bytes => self.bytes().map(|_| 0),
            Type::String => self.text().map(|_| 0),
            Type::Array => self.array(),
            Type::Map => self.map().map(|entries| entries.saturating_mul(2)),
            Type::Tag => self.tag().map(|_| 1),
            Type::Bool => self.decoder.bool().map(|_| 0).map_err(blame),
            Type::Null => self.null().map(|()| 0),
            Type::Undefined => self.decoder.undefined().map(|()| 0).map_err(blame),
            Type::U8 | Type::U16 | Type::U32 | Type::U64 => self.uint().map(|_| 0),
            Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => {
                self.decoder.int().map(|_| 0).map_err(blame)
            }
            // Indefinite lengths, breaks, floats, simple values: SUIT and COSE headers hold none.
            _ => Err(Malformed::WrongType),
        }
    }

    fn since(&self, start: usize) -> &'a [u8] {
        &self.decoder.input()[start..self.decoder.position()]
    }
}

/// The key of a map entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Int(i64),
    Text(&'a str),
}

/// The keys of one map (or of COSE's two headers), of which there may be `N`.
pub(crate) struct Keys<'a, const N: usize> {
    seen: [Key<'a>; N],
    len: usize,
    what: &'static str,
}

impl<'a, const N: usize> Keys<'a, N> {
    /// `what` names the entries in the error that there are too many.
    pub(crate) fn new(what: &'static str) -> Self {
        Self {
            seen: [Key::Int(0); N],
            len: 0,
            what,
        }
    }

    /// Takes note of a key, which must be new.
    pub(crate) fn insert(&mut self, key: Key<'a>) -> Result<(), ManifestError> {
        if self.seen[..self.len].contains(&key) {
            return Err(Malformed::DuplicateKey.into());
        }
        *self
            .seen
            .get_mut(self.len)
            .ok_or(Unsupported::TooMany(self.what))? = key;
        self.len += 1;
        Ok(())
    }
}

/// SHA-256 of `bytes`.
pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// SHA-256 of `content` as a byte string, that is with its CBOR header in the shortest form.
pub(crate) fn sha256_of_bstr(content: &[u8]) -> [u8; 32] {
    let mut header = [0; 9];
    let mut encoder = minicbor::Encoder::new(minicbor::encode::write::Cursor::new(&mut header[..]));
    encoder
        .bytes_len(content.len() as u64)
        .expect("a CBOR header has at most 9 bytes");
    let len = encoder.writer().position();
    let mut hash = Sha256::new();
    hash.update(&header[..len]);
    hash.update(content);
    hash.finalize().into()
}

fn blame(error: Error) -> Malformed {
    if error.is_end_of_input() {
        Malformed::Truncated
    } else {
        Malformed::WrongType
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn skipping_ends_where_the_item_ends() {
        let nested = [0x82, 0xa1, 0x01, 0xc1, 0x44, 1, 2, 3, 4, 0xf6, 0x07];
        let mut reader = Reader::new(&nested);
        assert_eq!(reader.skip(), Ok(&nested[..10]));
        assert_eq!(reader.uint(), Ok(7));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn a_header_that_announces_more_than_there_is_ends_with_the_input() {
        assert_eq!(
            Reader::new(&[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]).skip(),
            Err(Malformed::Truncated)
        );
        assert_eq!(
            Reader::new(&[0xbb, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0]).skip(),
            Err(Malformed::Truncated)
        );
    }

    #[test]
    fn ten_thousand_levels_are_skipped_without_a_stack() {
        let mut deep = std::vec![0x81; 10_000];
        assert_eq!(Reader::new(&deep).skip(), Err(Malformed::Truncated));
        deep.push(0);
        assert_eq!(Reader::new(&deep).skip().map(<[u8]>::len), Ok(10_001));
    }

    #[test]
    fn indefinite_lengths_are_refused() {
        for bytes in [
            &[0x5f, 0x41, 0, 0xff][..],
            &[0x7f, 0xff],
            &[0x9f, 0xff],
            &[0xbf, 0xff],
            &[0x81, 0x9f, 0xff],
        ] {
            assert_eq!(
                Reader::new(bytes).skip(),
                Err(Malformed::WrongType),
                "{bytes:02x?}"
            );
        }
    }

    #[test]
    fn a_key_may_stand_in_a_map_once() {
        let mut keys = Keys::<2>::new("entries");
        assert_eq!(keys.insert(Key::Int(0)), Ok(()));
        assert_eq!(keys.insert(Key::Int(0)), Err(Malformed::DuplicateKey.into()));
        assert_eq!(keys.insert(Key::Text("0")), Ok(()));
        assert_eq!(
            keys.insert(Key::Int(1)),
            Err(Unsupported::TooMany("entries").into())
        );
    }
}
