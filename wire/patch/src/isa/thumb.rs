//! Thumb instructions that hold an address: which one, and the same instruction for another.
//!
//! Encodings as in the Armv7-M Architecture Reference Manual, A7.7.

use super::field::signed;
use super::{Instruction, Operand, Trail, narrowed};
use crate::relocate::Kind;

/// The instruction at `at`. The trail knows where the second halfword of two is.
pub(crate) fn read(trail: &mut Trail, old: u32, at: u32) -> Instruction {
    let second = trail.at == at;
    let wide = second || is_wide(old);
    if wide && !second {
        trail.at = at.wrapping_add(2);
    }
    let field = if second { None } else { Field::of(old) };
    Instruction {
        bytes: 2,
        kind: if wide { Kind::Wide } else { Kind::Plain },
        operand: field.map(|field| field.operand(old, at)),
    }
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(field: u8, instruction: u32, at: u32, address: u32) -> Option<u32> {
    Field::of(instruction)
        .filter(|found| *found as u8 == field)?
        .retarget(instruction, at, address)
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(field: u8, instruction: u32, at: u32) -> Option<u32> {
    let found = Field::of(instruction).filter(|found| *found as u8 == field)?;
    Some(found.target(instruction, at))
}

/// An instruction field that holds a displacement from the instruction's own place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// BL and B.W: T1 and T4, 32 bits, ±16 MiB.
    Branch24 = 1,
    /// B.W with a condition: T3, 32 bits, ±1 MiB.
    Branch20,
    /// B: T2, 16 bits, ±2 KiB.
    Branch11,
    /// B with a condition: T1, 16 bits, ±256 bytes.
    Branch8,
    /// LDR (literal): T1, 16 bits, up to 1020 bytes ahead.
    Literal8,
    /// LDR.W (literal) ahead: T2, 32 bits, up to 4095 bytes ahead.
    Literal12,
}

impl Field {
    fn operand(self, instruction: u32, at: u32) -> Operand {
        Operand {
            field: self as u8,
            kind: if self == Self::Branch24 {
                Kind::Far
            } else {
                Kind::Near
            },
            bytes: self.bytes(),
            address: self.target(instruction, at),
            literal: matches!(self, Self::Literal8 | Self::Literal12),
        }
    }

    /// Bytes of the instruction.
    fn bytes(self) -> u32 {
        match self {
            Self::Branch24 | Self::Branch20 | Self::Literal12 => 4,
            Self::Branch11 | Self::Branch8 | Self::Literal8 => 2,
        }
    }

    /// Which field the instruction of these two halfwords (low half first) holds.
    fn of(instruction: u32) -> Option<Self> {
        let (first, second) = (instruction & 0xFFFF, instruction >> 16);
        match first >> 11 {
            0b11110 if second & 0x9000 == 0x9000 => Some(Self::Branch24),
            0b11110 if second & 0xD000 == 0x8000 && first >> 7 & 7 != 7 => Some(Self::Branch20),
            0b11111 if first == 0xF8DF => Some(Self::Literal12),
            0b11100 => Some(Self::Branch11),
            0b01001 => Some(Self::Literal8),
            0b11010 | 0b11011 if first >> 9 != 0b110_1111 => Some(Self::Branch8),
            _ => None,
        }
    }

    /// The address that the instruction at `place` points to.
    fn target(self, instruction: u32, place: u32) -> u32 {
        let (first, second) = (instruction & 0xFFFF, instruction >> 16);
        let sign = first >> 10 & 1;
        let (j1, j2) = (second >> 13 & 1, second >> 11 & 1);
        let next = place.wrapping_add(4);
        match self {
            Self::Branch24 => {
                let (i1, i2) = (1 ^ j1 ^ sign, 1 ^ j2 ^ sign);
                let field = sign << 23 | i1 << 22 | i2 << 21 | (first & 0x3FF) << 11 | second & 0x7FF;
                next.wrapping_add(signed(field, 24) << 1)
            }
            Self::Branch20 => {
                let field = sign << 19 | j2 << 18 | j1 << 17 | (first & 0x3F) << 11 | second & 0x7FF;
                next.wrapping_add(signed(field, 20) << 1)
            }
            Self::Branch11 => next.wrapping_add(signed(first & 0x7FF, 11) << 1),
            Self::Branch8 => next.wrapping_add(signed(first & 0xFF, 8) << 1),
            Self::Literal8 => (next & !3).wrapping_add((first & 0xFF) << 2),
            Self::Literal12 => (next & !3).wrapping_add(second & 0xFFF),
        }
    }

    /// The instruction, at `place`, pointing to `target` instead; `None` when that is out of its reach.
    fn retarget(self, instruction: u32, place: u32, target: u32) -> Option<u32> {
        let next = place.wrapping_add(4);
        let value = target.wrapping_sub(next);
        match self {
            Self::Branch24 => {
                let field = narrowed(value, 24, 1)?;
                let sign = field >> 23 & 1;
                let (j1, j2) = (1 ^ (field >> 22 & 1) ^ sign, 1 ^ (field >> 21 & 1) ^ sign);
                let first = instruction & 0xF800 | sign << 10 | field >> 11 & 0x3FF;
                let second = instruction >> 16 & 0xD000 | j1 << 13 | j2 << 11 | field & 0x7FF;
                Some(first | second << 16)
            }
            Self::Branch20 => {
                let field = narrowed(value, 20, 1)?;
                let first = instruction & 0xFBC0 | (field >> 19 & 1) << 10 | field >> 11 & 0x3F;
                let second = instruction >> 16 & 0xD000
                    | (field >> 17 & 1) << 13
                    | (field >> 18 & 1) << 11
                    | field & 0x7FF;
                Some(first | second << 16)
            }
            Self::Branch11 => Some(instruction & 0xFFFF_F800 | narrowed(value, 11, 1)?),
            Self::Branch8 => Some(instruction & 0xFFFF_FF00 | narrowed(value, 8, 1)?),
            Self::Literal8 => {
                let ahead = target.wrapping_sub(next & !3);
                (ahead & 3 == 0 && ahead < 1 << 10).then_some(instruction & 0xFFFF_FF00 | ahead >> 2)
            }
            Self::Literal12 => {
                let ahead = target.wrapping_sub(next & !3);
                (ahead < 1 << 12).then_some(instruction & 0xF000_FFFF | ahead << 16)
            }
        }
    }
}

/// Whether a halfword is the first of two.
fn is_wide(halfword: u32) -> bool {
    halfword >> 11 & 0x1F >= 0b11101
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings_are_read() {
        // bl .+0 (to itself): f7ff fffe; b.w .+4: f000 b800; ldr r0, [pc, #4]: 4801; b .-2 (e7fd); beq .+0 (d0fe).
        let cases = [
            (0xFFFE_F7FF, 100, Field::Branch24, 100),
            (0xB800_F000, 100, Field::Branch24, 104),
            (0x0000_4801, 102, Field::Literal8, 108),
            (0x0000_E7FD, 100, Field::Branch11, 98),
            (0x0000_D0FE, 100, Field::Branch8, 100),
            (0x8000_F040, 100, Field::Branch20, 104),
            (0x0010_F8DF, 100, Field::Literal12, 120),
        ];
        for (instruction, place, field, target) in cases {
            assert_eq!(Field::of(instruction), Some(field), "{instruction:08x}");
            assert_eq!(field.target(instruction, place), target, "{instruction:08x}");
        }
    }

    #[test]
    fn retargeting_to_the_same_place_changes_nothing() {
        let mut x = 1_u32;
        let mut seen = 0;
        for _ in 0..200_000 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let instruction = x.rotate_left(13);
            if let Some(field) = Field::of(instruction) {
                seen += 1;
                let place = 0x8000;
                let target = field.target(instruction, place);
                assert_eq!(
                    field.retarget(instruction, place, target),
                    Some(instruction),
                    "{instruction:08x}"
                );
            }
        }
        assert!(seen > 1_000);
    }
}
