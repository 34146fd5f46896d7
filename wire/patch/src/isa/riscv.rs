//! RISC-V instructions that hold an address, alone or in pairs: RV32IMC and RV64GC.
//!
//! Encodings as in the RISC-V Instruction Set Manual, volume I: 2.3 (immediates), 2.5 (jumps and branches), 16 (compressed).

use super::field::Scattered;
use super::{AHEAD_BYTES, Ahead, Instruction, Operand, Trail};
use crate::relocate::Kind;

/// A displacement from the instruction's own place.
struct Jump {
    value: u32,
    mask: u32,
    bytes: u32,
    kind: Kind,
    field: Scattered,
}

const JUMPS: [Jump; 5] = [
    // JAL
    Jump {
        value: 0x6F,
        mask: 0x7F,
        bytes: 4,
        kind: Kind::Far,
        field: Scattered {
            runs: &[(21, 1, 10), (20, 11, 1), (12, 12, 8), (31, 20, 1)],
            bits: 21,
        },
    },
    // BEQ, BNE, BLT, BGE, BLTU, BGEU
    Jump {
        value: 0x63,
        mask: 0x7F,
        bytes: 4,
        kind: Kind::Near,
        field: Scattered {
            runs: &[(8, 1, 4), (25, 5, 6), (7, 11, 1), (31, 12, 1)],
            bits: 13,
        },
    },
    // C.J
    Jump {
        value: 0xA001,
        mask: 0xE003,
        bytes: 2,
        kind: Kind::Near,
        field: SHORT_JUMP,
    },
    // C.BEQZ, C.BNEZ
    Jump {
        value: 0xC001,
        mask: 0xC003,
        bytes: 2,
        kind: Kind::Near,
        field: Scattered {
            runs: &[(3, 1, 2), (10, 3, 2), (2, 5, 1), (5, 6, 2), (12, 8, 1)],
            bits: 9,
        },
    },
    // C.JAL, which is C.ADDIW in RV64
    Jump {
        value: 0x2001,
        mask: 0xE003,
        bytes: 2,
        kind: Kind::Far,
        field: SHORT_JUMP,
    },
];

const SHORT_JUMP: Scattered = Scattered {
    runs: &[
        (3, 1, 3),
        (11, 4, 1),
        (2, 5, 1),
        (7, 6, 1),
        (6, 7, 1),
        (9, 8, 2),
        (8, 10, 1),
        (12, 11, 1),
    ],
    bits: 12,
};

/// Numbers of fields: those of the jumps start at 1.
const UPPER_PC: u8 = 6;
const UPPER: u8 = 7;
pub(super) const LOWER: u8 = 8;
const LOWER_OF: u8 = 9;

/// The lower part of an address in loads, JALR and ADDI.
const LOWER_I: Scattered = Scattered {
    runs: &[(20, 0, 12)],
    bits: 12,
};
/// The lower part of an address in stores.
const LOWER_S: Scattered = Scattered {
    runs: &[(7, 0, 5), (25, 5, 7)],
    bits: 12,
};

/// The instruction at `at`.
pub(crate) fn read(trail: &mut Trail, ahead: &Ahead<'_>, at: u32, wide: bool) -> Instruction {
    let instruction = ahead.word(0);
    let long = instruction & 3 == 3;
    let operand = if trail.at == at {
        Some(operand(LOWER, Kind::Far, 4, trail.old))
    } else if let Some(operand) = based(trail, instruction).filter(|_| !wide) {
        Some(operand)
    } else if let Some((field, jump)) = jump(instruction, wide) {
        let address = at.wrapping_add(jump.field.gather(instruction));
        Some(operand(field, jump.kind, jump.bytes, address))
    } else {
        pair(trail, ahead, at, wide)
    };
    Instruction {
        bytes: if long { 4 } else { 2 },
        kind: if long { Kind::Wide } else { Kind::Plain },
        operand,
    }
}

/// Whether a field is half of a displacement of 32 bits.
pub(crate) fn reaches_out(field: u8) -> bool {
    matches!(field, UPPER_PC | LOWER)
}

fn operand(field: u8, kind: Kind, bytes: u32, address: u32) -> Operand {
    Operand {
        field,
        kind,
        bytes,
        address,
        literal: false,
    }
}

/// The jump that an instruction is, and its number.
fn jump(instruction: u32, wide: bool) -> Option<(u8, &'static Jump)> {
    (1..)
        .zip(&JUMPS)
        .take(if wide { 4 } else { 5 })
        .find(|(_, jump)| instruction & jump.mask == jump.value)
}

/// The jump with the number of a field.
fn numbered(field: u8) -> Option<&'static Jump> {
    JUMPS.get(usize::from(field).wrapping_sub(1))
}

