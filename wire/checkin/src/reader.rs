//! Items of a body: bounded maps, no duplicate keys, nothing behind the end, faults in our words.

use core::ops::RangeInclusive;

use wire_cbor::Fault;

use crate::DecodeError;

/// Most entries of one map. Fifteen are defined for a check-in; the rest is room for later versions, and bounds the
/// work one datagram can cause.
pub const ENTRIES_MAX: usize = 32;

/// Reads items one after the other from a body.
pub(crate) struct Reader<'a> {
    items: wire_cbor::Reader<'a>,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(body: &'a [u8]) -> Self {
        Self {
            items: wire_cbor::Reader::new(body),
        }
    }

    /// Refuses bytes behind the last item read.
    pub(crate) fn end(&self) -> Result<(), DecodeError> {
        match self.items.is_at_end() {
            true => Ok(()),
            false => Err(DecodeError::TrailingBytes),
        }
    }

    pub(crate) fn uint(&mut self) -> Result<u64, DecodeError> {
        Ok(self.items.uint()?)
    }

    /// An unsigned integer within the range of `T`.
    pub(crate) fn uint_as<T: TryFrom<u32>>(&mut self, key: i32) -> Result<T, DecodeError> {
        T::try_from(self.uint32(key)?).map_err(|_| DecodeError::OutOfRange { key })
    }

    // Not inlined: a device reads six of them.
    #[inline(never)]
    fn uint32(&mut self, key: i32) -> Result<u32, DecodeError> {
        u32::try_from(self.uint()?).map_err(|_| DecodeError::OutOfRange { key })
    }

    pub(crate) fn bool(&mut self) -> Result<bool, DecodeError> {
        Ok(self.items.bool()?)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        Ok(self.items.bytes()?)
    }

    /// A byte string of exactly `N` bytes.
    pub(crate) fn byte_array<const N: usize>(&mut self, key: i32) -> Result<[u8; N], DecodeError> {
        self.bytes()?
            .try_into()
            .map_err(|_| DecodeError::OutOfRange { key })
    }

    /// The content of a text, which need not be UTF-8.
    pub(crate) fn text_bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        Ok(self.items.text_bytes()?)
    }

    /// The number of items of an array.
    pub(crate) fn array(&mut self) -> Result<u32, DecodeError> {
        Ok(self.items.array()?)
    }

    /// Calls `entry` with each integer key of a map. It reads the key's value, or says that it does not know the key,
    /// whose value is then skipped. Which keys there were.
    #[inline(never)]
    pub(crate) fn map(
        &mut self,
        entry: &mut dyn FnMut(&mut Self, i32) -> Result<Known, DecodeError>,
    ) -> Result<Keys, DecodeError> {
        let mut keys = Keys(0);
        let entries = self.items.map()?;
        if entries as usize > ENTRIES_MAX {
            return Err(DecodeError::TooManyEntries);
        }
        let mut seen = [0; ENTRIES_MAX];
        for at in 0..entries as usize {
            let key: i64 = self.items.int()?;
            let told = key.clamp(i32::MIN.into(), i32::MAX.into()) as i32;
            if seen.iter().take(at).any(|&earlier| earlier == key) {
                return Err(DecodeError::DuplicateKey { key: told });
            }
            if let Some(place) = seen.get_mut(at) {
                *place = key;
            }
            keys.0 |= u32::try_from(told).map_or(0, |key| 1_u32.checked_shl(key).unwrap_or(0));
            if entry(self, told)? == Known::No {
                self.items.skip()?;
            }
        }
        Ok(keys)
    }
}

/// The keys of a map, those from 0 to 31: a bit each.
pub(crate) struct Keys(u32);

impl Keys {
    /// Refuses a map without one of these; they are below 32.
    pub(crate) fn require(&self, mut wanted: RangeInclusive<i32>) -> Result<(), DecodeError> {
        match wanted.find(|key| self.0 >> key & 1 == 0) {
            Some(key) => Err(DecodeError::MissingKey { key }),
            None => Ok(()),
        }
    }
}

/// Whether the reader of an entry knew its key.
#[derive(PartialEq, Eq)]
pub(crate) enum Known {
    Yes,
    No,
}

impl From<Fault> for DecodeError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Truncated => Self::Truncated,
            Fault::WrongType => Self::WrongType,
        }
    }
}
