//! What a boot takes on a Cortex-M3, and the agent's start: instructions and stack, counted by QEMU.
//!
//! The firmware `bare.bin` tells what the bootloader left behind, and its own stack after the agent has checked the running
//! image; so do those of agents that have keys ([`oscore`], [`edhoc`]). Two boots: of a confirmed image, and of a trial whose
//! image is damaged, so that both slots are verified. And a device in recovery takes an image ([`recovery`]). The same of a
//! device with a single slot, and an update of it ([`single`]).
//! `scripts/budgets` builds the firmware and prints the tables; the output here is one `name value` a line.

mod edhoc;
mod oscore;
mod paint;
mod recovery;
mod single;

use std::cell::RefCell;
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{BootLog, BootRecord, ImageOffset, Layout, Region, Slot, SlotRegion};
use fleet::board::Board;
use fleet::factory::{Shipped, flash};
use fleet::firmware::Firmware;
use fleet::sim::{Behaviour, CLASS_ID, Publisher, SignedImage, VENDOR_ID};

/// Bytes of the image that boots: what the simulator's firmware weighs with agent and IP stack, rounded up.
const IMAGE_BYTES: usize = 100 * 1024;
/// With `-icount shift=0` an instruction takes a nanosecond, a tick of the board's 25 MHz clock 40.
const INSTRUCTIONS_PER_TICK: u64 = 40;
/// What is measured.
const BOARD: Board = Board::Mps2An385;

fn main() -> Result<(), Box<dyn Error>> {
    let firmware = Firmware::of_checkout(BOARD);
    let publisher = Publisher::new(1);
    let image = image(&firmware, "bare.bin")?;
    let trial = publisher.sign(2, image.clone(), Behaviour::Good);
    let shipped = shipped(&publisher, image)?;
    let [ticks, reached, stack, state] = told(&firmware.bootloader(BOARD)?, shipped.bytes())?;
    println!("image_bytes {IMAGE_BYTES}");
    println!("boot_instructions {}", ticks * INSTRUCTIONS_PER_TICK);
    println!("agent_stack_bytes {stack}");
    println!("agent_state_bytes {state}");
    oscore::print()?;
    edhoc::print()?;

    let mut stranded = shipped.bytes().to_vec();
    damage(&BOARD.layout(), &mut stranded, Slot::A, IMAGE_BYTES)?;
    let damaged = with_damaged_trial(shipped, &trial)?;
    let [ticks, reached_after, ..] = told(&firmware.bootloader(BOARD)?, damaged.bytes())?;
    println!("boot_after_damage_instructions {}", ticks * INSTRUCTIONS_PER_TICK);
    println!("boot_stack_reached {}", reached.min(reached_after));
    let reached = recovery::stack_reached(&firmware.bootloader(BOARD)?, &stranded, &trial)?;
    println!("recovery_stack_reached {reached}");
    single::print()
}

/// An image of the checkout's, as long as the one that it stands for.
fn image(firmware: &Firmware, name: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let mut image = firmware.read(name)?;
    if image.len() > IMAGE_BYTES {
        return Err(format!("{name} is larger than the image it stands for").into());
    }
    image.resize(IMAGE_BYTES, 0);
    Ok(image)
}

/// The flash of a device that leaves the factory with this image.
fn shipped(publisher: &Publisher, image: Vec<u8>) -> Result<SimFlash, Box<dyn Error>> {
    let confirmed = publisher.sign(1, image, Behaviour::Good);
    let shipped = Shipped {
        vendor_id: VENDOR_ID,
        class_id: CLASS_ID,
        trust_anchors: &[publisher.anchor()],
        envelope: &confirmed.envelope,
        image: &confirmed.image,
        sequence: 1,
    };
    Ok(flash(&BOARD.layout(), &shipped)?)
}

/// Makes the image in `slot` of a flash another than was signed.
fn damage(layout: &Layout, flash: &mut [u8], slot: Slot, image_bytes: usize) -> Result<(), Box<dyn Error>> {
    let header_bytes = SlotRegion::<SimFlash>::HEADER_BYTES as usize;
    let at = layout.slot(slot).offset as usize + header_bytes + image_bytes - 1;
    *flash.get_mut(at).ok_or("the slot is outside the flash")? ^= 1;
    Ok(())
}

/// The same device with a trial in slot B whose last byte is another than was signed.
fn with_damaged_trial(flash: SimFlash, trial: &SignedImage) -> Result<SimFlash, Box<dyn Error>> {
    let flash = RefCell::new(flash);
    let layout = BOARD.layout();
    let slot = SlotRegion::new(Region::new(&flash, layout.slot(Slot::B)));
    let mut image = trial.image.clone();
    if let Some(last) = image.last_mut() {
        *last ^= 1;
    }
    slot.program_image(ImageOffset(0), &image)?;
    slot.write_envelope(&trial.envelope)?;
    BootLog::open(Region::new(&flash, layout.boot_log))?.append(BootRecord::Trial {
        sequence: 2,
        slot: Slot::B,
    })?;
    Ok(flash.into_inner())
}

/// What the bare agent says when it has started.
fn told(bootloader: &Path, flash: &[u8]) -> Result<[u64; 4], Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let mut qemu = device(bootloader, flash, folder.path())?
        .args(["-icount", "shift=0,sleep=off", "-monitor", "none"])
        .spawn()?;
    let output = qemu.stdout.take().ok_or("QEMU has no output")?;
    let mut said = Vec::new();
    let mut told = None;
    for line in BufReader::new(output).lines() {
        let line = line?;
        if line.starts_with(TELLING) {
            told = Some(line);
            break;
        }
        said.push(line);
    }
    qemu.kill()?;
    qemu.wait()?;
    let told = told.ok_or_else(|| format!("the device did not start the agent; it said {said:?}"))?;
    numbers(&told)
}

/// What the bare agent's line begins with.
const TELLING: &str = "bare: ";

/// What is in it.
fn numbers(line: &str) -> Result<[u64; 4], Box<dyn Error>> {
    let numbers = line
        .trim_start_matches(TELLING)
        .split(' ')
        .map(|number| u64::from_str_radix(number.trim_start_matches("0x"), 16))
        .collect::<Result<Vec<_>, _>>()?;
    numbers
        .try_into()
        .map_err(|_| "the device told other than four numbers".into())
}

/// A QEMU that runs a device with this flash, kept in `folder`, with the serial line at its input and output.
fn device(bootloader: &Path, flash: &[u8], folder: &Path) -> std::io::Result<Command> {
    let file = folder.join("flash");
    let mut bytes = flash.to_vec();
    bytes.resize(BOARD.flash_file_bytes(), 0xFF);
    std::fs::write(&file, bytes)?;
    let memory = format!(
        "memory-backend-file,id=mem,size=16M,mem-path={},share=on",
        file.display()
    );
    let mut qemu = Command::new(BOARD.qemu());
    qemu.args(["-object", &memory, "-machine"])
        .arg(format!("{BOARD},memory-backend=mem"))
        .args([
            "-nodefaults",
            "-display",
            "none",
            "-serial",
            "stdio",
            "-no-reboot",
        ])
        .arg("-kernel")
        .arg(bootloader)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    Ok(qemu)
}
