//! What the bootloader tells the image it starts, handed over in RAM that survives the jump.
//!
//! ```text
//! 0 "DGB1"   4 slot u8   5 on trial u8   6 attempt u8   7 0   8 sequence u32   12 crc32 of 0..12
//! ```

use crate::{CRC, Slot, put, word};

/// The handed-over form, in bytes: four words.
pub const BOOT_INFO_BYTES: usize = 16;

const MAGIC: [u8; 4] = *b"DGB1";

/// How the running image was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BootInfo {
    /// Where the running image lies.
    pub slot: Slot,
    /// Whether it still has to be confirmed.
    pub on_trial: bool,
    /// Which start on trial this is, from 1; 0 when not on trial, or on trial as the last resort.
    pub attempt: u8,
    /// Its manifest's sequence number.
    pub sequence: u32,
}

impl BootInfo {
    /// The handed-over form.
    #[must_use]
    pub fn encode(&self) -> [u8; BOOT_INFO_BYTES] {
        let mut bytes = [0; BOOT_INFO_BYTES];
        put(&mut bytes, 0, &MAGIC);
        put(
            &mut bytes,
            4,
            &[self.slot.index(), u8::from(self.on_trial), self.attempt],
        );
        put(&mut bytes, 8, &self.sequence.to_le_bytes());
        let crc = CRC.checksum(&bytes[..12]);
        put(&mut bytes, 12, &crc.to_le_bytes());
        bytes
    }

    /// The inverse of [`BootInfo::encode`]; `None` for RAM that no bootloader wrote.
    #[must_use]
    pub fn decode(bytes: &[u8; BOOT_INFO_BYTES]) -> Option<Self> {
        let sound = bytes[..4] == MAGIC && word(bytes, 12) == CRC.checksum(&bytes[..12]) && bytes[5] <= 1;
        let slot = Slot::from_index(bytes[4]).filter(|_| sound)?;
        Some(Self {
            slot,
            on_trial: bytes[5] == 1,
            attempt: bytes[6],
            sequence: word(bytes, 8),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_damage_is_noticed() {
        let info = BootInfo {
            slot: Slot::B,
            on_trial: true,
            attempt: 2,
            sequence: 0x0102_0304,
        };
        let sound = info.encode();
        assert_eq!(BootInfo::decode(&sound), Some(info));
        for bit in 0..BOOT_INFO_BYTES * 8 {
            let mut bytes = sound;
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(BootInfo::decode(&bytes), None, "bit {bit}");
        }
        assert_eq!(BootInfo::decode(&[0; BOOT_INFO_BYTES]), None);
    }
}
