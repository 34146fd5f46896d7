//! Reset to jump.

use core::cell::RefCell;
use core::fmt::Write;

use board::{Board, Uart, Watchdog};
use deltagate_bootloader::{Boot, run};
use deltagate_flash::{FlashError, ImageOffset, Layout, Region, RevertReason, SlotRegion};
use embedded_storage::nor_flash::NorFlash;

const LAYOUT: Layout = Layout::EMULATED;
/// How long the application may go without feeding the watchdog. A step of its work takes milliseconds; the rest is
/// for an emulator on a busy host.
const WATCHDOG_MS: u32 = 8_000;
/// How long a device with nothing to start waits before it looks again: a flash that could not be read may be readable
/// later. At most what the watchdog can count.
const LOOK_AGAIN_MS: u32 = 120_000;

board::entry!(main);

fn main() -> ! {
    let Some(mut board) = Board::take() else {
        board::stop()
    };
    let uart = &mut board.uart;
    let _ = writeln!(uart, "boot: deltagate bootloader {}", env!("CARGO_PKG_VERSION"));
    let left_behind = board
        .handover
        .take_left_behind()
        .and_then(RevertReason::from_code);
    let flash = RefCell::new(board.flash);
    let outcome = run(&flash, &LAYOUT, left_behind, &mut |event| {
        let _ = writeln!(uart, "boot: {event}");
    });
    let Ok(boot) = outcome else {
        wait_for_a_technician(uart, &mut board.watchdog)
    };
    if load(&flash, &boot, |part| board.execution.load(part).is_ok()).is_err() {
        // It verified a moment ago: trying again is all that is left, and counted if it is on trial.
        let _ = writeln!(uart, "boot: the image cannot be read, restarting");
        board::reset();
    }
    board.handover.hand_over(boot.info.encode());
    board.watchdog.start(WATCHDOG_MS);
    let fault = board.execution.start();
    let _ = writeln!(uart, "boot: the image cannot be started: {fault:?}");
    board.handover.leave_behind(RevertReason::Fault.code());
    board::reset();
}

/// Copies the image to where it runs.
fn load<F: NorFlash>(
    flash: &RefCell<F>,
    boot: &Boot,
    mut put: impl FnMut(&[u8]) -> bool,
) -> Result<(), FlashError> {
    let slot = SlotRegion::new(Region::new(flash, LAYOUT.slot(boot.image.slot)));
    let mut part = [0; 256];
    let mut at = 0;
    while at < boot.image.image_bytes {
        let length = (boot.image.image_bytes - at).min(part.len() as u32);
        let part = &mut part[..length as usize];
        slot.read_image(ImageOffset(at), part)?;
        if !put(part) {
            return Err(FlashError::OutOfBounds);
        }
        at += length;
    }
    Ok(())
}

/// The named halt. The watchdog ends it: should the cause have been a moment's, the next look finds an image.
fn wait_for_a_technician(uart: &mut Uart, watchdog: &mut Watchdog) -> ! {
    let _ = writeln!(
        uart,
        "boot: halted, the device needs a technician; looking again in {} s",
        LOOK_AGAIN_MS / 1_000
    );
    watchdog.start(LOOK_AGAIN_MS);
    board::stop()
}

/// Prints where, not what: the formatting of messages nobody reads would be a quarter of the code.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let uart = &mut board::uart_for_panic();
    if let Some(location) = info.location() {
        let _ = writeln!(uart, "\nboot: panic at {}:{}", location.file(), location.line());
    }
    board::reset()
}
