//! Images full of instructions and words with addresses in them, for every instruction set: not programs, but what the rules
//! of the format look at, so that every one of them is met.

use wire_patch::{Isa, Layout, Segment};

use crate::support::damage::Random;

/// Every instruction set.
pub(crate) const SETS: [Isa; 8] = [
    Isa::Words,
    Isa::Thumb,
    Isa::RiscV32,
    Isa::RiscV64,
    Isa::AArch64,
    Isa::Xtensa,
    Isa::Avr,
    Isa::Mcs51,
];

/// What instructions of a kind look like: bytes, the bits that are set, and those that any one has of its own. These are
/// chosen so that most addresses lie within an image of a few kilobytes.
#[derive(Clone, Copy)]
struct Pattern(usize, u32, u32);

/// An instruction or a word.
#[derive(Clone, Copy)]
struct Piece {
    pattern: Pattern,
    bits: u32,
}

const THUMB: &[Pattern] = &[
    Pattern(4, 0xF800_F000, 0x07FF_0000), // BL, forwards and backwards
    Pattern(4, 0xF800_F7FF, 0x07FF_0000),
    Pattern(4, 0x8000_F000, 0x07FF_01C0), // B.W with condition
    Pattern(4, 0x0000_F8DF, 0xF3FF_0000), // LDR.W literal
    Pattern(2, 0xE000, 0x0000_03FF),      // B
    Pattern(2, 0xE400, 0x0000_03FF),
    Pattern(2, 0x4800, 0x0000_073F), // LDR literal
    Pattern(2, 0xD000, 0x0000_0FFF), // B with condition, UDF, SVC
    Pattern(2, 0x1800, 0x0000_03FF),
    Pattern(4, 0x0000_F04F, 0x0FFF_0F00),
    Pattern(2, 0, 0xFFFF),
];

/// Registers differ in two bits only, so that pairs come about.
const RISC_V: &[Pattern] = &[
    Pattern(4, 0x0000_006F, 0x7FE0_0F80), // JAL, forwards and backwards
    Pattern(4, 0x801F_F06F, 0x7FE0_0F80),
    Pattern(4, 0x0000_0063, 0xBFFF_7F00), // branches
    Pattern(2, 0xA001, 0x0000_1FFC),      // C.J
    Pattern(2, 0xC001, 0x0000_3FFC),      // C.BEQZ, C.BNEZ
    Pattern(2, 0x2001, 0x0000_1FFC),      // C.JAL
    Pattern(4, 0x0000_0017, 0x0000_1180), // AUIPC
    Pattern(4, 0xFFFF_F017, 0x0000_0180),
    Pattern(4, 0x4200_0037, 0x0000_1180), // LUI
    Pattern(4, 0x3FC8_0037, 0x0000_1180),
    Pattern(4, 0x0000_0013, 0xFFF1_8F80), // lower ones: ADDI, loads, JALR, ADDIW, stores
    Pattern(4, 0x0000_0013, 0xFFF1_8180),
    Pattern(4, 0x0000_0003, 0xFFF1_F180),
    Pattern(4, 0x0000_0007, 0xFFF1_F180),
    Pattern(4, 0x0000_0067, 0xFFF1_8180),
    Pattern(4, 0x0000_001B, 0xFFF1_8180),
    Pattern(4, 0x0000_0023, 0xFFF1_FF80),
    Pattern(4, 0x0000_0027, 0xFFF1_FF80),
    Pattern(4, 0x0000_0003, 0xFFFF_FFFC),
    Pattern(2, 0x0000, 0x0000_FFFC),
    Pattern(2, 0x0001, 0x0000_FFFC),
    Pattern(2, 0x0002, 0x0000_FFFC),
];

