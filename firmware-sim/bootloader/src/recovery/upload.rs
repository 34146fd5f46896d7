//! From the pieces of a signed file to a slot that verifies.
//!
//! | state | piece at offset 0 | the piece that is due | another piece |
//! |---|---|---|---|
//! | idle, done | begins a file | - | nothing; says which is due |
//! | head | begins again | goes to [`ReleaseReader`]; with its last byte the envelope is checked, then the slot begun or gone on with | nothing |
//! | image | begins again, or nothing if it is the same file | goes to flash; with its last byte the slot is checked | nothing |
//!
//! The order of flash operations, for sectors of the image counted from 0:
//!
//! 1. erase the header sector; erase sectors 0 and 1; write the envelope; write the recovery mark;
//! 2. program sector n; erase sector n + 2 *before* the first byte of sector n + 1.
//!
//! So at any time from the mark on, the sector being programmed or the one behind it is blank, and everything before the one
//! being programmed is whole: after a power cut the first blank sector is found from the front, and writing goes on with the
//! sector before it, erased again. A sector of an image that is blank by itself costs some sending, never a byte of the image.

use core::cell::RefCell;
use core::fmt;

use deltagate_flash::{
    BootLog, BootRecord, ENVELOPE_BYTES_MAX, FlashError, ImageOffset, Layout, Provision, Region, Slot,
    SlotRegion, TRUST_ANCHORS_MAX,
};
use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};
use wire_manifest::{ReleaseError, ReleaseReader, verify_set};
use wire_smp::ErrorCode;

use crate::anchors::{TAKEN, in_force, receive};
use crate::verify::verify_envelope;
use crate::{Recovery, SlotFault, VerifiedSlot, verify_slot};

/// Programmed at once: a multiple of any program unit, a divisor of any sector.
const PAGE_BYTES: usize = 256;

/// Why a piece of a file was not taken. The upload is over; the next one begins at offset 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UploadFault {
    /// There is no key to check with, or nobody knows what is too old.
    NotReady(Recovery),
    /// Misbehaved: the first piece is without the file's length, or a piece goes beyond it.
    Length,
    /// It is no signed file.
    Release(ReleaseError),
    /// The envelope, or in the end the image, does not verify.
    Slot(SlotFault),
    /// It is signed, and older than the confirmed image; or as old, and that one is there.
    Older,
    /// It is signed and newer, and has to follow a newer image than the confirmed one, which is there.
    Predecessor,
    /// It is signed, and the set of trust anchors in force does not let it in any more.
    Revoked,
    /// There is no image in the file, and no newer set of trust anchors that counts.
    Set,
}

impl UploadFault {
    /// The fault in a clause, as clients are told.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::NotReady(reason) => reason.text(),
            Self::Length => "the length of the file is missing or wrong",
            Self::Release(error) => error.text(),
            Self::Slot(fault) => fault.text(),
            Self::Older => "the image is not newer than the confirmed one",
            Self::Predecessor => "the image has to follow a newer one than the confirmed one",
            Self::Revoked => "the set of keys in force does not let the image in",
            Self::Set => "the file has neither an image nor a newer set of keys for this device",
        }
    }

    /// Which sort it is, as programs are told.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::NotReady(_) => ErrorCode::BadState,
            Self::Length | Self::Release(_) | Self::Set => ErrorCode::Invalid,
            Self::Slot(SlotFault::Size) => ErrorCode::NoMemory,
            Self::Slot(SlotFault::Digest | SlotFault::Header(_) | SlotFault::Changed) => ErrorCode::Corrupt,
            Self::Slot(SlotFault::Flash(_)) => ErrorCode::Unknown,
            Self::Slot(SlotFault::Manifest(_) | SlotFault::Vendor | SlotFault::Class)
            | Self::Older
            | Self::Predecessor
            | Self::Revoked => ErrorCode::AccessDenied,
        }
    }
}

impl From<FlashError> for UploadFault {
    fn from(error: FlashError) -> Self {
        Self::Slot(SlotFault::Flash(error))
    }
}

impl fmt::Display for UploadFault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for UploadFault {}

/// How many places a device has for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slots {
    /// Both: where an image could be started, what is brought goes beside it.
    Two,
    /// Slot A only, and what it holds is written over: behind the layout's slot B is something else.
    One,
}

