//! Keys of P-256: a device's, the gateway's, and those of one handshake.

use core::fmt;

use wire_oscore::primitives::Sha256;
use zeroize::Zeroizing;

#[cfg(not(feature = "responder"))]
use crate::curve::Point;
use crate::error::Fault;
use crate::schedule::sha2;

/// Bytes of a private key, and of a public key's x-coordinate.
pub const KEY_BYTES: usize = 32;

/// A private key: a scalar from 1 to the order of P-256, big-endian. Wiped when it goes.
#[derive(Clone)]
pub struct PrivateKey {
    scalar: Zeroizing<[u8; KEY_BYTES]>,
    public: PublicKey,
}

impl PrivateKey {
    /// # Errors
    /// [`Fault::Point`] for 0 and for what is not below the order.
    pub fn new(scalar: &[u8; KEY_BYTES]) -> Result<PrivateKey, Fault> {
        Ok(PrivateKey {
            scalar: Zeroizing::new(*scalar),
            public: PublicKey {
                x: public(scalar).ok_or(Fault::Point)?,
            },
        })
    }

    /// The key that follows from random bytes, which are used for nothing else. Hashed, so that what is drawn need not be below the
    /// order: that fails once in 2^32, and is tried eight times.
    ///
    /// # Errors
    /// [`Fault::Point`], once in 2^256.
    pub fn of_seed(seed: &[u8; KEY_BYTES]) -> Result<PrivateKey, Fault> {
        PrivateKey::of_seed_with(&mut sha2, seed)
    }

    /// The same with another's SHA-256.
    ///
    /// # Errors
    /// As [`PrivateKey::of_seed`].
    pub fn of_seed_with(sha256: Sha256<'_>, seed: &[u8; KEY_BYTES]) -> Result<PrivateKey, Fault> {
        let mut found = Err(Fault::Point);
        for attempt in 0..8_u8 {
            let scalar = Zeroizing::new(sha256(&[b"deltagate.p256/1", &[attempt], seed]));
            found = PrivateKey::new(&scalar);
            if found.is_ok() {
                break;
            }
        }
        found
    }

    /// What everybody may know of it.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The bytes: to seal them, or to write them for a device, and for nothing else.
    #[must_use]
    pub fn expose(&self) -> &[u8; KEY_BYTES] {
        &self.scalar
    }
}

/// By what follows from them.
impl PartialEq for PrivateKey {
    fn eq(&self, other: &PrivateKey) -> bool {
        self.public == other.public
    }
}

impl Eq for PrivateKey {}

/// By what is public of it.
impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey(of {:?})", self.public)
    }
}

/// A public key by its x-coordinate, big-endian: all that Diffie-Hellman needs, for both points with this x have the same shared secret
/// (RFC 9528 §3.7). It is on the curve.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PublicKey {
    x: [u8; KEY_BYTES],
}

impl PublicKey {
    /// # Errors
    /// [`Fault::Point`] where no point has this x.
    pub fn new(x: &[u8; KEY_BYTES]) -> Result<PublicKey, Fault> {
        match is_on_curve(x) {
            true => Ok(PublicKey { x: *x }),
            false => Err(Fault::Point),
        }
    }

    /// Reads what tools write: 32 bytes of x; 33 bytes, compressed; 65 bytes, with y (SEC 1 §2.3.3).
    ///
    /// # Errors
    /// [`Fault::Malformed`] for another length, [`Fault::Point`] for what is no point.
    #[cfg(feature = "responder")]
    pub fn read(bytes: &[u8]) -> Result<PublicKey, Fault> {
        match bytes.len() {
            KEY_BYTES => PublicKey::new(bytes.first_chunk().ok_or(Fault::Malformed)?),
            33 | 65 => library::read(bytes),
            _ => Err(Fault::Malformed),
        }
    }

