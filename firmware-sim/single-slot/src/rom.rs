//! Reset to jump.

use core::cell::RefCell;

use board::{Clock, Nor, Once};
use deltagate_bootloader::machine::{Machine, WATCHDOG_MS};
use deltagate_bootloader::recovery::Slots;
use deltagate_bootloader::{BootEvent, Recovery, run};
use deltagate_flash::Layout;
use deltagate_updater::{Fault, SingleSlot, Status, Updater};
use embedded_storage::nor_flash::NorFlash;

const LAYOUT: SingleSlot = SingleSlot::EMULATED;
/// The same, as the bootloader's library sees it.
const SEEN: Layout = LAYOUT.two_slots();
const _: () = assert!(LAYOUT.sector_bytes as usize == Nor::ERASE_SIZE);

/// Memory of the updater's decoder: the smallest class, whose checkpoints take two sectors each.
const DECODER_BYTES: usize = 4_096;
const _: () = assert!(
    LAYOUT.checkpoints.bytes
        >= 2 * deltagate_updater::checkpoint_bytes(DECODER_BYTES as u32, LAYOUT.sector_bytes)
);
static DECODER_MEMORY: Once<[u8; DECODER_BYTES]> = Once::new([0; DECODER_BYTES]);

/// How often the flash may fail in one boot before the update is given up. Giving up costs the image, so it comes only where
/// nothing else is left: a supply that sags has restarted the device long before.
pub(crate) const FAULTS_MAX: u32 = 16;
/// The pause after such a failure, well within the watchdog's time.
const PAUSE_TICKS: u64 = 1_000 * Clock::TICKS_PER_MS;

board::entry!(main);

fn main() -> ! {
    let (mut machine, flash) = Machine::take();
    machine.say(concat!(
        "deltagate bootloader and updater ",
        env!("CARGO_PKG_VERSION")
    ));
    let left_behind = machine.take_left_behind();
    let Some(memory) = DECODER_MEMORY.take() else {
        board::stop()
    };
    machine.watchdog.start(WATCHDOG_MS);
    update(&mut machine, &flash, memory);
    machine.watchdog.feed();
    let boot = match run(&flash, &SEEN, left_behind, &mut |event| machine.tell(&event)) {
        Ok(boot) => boot,
        Err(reason) => {
            machine.listen(&flash, &SEEN, Slots::One, reason);
            machine.restart()
        }
    };
    // Should it not be written, the image that starts cannot ask for an update, and the next boot tries again.
    let _ = Updater::open(&flash, LAYOUT, memory).and_then(|mut updater| updater.restored());
    let is_last_resort = boot.info.on_trial && boot.info.attempt == 0;
    if is_last_resort {
        machine.tell(&BootEvent::Recovery(Recovery::Unproven));
        if machine.listen(&flash, &SEEN, Slots::One, Recovery::Unproven) {
            machine.restart();
        }
    }
    machine.watchdog.feed();
    machine.start(&flash, &SEEN, &boot)
}

/// Lets the updater work until it has nothing to do, or gives the update up.
#[inline(never)]
fn update<F: NorFlash>(machine: &mut Machine, flash: &RefCell<F>, memory: &mut [u8]) {
    for _ in 0..FAULTS_MAX {
        match work(machine, flash, memory) {
            // The bootloader finds it out, too, and says so.
            Ok(()) | Err(Fault::NotProvisioned) => return,
            Err(_) => machine.say("the updater cannot go on, trying again"),
        }
        let since = machine.clock.ticks();
        while machine.clock.ticks() - since < PAUSE_TICKS {
            machine.watchdog.feed();
        }
    }
    machine.say("the updater gives up");
    // If even this cannot be written, the journal is as it was, and the next boot tries again.
    let _ = Updater::open(flash, LAYOUT, memory).and_then(|mut updater| updater.give_up());
}

/// The updater's steps, and a line for each record in its journal.
fn work<F: NorFlash>(machine: &mut Machine, flash: &RefCell<F>, memory: &mut [u8]) -> Result<(), Fault> {
    let mut updater = Updater::open(flash, LAYOUT, memory)?;
    let mut told = None;
    loop {
        let state = updater.journal();
        if told != Some(state) {
            told = Some(state);
            let mut begun = false;
            crate::progress::say(state, &mut |piece| {
                if !core::mem::replace(&mut begun, true) {
                    machine.uart.send(b"update: ");
                }
                machine.uart.send(piece);
            });
            if begun {
                machine.uart.send(b"\n");
            }
        }
        machine.watchdog.feed();
        if updater.status() != Status::Working {
            return Ok(());
        }
        updater.step()?;
    }
}

/// Not linked: no path of this program panics, which `scripts/budgets` checks by its absence.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::reset_after_panic()
}
