//! What an event says, in words, without `core::fmt`, which most firmware has no other use for.

use core::fmt;

use wire_checkin::{DeferralStage, Outcome};

use crate::event::Event;

/// An event as a template, in which `#` stands for the first number, `%` for the second with commas between its thousands, and `$`
/// for the clause.
type Line = (&'static str, u32, u32, &'static str);

impl Event {
    /// Puts the line, in pieces of ASCII, without an end.
    pub fn say(&self, put: &mut dyn FnMut(&[u8])) {
        put(b"agent: ");
        let (template, first, second, clause) = self.line();
        for byte in template.as_bytes() {
            match byte {
                b'#' => say_number(first, false, put),
                b'%' => say_number(second, true, put),
                b'$' => put(clause.as_bytes()),
                byte => put(core::slice::from_ref(byte)),
            }
        }
    }

    fn line(&self) -> Line {
        match *self {
            Self::Started { sequence, on_trial } => {
                let clause = if on_trial { " on trial" } else { "" };
                ("running sequence #$", sequence, 0, clause)
            }
            Self::CheckedIn { next_s } => ("checked in, next in # s", next_s, 0, ""),
            Self::Offered {
                sequence,
                format,
                payload_bytes,
                ..
            } => (
                "checked in, update to sequence # offered: $, % bytes",
                sequence,
                payload_bytes,
                format.name(),
            ),
            Self::Accepted { sequence } => ("manifest of sequence # verified", sequence, 0, ""),
            Self::Resumed {
                sequence,
                staged_bytes,
            } => (
                "update to sequence # goes on after % bytes",
                sequence,
                staged_bytes,
                "",
            ),
            Self::Block { number, count } => ("block # of %", number, count, ""),
            Self::Paused { seconds } => ("gateway busy, asking again in # s", seconds, 0, ""),
            Self::Staged => ("payload complete", 0, 0, ""),
            Self::Applying => ("applying", 0, 0, ""),
            Self::Verified { sequence } => ("sequence # verified, rebooting into trial", sequence, 0, ""),
            Self::Handed { sequence } => ("sequence # staged, rebooting into the updater", sequence, 0, ""),
            Self::Deferred {
                sequence,
                stage,
                reason,
                ..
            } => {
                let template = match stage {
                    DeferralStage::Download => "update to sequence # put off before download: $",
                    DeferralStage::Restart => "update to sequence # put off before restart: $",
                };
                (template, sequence, 0, reason.text().unwrap_or(LATER))
            }
            Self::Confirmed { sequence } => ("sequence # confirmed", sequence, 0, ""),
            Self::Dropped { sequence, outcome } => {
                ("update to sequence # dropped: $", sequence, 0, text(outcome))
            }
            Self::Reverting { sequence, reason } => ("sequence # given up: $", sequence, 0, reason.text()),
            Self::Reported { sequence, outcome } => ("sequence # reported as $", sequence, 0, text(outcome)),
            Self::Unanswered { retry_s } => ("no usable answer, trying again in # s", retry_s, 0, ""),
            Self::FlashFailed => ("flash failed", 0, 0, ""),
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

fn text(outcome: Outcome) -> &'static str {
    outcome.text().unwrap_or(LATER)
}

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
