//! A firmware slot: header sector, image, free tail.
//!
//! ```text
//! header   "DGS1"  envelope length u32  crc32 of length and envelope  envelope …  0xFF…  recovery mark: one sector, or several small ones
//! image    from the next sector on
//! tail     ends at the slot's end; a patch is staged there while the image before it is written
//! ```
//!
//! The recovery mark is the last program unit of the header, not erased: the image is the one of the envelope as far
//! as it goes, written from the front by the bootloader in recovery, and may be unfinished.

use core::fmt;

use embedded_storage::nor_flash::NorFlash;

use crate::layout::slot_header_bytes;
use crate::{CRC, FlashError, ImageOffset, Region, SlotOffset, put, word};

/// The longest envelope a device stores or receives: the profile's manifest is about 200 bytes and a COSE_Sign1
/// with one Ed25519 signature about 110, so this leaves room for as much again.
pub const ENVELOPE_BYTES_MAX: usize = 512;

const HEADER_BYTES: usize = 12;
const MAGIC: [u8; 4] = *b"DGS1";
/// The largest program unit of a part.
const PROGRAM_BYTES_MAX: usize = 64;
/// Programmed at once: header and envelope, padded up to a multiple of any program unit.
const PROGRAMMED_BYTES_MAX: usize = (HEADER_BYTES + ENVELOPE_BYTES_MAX).next_multiple_of(PROGRAM_BYTES_MAX);
/// What there must be room for: that, and the recovery mark.
pub(crate) const WRITTEN_BYTES_MAX: u32 = (PROGRAMMED_BYTES_MAX + PROGRAM_BYTES_MAX) as u32;

/// Why a slot has no readable envelope.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SlotHeaderFault {
    /// Erased: nothing was ever put there, or an update has just begun.
    Blank,
    /// Something is there that was not written whole.
    Torn,
    /// Misuse: an envelope longer than [`ENVELOPE_BYTES_MAX`] was to be written.
    TooLong,
    /// The flash failed.
    Flash(FlashError),
}

impl From<FlashError> for SlotHeaderFault {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl SlotHeaderFault {
    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::Blank => "the slot is blank",
            Self::Torn => "the slot header is torn",
            Self::TooLong => "the envelope does not fit a slot header",
            Self::Flash(error) => error.text(),
        }
    }
}

impl fmt::Display for SlotHeaderFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for SlotHeaderFault {}

/// A slot's partition, seen as header, image and tail.
pub struct SlotRegion<'f, F> {
    region: Region<'f, F>,
}

impl<F> Clone for SlotRegion<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for SlotRegion<'_, F> {}

impl<'f, F: NorFlash> SlotRegion<'f, F> {
    /// What the header takes, in bytes: whole sectors.
    pub const HEADER_BYTES: u32 = slot_header_bytes(Region::<F>::SECTOR_BYTES);

    /// The slot that `region` holds, longer than its header.
    #[must_use]
    pub const fn new(region: Region<'f, F>) -> Self {
        Self { region }
    }

    /// The bytes for image and staged patch together.
    #[must_use]
    pub const fn capacity_bytes(&self) -> u32 {
        self.region.bytes().saturating_sub(Self::HEADER_BYTES)
    }

