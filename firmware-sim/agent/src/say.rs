//! What an event says, in words, without `core::fmt`, which most firmware has no other use for.

use core::fmt;

use deltagate_flash::say::{say_number, show};
use wire_checkin::DeferralStage;

use crate::event::Event;

impl Event {
    /// Puts the line, in pieces of ASCII, without an end.
    pub fn say(&self, put: &mut dyn FnMut(&[u8])) {
        put(b"agent: ");
        let (first, second) = self.numbers();
        for byte in self.template().as_bytes() {
            match byte {
                b'#' => say_number(first, false, put),
                b'%' => say_number(second, true, put),
                b'$' => put(self.clause().as_bytes()),
                byte => put(core::slice::from_ref(byte)),
            }
        }
    }

    /// The line, in which `#` stands for the first number, `%` for the second with commas between its thousands, and `$` for the
    /// clause.
    const fn template(&self) -> &'static str {
        match self {
            Self::Started { .. } => "running sequence #$",
            Self::CheckedIn { .. } => "checked in, next in # s",
            Self::Offered { .. } => "checked in, update to sequence # offered: $, % bytes",
            Self::Accepted { .. } => "manifest of sequence # verified",
            Self::Resumed { .. } => "update # goes on after % bytes",
            Self::Block { .. } => "block # of %",
            Self::Paused { .. } => "gateway busy, again in # s",
            Self::Staged => "payload complete",
            Self::Applying => "applying",
            Self::Verified { .. } => "sequence # verified, rebooting into trial",
            Self::Handed { .. } => "sequence # staged, rebooting into updater",
            Self::Deferred {
                stage: DeferralStage::Download,
                ..
            } => "update to sequence # put off before download: $",
            Self::Deferred {
                stage: DeferralStage::Restart,
                ..
            } => "update to sequence # put off before restart: $",
            Self::Confirmed { .. } => "sequence # confirmed",
            Self::Dropped { .. } => "update to sequence # dropped: $",
            Self::Reverting { .. } => "sequence # given up: $",
            Self::Reported { .. } => "sequence # reported as $",
            Self::Unanswered { .. } => "no usable answer, again in # s",
            #[cfg(feature = "freshness")]
            Self::Latest { .. } => "the latest is sequence #, by statement %",
            #[cfg(feature = "freshness")]
            Self::Stale { .. } => "statement # is too old, and no newer one comes",
            #[cfg(feature = "freshness")]
            Self::Behind { .. } => "sequence # is released, and nobody offers it",
            Self::FlashFailed => "flash failed",
            Self::Unprotected => crate::in_place::UNPROTECTED,
            Self::Established => "keys established with the gateway",
            Self::Silent(_) => "silent: $",
        }
    }

    const fn numbers(&self) -> (u32, u32) {
        match *self {
            Self::Offered {
                sequence,
                payload_bytes,
                ..
            } => (sequence, payload_bytes),
            Self::Resumed {
                sequence,
                staged_bytes,
            } => (sequence, staged_bytes),
            Self::Block { number, count } => (number, count),
            #[cfg(feature = "freshness")]
            Self::Latest { sequence, statement } => (sequence, statement),
            #[cfg(feature = "freshness")]
            Self::Stale { statement: number } | Self::Behind { sequence: number } => (number, 0),
            Self::CheckedIn { next_s: number }
            | Self::Paused { seconds: number }
            | Self::Unanswered { retry_s: number }
            | Self::Started { sequence: number, .. }
            | Self::Accepted { sequence: number }
            | Self::Verified { sequence: number }
            | Self::Handed { sequence: number }
            | Self::Deferred { sequence: number, .. }
            | Self::Confirmed { sequence: number }
            | Self::Dropped { sequence: number, .. }
            | Self::Reverting { sequence: number, .. }
            | Self::Reported { sequence: number, .. } => (number, 0),
            Self::Staged
            | Self::Applying
            | Self::FlashFailed
            | Self::Unprotected
            | Self::Established
            | Self::Silent(_) => (0, 0),
        }
    }

    fn clause(&self) -> &'static str {
        match *self {
            Self::Started { on_trial: true, .. } => " on trial",
            Self::Offered { format, .. } => format.name(),
            Self::Deferred { reason, .. } => reason.text().unwrap_or(LATER),
            Self::Dropped { outcome, .. } | Self::Reported { outcome, .. } => outcome.text().unwrap_or(LATER),
            Self::Reverting { reason, .. } => reason.text(),
            Self::Silent(why) => why.text(),
            _ => "",
        }
    }
}

/// The line, for programs that can format.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(|put| self.say(put), formatter)
    }
}

/// What an image of a later version left in the journal.
const LATER: &str = "unknown";

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use wire_checkin::{DeferralReason, Format, Severity};

    use super::*;

    #[test]
    fn an_offer_reads_like_a_sentence() {
        let event = Event::Offered {
            sequence: 2,
            format: Format::Patch,
            payload_bytes: 2_913,
            severity: Severity::Mandatory,
        };
        assert_eq!(
            event.to_string(),
            "agent: checked in, update to sequence 2 offered: patch, 2,913 bytes"
        );
        assert_eq!(
            Event::Block { number: 3, count: 9 }.to_string(),
            "agent: block 3 of 9"
        );
    }

    #[test]
    fn a_deferral_says_where_and_why() {
        let event = Event::Deferred {
            sequence: 7,
            severity: Severity::Mandatory,
            stage: DeferralStage::Restart,
            reason: DeferralReason::Battery,
        };
        assert_eq!(
            event.to_string(),
            "agent: update to sequence 7 put off before restart: battery"
        );
    }
}
