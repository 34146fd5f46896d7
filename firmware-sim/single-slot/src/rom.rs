//! Reset to jump.

use core::cell::RefCell;

use board::{Board, Clock, Nor, Once, Uart, Unstartable, Watchdog};
use deltagate_bootloader::recovery::{RecoveryEffect, RecoveryServer};
use deltagate_bootloader::{Boot, Recovery, run};
use deltagate_flash::{BootLog, FlashError, ImageOffset, Layout, Region, RevertReason, SlotRegion};
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

/// How long application and updater may go without feeding the watchdog. A step of their work takes milliseconds; the rest is
/// for an emulator on a busy host.
const WATCHDOG_MS: u32 = 8_000;
/// How often the flash may fail in one boot before the update is given up. Giving up costs the image, so it comes only where
/// nothing else is left: a supply that sags has restarted the device long before.
pub(crate) const FAULTS_MAX: u32 = 16;
/// The pause after such a failure, well within the watchdog's time.
const PAUSE_TICKS: u64 = 1_000 * Clock::TICKS_PER_MS;
/// How long recovery hears nothing before it ends: as the bootloader's for two slots.
const LISTEN_TICKS: u64 = 120_000 * Clock::TICKS_PER_MS;
/// The same before an image that crashed, or never proved itself, starts again: a client that asks every second, as
/// `deltagate device recover` does, is heard.
const LISTEN_BRIEFLY_TICKS: u64 = 10_000 * Clock::TICKS_PER_MS;

/// How much of the image is on the stack at a time while it is copied.
const LOADED_AT_ONCE_BYTES: usize = 256;

board::entry!(main);

fn main() -> ! {
    let Some(mut board) = Board::take() else {
        board::stop()
    };
    let uart = &mut board.uart;
    say(
        uart,
        concat!("deltagate bootloader and updater ", env!("CARGO_PKG_VERSION")),
    );
    let left_behind = board
        .handover
        .take_left_behind()
        .and_then(RevertReason::from_code);
    let flash = RefCell::new(board.flash);
    let Some(memory) = DECODER_MEMORY.take() else {
        board::stop()
    };
    board.watchdog.start(WATCHDOG_MS);
    update(&flash, memory, uart, &mut board.clock, &mut board.watchdog);
    board.watchdog.feed();
    // What the bootloader makes of a crash is the end of a trial; any other one is for the technician, below.
    let (counted, crashed) = match is_on_trial(&flash) {
        true => (left_behind, None),
        false => (None, left_behind),
    };
    let outcome = run(&flash, &SEEN, counted, &mut |event| {
        uart.send(b"boot: ");
        event.say(&mut |piece| uart.send(piece));
        uart.send(b"\n");
    });
    let boot = match outcome {
        Ok(boot) => boot,
        Err(reason) => {
            listen(
                &flash,
                reason,
                LISTEN_TICKS,
                uart,
                &mut board.clock,
                &mut board.watchdog,
            );
            say(uart, "restarting");
            board::reset();
        }
    };
    // Should it not be written, the image that starts cannot ask for an update, and the next boot tries again.
    let _ = Updater::open(&flash, LAYOUT, memory).and_then(|mut updater| updater.restored());
    let last_resort = boot.info.on_trial && boot.info.attempt == 0;
    if last_resort || crashed.is_some() {
        if let Some(reason) = crashed {
            say(uart, "the last run ended with:");
            say(uart, reason.text());
        }
        let (clock, watchdog) = (&mut board.clock, &mut board.watchdog);
        // To the server there is no image here: the only slot is the one to write to.
        if listen(
            &flash,
            Recovery::NoImage,
            LISTEN_BRIEFLY_TICKS,
            uart,
            clock,
            watchdog,
        ) {
            say(uart, "restarting");
            board::reset();
        }
    }
    board.watchdog.feed();
    if load(&flash, &boot, |part| board.execution.load(part).is_ok()).is_err() {
        // It verified a moment ago: trying again is all that is left, and counted if it is on trial.
        say(uart, "the image cannot be read, restarting");
        board::reset();
    }
    board.handover.hand_over(boot.info.encode());
    board.watchdog.start(WATCHDOG_MS);
    let why = match board.execution.start() {
        Unstartable::TooLarge => "the image cannot be started: it does not fit the memory it runs in",
        _ => "the image cannot be started: it does not begin with a vector table",
    };
    say(uart, why);
    board.handover.leave_behind(RevertReason::Fault.code());
    board::reset();
}

