//! What a bootloader offers to the image that it starts, so that the image need not bring it once more: the check of a signed
//! manifest, and SHA-256.
//!
//! [`Services`] is how an agent asks, whoever answers: code that is linked to it, or the bootloader through the [`table`] that stands
//! at a fixed place in its ROM. `docs/bootloader-services.md` is the specification of that table, byte by byte, and says what an image
//! does that finds none. This crate has what can be said without an address: the table's words and their check, the values that are
//! passed, and the hash. Calling a function at an address is the board's.
//!
//! Left out: everything that needs memory of its own. A service works on what its caller gives it and on the caller's stack.
//!
//! ```
//! use deltagate_services::{Sha256, SignedImage, Services, Question, Refused};
//!
//! let mut hash = Sha256::new();
//! hash.update(b"abc");
//! assert_eq!(hash.finish()[..4], [0xBA, 0x78, 0x16, 0xBF]);
//! ```

#![no_std]

#[cfg(test)]
extern crate std;

mod sha256;
pub mod table;
mod verify;

pub use sha256::Sha256;
pub use verify::{ENVELOPE_BYTES_MAX, KEYS_MAX, Question, RawQuestion, Refused, SignedImage};

/// What an agent leaves to others. Each call gives the same answer to the same arguments, and keeps nothing.
pub trait Services {
    /// Whether so many of the keys signed the envelope, for this vendor and class, and what it says. A set of trust anchors is an image
    /// of no bytes, whose sequence number is the set's.
    ///
    /// # Errors
    /// [`Refused`]: nothing that the envelope says may be used.
    fn verify(&self, question: &Question<'_>) -> Result<SignedImage, Refused>;

    /// Makes `state` that of a hash of nothing.
    fn sha256_start(&self, state: &mut Sha256);

    /// Hashes `bytes` after what was hashed before.
    fn sha256_update(&self, state: &mut Sha256, bytes: &[u8]);

    /// The digest of all that was hashed. The state is to be started again before it is used again.
    fn sha256_finish(&self, state: &mut Sha256) -> [u8; 32];
}
