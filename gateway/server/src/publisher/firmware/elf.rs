//! ELF files by their program headers.

use object::Endianness;
use object::elf::{EM_AARCH64, EM_ARM, EM_AVR, EM_RISCV, EM_XTENSA, FileHeader32, FileHeader64, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};

use super::pieces::Pieces;
use super::{FileFormat, Firmware, FirmwareError, Machine, ReadOptions};

/// Most program headers we look at; linkers write fewer than twenty.
const SEGMENTS_MAX: usize = 256;

/// The image of an ELF file.
pub(super) fn read(file: &[u8], options: &ReadOptions) -> Result<Firmware, FirmwareError> {
    // e_ident[EI_CLASS]: 2 is ELFCLASS64.
    match file.get(4) {
        Some(2) => flatten::<FileHeader64<Endianness>>(file, options),
        _ => flatten::<FileHeader32<Endianness>>(file, options),
    }
}

/// Lays out the segments with bytes to load, by their physical addresses: where they lie before the program runs.
fn flatten<Elf: FileHeader<Endian = Endianness>>(
    file: &[u8],
    options: &ReadOptions,
) -> Result<Firmware, FirmwareError> {
    let header = Elf::parse(file).map_err(damaged)?;
    let endian = header.endian().map_err(damaged)?;
    let headers = header.program_headers(endian, file).map_err(damaged)?;
    if headers.len() > SEGMENTS_MAX {
        return Err(FirmwareError::TooManySegments(headers.len()));
    }
    let mut pieces = Pieces::default();
    for segment in headers.iter().filter(|segment| segment.p_type(endian) == PT_LOAD) {
        let data = segment.data(endian, file);
        let data = data.map_err(|()| damaged("segment lies outside the file"))?;
        pieces.add(segment.p_paddr(endian).into(), data)?;
    }
    let machine = machine(header.e_machine(endian), header.is_class_64());
    Ok(Firmware {
        machine: Some(machine),
        ..pieces.lay_out(FileFormat::Elf, options)?
    })
}

fn damaged(problem: impl ToString) -> FirmwareError {
    FirmwareError::Damaged {
        format: FileFormat::Elf,
        problem: problem.to_string(),
    }
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
