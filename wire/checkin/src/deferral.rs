//! Putting an update off: how urgent it is, and what a device says while it waits for a better moment.

use core::fmt;

/// How much an operator wants an update, in the words and numbers of LwM2M's Firmware Update object (object 5,
/// version 1.2, resource 11). The device's application decides what that means for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Severity {
    /// 0
    Critical = 0,
    /// 1, also where nothing is said.
    #[default]
    Mandatory = 1,
    /// 2
    Optional = 2,
}

impl Severity {
    /// Every severity, by ascending code.
    pub const ALL: [Self; 3] = [Self::Critical, Self::Mandatory, Self::Optional];

    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The severity of a code, or `None` for one that is not defined.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Critical),
            1 => Some(Self::Mandatory),
            2 => Some(Self::Optional),
            _ => None,
        }
    }

    /// The name in commands and listings.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Mandatory => "mandatory",
            Self::Optional => "optional",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where an update waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum DeferralStage {
    /// 0: nothing was erased or fetched.
    Download = 0,
    /// 1: the new image is complete and verified; only the restart is left.
    Restart = 1,
}

impl DeferralStage {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The stage of a code, or `None` for one that is not defined.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Download),
            1 => Some(Self::Restart),
            _ => None,
        }
    }
}

impl fmt::Display for DeferralStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Download => "before download",
            Self::Restart => "before restart",
        })
    }
}

/// Why an application puts an update off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DeferralReason {
    /// 0: too little energy for what comes next.
    Battery,
    /// 1: the radio link is too bad, or too expensive, now.
    Signal,
    /// 2: the device is doing what must not be interrupted.
    Application,
    /// A code of a later version. Displayed as its number.
    Other(u8),
}

impl DeferralReason {
    /// The code on the wire.
    pub const fn code(self) -> u8 {
        match self {
            Self::Battery => 0,
            Self::Signal => 1,
            Self::Application => 2,
            Self::Other(code) => code,
        }
    }

    /// The reason of a code; a known code never becomes [`DeferralReason::Other`].
    pub const fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Battery,
            1 => Self::Signal,
            2 => Self::Application,
            other => Self::Other(other),
        }
    }

    /// In words; `None` for a code of a later version.
    pub const fn text(self) -> Option<&'static str> {
        Some(match self {
            Self::Battery => "battery",
            Self::Signal => "signal",
            Self::Application => "application",
            Self::Other(_) => return None,
        })
    }
}

impl fmt::Display for DeferralReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.text() {
            Some(text) => f.write_str(text),
            None => write!(f, "reason {}", self.code()),
        }
    }
}

/// What a device says of an update that it puts off, in every check-in as long as it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deferral {
    /// Where it waits.
    pub stage: DeferralStage,
    /// Why.
    pub reason: DeferralReason,
    /// For how long already, by the device's own clock, since it first put this image off.
    pub seconds: u32,
}

impl Deferral {
    /// What LwM2M's Firmware Update object says of it in its resource 5, "Update Result".
    pub const OBJECT5_RESULT: u8 = 11;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_read_back_as_itself() {
        for code in 0..=u8::MAX {
            assert_eq!(DeferralReason::from_code(code).code(), code);
            let other = matches!(DeferralReason::from_code(code), DeferralReason::Other(_));
            assert_eq!(other, code > 2);
            let stage = DeferralStage::from_code(code);
            assert_eq!(stage.map(DeferralStage::code), (code < 2).then_some(code));
            let severity = Severity::from_code(code);
            assert_eq!(severity.map(Severity::code), (code < 3).then_some(code));
        }
        assert_eq!(Severity::default(), Severity::Mandatory);
    }
}