    /// The image and the tail as one region: offset 0 is the image's first byte.
    ///
    /// # Errors
    /// [`FlashError::OutOfBounds`] if the slot is smaller than its header.
    pub fn image(&self) -> Result<Region<'f, F>, FlashError> {
        self.region.sub(Self::HEADER_BYTES, self.capacity_bytes())
    }

    /// Where in the slot a byte of the image lies.
    #[must_use]
    pub const fn place(at: ImageOffset) -> SlotOffset {
        SlotOffset(at.0.saturating_add(Self::HEADER_BYTES))
    }

    /// Reads from the image.
    ///
    /// # Errors
    /// As [`Region::read`].
    pub fn read_image(&self, at: ImageOffset, into: &mut [u8]) -> Result<(), FlashError> {
        self.region.read(Self::place(at).0, into)
    }

    /// Programs a part of the image, where it is erased.
    ///
    /// # Errors
    /// As [`Region::program`].
    pub fn program_image(&self, at: ImageOffset, bytes: &[u8]) -> Result<(), FlashError> {
        self.region.program(Self::place(at).0, bytes)
    }

    /// Erases whole sectors of image or tail.
    ///
    /// # Errors
    /// As [`Region::erase`].
    pub fn erase_image(&self, at: ImageOffset, bytes: u32) -> Result<(), FlashError> {
        self.region.erase(Self::place(at).0, bytes)
    }

    /// The envelope in the header, read into `into` and checked against its CRC.
    ///
    /// # Errors
    /// [`SlotHeaderFault`] says whether nothing is there or something torn.
    pub fn envelope<'b>(&self, into: &'b mut [u8; ENVELOPE_BYTES_MAX]) -> Result<&'b [u8], SlotHeaderFault> {
        let mut header = [0; HEADER_BYTES];
        self.region.read(0, &mut header)?;
        if header == [0xFF; HEADER_BYTES] {
            return Err(SlotHeaderFault::Blank);
        }
        let envelope = into
            .get_mut(..word(&header, 4) as usize)
            .ok_or(SlotHeaderFault::Torn)?;
        self.region.read(HEADER_BYTES as u32, envelope)?;
        if header[..4] == MAGIC && word(&header, 8) == checksum(envelope) {
            Ok(envelope)
        } else {
            Err(SlotHeaderFault::Torn)
        }
    }

    /// Writes the header, which must be erased.
    ///
    /// # Errors
    /// [`SlotHeaderFault::TooLong`], or the flash's.
    pub fn write_envelope(&self, envelope: &[u8]) -> Result<(), SlotHeaderFault> {
        let mut bytes = [0xFF; PROGRAMMED_BYTES_MAX];
        if envelope.len() > ENVELOPE_BYTES_MAX {
            return Err(SlotHeaderFault::TooLong);
        }
        put(&mut bytes, 0, &MAGIC);
        put(&mut bytes, 4, &(envelope.len() as u32).to_le_bytes());
        put(&mut bytes, 8, &checksum(envelope).to_le_bytes());
        put(&mut bytes, HEADER_BYTES, envelope);
        let length = (HEADER_BYTES + envelope.len()).next_multiple_of(F::WRITE_SIZE);
        Ok(self.region.program(0, &bytes[..length])?)
    }

    /// Marks the image as being written by the bootloader in recovery. Once per erased header.
    ///
    /// # Errors
    /// As [`Region::program`].
    pub fn mark_recovering(&self) -> Result<(), FlashError> {
        let unit = [0; PROGRAM_BYTES_MAX];
        let (unit, _) = unit.split_at(Self::MARK_BYTES as usize);
        self.region.program(Self::MARK_AT, unit)
    }

    /// Whether that mark is there.
    ///
    /// # Errors
    /// As [`Region::read`].
    pub fn is_recovering(&self) -> Result<bool, FlashError> {
        Ok(!self.region.is_erased(Self::MARK_AT, Self::MARK_BYTES)?)
    }

    const MARK_BYTES: u32 = {
        assert!(F::WRITE_SIZE <= PROGRAM_BYTES_MAX && F::WRITE_SIZE <= F::ERASE_SIZE);
        Region::<F>::PROGRAM_BYTES
    };
    const MARK_AT: u32 = Self::HEADER_BYTES - Self::MARK_BYTES;

    /// Erases the header: from then on the slot is blank, whatever image bytes are left.
    ///
    /// # Errors
    /// As [`Region::erase`].
    pub fn erase_header(&self) -> Result<(), FlashError> {
        self.region.erase(0, Self::HEADER_BYTES)
    }
}

