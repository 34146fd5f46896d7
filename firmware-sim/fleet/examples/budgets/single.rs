//! How deep the stack of the bootloader for a single slot goes, which has the updater in it: while an update is made in place, and
//! in recovery.

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{Region, Slot, SlotRegion};
use deltagate_updater::{Desk, Request, SingleSlot};
use fleet::board::Board;
use fleet::factory::{Shipped, flash};
use fleet::firmware::Firmware;
use fleet::sim::{Behaviour, CLASS_ID, Publisher, SignedImage, VENDOR_ID};
use gateway_delta::{Options, Reach, encode};
use sha2::{Digest, Sha256};
use wire_patch::MemoryClass;

use crate::paint::Monitor;
use crate::{device, recovery};

const LAYOUT: SingleSlot = SingleSlot::EMULATED;
/// Less than the room that these images leave in the slot.
const REACH_BYTES: u32 = 16 * 1_024;
/// The stack pointer and the entry, which an image begins with.
const VECTORS_BYTES: usize = 8;

/// Prints both.
pub(crate) fn print() -> Result<(), Box<dyn Error>> {
    let firmware = Firmware::of_checkout(Board::SingleSlot);
    let bootloader = firmware.bootloader(Board::SingleSlot)?;
    let publisher = Publisher::new(1);
    let base = publisher.sign(1, firmware.read("v1.bin")?, Behaviour::Good);
    let mut image = firmware.read("v2.bin")?;
    // It ends where it would be started, lest it uses the same RAM.
    image
        .get_mut(..VECTORS_BYTES)
        .ok_or("v2.bin is no image")?
        .fill(0);
    let target = publisher.sign(2, image, Behaviour::Good);
    let shipped = flash(
        &LAYOUT.two_slots(),
        &Shipped {
            vendor_id: VENDOR_ID,
            class_id: CLASS_ID,
            trust_anchors: &[publisher.anchor()],
            envelope: &base.envelope,
            image: &base.image,
            sequence: 1,
        },
    )?;
    let mut stranded = shipped.bytes().to_vec();
    crate::damage(&LAYOUT.two_slots(), &mut stranded, Slot::A, base.image.len())?;
    let asked = asked(shipped, &base, &target)?;
    println!(
        "single_update_stack_reached {}",
        updating(&bootloader, asked.bytes())?
    );
    let reached = recovery::stack_reached(&bootloader, &stranded, &target)?;
    println!("single_recovery_stack_reached {reached}");
    Ok(())
}

/// A device that fetched `target` and asked for it.
fn asked(flash: SimFlash, base: &SignedImage, target: &SignedImage) -> Result<SimFlash, Box<dyn Error>> {
    let options = Options {
        in_place: Reach::within(REACH_BYTES),
        ..Options::new(MemoryClass::MIN)
    };
    let patch = encode(&base.image, &target.image, &options)?;
    let flash = RefCell::new(flash);
    let staging = SlotRegion::new(Region::new(&flash, LAYOUT.staging));
    let mut padded = patch.clone();
    padded.resize(padded.len().next_multiple_of(4), 0xFF);
    staging.image()?.program(0, &padded)?;
    staging.write_envelope(&target.envelope)?;
    let mut desk =
        Desk::open(Region::new(&flash, LAYOUT.journal)).map_err(|_| "the journal cannot be read")?;
    desk.request(Request {
        patch_bytes: u32::try_from(patch.len())?,
        patch_digest: Sha256::digest(&patch).into(),
    })
    .map_err(|_| "the journal takes no request")?;
    Ok(flash.into_inner())
}

/// The lowest address of the stack that was used until the new image was to be started.
fn updating(bootloader: &Path, flash: &[u8]) -> Result<u64, Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let monitor = Monitor::in_folder(folder.path());
    let mut qemu = device(bootloader, flash, folder.path())?
        .args(monitor.arguments())
        // It stands still when the program resets the device.
        .arg("-no-shutdown")
        .spawn()?;
    let output = qemu.stdout.take().ok_or("QEMU has no output")?;
    let mut said = Vec::new();
    let mut is_there = |words: &str, line: &str| {
        said.push(line.to_owned());
        line.contains(words)
    };
    let mut lines = BufReader::new(output).lines().map_while(Result::ok);
    let updated = lines.any(|line| is_there("update: the new image is in the slot", &line))
        && lines.any(|line| is_there("the image cannot be started", &line));
    let reached = match updated {
        true => monitor.stack_reached(),
        false => Err(format!("the update was not made; it said {said:?}").into()),
    };
    // It may have ended by itself.
    let _ = qemu.kill();
    qemu.wait()?;
    reached
}
