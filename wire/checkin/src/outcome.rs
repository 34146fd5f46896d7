//! What became of an update.

use core::fmt;

/// How a device's last update ended. Each is represented as its code, so that the one is made of the other without a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Outcome {
    /// 1: the new image ran, reached the gateway and is confirmed.
    Confirmed = 1,
    /// 2: no signature by a key the device trusts.
    RefusedSignature = 2,
    /// 3: made for another vendor or class.
    RefusedClass = 3,
    /// 4: the sequence number is not above the running image's, or not above that of an image whose trials failed so
    /// often that the device gave it up.
    RefusedSequenceNumber = 4,
    /// 5: the manifest or the payload format is not one the device understands.
    RefusedUnsupported = 5,
    /// 6: the image or the staged payload does not fit.
    NoSpace = 6,
    /// 7: the patch needs more decoder memory than the device has.
    DecoderMemory = 7,
    /// 8: the payload does not decode against the running image.
    PatchFailed = 8,
    /// 9: the result is not the image the manifest names.
    DigestMismatch = 9,
    /// 10: reverted, as the new image did not reach the gateway in time.
    RevertedNoContact = 10,
    /// 11: reverted, as the watchdog fired.
    RevertedWatchdog = 11,
    /// 12: reverted, as the new image faulted.
    RevertedFault = 12,
    /// 13: reverted, as the bootloader found the image altered.
    RevertedVerification = 13,
    /// 14: given up because the gateway or the operator took the job back.
    Cancelled = 14,
    /// 15: the payload vanished or changed on the gateway during the transfer.
    PayloadChanged = 15,
    /// 16: reverted, as the new image did not pass the application's self-test.
    RevertedSelfTest = 16,
    /// 17: the flash part failed again and again while the update was under way.
    FlashFailed = 17,
    /// 18: the manifest asks for a newer predecessor than the image that runs.
    RefusedPredecessor = 18,
    /// A code of a later version. Displayed as its number.
    Other(u8) = 0,
}

impl Outcome {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Confirmed => 1,
            Self::RefusedSignature => 2,
            Self::RefusedClass => 3,
            Self::RefusedSequenceNumber => 4,
            Self::RefusedUnsupported => 5,
            Self::NoSpace => 6,
            Self::DecoderMemory => 7,
            Self::PatchFailed => 8,
            Self::DigestMismatch => 9,
            Self::RevertedNoContact => 10,
            Self::RevertedWatchdog => 11,
            Self::RevertedFault => 12,
            Self::RevertedVerification => 13,
            Self::Cancelled => 14,
            Self::PayloadChanged => 15,
            Self::RevertedSelfTest => 16,
            Self::FlashFailed => 17,
            Self::RefusedPredecessor => 18,
            Self::Other(code) => code,
        }
    }

    /// The outcome of a code; a known code never becomes [`Outcome::Other`].
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Confirmed,
            2 => Self::RefusedSignature,
            3 => Self::RefusedClass,
            4 => Self::RefusedSequenceNumber,
            5 => Self::RefusedUnsupported,
            6 => Self::NoSpace,
            7 => Self::DecoderMemory,
            8 => Self::PatchFailed,
            9 => Self::DigestMismatch,
            10 => Self::RevertedNoContact,
            11 => Self::RevertedWatchdog,
            12 => Self::RevertedFault,
            13 => Self::RevertedVerification,
            14 => Self::Cancelled,
            15 => Self::PayloadChanged,
            16 => Self::RevertedSelfTest,
            17 => Self::FlashFailed,
            18 => Self::RefusedPredecessor,
            other => Self::Other(other),
        }
    }

    /// Whether the image must not be offered to this device again until an operator says so.
    ///
    /// True for everything that would end the same way again on paid airtime, and for codes this version does not
    /// know; false only for a confirmed image, a cancelled job and a payload that changed under way.
    pub const fn withholds(self) -> bool {
        !matches!(self, Self::Confirmed | Self::Cancelled | Self::PayloadChanged)
    }

    /// Whether the image was booted on trial and given up.
    pub const fn is_revert(self) -> bool {
        matches!(
            self,
            Self::RevertedNoContact
                | Self::RevertedWatchdog
                | Self::RevertedFault
                | Self::RevertedVerification
                | Self::RevertedSelfTest
        )
    }

    /// What LwM2M's Firmware Update object says of the same end: its resource 5, "Update Result", as of version 1.2 of
    /// object 5. 0, nothing ended yet, and 11, put off, are no outcomes: see [`crate::Deferral::OBJECT5_RESULT`].
    pub const fn object5_result(self) -> u8 {
        match self {
            Self::Confirmed => 1,
            Self::NoSpace => 2,
            Self::DecoderMemory => 3,
            Self::RefusedSignature | Self::DigestMismatch | Self::PayloadChanged => 5,
            Self::RefusedClass | Self::RefusedUnsupported => 6,
            Self::RefusedSequenceNumber
            | Self::RefusedPredecessor
            | Self::PatchFailed
            | Self::RevertedNoContact
            | Self::RevertedWatchdog
            | Self::RevertedFault
            | Self::RevertedVerification
            | Self::RevertedSelfTest
            | Self::FlashFailed
            | Self::Other(_) => 8,
            Self::Cancelled => 10,
        }
    }

    /// In words; `None` for a code of a later version.
    pub const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Confirmed => "confirmed",
            Self::RefusedSignature => "refused: signature",
            Self::RefusedClass => "refused: vendor or class",
            Self::RefusedSequenceNumber => "refused: sequence number",
            Self::RefusedUnsupported => "refused: unsupported manifest or format",
            Self::NoSpace => "no space",
            Self::DecoderMemory => "decoder memory",
            Self::PatchFailed => "patch failed",
            Self::DigestMismatch => "digest mismatch",
            Self::RevertedNoContact => "reverted: no contact",
            Self::RevertedWatchdog => "reverted: watchdog",
            Self::RevertedFault => "reverted: fault",
            Self::RevertedVerification => "reverted: boot verification",
            Self::Cancelled => "cancelled",
            Self::PayloadChanged => "payload gone or changed",
            Self::RevertedSelfTest => "reverted: self-test",
            Self::FlashFailed => "flash failed",
            Self::RefusedPredecessor => "refused: predecessor too old",
            Self::Other(_) => return None,
        })
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "outcome {}", self.code()),
        }
    }
}

