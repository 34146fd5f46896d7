//! Devices that asked without a key where one is needed, in the log and as rows, each with what helps.

use gateway_core::TurnedAway;

use crate::report::{Step, TurnedAwayRow};

/// A line of the log. The core says when one is due.
#[cfg(unix)]
pub(crate) fn tell(asked: &TurnedAway) {
    let TurnedAwayRow {
        device,
        link,
        from,
        next_step,
        ..
    } = asked.into();
    let hint = next_step.command;
    match asked.has_key {
        false => tracing::warn!(device, link, from, hint, "a device without a key was turned away"),
        true => tracing::warn!(
            device,
            link,
            from,
            hint,
            "somebody asked as a device that has a key, without it"
        ),
    }
}

impl From<&TurnedAway> for TurnedAwayRow {
    fn from(asked: &TurnedAway) -> TurnedAwayRow {
        let (device, link) = (asked.device.to_string(), asked.link.to_string());
        let next_step = match asked.has_key {
            false => Step {
                why: "it asks without a key".into(),
                command: format!("deltagate device enrol {device}; or access = \"open\" for link {link}"),
            },
            true => Step {
                why: "it has a key and asks without".into(),
                command: format!(
                    "bring its credentials onto it, or new ones: deltagate device rotate {device}"
                ),
            },
        };
        TurnedAwayRow {
            device,
            has_key: asked.has_key,
            link,
            from: asked.from.to_string(),
            times: asked.times,
            next_step,
        }
    }
}
