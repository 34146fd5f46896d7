//! Where a device with a single slot keeps what.

use deltagate_flash::{Layout, Partition, log_bank_bytes, slot_header_bytes};
use wire_patch::CHECKPOINT_STATE_BYTES;

/// The partitions of a device with a single slot. Each is whole sectors; the order is the caller's.
///
/// ```text
/// provision │ boot log │ agent's journal │ journal │ checkpoints │ staging           │ slot
/// 1 sector    2 banks    2 banks           2 banks   two places    envelope │ patch    header │ image … │ room to move
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SingleSlot {
    /// What one erase clears.
    pub sector_bytes: u32,
    /// Identity and trust anchors, written in the factory. One sector.
    pub provision: Partition,
    /// From which the bootloader decides. Two banks.
    pub boot_log: Partition,
    /// The log of the agent in the running firmware; not the updater's business. Two banks.
    pub agent_journal: Partition,
    /// The updater's own log. Two banks.
    pub journal: Partition,
    /// Two places of [`checkpoint_bytes`] each, whole sectors.
    pub checkpoints: Partition,
    /// Like a slot: a header with the new image's envelope, and behind it the patch.
    pub staging: Partition,
    /// A header sector with the envelope, the image, and room for it to move up.
    pub slot: Partition,
}

/// Bytes of a place for checkpoints of a decoder with so much memory, in whole sectors.
#[must_use]
pub const fn checkpoint_bytes(memory_bytes: u32, sector_bytes: u32) -> u32 {
    let bytes = memory_bytes.saturating_add(CHECKPOINT_STATE_BYTES as u32);
    match bytes.checked_next_multiple_of(sector_bytes) {
        Some(bytes) => bytes,
        None => u32::MAX,
    }
}

impl SingleSlot {
    /// That of the emulated Cortex-M board with a single slot: sectors of 4 KiB, 184 KiB in all.
    ///
    /// | partition | from | sectors | |
    /// |---|---|---|---|
    /// | provision | `0x0_0000` | 1 | |
    /// | boot log | `0x0_1000` | 2 | |
    /// | agent's journal | `0x0_3000` | 2 | |
    /// | journal | `0x0_5000` | 2 | |
    /// | checkpoints | `0x0_7000` | 4 | two of a decoder with 4 KiB |
    /// | staging | `0x0_B000` | 5 | patches of up to 16 KiB |
    /// | slot | `0x1_0000` | 30 | 116 KiB for an image and its room to move |
    pub const EMULATED: Self = Self::packed(4_096, 4_096, 16 * 1_024, 30 * 4_096);

    /// All of it packed closely from offset 0 on, for patches of up to `patch_bytes` and decoders of `memory_bytes`, with a slot
    /// of `slot_bytes`, header included.
    #[must_use]
    pub const fn packed(sector_bytes: u32, memory_bytes: u32, patch_bytes: u32, slot_bytes: u32) -> Self {
        let checkpoints = 2 * checkpoint_bytes(memory_bytes, sector_bytes);
        let staging = slot_header_bytes(sector_bytes) + patch_bytes.next_multiple_of(sector_bytes);
        let log = 2 * log_bank_bytes(sector_bytes);
        let at = sector_bytes + 3 * log;
        Self {
            sector_bytes,
            provision: Partition::new(0, sector_bytes),
            boot_log: Partition::new(sector_bytes, log),
            agent_journal: Partition::new(sector_bytes + log, log),
            journal: Partition::new(sector_bytes + 2 * log, log),
            checkpoints: Partition::new(at, checkpoints),
            staging: Partition::new(at + checkpoints, staging),
            slot: Partition::new(at + checkpoints + staging, slot_bytes),
        }
    }

    /// The device as agent and bootloader see it, who know devices with two slots: slot A is the slot, and slot B the staging
    /// area, a header with an envelope and no image behind it, so that nothing ever starts from there. The agent stages payloads
    /// behind that header.
    ///
    /// Slot B is smaller than slot A: this is no layout for a device that has two.
    #[must_use]
    pub const fn two_slots(&self) -> Layout {
        let header = slot_header_bytes(self.sector_bytes);
        Layout {
            sector_bytes: self.sector_bytes,
            provision: self.provision,
            boot_log: self.boot_log,
            journal: self.agent_journal,
            // The updater knows the factory's keys only.
            anchors: None,
            slot_a: self.slot,
            slot_b: self.staging,
            staging: Some(Partition::new(
                self.staging.offset + header,
                self.staging.bytes.saturating_sub(header),
            )),
        }
    }