const AARCH64: &[Pattern] = &[
    Pattern(4, 0x9400_0000, 0x0000_01FF), // BL, forwards and backwards
    Pattern(4, 0x97FF_FE00, 0x0000_01FF),
    Pattern(4, 0x1400_0000, 0x0000_01FF), // B
    Pattern(4, 0x5400_0000, 0x0000_1FEF), // B.cond
    Pattern(4, 0x3400_0000, 0x8100_1FFF), // CBZ, CBNZ
    Pattern(4, 0x3600_0000, 0x81F8_1FFF), // TBZ, TBNZ
    Pattern(4, 0x1800_0000, 0xC400_1FFF), // LDR literal
    Pattern(4, 0x1000_0000, 0x6000_1FFF), // ADR
    Pattern(4, 0x9000_0000, 0x2000_0003), // ADRP
    Pattern(4, 0xF0FF_FFE0, 0x0000_0003),
    Pattern(4, 0x9100_0000, 0x003F_FC7F), // lower ones: ADD, loads and stores
    Pattern(4, 0x3900_0000, 0xC40F_FC7F),
    Pattern(4, 0x3900_0000, 0xC4FF_FC7F),
    Pattern(4, 0x0000_0000, 0xFFFF_FFFF),
];

const XTENSA: &[Pattern] = &[
    Pattern(3, 0x00FF_0001, 0x0000_FFF0), // L32R
    Pattern(3, 0x0000_0005, 0x0000_3FE0), // CALL0 to CALL12, forwards and backwards
    Pattern(3, 0x00FF_C005, 0x0000_3FE0),
    Pattern(3, 0x0000_0006, 0x0000_FFC0), // J
    Pattern(3, 0x00FF_0006, 0x0000_FFC0),
    Pattern(3, 0x0000_0016, 0x00FF_FFC0), // BEQZ and such
    Pattern(3, 0x0000_0026, 0x00FF_FFC0), // other branches
    Pattern(3, 0x0000_00B6, 0x00FF_FF40),
    Pattern(3, 0x0000_0007, 0x00FF_FFF0),
    Pattern(3, 0x0000_0076, 0x00FF_FF00), // LOOP and such
    Pattern(2, 0x008C, 0x0000_FF70),      // BEQZ.N, BNEZ.N
    Pattern(4, 0x0080_C112, 0xFF7F_0000), // starts of functions
    Pattern(3, 0x0000_0136, 0x000F_F000),
    Pattern(2, 0x0008, 0x0000_FFF7),
    Pattern(2, 0x0008, 0x0000_FFF3),
    Pattern(3, 0x0000_0000, 0x00FF_FFF2),
    Pattern(1, 0x0003, 0x0000_00FC),
];

const AVR: &[Pattern] = &[
    Pattern(2, 0xC000, 0x0000_11FF), // RJMP, RCALL, forwards and backwards
    Pattern(2, 0xCE00, 0x0000_11FF),
    Pattern(2, 0xF000, 0x0000_07FF),      // branches
    Pattern(4, 0x0000_940C, 0x0FFF_0002), // JMP, CALL
    Pattern(4, 0x0000_9000, 0x1FFF_03F0), // LDS, STS
    Pattern(4, 0xE010_E000, 0x000F_0F0F), // LDI of two registers
    Pattern(4, 0xE070_E060, 0x000F_0F0F),
    Pattern(2, 0, 0xFFFF),
];

const MCS51: &[Pattern] = &[
    Pattern(3, 0x0000_7802, 0x00FF_0700), // LJMP, LCALL, below the banks and in them
    Pattern(3, 0x0000_7812, 0x00FF_0700),
    Pattern(3, 0x0000_8012, 0x00FF_0700),
    Pattern(3, 0x0000_0090, 0x00FF_0F00), // MOV DPTR
    Pattern(4, 0x007B_007A, 0xFF00_FF00), // MOV Rn of two registers
    Pattern(4, 0x007A_007B, 0xFF00_FF00),
    Pattern(4, 0x007D_007C, 0xFF00_FF00),
    Pattern(2, 0x0080, 0x0000_FF00), // jumps
    Pattern(3, 0x00B4, 0x00FF_FF0F),
    Pattern(2, 0x00D8, 0x0000_FF07),
    Pattern(3, 0x0010, 0x00FF_FF30),
    Pattern(1, 0, 0xFF),
    Pattern(2, 0x0074, 0x0000_FF0F),
];