/// What does not change while the device is in recovery.
pub(super) struct Device<'f, F> {
    pub(super) flash: &'f RefCell<F>,
    pub(super) layout: &'f Layout,
    pub(super) slots: Slots,
    /// `None`: nothing can be checked.
    pub(super) provision: Option<Provision>,
    /// The highest confirmed sequence number, if there is one; or that nobody knows.
    pub(super) confirmed: Result<Option<u32>, Recovery>,
    /// Why it is in recovery.
    pub(super) reason: Recovery,
}

impl<'f, F: NorFlash> Device<'f, F> {
    /// Where the image lies that starts if nobody brings another. It is not touched, and what is brought is put on trial.
    const fn running(&self) -> Option<Slot> {
        match (self.slots, self.reason) {
            (Slots::Two, Recovery::Crashed(slot)) => Some(slot),
            _ => None,
        }
    }

    /// Whether an image may be brought to `slot`. `failed`: where the last one failed.
    fn takes(&self, slot: Slot, failed: Option<Slot>) -> bool {
        match self.slots {
            Slots::Two => Some(slot) != self.running().or(failed),
            Slots::One => slot == Slot::A,
        }
    }

    fn slot(&self, slot: Slot) -> SlotRegion<'f, F> {
        SlotRegion::new(Region::new(self.flash, self.layout.slot(slot)))
    }
}

/// A file on its way to a slot.
pub(super) struct Upload {
    state: State,
    /// What the client calls the file.
    name: Option<[u8; 32]>,
    /// Bytes of the file, and how many of them were taken.
    length: u32,
    offset: u32,
    reader: ReleaseReader,
    /// Where the image goes.
    slot: Slot,
    /// Where the last one failed: perhaps the flash is worn out there, so the next one goes to the other slot.
    failed: Option<Slot>,
    page: [u8; PAGE_BYTES],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Idle,
    Head,
    Image(Writing),
    Done,
}

/// An image being written to [`Upload::slot`].
#[derive(Clone, Copy, PartialEq, Eq)]
struct Writing {
    /// How much of the image was taken, and how much there is, in bytes.
    at: u32,
    bytes: u32,
    /// Sectors of the image before this one were erased since the upload began or went on.
    erased: u32,
}

impl Upload {
    pub(super) const fn new() -> Self {
        Self {
            state: State::Idle,
            name: None,
            length: 0,
            offset: 0,
            reader: ReleaseReader::new(),
            slot: Slot::A,
            failed: None,
            page: [0xFF; PAGE_BYTES],
        }
    }

    /// Takes in a piece and gives the offset of the piece that is due: the file's length once it is whole and verifies.
    pub(super) fn take<F: NorFlash>(
        &mut self,
        device: &Device<'_, F>,
        piece: &wire_smp::Upload<'_>,
    ) -> Result<u32, UploadFault> {
        let taken = self.try_take(device, piece);
        if let Err(fault) = taken {
            if matches!(fault.code(), ErrorCode::Corrupt | ErrorCode::Unknown) {
                self.failed = Some(self.slot);
            }
            self.state = State::Idle;
            self.offset = 0;
        }
        taken
    }

    fn try_take<F: NorFlash>(
        &mut self,
        device: &Device<'_, F>,
        piece: &wire_smp::Upload<'_>,
    ) -> Result<u32, UploadFault> {
        if piece.offset == 0 && !self.is_known(piece) {
            self.length = piece.length.ok_or(UploadFault::Length)?;
            self.name = piece.sha.and_then(|sha| sha.try_into().ok());
            self.offset = 0;
            self.reader = ReleaseReader::new();
            self.state = State::Head;
        }
        if piece.offset != self.offset {
            return Ok(self.offset);
        }
        if piece.data.len() as u64 > u64::from(self.length - self.offset) {
            return Err(UploadFault::Length);
        }
        match self.state {
            State::Idle | State::Done => {}
            State::Head => self.take_head(device, piece.data)?,
            State::Image(writing) => self.take_image(device, writing, piece.data)?,
        }
        Ok(self.offset)
    }

