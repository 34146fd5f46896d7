//! What is printed on a device, or burnt into it: more names than the one that it checks in with.

use core::fmt;

/// Which kind of name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NameKind {
    /// EUI-48 or EUI-64.
    Eui,
    /// 3GPP TS 23.003 §6.2.1.
    Imei,
    /// Its maker's.
    Serial,
}

impl NameKind {
    /// All there are.
    pub const ALL: [NameKind; 3] = [NameKind::Eui, NameKind::Imei, NameKind::Serial];

    /// The number that stored rows have for it.
    pub fn code(self) -> u8 {
        match self {
            NameKind::Eui => 1,
            NameKind::Imei => 2,
            NameKind::Serial => 3,
        }
    }

    /// The kind of a stored number.
    pub fn from_code(code: u8) -> Option<NameKind> {
        NameKind::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// One word: `eui`, `imei` or `serial`.
    pub fn name(self) -> &'static str {
        match self {
            NameKind::Eui => "eui",
            NameKind::Imei => "imei",
            NameKind::Serial => "serial",
        }
    }

    /// What is one, as a clause.
    pub fn expects(self) -> &'static str {
        match self {
            NameKind::Eui => "an EUI of 12 or 16 hex digits",
            NameKind::Imei => "an IMEI of 15 digits, the last of which is the check digit of the others",
            NameKind::Serial => "a serial number of 1 to 32 printable characters",
        }
    }
}

/// A name in the form in which it is kept: an EUI as lower-case hex digits, an IMEI as 15 digits, a serial number as it was
/// typed. Of a kind a device has at most one, and no two devices have the same.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeviceName {
    kind: NameKind,
    text: String,
}

impl DeviceName {
    /// `None` when the text is no name of this kind. Hyphens, colons, dots and spaces count in a serial number only.
    pub fn new(kind: NameKind, text: &str) -> Option<DeviceName> {
        let text = text.trim();
        let packed = || -> String { text.chars().filter(|c| !":-. ".contains(*c)).collect() };
        let text = match kind {
            NameKind::Eui => Some(packed().to_ascii_lowercase())
                .filter(|digits| matches!(digits.len(), 12 | 16))
                .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?,
            NameKind::Imei => Some(packed()).filter(|digits| is_imei(digits))?,
            NameKind::Serial => Some(text.to_owned())
                .filter(|text| (1..=SERIAL_CHARS_MAX).contains(&text.chars().count()))
                .filter(|text| !text.chars().any(char::is_control))?,
        };
        Some(DeviceName { kind, text })
    }

    /// Which kind it is.
    pub fn kind(&self) -> NameKind {
        self.kind
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind.name(), self.text)
    }
}

/// Longer than any that was seen.
const SERIAL_CHARS_MAX: usize = 32;

/// The check digit is Luhn's (3GPP TS 23.003 Annex B): every second digit from the right doubled, the digits of all of it add up
/// to a multiple of ten.
fn is_imei(digits: &str) -> bool {
    let values: Option<Vec<u32>> = digits.chars().map(|digit| digit.to_digit(10)).collect();
    let Some(values) = values.filter(|values| values.len() == 15) else {
        return false;
    };
    let sum: u32 = values
        .iter()
        .rev()
        .enumerate()
        .map(|(at, value)| match at % 2 {
            0 => *value,
            _ => value * 2 / 10 + value * 2 % 10,
        })
        .sum();
    sum.is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(kind: NameKind, text: &str) -> Option<String> {
        DeviceName::new(kind, text).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn names_are_kept_in_one_form() {
        for (kind, text, kept) in [
            (NameKind::Eui, "52:54:00:12:AB:CD", "52540012abcd"),
            (NameKind::Eui, "02-1b-44-ff-fe-11-3a-b7", "021b44fffe113ab7"),
            (NameKind::Imei, "35-693803-564380-9", "356938035643809"),
            (NameKind::Serial, " A-1234 ", "A-1234"),
        ] {
            assert_eq!(named(kind, text).as_deref(), Some(kept));
        }
    }

    #[test]
    fn what_is_no_name_is_none() {
        for (kind, text) in [
            (NameKind::Eui, "52540012abc"),
            (NameKind::Eui, "52540012abcg"),
            (NameKind::Imei, "356938035643808"),
            (NameKind::Imei, "35693803564380"),
            (NameKind::Serial, ""),
            (NameKind::Serial, "a\nb"),
        ] {
            assert_eq!(named(kind, text), None, "{text}");
        }
        assert_eq!(named(NameKind::Serial, &"a".repeat(33)), None);
    }

    #[test]
    fn codes_are_read_back() {
        for kind in NameKind::ALL {
            assert_eq!(NameKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(NameKind::from_code(0), None);
    }
}
