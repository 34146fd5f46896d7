//! What systemd is told, sd_notify(3): ready, stopping, and for its watchdog that the engine lives. Nothing where nobody
//! supervises, without `NOTIFY_SOCKET` and `WATCHDOG_USEC`.

use sd_notify::NotifyState;
use tokio::time::MissedTickBehavior;

use crate::observe::Observer;

/// Says it. That nobody listens there is no reason not to serve devices.
pub fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::debug!(%error, "the supervisor cannot be told");
    }
}

/// Feeds the watchdog, if there is one, for as long as the engine answers. One that hangs is not told of, and killed and
/// started again: what it had decided is on disk.
pub async fn feed_watchdog(observer: Observer) {
    let Some(patience) = sd_notify::watchdog_enabled() else {
        return;
    };
    // Half of it, as sd_watchdog_enabled(3) recommends.
    let mut ticks = tokio::time::interval(patience / 2);
    // After a suspended machine wakes, once is enough.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if observer.look().await.is_none() {
            return;
        }
        tell(&[NotifyState::Watchdog]);
    }
}
