//! The services of an agent that brings its own, and how any are used.

use core::fmt;

use deltagate_flash::Hash;
use deltagate_services::{Question, Refused, Services, Sha256, SignedImage};
use wire_manifest::{TrustAnchors, VerifyError, verify_set};

/// The services as code in the image: of any device whose bootloader offers none. The same code answers as in deltagate's
/// bootloader.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinkedServices;

impl Services for LinkedServices {
    fn verify(&self, question: &Question<'_>) -> Result<SignedImage, Refused> {
        if let Some(set) = verify_set(
            question.envelope,
            question.class_id,
            question.keys,
            question.least,
        ) {
            return Ok(SignedImage {
                sequence: set.number.into(),
                ..SignedImage::default()
            });
        }
        let anchors = TrustAnchors::at_least(question.least, question.keys);
        let manifest = wire_manifest::verify(question.envelope, &anchors).map_err(|error| match error {
            VerifyError::Malformed(_) | VerifyError::Unsupported(_) => Refused::Unsupported,
            _ => Refused::Signature,
        })?;
        if manifest.vendor_id != *question.vendor_id {
            return Err(Refused::Vendor);
        }
        if manifest.class_id != *question.class_id {
            return Err(Refused::Class);
        }
        Ok(SignedImage {
            // The profile keeps the number within 32 bits, and `verify` names one past them unsupported.
            sequence: u32::try_from(manifest.sequence_number).map_err(|_| Refused::Unsupported)?,
            bytes: manifest.image_size,
            predecessor_min: u32::try_from(manifest.predecessor_min).map_err(|_| Refused::Unsupported)?,
            digest: manifest.image_digest,
        })
    }

    fn sha256_start(&self, state: &mut Sha256) {
        *state = Sha256::new();
    }

    fn sha256_update(&self, state: &mut Sha256, bytes: &[u8]) {
        state.update(bytes);
    }

    fn sha256_finish(&self, state: &mut Sha256) -> [u8; 32] {
        state.finish()
    }
}

/// A hash under way, computed by somebody's services.
#[derive(Clone)]
pub(crate) struct Hasher<'m> {
    services: &'m dyn Services,
    state: Sha256,
}

impl<'m> Hasher<'m> {
    pub(crate) fn new(services: &'m dyn Services) -> Self {
        let mut state = Sha256::new();
        services.sha256_start(&mut state);
        Self { services, state }
    }
}

impl Hash for Hasher<'_> {
    fn update(&mut self, bytes: &[u8]) {
        self.services.sha256_update(&mut self.state, bytes);
    }

    fn finish(&mut self) -> [u8; 32] {
        self.services.sha256_finish(&mut self.state)
    }
}

impl fmt::Debug for Hasher<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Hasher").finish_non_exhaustive()
    }
}
