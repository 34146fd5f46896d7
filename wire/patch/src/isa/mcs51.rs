//! MCS-51 instructions that hold an address: the 8051 and its many children.
//!
//! Encodings as in Intel's MCS-51 Microcontroller Family User's Manual, chapter 2. Code above 64 KiB is in banks of 32 KiB, one of
//! which is seen from 0x8000 on; below is the root, always seen. Here an address of code is its offset in the image, and one of
//! data is [`DATA`] more than the processor's.

use super::field::signed;
use super::{Ahead, DATA, Instruction, Operand, Trail};
use crate::relocate::Kind;

/// Bytes of a bank, and where it is seen.
const BANK_BYTES: u32 = 0x8000;

/// Bytes of the instructions, two bits each, the lowest for the upper half 0 of the opcode: for lower halves 0 to 5, for 6 and
/// 7 (data by pointer), for 8 to 15 (registers).
const BYTES: [u32; 8] = [
    0x5AAE_AAFD,
    0xAAAA_AAAA,
    0x5AAA_AA5F,
    0x5555_7F55,
    0x55D9_AAA5,
    0xAEDB_EAAA,
    0x55E6_9555,
    0x59E6_9555,
];

/// LCALL, LJMP: two bytes, the upper first.
const LONG: u8 = 1;
/// The last byte is a distance from the next instruction.
const DISTANCE: u8 = 2;
/// MOV DPTR.
const DPTR: u8 = 3;
/// MOV R2 and MOV R3, or MOV R4 and MOV R5, in any order: a pointer for a call.
const PAIR: u8 = 4;
/// Two bytes, the lower first, and a bank: what a linker puts behind calls of its bank switch.
const BANKED: u8 = 5;

/// The instruction at `at`. The trail knows where a banked address is.
pub(crate) fn read(trail: &mut Trail, ahead: &Ahead<'_>, at: u32) -> Instruction {
    let word = ahead.word(0);
    let banked = trail.at == at;
    let (field, kind, moved) = match word & 0xFF {
        _ if banked => (BANKED, Kind::Far, 3),
        0x02 | 0x12 => {
            // The same call once more after three other bytes.
            if (word ^ ahead.word(6)) & 0x00FF_FFFF == 0 {
                trail.at = at.wrapping_add(3);
            }
            (LONG, Kind::Far, 3)
        }
        0x90 => (DPTR, Kind::Far, 3),
        0x7A..=0x7D if is_pair(word) => (PAIR, Kind::Far, 4),
        _ => (DISTANCE, Kind::Near, bytes(word)),
    };
    let bytes = if banked { 3 } else { bytes(word) };
    Instruction {
        bytes,
        kind: if bytes == 3 { Kind::Wide } else { Kind::Plain },
        operand: address_in(field, word, at).map(|address| Operand {
            field,
            kind,
            bytes: moved,
            address,
            literal: false,
        }),
    }
}

fn bytes(word: u32) -> u32 {
    let column = match word & 15 {
        low @ 0..=5 => low,
        6 | 7 => 6,
        _ => 7,
    };
    (BYTES[column as usize] >> (word >> 3 & 0x1E)) & 3
}

/// JBC, JB, JNB, JC, JNC, JZ, JNZ, SJMP; CJNE; DJNZ.
fn has_distance(word: u32) -> bool {
    matches!(word & 0xFF, 0x10 | 0x20 | 0x30 | 0x40 | 0x50 | 0x60 | 0x70 | 0x80 | 0xB4..=0xBF | 0xD5 | 0xD8..=0xDF)
}

fn is_pair(word: u32) -> bool {
    matches!(
        word & 0x00FF_00FF,
        0x007B_007A | 0x007A_007B | 0x007D_007C | 0x007C_007D
    )
}

/// The byte number `at` of a word.
fn byte(word: u32, at: u32) -> u32 {
    word >> (8 * at) & 0xFF
}