fn checksum(envelope: &[u8]) -> u32 {
    let mut digest = CRC.digest();
    digest.update(&(envelope.len() as u32).to_le_bytes());
    digest.update(envelope);
    digest.finalize()
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;

    use super::*;
    use crate::sim::{SimFlash, explore_power_cuts};
    use crate::{Layout, Slot};

    const LAYOUT: Layout = Layout::packed(4096, 3 * 4096);

    fn blank() -> SimFlash {
        SimFlash::new(LAYOUT.end_bytes())
    }

    #[test]
    fn an_envelope_of_any_length_up_to_the_limit_comes_back() {
        for length in [0, 1, 3, 4, 5, 300, ENVELOPE_BYTES_MAX] {
            let flash = RefCell::new(blank());
            let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot(Slot::B)));
            let envelope: std::vec::Vec<u8> = (0..length).map(|i| i as u8).collect();
            assert_eq!(
                slot.envelope(&mut [0; ENVELOPE_BYTES_MAX]),
                Err(SlotHeaderFault::Blank)
            );
            slot.write_envelope(&envelope).unwrap();
            assert_eq!(slot.envelope(&mut [0; ENVELOPE_BYTES_MAX]), Ok(&envelope[..]));
            slot.erase_header().unwrap();
            assert_eq!(
                slot.envelope(&mut [0; ENVELOPE_BYTES_MAX]),
                Err(SlotHeaderFault::Blank)
            );
        }
    }

    #[test]
    fn an_envelope_over_the_limit_writes_nothing() {
        let flash = RefCell::new(blank());
        let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot_a));
        assert_eq!(
            slot.write_envelope(&[0; ENVELOPE_BYTES_MAX + 1]),
            Err(SlotHeaderFault::TooLong)
        );
        assert_eq!(flash.borrow().operations(), 0);
    }

    #[test]
    fn a_header_claiming_a_huge_envelope_is_torn() {
        let flash = RefCell::new(blank());
        let region = Region::new(&flash, LAYOUT.slot_a);
        region.program(0, b"DGS1\xFF\xFF\xFF\xFF\0\0\0\0").unwrap();
        let read = SlotRegion::new(region)
            .envelope(&mut [0; ENVELOPE_BYTES_MAX])
            .map(<[u8]>::len);
        assert_eq!(read, Err(SlotHeaderFault::Torn));
    }

    #[test]
    fn a_cut_leaves_the_whole_envelope_or_none() {
        let envelope = [0x5A; 301];
        let every_byte: std::vec::Vec<u32> = (0..320).collect();
        let mut whole = 0;
        explore_power_cuts(
            &blank(),
            &every_byte,
            |flash| {
                let cell = RefCell::new(flash);
                let _ = SlotRegion::new(Region::new(&cell, LAYOUT.slot_a)).write_envelope(&envelope);
            },
            |flash, _| {
                let cell = RefCell::new(flash);
                let slot = SlotRegion::new(Region::new(&cell, LAYOUT.slot_a));
                match slot.envelope(&mut [0; ENVELOPE_BYTES_MAX]) {
                    Ok(read) => {
                        assert_eq!(read, envelope);
                        whole += 1;
                    }
                    Err(fault) => assert!(matches!(fault, SlotHeaderFault::Blank | SlotHeaderFault::Torn)),
                }
            },
        );
        assert!(whole > 0, "the uncut run counts too");
    }

    #[test]
    fn the_recovery_mark_lives_with_the_header() {
        let flash = RefCell::new(blank());
        let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot_a));
        slot.write_envelope(&[0; ENVELOPE_BYTES_MAX]).unwrap();
        assert_eq!(slot.is_recovering(), Ok(false));
        slot.mark_recovering().unwrap();
        assert_eq!(slot.is_recovering(), Ok(true));
        assert_eq!(
            slot.envelope(&mut [0; ENVELOPE_BYTES_MAX]),
            Ok(&[0; ENVELOPE_BYTES_MAX][..])
        );
        slot.erase_header().unwrap();
        assert_eq!(slot.is_recovering(), Ok(false));
    }

    #[test]
    fn the_image_begins_behind_the_header() {
        let flash = RefCell::new(blank());
        let slot = SlotRegion::new(Region::new(&flash, LAYOUT.slot_a));
        slot.program_image(ImageOffset(8), b"wxyz").unwrap();
        assert_eq!(slot.capacity_bytes(), LAYOUT.image_capacity_bytes());
        let mut read = [0; 4];
        slot.image().unwrap().read(8, &mut read).unwrap();
        assert_eq!(&read, b"wxyz");
        assert_eq!(
            flash.borrow().bytes()[LAYOUT.slot_a.offset as usize + 4096 + 8..][..4],
            *b"wxyz"
        );
        assert_eq!(
            slot.program_image(ImageOffset(u32::MAX - 3), b"wxyz"),
            Err(FlashError::OutOfBounds)
        );
    }
}