    /// Sectors that the slot has for an image and its room to move.
    #[must_use]
    pub const fn image_sectors(&self) -> u32 {
        let image_bytes = self
            .slot
            .bytes
            .saturating_sub(slot_header_bytes(self.sector_bytes));
        // Sectors of no bytes are no reason to panic: such a layout is not sound, and never used.
        match image_bytes.checked_div(self.sector_bytes) {
            Some(sectors) => sectors,
            None => 0,
        }
    }

    /// Bytes from the start of the part to the end of the last partition.
    #[must_use]
    pub const fn end_bytes(&self) -> u32 {
        let mut end = 0;
        let parts = self.parts();
        let mut at = 0;
        while at < parts.len() {
            let its = parts[at].offset + parts[at].bytes;
            if its > end {
                end = its;
            }
            at += 1;
        }
        end
    }

    /// Whether every partition is whole sectors and as large as it has to be, and none overlaps another.
    #[must_use]
    pub const fn is_sound(&self) -> bool {
        let parts = self.parts();
        let mut at = 0;
        while at < parts.len() {
            let part = parts[at];
            let whole =
                part.offset.is_multiple_of(self.sector_bytes) && part.bytes.is_multiple_of(self.sector_bytes);
            if !whole || part.bytes < self.sector_bytes {
                return false;
            }
            let mut other = at + 1;
            while other < parts.len() {
                let next = parts[other];
                if part.offset < next.offset + next.bytes && next.offset < part.offset + part.bytes {
                    return false;
                }
                other += 1;
            }
            at += 1;
        }
        let header = slot_header_bytes(self.sector_bytes);
        self.boot_log.bytes == 2 * log_bank_bytes(self.sector_bytes)
            && self.journal.bytes == self.boot_log.bytes
            && self.agent_journal.bytes == self.boot_log.bytes
            && self.checkpoints.bytes.is_multiple_of(2 * self.sector_bytes)
            && self.staging.bytes > header
            && self.slot.bytes > header
    }

    const fn parts(&self) -> [Partition; 7] {
        [
            self.provision,
            self.boot_log,
            self.agent_journal,
            self.journal,
            self.checkpoints,
            self.staging,
            self.slot,
        ]
    }
}

const _: () = assert!(SingleSlot::EMULATED.is_sound());

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_layout_is_sound_and_overlap_is_noticed() {
        let layout = SingleSlot::packed(4_096, 4_096, 10_000, 20 * 4_096);
        assert!(layout.is_sound());
        assert_eq!(
            layout.checkpoints.bytes,
            4 * 4_096,
            "a checkpoint is more than a sector"
        );
        assert_eq!(layout.staging.bytes, 4 * 4_096);
        assert_eq!(layout.image_sectors(), 19);
        assert_eq!(layout.end_bytes(), (7 + 4 + 4 + 20) * 4_096);
        let overlapping = SingleSlot {
            staging: layout.slot,
            ..layout
        };
        assert!(!overlapping.is_sound());
        let ragged = SingleSlot {
            slot: Partition::new(layout.slot.offset, layout.slot.bytes + 4),
            ..layout
        };
        assert!(!ragged.is_sound());
    }

    #[test]
    fn others_see_a_slot_and_a_staging_area() {
        let layout = SingleSlot::EMULATED;
        assert_eq!(layout.end_bytes(), 184 * 1_024);
        let seen = layout.two_slots();
        assert_eq!((seen.slot_a, seen.slot_b), (layout.slot, layout.staging));
        assert_eq!(seen.image_capacity_bytes(), 116 * 1_024);
        assert_eq!(seen.staging, Some(Partition::new(0x0_C000, 16 * 1_024)));
        assert_eq!(
            (seen.journal, layout.journal.offset),
            (layout.agent_journal, 0x5000)
        );
    }
}
