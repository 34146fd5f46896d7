//! What a technician knows better than a firmware file.

use clap::Args;

use super::{FileFormat, ReadOptions, Slot, uf2_family};

/// How firmware files are read.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct FirmwareArgs {
    /// What a firmware file is, whatever its first bytes look like
    #[arg(long, value_name = "FORMAT", hide_possible_values = false)]
    format: Option<FileFormat>,
    /// Which family of a UF2 file for several, by name or number, such as RP2040 or 0xe48bff56
    #[arg(long, value_name = "FAMILY", value_parser = uf2_family::by_text)]
    family: Option<u32>,
    /// Which target of a DfuSe file for several, by its alternate setting
    #[arg(long, value_name = "NUMBER")]
    alternate: Option<u8>,
    /// Where the slot begins, such as 0x08004000: data elsewhere is refused, and the image begins there
    #[arg(long, value_name = "ADDRESS", value_parser = address, requires = "slot_bytes")]
    slot_address: Option<u64>,
    /// How long the slot is, in bytes or such as 192KiB: a longer image is refused
    #[arg(long, value_name = "SIZE", value_parser = size)]
    slot_bytes: Option<u64>,
}

impl FirmwareArgs {
    /// Whether the file is said to be a firmware file.
    pub fn names_format(&self) -> bool {
        self.format.is_some()
    }

    /// For [`super::Firmware::read_with`].
    pub fn options(&self) -> ReadOptions {
        ReadOptions {
            format: self.format,
            family: self.family,
            alternate: self.alternate,
            slot: Slot {
                address: self.slot_address,
                bytes: self.slot_bytes,
            },
        }
    }
}

/// An address, hexadecimal with 0x in front or decimal.
fn address(text: &str) -> Result<u64, String> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    number.map_err(|_| "not an address, such as 0x08004000".to_owned())
}

/// A number of bytes, of KiB or of MiB.
fn size(text: &str) -> Result<u64, String> {
    let units = [("KiB", 1 << 10), ("MiB", 1 << 20), ("", 1)];
    let unit = |(suffix, factor): (&str, u64)| Some((text.strip_suffix(suffix)?, factor));
    let (number, factor) = units.into_iter().find_map(unit).unwrap_or((text, 1));
    let bytes = address(number).ok().and_then(|number| number.checked_mul(factor));
    let bytes = bytes.filter(|bytes| *bytes > 0);
    bytes.ok_or_else(|| "not a size, such as 196608, 0x30000 or 192KiB".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_and_addresses_a_radix() {
        for (text, bytes) in [
            ("196608", 196_608),
            ("0x30000", 196_608),
            ("192KiB", 196_608),
            ("2MiB", 2 << 20),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in [
            "",
            "0",
            "KiB",
            "-1",
            "1GB",
            "99999999999999999999",
            "18446744073709551615KiB",
        ] {
            assert!(size(text).is_err(), "{text}");
        }
        assert_eq!(address("0x08004000"), Ok(0x0800_4000));
        assert!(address("08004000h").is_err());
    }
}
