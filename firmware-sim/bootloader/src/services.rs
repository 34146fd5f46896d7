//! What the bootloader offers to the image that it started.

use deltagate_services::{Question, Refused, SignedImage};

use crate::SlotFault;
use crate::verify::signed_image;

/// Answers an image that asks about a manifest, as this bootloader judges it at the next boot. Uses nothing but its arguments and
/// the stack: the RAM is the image's.
///
/// # Errors
/// [`Refused`].
pub fn verify(question: &Question<'_>) -> Result<SignedImage, Refused> {
    signed_image(question).map_err(|fault| match fault {
        SlotFault::Manifest(error) if error.is_authenticity() => Refused::Signature,
        SlotFault::Vendor => Refused::Vendor,
        SlotFault::Class => Refused::Class,
        _ => Refused::Unsupported,
    })
}
