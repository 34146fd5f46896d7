//! Families of processors.

use std::fmt;

/// A family of processors, as a file names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Machine {
    /// 32-bit Arm, which on a microcontroller means Thumb.
    Arm,
    /// 64-bit Arm.
    AArch64,
    /// RISC-V of 32 bits.
    RiscV32,
    /// RISC-V of 64 bits.
    RiscV64,
    /// Xtensa.
    Xtensa,
    /// AVR.
    Avr,
    /// Another one, by its number in an ELF file.
    Other(u16),
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm => f.write_str("Arm"),
            Self::AArch64 => f.write_str("AArch64"),
            Self::RiscV32 => f.write_str("RISC-V 32"),
            Self::RiscV64 => f.write_str("RISC-V 64"),
            Self::Xtensa => f.write_str("Xtensa"),
            Self::Avr => f.write_str("AVR"),
            Self::Other(number) => write!(f, "ELF machine {number}"),
        }
    }
}
