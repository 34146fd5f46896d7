//! Strict CBOR: definite lengths, bounded maps, no duplicate keys, nothing behind the end. No recursion.

use minicbor::data::Type;
use minicbor::decode::{Decoder, Error};

use crate::DecodeError;

/// Most entries of one map. Fourteen are defined for a check-in; the rest is room for later versions, and bounds the
/// work one datagram can cause.
pub const ENTRIES_MAX: usize = 32;

/// Reads items one after the other from a body.
pub(crate) struct Reader<'a> {
    decoder: Decoder<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self {
            decoder: Decoder::new(body),
        }
    }

    /// Refuses bytes behind the last item read.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.decoder.position() == self.decoder.input().len() {
            true => Ok(()),
            false => Err(DecodeError::TrailingBytes),
        }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        self.decoder.u64().map_err(blame)
    }

    /// An unsigned integer within the range of `T`.
    pub(crate) fn uint_as<T: TryFrom<u64>>(&mut self, key: i64) -> Result<T, DecodeError> {
        T::try_from(self.uint()?).map_err(|_| DecodeError::OutOfRange { key })
    }

    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        self.decoder.bool().map_err(blame)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        self.decoder.bytes().map_err(blame)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn byte_array<const N: usize>(&mut self, key: i64) -> Result<[u8; N], DecodeError> {
        self.bytes()?
            .try_into()
            .map_err(|_| DecodeError::OutOfRange { key })
    }

    pub(crate) fn text(&mut self) -> Result<&'a str, DecodeError> {
        self.decoder.str().map_err(blame)
    }

    /// The number of items of an array.
    pub(crate) fn array(&mut self) -> Result<u64, DecodeError> {
        self.decoder.array().map_err(blame)?.ok_or(DecodeError::WrongType)
    }

    /// Calls `entry` with each integer key of a map. It reads the key's value, or says that it does not know the key,
    /// whose value is then skipped.
    pub(crate) fn map(
        &mut self,
        mut entry: impl FnMut(&mut Self, i64) -> Result<Known, DecodeError>,
    ) -> Result<(), DecodeError> {
        let entries = self.decoder.map().map_err(blame)?.ok_or(DecodeError::WrongType)?;
        let mut seen = [0; ENTRIES_MAX];
        let entries = usize::try_from(entries).map_err(|_| DecodeError::TooManyEntries)?;
        if entries > ENTRIES_MAX {
            return Err(DecodeError::TooManyEntries);
        }
        for at in 0..entries {
            let key = self.decoder.i64().map_err(blame)?;
            if seen[..at].contains(&key) {
                return Err(DecodeError::DuplicateKey { key });
            }
            seen[at] = key;
            if entry(self, key)? == Known::No {
                self.skip()?;
            }
        }
        Ok(())
    }

    /// Passes over one item of any type. The count of items still owed replaces a stack: every turn takes at least
    /// one byte, so the loop ends with the input.
    fn skip(&mut self) -> Result<(), DecodeError> {
        let mut owed: u64 = 1;
        while owed > 0 {
            owed -= 1;
            let decoder = &mut self.decoder;
            match decoder.datatype().map_err(blame)? {
                Type::Bytes => decoder.bytes().map(drop),
                Type::String => decoder.str().map(drop),
                Type::Array => decoder
                    .array()
                    .map(|items| owed = owed.saturating_add(items.unwrap_or(0))),
                Type::Map => decoder
                    .map()
                    .map(|entries| owed = owed.saturating_add(entries.unwrap_or(0).saturating_mul(2))),
                Type::Tag => decoder.tag().map(|_| owed = owed.saturating_add(1)),
                Type::Bool => decoder.bool().map(drop),
                Type::Null => decoder.null(),
                Type::Undefined => decoder.undefined(),
                Type::U8 | Type::U16 | Type::U32 | Type::U64 => decoder.u64().map(drop),
                Type::I8 | Type::I16 | Type::I32 | Type::I64 | Type::Int => decoder.int().map(drop),
                // Indefinite lengths, breaks, floats and simple values: no body of ours will ever hold one.
                _ => return Err(DecodeError::WrongType),
            }
            .map_err(blame)?;
        }
        Ok(())
    }
}

/// Whether the reader of an entry knew its key.
#[derive(PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
}

fn blame(error: Error) -> DecodeError {
    match error.is_end_of_input() {
        true => DecodeError::Truncated,
        false => DecodeError::WrongType,
    }
}
