//! AVR instructions that hold an address, and pairs of LDI that together do.
//!
//! Encodings as in the AVR Instruction Set Manual. An address of code is here in bytes, and one of data is [`DATA`] more than the
//! processor's.

use super::field::Scattered;
use super::{Ahead, DATA, Instruction, Operand};
use crate::relocate::Kind;

struct Form {
    value: u32,
    mask: u32,
    bytes: u32,
    kind: Kind,
    /// What the field counts from: this, and `at + 2` if it is a distance.
    from: u32,
    is_distance: bool,
    field: Scattered,
}

const FORMS: [Form; 5] = [
    // RJMP, RCALL
    Form {
        value: 0xC000,
        mask: 0xE000,
        bytes: 2,
        kind: Kind::Far,
        from: 2,
        is_distance: true,
        field: Scattered {
            runs: &[(0, 1, 12)],
            bits: 13,
        },
    },
    // BRBC, BRBS: every conditional branch
    Form {
        value: 0xF000,
        mask: 0xF800,
        bytes: 2,
        kind: Kind::Near,
        from: 2,
        is_distance: true,
        field: Scattered {
            runs: &[(3, 1, 7)],
            bits: 8,
        },
    },
    // JMP, CALL
    Form {
        value: 0x940C,
        mask: 0xFE0C,
        bytes: 4,
        kind: Kind::Far,
        from: 0,
        is_distance: false,
        field: Scattered {
            runs: &[(16, 1, 16), (0, 17, 1), (4, 18, 5)],
            bits: 32,
        },
    },
    // LDS, STS
    Form {
        value: 0x9000,
        mask: 0xFC0F,
        bytes: 4,
        kind: Kind::Far,
        from: DATA,
        is_distance: false,
        field: Scattered {
            runs: &[(16, 0, 16)],
            bits: 32,
        },
    },
    // LDI of an even register, LDI of the one above it
    Form {
        value: 0xE010_E000,
        mask: 0xF010_F010,
        bytes: 4,
        kind: Kind::Far,
        from: DATA,
        is_distance: false,
        field: Scattered {
            runs: &[(0, 0, 4), (8, 4, 4), (16, 8, 4), (24, 12, 4)],
            bits: 32,
        },
    },
];

/// The instruction at `at`.
pub(crate) fn read(ahead: &Ahead<'_>, at: u32) -> Instruction {
    let word = ahead.word(0);
    let form = FORMS.iter().enumerate().find(|(_, form)| form.fits(word));
    let bytes = form.map_or(2, |(_, form)| form.bytes);
    Instruction {
        bytes,
        kind: if bytes == 4 { Kind::Wide } else { Kind::Plain },
        operand: form.map(|(number, form)| Operand {
            field: number as u8 + 1,
            kind: form.kind,
            bytes,
            address: form.address(word, at),
            literal: false,
        }),
    }
}

impl Form {
    fn fits(&self, word: u32) -> bool {
        let pair = self.mask >> 16 == 0 || (word >> 20 ^ word >> 4) & 0xE == 0;
        word & self.mask == self.value && pair
    }

    fn origin(&self, at: u32) -> u32 {
        self.from.wrapping_add(if self.is_distance { at } else { 0 })
    }

    fn address(&self, word: u32, at: u32) -> u32 {
        self.origin(at).wrapping_add(self.field.gather(word))
    }
}

/// The form with the number of a field.
fn numbered(field: u8) -> Option<&'static Form> {
    FORMS.get(usize::from(field).wrapping_sub(1))
}

/// The instruction at `at` with another address in its field; `None` when that is out of its reach.
pub(crate) fn retarget(field: u8, word: u32, at: u32, address: u32) -> Option<u32> {
    let form = numbered(field)?;
    (form.field).scatter(word, address.wrapping_sub(form.origin(at)))
}

/// The address in a field, if the instruction has it.
pub(crate) fn address_in(field: u8, word: u32, at: u32) -> Option<u32> {
    let form = numbered(field)?;
    form.fits(word).then(|| form.address(word, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_encodings_are_read() {
        // As binutils print them: rjmp .-2, rcall .+0, breq .+6, brne .-4, jmp 0x1234, call 0x2_0000, sts 0x0100, lds 0x0123,
        // ldi r24 0x34 and ldi r25 0x12.
        let cases: [(&[u8], u32, u32, u32); 9] = [
            (&[0xFF, 0xCF], 0x100, 2, 0x100),
            (&[0x00, 0xD0], 0x100, 2, 0x102),
            (&[0x19, 0xF0], 0x100, 2, 0x108),
            (&[0xF1, 0xF7], 0x100, 2, 0xFE),
            (&[0x0C, 0x94, 0x1A, 0x09], 0x100, 4, 0x1234),
            (&[0x0F, 0x94, 0x00, 0x00], 0x100, 4, 0x2_0000),
            (&[0x80, 0x93, 0x00, 0x01], 0x100, 4, DATA | 0x100),
            (&[0x80, 0x91, 0x23, 0x01], 0x100, 4, DATA | 0x123),
            (&[0x84, 0xE3, 0x92, 0xE1], 0x100, 4, DATA | 0x1234),
        ];
        for (bytes, at, count, address) in cases {
            let operand = read(&Ahead::new(bytes), at).operand;
            let operand = operand.map(|operand| (operand.bytes, operand.address));
            assert_eq!(operand, Some((count, address)), "{bytes:x?}");
        }
        // ldi r24 and ldi r23
        assert!(read(&Ahead::new(&[0x84, 0xE3, 0x72, 0xE1]), 0).operand.is_none());
    }

    #[test]
    fn retargeting_to_the_same_place_changes_nothing() {
        let mut x = 1_u32;
        let mut seen = 0;
        for round in 0..200_000_u32 {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let (word, at) = (x.rotate_left(13), round * 2);
            if let Some(operand) = read(&Ahead::new(&word.to_le_bytes()), at).operand {
                seen += 1;
                let Operand {
                    field,
                    address,
                    bytes,
                    ..
                } = operand;
                assert_eq!(retarget(field, word, at, address), Some(word), "{word:08x}");
                assert_eq!(address_in(field, word, at), Some(address));
                if let Some(other) = retarget(field, word, at, address.wrapping_add(2)) {
                    assert_eq!(u64::from(other ^ word) >> (8 * bytes), 0);
                    assert_eq!(address_in(field, other, at), Some(address.wrapping_add(2)));
                }
            }
        }
        assert!(seen > 10_000);
    }
}
