//! Whether an image is one for this device, and a patch one that can be applied in its slot: decided before anything is erased.

use deltagate_flash::{BootLogState, Provision, TRUST_ANCHORS_MAX};
use wire_manifest::{Anchor, TrustAnchors};
use wire_patch::Header;

use crate::journal::Geometry;
use crate::layout::checkpoint_bytes;
use crate::outcome::Outcome;

/// What a trusted key signed for this kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Image {
    /// Decides what is newer.
    pub sequence: u32,
    /// SHA-256.
    pub digest: [u8; 32],
    /// Length.
    pub bytes: u32,
    /// The lowest sequence number that it may follow; 0: any.
    pub predecessor_min: u32,
}

/// Checks signature, vendor and class of an envelope.
pub(crate) fn authenticate(envelope: &[u8], provision: &Provision) -> Result<Image, Outcome> {
    let mut anchors = [Anchor { key: [0; 32] }; TRUST_ANCHORS_MAX];
    let keys = provision.trust_anchors();
    for (anchor, key) in anchors.iter_mut().zip(keys) {
        anchor.key = *key;
    }
    let anchors = TrustAnchors::new(anchors.get(..keys.len()).unwrap_or(&[]));
    let manifest = wire_manifest::verify(envelope, &anchors)?;
    if manifest.vendor_id != provision.vendor_id || manifest.class_id != provision.class_id {
        return Err(Outcome::Class);
    }
    Ok(Image {
        sequence: u32::try_from(manifest.sequence_number).map_err(|_| Outcome::Signature)?,
        digest: manifest.image_digest,
        bytes: manifest.image_size,
        predecessor_min: u32::try_from(manifest.predecessor_min).map_err(|_| Outcome::Signature)?,
    })
}

/// Whether an image may replace the one in the slot.
pub(crate) fn is_newer(image: &Image, running: Option<u32>, boot: &BootLogState) -> bool {
    Some(image.sequence) > boot.confirmed.max(boot.given_up()).max(running)
}

/// Whether an image may follow the one in the slot; without one, the one confirmed last. Asked of updates only: what a technician
/// brings for a slot that holds nothing has no predecessor any more.
pub(crate) fn may_follow(image: &Image, running: Option<u32>, boot: &BootLogState) -> bool {
    image.predecessor_min <= running.or(boot.confirmed).unwrap_or(0)
}

/// Whether an image may fill a slot that has none: the confirmed one may come back.
pub(crate) fn may_restore(image: &Image, boot: &BootLogState) -> bool {
    let sequence = Some(image.sequence);
    sequence == boot.confirmed || sequence > boot.confirmed.max(boot.given_up())
}

/// What a slot and a decoder have to offer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    pub(crate) sector_bytes: u32,
    pub(crate) image_sectors: u32,
    pub(crate) memory_bytes: u32,
    /// Of each of the two places.
    pub(crate) checkpoint_bytes: u32,
}

/// How the slot is used to apply a patch that makes `image`.
///
/// The base moves up as far as the slot allows. What that is more than the patch's reach is the interval, as
/// `wire-patch` explains: the longer, the fewer checkpoints.
pub(crate) fn plan(header: &Header, image: &Image, room: &Room) -> Result<Geometry, Outcome> {
    let sectors = |bytes: u32| {
        let whole = bytes.checked_next_multiple_of(room.sector_bytes);
        let sectors = whole.and_then(|bytes| bytes.checked_div(room.sector_bytes));
        sectors.unwrap_or(u32::MAX)
    };
    let reach = header.in_place.ok_or(Outcome::UnusablePatch)?;
    if header.target_bytes != image.bytes || image.bytes == 0 {
        return Err(Outcome::UnusablePatch);
    }
    let needed = header.memory.bytes();
    if needed > room.memory_bytes || checkpoint_bytes(needed, room.sector_bytes) > room.checkpoint_bytes {
        return Err(Outcome::NoMemory);
    }
    let base = sectors(header.base_bytes);
    let gap = room.image_sectors.checked_sub(base).ok_or(Outcome::NoRoom)?;
    let interval = gap.saturating_sub(sectors(reach.bytes()));
    if interval == 0 || sectors(image.bytes) > room.image_sectors {
        return Err(Outcome::NoRoom);
    }
    Ok(Geometry { base, gap, interval })
}

#[cfg(test)]
mod tests {
    use wire_patch::{MemoryClass, Reach};

    use super::*;

    const ROOM: Room = Room {
        sector_bytes: 4_096,
        image_sectors: 20,
        memory_bytes: 4_096,
        checkpoint_bytes: 8_192,
    };

    const IMAGE: Image = Image {
        sequence: 2,
        digest: [0; 32],
        bytes: 50_000,
        predecessor_min: 0,
    };

    fn header() -> Header {
        Header {
            memory: MemoryClass::MIN,
            target_bytes: 50_000,
            base_bytes: 40_000,
            base_digest_prefix: [0; 8],
            target_crc: 0,
            in_place: Reach::within(12_288),
        }
    }

    #[test]
    fn the_base_moves_as_far_as_it_can() {
        let geometry = Geometry {
            base: 10,
            gap: 10,
            interval: 7,
        };
        assert_eq!(plan(&header(), &IMAGE, &ROOM), Ok(geometry));
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let with = |change: fn(&mut Header)| {
            let mut header = header();
            change(&mut header);
            plan(&header, &IMAGE, &ROOM)
        };
        assert_eq!(with(|header| header.in_place = None), Err(Outcome::UnusablePatch));
        assert_eq!(
            with(|header| header.target_bytes = 49_999),
            Err(Outcome::UnusablePatch)
        );
        assert_eq!(
            with(|header| header.memory = MemoryClass::MAX),
            Err(Outcome::NoMemory)
        );
        assert_eq!(with(|header| header.base_bytes = 100_000), Err(Outcome::NoRoom));
        assert_eq!(
            with(|header| header.in_place = Reach::within(40_960)),
            Err(Outcome::NoRoom)
        );
        assert!(with(|header| header.in_place = Reach::within(36_864)).is_ok());
        let small = Room {
            checkpoint_bytes: 4_096,
            ..ROOM
        };
        assert_eq!(plan(&header(), &IMAGE, &small), Err(Outcome::NoMemory));
        let large = Image {
            bytes: 100_000,
            ..IMAGE
        };
        let mut header = header();
        header.target_bytes = 100_000;
        assert_eq!(plan(&header, &large, &ROOM), Err(Outcome::NoRoom));
    }

    #[test]
    fn only_the_confirmed_image_or_a_newer_one_fills_an_empty_slot() {
        let boot = BootLogState {
            confirmed: Some(5),
            ..BootLogState::default()
        };
        let image = |sequence| Image { sequence, ..IMAGE };
        assert!(!may_restore(&image(4), &boot));
        assert!(may_restore(&image(5), &boot));
        assert!(may_restore(&image(6), &boot));
        assert!(!is_newer(&image(5), None, &boot));
        assert!(is_newer(&image(6), Some(5), &boot));
        assert!(!is_newer(&image(6), Some(6), &boot));
    }
}
