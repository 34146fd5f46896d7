//! CMSDK dual timer 1, free-running at 25 MHz.

use crate::register::register_block;

register_block!(timer, 0x4000_2000, 0x18);

/// Enabled, 32 bit, free-running, no prescaler, no interrupt.
const CONTROL_FREE_RUNNING: u32 = 0x82;

/// Milliseconds since the board was taken.
///
/// The counter behind it wraps after 171 seconds: it has to be asked at least that often.
pub struct Clock {
    last: u32,
    ticks: u64,
}

impl Clock {
    /// What [`Clock::ticks`] counts, per millisecond.
    pub const TICKS_PER_MS: u64 = 25_000;

    pub(crate) fn new() -> Self {
        timer(0x00).write(u32::MAX);
        timer(0x08).write(CONTROL_FREE_RUNNING);
        Self {
            last: timer(0x04).read(),
            ticks: 0,
        }
    }

    /// Milliseconds since the board was taken; never goes back.
    pub fn now_ms(&mut self) -> u64 {
        self.ticks() / Self::TICKS_PER_MS
    }

    /// Ticks since the board was taken, [`Clock::TICKS_PER_MS`] in a millisecond; never goes back. For programs too small to
    /// divide 64 bits.
    pub fn ticks(&mut self) -> u64 {
        // The timer counts down.
        let now = timer(0x04).read();
        self.ticks += u64::from(self.last.wrapping_sub(now));
        self.last = now;
        self.ticks
    }
}
