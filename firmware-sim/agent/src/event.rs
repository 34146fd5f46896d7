//! What the agent tells its caller: effects to carry out, events to print, counters.

use deltagate_flash::RevertReason;
use wire_checkin::{DeferralReason, DeferralStage, Format, Outcome, Severity};

use crate::channel::Silence;

/// What the caller has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Restart the device, as soon as that is safe. The agent does nothing more.
    Reboot,
    /// Something worth a line in a log.
    Event(Event),
}

/// Something worth a line in a log: [`Event::say`] puts it into words, `Display` for programs that can format.
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
    /// The publisher's newest word came.
    #[cfg(feature = "freshness")]
    Latest {
        /// Of the newest release.
        sequence: u32,
        /// Number of the statement.
        statement: u32,
    },
    /// The publisher's last word is older than it meant it to be: nobody brings a newer one. Told once a start; tell whoever can do
    /// something, the device goes on as it is.
    #[cfg(feature = "freshness")]
    Stale {
        /// Number of the statement.
        statement: u32,
    },
    /// A release is known for long, and nobody offers it. Told once a start.
    #[cfg(feature = "freshness")]
    Behind {
        /// Of that release.
        sequence: u32,
    },
    /// The flash part failed; what was under way is abandoned for now.
    FlashFailed,
    /// The gateway answered, and nobody knows whether it was the gateway: a device with a single slot takes no update then. Give it
    /// credentials.
    Unprotected,
    /// Gateway and device have established keys of the channel, and they are stored.
    Established,
    /// Nothing was sent, and nothing is until somebody does something about it on the device.
    Silent(Silence),
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
