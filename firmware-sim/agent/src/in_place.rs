//! A device with a single slot: the updater outside the slot does what here the spare slot is for.
//!
//! The agent fetches the patch as ever, with the staging area in the place of the spare slot: the envelope into its header, the
//! payload behind it. Instead of applying it, it asks the updater to, and restarts. Everything that touches the image itself is
//! the updater's; see `deltagate-updater`.
//!
//! The request is written before [`crate::journal::JournalRecord::Armed`]: an armed job was asked for in any case, so that
//! what the updater says is its outcome. Should the power go away between the two it is asked for once more, or has been done.

use core::cell::RefCell;

use deltagate_flash::{Partition, Region};
use deltagate_updater::{Desk, Fault, Outcome as Ended, Request};
use embedded_storage::nor_flash::NorFlash;
use wire_checkin::Outcome;

use crate::core::FlashFailed;

/// What is said when a gateway answers that does not prove itself.
pub(crate) const UNPROTECTED: &str = "no update without credentials: there is a single slot";

/// What a device with a single slot has beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InPlace {
    /// The updater's journal: [`deltagate_updater::SingleSlot::journal`].
    pub journal: Partition,
    /// Memory of the updater's decoder, which the device reports instead of the agent's own.
    pub memory_bytes: u32,
    /// How far the updater goes from one checkpoint to the next at least, in bytes: whole sectors, one or more. What the room
    /// beside the running image is more than this is the reach that the device reports. The longer, the fewer checkpoints
    /// and the larger the patches: half of the room is a good choice.
    pub interval_bytes: u32,
    /// Whether updates are taken from whoever answers, where messages are not protected. Who answers in the gateway's place can then
    /// bring this device into recovery, and somebody to it with a cable: what signs the image does not sign the patch, and by the
    /// time that a patch is found out the only slot is erased.
    pub dangerous_unauthenticated: bool,
}

impl InPlace {
    pub(crate) const fn memory_bytes(&self) -> u32 {
        self.memory_bytes
    }

    /// Whether a gateway need not prove that it is the gateway.
    pub(crate) const fn trusts_anybody(&self) -> bool {
        self.dangerous_unauthenticated
    }

    /// The longest reach of a patch from an image of `running_bytes` in a slot with this capacity. It is 0 where nothing fits
    /// beside the image.
    pub(crate) fn reach_bytes(&self, capacity_bytes: u32, running_bytes: u32, sector_bytes: u32) -> u32 {
        let taken_bytes = running_bytes.checked_next_multiple_of(sector_bytes);
        let gap_bytes = capacity_bytes.saturating_sub(taken_bytes.unwrap_or(u32::MAX));
        gap_bytes.saturating_sub(self.interval_bytes)
    }

    /// Asks for the staged patch to be applied.
    pub(crate) fn ask<F: NorFlash>(
        &self,
        flash: &RefCell<F>,
        patch_bytes: u32,
        patch_digest: [u8; 32],
    ) -> Result<(), FlashFailed> {
        let asked = Desk::open(Region::new(flash, self.journal)).and_then(|mut desk| {
            desk.request(Request {
                patch_bytes,
                patch_digest,
            })
        });
        Ok(asked?)
    }

    /// What became of the last request, as it is reported; `None` if the updater made the image.
    pub(crate) fn refusal<F: NorFlash>(&self, flash: &RefCell<F>) -> Result<Option<Outcome>, FlashFailed> {
        let ended = Desk::open(Region::new(flash, self.journal))?.last();
        Ok(match ended {
            None | Some(Ended::Done) => None,
            Some(Ended::NoEnvelope | Ended::Signature) => Some(Outcome::RefusedSignature),
            Some(Ended::Class) => Some(Outcome::RefusedClass),
            Some(Ended::Sequence) => Some(Outcome::RefusedSequenceNumber),
            Some(Ended::Predecessor) => Some(Outcome::RefusedPredecessor),
            Some(Ended::OtherPatch) => Some(Outcome::PayloadChanged),
            Some(Ended::UnusablePatch) => Some(Outcome::RefusedUnsupported),
            Some(Ended::OtherBase | Ended::Restored) => Some(Outcome::PatchFailed),
            Some(Ended::NoRoom) => Some(Outcome::NoSpace),
            Some(Ended::NoMemory) => Some(Outcome::DecoderMemory),
        })
    }
}

impl From<Fault> for FlashFailed {
    fn from(_: Fault) -> Self {
        Self
    }
}
