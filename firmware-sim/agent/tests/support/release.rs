//! Images and their envelopes.

use deltagate_flash::Provision;
use ed25519_dalek::{Signer, SigningKey};
use sha2::{Digest, Sha256};
use wire_manifest::{Anchor, ENVELOPE_BYTES_MAX};
use wire_patch::MemoryClass;

/// Who signs, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Vendor {
    pub key: [u8; 32],
    pub vendor_id: [u8; 16],
    pub class_id: [u8; 16],
}

impl Vendor {
    pub const OURS: Self = Self {
        key: [7; 32],
        vendor_id: [0xAA; 16],
        class_id: [0xBB; 16],
    };

    /// What the factory writes into a device that trusts this vendor.
    pub fn provision(&self) -> Provision {
        let key = SigningKey::from_bytes(&self.key).verifying_key().to_bytes();
        Provision::new(self.vendor_id, self.class_id, &[key]).unwrap()
    }

    pub fn release(&self, sequence: u32, image: Vec<u8>) -> Release {
        self.release_after(sequence, 0, image)
    }

    /// A release that may follow sequence numbers from `predecessor_min` on only.
    pub fn release_after(&self, sequence: u32, predecessor_min: u32, image: Vec<u8>) -> Release {
        let key = SigningKey::from_bytes(&self.key);
        let anchor = Anchor {
            key: key.verifying_key().to_bytes(),
        };
        let release = wire_manifest::Release {
            sequence_number: sequence.into(),
            vendor_id: self.vendor_id,
            class_id: self.class_id,
            image_digest: Sha256::digest(&image).into(),
            image_size: image.len() as u32,
            predecessor_min: predecessor_min.into(),
            text: None,
            image: None,
        };
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        let sign = |bytes: &[u8]| key.sign(bytes).to_bytes();
        let envelope = release
            .encode(&mut buffer, anchor.key_id(), sign)
            .unwrap()
            .to_vec();
        Release {
            sequence,
            image,
            envelope,
        }
    }
}

/// A signed image.
#[derive(Clone, Debug)]
pub struct Release {
    pub sequence: u32,
    pub image: Vec<u8>,
    pub envelope: Vec<u8>,
}

/// An image of `bytes` bytes that shares all but 600 bytes with other versions, and ends erased-looking.
pub fn image(version: u8, bytes: usize) -> Vec<u8> {
    let mut rng = super::Rng::new(1);
    let mut image: Vec<u8> = (0..bytes).map(|_| rng.next() as u8).collect();
    for at in (100..bytes).step_by(700) {
        image[at] = version;
    }
    let mut rng = super::Rng::new(u64::from(version) + 2);
    image[1_000..1_600].fill_with(|| rng.next() as u8);
    image[..8].copy_from_slice(&[b'i', b'm', b'a', b'g', b'e', b' ', b'v', version]);
    let tail = bytes - 21;
    image[tail..].fill(0xFF);
    image
}

/// The patch between two images.
pub fn patch(base: &[u8], target: &[u8]) -> Vec<u8> {
    gateway_delta::encode(base, target, &gateway_delta::Options::new(MemoryClass::MIN)).unwrap()
}
