//! What a device's word for a failure or a delay means, and what helps: one sentence and one next step for each.

use wire_checkin::{DeferralReason, Outcome};

/// What a word means, and what to do about it; both are clauses without a full stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remedy {
    /// What happened on the device.
    pub what: &'static str,
    /// What helps.
    pub next: &'static str,
}

impl Remedy {
    /// Of how an update ended.
    pub const fn of_outcome(outcome: Outcome) -> Remedy {
        let (what, next) = match outcome {
            Outcome::Confirmed => (
                "the image ran, reached the gateway and is confirmed",
                "nothing is left to do",
            ),
            Outcome::RefusedSignature => (
                "none of the keys that the device was provisioned with signed the image",
                "sign it with a key that the device trusts, and import it again",
            ),
            Outcome::RefusedClass => (
                "the device was provisioned for another vendor or class than the image is for",
                "find out what the device is; forget it and claim it anew if it was exchanged",
            ),
            Outcome::RefusedSequenceNumber => (
                "the device runs, has confirmed or gave up a sequence number as high as the image's",
                "sign the image with a higher sequence number, and import and assign that",
            ),
            Outcome::RefusedUnsupported => (
                "the device's firmware does not know something that manifest or payload uses",
                "assign it an older release first, whose agent knows it",
            ),
            Outcome::NoSpace => (
                "the image and its payload do not fit the device's flash; the detail is how many bytes are missing",
                "make the image smaller, or the patch by smaller changes",
            ),
            Outcome::DecoderMemory => (
                "the patch needs a larger decoder than the device has; the detail is how many bytes",
                "let its firmware give the decoder as much memory as it reports",
            ),
            Outcome::PatchFailed => (
                "the patch did not decode on top of what the device runs; the detail is how many bytes it made",
                "check that the image imported as the old one is byte for byte what the device was shipped with",
            ),
            Outcome::DigestMismatch => (
                "what the device made of the payload is not the signed image",
                "let it try once more; if it happens again its flash is failing",
            ),
            Outcome::RevertedNoContact => (
                "the image ran and did not reach the gateway in time, so the device went back",
                "check link and coverage, and what the image changed in its network",
            ),
            Outcome::RevertedWatchdog => (
                "the image hung until the watchdog reset the device, so it went back",
                "find where the image hangs, and assign a release that mends it",
            ),
            Outcome::RevertedFault => (
                "the image crashed, so the device went back",
                "find where the image crashes, and assign a release that mends it",
            ),
            Outcome::RevertedVerification => (
                "the image was altered between its writing and its first start, so it was never started",
                "let it try once more; if it happens again its flash is failing",
            ),
            Outcome::Cancelled => (
                "the update was taken back while it was under way, again and again",
                "see that one assignment stands, and no other one takes its place",
            ),
            Outcome::PayloadChanged => (
                "the payload was gone, or another one, each time the device asked for the rest of it",
                "see the gateway's log for what it cannot read, and import the image again",
            ),
            Outcome::RevertedSelfTest => (
                "the image ran and did not pass its own application's self-test, so the device went back",
                "ask the image's author what the test found; assign a release that passes it",
            ),
            Outcome::FlashFailed => (
                "the device's flash failed again and again under way",
                "let it try once more; if it happens again exchange the device",
            ),
            Outcome::RefusedPredecessor => (
                "the image may not follow the one that the device runs; the detail is the lowest sequence number it may follow",
                "import the release in between; if it is there, let the device check in from what it runs now",
            ),
            Outcome::Other(_) => (
                "this version of the gateway does not know that word",
                "bring the gateway up to date, and look at the device's own log",
            ),
        };
        Remedy { what, next }
    }

    /// Of an update that waits for its device.
    pub const fn of_deferral(reason: DeferralReason) -> Remedy {
        let (what, next) = match reason {
            DeferralReason::Battery => (
                "its application says that the battery is too low for what comes next",
                "charge or exchange its battery",
            ),
            DeferralReason::Signal => (
                "its application says that the radio link is too bad or too expensive now",
                "see to its antenna, its place and its link",
            ),
            DeferralReason::Application => (
                "its application is doing what must not be interrupted",
                "end what it is doing, or wait until it has",
            ),
            DeferralReason::Other(_) => (
                "this version of the gateway does not know that reason",
                "bring the gateway up to date, and look at the device's own log",
            ),
        };
        Remedy { what, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn is_one_clause(text: &str) -> bool {
        let lower = text.starts_with(|first: char| first.is_ascii_lowercase());
        lower && text.len() <= 120 && !text.contains(['.', '\n', '{']) && text.split_whitespace().count() >= 4
    }

    /// Every code there is, those of later versions included.
    #[test]
    fn every_outcome_has_its_own_sentence_and_a_next_step() {
        let mut sentences = BTreeSet::new();
        for outcome in (0..=u8::MAX).map(Outcome::from_code) {
            let Remedy { what, next } = Remedy::of_outcome(outcome);
            assert!(
                is_one_clause(what) && is_one_clause(next),
                "{outcome}: {what}; {next}"
            );
            sentences.insert(what);
        }
        assert_eq!(sentences.len(), 18 + 1, "eighteen outcomes, and the unknown ones");
    }

    #[test]
    fn every_reason_to_wait_has_its_own_sentence_and_a_next_step() {
        let mut sentences = BTreeSet::new();
        for reason in (0..=u8::MAX).map(DeferralReason::from_code) {
            let Remedy { what, next } = Remedy::of_deferral(reason);
            assert!(
                is_one_clause(what) && is_one_clause(next),
                "{reason}: {what}; {next}"
            );
            sentences.insert(what);
        }
        assert_eq!(sentences.len(), 3 + 1, "three reasons, and the unknown ones");
    }
}
