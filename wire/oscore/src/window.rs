//! The replay window of a server: which Partial IVs came already (RFC 8613 §7.4, §3.2.2; Appendix B.1.2).
//!
//! ```text
//!  seen (64 bits)    1 0 … 1 1 1        bit n: Partial IV `highest − n` came
//!  highest                     ▲        the highest that came
//! ```
//!
//! Beyond the window on the left everything counts as seen.

use crate::sequence::PartialIv;

/// What a context's client sent already. A window that was lost says so, and takes nothing but what answers its challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayWindow {
    state: State,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    /// Keys that nobody used before: everything is new.
    Untouched,
    Known {
        highest: PartialIv,
        seen: u64,
    },
    /// Nobody knows what came; whoever echoes this is no replay.
    Lost {
        echo: EchoValue,
    },
}

/// What a server asks a client to echo (RFC 9175 §2.2.1): eight bytes from a random number generator.
///
/// Drawn when the window is found lost, and valid until it is known again: a request that carries it under the context's
/// keys was made after it was drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EchoValue(pub [u8; EchoValue::BYTES]);

impl EchoValue {
    /// Whoever records and replays requests hits it by chance once in 2^64.
    pub const BYTES: usize = 8;
}

/// What the window says to a Partial IV, before anyone knows whether the message is authentic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sight {
    New,
    Seen,
    /// The window is lost; the message must echo this.
    Unknown(EchoValue),
}

impl ReplayWindow {
    /// How many Partial IVs below the highest are told apart. RFC 8613 §3.2.2 has 32 as its default; one word of a 64-bit
    /// machine is 64.
    pub const WIDTH: u32 = u64::BITS;

    /// The window of keys that were never used.
    #[must_use]
    pub const fn new() -> ReplayWindow {
        ReplayWindow {
            state: State::Untouched,
        }
    }

    /// The window of keys that were used before, by nobody knows whom: after a restart, or restored from a backup (RFC 8613
    /// Appendix B.1.2). `echo` is random, another each time.
    #[must_use]
    pub const fn lost(echo: EchoValue) -> ReplayWindow {
        ReplayWindow {
            state: State::Lost { echo },
        }
    }

    /// Whether the next request must echo.
    #[must_use]
    pub const fn is_lost(&self) -> bool {
        matches!(self.state, State::Lost { .. })
    }

    /// The highest Partial IV that came; `None` before the first, and of a lost window.
    #[must_use]
    pub const fn highest(&self) -> Option<PartialIv> {
        match self.state {
            State::Known { highest, .. } => Some(highest),
            State::Untouched | State::Lost { .. } => None,
        }
    }

    /// Judges, and changes nothing: only what is authentic may (RFC 8613 §8.2 step 6).
    pub(crate) const fn judge(&self, partial_iv: PartialIv) -> Sight {
        match self.state {
            State::Untouched => Sight::New,
            State::Lost { echo } => Sight::Unknown(echo),
            State::Known { highest, seen } => match highest.value().checked_sub(partial_iv.value()) {
                None => Sight::New,
                Some(behind) if behind < Self::WIDTH as u64 && seen >> behind & 1 == 0 => Sight::New,
                Some(_) => Sight::Seen,
            },
        }
    }

    /// Notes the Partial IV of an authentic request that was [`Sight::New`], or that echoed.
    pub(crate) const fn note(&mut self, partial_iv: PartialIv) {
        self.state = match self.state {
            State::Untouched => State::Known {
                highest: partial_iv,
                seen: 1,
            },
            // Appendix B.1.2: the lower limit of the window; nothing before it is taken.
            State::Lost { .. } => State::Known {
                highest: partial_iv,
                seen: u64::MAX,
            },
            State::Known { highest, seen } => match highest.value().checked_sub(partial_iv.value()) {
                Some(behind) if behind < Self::WIDTH as u64 => State::Known {
                    highest,
                    seen: seen | 1 << behind,
                },
                Some(_) => State::Known { highest, seen },
                None => {
                    let ahead = partial_iv.value() - highest.value();
                    let moved = if ahead < Self::WIDTH as u64 {
                        seen << ahead
                    } else {
                        0
                    };
                    State::Known {
                        highest: partial_iv,
                        seen: moved | 1,
                    }
                }
            },
        };
    }
}

impl Default for ReplayWindow {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    fn piv(value: u64) -> PartialIv {
        PartialIv::new(value).unwrap()
    }

    #[test]
    fn what_came_comes_once() {
        let mut window = ReplayWindow::new();
        for value in [5, 3, 4, 68, 6] {
            assert_eq!(window.judge(piv(value)), Sight::New, "{value}");
            window.note(piv(value));
            assert_eq!(window.judge(piv(value)), Sight::Seen, "{value}");
        }
        assert_eq!(window.highest(), Some(piv(68)));
        assert_eq!(window.judge(piv(4)), Sight::Seen, "behind the window");
        assert_eq!(window.judge(piv(7)), Sight::New);
    }

    #[test]
    fn a_lost_window_takes_nothing_from_before() {
        let echo = EchoValue([7; 8]);
        let mut window = ReplayWindow::lost(echo);
        assert_eq!(window.judge(piv(9)), Sight::Unknown(echo));
        window.note(piv(100));
        for value in 0..=100 {
            assert_eq!(window.judge(piv(value)), Sight::Seen, "{value}");
        }
        assert_eq!(window.judge(piv(101)), Sight::New);
    }

    proptest! {
        /// Against a set of all that came: nothing twice, and nothing refused that is new and not too far behind.
        #[test]
        fn agrees_with_a_set(values in proptest::collection::vec(0..300_u64, 0..200)) {
            let (mut window, mut came) = (ReplayWindow::new(), BTreeSet::new());
            for value in values {
                let highest = came.last().copied().unwrap_or(0);
                let within = value + u64::from(ReplayWindow::WIDTH) > highest;
                let expected = !came.contains(&value) && within;
                prop_assert_eq!(window.judge(piv(value)) == Sight::New, expected);
                if expected {
                    window.note(piv(value));
                    came.insert(value);
                }
            }
        }
    }
}
