//! The partitions of a device's flash, and the three kinds of offset that must not be mixed up.

/// What a bank of a record log takes on a part with sectors of so many bytes: whole sectors, and room for 32 cells with the
/// widest program unit of 32 bytes.
#[must_use]
pub const fn log_bank_bytes(sector_bytes: u32) -> u32 {
    let cells_bytes = 32 * (64 + 32);
    whole_sectors(cells_bytes, sector_bytes)
}

/// What the sets of trust anchors take on a part with sectors of so many bytes: two copies of the one in force, and one that came in.
#[must_use]
pub const fn anchors_bytes(sector_bytes: u32) -> u32 {
    3 * slot_header_bytes(sector_bytes)
}

/// What a slot's header takes on a part with sectors of so many bytes: whole sectors for the longest envelope.
#[must_use]
pub const fn slot_header_bytes(sector_bytes: u32) -> u32 {
    whole_sectors(crate::slot::WRITTEN_BYTES_MAX, sector_bytes)
}

/// So many bytes, rounded up to sectors. Devices ask this of a layout at run time: sectors of no bytes, which no sound layout
/// has, are no reason to panic.
const fn whole_sectors(bytes: u32, sector_bytes: u32) -> u32 {
    match bytes.checked_next_multiple_of(sector_bytes) {
        Some(whole) => whole,
        None => bytes,
    }
}

/// A range of the flash part, both numbers in bytes and multiples of the sector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partition {
    /// First byte, from the start of the part.
    pub offset: u32,
    /// Length.
    pub bytes: u32,
}

impl Partition {
    /// A partition of `bytes` bytes at `offset`.
    #[must_use]
    pub const fn new(offset: u32, bytes: u32) -> Self {
        Self { offset, bytes }
    }

    const fn end(self) -> u32 {
        self.offset + self.bytes
    }

    const fn is_apart_from(self, other: Self) -> bool {
        self.offset >= other.end() || other.offset >= self.end()
    }
}

/// One of the two places a firmware image can be in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Slot {
    /// The first; the factory image goes here.
    A,
    /// The second.
    B,
}

impl Slot {
    /// Both, in the order in which the bootloader looks at them.
    pub const BOTH: [Self; 2] = [Self::A, Self::B];

    /// The slot this one is not: the spare one of a running image.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::A => Self::B,
            Self::B => Self::A,
        }
    }

    /// 0 for A and 1 for B, as stored.
    #[must_use]
    pub const fn index(self) -> u8 {
        match self {
            Self::A => 0,
            Self::B => 1,
        }
    }

    /// The inverse of [`Slot::index`]; any other number is no slot.
    #[must_use]
    pub const fn from_index(index: u8) -> Option<Self> {
        match index {
            0 => Some(Self::A),
            1 => Some(Self::B),
            _ => None,
        }
    }
}

impl core::fmt::Display for Slot {
    fn fmt(&self, formatter: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::B => "B",
        })
    }
}

/// Bytes from the start of a slot, its header sector included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotOffset(pub u32);

/// Bytes from the first byte of the image in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ImageOffset(pub u32);

/// Where everything is. One value per kind of part, shared by bootloader, agent and simulator.
///
/// ```text
/// provision │ boot log │ journal │ … │ slot A                        │ slot B
/// 1 sector    2 banks    2 banks       header │ image … │ staged patch  the same
/// ```
///
/// A bank is a sector, or several small ones: [`log_bank_bytes`]. So is a header: [`slot_header_bytes`].
///
/// What else the part holds, such as the application's [`Settings`](crate::Settings) and the device's
/// [`Credentials`](crate::Credentials), has no place here: the bootloader need not know it. That it is out of their way, [`Layout::leaves_free`] says.
///
/// A part with room to spare may have a staging area behind the slots; then nothing is staged in a slot, and an image may
/// fill it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// What one erase clears; a multiple of what one program operation writes.
    pub sector_bytes: u32,
    /// Identity and trust anchors, written in the factory. One sector.
    pub provision: Partition,
    /// From which the bootloader decides. Two banks.
    pub boot_log: Partition,
    /// The agent's own log: where a download stands. Two banks.
    pub journal: Partition,
    /// Sets of trust anchors that replace the factory's: [`anchors_bytes`]. `None`: the factory's keys are for life.
    pub anchors: Option<Partition>,
    /// The first slot.
    pub slot_a: Partition,
    /// The second slot; as large as the first.
    pub slot_b: Partition,
    /// Where payloads are staged; `None`: in the free tail of the spare slot.
    pub staging: Option<Partition>,
}

