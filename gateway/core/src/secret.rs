//! A secret that cannot be printed by mistake and is wiped when nobody holds it any more.

use core::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What a device shares with its gateway: the OSCORE master secret, 16 bytes.
///
/// Copies share one place in memory, which is overwritten with zeros when the last one goes. It has no `Display`, and its `Debug`
/// says nothing of it. What it cannot help: copies that the caller made of the bytes before or after.
#[derive(Clone)]
pub struct Secret(Arc<Zeroizing<[u8; SECRET_BYTES]>>);

/// RFC 8613 §3.2.1 takes any length; AES-CCM-16-64-128 has a key of 16 bytes.
pub const SECRET_BYTES: usize = 16;

impl Secret {
    /// A secret of these bytes. Whoever owns them wipes them.
    pub fn new(bytes: &[u8; SECRET_BYTES]) -> Secret {
        Secret(Arc::new(Zeroizing::new(*bytes)))
    }

    /// The bytes: to derive keys, to seal them or to write them for a device, and for nothing else.
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }
}

/// In a time that does not tell where they differ.
impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        let pairs = self.0.iter().zip(other.0.iter());
        pairs.fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
    }
}

impl Eq for Secret {}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_compared_and_not_shown() {
        let secret = Secret::new(&[0xA7; 16]);
        assert_eq!(secret, secret.clone());
        let mut other = [0xA7; 16];
        other[15] ^= 1;
        assert_ne!(secret, Secret::new(&other));
        assert_eq!(format!("{secret:?}"), "Secret(…)");
    }
}
