//! Xtensa instructions that hold an address: the LX106 of the ESP8266, the LX6 of the ESP32 and their kin.
//!
//! Encodings as in the Xtensa Instruction Set Architecture Reference Manual, chapter 7, little-endian, with the code density
//! option. Instructions of two and three bytes follow each other without alignment, and words of data lie between them, so
//! that a reader can be out of step: an instruction that no compiler makes says so, and the next few are not believed.

use super::field::Scattered;
use super::{Ahead, Instruction, Operand, Trail};
use crate::relocate::Kind;

/// An instruction that holds the distance to a place from its own: `field × scale`, counted from the next instruction or word.
struct Jump {
    value: u32,
    mask: u32,
    kind: Kind,
    /// What the field counts from: `(at + from) & align`.
    from: u32,
    align: u32,
    /// Added to the number in the field.
    above: u32,
    field: Scattered,
}

/// Every displacement but those below.
const JUMP: Jump = Jump {
    value: 0,
    mask: 0,
    kind: Kind::Near,
    from: 4,
    align: u32::MAX,
    above: 0,
    field: BYTE,
};

/// The distance of most branches.
const BYTE: Scattered = Scattered {
    runs: &[(16, 0, 8)],
    bits: 8,
};

const JUMPS: [Jump; 10] = [
    // L32R: a literal before the instruction, at most 256 KiB away.
    Jump {
        value: 0x01,
        mask: 0x0F,
        kind: Kind::Word,
        from: 3,
        align: !3,
        above: 0xFFFC_0000,
        field: Scattered {
            runs: &[(8, 2, 16)],
            bits: 32,
        },
    },
    // CALL0, CALL4, CALL8, CALL12
    Jump {
        value: 0x05,
        mask: 0x0F,
        kind: Kind::Far,
        align: !3,
        field: Scattered {
            runs: &[(6, 2, 18)],
            bits: 20,
        },
        ..JUMP
    },
    // J
    Jump {
        value: 0x06,
        mask: 0x3F,
        field: Scattered {
            runs: &[(6, 0, 18)],
            bits: 18,
        },
        ..JUMP
    },
    // BEQZ, BNEZ, BLTZ, BGEZ
    Jump {
        value: 0x16,
        mask: 0x3F,
        field: Scattered {
            runs: &[(12, 0, 12)],
            bits: 12,
        },
        ..JUMP
    },
    // BEQI, BNEI, BLTI, BGEI
    Jump {
        value: 0x26,
        mask: 0x3F,
        ..JUMP
    },
    // BLTUI, BGEUI
    Jump {
        value: 0xB6,
        mask: 0xBF,
        ..JUMP
    },
    // BF, BT
    Jump {
        value: 0x76,
        mask: 0xE0FF,
        ..JUMP
    },
    // LOOP, LOOPNEZ, LOOPGTZ
    Jump {
        value: 0x8076,
        mask: 0xC0FF,
        field: Scattered {
            runs: &[(16, 0, 8)],
            bits: 32,
        },
        ..JUMP
    },
    // Every branch that compares two registers.
    Jump {
        value: 0x07,
        mask: 0x0F,
        ..JUMP
    },
    // BEQZ.N, BNEZ.N
    Jump {
        value: 0x8C,
        mask: 0x8F,
        field: Scattered {
            runs: &[(12, 0, 4), (4, 4, 2)],
            bits: 32,
        },
        ..JUMP
    },
];

/// So many instructions are not believed after one that is none.
const DOUBTED: u32 = 4;

/// The instruction at `at`. The trail counts those that are still in doubt.
pub(crate) fn read(trail: &mut Trail, ahead: &Ahead<'_>, at: u32) -> Instruction {
    let instruction = ahead.word(0);
    let plain = Instruction {
        bytes: 1,
        kind: Kind::Plain,
        operand: None,
    };
    if at & 3 == 0 && starts_function(instruction) {
        trail.old = 0;
    }
    if !is_plausible(instruction) {
        trail.old = DOUBTED;
        return plain;
    }
    let bytes = if instruction & 8 == 0 { 3 } else { 2 };
    let believed = trail.old == 0;
    trail.old = trail.old.saturating_sub(1);
    Instruction {
        bytes,
        kind: if bytes == 3 { Kind::Wide } else { Kind::Plain },
        operand: jump(instruction)
            .filter(|_| believed)
            .map(|(field, jump)| Operand {
                field,
                kind: jump.kind,
                bytes,
                address: jump.address(instruction, at),
                literal: false,
            }),
    }
}

/// Whether a compiler makes such instructions, as far as cheap looks tell.
fn is_plausible(instruction: u32) -> bool {
    match instruction & 15 {
        0 => 0x0C3F >> (instruction >> 16 & 15) & 1 == 1,
        2 => 0x7677 >> (instruction >> 12 & 15) & 1 == 1,
        3 | 4 | 14 | 15 => false,
        5 => instruction & 0x10 == 0,
        13 => matches!(instruction >> 12 & 15, 0 | 15),
        _ => true,
    }
}

/// ADDI a1, a1, less than 0; ENTRY a1, less than 2048.
pub(crate) fn starts_function(word: u32) -> bool {
    word & 0x0080_FFFF == 0x0080_C112 || word & 0x00F0_0FFF == 0x0000_0136
}

