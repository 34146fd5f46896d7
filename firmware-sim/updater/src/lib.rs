//! Updates a device with a single slot, in place: the new image takes the place of the one that asked for it.
//!
//! Lives outside the slot, beside the bootloader and started before it: while an update is under way there is no image that could
//! run. It needs no network to finish one, for the patch is staged whole before anything is erased, and no heap.
//!
//! # Life of an update
//!
//! The running firmware fetches envelope and patch into the staging area, asks ([`Desk::request`]) and resets. At every power-on
//! the shell opens an [`Updater`] and lets it step until it has nothing to do; then the bootloader decides what starts.
//!
//! | the journal says | a step | then it says |
//! |---|---|---|
//! | idle | nothing: the bootloader starts what verifies | |
//! | requested | hashes the patch; checks the envelope's signature, vendor, class and sequence number, and header and reach of the patch; hashes the base | moving, or idle (refused: nothing was touched) |
//! | moving | copies the highest sector of the base that is still in its place up by the gap | moving, writing when all are |
//! | writing | decodes up to where a checkpoint is due; writes that | writing, written when the result is complete; fetching when the patch turns out malformed |
//! | written | checks the envelope and hashes the image; then gives it its header and a trial record | idle (done); fetching when it is not what was signed |
//! | fetching | waits for an envelope ([`Updater::offer`]) and an image ([`Updater::write`]) from outside | written when all of it is there; idle when an image came another way ([`Updater::restored`]) |
//!
//! # Why a power cut does no harm
//!
//! - Every record of the journal says what *is* done. What was begun behind the last record is done again, from its beginning, and
//!   every sector is erased before anything is written there again: no byte is programmed twice.
//! - A sector of the base is moved to where nothing is needed: `gap` sectors up, where there is either nothing or what was moved
//!   itself before. Its old place is written over when the sectors below it are moved, or the result gets there.
//! - Between two checkpoints the result is written over `interval` sectors. The part of the base that lies there is further back than the
//!   patch's reach, which the format promises to be needed no more: `gap` = reach + `interval`, as `wire-patch` explains.
//! - Two checkpoints lie in two places: the last one is there until the next one is complete.
//! - Before its first step after a power-on the journal is settled: a record that was half written when the power went away may read
//!   differently the next time, and nothing is erased on its word.
//!
//! # Who can do what
//!
//! Nothing runs that a trusted key did not sign for this device, or that is older than what was confirmed: the digest decides, here and at
//! every boot. But a patch is signed by nobody. With two slots a gateway that lies wastes airtime; here the old image is gone when
//! its lie is found out, and the device is in *fetching* until it gets a whole image: from any gateway, or from a technician. Where
//! that matters, the channel to the gateway has to be authenticated.
//!
//! The same holds for an image that starts and fails its trial: there is none to fall back to. The bootloader starts it again, as the last
//! resort, or calls [`Updater::give_up`]; the image confirmed before, or a newer one, can then be fetched.
//!
//! # Sizes
//!
//! Flash besides the slot: two checkpoints of decoder memory and 384 bytes each, in whole sectors; the patch and a sector; a journal
//! of two banks. RAM: the decoder's memory and [`Updater`] itself; stack at its peak is the signature check's. Erases of an update:
//! each sector of the base once (where it moves to), each of the result once, those of a checkpoint for every interval.
//!
//! | module | knows |
//! |---|---|
//! | `layout` | what is where in flash |
//! | `journal` | records, and the state that they add up to |
//! | `judge` | what may be begun |
//! | `updater` | which step comes next |
//! | `writing` | the decoder and its checkpoints |
//! | `fetch` | a whole image from outside |
//! | `desk` | what the running firmware asks |
//! | `io` | flash, in steps |
//! | `outcome` | what becomes of updates |
#![no_std]

#[cfg(test)]
extern crate std;

mod desk;
mod fetch;
mod io;
mod journal;
mod judge;
mod layout;
mod outcome;
mod updater;
mod writing;

pub use desk::Desk;
pub use journal::{Checkpoint, Geometry, JournalState, Request};
pub use judge::Image;
pub use layout::{SingleSlot, checkpoint_bytes};
pub use outcome::{Fault, Lost, Outcome};
pub use updater::{Status, Updater};