/// What a banked address follows: in MCS-51, two equal jumps around it.
const BANKED: Pattern = Pattern(3, 0x0000_7800, 0x0001_FFFF);

/// Words: pointers to the image, the same relative to where they are, RAM, and what Xtensa calls constants.
fn words(address: u32) -> [Pattern; 8] {
    [
        Pattern(4, address, 0x0000_0FFF),
        Pattern(4, address, 0x0000_0FFF),
        Pattern(4, address, 0x0000_0FFC),
        Pattern(4, 0x0000_0000, 0x0000_0FFC),
        Pattern(4, 0xFFFF_F000, 0x0000_0FFC),
        Pattern(4, 0x2000_0000, 0x0000_0FFC),
        Pattern(4, 0x3FC0_0000, 0x0008_0FFC),
        Pattern(4, 0x4000_0000, 0x2000_0FFC),
    ]
}

fn instructions(isa: Isa) -> &'static [Pattern] {
    match isa {
        Isa::Words => &[Pattern(2, 0, 0xFFFF)],
        Isa::Thumb => THUMB,
        Isa::RiscV32 | Isa::RiscV64 => RISC_V,
        Isa::AArch64 => AARCH64,
        Isa::Xtensa => XTENSA,
        Isa::Avr => AVR,
        Isa::Mcs51 => MCS51,
    }
}

/// Where images of a set run. Those of MCS-51 reach into the banks.
fn address(isa: Isa) -> u32 {
    match isa {
        Isa::Words | Isa::Thumb => 0x0800_4000,
        Isa::RiscV32 | Isa::Xtensa => 0x4200_0000,
        Isa::RiscV64 | Isa::AArch64 => 0x8000_0000,
        Isa::Avr => 0,
        Isa::Mcs51 => 0x7800,
    }
}

/// An image in one piece, or one of three parts.
pub(crate) fn layout(isa: Isa, parted: bool) -> Layout {
    let address = address(isa);
    let segment = |offset, address| Segment { offset, address };
    let parts = [
        segment(0, address),
        segment(0x400, address + 0x10_0000),
        segment(0x800, address + 0x400),
    ];
    Layout::of(&parts[..if parted { 3 } else { 1 }]).unwrap()
}

impl Piece {
    fn of(patterns: &[Pattern], random: &mut Random) -> Self {
        let pattern = patterns[random.below(patterns.len())];
        Self {
            pattern,
            bits: random.next() as u32,
        }
    }

    fn append(self, image: &mut Vec<u8>) {
        let Pattern(bytes, set, own) = self.pattern;
        image.extend(&(set | self.bits & own).to_le_bytes()[..bytes]);
    }
}

/// Two images of a set, of about 3 bytes for each of `pieces`: the second has parts removed, inserted and moved, some fields
/// drawn again, and others grown alike.
pub(crate) fn images(isa: Isa, pieces: usize, random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    let words = words(address(isa));
    let mut base: Vec<Piece> = Vec::new();
    while base.len() < pieces {
        match random.below(8) {
            0 => base.push(Piece::of(&words, random)),
            1 if isa == Isa::Mcs51 => {
                let jump = Piece::of(&MCS51[..3], random);
                base.extend([jump, Piece::of(&[BANKED], random), jump]);
            }
            _ => base.push(Piece::of(instructions(isa), random)),
        }
    }
    let mut target = base.clone();
    for piece in &mut target {
        match random.below(12) {
            0 => piece.bits = random.next() as u32,
            1 | 2 => piece.bits = piece.bits.wrapping_add(0x18),
            _ => {}
        }
    }
    let third = pieces / 3;
    target.drain(third..third + 7);
    for at in [third / 2, 2 * third] {
        let new: Vec<Piece> = (0..4 + random.below(8))
            .map(|_| Piece::of(instructions(isa), random))
            .collect();
        target.splice(at..at, new);
    }
    target[third..].rotate_left(third / 4);
    (bytes(&base), bytes(&target))
}

fn bytes(pieces: &[Piece]) -> Vec<u8> {
    let mut image = Vec::new();
    for piece in pieces {
        piece.append(&mut image);
    }
    image
}
