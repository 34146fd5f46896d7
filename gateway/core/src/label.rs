//! A device's label: what people call it, and what is printed on it.

use core::fmt;

/// 1 to 64 printable characters without space at either end, such as `roof 3, sn A1234`. Whatever a technician may search
/// for has room in it: a place, a serial number, an IMEI that is not the device's identifier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label(String);

impl Label {
    /// `None` when the text is not a label.
    pub fn new(text: &str) -> Option<Label> {
        let text = text.trim();
        let fits = (1..=LABEL_CHARS_MAX).contains(&text.chars().count());
        (fits && !text.chars().any(char::is_control)).then(|| Label(text.into()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a person would take the two for the same: case does not count.
    pub fn is_like(&self, text: &str) -> bool {
        self.0.to_lowercase() == text.trim().to_lowercase()
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fits a line of a terminal beside an identifier of ordinary length.
pub const LABEL_CHARS_MAX: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_short_and_printable() {
        assert_eq!(Label::new(" roof 3 ").unwrap().as_str(), "roof 3");
        assert!(Label::new(&"ü".repeat(64)).is_some());
        for text in ["", "  ", "a\nb", "a\u{1b}[2J", &"a".repeat(65)] {
            assert_eq!(Label::new(text), None, "{text:?}");
        }
        assert!(Label::new("Roof 3").unwrap().is_like("roof 3 "));
    }
}