    /// Whether a first piece is of the file of which more was taken already.
    fn is_known(&self, piece: &wire_smp::Upload<'_>) -> bool {
        let same_name = self.name.is_some_and(|name| piece.sha == Some(&name[..]));
        let is_begun = matches!(self.state, State::Image(_) | State::Done);
        is_begun && same_name && piece.length == Some(self.length)
    }

    fn take_head<F: NorFlash>(&mut self, device: &Device<'_, F>, bytes: &[u8]) -> Result<(), UploadFault> {
        let taken = match self.reader.push(bytes) {
            Err(ReleaseError::WithoutImage) => return self.take_set(device),
            pushed => pushed.map_err(UploadFault::Release)?,
        };
        self.offset += taken as u32;
        let Some((envelope, image_bytes)) = self.reader.release() else {
            return match self.offset == self.length {
                true => Err(UploadFault::Release(ReleaseError::NotARelease)),
                false => Ok(()),
            };
        };
        let image = check(device, envelope)?;
        if image.image_bytes != image_bytes || image_bytes != self.length - self.offset {
            return Err(UploadFault::Release(ReleaseError::NotARelease));
        }
        let mut writing = Writing {
            at: 0,
            bytes: image_bytes,
            erased: 0,
        };
        let failed = self.failed;
        let mut slots = Slot::BOTH.into_iter().filter(|&slot| device.takes(slot, failed));
        if let Some(begun) = slots.clone().find(|&slot| is_begun(device.slot(slot), envelope)) {
            self.slot = begun;
            writing.erased = first_unfinished(device.slot(begun), image_bytes)?;
            writing.at = writing.erased * Region::<F>::SECTOR_BYTES;
        } else {
            self.slot = slots.next().unwrap_or(Slot::A);
            let slot = device.slot(self.slot);
            slot.erase_header()?;
            writing.prepare(slot)?;
            slot.write_envelope(envelope)
                .map_err(|fault| UploadFault::Slot(SlotFault::Header(fault)))?;
            slot.mark_recovering()?;
        }
        self.offset += writing.at;
        // What the client sent of the image belongs at its beginning.
        match writing.at {
            0 => self.take_image(device, writing, bytes.get(taken..).unwrap_or_default()),
            _ => {
                self.state = State::Image(writing);
                Ok(())
            }
        }
    }

    /// A file that ends where others have their image: a set of trust anchors, or refused.
    fn take_set<F: NorFlash>(&mut self, device: &Device<'_, F>) -> Result<(), UploadFault> {
        if !TAKEN {
            return Err(UploadFault::Release(ReleaseError::WithoutImage));
        }
        let confirmed = device.confirmed.map_err(UploadFault::NotReady)?;
        let before = device
            .provision
            .as_ref()
            .ok_or(UploadFault::NotReady(Recovery::NotProvisioned))?;
        let mut keys = [[0; 32]; TRUST_ANCHORS_MAX];
        let keys = before.recovery_keys(&mut keys);
        verify_set(self.reader.kept(), &before.class_id, keys, before.recovery_min)
            .ok_or(UploadFault::Set)?;
        receive(device.flash, device.layout, self.reader.kept())?;
        match in_force(device.flash, device.layout, confirmed) {
            Some(provision) if provision.number > before.number => {
                self.offset = self.length;
                self.state = State::Done;
                Ok(())
            }
            _ => Err(UploadFault::Set),
        }
    }

    fn take_image<F: NorFlash>(
        &mut self,
        device: &Device<'_, F>,
        mut writing: Writing,
        bytes: &[u8],
    ) -> Result<(), UploadFault> {
        self.offset += bytes.len() as u32;
        let written = self.write(device.slot(self.slot), &mut writing, bytes);
        self.state = State::Image(writing);
        written?;
        if writing.at == writing.bytes {
            self.finish(device)?;
        }
        Ok(())
    }

