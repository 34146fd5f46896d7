//! What SUIT and COSE make of CBOR items: faults in our words, keys that stand in a map once, digests.

use wire_cbor::{Fault, Kind, Writer};

use crate::error::told;
use crate::sha::sha256;
use crate::{Item, Malformed, ManifestError, Unsupported};

/// COSE hash algorithm SHA-256 (RFC 9054), the one the draft makes mandatory.
pub(crate) const SHA_256: i32 = -16;

/// Reads items one after the other, with faults in our words.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    items: wire_cbor::Reader<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self {
            items: wire_cbor::Reader::new(bytes),
        }
    }

    /// Refuses bytes behind the last item read.
    pub(crate) fn end(&self) -> Result<(), Malformed> {
        match self.items.is_at_end() {
            true => Ok(()),
            false => Err(Malformed::TrailingBytes),
        }
    }

    /// All that is left.
    pub(crate) fn rest(mut self) -> &'a [u8] {
        let start = self.items;
        while self.items.skip().is_ok() {}
        start.until(&self.items)
    }

    /// The kind of the next item.
    pub(crate) fn peek(&self) -> Result<Kind, Malformed> {
        Ok(self.items.peek()?)
    }

    /// An unsigned integer; `None` past 32 bits, which is where every number of the profile ends.
    // Not inlined: narrowed in one place.
    #[inline(never)]
    pub(crate) fn uint(&mut self) -> Result<Option<u32>, Malformed> {
        Ok(u32::try_from(self.items.uint()?).ok())
    }

    /// An integer; one past 32 bits as the nearest within, which nothing of the draft's is. One past 63 bits is refused.
    // Not inlined: narrowed in one place.
    #[inline(never)]
    pub(crate) fn int(&mut self) -> Result<i32, Malformed> {
        let number = self.items.int()?;
        Ok(number.clamp(i32::MIN.into(), i32::MAX.into()) as i32)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.items.bytes()?)
    }

    /// A byte string, and the same with its CBOR header: what SUIT digests cover.
    pub(crate) fn bytes_with_header(&mut self) -> Result<(&'a [u8], &'a [u8]), Malformed> {
        let start = self.items;
        let content = self.bytes()?;
        Ok((content, start.until(&self.items)))
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, Malformed> {
        Ok(self.items.text()?)
    }

    pub(crate) fn null(&mut self) -> Result<(), Malformed> {
        Ok(self.items.null()?)
    }

    pub(crate) fn tag(&mut self) -> Result<u64, Malformed> {
        Ok(self.items.tag()?)
    }

    /// The number of items of an array.
    pub(crate) fn array(&mut self) -> Result<u32, Malformed> {
        Ok(self.items.array()?)
    }

    /// The number of entries of a map.
    pub(crate) fn map(&mut self) -> Result<u32, Malformed> {
        Ok(self.items.map()?)
    }

    /// A map key: an integer or a text.
    pub(crate) fn key(&mut self) -> Result<Key<'a>, Malformed> {
        match self.peek()? {
            Kind::Text => Ok(Key::Text(self.items.text_bytes()?)),
            _ => Ok(Key::Int(self.int()?)),
        }
    }

    /// A SUIT_Digest that must be SHA-256: `[-16, bstr .size 32]`.
    pub(crate) fn digest(&mut self) -> Result<&'a [u8; 32], ManifestError> {
        if self.array()? != 2 {
            return Err(Malformed::OutOfRange(Item::Digest).into());
        }
        let algorithm = self.int()?;
        let bytes = self.bytes()?;
        if algorithm != SHA_256 {
            return Err(Unsupported::DigestAlgorithm(told(algorithm)).into());
        }
        bytes
            .try_into()
            .map_err(|_| Malformed::OutOfRange(Item::Digest).into())
    }

    /// Passes over one item of any kind and returns its bytes.
    pub(crate) fn skip(&mut self) -> Result<&'a [u8], Malformed> {
        Ok(self.items.skip()?)
    }
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated,
            Fault::WrongType => Self::WrongType,
        }
    }
}

/// The key of a map entry.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key<'a> {
    Int(i32),
    /// Compared, and not read: it need not be UTF-8.
    Text(&'a [u8]),
}

/// The keys of a map in which every key has to be one we know, and they are below 32: others are not looked at.
#[derive(Default)]
pub(crate) struct Seen(u32);

impl Seen {
    /// Takes note of a key, which must be new.
    pub(crate) fn insert(&mut self, key: i32) -> Result<(), Malformed> {
        let bit = match key {
            0..32 => 1 << key,
            _ => 0,
        };
        match self.0 & bit {
            0 => self.0 |= bit,
            _ => return Err(Malformed::DuplicateKey),
        }
        Ok(())
    }
}

/// The keys of one map (or of COSE's two headers), of which there may be `N`.
pub(crate) struct Keys<'a, const N: usize> {
    seen: [Key<'a>; N],
    len: usize,
    what: Item,
}

impl<'a, const N: usize> Keys<'a, N> {
    /// `what` names the entries in the error that there are too many.
    pub(crate) fn new(what: Item) -> Self {
        Self {
            seen: [Key::Int(0); N],
            len: 0,
            what,
        }
    }

    /// Takes note of a key, which must be new.
    pub(crate) fn insert(&mut self, key: Key<'a>) -> Result<(), ManifestError> {
        if self.seen.iter().take(self.len).any(|seen| *seen == key) {
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

/// SHA-256 of `content` as a byte string, that is with its CBOR header in the shortest form.
pub(crate) fn sha256_of_bstr(content: &[u8]) -> [u8; 32] {
    let mut header = [0; 9];
    let mut writer = Writer::new(&mut header);
    writer.bytes_head(content.len() as u64);
    let header = writer.finish().expect("a CBOR header has at most 9 bytes");
    sha256(&[header, content])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_stand_in_a_map_once() {
        let mut keys = Keys::<2>::new(Item::TextEntries);
        assert_eq!(keys.insert(Key::Int(0)), Ok(()));
        assert_eq!(keys.insert(Key::Int(0)), Err(Malformed::DuplicateKey.into()));
        assert_eq!(keys.insert(Key::Text(b"0")), Ok(()));
        assert_eq!(
            keys.insert(Key::Int(1)),
            Err(Unsupported::TooMany(Item::TextEntries).into())
        );
    }
}