/// Whether a trial is under way, whose failed starts the bootloader counts.
fn is_on_trial<F: NorFlash>(flash: &RefCell<F>) -> bool {
    BootLog::open(Region::new(flash, LAYOUT.boot_log)).is_ok_and(|log| {
        let state = log.state();
        state
            .trial
            .is_some_and(|trial| Some(trial.sequence) > state.confirmed)
    })
}

/// Puts a line on the serial line.
fn say(uart: &mut Uart, line: &str) {
    for piece in ["boot: ", line, "\n"] {
        uart.send(piece.as_bytes());
    }
}

/// Lets the updater work until it has nothing to do, or gives the update up.
#[inline(never)]
fn update<F: NorFlash>(
    flash: &RefCell<F>,
    memory: &mut [u8],
    uart: &mut Uart,
    clock: &mut Clock,
    watchdog: &mut Watchdog,
) {
    for _ in 0..FAULTS_MAX {
        match work(flash, memory, uart, watchdog) {
            // The bootloader finds it out, too, and says so.
            Ok(()) | Err(Fault::NotProvisioned) => return,
            Err(_) => say(uart, "the updater cannot go on, trying again"),
        }
        let since = clock.ticks();
        while clock.ticks() - since < PAUSE_TICKS {
            watchdog.feed();
        }
    }
    say(uart, "the updater gives up");
    // If even this cannot be written, the journal is as it was, and the next boot tries again.
    let _ = Updater::open(flash, LAYOUT, memory).and_then(|mut updater| updater.give_up());
}

/// The updater's steps, and a line for each record in its journal.
fn work<F: NorFlash>(
    flash: &RefCell<F>,
    memory: &mut [u8],
    uart: &mut Uart,
    watchdog: &mut Watchdog,
) -> Result<(), Fault> {
    let mut updater = Updater::open(flash, LAYOUT, memory)?;
    let mut told = None;
    loop {
        let state = updater.journal();
        if told != Some(state) {
            told = Some(state);
            let mut begun = false;
            crate::progress::say(state, &mut |piece| {
                if !core::mem::replace(&mut begun, true) {
                    uart.send(b"update: ");
                }
                uart.send(piece);
            });
            if begun {
                uart.send(b"\n");
            }
        }
        watchdog.feed();
        if updater.status() != Status::Working {
            return Ok(());
        }
        updater.step()?;
    }
}

/// Copies the image to where it runs.
fn load<F: NorFlash>(
    flash: &RefCell<F>,
    boot: &Boot,
    mut put: impl FnMut(&[u8]) -> bool,
) -> Result<(), FlashError> {
    let slot = SlotRegion::new(Region::new(flash, SEEN.slot(boot.image.slot)));
    let mut part = [0; LOADED_AT_ONCE_BYTES];
    for at in (0..boot.image.image_bytes).step_by(LOADED_AT_ONCE_BYTES) {
        let length = part.len().min((boot.image.image_bytes - at) as usize);
        let (part, _) = part.split_at_mut(length);
        slot.read_image(ImageOffset(at), part)?;
        if !put(part) {
            return Err(FlashError::OutOfBounds);
        }
    }
    Ok(())
}

/// Serves the device over the serial line until a client restarts it or nothing is heard for so long. Whether a client was
/// there: then the slot may hold something else. Not inlined: a boot that starts an image does without the server's memory.
#[inline(never)]
fn listen<F: NorFlash>(
    flash: &RefCell<F>,
    reason: Recovery,
    ticks: u64,
    uart: &mut Uart,
    clock: &mut Clock,
    watchdog: &mut Watchdog,
) -> bool {
    say(
        uart,
        "waiting here for a signed image: deltagate device recover, or any mcumgr client",
    );
    let mut server = RecoveryServer::new(flash, &SEEN, reason);
    let (mut heard, mut patience, mut served) = (clock.ticks(), ticks, false);
    loop {
        watchdog.feed();
        let now = clock.ticks();
        if let Some(byte) = uart.receive() {
            heard = now;
            if server.handle_byte(byte) {
                (patience, served) = (LISTEN_TICKS, true);
            }
            while let Some(line) = server.poll_transmit() {
                uart.send(line);
            }
            if let Some(RecoveryEffect::Restart) = server.poll_effect() {
                return true;
            }
        } else if now - heard > patience {
            return served;
        }
    }
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::reset_after_panic()
}