/// The bits of the lower part of a pair's address: the even register's.
fn pair_low(word: u32) -> u32 {
    if word & 1 == 0 { 1 } else { 3 }
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(field: u8, word: u32, at: u32) -> Option<u32> {
    let long = byte(word, 1) << 8 | byte(word, 2);
    match field {
        LONG if word & 0xEF == 0x02 => Some(seen(at, long)),
        DISTANCE if has_distance(word) => {
            let bytes = bytes(word);
            Some(
                at.wrapping_add(bytes)
                    .wrapping_add(signed(byte(word, bytes - 1), 8)),
            )
        }
        DPTR if word & 0xFF == 0x90 => Some(DATA | long),
        PAIR if is_pair(word) => {
            let low = pair_low(word);
            Some(DATA | byte(word, 4 - low) << 8 | byte(word, low))
        }
        BANKED => {
            let (place, bank) = (word & 0xFFFF, byte(word, 2));
            ((place >= BANK_BYTES) == (bank > 0)).then_some(bank * BANK_BYTES + place % BANK_BYTES)
        }
        _ => None,
    }
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(field: u8, word: u32, at: u32, address: u32) -> Option<u32> {
    let data = address.wrapping_sub(DATA);
    let place = (address % BANK_BYTES) | if address < BANK_BYTES { 0 } else { BANK_BYTES };
    let long = |value: u32| word & 0xFF00_00FF | byte(value, 1) << 8 | byte(value, 0) << 16;
    let changed = match field {
        LONG => long(place),
        DISTANCE => {
            let bytes = bytes(word);
            let distance = address.wrapping_sub(at).wrapping_sub(bytes);
            word & !(0xFF << (8 * (bytes - 1))) | byte(distance, 0) << (8 * (bytes - 1))
        }
        DPTR => long(data),
        PAIR => {
            let low = pair_low(word);
            word & 0x00FF_00FF | byte(data, 0) << (8 * low) | byte(data, 1) << (8 * (4 - low))
        }
        _ => word & 0xFF00_0000 | place | ((address / BANK_BYTES) & 0xFF) << 16,
    };
    (address_in(field, changed, at) == Some(address)).then_some(changed)
}

/// The offset of what an instruction at `at` sees at `place`: the root, or its own bank. The root sees the first bank.
fn seen(at: u32, place: u32) -> u32 {
    if place < BANK_BYTES {
        place
    } else {
        (at / BANK_BYTES).max(1) * BANK_BYTES + place % BANK_BYTES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings_are_read() {
        let cases: [(&[u8], u32, u32, u32); 9] = [
            (&[0x12, 0x2A, 0xD7], 0x100, 3, 0x2AD7),          // lcall root
            (&[0x02, 0x91, 0x23], 0x2_8100, 3, 0x2_9123),     // ljmp, bank 5
            (&[0x12, 0x91, 0x23], 0x100, 3, 0x9123),          // lcall from the root
            (&[0x80, 0xFE], 0x100, 2, 0x100),                 // sjmp $
            (&[0xB4, 0x05, 0x10], 0x100, 3, 0x113),           // cjne a, #5
            (&[0xDF, 0xFC], 0x100, 2, 0xFE),                  // djnz r7
            (&[0x90, 0x0F, 0x4E], 0x100, 3, DATA | 0x0F4E),   // mov dptr
            (&[0x7A, 0x4E, 0x7B, 0x0F], 0, 4, DATA | 0x0F4E), // mov r2, mov r3
            (&[0x7D, 0x0F, 0x7C, 0x4E], 0, 4, DATA | 0x0F4E), // mov r5, mov r4
        ];
        for (bytes, at, count, address) in cases {
            let operand = read(&mut Trail::new(), &Ahead::new(bytes), at).operand;
            let operand = operand.map(|operand| (operand.bytes, operand.address));
            assert_eq!(operand, Some((count, address)), "{bytes:x?}");
        }
        let mut trail = Trail::new();
        let table = [0x12, 0x2A, 0xD7, 0xA5, 0xC6, 0x06, 0x12, 0x2A, 0xD7];
        read(&mut trail, &Ahead::new(&table), 0xE00);
        let banked = read(&mut trail, &Ahead::new(&table[3..]), 0xE03);
        assert_eq!(banked.operand.map(|operand| operand.address), Some(0x3_46A5));
    }

    #[test]
    fn retargeting_to_the_same_place_changes_nothing() {
        let mut x = 1_u32;
        let mut seen = 0;
        for round in 0..200_000_u32 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (word, at) = (x.rotate_left(13), round);
            let mut trail = Trail::new();
            if round % 16 == 0 {
                trail.at = at;
            }
            if let Some(operand) = read(&mut trail, &Ahead::new(&word.to_le_bytes()), at).operand {
                seen += 1;
                let Operand {
                    field,
                    address,
                    bytes,
                    ..
                } = operand;
                assert_eq!(
                    retarget(field, word, at, address),
                    Some(word),
                    "{word:08x} {field}"
                );
                if let Some(other) = retarget(field, word, at, address ^ 1) {
                    assert_eq!(u64::from(other ^ word) >> (8 * bytes), 0);
                    assert_eq!(address_in(field, other, at), Some(address ^ 1));
                }
            }
        }
        assert!(seen > 10_000);
    }

    #[test]
    fn instructions_have_their_lengths() {
        // nop, ljmp, ret, mov dptr, mov a,#, mov dir,#, mov dir,dir, mov @r0,#, cjne r0, djnz dir, djnz r1, reserved
        let cases = [
            (0x00, 1),
            (0x02, 3),
            (0x22, 1),
            (0x90, 3),
            (0x74, 2),
            (0x75, 3),
            (0x85, 3),
            (0x76, 2),
            (0xB8, 3),
            (0xD5, 3),
            (0xD9, 2),
            (0xA5, 1),
        ];
        for (opcode, count) in cases {
            assert_eq!(bytes(opcode), count, "{opcode:02x}");
        }
        assert!((0..256).all(|opcode| (1..=3).contains(&bytes(opcode))));
    }
}
