//! A message as it is sent.

use crate::error::Fault;
use crate::guard::MESSAGE_1_BYTES_MAX;

/// message_1 is the longest that may be.
const SENT_BYTES_MAX: usize = MESSAGE_1_BYTES_MAX;

/// The bytes of a message that was made here.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sent {
    bytes: [u8; SENT_BYTES_MAX],
    length: usize,
}

impl Sent {
    /// What `write` writes, which says how long it is.
    pub(crate) fn of(write: impl FnOnce(&mut [u8]) -> Option<usize>) -> Result<Sent, Fault> {
        let mut bytes = [0; SENT_BYTES_MAX];
        let length = write(&mut bytes).ok_or(Fault::Malformed)?;
        Ok(Sent { bytes, length })
    }

    #[cfg(feature = "responder")]
    pub(crate) fn copy(message: &[u8]) -> Result<Sent, Fault> {
        Sent::of(|bytes| {
            bytes.get_mut(..message.len())?.copy_from_slice(message);
            Some(message.len())
        })
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}