/// AUIPC, if the next instruction completes its address; in RV32 LUI, with what completes its address soon.
fn pair(trail: &mut Trail, ahead: &Ahead<'_>, at: u32, wide: bool) -> Option<Operand> {
    let upper = ahead.word(0);
    let high = upper & 0xFFFF_F000;
    match upper & 0x7F {
        0x17 => {
            let next = ahead.word(4);
            let lower = lower(next).filter(|_| base(next) == destination(upper))?;
            trail.old = at.wrapping_add(high).wrapping_add(lower.gather(next));
            trail.at = at.wrapping_add(4);
            Some(operand(UPPER_PC, Kind::Word, 4, trail.old))
        }
        0x37 if !wide => {
            let low = soon(ahead, destination(upper)).unwrap_or(0);
            Some(operand(UPPER, Kind::Word, 4, high.wrapping_add(low)))
        }
        _ => None,
    }
}

/// The lower part that the first instruction ahead has that is based on a register.
fn soon(ahead: &Ahead<'_>, register: u32) -> Option<u32> {
    let mut at = 4;
    while at + 4 <= AHEAD_BYTES {
        let next = ahead.word(at);
        if next & 3 != 3 {
            at += 2;
            continue;
        }
        if let Some(lower) = lower(next).filter(|_| base(next) == register) {
            return Some(lower.gather(next));
        }
        at += 4;
    }
    None
}

/// An instruction that completes what LUI has put into a register.
fn based(trail: &Trail, instruction: u32) -> Option<Operand> {
    let lower = lower(instruction)?;
    let (old, _) = trail.upper(base(instruction))?;
    Some(operand(
        LOWER_OF,
        Kind::Far,
        4,
        old.wrapping_add(lower.gather(instruction)),
    ))
}

fn destination(instruction: u32) -> u32 {
    instruction >> 7 & 0x1F
}

fn base(instruction: u32) -> u32 {
    instruction >> 15 & 0x1F
}

/// Where an instruction holds the lower part of an address: load, ADDI, ADDIW, JALR; store.
fn lower(instruction: u32) -> Option<&'static Scattered> {
    match instruction & 0x7F {
        0x03 | 0x07 => Some(&LOWER_I),
        0x13 | 0x1B | 0x67 if instruction >> 12 & 7 == 0 => Some(&LOWER_I),
        0x23 | 0x27 => Some(&LOWER_S),
        _ => None,
    }
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(trail: &Trail, field: u8, instruction: u32, at: u32, address: u32) -> Option<u32> {
    match field {
        UPPER_PC => {
            let upper = address.wrapping_sub(at).wrapping_add(0x800) & 0xFFFF_F000;
            Some(instruction & 0xFFF | upper)
        }
        UPPER => Some(instruction & 0xFFF | address.wrapping_add(0x800) & 0xFFFF_F000),
        LOWER_OF => {
            let (_, new) = trail.upper(base(instruction))?;
            lower(instruction)?.scatter(instruction, address.wrapping_sub(new))
        }
        LOWER => lower(instruction)?.scatter(instruction, address.wrapping_sub(trail.new)),
        _ => (numbered(field)?.field).scatter(instruction, address.wrapping_sub(at)),
    }
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(trail: &Trail, field: u8, instruction: u32, at: u32) -> Option<u32> {
    match field {
        UPPER_PC | UPPER => None,
        LOWER => Some(trail.new.wrapping_add(lower(instruction)?.gather(instruction))),
        LOWER_OF => {
            let (_, new) = trail.upper(base(instruction))?;
            Some(new.wrapping_add(lower(instruction)?.gather(instruction)))
        }
        _ => {
            let jump = numbered(field)?;
            (instruction & jump.mask == jump.value).then(|| at.wrapping_add(jump.field.gather(instruction)))
        }
    }
}

/// Remembers what the upper part of an address became, and that registers get other contents.
pub(crate) fn passed(trail: &mut Trail, old: u32, source: u32, new: u32, target: u32) {
    if trail.at == source.wrapping_add(4) {
        trail.new = target.wrapping_add(new & 0xFFFF_F000);
        if new & 0x7F != 0x17 {
            trail.at = u32::MAX;
        }
    }
    if old & 0x7F == 0x37 && new & 0x7F == 0x37 {
        trail.set_upper(destination(old), Some((old & 0xFFFF_F000, new & 0xFFFF_F000)));
    } else if let Some(register) = written(old) {
        trail.set_upper(register, None);
    }
}

/// The register that an instruction writes, as far as it matters.
fn written(instruction: u32) -> Option<u32> {
    let compressed = 8 + (instruction >> 2 & 7);
    match (instruction & 3, instruction >> 13 & 7) {
        (3, _) => (!matches!(instruction & 0x7F, 0x23 | 0x27 | 0x63)).then_some(destination(instruction)),
        (0, 0..=3) => Some(compressed),
        (1, 0 | 2 | 3) | (2, 0 | 2 | 4) => Some(destination(instruction)),
        (1, 4) => Some(8 + (instruction >> 7 & 7)),
        _ => None,
    }
}
