//! An update that its device puts off: for how long, and whether that is longer than its operator asked.

use crate::decision::Decision;
use crate::records::DeviceRecord;
use core::fmt;
use wire_checkin::{Deferral, DeferralReason, DeferralStage};

/// What a device says it waits for, beside what it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferralView {
    /// Where it waits.
    pub stage: DeferralStage,
    /// Why.
    pub reason: DeferralReason,
    /// For how long already, as the device said at its last check-in.
    pub seconds: u32,
    /// How long the assignment lets it wait; `None`: as long as the device's own bounds allow.
    pub longest_s: Option<u32>,
    /// How long it may wait before a person is asked, where the assignment does not say.
    pub patience_s: u32,
}

impl DeferralView {
    /// What the device waits for, where it was offered something.
    pub(crate) fn in_decision(
        device: &DeviceRecord,
        decision: &Decision<'_>,
        patience_s: u32,
    ) -> Option<DeferralView> {
        let Decision::Offer { target, .. } = decision else {
            return None;
        };
        let Deferral {
            stage,
            reason,
            seconds,
        } = device.report.as_ref()?.deferral?;
        Some(DeferralView {
            stage,
            reason,
            seconds,
            longest_s: target.by.terms.defer_s_max,
            patience_s,
        })
    }

    /// Whether the device waits longer than it was asked, or, where nobody said for how long, than the gateway is patient: its
    /// author's bounds allow it, and only a person helps.
    pub fn is_overdue(&self) -> bool {
        self.seconds > self.longest_s.unwrap_or(self.patience_s)
    }
}

/// What is meant where nobody says otherwise. Three days: a weekend, and longer than any night that a battery needs the sun of the next day for. Less than the week for which
/// an agent lets updates be put off unless its author says otherwise, so that somebody hears of it before the device just goes on.
pub const PATIENCE_S: u32 = 3 * 86_400;

/// `battery, before restart, for 2 h of at most 24 h`
impl fmt::Display for DeferralView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DeferralView {
            stage,
            reason,
            seconds,
            longest_s,
            patience_s: _,
        } = self;
        write!(f, "{reason}, {stage}, for {}", Span(*seconds))?;
        match longest_s {
            Some(longest_s) if self.is_overdue() => write!(f, ", longer than the {} asked", Span(*longest_s)),
            Some(longest_s) => write!(f, " of at most {}", Span(*longest_s)),
            None if self.is_overdue() => f.write_str(", and nobody said for how long it may"),
            None => Ok(()),
        }
    }
}

/// Seconds in the largest unit that says enough, rounded down.
struct Span(u32);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0..120 => write!(f, "{} s", self.0),
            120..7_200 => write!(f, "{} min", self.0 / 60),
            7_200..172_800 => write!(f, "{} h", self.0 / 3_600),
            _ => write!(f, "{} d", self.0 / 86_400),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deferral_reads_like_a_sentence() {
        let view = |seconds, longest_s| DeferralView {
            stage: DeferralStage::Restart,
            reason: DeferralReason::Battery,
            seconds,
            longest_s,
            patience_s: PATIENCE_S,
        };
        for (view, text) in [
            (
                view(7_260, Some(86_400)),
                "battery, before restart, for 2 h of at most 24 h",
            ),
            (view(119, None), "battery, before restart, for 119 s"),
            (
                view(200_000, Some(3_600)),
                "battery, before restart, for 2 d, longer than the 60 min asked",
            ),
            (view(PATIENCE_S, None), "battery, before restart, for 3 d"),
            (
                view(PATIENCE_S + 1, None),
                "battery, before restart, for 3 d, and nobody said for how long it may",
            ),
        ] {
            assert_eq!(view.to_string(), text);
        }
    }
}
