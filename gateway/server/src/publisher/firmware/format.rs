//! What a file is, by its first bytes; only the suffix of USB DFU is at the end.

use std::fmt;

use clap::ValueEnum;
use serde::Serialize;

use super::{dfuse, hex, srec, uf2};

/// What an image came in.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum FileFormat {
    /// The bytes themselves
    Raw,
    /// ELF, 32 or 64 bits
    Elf,
    /// Intel HEX
    Hex,
    /// Motorola S-records
    Srec,
    /// UF2
    Uf2,
    /// DfuSe
    #[value(name = "dfuse")]
    DfuSe,
    /// Raw, with the suffix of USB DFU
    Dfu,
}

impl FileFormat {
    /// What a file is, by its content alone. What is unknown is raw.
    pub fn of(file: &[u8]) -> Self {
        if file.starts_with(b"\x7fELF") {
            Self::Elf
        } else if uf2::is_uf2(file) {
            Self::Uf2
        } else if dfuse::is_dfuse(file) {
            Self::DfuSe
        } else if hex::is_hex(file) {
            Self::Hex
        } else if srec::is_srec(file) {
            Self::Srec
        } else if dfuse::is_dfu(file) {
            Self::Dfu
        } else {
            Self::Raw
        }
    }
}

impl fmt::Display for FileFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Raw => "raw",
            Self::Elf => "ELF",
            Self::Hex => "Intel HEX",
            Self::Srec => "S-record",
            Self::Uf2 => "UF2",
            Self::DfuSe => "DfuSe",
            Self::Dfu => "DFU",
        })
    }
}
