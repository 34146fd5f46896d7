//! Reset to jump.

use core::cell::RefCell;

use board::{Board, Clock, Nor, Uart, Unstartable, Watchdog};
use deltagate_bootloader::recovery::{RecoveryEffect, RecoveryServer};
use deltagate_bootloader::{Boot, Recovery, WINDOW_MS, run};
use deltagate_flash::{FlashError, ImageOffset, Layout, Region, RevertReason, SlotRegion};
use embedded_storage::nor_flash::NorFlash;

const LAYOUT: Layout = Layout::emulated(Nor::ERASE_SIZE);
/// How long the application may go without feeding the watchdog. A step of its work takes milliseconds; the rest is
/// for an emulator on a busy host.
const WATCHDOG_MS: u32 = 8_000;
/// How long a device in recovery hears nothing before it restarts to look again: a flash that could not be read may be
/// readable later, a technician who brought an image may have forgotten to restart it, and one who connects reads why.
const LOOK_AGAIN_TICKS: u64 = 120_000 * Clock::TICKS_PER_MS;
/// How long one does that could start its image, which that restart then does.
const WINDOW_TICKS: u64 = WINDOW_MS as u64 * Clock::TICKS_PER_MS;

/// How much of the image is on the stack at a time while it is copied.
const LOADED_AT_ONCE_BYTES: usize = 256;

board::entry!(main);

fn main() -> ! {
    let Some(mut board) = Board::take() else {
        board::stop()
    };
    let uart = &mut board.uart;
    say(uart, concat!("deltagate bootloader ", env!("CARGO_PKG_VERSION")));
    let left_behind = board
        .handover
        .take_left_behind()
        .and_then(RevertReason::from_code);
    let flash = RefCell::new(board.flash);
    let outcome = run(&flash, &LAYOUT, left_behind, &mut |event| {
        uart.send(b"boot: ");
        event.say(&mut |piece| uart.send(piece));
        uart.send(b"\n");
    });
    let boot = match outcome {
        Ok(boot) => boot,
        Err(reason) => recover(&flash, reason, uart, &mut board.clock, &mut board.watchdog),
    };
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

/// Puts a line on the serial line.
fn say(uart: &mut Uart, line: &str) {
    for piece in ["boot: ", line, "\n"] {
        uart.send(piece.as_bytes());
    }
}

/// Copies the image to where it runs.
fn load<F: NorFlash>(
    flash: &RefCell<F>,
    boot: &Boot,
    mut put: impl FnMut(&[u8]) -> bool,
) -> Result<(), FlashError> {
    let slot = SlotRegion::new(Region::new(flash, LAYOUT.slot(boot.image.slot)));
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

/// Serves the device over the serial line until it is restarted. Not inlined: a boot that starts an image does without the
/// server's memory.
#[inline(never)]
fn recover<F: NorFlash>(
    flash: &RefCell<F>,
    reason: Recovery,
    uart: &mut Uart,
    clock: &mut Clock,
    watchdog: &mut Watchdog,
) -> ! {
    say(
        uart,
        "waiting here for a signed image: deltagate device recover, or any mcumgr client",
    );
    watchdog.start(WATCHDOG_MS);
    let mut server = RecoveryServer::new(flash, &LAYOUT, reason);
    let mut heard = clock.ticks();
    let mut patience = match reason {
        Recovery::Crashed(_) => WINDOW_TICKS,
        _ => LOOK_AGAIN_TICKS,
    };
    loop {
        watchdog.feed();
        let now = clock.ticks();
        if let Some(byte) = uart.receive() {
            // Noise is no message: it keeps no device from its work.
            if server.handle_byte(byte) {
                heard = now;
                patience = LOOK_AGAIN_TICKS;
            }
            while let Some(line) = server.poll_transmit() {
                uart.send(line);
            }
            if let Some(RecoveryEffect::Restart) = server.poll_effect() {
                break;
            }
        } else if now - heard > patience {
            break;
        }
    }
    say(uart, "restarting");
    board::reset()
}

/// Not linked: no path of this program panics, which `scripts/budgets` checks by its absence.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::reset_after_panic()
}
