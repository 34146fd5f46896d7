//! Recovery: nothing can be started, and the device is served over its serial line until something can; or something can and
//! crashed, and the device is served for [`WINDOW_MS`](crate::WINDOW_MS), or until the technician is through.
//!
//! [`RecoveryServer`] speaks SMP ([`wire_smp`]), so that any mcumgr client can bring an image. The file it takes is the one
//! that `deltagate image sign` made, as it is: envelope, text, image. It decides nothing about booting: it writes a slot, and
//! the next boot decides as ever.
//!
//! - Before a byte of flash changes, the envelope has to verify: a trusted key, this vendor and class, a size that fits, not
//!   older than the confirmed image.
//! - Then header and image are written from the front, sector by sector ([`upload`] has the order). A power cut at any point
//!   leaves the device in recovery, where the same file goes on one sector before the cut at worst. What is continued is
//!   known by its envelope in flash, not by what a client calls it.
//! - An image that could start is never overwritten where there is another slot: what is brought beside it must be newer, and
//!   is put on trial as after an update, with the record that says so written last. With a single slot it is written over.
//! - Only when signature and digest of the whole verify does the client learn that the upload is complete.
//!
//! Sans-IO: bytes in with [`RecoveryServer::handle_byte`], lines out with [`RecoveryServer::poll_transmit`], and the one thing
//! it cannot do itself with [`RecoveryServer::poll_effect`]. For how long: [`Patience`].

mod patience;
mod server;
mod upload;

pub use patience::{LOOK_AGAIN_MS, Patience};
pub use server::{PACKET_BYTES_MAX, RecoveryEffect, RecoveryServer};
pub use upload::{Slots, UploadFault};

#[cfg(test)]
mod tests;
