//! Deterministic CBOR (RFC 8949 §4.2.1) into a caller's buffer.

use wire_cbor::Writer;

use crate::EncodeError;

/// The entries of a map, by ascending key, counted as they are written. What a device writes often is there once.
pub(crate) struct Entries<'w, 'b> {
    writer: &'w mut Writer<'b>,
    count: u8,
}

impl<'b> Entries<'_, 'b> {
    /// Writes a map of what `write` puts into it.
    pub(crate) fn map(writer: &mut Writer<'b>, write: impl FnOnce(&mut Entries<'_, 'b>)) {
        writer.counted_map(|writer| {
            let mut entries = Entries { writer, count: 0 };
            write(&mut entries);
            entries.count
        });
    }

    /// Begins an entry, whose value is to follow.
    #[inline(never)]
    pub(crate) fn key(&mut self, key: u8) -> &mut Writer<'b> {
        self.count += 1;
        self.writer.uint(key.into())
    }

    #[inline(never)]
    pub(crate) fn number(&mut self, key: u8, value: u32) {
        self.key(key).uint(value.into());
    }

    /// A number that may not be there.
    pub(crate) fn number_if_any(&mut self, key: u8, value: Option<u32>) {
        if let Some(value) = value {
            self.number(key, value);
        }
    }

    #[inline(never)]
    pub(crate) fn bytes(&mut self, key: u8, bytes: &[u8]) {
        self.key(key).bytes(bytes);
    }
}

/// Writes a map with `write` and returns the bytes written.
pub(crate) fn encode(
    buffer: &mut [u8],
    write: impl FnOnce(&mut Entries<'_, '_>),
) -> Result<&[u8], EncodeError> {
    let mut writer = Writer::new(buffer);
    Entries::map(&mut writer, write);
    writer.finish().ok_or(EncodeError::NoSpace)
}
