//! The boot decision, as a table.
//!
//! With `c` the highest confirmed sequence number and `t` that of the trial in the boot log:
//!
//! | trial       | attempts | trial slot           | decision                                               |
//! |-------------|----------|----------------------|--------------------------------------------------------|
//! | none, t ≤ c | any      | not looked at        | the confirmed image                                    |
//! | t > c       | used up  | not looked at        | revert (reason: what was left behind), then confirmed  |
//! | t > c       | left     | verifies, sequence t | boot it on trial                                       |
//! | t > c       | left     | anything else        | revert (boot verification), then confirmed             |
//!
//! "The confirmed image" is:
//!
//! | slots                                     | decision                               |
//! |-------------------------------------------|----------------------------------------|
//! | one verifies with sequence c              | boot it                                |
//! | none does, one verifies above c (or no c) | boot the highest one as last resort    |
//! | what verifies is below c                  | recovery: only older images            |
//! | none verifies                             | recovery: no image                     |
//!
//! An image that always crashes is bounded while it is on trial only. Of any other crash nobody keeps count, so that a
//! technician has a chance at each, and a device that has none goes on:
//!
//! | trial       | left behind             | where an image could be started, decision                   |
//! |-------------|-------------------------|-------------------------------------------------------------|
//! | none, t ≤ c | a watchdog's or a fault | recovery: crashed; silence of [`WINDOW_MS`] ends in a restart, with nothing left behind |
//! | t > c       | anything                | as above: the trial counts it                               |

use core::fmt;

use deltagate_flash::{BootInfo, BootLogState, RevertReason, Reverted, Slot, TRIAL_BOOTS_MAX};

/// How long a device that crashed waits for a technician before it starts its image again: a client that asks every second,
/// as `deltagate device recover` does, is heard several times. A device that crashes now and then is kept from its work for
/// no longer than it takes to connect to a network.
pub const WINDOW_MS: u32 = 5_000;

/// What to do at this boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// A trial to end first, with a record in the boot log.
    pub revert: Option<Reverted>,
    /// What to start then, or why nothing can be started.
    pub boot: Result<Choice, Recovery>,
}

/// The image to start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Choice {
    /// Where it lies.
    pub slot: Slot,
    /// Its sequence number.
    pub sequence: u32,
    /// On what terms it runs.
    pub mode: Mode,
}

impl Choice {
    /// What the image is told.
    #[must_use]
    pub const fn info(&self) -> BootInfo {
        let attempt = match self.mode {
            Mode::Trial { attempt } => attempt,
            Mode::Confirmed | Mode::LastResort => 0,
        };
        BootInfo {
            slot: self.slot,
            on_trial: self.mode.is_on_trial(),
            attempt,
            sequence: self.sequence,
        }
    }
}

/// On what terms an image runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It proved itself before.
    Confirmed,
    /// It has to prove itself; this is start number `attempt`, from 1.
    Trial {
        /// At most [`TRIAL_BOOTS_MAX`].
        attempt: u8,
    },
    /// The confirmed image is gone or there never was one: this one is signed and not older, and there is no
    /// other. It may confirm itself like one on trial; its starts are not counted, for nothing could follow them.
    LastResort,
}

impl Mode {
    /// Whether the image still has to be confirmed.
    #[must_use]
    pub const fn is_on_trial(self) -> bool {
        !matches!(self, Self::Confirmed)
    }
}

/// Why nothing can be started, or not at once: the device waits for a technician.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Recovery {
    /// No valid provision record: there is no key to check a signature with.
    NotProvisioned,
    /// The boot log cannot be read, so that nobody knows what is too old.
    BootLogUnreadable,
    /// Neither slot holds an image that verifies.
    NoImage,
    /// What verifies is older than the highest confirmed image.
    OnlyOlder,
    /// The image in this slot can be started, and its last run ended with a watchdog or a fault. Who hears nothing for
    /// [`WINDOW_MS`] restarts, and starts it.
    Crashed(Slot),
    /// The image in the only slot can be started, and never proved itself: its trial failed, or it had none. There is no
    /// other. Who hears nothing for [`WINDOW_MS`] starts it. For devices with a single slot; with two, [`decide`] does
    /// not say it.
    Unproven,
}

impl Recovery {
    /// Whether there is an image that starts when nobody is heard.
    pub(crate) const fn has_an_image(&self) -> bool {
        matches!(self, Self::Crashed(_) | Self::Unproven)
    }

    /// What `Display` says, for programs too small to format.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        match self {
            Self::NotProvisioned => "the device is not provisioned",
            Self::BootLogUnreadable => "the boot log cannot be read",
            Self::NoImage => "no slot holds a valid image",
            Self::OnlyOlder => "the only valid image is older than the confirmed one",
            Self::Crashed(_) => "the image crashed, and starts again in 5 s",
            Self::Unproven => "the image has not proved itself, and starts in 5 s",
        }
    }
}

impl fmt::Display for Recovery {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for Recovery {}

/// Decides from the boot log, from what the last run left behind in RAM, and from the verdicts on the slots.
///
/// `verdict` gives the sequence number of a slot that verifies and `None` for any other. It is asked only where the
/// answer matters, and may be asked twice about one slot: the caller remembers what was expensive.
#[must_use]
pub fn decide(
    state: &BootLogState,
    left_behind: Option<RevertReason>,
    verdict: &mut dyn FnMut(Slot) -> Option<u32>,
) -> Decision {
    let Some(trial) = state.trial.filter(|trial| Some(trial.sequence) > state.confirmed) else {
        return Decision {
            revert: None,
            boot: match settled(state.confirmed, verdict) {
                Ok(choice) if left_behind.is_some() => Err(Recovery::Crashed(choice.slot)),
                boot => boot,
            },
        };
    };
    let reason = if state.attempts >= TRIAL_BOOTS_MAX {
        left_behind.unwrap_or(RevertReason::NoContact)
    } else if verdict(trial.slot) == Some(trial.sequence) {
        let mode = Mode::Trial {
            attempt: state.attempts + 1,
        };
        let choice = Choice {
            slot: trial.slot,
            sequence: trial.sequence,
            mode,
        };
        return Decision {
            revert: None,
            boot: Ok(choice),
        };
    } else {
        RevertReason::BootVerification
    };
    let revert = Some(Reverted {
        sequence: trial.sequence,
        reason,
    });
    Decision {
        revert,
        boot: settled(state.confirmed, verdict),
    }
}

/// The confirmed image, or what may stand in for it.
fn settled(confirmed: Option<u32>, verdict: &mut dyn FnMut(Slot) -> Option<u32>) -> Result<Choice, Recovery> {
    let mut best: Option<(u32, Slot)> = None;
    for slot in Slot::BOTH {
        let Some(sequence) = verdict(slot) else { continue };
        if Some(sequence) == confirmed {
            return Ok(Choice {
                slot,
                sequence,
                mode: Mode::Confirmed,
            });
        }
        if best.is_none_or(|(highest, _)| sequence > highest) {
            best = Some((sequence, slot));
        }
    }
    match best {
        None => Err(Recovery::NoImage),
        Some((sequence, _)) if Some(sequence) < confirmed => Err(Recovery::OnlyOlder),
        Some((sequence, slot)) => Ok(Choice {
            slot,
            sequence,
            mode: Mode::LastResort,
        }),
    }
}

#[cfg(test)]
mod tests;