    fn write<F: NorFlash>(
        &mut self,
        slot: SlotRegion<'_, F>,
        writing: &mut Writing,
        mut bytes: &[u8],
    ) -> Result<(), FlashError> {
        const { assert!(PAGE_BYTES.is_multiple_of(F::WRITE_SIZE) && F::ERASE_SIZE.is_multiple_of(PAGE_BYTES)) };
        while let Some((&byte, rest)) = bytes.split_first() {
            let in_page = writing.at as usize % PAGE_BYTES;
            if in_page == 0 {
                self.page = [0xFF; PAGE_BYTES];
                writing.prepare(slot)?;
            }
            self.page[in_page] = byte;
            writing.at += 1;
            bytes = rest;
            if in_page + 1 == PAGE_BYTES || writing.at == writing.bytes {
                let used = (in_page + 1).next_multiple_of(F::WRITE_SIZE);
                let page = self.page.get(..used).unwrap_or(&self.page);
                slot.program_image(ImageOffset(writing.at - 1 - in_page as u32), page)?;
            }
        }
        Ok(())
    }

    /// The file is whole: its slot verifies, or is given up.
    fn finish<F: NorFlash>(&mut self, device: &Device<'_, F>) -> Result<(), UploadFault> {
        let provision = device
            .provision
            .ok_or(UploadFault::NotReady(Recovery::NotProvisioned))?;
        let image = match verify_slot(device.flash, device.layout, self.slot, &provision) {
            Ok(image) => image,
            Err(fault) => {
                device.slot(self.slot).erase_header()?;
                return Err(UploadFault::Slot(fault));
            }
        };
        if device.running().is_some() {
            // The boot before settled the log.
            let (sequence, slot) = (image.sequence, image.slot);
            BootLog::open(Region::new(device.flash, device.layout.boot_log))?
                .append(BootRecord::Trial { sequence, slot })
                .map_err(|_| FlashError::Device(NorFlashErrorKind::Other))?;
        }
        self.state = State::Done;
        Ok(())
    }
}

impl Writing {
    /// Before the first byte of a sector: erases it and the one behind it, unless that was done.
    fn prepare<F: NorFlash>(&mut self, slot: SlotRegion<'_, F>) -> Result<(), FlashError> {
        let sector_bytes = Region::<F>::SECTOR_BYTES;
        let wanted = (self.at / sector_bytes + 2).min(self.bytes.div_ceil(sector_bytes));
        while self.erased < wanted {
            slot.erase_image(ImageOffset(self.erased * sector_bytes), sector_bytes)?;
            self.erased += 1;
        }
        Ok(())
    }
}

/// What the envelope says, if it may be written to a slot.
fn check<F: NorFlash>(device: &Device<'_, F>, envelope: &[u8]) -> Result<VerifiedSlot, UploadFault> {
    let confirmed = device.confirmed.map_err(UploadFault::NotReady)?;
    let provision = device
        .provision
        .as_ref()
        .ok_or(UploadFault::NotReady(Recovery::NotProvisioned))?;
    let capacity_bytes = device.layout.image_capacity_bytes();
    let image = verify_envelope(envelope, Slot::A, provision, capacity_bytes).map_err(UploadFault::Slot)?;
    if image.retired {
        return Err(UploadFault::Revoked);
    }
    let least = confirmed.map(|confirmed| confirmed.saturating_add(device.running().is_some().into()));
    if Some(image.sequence) < least {
        return Err(UploadFault::Older);
    }
    // Where nothing starts there is nothing to follow: any image signed for this device beats none.
    if device.running().is_some() && confirmed.is_some_and(|confirmed| confirmed < image.predecessor_min) {
        return Err(UploadFault::Predecessor);
    }
    Ok(image)
}

/// Whether `slot` holds a part of the image of `envelope`, written in recovery.
fn is_begun<F: NorFlash>(slot: SlotRegion<'_, F>, envelope: &[u8]) -> bool {
    let mut buffer = [0; ENVELOPE_BYTES_MAX];
    slot.envelope(&mut buffer) == Ok(envelope) && slot.is_recovering() == Ok(true)
}

/// The sector of the image before the first blank one, or the last.
fn first_unfinished<F: NorFlash>(slot: SlotRegion<'_, F>, image_bytes: u32) -> Result<u32, FlashError> {
    let sector_bytes = Region::<F>::SECTOR_BYTES;
    let image = slot.image()?;
    let mut sector = 0;
    while sector * sector_bytes < image_bytes && !image.is_erased(sector * sector_bytes, sector_bytes)? {
        sector += 1;
    }
    Ok(sector.saturating_sub(1))
}
