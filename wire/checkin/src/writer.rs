//! Deterministic CBOR (RFC 8949 §4.2.1) into a caller's buffer.

use minicbor::encode::write::{Cursor, EndOfSlice};
use minicbor::encode::{Encoder, Error};

use crate::EncodeError;

/// Writes into a borrowed buffer.
pub(crate) type Writer<'b> = Encoder<Cursor<&'b mut [u8]>>;

/// Writes with `write` and returns the bytes written.
pub(crate) fn encode(
    buffer: &mut [u8],
    write: impl FnOnce(&mut Writer<'_>) -> Result<(), Error<EndOfSlice>>,
) -> Result<&[u8], EncodeError> {
    let mut writer = Encoder::new(Cursor::new(&mut *buffer));
    write(&mut writer).map_err(|_| EncodeError::NoSpace)?;
    let len = writer.writer().position();
    Ok(&buffer[..len])
}
