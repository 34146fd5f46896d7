//! What an event says, in words, without `core::fmt`, which most firmware has no other use for.

use core::fmt;

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
            Self::Resumed { .. } => "update to sequence # goes on after % bytes",
            Self::Block { .. } => "block # of %",
            Self::Paused { .. } => "gateway busy, asking again in # s",
            Self::Staged => "payload complete",
            Self::Applying => "applying",
            Self::Verified { .. } => "sequence # verified, rebooting into trial",
            Self::Handed { .. } => "sequence # staged, rebooting into the updater",
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
            Self::Unanswered { .. } => "no usable answer, trying again in # s",
            Self::FlashFailed => "flash failed",
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
            Self::Staged | Self::Applying | Self::FlashFailed => (0, 0),
        }
    }

    fn clause(&self) -> &'static str {
        match *self {
            Self::Started { on_trial: true, .. } => " on trial",
            Self::Offered { format, .. } => format.name(),
            Self::Deferred { reason, .. } => reason.text().unwrap_or(LATER),
            Self::Dropped { outcome, .. } | Self::Reported { outcome, .. } => outcome.text().unwrap_or(LATER),
            Self::Reverting { reason, .. } => reason.text(),
            _ => "",
        }
    }
}

/// The line, for programs that can format.
impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut result = Ok(());
        self.say(&mut |piece| {
            result = result.and_then(|()| match str::from_utf8(piece) {
                Ok(text) => formatter.write_str(text),
                Err(_) => Err(fmt::Error),
            });
        });
        result
    }
}

/// What an image of a later version left in the journal.
const LATER: &str = "what a later version knows";

/// In decimal, from the highest digit that is not zero.
fn say_number(number: u32, grouped: bool, put: &mut dyn FnMut(&[u8])) {
    let mut unit = 1_000_000_000;
    while unit > 1 && number < unit {
        unit /= 10;
    }
    while unit > 0 {
        put(&[b'0' + (number / unit % 10) as u8]);
        if grouped && matches!(unit, 1_000 | 1_000_000 | 1_000_000_000) {
            put(b",");
        }
        unit /= 10;
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

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

    #[test]
    fn numbers_are_decimal() {
        let said = |number, grouped| {
            let mut text = String::new();
            say_number(number, grouped, &mut |piece| {
                text.push_str(str::from_utf8(piece).unwrap());
            });
            text
        };
        for number in [0, 7, 10, 999, 1_000, 65_535, u32::MAX] {
            assert_eq!(said(number, false), number.to_string());
        }
        assert_eq!(said(999, true), "999");
        assert_eq!(said(1_020_304, true), "1,020,304");
        assert_eq!(said(u32::MAX, true), "4,294,967,295");
    }
}