impl Layout {
    /// The 16 MiB part of the emulated Cortex-M board: sectors of 4,096 bytes, 4-byte program unit, two slots of 512 KiB.
    pub const EMULATED: Self = Self {
        sector_bytes: 4096,
        provision: Partition::new(0x0, 0x1000),
        boot_log: Partition::new(0x1000, 0x2000),
        journal: Partition::new(0x3000, 0x2000),
        // What lies between is the application's.
        anchors: Some(Partition::new(0xD000, anchors_bytes(4096))),
        slot_a: Partition::new(0x1_0000, 0x8_0000),
        slot_b: Partition::new(0x9_0000, 0x8_0000),
        staging: None,
    };

    /// The 32 MiB part of the emulated RISC-V board: sectors of 256 KiB, 4-byte program unit, two slots of 1 MiB.
    pub const EMULATED_CFI: Self = Self::packed(0x4_0000, 0x10_0000).with_anchors();

    /// The layout for the emulated part with sectors of this many bytes.
    ///
    /// # Panics
    /// If there is none; in a constant, while compiling.
    #[must_use]
    pub const fn emulated(sector_bytes: usize) -> Self {
        if sector_bytes == Self::EMULATED.sector_bytes as usize {
            Self::EMULATED
        } else if sector_bytes == Self::EMULATED_CFI.sector_bytes as usize {
            Self::EMULATED_CFI
        } else {
            panic!("no emulated part has sectors like that")
        }
    }

    /// The same order with slots of `slot_bytes` packed closely, for tests that want a small part.
    ///
    /// `slot_bytes` is a multiple of `sector_bytes` and more than a slot's header; the caller answers for it.
    #[must_use]
    pub const fn packed(sector_bytes: u32, slot_bytes: u32) -> Self {
        let log_bytes = 2 * log_bank_bytes(sector_bytes);
        let slots = sector_bytes + 2 * log_bytes;
        Self {
            sector_bytes,
            provision: Partition::new(0, sector_bytes),
            boot_log: Partition::new(sector_bytes, log_bytes),
            journal: Partition::new(sector_bytes + log_bytes, log_bytes),
            anchors: None,
            slot_a: Partition::new(slots, slot_bytes),
            slot_b: Partition::new(slots + slot_bytes, slot_bytes),
            staging: None,
        }
    }

    /// The same with a staging area of `bytes`, a multiple of the sector, right behind the slots.
    #[must_use]
    pub const fn with_staging(self, bytes: u32) -> Self {
        Self {
            staging: Some(Partition::new(self.slot_b.end(), bytes)),
            ..self
        }
    }

    /// The same with sets of trust anchors behind everything else.
    #[must_use]
    pub const fn with_anchors(self) -> Self {
        Self {
            anchors: Some(Partition::new(self.end_bytes(), anchors_bytes(self.sector_bytes))),
            ..self
        }
    }

    /// The partition of `slot`.
    #[must_use]
    pub const fn slot(&self, slot: Slot) -> Partition {
        match slot {
            Slot::A => self.slot_a,
            Slot::B => self.slot_b,
        }
    }

    /// The bytes a slot has for an image, and for a staged payload where there is no area for those: all but the header.
    #[must_use]
    pub const fn image_capacity_bytes(&self) -> u32 {
        self.slot_a.bytes - slot_header_bytes(self.sector_bytes)
    }

    /// The bytes from the start of the part to the end of the last partition.
    #[must_use]
    pub const fn end_bytes(&self) -> u32 {
        // Where a device has a single slot, its slot A lies last.
        let (a, b) = (self.slot_a.end(), self.slot_b.end());
        let slots = if a > b { a } else { b };
        let end = match self.staging {
            Some(staging) if staging.end() > slots => staging.end(),
            _ => slots,
        };
        match self.anchors {
            Some(anchors) if anchors.end() > end => anchors.end(),
            _ => end,
        }
    }

    /// Whether `partition` is whole sectors, one at least, that no partition here has a part in: for what the application keeps
    /// in the same part of flash.
    #[must_use]
    pub const fn leaves_free(&self, partition: Partition) -> bool {
        let staging = match self.staging {
            Some(staging) => partition.is_apart_from(staging),
            None => true,
        };
        let anchors = match self.anchors {
            Some(anchors) => partition.is_apart_from(anchors),
            None => true,
        };
        partition.bytes > 0
            && partition.offset.is_multiple_of(self.sector_bytes)
            && partition.bytes.is_multiple_of(self.sector_bytes)
            && partition.is_apart_from(self.provision)
            && partition.is_apart_from(self.boot_log)
            && partition.is_apart_from(self.journal)
            && partition.is_apart_from(self.slot_a)
            && partition.is_apart_from(self.slot_b)
            && staging
            && anchors
    }

