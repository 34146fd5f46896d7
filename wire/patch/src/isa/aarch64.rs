//! AArch64 instructions that hold an address, alone or, with ADRP, in pairs.
//!
//! Encodings as in the Arm Architecture Reference Manual for A-profile, C4.1 and C6.2.

use super::field::Scattered;
use super::{AHEAD_BYTES, Ahead, Instruction, Operand, Trail};
use crate::relocate::Kind;

/// A displacement from the instruction's own place.
struct Jump {
    value: u32,
    mask: u32,
    kind: Kind,
    field: Scattered,
}

/// 19 bits, counting instructions.
const WORDS_19: Scattered = Scattered {
    runs: &[(5, 2, 19)],
    bits: 21,
};
/// 26 bits, counting instructions.
const WORDS_26: Scattered = Scattered {
    runs: &[(0, 2, 26)],
    bits: 28,
};

const JUMPS: [Jump; 7] = [
    // BL
    Jump {
        value: 0x9400_0000,
        mask: 0xFC00_0000,
        kind: Kind::Far,
        field: WORDS_26,
    },
    // B
    Jump {
        value: 0x1400_0000,
        mask: 0xFC00_0000,
        kind: Kind::Near,
        field: WORDS_26,
    },
    // B.cond, BC.cond
    Jump {
        value: 0x5400_0000,
        mask: 0xFF00_0000,
        kind: Kind::Near,
        field: WORDS_19,
    },
    // CBZ, CBNZ
    Jump {
        value: 0x3400_0000,
        mask: 0x7E00_0000,
        kind: Kind::Near,
        field: WORDS_19,
    },
    // TBZ, TBNZ
    Jump {
        value: 0x3600_0000,
        mask: 0x7E00_0000,
        kind: Kind::Near,
        field: Scattered {
            runs: &[(5, 2, 14)],
            bits: 16,
        },
    },
    // LDR (literal), LDRSW (literal), PRFM (literal)
    Jump {
        value: 0x1800_0000,
        mask: 0x3B00_0000,
        kind: Kind::Near,
        field: WORDS_19,
    },
    // ADR
    Jump {
        value: 0x1000_0000,
        mask: 0x9F00_0000,
        kind: Kind::Far,
        field: Scattered {
            runs: &[(29, 0, 2), (5, 2, 19)],
            bits: 21,
        },
    },
];

/// Numbers of fields: those of the jumps start at 1.
const PAGE: u8 = 8;
const LOWER: u8 = 9;

/// ADRP's displacement, in pages; of its 21 bits the lowest 20 make a difference in 32-bit addresses.
const PAGES: Scattered = Scattered {
    runs: &[(29, 0, 2), (5, 2, 19)],
    bits: 21,
};

/// The instruction at `at`.
pub(crate) fn read(trail: &Trail, ahead: &Ahead<'_>, at: u32) -> Instruction {
    let instruction = ahead.word(0);
    let aligned = at & 3 == 0;
    let operand = if !aligned {
        None
    } else if let Some((field, jump)) = jump(instruction) {
        let address = at.wrapping_add(jump.field.gather(instruction));
        Some(operand(field, jump.kind, address))
    } else if is_adrp(instruction) {
        let low = soon(ahead, destination(instruction)).unwrap_or(0);
        Some(operand(PAGE, Kind::Word, page(instruction, at) | low))
    } else {
        lower(instruction)
            .and_then(|(low, _)| Some((low, trail.upper(base(instruction))?)))
            .map(|(low, (page, _))| operand(LOWER, Kind::Far, page.wrapping_add(low)))
    };
    Instruction {
        bytes: if aligned { 4 } else { 2 },
        kind: if aligned { Kind::Wide } else { Kind::Plain },
        operand,
    }
}

fn operand(field: u8, kind: Kind, address: u32) -> Operand {
    Operand {
        field,
        kind,
        bytes: 4,
        address,
        literal: false,
    }
}

/// The jump that an instruction is, and its number.
fn jump(instruction: u32) -> Option<(u8, &'static Jump)> {
    (1..)
        .zip(&JUMPS)
        .find(|(_, jump)| instruction & jump.mask == jump.value)
}

/// The jump with the number of a field.
fn numbered(field: u8) -> Option<&'static Jump> {
    JUMPS.get(usize::from(field).wrapping_sub(1))
}

fn is_adrp(instruction: u32) -> bool {
    instruction & 0x9F00_0000 == 0x9000_0000
}

fn page(instruction: u32, at: u32) -> u32 {
    (at & 0xFFFF_F000).wrapping_add(PAGES.gather(instruction) << 12)
}

/// The lower part that one of the next instructions has that is based on a register.
fn soon(ahead: &Ahead<'_>, register: u32) -> Option<u32> {
    (4..AHEAD_BYTES)
        .step_by(4)
        .map(|at| ahead.word(at))
        .filter(|next| base(*next) == register)
        .find_map(lower)
        .map(|(low, _)| low)
}

/// The lower 12 bits of an address in ADD (immediate) or a load or store with an unsigned offset, and in units of how many
/// bytes, as a power of two.
fn lower(instruction: u32) -> Option<(u32, u32)> {
    let scale = if instruction & 0xFFC0_0000 == 0x9100_0000 {
        0
    } else if instruction & 0x3B00_0000 == 0x3900_0000 {
        // 128-bit vectors have size 0 and the upper bit of opc.
        instruction >> 30 | instruction >> 24 & instruction >> 21 & 4
    } else {
        return None;
    };
    let low = (instruction >> 10 & 0xFFF) << scale;
    (low < 0x1000).then_some((low, scale))
}

fn destination(instruction: u32) -> u32 {
    instruction & 0x1F
}

fn base(instruction: u32) -> u32 {
    instruction >> 5 & 0x1F
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(field: u8, instruction: u32, at: u32, address: u32) -> Option<u32> {
    match field {
        PAGE => {
            let pages = (address & 0xFFFF_F000).wrapping_sub(at & 0xFFFF_F000);
            PAGES.scatter(instruction, (pages.cast_signed() >> 12).cast_unsigned())
        }
        LOWER => {
            let (_, scale) = lower(instruction)?;
            let low = address & 0xFFF;
            (low & ((1 << scale) - 1) == 0).then_some(instruction & 0xFFC0_03FF | low >> scale << 10)
        }
        _ => (numbered(field)?.field).scatter(instruction, address.wrapping_sub(at)),
    }
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(trail: &Trail, field: u8, instruction: u32, at: u32) -> Option<u32> {
    match field {
        PAGE => None,
        LOWER => {
            let (_, page) = trail.upper(base(instruction))?;
            Some(page | lower(instruction)?.0)
        }
        _ => {
            let jump = numbered(field)?;
            (instruction & jump.mask == jump.value).then(|| at.wrapping_add(jump.field.gather(instruction)))
        }
    }
}

/// Remembers what ADRP put into its register in the base and in the target, and that registers get other contents.
pub(crate) fn passed(trail: &mut Trail, old: u32, source: u32, new: u32, target: u32) {
    if is_adrp(old) && is_adrp(new) {
        trail.set_upper(destination(old), Some((page(old, source), page(new, target))));
    } else if writes(old) {
        trail.set_upper(destination(old), None);
    }
}

/// Whether an instruction puts something into its first register: data processing and loads.
fn writes(instruction: u32) -> bool {
    match instruction >> 25 & 0xF {
        0x8 | 0x9 | 0x5 | 0xD => true,
        0x4 | 0x6 | 0xC | 0xE => instruction >> 22 & 1 == 1,
        _ => false,
    }
}