/// Functions in ROM, registers of peripherals.
pub(crate) fn is_constant(word: u32) -> bool {
    matches!(word >> 16, 0x4000 | 0x6000)
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

impl Jump {
    fn origin(&self, at: u32) -> u32 {
        (at.wrapping_add(self.from) & self.align).wrapping_add(self.above)
    }

    fn address(&self, instruction: u32, at: u32) -> u32 {
        self.origin(at).wrapping_add(self.field.gather(instruction))
    }
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(field: u8, instruction: u32, at: u32, address: u32) -> Option<u32> {
    let jump = numbered(field)?;
    (jump.field).scatter(instruction, address.wrapping_sub(jump.origin(at)))
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(field: u8, instruction: u32, at: u32) -> Option<u32> {
    let jump = numbered(field)?;
    (instruction & jump.mask == jump.value).then(|| jump.address(instruction, at))
}

/// Bytes left of an instruction after one more, if it had `left`: bit 3 of the first one tells two bytes from three.
pub(super) fn bytes_left(left: u8, byte: u8) -> u8 {
    match left {
        0 if byte & 8 == 0 => 2,
        0 => 1,
        _ => left - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first word of an instruction as an assembler prints its bytes.
    fn ahead(bytes: &[u8]) -> Ahead<'_> {
        Ahead::new(bytes)
    }

    #[test]
    fn known_encodings_are_read() {
        // As binutils print them for these places.
        let cases: [(&[u8], u32, u32, u32); 10] = [
            (&[0x01, 0x28, 0xC4], 0x4021_0004, 3, 0x4020_10A4), // l32r a0
            (&[0xF1, 0xDC, 0xFF], 0x4021_0034, 3, 0x4020_FFA4), // l32r a15
            (&[0x45, 0xA0, 0x15], 0x4021_00DA, 3, 0x4022_5AE0), // call0
            (&[0x05, 0x0D, 0x16], 0x4021_00EA, 3, 0x4022_61BC), // call0
            (&[0x86, 0x32, 0x00], 0x4021_0031, 3, 0x4021_00FF), // j
            (&[0x66, 0x20, 0x03], 0x4021_003A, 3, 0x4021_0041), // bnei a0, 2
            (&[0xEC, 0x42], 0x4021_000C, 2, 0x4021_0034),       // bnez.n a2
            (&[0x56, 0x93, 0xFF], 0x4021_0100, 3, 0x4021_00FD), // bnez a3
            (&[0x37, 0x12, 0xF0], 0x4021_0100, 3, 0x4021_00F4), // beq a2, a3
            (&[0x76, 0x82, 0x05], 0x4021_0100, 3, 0x4021_0109), // loop a2
        ];
        for (bytes, at, count, address) in cases {
            let found = read(&mut Trail::new(), &ahead(bytes), at);
            assert_eq!(found.bytes, count, "{bytes:x?}");
            assert_eq!(
                found.operand.map(|operand| operand.address),
                Some(address),
                "{bytes:x?}"
            );
        }
    }

    #[test]
    fn the_first_byte_tells_how_many_are_left() {
        // addi a1, a1, -16; ret.n; l32r a0
        let code = [0x12, 0xC1, 0xF0, 0x0D, 0xF0, 0x01, 0x28, 0xC4];
        let mut left = 0;
        let after = code.map(|byte| {
            left = bytes_left(left, byte);
            left
        });
        assert_eq!(after, [2, 1, 0, 1, 0, 2, 1, 0]);
    }

    #[test]
    fn retargeting_to_the_same_place_changes_nothing() {
        let mut x = 1_u32;
        let mut seen = 0;
        for round in 0..200_000_u32 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (instruction, at) = (x.rotate_left(13), 0x4020_0000 + round);
            if let Some(operand) = read(&mut Trail::new(), &ahead(&instruction.to_le_bytes()), at).operand {
                seen += 1;
                let Operand { field, address, .. } = operand;
                assert_eq!(retarget(field, instruction, at, address), Some(instruction));
                assert_eq!(address_in(field, instruction, at), Some(address));
                // Nothing but the bytes of the instruction changes when it points elsewhere.
                if let Some(other) = retarget(field, instruction, at, address.wrapping_add(4)) {
                    assert_eq!((other ^ instruction) >> (8 * operand.bytes), 0);
                    assert_eq!(address_in(field, other, at), Some(address.wrapping_add(4)));
                }
            }
        }
        assert!(seen > 10_000);
    }

    #[test]
    fn what_is_no_instruction_casts_doubt_on_the_next_ones() {
        let mut trail = Trail::new();
        let call = ahead(&[0x45, 0xA0, 0x15]);
        assert!(read(&mut trail, &call, 2).operand.is_some());
        assert_eq!(read(&mut trail, &ahead(&[0xFF]), 2).bytes, 1);
        for _ in 0..DOUBTED {
            assert!(read(&mut trail, &call, 2).operand.is_none());
        }
        assert!(read(&mut trail, &call, 2).operand.is_some());
        read(&mut trail, &ahead(&[0xFF]), 2);
        // addi a1, a1, -16 at a multiple of 4: a function starts.
        read(&mut trail, &ahead(&[0x12, 0xC1, 0xF0]), 4);
        assert!(read(&mut trail, &call, 7).operand.is_some());
    }
}
