//! What a device knows of the newest release, by its publisher's word: `docs/freeze.md`.

/// Key 19: the newest statement that a device heard, and what it makes of it. Sent when it asks for a newer one, and while it has
/// something to tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// The statement's number, at most [`Freshness::NUMBER_MAX`]; 0: it heard none yet.
    pub number: u32,
    /// It is older than it is valid for, by what the device has counted.
    pub is_stale: bool,
    /// For as long as the statement is valid for, the device has known of a release that it does not run, and nobody offered it one
    /// that is as new.
    pub is_behind: bool,
}

impl Freshness {
    /// The highest number of a statement: with the two bits beside it, 32.
    pub const NUMBER_MAX: u32 = (1 << 30) - 1;
    const STALE: u32 = 1;
    const BEHIND: u32 = 2;

    /// As one number, so that nearly all of them take two or three bytes: four times the statement's, 2 if behind, 1 if stale.
    pub const fn code(self) -> u32 {
        self.number << 2
            | if self.is_behind { Self::BEHIND } else { 0 }
            | if self.is_stale { Self::STALE } else { 0 }
    }

    /// The inverse of [`Freshness::code`].
    pub const fn from_code(code: u32) -> Self {
        Self {
            number: code >> 2,
            is_stale: code & Self::STALE != 0,
            is_behind: code & Self::BEHIND != 0,
        }
    }
}
