//! How long a device listens to its serial line.

use crate::{Recovery, WINDOW_MS};

/// How long a device in recovery hears nothing before it restarts to look again: a flash that could not be read may be
/// readable later, a technician who brought an image may have forgotten to restart it, and one who connects reads why.
pub const LOOK_AGAIN_MS: u32 = 120_000;

/// A device that listens, for as long as there is a reason to. Times are those of any clock that only rises, in its ticks.
pub struct Patience {
    since: u64,
    lasts: u64,
    look_again: u64,
    was_heard: bool,
}

impl Patience {
    /// Listens from `now` on: for [`WINDOW_MS`] where the device could start its image, else for [`LOOK_AGAIN_MS`].
    #[must_use]
    pub const fn new(reason: Recovery, now: u64, ticks_per_ms: u64) -> Self {
        let look_again = LOOK_AGAIN_MS as u64 * ticks_per_ms;
        let lasts = match reason.has_an_image() {
            true => WINDOW_MS as u64 * ticks_per_ms,
            false => look_again,
        };
        Self {
            since: now,
            lasts,
            look_again,
            was_heard: false,
        }
    }

    /// A complete message came: a technician is there. Noise is no message, and keeps no device from its work.
    pub const fn hear(&mut self, now: u64) {
        self.since = now;
        self.lasts = self.look_again;
        self.was_heard = true;
    }

    /// Whether nothing was heard for too long.
    #[must_use]
    pub const fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.since) > self.lasts
    }

    /// Whether a technician was there: then the flash may hold something else.
    #[must_use]
    pub const fn was_heard(&self) -> bool {
        self.was_heard
    }
}

#[cfg(test)]
mod tests {
    use deltagate_flash::Slot;

    use super::*;

    const TICKS_PER_MS: u64 = 25_000;

    fn lasts_ms(patience: &Patience, from_ms: u32, ms: u32) -> bool {
        let end = u64::from(from_ms + ms) * TICKS_PER_MS;
        !patience.is_over(end) && patience.is_over(end + 1)
    }

    #[test]
    fn who_has_an_image_waits_briefly_until_a_message_comes() {
        for reason in [Recovery::Crashed(Slot::A), Recovery::Unproven] {
            let mut patience = Patience::new(reason, 0, TICKS_PER_MS);
            assert!(lasts_ms(&patience, 0, WINDOW_MS) && !patience.was_heard());
            patience.hear(3 * TICKS_PER_MS);
            assert!(lasts_ms(&patience, 3, LOOK_AGAIN_MS) && patience.was_heard());
        }
    }

    #[test]
    fn who_has_none_looks_again_after_two_minutes() {
        for reason in [
            Recovery::NotProvisioned,
            Recovery::BootLogUnreadable,
            Recovery::NoImage,
            Recovery::OnlyOlder,
        ] {
            let mut patience = Patience::new(reason, 7 * TICKS_PER_MS, TICKS_PER_MS);
            assert!(lasts_ms(&patience, 7, LOOK_AGAIN_MS));
            patience.hear(100_000 * TICKS_PER_MS);
            assert!(lasts_ms(&patience, 100_000, LOOK_AGAIN_MS));
        }
    }
}