    /// The x-coordinate.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; KEY_BYTES] {
        &self.x
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PublicKey(")?;
        self.x.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// RustCrypto's P-256, which is the gateway's. The device's is `curve`.
#[cfg(feature = "responder")]
mod library {
    use p256::elliptic_curve::point::{AffineCoordinates, DecompressPoint};
    use p256::elliptic_curve::subtle::Choice;

    use super::{Fault, KEY_BYTES, PublicKey, Zeroizing};

    type Bytes = [u8; KEY_BYTES];

    pub(super) fn public(scalar: &Bytes) -> Option<Bytes> {
        let secret = p256::SecretKey::from_slice(scalar).ok()?;
        Some(secret.public_key().as_affine().x().into())
    }

    pub(super) fn is_on_curve(x: &Bytes) -> bool {
        point(x).is_some()
    }

    fn point(x: &Bytes) -> Option<p256::AffinePoint> {
        p256::AffinePoint::decompress(&(*x).into(), Choice::from(0)).into()
    }

    /// SEC 1 §2.3.4: compressed, or with y.
    pub(super) fn read(bytes: &[u8]) -> Result<PublicKey, Fault> {
        let public = p256::PublicKey::from_sec1_bytes(bytes).map_err(|_| Fault::Point)?;
        let x = public.as_affine().x().into();
        Ok(PublicKey { x })
    }

    /// The x-coordinate of the shared point.
    pub(crate) fn shared(private: &Bytes, public: &Bytes) -> Result<Zeroizing<Bytes>, Fault> {
        let secret = p256::SecretKey::from_slice(private).map_err(|_| Fault::Point)?;
        let point = point(public).ok_or(Fault::Point)?;
        let shared = p256::ecdh::diffie_hellman(secret.to_nonzero_scalar(), point);
        Ok(Zeroizing::new((*shared.raw_secret_bytes()).into()))
    }
}

#[cfg(feature = "responder")]
pub(crate) use library::shared;
#[cfg(feature = "responder")]
use library::{is_on_curve, public};

#[cfg(not(feature = "responder"))]
use crate::curve::public;

#[cfg(not(feature = "responder"))]
fn is_on_curve(x: &[u8; KEY_BYTES]) -> bool {
    Point::new(x).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_none() {
        assert_eq!(PrivateKey::new(&[0; 32]).unwrap_err(), Fault::Point);
        assert_eq!(PrivateKey::new(&[0xFF; 32]).unwrap_err(), Fault::Point);
        // Half of all x are on no point; this is the field's order, which is no coordinate at all.
        assert_eq!(PublicKey::new(&[0xFF; 32]), Err(Fault::Point));
        let misses = (0..=255_u8)
            .filter(|byte| PublicKey::new(&[*byte; 32]).is_err())
            .count();
        assert!((64..192).contains(&misses), "{misses}");
    }

    #[cfg(feature = "responder")]
    #[test]
    fn what_is_no_point_of_a_file_is_none() {
        assert_eq!(PublicKey::read(&[2; 31]), Err(Fault::Malformed));
        assert_eq!(PublicKey::read(&[4; 65]), Err(Fault::Point));
    }

    #[cfg(feature = "responder")]
    #[test]
    fn both_ends_share_a_secret_whatever_the_sign_of_y() {
        for seed in 0..8_u8 {
            let ours = PrivateKey::of_seed(&[seed; 32]).unwrap();
            let theirs = PrivateKey::of_seed(&[seed + 100; 32]).unwrap();
            assert_ne!(ours.public(), theirs.public());
            let [here, there] = [(&ours, &theirs), (&theirs, &ours)]
                .map(|(a, b)| *shared(a.expose(), b.public().as_bytes()).unwrap());
            assert_eq!(here, there);
        }
    }

    #[test]
    fn a_private_key_is_not_shown() {
        let key = PrivateKey::of_seed(&[7; 32]).unwrap();
        let shown = std::format!("{key:?}");
        assert!(shown.contains(&std::format!("{:?}", key.public())));
        let secret: std::string::String = key
            .expose()
            .iter()
            .map(|byte| std::format!("{byte:02x}"))
            .collect();
        assert!(!shown.contains(&secret));
    }
}
