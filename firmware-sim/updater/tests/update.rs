//! Updates without power cuts: what becomes of them, what is refused before anything is erased, and what only a whole image mends.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

mod support;

use std::cell::RefCell;

use deltagate_flash::Trial;
use deltagate_flash::sim::SimFlash;
use deltagate_updater::{Desk, Fault, Lost, Outcome, Request, SingleSlot, Status, Updater};
use support::{MEMORY_BYTES, Signed, boot_log, bootable, noise, patch, put, request, run, ship, stage};

const SECTOR: u32 = 4_096;
const LAYOUT: SingleSlot = SingleSlot::packed(SECTOR, 4_096, 3 * SECTOR, 9 * SECTOR);

/// An image, and the next one: something new in front, something gone, something changed.
fn images() -> (Signed, Signed) {
    let base = noise(18_000, 1);
    let mut target = [&noise(1_200, 2), &base[..9_000], &base[9_700..]].concat();
    for at in (0..target.len()).step_by(900) {
        target[at] ^= 0x55;
    }
    (Signed::new(1, &base), Signed::new(2, &target))
}

struct Device {
    flash: RefCell<SimFlash>,
    base: Signed,
    target: Signed,
    patch: Vec<u8>,
}

impl Device {
    fn new() -> Self {
        let (base, target) = images();
        let flash = RefCell::new(SimFlash::from_bytes(vec![0x3C; LAYOUT.end_bytes() as usize]));
        let logs = 0..7 * SECTOR as usize;
        flash.borrow_mut().bytes_mut()[logs].fill(0xFF);
        let region = deltagate_flash::Region::new(&flash, LAYOUT.slot);
        region.erase(0, region.bytes()).unwrap();
        ship(&flash, &LAYOUT, &base);
        let patch = patch(&base.image, &target.image, 4_096);
        Self {
            flash,
            base,
            target,
            patch,
        }
    }

    /// Stages the patch under what `signed` says, asks for it and runs.
    fn update(&self, signed: &Signed) -> Status {
        let asked = stage(&self.flash, &LAYOUT, signed, &self.patch);
        request(&self.flash, LAYOUT, asked);
        run(&self.flash, LAYOUT).unwrap()
    }

    fn slot(&self) -> Vec<u8> {
        let slot = LAYOUT.slot.offset as usize..(LAYOUT.slot.offset + LAYOUT.slot.bytes) as usize;
        self.flash.borrow().bytes()[slot].to_vec()
    }

    fn bootable(&self) -> Option<(u32, Vec<u8>)> {
        bootable(&self.flash, &LAYOUT)
    }
}

#[test]
fn the_new_image_takes_the_place_of_the_old_one_and_is_on_trial() {
    let device = Device::new();
    assert_eq!(device.bootable(), Some((1, device.base.image.clone())));
    assert_eq!(device.update(&device.target), Status::Idle(Some(Outcome::Done)));
    assert_eq!(device.bootable(), Some((2, device.target.image.clone())));
    let boot = boot_log(&device.flash, &LAYOUT);
    let trial = Trial {
        sequence: 2,
        slot: deltagate_flash::Slot::A,
    };
    assert_eq!((boot.confirmed, boot.trial), (Some(1), Some(trial)));
    let before = device.flash.borrow().operations();
    assert_eq!(run(&device.flash, LAYOUT), Ok(Status::Idle(Some(Outcome::Done))));
    assert_eq!(
        device.flash.borrow().operations(),
        before,
        "nothing is left to do"
    );
}

#[test]
fn an_image_that_may_follow_this_one_takes_its_place() {
    let device = Device::new();
    let next = Signed {
        predecessor_min: 1,
        ..device.target.clone()
    };
    assert_eq!(device.update(&next), Status::Idle(Some(Outcome::Done)));
    assert_eq!(device.bootable(), Some((2, next.image)));
}

