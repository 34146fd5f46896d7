//! Whether what lies in a slot may run on this device.

use core::cell::RefCell;
use core::fmt;

use deltagate_flash::{
    ENVELOPE_BYTES_MAX, FlashError, Hashing, Layout, Provision, Region, Slot, SlotHeaderFault, SlotRegion,
    TRUST_ANCHORS_MAX,
};
use deltagate_services::{KEYS_MAX, Question, SignedImage};
use embedded_storage::nor_flash::NorFlash;
use wire_manifest::{ManifestError, TrustAnchors, Unsupported, VerifyError};

/// An image that may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifiedSlot {
    /// Where it lies.
    pub slot: Slot,
    /// Its manifest's sequence number.
    pub sequence: u32,
    /// Its length.
    pub image_bytes: u32,
    /// Its SHA-256, as signed and as found.
    pub image_digest: [u8; 32],
    /// The lowest sequence number that it may follow; 0: any. A condition of installing it, not of starting it.
    pub predecessor_min: u32,
    /// Keys signed it that sign no releases any more, or its number is above what the set in force allows: it may go on running if it is
    /// the confirmed one, and nothing else.
    pub retired: bool,
}

/// Why the content of a slot must not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotFault {
    /// No envelope: the slot is blank, or its header torn.
    Header(SlotHeaderFault),
    /// The envelope is not one that a trust anchor signed, or says what we do not understand.
    Manifest(VerifyError),
    /// For another vendor's device.
    Vendor,
    /// For another class of device.
    Class,
    /// The signed size does not fit the slot.
    Size,
    /// The image is not the signed one.
    Digest,
    /// It verified a moment ago and cannot be found now.
    Changed,
    /// The flash failed.
    Flash(FlashError),
}

impl From<FlashError> for SlotFault {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl SlotFault {
    /// The fault in a clause, without the particulars of a manifest's: `deltagate image inspect` tells those.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Header(fault) => fault.text(),
            Self::Manifest(error) => error.text(),
            Self::Vendor => "the image is for another vendor",
            Self::Class => "the image is for another class",
            Self::Size => "the signed size does not fit the slot",
            Self::Digest => "the image is not the signed one",
            Self::Changed => "the slot changed under us",
            Self::Flash(error) => error.text(),
        }
    }
}

impl fmt::Display for SlotFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for SlotFault {}

/// Checks everything about the content of `slot` but its place in time: signature by one of the provisioned keys,
/// vendor, class, size, and the digest of the image itself. Whether its sequence number is acceptable is [`crate::decide`]'s.
///
/// # Errors
/// The first [`SlotFault`] found; nothing of an unauthenticated envelope is used.
pub fn verify_slot<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    slot: Slot,
    provision: &Provision,
) -> Result<VerifiedSlot, SlotFault> {
    let region = SlotRegion::new(Region::new(flash, layout.slot(slot)));
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let envelope = region.envelope(&mut buffer).map_err(SlotFault::Header)?;
    let verified = verify_envelope(envelope, slot, provision, region.capacity_bytes())?;
    let found = Hashing::new(0, verified.image_bytes).step(region.image()?, verified.image_bytes)?;
    if found != Some(verified.image_digest) {
        return Err(SlotFault::Digest);
    }
    Ok(verified)
}

/// Checks what an envelope says of the image that is, or will be, in `slot`: everything but the image itself.
///
/// # Errors
/// The first [`SlotFault`] found.
pub(crate) fn verify_envelope(
    envelope: &[u8],
    slot: Slot,
    provision: &Provision,
    capacity_bytes: u32,
) -> Result<VerifiedSlot, SlotFault> {
    let mut question = Question {
        envelope,
        vendor_id: &provision.vendor_id,
        class_id: &provision.class_id,
        keys: provision.trust_anchors(),
        least: provision.release_min,
    };
    let mut image = signed_image(&question);
    let retired = image.is_err() && provision.starting_keys().len() > question.keys.len();
    if retired {
        question.keys = provision.starting_keys();
        image = signed_image(&question);
    }
    let image = image?;
    if image.bytes > capacity_bytes {
        return Err(SlotFault::Size);
    }
    Ok(VerifiedSlot {
        slot,
        sequence: image.sequence,
        image_bytes: image.bytes,
        image_digest: image.digest,
        predecessor_min: image.predecessor_min,
        retired: retired || image.sequence > provision.sequence_max,
    })
}

/// The one check of a manifest: of what boots, of what recovery takes, and of what the running image asks about.
#[inline(never)]
pub(crate) fn signed_image(question: &Question<'_>) -> Result<SignedImage, SlotFault> {
    let anchors = TrustAnchors::at_least(question.least, question.keys);
    let manifest = wire_manifest::verify(question.envelope, &anchors).map_err(SlotFault::Manifest)?;
    if manifest.vendor_id != *question.vendor_id {
        return Err(SlotFault::Vendor);
    }
    if manifest.class_id != *question.class_id {
        return Err(SlotFault::Class);
    }
    let narrow = |number: u64| {
        let unsupported = ManifestError::Unsupported(Unsupported::SequenceNumber);
        u32::try_from(number).map_err(|_| SlotFault::Manifest(unsupported.into()))
    };
    Ok(SignedImage {
        sequence: narrow(manifest.sequence_number)?,
        bytes: manifest.image_size,
        predecessor_min: narrow(manifest.predecessor_min)?,
        digest: manifest.image_digest,
    })
}

const _: () = assert!(KEYS_MAX == TRUST_ANCHORS_MAX);
const _: () = assert!(deltagate_services::ENVELOPE_BYTES_MAX == ENVELOPE_BYTES_MAX);
