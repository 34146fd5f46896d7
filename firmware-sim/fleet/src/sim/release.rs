//! Signed images for the simulation, and what they do when they run.

use crate::rng::Rng;
use ed25519_dalek::{Signer, SigningKey};
use gateway_core::{Bytes, ClassId, ImageDigest, ImageRecord, StatementRecord, VendorId};
use sha2::{Digest, Sha256};
use wire_manifest::{
    Anchor, ENVELOPE_BYTES_MAX, Latest, Release, Roles, SetKey, SignedLatest, cosign, latest_class, write_set,
};

/// What an image does once it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behaviour {
    /// It runs the agent.
    Good,
    /// It does nothing, and the watchdog bites.
    Hangs,
    /// It faults at once.
    Faults,
    /// It runs the agent and its network is dead.
    DeadNetwork,
}

/// Every simulated device is of this vendor.
pub const VENDOR_ID: [u8; 16] = [0xa0; 16];

/// Every simulated device is of this class.
pub const CLASS_ID: [u8; 16] = [0xc0; 16];

/// A publisher with a key drawn from a seed, for tests only.
#[derive(Debug)]
pub struct Publisher {
    key: SigningKey,
}

impl Publisher {
    /// The publisher of this seed.
    pub fn new(seed: u64) -> Self {
        let mut rng = Rng::new(seed);
        let mut secret = [0; 32];
        for chunk in secret.chunks_exact_mut(8) {
            chunk.copy_from_slice(&rng.next_u64().to_le_bytes());
        }
        Self {
            key: SigningKey::from_bytes(&secret),
        }
    }

    /// The key that devices trust.
    pub fn anchor(&self) -> [u8; 32] {
        self.key.verifying_key().to_bytes()
    }

    /// Signs an image.
    pub fn sign(&self, sequence: u32, image: Vec<u8>, behaviour: Behaviour) -> SignedImage {
        self.sign_after(sequence, 0, image, behaviour)
    }

    /// Signs an image that may follow sequence numbers from `predecessor_min` on only.
    pub fn sign_after(
        &self,
        sequence: u32,
        predecessor_min: u32,
        image: Vec<u8>,
        behaviour: Behaviour,
    ) -> SignedImage {
        let release = release(sequence, predecessor_min, &image);
        let key_id = Anchor { key: self.anchor() }.key_id();
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let envelope = release
            .encode(&mut buffer, key_id, |bytes| self.key.sign(bytes).to_bytes())
            .expect("an envelope without text and image fits")
            .to_vec();
        SignedImage {
            sequence,
            predecessor_min,
            image,
            envelope,
            behaviour,
            key_id: key_id.0,
        }
    }

    /// States what the latest release is, as a gateway keeps it.
    pub fn state(&self, latest: Latest) -> StatementRecord {
        let mut hash = |parts: &[&[u8]]| Sha256::digest(parts.concat()).into();
        let image = latest.image(&CLASS_ID);
        let release = Release {
            class_id: latest_class(&CLASS_ID, &mut hash),
            sequence_number: latest.number.into(),
            ..release(0, 0, &image)
        };
        let key_id = Anchor { key: self.anchor() }.key_id();
        let mut signature = [0; 64];
        let sign = |bytes: &[u8]| {
            signature = self.key.sign(bytes).to_bytes();
            signature
        };
        let encoded = release
            .encode(&mut [0; ENVELOPE_BYTES_MAX], key_id, sign)
            .map(<[u8]>::len);
        encoded.expect("an envelope without text and image fits");
        StatementRecord {
            vendor: VendorId(VENDOR_ID),
            class: ClassId(CLASS_ID),
            signed: SignedLatest { latest, signature },
            key_id: key_id.0,
            imported_unix_s: 0,
        }
    }

    /// Signs a set of trust anchors: what each of these publishers may do, up to this sequence number, for every class.
    pub fn sign_set(&self, number: u16, sequence_max: u32, of: &[(Roles, &Publisher)]) -> Vec<u8> {
        let key = |(roles, publisher): &(Roles, &Publisher)| SetKey::new(*roles, &publisher.anchor());
        let mut keys: Vec<SetKey> = of.iter().map(key).collect();
        let (mut unsigned, mut signed) = ([0; ENVELOPE_BYTES_MAX], [0; ENVELOPE_BYTES_MAX]);
        let unsigned = write_set(&mut unsigned, number, None, sequence_max, (1, 1), &mut keys)
            .expect("a set of up to four keys that has release and recovery keys");
        let key_id = Anchor { key: self.anchor() }.key_id();
        cosign(unsigned, &mut signed, key_id, |bytes| {
            self.key.sign(bytes).to_bytes()
        })
        .expect("a set with one signature fits")
        .to_vec()
    }

    /// Signs an image with a manifest of version 2; see [`newer_profile`].
    pub fn sign_newer_profile(&self, sequence: u32, image: Vec<u8>) -> SignedImage {
        let signed = self.sign(sequence, image, Behaviour::Good);
        SignedImage {
            envelope: newer_profile(&signed.release(), &self.key),
            ..signed
        }
    }
}

