//! What the agent tells its caller: effects to carry out, events to print, counters.

use core::fmt;

use deltagate_flash::RevertReason;
use wire_checkin::{DeferralReason, DeferralStage, Format, Outcome, Severity};

/// What the caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Restart the device, as soon as that is safe. The agent does nothing more.
    Reboot,
    /// Something worth a line in a log.
    Event(Event),
}

/// Something worth a line in a log; `Display` gives the line, without its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The agent runs.
    Started {
        /// Of the running image.
        sequence: u32,
        /// Whether the running image still has to be confirmed.
        on_trial: bool,
    },
    /// The gateway answered a check-in and has nothing to do.
    CheckedIn {
        /// When the next check-in is due, seconds.
        next_s: u32,
    },
    /// The gateway answered a check-in and offers an update.
    Offered {
        /// Of the offered image.
        sequence: u32,
        /// How it travels.
        format: Format,
        /// Bytes to fetch.
        payload_bytes: u32,
        /// How much the operator wants it.
        severity: Severity,
    },
    /// The manifest's signature, vendor, class and sequence number are right; the spare slot is being erased.
    Accepted {
        /// Of the image to fetch.
        sequence: u32,
    },
    /// An update begun before a restart goes on.
    Resumed {
        /// Of the image.
        sequence: u32,
        /// Bytes that need not be fetched again.
        staged_bytes: u32,
    },
    /// A block is in flash.
    Block {
        /// Which, from 1.
        number: u32,
        /// Of how many.
        count: u32,
    },
    /// The gateway asks for patience.
    Paused {
        /// How long, seconds.
        seconds: u32,
    },
    /// The payload is complete and its digest right.
    Staged,
    /// The patch is being applied.
    Applying,
    /// The new image's digest is the signed one; the device restarts into its trial.
    Verified {
        /// Of the new image.
        sequence: u32,
    },
    /// The payload is right; the device restarts into its updater, which applies it in place.
    Handed {
        /// Of the new image.
        sequence: u32,
    },
    /// The application puts the update off.
    Deferred {
        /// Of the image.
        sequence: u32,
        /// How much the operator wants it.
        severity: Severity,
        /// Where it waits.
        stage: DeferralStage,
        /// Why.
        reason: DeferralReason,
    },
    /// The running image proved itself: the gateway answered it.
    Confirmed {
        /// Of the running image.
        sequence: u32,
    },
    /// An update ended without a new image.
    Dropped {
        /// Of the image.
        sequence: u32,
        /// What will be reported.
        outcome: Outcome,
    },
    /// The trial of the running image is given up.
    Reverting {
        /// Of the running image.
        sequence: u32,
        /// Why.
        reason: RevertReason,
    },
    /// The outcome of the last update is with the gateway.
    Reported {
        /// Of the image.
        sequence: u32,
        /// What was reported.
        outcome: Outcome,
    },
    /// Nobody answered a request, or with an error.
    Unanswered {
        /// When it is tried again, seconds.
        retry_s: u32,
    },
    /// The flash part failed; what was under way is abandoned for now.
    FlashFailed,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("agent: ")?;
        match *self {
            Self::Started {
                sequence,
                on_trial: false,
            } => write!(f, "running sequence {sequence}"),
            Self::Started {
                sequence,
                on_trial: true,
            } => write!(f, "running sequence {sequence} on trial"),
            Self::CheckedIn { next_s } => write!(f, "checked in, next in {next_s} s"),
            Self::Offered {
                sequence,
                format,
                payload_bytes,
                ..
            } => {
                write!(
                    f,
                    "checked in, update to sequence {sequence} offered: {format}, {} bytes",
                    Grouped(payload_bytes)
                )
            }
            Self::Accepted { sequence } => write!(f, "manifest of sequence {sequence} verified"),
            Self::Resumed {
                sequence,
                staged_bytes,
            } => {
                write!(
                    f,
                    "update to sequence {sequence} goes on after {} bytes",
                    Grouped(staged_bytes)
                )
            }
            Self::Block { number, count } => write!(f, "block {number} of {count}"),
            Self::Paused { seconds } => write!(f, "gateway busy, asking again in {seconds} s"),
            Self::Staged => f.write_str("payload complete"),
            Self::Applying => f.write_str("applying"),
            Self::Verified { sequence } => write!(f, "sequence {sequence} verified, rebooting into trial"),
            Self::Handed { sequence } => write!(f, "sequence {sequence} staged, rebooting into the updater"),
            Self::Deferred {
                sequence,
                stage,
                reason,
                ..
            } => write!(f, "update to sequence {sequence} put off {stage}: {reason}"),
            Self::Confirmed { sequence } => write!(f, "sequence {sequence} confirmed"),
            Self::Dropped { sequence, outcome } => {
                write!(f, "update to sequence {sequence} dropped: {outcome}")
            }
            Self::Reverting { sequence, reason } => write!(f, "sequence {sequence} given up: {reason}"),
            Self::Reported { sequence, outcome } => {
                write!(f, "sequence {sequence} reported as {outcome}")
            }
            Self::Unanswered { retry_s } => write!(f, "no usable answer, trying again in {retry_s} s"),
            Self::FlashFailed => f.write_str("flash failed"),
        }
    }
}

/// A number with a comma between thousands.
struct Grouped(u32);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (millions, thousands, ones) = (self.0 / 1_000_000, self.0 / 1_000 % 1_000, self.0 % 1_000);
        match (millions, thousands) {
            (0, 0) => write!(f, "{ones}"),
            (0, _) => write!(f, "{thousands},{ones:03}"),
            _ => write!(f, "{millions},{thousands:03},{ones:03}"),
        }
    }
}

/// What the agent counted since it started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    /// Datagrams sent, retransmissions and acknowledgements included.
    pub datagrams_sent: u32,
    /// CoAP bytes sent, without IP and UDP headers.
    pub bytes_sent: u32,
    /// Datagrams received, whether or not they were of use.
    pub datagrams_received: u32,
    /// CoAP bytes received, without IP and UDP headers.
    pub bytes_received: u32,
    /// Copies of requests that were sent again for want of an answer.
    pub retransmissions: u32,
    /// Requests that got their response.
    pub round_trips: u32,
    /// Requests that got their response since the current or last update was offered.
    pub update_round_trips: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::string::ToString;

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
        assert_eq!(Grouped(7).to_string(), "7");
        assert_eq!(Grouped(1_020_304).to_string(), "1,020,304");
    }
}