    /// Whether every partition is whole sectors, none overlaps the next and the slots are equally large.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let parts = [
            self.provision,
            self.boot_log,
            self.journal,
            self.slot_a,
            self.slot_b,
            match self.staging {
                Some(staging) => staging,
                // Stands in for none: a sector that no rule objects to.
                None => Partition::new(self.slot_b.end(), self.sector_bytes),
            },
        ];
        let mut at = 0;
        let mut i = 0;
        while i < parts.len() {
            let part = parts[i];
            let whole =
                part.offset.is_multiple_of(self.sector_bytes) && part.bytes.is_multiple_of(self.sector_bytes);
            if !whole || part.bytes == 0 || part.offset < at {
                return false;
            }
            at = part.end();
            i += 1;
        }
        let anchors = match self.anchors {
            Some(anchors) => {
                let others = Self {
                    anchors: None,
                    ..*self
                };
                anchors.bytes == anchors_bytes(self.sector_bytes) && others.leaves_free(anchors)
            }
            None => true,
        };
        anchors
            && self.provision.bytes == self.sector_bytes
            && self.boot_log.bytes == 2 * log_bank_bytes(self.sector_bytes)
            && self.journal.bytes == 2 * log_bank_bytes(self.sector_bytes)
            && self.slot_a.bytes == self.slot_b.bytes
            && self.slot_a.bytes > slot_header_bytes(self.sector_bytes)
    }
}

const _: () = assert!(Layout::EMULATED.is_sound());
const _: () = assert!(Layout::EMULATED_CFI.is_sound());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_layout_is_sound_and_overlap_is_noticed() {
        let layout = Layout::packed(4096, 16 * 4096);
        assert!(layout.is_sound());
        assert_eq!(layout.image_capacity_bytes(), 15 * 4096);
        let overlapping = Layout {
            slot_b: layout.slot_a,
            ..layout
        };
        assert!(!overlapping.is_sound());
        let ragged = Layout {
            slot_a: Partition::new(5 * 4096, 16 * 4096 + 4),
            ..layout
        };
        assert!(!ragged.is_sound());
    }

    #[test]
    fn small_sectors_take_several_for_a_log_and_a_header() {
        let layout = Layout::packed(256, 16 * 256);
        assert!(layout.is_sound());
        assert_eq!(
            (layout.boot_log.bytes, layout.journal.bytes),
            (2 * 3_072, 2 * 3_072)
        );
        assert_eq!(layout.image_capacity_bytes(), 16 * 256 - 768);
        assert!(Layout::packed(0x1_0000, 0x2_0000).is_sound());
        assert!(!Layout::packed(256, 768).is_sound(), "no room for an image");
    }

    #[test]
    fn a_staging_area_lies_behind_the_slots() {
        let layout = Layout::packed(4096, 4 * 4096);
        let staged = layout.with_staging(2 * 4096);
        assert!(staged.is_sound());
        assert_eq!(staged.end_bytes(), layout.end_bytes() + 2 * 4096);
        assert!(!layout.with_staging(0).is_sound());
        assert!(!layout.with_staging(100).is_sound());
        let overlapping = Layout {
            staging: Some(layout.slot_b),
            ..layout
        };
        assert!(!overlapping.is_sound());
    }

    #[test]
    fn what_the_application_keeps_is_out_of_the_way() {
        const SECTOR: u32 = 4_096;
        let layout = Layout::EMULATED.with_staging(4 * SECTOR);
        // The hole in front of the slots, and what is behind everything.
        for free in [
            Partition::new(0x5000, 0x8000),
            Partition::new(layout.end_bytes(), SECTOR),
        ] {
            assert!(layout.leaves_free(free), "{free:?}");
        }
        let (Some(staging), Some(anchors)) = (layout.staging, layout.anchors) else {
            panic!()
        };
        let taken = [
            anchors,
            layout.provision,
            layout.boot_log,
            layout.journal,
            layout.slot_a,
            layout.slot_b,
            staging,
        ];
        for part in taken {
            let (first, last) = (part.offset, part.end() - SECTOR);
            for at in [first, last] {
                assert!(!layout.leaves_free(Partition::new(at, SECTOR)), "{part:?}");
            }
        }
        for ragged in [
            Partition::new(0x5000, 0),
            Partition::new(0x5000, 100),
            Partition::new(0x5004, SECTOR),
            Partition::new(0, 0x100_0000),
        ] {
            assert!(!layout.leaves_free(ragged), "{ragged:?}");
        }
    }

    #[test]
    fn slots_are_each_others_other() {
        for slot in Slot::BOTH {
            assert_ne!(slot, slot.other());
            assert_eq!(Slot::from_index(slot.index()), Some(slot));
        }
        assert_eq!(Slot::from_index(2), None);
        assert_eq!(Slot::from_index(0xFF), None);
    }
}