#[test]
fn what_is_not_for_this_device_is_refused_before_anything_is_erased() {
    let (base, target) = images();
    let refusals: [(Outcome, Signed); 6] = [
        (
            Outcome::Signature,
            Signed {
                key: [8; 32],
                ..target.clone()
            },
        ),
        (
            Outcome::Class,
            Signed {
                class: [3; 16],
                ..target.clone()
            },
        ),
        (
            Outcome::Class,
            Signed {
                vendor: [3; 16],
                ..target.clone()
            },
        ),
        (
            Outcome::Sequence,
            Signed {
                sequence: 1,
                ..target.clone()
            },
        ),
        (
            Outcome::Predecessor,
            Signed {
                sequence: 3,
                predecessor_min: 2,
                ..target.clone()
            },
        ),
        (
            Outcome::UnusablePatch,
            Signed {
                image: target.image[1..].to_vec(),
                ..target.clone()
            },
        ),
    ];
    for (outcome, signed) in refusals {
        let device = Device::new();
        let before = device.slot();
        assert_eq!(device.update(&signed), Status::Idle(Some(outcome)), "{outcome}");
        assert!(device.slot() == before, "{outcome}");
        assert_eq!(device.bootable(), Some((1, base.image.clone())));
    }
}

#[test]
fn a_patch_that_cannot_be_applied_here_is_refused_before_anything_is_erased() {
    let with_patch = |bytes: Vec<u8>| Device {
        patch: bytes,
        ..Device::new()
    };
    let (base, target) = images();
    let ordinary = gateway_delta::encode(
        &base.image,
        &target.image,
        &gateway_delta::Options::new(wire_patch::MemoryClass::MIN),
    );
    let other_base = patch(&noise(18_000, 3), &target.image, 4_096);
    let far = patch(&base.image, &target.image, 4 * SECTOR);
    let class = |exponent| {
        let options = gateway_delta::Options {
            in_place: gateway_delta::Reach::within(4_096),
            ..gateway_delta::Options::new(wire_patch::MemoryClass::from_exponent(exponent).unwrap())
        };
        gateway_delta::encode(&base.image, &target.image, &options).unwrap()
    };
    for (outcome, bytes) in [
        (Outcome::UnusablePatch, ordinary.unwrap()),
        (Outcome::UnusablePatch, b"dG".to_vec()),
        (
            Outcome::OtherBase,
            other_base[..other_base.len().min(12_288)].to_vec(),
        ),
        (Outcome::NoRoom, far),
        (Outcome::NoMemory, class(13)),
    ] {
        let device = with_patch(bytes);
        let before = device.slot();
        assert_eq!(
            device.update(&device.target),
            Status::Idle(Some(outcome)),
            "{outcome}"
        );
        assert!(device.slot() == before, "{outcome}");
    }
}

#[test]
fn a_patch_that_is_not_the_one_asked_for_is_refused() {
    let device = Device::new();
    let asked = stage(&device.flash, &LAYOUT, &device.target, &device.patch);
    request(&device.flash, LAYOUT, asked);
    let at = (LAYOUT.staging.offset + SECTOR) as usize + 40;
    device.flash.borrow_mut().bytes_mut()[at] ^= 1;
    assert_eq!(
        run(&device.flash, LAYOUT),
        Ok(Status::Idle(Some(Outcome::OtherPatch)))
    );
    assert_eq!(device.bootable(), Some((1, device.base.image.clone())));
}

/// A gateway that lies makes a patch with which the digest is wrong: the old image is gone, the new one never starts.
fn lied_to() -> (Device, Status) {
    let mut device = Device::new();
    let mut other = device.target.image.clone();
    other[100] ^= 1;
    device.patch = patch(&device.base.image, &other, 4_096);
    let status = device.update(&device.target);
    (device, status)
}

