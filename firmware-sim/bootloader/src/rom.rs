//! Reset to jump.

use board::Nor;
use deltagate_bootloader::machine::Machine;
use deltagate_bootloader::recovery::Slots;
use deltagate_bootloader::{run, verify};
use deltagate_flash::Layout;
use embedded_storage::nor_flash::NorFlash;

const LAYOUT: Layout = Layout::emulated(Nor::ERASE_SIZE);

board::entry!(main);
board::offer_services!(verify);

fn main() -> ! {
    let (mut machine, flash) = Machine::take();
    machine.say(concat!("deltagate bootloader ", env!("CARGO_PKG_VERSION")));
    let left_behind = machine.take_left_behind();
    match run(&flash, &LAYOUT, left_behind, &mut |event| machine.tell(&event)) {
        Ok(boot) => machine.start(&flash, &LAYOUT, &boot),
        Err(reason) => {
            machine.listen(&flash, &LAYOUT, Slots::Two, reason);
            machine.restart()
        }
    }
}

/// Not linked: no path of this program panics, which `scripts/budgets` checks by its absence.
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    board::reset_after_panic()
}
