//! What a handshake leaves: the input of an OSCORE context (RFC 9528 Appendix A.1).

use core::fmt;

use wire_oscore::{Context, Id};
use zeroize::Zeroizing;

use crate::error::Fault;

/// AES-CCM-16-64-128 has a key of 16 bytes.
pub const SECRET_BYTES: usize = 16;
/// RFC 9528 Appendix A.1: the default.
pub const SALT_BYTES: usize = 8;

/// Exporter labels of Appendix A.1.
pub(crate) const SECRET_LABEL: u8 = 0;
pub(crate) const SALT_LABEL: u8 = 1;

/// The input of an OSCORE context, the same on both sides.
#[derive(Clone, PartialEq, Eq)]
pub struct Established {
    /// The master secret.
    pub master_secret: Zeroizing<[u8; SECRET_BYTES]>,
    /// The master salt.
    pub master_salt: [u8; SALT_BYTES],
    /// The initiator's Sender ID: C_R, which the responder chose.
    pub initiator: Id,
    /// The responder's Sender ID: C_I, which the initiator chose. Unlike the other.
    pub responder: Id,
}

impl Established {
    pub(crate) fn new(
        master_secret: &[u8; SECRET_BYTES],
        master_salt: &[u8; SALT_BYTES],
        initiator: Id,
        responder: Id,
    ) -> Result<Established, Fault> {
        if initiator == responder {
            return Err(Fault::SameIds);
        }
        Ok(Established {
            master_secret: Zeroizing::new(*master_secret),
            master_salt: *master_salt,
            initiator,
            responder,
        })
    }

    /// The initiator's context.
    ///
    /// # Errors
    /// [`Fault::SameIds`], which no handshake leads to.
    pub fn initiator_context(&self) -> Result<Context, Fault> {
        let (secret, salt) = (&*self.master_secret, &self.master_salt);
        Context::derive(secret, salt, None, self.initiator, self.responder).map_err(|_| Fault::SameIds)
    }

    /// The responder's context.
    ///
    /// # Errors
    /// [`Fault::SameIds`], which no handshake leads to.
    pub fn responder_context(&self) -> Result<Context, Fault> {
        let (secret, salt) = (&*self.master_secret, &self.master_salt);
        Context::derive(secret, salt, None, self.responder, self.initiator).map_err(|_| Fault::SameIds)
    }
}

/// Who, and no secret.
impl fmt::Debug for Established {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Established({:?}, {:?})", self.initiator, self.responder)
    }
}