/// What a device says of its last update, in every check-in until one is answered with 2.04.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LastUpdate {
    /// Sequence number of the image that was offered.
    pub sequence_number: u64,
    /// How the update ended.
    pub outcome: Outcome,
    /// A number for the log, whose meaning the outcome gives: bytes missing, an offset, a fault address.
    pub detail: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_as_itself() {
        for code in 0..=u8::MAX {
            assert_eq!(Outcome::from_code(code).code(), code);
            assert_eq!(
                matches!(Outcome::from_code(code), Outcome::Other(_)),
                !(1..=18).contains(&code)
            );
        }
    }

    #[test]
    fn all_but_confirmed_cancelled_and_changed_withhold_the_image() {
        for code in 0..=u8::MAX {
            assert_eq!(
                Outcome::from_code(code).withholds(),
                ![1, 14, 15].contains(&code),
                "{code}"
            );
        }
    }

    #[test]
    fn only_ten_to_thirteen_and_sixteen_are_reverts() {
        for code in 0..=u8::MAX {
            assert_eq!(
                Outcome::from_code(code).is_revert(),
                (10..=13).contains(&code) || code == 16,
                "{code}"
            );
        }
    }

    /// The table of docs/protocol.md, cell by cell.
    #[test]
    fn every_outcome_has_its_result_of_object_5() {
        let results = [1, 5, 6, 8, 6, 2, 3, 8, 5, 8, 8, 8, 8, 10, 5, 8, 8, 8];
        for (code, result) in (1..).zip(results) {
            assert_eq!(Outcome::from_code(code).object5_result(), result, "{code}");
        }
        assert_eq!(Outcome::Other(99).object5_result(), 8);
        let documented = include_str!("../../../docs/protocol.md");
        for (code, result) in (1..).zip(results) {
            let row = |line: &&str| line.starts_with(&std::format!("| {code} |"));
            let row = documented.lines().find(row).unwrap();
            assert!(row.ends_with(&std::format!("| {result} |")), "{row}");
        }
    }
}
