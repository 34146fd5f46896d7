//! What names a security context: Sender ID, Recipient ID and ID Context (RFC 8613 §3.1).

use core::fmt;

/// A Sender ID or Recipient ID, the `kid` of a message: 0 to 7 bytes (RFC 8613 §3.3: the nonce's 13 bytes less 6).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id {
    /// Bytes past `length` are zero, so that the derived equality holds.
    bytes: [u8; Id::BYTES_MAX],
    length: u8,
}

impl Id {
    /// RFC 8613 §3.3, for AES-CCM-16-64-128.
    pub const BYTES_MAX: usize = 7;
    /// The id without bytes, which is one like any other.
    pub const EMPTY: Id = Id {
        bytes: [0; Id::BYTES_MAX],
        length: 0,
    };

    /// `None` when longer than 7 bytes.
    pub fn new(bytes: &[u8]) -> Option<Id> {
        let mut id = Id {
            length: bytes.len() as u8,
            ..Id::EMPTY
        };
        id.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(id)
    }

    /// The bytes as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "Id", self.as_bytes())
    }
}

/// An ID Context, the `kid context` of a message: what tells contexts apart whose ids are the same (RFC 8613 §3.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdContext {
    bytes: [u8; IdContext::BYTES_MAX],
    length: u8,
}

impl IdContext {
    /// RFC 8613 sets no bound. 16 bytes hold an EUI-64, a UUID, or two nonces of eight bytes each (Appendix B.2).
    pub const BYTES_MAX: usize = 16;

    /// `None` when longer than 16 bytes.
    pub fn new(bytes: &[u8]) -> Option<IdContext> {
        let mut context = IdContext {
            bytes: [0; IdContext::BYTES_MAX],
            length: bytes.len() as u8,
        };
        context.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(context)
    }

    /// Of two pieces, which fit by their types.
    pub(crate) const fn of<const N: usize, const M: usize>(first: [u8; N], second: [u8; M]) -> IdContext {
        const { assert!(N + M <= IdContext::BYTES_MAX) };
        let mut bytes = [0; IdContext::BYTES_MAX];
        let (front, rest) = bytes.split_at_mut(N);
        front.copy_from_slice(&first);
        rest.split_at_mut(M).0.copy_from_slice(&second);
        IdContext {
            bytes,
            length: (N + M) as u8,
        }
    }

    /// The bytes as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&[])
    }
}

impl fmt::Debug for IdContext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(f, "IdContext", self.as_bytes())
    }
}

fn write_hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    for byte in bytes {
        write!(f, "{byte:02x}")?;
    }
    write!(f, ")")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_at_most_seven_bytes_and_its_length_counts() {
        assert_eq!(Id::new(&[0; 8]), None);
        assert_eq!(Id::new(&[1; 7]).unwrap().as_bytes(), [1; 7]);
        assert_ne!(Id::new(&[0]), Id::new(&[0, 0]));
        assert_eq!(Id::new(&[]), Some(Id::EMPTY));
    }

    #[test]
    fn an_id_context_has_at_most_sixteen_bytes() {
        assert_eq!(IdContext::new(&[0; 17]), None);
        assert_ne!(IdContext::new(&[0]), IdContext::new(&[]));
    }
}
