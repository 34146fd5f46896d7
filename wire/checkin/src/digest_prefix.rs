//! The leading bytes of an image digest.

use core::fmt;

/// Fewest bytes of a prefix: 64 bits, so that 2^16 images in one store collide by chance once in 2^33 stores.
const BYTES_MIN: usize = 8;
/// A whole SHA-256 digest.
const BYTES_MAX: usize = 32;

/// The first 8 to 32 bytes of the SHA-256 of an image: enough to find the image among those a gateway holds.
///
/// It selects the base of a delta and proves nothing; the patch names its base and the manifest its result.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct DigestPrefix {
    bytes: [u8; BYTES_MAX],
    len: u8,
}

impl DigestPrefix {
    /// The prefix made of these bytes, or `None` when they are fewer than 8 or more than 32.
    pub fn new(prefix: &[u8]) -> Option<Self> {
        if prefix.len() < BYTES_MIN {
            return None;
        }
        let mut bytes = [0; BYTES_MAX];
        bytes.get_mut(..prefix.len())?.copy_from_slice(prefix);
        Some(Self {
            bytes,
            len: prefix.len() as u8,
        })
    }

    /// The 8-byte prefix of `digest`: what a device sends.
    pub fn of(digest: &[u8; 32]) -> Self {
        let mut bytes = [0; BYTES_MAX];
        bytes[..BYTES_MIN].copy_from_slice(&digest[..BYTES_MIN]);
        Self {
            bytes,
            len: BYTES_MIN as u8,
        }
    }

    /// The prefix's bytes, as on the wire.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether `digest` begins with this prefix.
    pub fn matches(&self, digest: &[u8; 32]) -> bool {
        digest.starts_with(self.as_bytes())
    }
}

impl fmt::Display for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for DigestPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DigestPrefix({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_matches_only_digests_that_begin_with_it() {
        let digest: [u8; 32] = core::array::from_fn(|at| at as u8);
        let mut other = digest;
        other[7] ^= 1;
        assert!(DigestPrefix::of(&digest).matches(&digest));
        assert!(!DigestPrefix::of(&digest).matches(&other));
        other = digest;
        other[8] ^= 1;
        assert!(DigestPrefix::of(&digest).matches(&other));
        assert!(!DigestPrefix::new(&digest).unwrap().matches(&other));
    }

    #[test]
    fn a_prefix_has_eight_to_thirty_two_bytes() {
        assert_eq!(DigestPrefix::new(&[0; 7]), None);
        assert_eq!(DigestPrefix::new(&[0; 33]), None);
        assert_eq!(DigestPrefix::new(&[0; 8]).unwrap().as_bytes().len(), 8);
    }
}
