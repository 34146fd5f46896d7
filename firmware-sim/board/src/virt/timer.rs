//! The machine timer of the CLINT: 64 bits at 10 MHz (RISC-V privileged architecture, 3.2.1).

use crate::register::register_block;

register_block!(clint, 0x0200_0000, 0x1_0000);

const COMPARE_AT: usize = 0x4000;
const TIME_AT: usize = 0xBFF8;

/// Milliseconds since the board was taken.
pub struct Clock {
    start: u64,
}

impl Clock {
    /// What [`Clock::ticks`] counts, per millisecond.
    pub const TICKS_PER_MS: u64 = 10_000;

    pub(crate) fn new() -> Self {
        Self { start: time() }
    }

    /// Milliseconds since the board was taken; never goes back.
    pub fn now_ms(&mut self) -> u64 {
        self.ticks() / Self::TICKS_PER_MS
    }

    /// Ticks since the board was taken, [`Clock::TICKS_PER_MS`] in a millisecond; never goes back. For programs too small to
    /// divide 64 bits.
    pub fn ticks(&mut self) -> u64 {
        time() - self.start
    }
}

/// Lets the timer interrupt become pending in `ms` milliseconds, and not before.
pub(super) fn alarm_in(ms: u64) {
    set_compare(time() + ms * Clock::TICKS_PER_MS);
}

/// Takes the alarm back.
pub(super) fn no_alarm() {
    set_compare(u64::MAX);
}

/// The two halves, read so that a carry between them is noticed.
fn time() -> u64 {
    loop {
        let high = clint(TIME_AT + 4).read();
        let low = clint(TIME_AT).read();
        if clint(TIME_AT + 4).read() == high {
            return u64::from(high) << 32 | u64::from(low);
        }
    }
}

/// In the order that never passes through a value before the new one.
fn set_compare(at: u64) {
    clint(COMPARE_AT + 4).write(u32::MAX);
    clint(COMPARE_AT).write(at as u32);
    clint(COMPARE_AT + 4).write((at >> 32) as u32);
}