#[test]
fn a_wrong_result_is_never_started_and_a_whole_image_mends_it() {
    let (device, status) = lied_to();
    assert_eq!(status, Status::NeedsImage(Lost::Digest));
    assert_eq!(device.bootable(), None);
    let mut memory = vec![0; MEMORY_BYTES];
    let mut updater = Updater::open(&device.flash, LAYOUT, &mut memory).unwrap();
    let envelope = |signed: &Signed| signed.envelope();
    let older = Signed::new(0, &device.base.image);
    assert_eq!(updater.offer(&envelope(&older)), Ok(Err(Outcome::Sequence)));
    let forged = Signed {
        key: [8; 32],
        ..device.target.clone()
    };
    assert_eq!(updater.offer(&envelope(&forged)), Ok(Err(Outcome::Signature)));
    assert_eq!(updater.wanted(), None);
    // The confirmed image may come back.
    let image = &device.base.image;
    assert_eq!(updater.offer(&envelope(&device.base)), Ok(Ok(0)));
    for (number, block) in image.chunks(1_000).enumerate() {
        assert_eq!(updater.wanted(), Some(number as u32 * 1_000));
        updater.write(number as u32 * 1_000, block).unwrap();
    }
    assert_eq!(run(&device.flash, LAYOUT), Ok(Status::Idle(Some(Outcome::Done))));
    assert_eq!(device.bootable(), Some((1, image.clone())));
    assert_eq!(boot_log(&device.flash, &LAYOUT).trial, None);
    // And the update is possible again.
    let right = Device {
        patch: patch(&device.base.image, &device.target.image, 4_096),
        ..device
    };
    assert_eq!(right.update(&right.target), Status::Idle(Some(Outcome::Done)));
}

#[test]
fn a_patch_from_nothing_replaces_whatever_is_there() {
    let (_, target) = images();
    let whole = patch(&[], &target.image[..10_000], 4_096);
    let target = Signed::new(2, &target.image[..10_000]);
    let device = Device {
        patch: whole,
        ..Device::new()
    };
    assert_eq!(device.update(&target), Status::Idle(Some(Outcome::Done)));
    assert_eq!(device.bootable(), Some((2, target.image)));
}

/// The bootloader's own recovery writes the slot, and knows nothing of the updater.
#[test]
fn an_image_that_came_another_way_ends_the_fetching() {
    let (device, _) = lied_to();
    let journal = deltagate_flash::Region::new(&device.flash, LAYOUT.journal);
    assert_eq!(Desk::open(journal).unwrap().last(), None);
    let slot = deltagate_flash::Region::new(&device.flash, LAYOUT.slot);
    put(deltagate_flash::SlotRegion::new(slot), &device.base);
    let mut memory = vec![0; MEMORY_BYTES];
    let mut updater = Updater::open(&device.flash, LAYOUT, &mut memory).unwrap();
    updater.restored().unwrap();
    assert_eq!(updater.status(), Status::Idle(Some(Outcome::Restored)));
    assert_eq!(Desk::open(journal).unwrap().last(), Some(Outcome::Restored));
    assert_eq!(device.bootable(), Some((1, device.base.image.clone())));
    updater.restored().unwrap();
}

#[test]
fn one_update_is_asked_for_at_a_time() {
    let device = Device::new();
    let journal = deltagate_flash::Region::new(&device.flash, LAYOUT.journal);
    let asked = stage(&device.flash, &LAYOUT, &device.target, &device.patch);
    let mut desk = Desk::open(journal).unwrap();
    desk.request(asked).unwrap();
    assert_eq!(desk.request(asked), Ok(()), "the same once more");
    let other = Request {
        patch_bytes: asked.patch_bytes + 1,
        ..asked
    };
    assert_eq!(desk.request(other), Err(Fault::Misuse));
}

#[test]
fn a_whole_image_with_another_content_is_not_started_either() {
    let (device, _) = lied_to();
    let mut memory = vec![0; MEMORY_BYTES];
    let mut updater = Updater::open(&device.flash, LAYOUT, &mut memory).unwrap();
    assert_eq!(updater.offer(&device.target.envelope()), Ok(Ok(0)));
    let mut image = device.target.image.clone();
    image[5_000] ^= 1;
    updater.write(0, &image).unwrap();
    assert_eq!(run(&device.flash, LAYOUT), Ok(Status::NeedsImage(Lost::Digest)));
    assert_eq!(device.bootable(), None);
}