/// Signs a release with a manifest of version 2, which does not exist yet: everything about it is right but that nobody knows what it
/// means.
pub fn newer_profile(release: &Release<'_>, key: &SigningKey) -> Vec<u8> {
    let anchor = Anchor {
        key: key.verifying_key().to_bytes(),
    };
    let (mut buffer, mut to_be_signed, mut old) = ([0; ENVELOPE_BYTES_MAX], Vec::new(), [0; 64]);
    let mut envelope = release
        .encode(&mut buffer, anchor.key_id(), |bytes| {
            to_be_signed = bytes.to_vec();
            old = key.sign(bytes).to_bytes();
            old
        })
        .expect("an envelope without text and image fits")
        .to_vec();
    let length = envelope.len();
    // Member 3 is the last: a byte string of one length byte, and in it a map that begins with `1: 1`, the version.
    let at = (0..length - 6)
        .find(|&at| envelope[at..at + 2] == [3, 0x58] && usize::from(envelope[at + 2]) == length - at - 3)
        .expect("the manifest of a release ends its envelope");
    let digest: [u8; 32] = Sha256::digest(&envelope[at + 1..]).into();
    assert_eq!(envelope[at + 4..at + 6], [1, 1], "manifest-version 1");
    envelope[at + 5] = 2;
    let newer: [u8; 32] = Sha256::digest(&envelope[at + 1..]).into();
    replace(&mut to_be_signed, &digest, &newer);
    let signature = key.sign(&to_be_signed).to_bytes();
    replace(&mut envelope, &digest, &newer);
    replace(&mut envelope, &old, &signature);
    envelope
}

/// Replaces the one place where `old` stands.
fn replace(bytes: &mut [u8], old: &[u8], new: &[u8]) {
    let at = bytes.windows(old.len()).position(|window| window == old);
    let at = at.expect("it stands there");
    bytes[at..at + new.len()].copy_from_slice(new);
}

/// A signed image.
#[derive(Clone, Debug)]
pub struct SignedImage {
    /// Its sequence number.
    pub sequence: u32,
    /// The lowest sequence number that it may follow; 0: any.
    pub predecessor_min: u32,
    /// Its bytes.
    pub image: Vec<u8>,
    /// Its signed envelope without text.
    pub envelope: Vec<u8>,
    /// What it does.
    pub behaviour: Behaviour,
    key_id: [u8; 8],
}

impl SignedImage {
    fn release(&self) -> Release<'static> {
        release(self.sequence, self.predecessor_min, &self.image)
    }

    /// Its identity.
    pub fn digest(&self) -> ImageDigest {
        ImageDigest(Sha256::digest(&self.image).into())
    }

    /// What the gateway knows of it after the import.
    pub fn record(&self) -> ImageRecord {
        ImageRecord {
            digest: self.digest(),
            size: Bytes(self.image.len() as u64),
            vendor: VendorId(VENDOR_ID),
            class: ClassId(CLASS_ID),
            sequence_number: u64::from(self.sequence),
            predecessor_min: u64::from(self.predecessor_min),
            version: format!("{}.0.0", self.sequence),
            description: String::new(),
            envelope: self.envelope.clone(),
            key_id: self.key_id,
            imported_unix_s: 0,
        }
    }
}

fn release(sequence: u32, predecessor_min: u32, image: &[u8]) -> Release<'static> {
    Release {
        sequence_number: u64::from(sequence),
        vendor_id: VENDOR_ID,
        class_id: CLASS_ID,
        image_digest: Sha256::digest(image).into(),
        image_size: image.len() as u32,
        predecessor_min: u64::from(predecessor_min),
        text: None,
        image: None,
    }
}

/// Images as a linker might make them: a base, and `count - 1` descendants that each change a few
/// dozen bytes here and there and grow by a new function of a few hundred.
pub fn similar_images(seed: u64, bytes: usize, count: usize) -> Vec<Vec<u8>> {
    let mut rng = Rng::for_stream(seed, 3);
    // Half of the bytes repeat earlier ones, as instructions do.
    let mut image = Vec::with_capacity(bytes);
    while image.len() < bytes {
        if image.len() > 64 && rng.happens(500_000) {
            let from = rng.below(image.len() as u64 - 32) as usize;
            image.extend_from_within(from..from + 16);
        } else {
            image.extend_from_slice(&rng.next_u64().to_le_bytes());
        }
    }
    let mut images = vec![image.clone()];
    while images.len() < count {
        for _ in 0..24 {
            let at = rng.below(image.len() as u64) as usize;
            image[at] = image[at].wrapping_add(1 + rng.below(255) as u8);
        }
        let at = rng.below(image.len() as u64) as usize;
        let function: Vec<u8> = (0..40).flat_map(|_| rng.next_u64().to_le_bytes()).collect();
        image.splice(at..at, function);
        images.push(image.clone());
    }
    images
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire_manifest::{TrustAnchors, Unsupported, VerifyError, verify};

    #[test]
    fn a_device_that_trusts_the_publisher_verifies_its_images() {
        let publisher = Publisher::new(1);
        let signed = publisher.sign(5, vec![7; 100], Behaviour::Good);
        let anchors = [Anchor {
            key: publisher.anchor(),
        }];
        let manifest = verify(&signed.envelope, &TrustAnchors::new(&anchors)).unwrap();
        assert_eq!(manifest.sequence_number, 5);
        assert_eq!(manifest.image_digest, signed.digest().0);
        let others = [Anchor {
            key: Publisher::new(2).anchor(),
        }];
        assert!(verify(&signed.envelope, &TrustAnchors::new(&others)).is_err());
    }

    #[test]
    fn a_newer_profile_is_signed_and_not_understood() {
        let publisher = Publisher::new(1);
        let signed = publisher.sign_newer_profile(5, vec![7; 100]);
        let anchors = [Anchor {
            key: publisher.anchor(),
        }];
        let verified = verify(&signed.envelope, &TrustAnchors::new(&anchors));
        let version = Unsupported::ManifestVersion(2);
        assert_eq!(verified.err(), Some(VerifyError::Unsupported(version)));
    }

    #[test]
    fn descendants_are_different_and_similar() {
        let images = similar_images(1, 8_192, 3);
        assert_eq!(images[0].len(), 8_192);
        assert_eq!(images[2].len(), 8_192 + 2 * 320);
        assert_ne!(images[0][..], images[1][..8_192]);
    }
}
