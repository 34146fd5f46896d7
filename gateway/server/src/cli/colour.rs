//! Colour, where a person looks and did not forbid it. Nothing is said by colour alone.

use std::io::{self, IsTerminal};

/// What a colour stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    /// As it should be.
    Good,
    /// A person is needed.
    Warning,
    /// It does not work.
    Bad,
}

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// As it is.
    Plain,
    /// With ECMA-48's SGR around it.
    Coloured,
}

impl Paint {
    /// For standard output: a terminal that is not dumb, and no `NO_COLOR` (no-color.org: set and not empty).
    pub(crate) fn for_stdout() -> Paint {
        let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        Paint::when(io::stdout().is_terminal() && !is_dumb, is_set("NO_COLOR"))
    }

    fn when(can: bool, forbidden: bool) -> Paint {
        if can && !forbidden {
            Paint::Coloured
        } else {
            Paint::Plain
        }
    }

    /// A text that holds no line feed, in a colour.
    pub(crate) fn with(self, colour: Colour, text: &str) -> String {
        let code = match colour {
            Colour::Good => 32,
            Colour::Warning => 33,
            Colour::Bad => 31,
        };
        match self {
            Paint::Plain => text.to_owned(),
            Paint::Coloured => format!("\x1b[{code}m{text}\x1b[0m"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_terminal_that_may_be_coloured_is() {
        assert_eq!(Paint::when(true, false), Paint::Coloured);
        assert_eq!(Paint::when(true, true), Paint::Plain);
        assert_eq!(Paint::when(false, false), Paint::Plain);
        assert_eq!(Paint::Plain.with(Colour::Warning, "x"), "x");
        assert_eq!(Paint::Coloured.with(Colour::Warning, "x"), "\x1b[33mx\x1b[0m");
    }
}
