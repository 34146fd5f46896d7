//! In which encodings a payload can travel.

use core::fmt;

/// How a payload encodes the image. The code is the bit index in [`Formats`] and the value in a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Format {
    /// The image itself; streams into the slot, nothing is staged.
    Full = 0,
    /// The image as an LZ4 stream.
    Lz4 = 1,
    /// A BSDIFF40 patch against the running image.
    Bsdiff = 2,
    /// Our patch against the running image, version 1 of its format.
    Patch = 3,
}

impl Format {
    /// Every format, by ascending code.
    pub const ALL: [Self; 4] = [Self::Full, Self::Lz4, Self::Bsdiff, Self::Patch];

    /// The format's code on the wire.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The format of a code, or `None` for one this version does not know.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(Self::Full),
            1 => Some(Self::Lz4),
            2 => Some(Self::Bsdiff),
            3 => Some(Self::Patch),
            _ => None,
        }
    }

    /// The name in listings and logs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Lz4 => "lz4",
            Self::Bsdiff => "bsdiff",
            Self::Patch => "patch",
        }
    }

    /// Whether the payload is only of use to a device that runs one certain image.
    pub const fn is_delta(self) -> bool {
        matches!(self, Self::Bsdiff | Self::Patch)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The set of formats a device decodes. Bits this version does not know are kept and mean nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Formats(u32);

impl Formats {
    /// No format at all: a device that only reports.
    pub const NONE: Self = Self(0);

    /// The set of these formats.
    pub const fn of(formats: &[Format]) -> Self {
        let mut set = Self::NONE;
        let mut at = 0;
        while at < formats.len() {
            set = set.with(formats[at]);
            at += 1;
        }
        set
    }

    /// The set as it is on the wire: bit *n* stands for the format of code *n*.
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The bits, as on the wire.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// This set and `format`.
    pub const fn with(self, format: Format) -> Self {
        Self(self.0 | 1 << format.code())
    }

    /// Whether `format` is in the set.
    pub const fn contains(self, format: Format) -> bool {
        self.0 & 1 << format.code() != 0
    }

    /// The formats of the set that this version knows, by ascending code.
    pub fn iter(self) -> impl Iterator<Item = Format> {
        Format::ALL
            .into_iter()
            .filter(move |format| self.contains(*format))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec::Vec;

    #[test]
    fn format_codes_are_frozen() {
        let codes: Vec<_> = Format::ALL
            .iter()
            .map(|format| (format.name(), format.code()))
            .collect();
        assert_eq!(codes, [("full", 0), ("lz4", 1), ("bsdiff", 2), ("patch", 3)]);
        for format in Format::ALL {
            assert_eq!(Format::from_code(format.code()), Some(format));
        }
        assert_eq!(Format::from_code(4), None);
    }

    #[test]
    fn a_set_keeps_bits_of_later_versions_without_meaning() {
        let formats = Formats::from_bits(0x8000_0009);
        assert_eq!(formats.bits(), 0x8000_0009);
        assert_eq!(formats.iter().collect::<Vec<_>>(), [Format::Full, Format::Patch]);
        assert!(!formats.contains(Format::Lz4));
    }
}
