//! Whether an offered update is one for this device: decided before a byte of payload is fetched and before anything
//! is erased.

use deltagate_flash::Provision;
use deltagate_services::{Question, Refused, Services, SignedImage};
use wire_checkin::{Format, Formats, Job, Outcome};
use wire_patch::{DecodeError, Header};

/// An accepted update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Update {
    pub(crate) job: Job,
    pub(crate) image: SignedImage,
    pub(crate) place: Place,
}

/// Where a payload goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Into the spare slot, so many bytes behind the first of its image: `full` in place, anything else in the free tail.
    SpareSlot(u32),
    /// To the beginning of the staging area.
    StagingArea,
}

/// What an update is held against.
#[derive(Clone, Copy)]
pub(crate) struct Device<'a> {
    pub(crate) services: &'a dyn Services,
    pub(crate) provision: &'a Provision,
    pub(crate) running: &'a SignedImage,
    pub(crate) confirmed: Option<u32>,
    /// Failed too many trials, it and all older ones.
    pub(crate) given_up: Option<u32>,
    pub(crate) formats: Formats,
    pub(crate) capacity_bytes: u32,
    /// Of the staging area, where there is one.
    pub(crate) staging_bytes: Option<u32>,
    pub(crate) sector_bytes: u32,
    pub(crate) memory_bytes: u32,
    /// With a single slot, the longest reach of a patch; with two a patch has none.
    pub(crate) reach_bytes: Option<u32>,
}

/// Why an update is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) outcome: Outcome,
    pub(crate) detail: Option<u32>,
}

impl From<Outcome> for Refusal {
    fn from(outcome: Outcome) -> Self {
        Self {
            outcome,
            detail: None,
        }
    }
}

/// Checks signature, vendor and class of an envelope, signed by some of these keys.
pub(crate) fn authenticate(
    services: &dyn Services,
    envelope: &[u8],
    provision: &Provision,
    keys: &[[u8; 32]],
) -> Result<SignedImage, Refusal> {
    let question = Question {
        envelope,
        vendor_id: &provision.vendor_id,
        class_id: &provision.class_id,
        keys,
        least: provision.release_min,
    };
    services.verify(&question).map_err(|refused| {
        let outcome = match refused {
            Refused::Signature => Outcome::RefusedSignature,
            Refused::Vendor | Refused::Class => Outcome::RefusedClass,
            _ => Outcome::RefusedUnsupported,
        };
        outcome.into()
    })
}

/// Checks everything that can be checked without the payload.
pub(crate) fn judge(device: &Device<'_>, job: &Job, envelope: &[u8]) -> Result<Update, Refusal> {
    let image = authenticate(
        device.services,
        envelope,
        device.provision,
        device.provision.trust_anchors(),
    )?;
    let newest = device
        .confirmed
        .max(device.given_up)
        .max(Some(device.running.sequence));
    if Some(image.sequence) <= newest
        || image.sequence > device.provision.sequence_max
        || u64::from(image.sequence) != job.sequence_number
    {
        return Err(Outcome::RefusedSequenceNumber.into());
    }
    if image.predecessor_min > device.running.sequence {
        return Err(Refusal {
            outcome: Outcome::RefusedPredecessor,
            detail: Some(image.predecessor_min),
        });
    }
    if !device.formats.contains(job.format) {
        return Err(Outcome::RefusedUnsupported.into());
    }
    let place = place_payload(device, job, &image)?;
    Ok(Update {
        job: *job,
        image,
        place,
    })
}

fn place_payload(device: &Device<'_>, job: &Job, image: &SignedImage) -> Result<Place, Refusal> {
    let fits = |needed: u64, room_bytes: u32| match needed.checked_sub(u64::from(room_bytes)) {
        None | Some(0) => Ok(()),
        Some(missing) => Err(Refusal {
            outcome: Outcome::NoSpace,
            detail: u32::try_from(missing).ok(),
        }),
    };
    // A sector of no bytes would be a part that no driver has; nothing fits it.
    let sectors = |bytes: u32| {
        let whole = u64::from(bytes).checked_next_multiple_of(u64::from(device.sector_bytes));
        whole.unwrap_or(u64::from(u32::MAX) + 1)
    };
    let (image_bytes, payload_bytes) = (sectors(image.bytes), sectors(job.payload_bytes));
    if job.payload_bytes == 0 || image.bytes == 0 {
        return Err(Outcome::RefusedUnsupported.into());
    }
    if job.format == Format::Full {
        // The payload is the image, so two figures and two digests must agree.
        let same = job.payload_bytes == image.bytes && image.digest.starts_with(&job.artefact_digest);
        if !same {
            return Err(Outcome::DigestMismatch.into());
        }
        fits(image_bytes, device.capacity_bytes)?;
        return Ok(Place::SpareSlot(0));
    }
    if let Some(staging_bytes) = device.staging_bytes {
        fits(image_bytes, device.capacity_bytes)?;
        fits(payload_bytes, staging_bytes)?;
        return Ok(Place::StagingArea);
    }
    fits(image_bytes + payload_bytes, device.capacity_bytes)?;
    // Both are below the capacity, which has 32 bits.
    Ok(Place::SpareSlot(device.capacity_bytes - payload_bytes as u32))
}

/// Checks the first bytes of a patch, so that one that cannot work costs one block of airtime.
pub(crate) fn check_patch(device: &Device<'_>, update: &Update, start: &[u8]) -> Result<Header, Refusal> {
    let failed = |detail| Refusal {
        outcome: Outcome::PatchFailed,
        detail: Some(detail),
    };
    let header = Header::parse(start).map_err(|error| match error {
        DecodeError::UnknownVersion(_) | DecodeError::UnknownMemoryClass(_) | DecodeError::NotAPatch => {
            Outcome::RefusedUnsupported.into()
        }
        _ => failed(0),
    })?;
    if header.memory.bytes() > device.memory_bytes {
        return Err(Refusal {
            outcome: Outcome::DecoderMemory,
            detail: Some(header.memory.bytes()),
        });
    }
    match (device.reach_bytes, header.in_place.map(|reach| reach.bytes())) {
        (None, None) => {}
        (Some(has), Some(needs)) if needs <= has => {}
        (Some(has), Some(needs)) => {
            return Err(Refusal {
                outcome: Outcome::NoSpace,
                detail: Some(needs - has),
            });
        }
        _ => return Err(Outcome::RefusedUnsupported.into()),
    }
    // A whole image for a single slot is a patch from nothing: it fits whatever runs.
    let from_nothing = device.reach_bytes.is_some() && header.base_bytes == 0;
    let base_is_ours = device.running.digest.starts_with(&header.base_digest_prefix)
        && device.running.bytes == header.base_bytes;
    if !(base_is_ours || from_nothing) || header.target_bytes != update.image.bytes {
        return Err(failed(0));
    }
    Ok(header)
}
