//! Whom the device believes: the factory's keys, or a set that took their place. `docs/anchors.md` has the rules.
//!
//! | copies A, B of the set in force | came in | in force |
//! |---|---|---|
//! | none was ever there | nothing, or what the keys in force did not sign | the factory's |
//! | at least one verifies | the same | the newer one; the other copy is written anew if it is not the same |
//! | any | a newer set, under which the confirmed image starts | what came in; both copies are written |
//! | any | a newer set, under which it does not | as if nothing had come in; it stays there, until an image has come that starts |
//! | neither verifies, and one is not blank | nothing | the factory's, and the boot is told: only the confirmed image starts |
//!
//! A copy is a slot's header, with the set's envelope. Copies are written one after the other, never that one first without which only one
//! would be left; what came in is erased at last. So with the power going away at any time the old set is there or the new one.

use core::cell::RefCell;

use deltagate_flash::{
    ENVELOPE_BYTES_MAX, FlashError, Layout, Provision, Region, Slot, SlotHeaderFault, SlotRegion,
};
use embedded_storage::nor_flash::NorFlash;
use wire_manifest::{ANCHORS_MAX, AnchorSet, Roles, verify_set};

use crate::verify_slot;

/// Without it the factory's keys are for life, whatever the layout, and none of this is linked.
pub(crate) const TAKEN: bool = cfg!(feature = "anchors");
/// Where an envelope lies that came in; before it are the two copies.
const CAME_IN: u32 = 2;

/// Puts an envelope where [`settle`] looks for one, unchecked.
///
/// # Errors
/// The flash's, or there is no such place.
pub(crate) fn receive<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    envelope: &[u8],
) -> Result<(), FlashError> {
    let partition = layout.anchors.ok_or(FlashError::OutOfBounds)?;
    let place = place(Region::new(flash, partition), CAME_IN)?;
    place.erase_header()?;
    place
        .write_envelope(envelope)
        .map_err(|_| FlashError::OutOfBounds)
}

/// Whom the device believes in recovery; `None`: it is not provisioned.
pub(crate) fn in_force<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    confirmed: Option<u32>,
) -> Option<Provision> {
    let mut provision = Provision::read(Region::new(flash, layout.provision)).ok()?;
    settle(flash, layout, &mut provision, confirmed);
    Some(provision)
}

/// Reads which set is in force, takes a newer one that came in, and mends the copies. `provision` is what the factory wrote, and then
/// has the keys in force. Whether both copies of a set are lost.
// Not inlined: a boot that goes on does without its memory.
#[inline(never)]
pub(crate) fn settle<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &Layout,
    provision: &mut Provision,
    confirmed: Option<u32>,
) -> bool {
    let Some(partition) = layout.anchors.filter(|_| TAKEN) else {
        return false;
    };
    let factory = *provision;
    let places = Places {
        region: Region::new(flash, partition),
        factory: &factory,
    };
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    let mut copies = [0; 2];
    let (mut newest, mut is_damaged) = (0, false);
    for (nth, number) in (0..).zip(&mut copies) {
        match places.read(nth, &factory, &mut buffer) {
            Ok((set, _)) => {
                *number = set.number;
                if set.number > provision.number {
                    newest = nth;
                    places.put(&set, provision);
                }
            }
            Err(is_blank) => is_damaged |= !is_blank,
        }
    }
    is_damaged &= provision.number == 0;
    let mut is_whole = copies == [provision.number; 2];
    if let Ok((set, _)) = places.read(CAME_IN, provision, &mut buffer) {
        let mut under = factory;
        places.put(&set, &mut under);
        let starts = |provision: &Provision| {
            Slot::BOTH.into_iter().any(|slot| {
                let image = verify_slot(flash, layout, slot, provision);
                image.is_ok_and(|image| Some(image.sequence) == confirmed)
            })
        };
        if under.number > provision.number && (starts(&under) || !starts(provision)) {
            (*provision, newest, is_damaged, is_whole) = (under, CAME_IN, false, false);
        }
        // The same number once more: the power went away before both copies were firm, whatever they read now.
        is_whole &= under.number != provision.number;
    }
    if !is_whole && let Ok((_, envelope)) = places.read(newest, &factory, &mut buffer) {
        places.keep(copies, envelope);
    }
    is_damaged
}

fn place<F: NorFlash>(region: Region<'_, F>, nth: u32) -> Result<SlotRegion<'_, F>, FlashError> {
    let bytes = SlotRegion::<F>::HEADER_BYTES;
    Ok(SlotRegion::new(region.sub(nth * bytes, bytes)?))
}

/// The three places, and the keys of the factory.
struct Places<'f, F> {
    region: Region<'f, F>,
    factory: &'f Provision,
}

impl<'f, F: NorFlash> Places<'f, F> {
    fn place(&self, nth: u32) -> Result<SlotRegion<'f, F>, FlashError> {
        place(self.region, nth)
    }

    /// The set in this place, which the recovery keys of `before` signed, and its envelope; or whether the place is blank.
    #[inline(never)]
    fn read<'b>(
        &self,
        nth: u32,
        before: &Provision,
        into: &'b mut [u8; ENVELOPE_BYTES_MAX],
    ) -> Result<(AnchorSet<'b>, &'b [u8]), bool> {
        let place = self.place(nth).map_err(|_| false)?;
        let envelope = place
            .envelope(into)
            .map_err(|fault| fault == SlotHeaderFault::Blank)?;
        let mut keys = [[0; 32]; ANCHORS_MAX];
        let keys = before.recovery_keys(&mut keys);
        let set = verify_set(envelope, &before.class_id, keys, before.recovery_min);
        Ok((set.ok_or(false)?, envelope))
    }

    /// Puts the keys of `set` into `provision`. Of its recovery keys those count that the factory wrote.
    #[inline(never)]
    fn put(&self, set: &AnchorSet<'_>, provision: &mut Provision) {
        let factory = self.factory.trust_anchors();
        let keys = set.keys().map(|(roles, key)| {
            let is_recovery = roles.has(Roles::RECOVERY) && factory.contains(key);
            (roles.rank(), is_recovery, key)
        });
        provision.replace_keys(keys);
        (provision.number, provision.sequence_max) = (set.number, set.sequence_max);
        (provision.release_min, provision.recovery_min) = (set.release_min, set.recovery_min);
    }

    /// Writes both copies, first the one that is lost, or else the newer: then the other one is whole meanwhile. On a part that fails
    /// one of them is as it was.
    fn keep(&self, [a, b]: [u16; 2], envelope: &[u8]) {
        let first = u32::from(a != 0 && (b == 0 || a <= b));
        let mut buffer = [0; ENVELOPE_BYTES_MAX];
        for nth in [first, 1 - first] {
            if self.write(nth, envelope, &mut buffer) != Ok(true) {
                return;
            }
        }
        // One that is not erased is looked at again at the next boot, and is not newer then.
        if let Ok(place) = self.place(CAME_IN) {
            let _ = place.erase_header();
        }
    }

    /// Whether `envelope` is in this place now.
    fn write(
        &self,
        nth: u32,
        envelope: &[u8],
        buffer: &mut [u8; ENVELOPE_BYTES_MAX],
    ) -> Result<bool, SlotHeaderFault> {
        let place = self.place(nth)?;
        place.erase_header()?;
        place.write_envelope(envelope)?;
        Ok(place.envelope(buffer)? == envelope)
    }
}

#[cfg(test)]
mod tests;
