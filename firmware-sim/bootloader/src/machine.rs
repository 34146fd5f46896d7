//! What every bootloader of the emulated boards does with its board: it talks, listens, and starts an image.

use core::cell::RefCell;

use board::{Board, Clock, ExecutionMemory, Handover, Nor, Uart, Unstartable, Watchdog};
use deltagate_flash::{Layout, RevertReason};
use embedded_storage::nor_flash::NorFlash;

use crate::recovery::{Patience, RecoveryEffect, RecoveryServer, Slots};
use crate::{Boot, BootEvent, Recovery, load};

/// How long the application may go without feeding the watchdog, and a bootloader that feeds it. A step of their work takes
/// milliseconds; the rest is for an emulator on a busy host.
pub const WATCHDOG_MS: u32 = 8_000;

/// The board, but for its flash, which is borrowed now and then.
pub struct Machine {
    /// The serial line.
    pub uart: Uart,
    /// Since reset.
    pub clock: Clock,
    /// Not started yet.
    pub watchdog: Watchdog,
    handover: Handover,
    execution: ExecutionMemory,
}

impl Machine {
    /// The board and its flash, for the first caller.
    #[must_use]
    pub fn take() -> (Self, RefCell<Nor>) {
        let Some(board) = Board::take() else { board::stop() };
        let machine = Self {
            uart: board.uart,
            clock: board.clock,
            watchdog: board.watchdog,
            handover: board.handover,
            execution: board.execution,
        };
        (machine, RefCell::new(board.flash))
    }

    /// How the last run ended, if it could say; forgotten by asking.
    pub fn take_left_behind(&mut self) -> Option<RevertReason> {
        self.handover.take_left_behind().and_then(RevertReason::from_code)
    }

    /// Puts a line on the serial line.
    pub fn say(&mut self, line: &str) {
        put_line(&mut self.uart, line);
    }

    /// Puts an event's line there.
    pub fn tell(&mut self, event: &BootEvent) {
        self.uart.send(b"boot: ");
        event.say(&mut |piece| self.uart.send(piece));
        self.uart.send(b"\n");
    }

    /// Serves the device over the serial line until a client restarts it, or nothing is heard for so long as [`Patience`]
    /// has it. Whether a client was there.
    ///
    /// Not inlined: a boot that starts an image does without the server's memory.
    #[inline(never)]
    pub fn listen<F: NorFlash>(
        &mut self,
        flash: &RefCell<F>,
        layout: &Layout,
        slots: Slots,
        reason: Recovery,
    ) -> bool {
        self.say("waiting here for a signed image: deltagate device recover, or any mcumgr client");
        self.watchdog.start(WATCHDOG_MS);
        let mut server = RecoveryServer::new(flash, layout, slots, reason);
        let mut patience = Patience::new(reason, self.clock.ticks(), Clock::TICKS_PER_MS);
        loop {
            self.watchdog.feed();
            let now = self.clock.ticks();
            if patience.is_over(now) {
                return patience.was_heard();
            }
            if let Some(byte) = self.uart.receive() {
                if server.handle_byte(byte) {
                    patience.hear(self.clock.ticks());
                }
                while let Some(line) = server.poll_transmit() {
                    self.uart.send(line);
                }
                if let Some(RecoveryEffect::Restart) = server.poll_effect() {
                    return true;
                }
            }
        }
    }

    /// Resets, and says so.
    pub fn restart(&mut self) -> ! {
        self.say("restarting");
        board::reset()
    }

    /// Copies the image to where it runs, and jumps there; or resets.
    pub fn start<F: NorFlash>(mut self, flash: &RefCell<F>, layout: &Layout, boot: &Boot) -> ! {
        let execution = &mut self.execution;
        if load(flash, layout, &boot.image, &mut |part| {
            execution.load(part).is_ok()
        })
        .is_err()
        {
            // It verified a moment ago: trying again is all that is left, and counted if it is on trial.
            self.say("the image cannot be read, or changed while it was, restarting");
            board::reset();
        }
        self.handover.hand_over(boot.info.encode());
        self.handover.hand_trust_over(boot.provision.hand_over());
        self.watchdog.start(WATCHDOG_MS);
        let why = match self.execution.start() {
            Unstartable::TooLarge => "the image cannot be started: it does not fit the memory it runs in",
            _ => "the image cannot be started: it does not begin with a vector table",
        };
        put_line(&mut self.uart, why);
        self.handover.leave_behind(RevertReason::Fault.code());
        board::reset()
    }
}

fn put_line(uart: &mut Uart, line: &str) {
    for piece in ["boot: ", line, "\n"] {
        uart.send(piece.as_bytes());
    }
}
