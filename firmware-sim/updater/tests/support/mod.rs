//! A device with a single slot: factory, update, power-on.
#![allow(dead_code, reason = "each test file uses its part")]

use std::cell::RefCell;

use deltagate_flash::{BootLog, BootLogState, BootRecord, Provision, Region, SlotRegion};
use deltagate_updater::{Desk, Fault, Request, SingleSlot, Status, Updater};
use ed25519_dalek::{Signer, SigningKey};
use embedded_storage::nor_flash::NorFlash;
use gateway_delta::{Options, Reach, encode};
use sha2::{Digest, Sha256};
use wire_manifest::{Anchor, Release};
use wire_patch::MemoryClass;

pub(crate) const VENDOR: [u8; 16] = [1; 16];
pub(crate) const CLASS: [u8; 16] = [2; 16];
pub(crate) const MEMORY_BYTES: usize = 4_096;

/// What is signed, so that a test can change one thing.
#[derive(Clone)]
pub(crate) struct Signed {
    pub(crate) key: [u8; 32],
    pub(crate) vendor: [u8; 16],
    pub(crate) class: [u8; 16],
    pub(crate) sequence: u32,
    pub(crate) predecessor_min: u32,
    pub(crate) image: Vec<u8>,
}

impl Signed {
    pub(crate) fn new(sequence: u32, image: &[u8]) -> Self {
        Self {
            key: [7; 32],
            vendor: VENDOR,
            class: CLASS,
            sequence,
            predecessor_min: 0,
            image: image.to_vec(),
        }
    }

    pub(crate) fn envelope(&self) -> Vec<u8> {
        let key = SigningKey::from_bytes(&self.key);
        let anchor = Anchor {
            key: key.verifying_key().to_bytes(),
        };
        let release = Release {
            sequence_number: self.sequence.into(),
            vendor_id: self.vendor,
            class_id: self.class,
            image_digest: Sha256::digest(&self.image).into(),
            image_size: self.image.len() as u32,
            predecessor_min: self.predecessor_min.into(),
            text: None,
            image: None,
        };
        let mut buffer = [0; deltagate_flash::ENVELOPE_BYTES_MAX];
        let sign = |bytes: &[u8]| key.sign(bytes).to_bytes();
        release
            .encode(&mut buffer, anchor.key_id(), sign)
            .unwrap()
            .to_vec()
    }
}

/// Bytes that do not compress; the same for the same seed.
pub(crate) fn noise(bytes: usize, seed: u32) -> Vec<u8> {
    let mut x = seed;
    let mut next = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 24) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

/// A patch whose reach is so many bytes.
pub(crate) fn patch(base: &[u8], target: &[u8], reach: u32) -> Vec<u8> {
    let options = Options {
        in_place: Reach::within(reach),
        ..Options::new(MemoryClass::MIN)
    };
    encode(base, target, &options).unwrap()
}

/// Puts a device together that runs `base`, confirmed.
pub(crate) fn ship<F: NorFlash>(flash: &RefCell<F>, layout: &SingleSlot, base: &Signed) {
    let anchors = [SigningKey::from_bytes(&[7; 32]).verifying_key().to_bytes()];
    let provision = Provision::new(VENDOR, CLASS, &anchors).unwrap();
    provision.write(Region::new(flash, layout.provision)).unwrap();
    put(SlotRegion::new(Region::new(flash, layout.slot)), base);
    let confirmed = BootRecord::Confirmed {
        sequence: base.sequence,
    };
    BootLog::open(Region::new(flash, layout.boot_log))
        .unwrap()
        .append(confirmed)
        .unwrap();
}

/// Writes an image and its envelope.
pub(crate) fn put<F: NorFlash>(slot: SlotRegion<'_, F>, signed: &Signed) {
    place(slot, &signed.envelope(), &signed.image);
}

/// Stages a patch and asks for it.
pub(crate) fn stage<F: NorFlash>(
    flash: &RefCell<F>,
    layout: &SingleSlot,
    target: &Signed,
    patch: &[u8],
) -> Request {
    let staging = SlotRegion::new(Region::new(flash, layout.staging));
    place(staging, &target.envelope(), patch);
    Request {
        patch_bytes: patch.len() as u32,
        patch_digest: Sha256::digest(patch).into(),
    }
}

fn place<F: NorFlash>(slot: SlotRegion<'_, F>, envelope: &[u8], bytes: &[u8]) {
    let image = slot.image().unwrap();
    let mut padded = bytes.to_vec();
    padded.resize(padded.len().next_multiple_of(F::WRITE_SIZE), 0xFF);
    image
        .erase(
            0,
            (padded.len() as u32).next_multiple_of(Region::<F>::SECTOR_BYTES),
        )
        .unwrap();
    image.program(0, &padded).unwrap();
    slot.erase_header().unwrap();
    slot.write_envelope(envelope).unwrap();
}

/// Power on: the updater works until it has nothing to do, or until the flash fails.
pub(crate) fn run<F: NorFlash>(flash: &RefCell<F>, layout: SingleSlot) -> Result<Status, Fault> {
    run_with(flash, layout, MEMORY_BYTES)
}

/// The same, with so much memory for the decoder.
pub(crate) fn run_with<F: NorFlash>(
    flash: &RefCell<F>,
    layout: SingleSlot,
    memory_bytes: usize,
) -> Result<Status, Fault> {
    // What memory holds after a power cut is anything.
    let mut memory = vec![0xA5; memory_bytes];
    let mut updater = Updater::open(flash, layout, &mut memory)?;
    loop {
        match updater.step()? {
            Status::Working => {}
            status => return Ok(status),
        }
    }
}

/// Asks for what was staged.
pub(crate) fn request<F: NorFlash>(flash: &RefCell<F>, layout: SingleSlot, request: Request) {
    let journal = Region::new(flash, layout.journal);
    Desk::open(journal).unwrap().request(request).unwrap();
}

pub(crate) fn boot_log<F: NorFlash>(flash: &RefCell<F>, layout: &SingleSlot) -> BootLogState {
    BootLog::open(Region::new(flash, layout.boot_log))
        .unwrap()
        .state()
}

/// What a bootloader would make of the slot: the sequence number and the image, if they may run.
pub(crate) fn bootable<F: NorFlash>(flash: &RefCell<F>, layout: &SingleSlot) -> Option<(u32, Vec<u8>)> {
    let provision = Provision::read(Region::new(flash, layout.provision)).unwrap();
    let slot = deltagate_flash::Slot::A;
    let verified = deltagate_bootloader::verify_slot(flash, &layout.two_slots(), slot, &provision).ok()?;
    let mut image = vec![0; verified.image_bytes as usize];
    SlotRegion::new(Region::new(flash, layout.slot))
        .read_image(deltagate_flash::ImageOffset(0), &mut image)
        .unwrap();
    Some((verified.sequence, image))
}
