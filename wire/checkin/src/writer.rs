//! Deterministic CBOR (RFC 8949 §4.2.1) into a caller's buffer.

use wire_cbor::Writer;

use crate::EncodeError;

/// Writes with `write` and returns the bytes written.
pub(crate) fn encode(buffer: &mut [u8], write: impl FnOnce(&mut Writer<'_>)) -> Result<&[u8], EncodeError> {
    let mut writer = Writer::new(buffer);
    write(&mut writer);
    writer.finish().ok_or(EncodeError::NoSpace)
}
