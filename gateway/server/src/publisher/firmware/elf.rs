//! ELF files by their program headers.

use object::Endianness;
use object::elf::{EM_AARCH64, EM_ARM, EM_AVR, EM_RISCV, EM_XTENSA, FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::{FileFormat, Firmware, FirmwareError, Machine, Segment, lay_out};

/// Most program headers we look at; linkers write fewer than twenty.
const SEGMENTS_MAX: usize = 256;

/// The image of an ELF file.
pub(super) fn read(file: &[u8]) -> Result<Firmware, FirmwareError> {
    // e_ident[EI_CLASS]: 2 is ELFCLASS64.
    match file.get(4) {
        Some(2) => flatten::<FileHeader64<Endianness>>(file),
        _ => flatten::<FileHeader32<Endianness>>(file),
    }
}

/// Lays out the segments with bytes to load, by their physical addresses: where they lie before the program runs.
fn flatten<Elf: FileHeader<Endian = Endianness>>(file: &[u8]) -> Result<Firmware, FirmwareError> {
    let damaged = |error: object::Error| FirmwareError::Damaged(error.to_string());
    let header = Elf::parse(file).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let headers = header.program_headers(endian, file).map_err(damaged)?;
    if headers.len() > SEGMENTS_MAX {
        return Err(FirmwareError::TooManySegments(headers.len()));
    }
    let wanted = headers.iter().filter(|segment| segment.p_type(endian) == PT_LOAD);
    let segments = wanted.map(|segment| match segment.data(endian, file) {
        Ok(data) => Ok(Segment {
            address: segment.p_paddr(endian).into(),
            data,
        }),
        Err(()) => Err(FirmwareError::Damaged("segment lies outside the file".to_owned())),
    });
    let mut segments: Vec<_> = segments.collect::<Result<_, _>>()?;
    segments.retain(|segment| !segment.data.is_empty());
    let machine = machine(header.e_machine(endian), header.is_class_64());
    lay_out(segments, FileFormat::Elf, Some(machine))
}

fn machine(number: u16, is_64: bool) -> Machine {
    match (number, is_64) {
        (EM_ARM, _) => Machine::Arm,
        (EM_AARCH64, _) => Machine::AArch64,
        (EM_RISCV, false) => Machine::RiscV32,
        (EM_RISCV, true) => Machine::RiscV64,
        (EM_XTENSA, _) => Machine::Xtensa,
        (EM_AVR, _) => Machine::Avr,
        (other, _) => Machine::Other(other),
    }
}
