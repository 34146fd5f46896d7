//! What the bootloader offers to the image that it started.

use deltagate_services::{Question, Refused, SignedImage};

use wire_manifest::verify_set;

use crate::SlotFault;
use crate::anchors::TAKEN;
use crate::verify::signed_image;

/// Answers an image that asks about a manifest, as this bootloader judges it at the next boot. Uses nothing but its arguments and
/// the stack: the RAM is the image's. A set of trust anchors is answered as an image of no bytes, with its number: as one that `keys` may
/// put in the place of another.
///
/// # Errors
/// [`Refused`].
pub fn verify(question: &Question<'_>) -> Result<SignedImage, Refused> {
    if TAKEN
        && let Some(set) = verify_set(
            question.envelope,
            question.class_id,
            question.keys,
            question.least,
        )
    {
        return Ok(SignedImage {
            sequence: set.number.into(),
            ..SignedImage::default()
        });
    }
    signed_image(question).map_err(|fault| match fault {
        SlotFault::Manifest(error) if error.is_authenticity() => Refused::Signature,
        SlotFault::Vendor => Refused::Vendor,
        SlotFault::Class => Refused::Class,
        _ => Refused::Unsupported,
    })
}
