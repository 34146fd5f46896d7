//! Instruction sets: which instructions hold addresses, and the same instructions for other addresses.
//!
//! One module for each set, behind the methods of [`Isa`]. Everything here speaks of addresses as the processor sees them;
//! `relocate` knows where in the images they lie and where they went. To add a set: a number, a module with `read` and
//! `retarget`, a line in each method, a table on the crate's front page.

mod aarch64;
mod avr;
pub(crate) mod field;
mod label;
mod mcs51;
mod riscv;
mod thumb;
mod xtensa;

use crate::checkpoint::Fields;
use crate::relocate::Kind;
use field::signed;
pub use label::with_labels;

/// Instruction sets by their numbers in the setup. A wrong one costs bytes, never correctness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Isa {
    /// None: only words that are pointers are moved.
    #[default]
    Words = 0,
    /// Thumb and Thumb-2, Armv6-M to Armv8-M.
    Thumb = 1,
    /// RV32IMC.
    RiscV32 = 2,
    /// RV64GC.
    RiscV64 = 3,
    /// AArch64.
    AArch64 = 4,
    /// Xtensa, of the ESP8266 and the ESP32.
    Xtensa = 5,
    /// AVR.
    Avr = 6,
    /// MCS-51.
    Mcs51 = 7,
}

/// The setup names an instruction set that this decoder does not know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownIsa(pub u8);

/// Bits of an instruction set's number in the setup.
pub(crate) const ISA_BITS: u32 = 4;

/// An address in an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Operand {
    /// Which field of which instruction: a number of the set's module, not 0.
    pub(crate) field: u8,
    /// What the group is called that holds it.
    pub(crate) kind: Kind,
    /// Bytes of that group: at most four, the instruction's first ones.
    pub(crate) bytes: u32,
    /// The address.
    pub(crate) address: u32,
    /// Whether a literal is loaded from there.
    pub(crate) literal: bool,
}

/// What is at a place of the base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Instruction {
    /// Bytes of the group if there is no address in it, or none that can be moved: at most four.
    pub(crate) bytes: u32,
    /// What the group is called then: Plain or Wide.
    pub(crate) kind: Kind,
    pub(crate) operand: Option<Operand>,
}

/// Literals ahead of an instruction that are remembered, as bits.
const POOL_WORDS: u32 = 256;

/// Registers, modulo this, whose contents are remembered; there are 32 registers.
const SLOTS: u32 = 8;

/// Where data and code have addresses of their own, those of data have this added.
const DATA: u32 = 1 << 24;

/// What is remembered from instruction to instruction; what it means is the set's own business. Copied when the encoder
/// looks ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trail {
    /// For sets with literal pools: one bit for each word of the base, modulo [`POOL_WORDS`]: a load has named it. For sets
    /// that put addresses together from two parts: for a register of each [`SLOTS`], the upper 20 bits in the base, 9 bits of what
    /// is added for the target, 2 bits of the register's number and a bit that says that there is something.
    words: [u32; (POOL_WORDS / 32) as usize],
    /// Where the instruction is that belongs to the one before; an address of the base.
    at: u32,
    /// The address that both hold.
    old: u32,
    /// What the first of them became.
    new: u32,
}

/// Bytes of the base that an instruction is read with.
pub(crate) const AHEAD_BYTES: usize = 16;

/// What comes next in the base, zero past its end.
#[derive(Clone, Copy, Debug)]
pub struct Ahead<'a> {
    bytes: &'a [u8],
}

impl<'a> Ahead<'a> {
    /// The next bytes, the first of `rest`: 16 of them, fewer only at the end of the base.
    pub fn new(rest: &'a [u8]) -> Self {
        Self { bytes: rest }
    }

    /// The four bytes from the `at`-th on, at most the 12th, the first lowest; zero past the end of the base.
    pub(crate) fn word(&self, at: usize) -> u32 {
        match self.bytes.get(at..) {
            Some([a, b, c, d, ..]) => u32::from_le_bytes([*a, *b, *c, *d]),
            Some(rest) => rest
                .iter()
                .rev()
                .fold(0, |word, byte| word << 8 | u32::from(*byte)),
            None => 0,
        }
    }
}

impl Trail {
    pub(crate) const fn new() -> Self {
        Self {
            words: [0; (POOL_WORDS / 32) as usize],
            at: u32::MAX,
            old: 0,
            new: 0,
        }
    }

    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self { words, at, old, new } = self;
        for word in words {
            fields.u32(word);
        }
        fields.u32(at);
        fields.u32(old);
        fields.u32(new);
    }

    /// Remembers that the instruction at `source` loads the word at `offset`, if that is ahead and near enough.
    pub(crate) fn mark_literal(&mut self, source: u32, offset: u32) {
        if offset & 3 == 0 && offset > source && offset - source < POOL_WORDS * 4 {
            let (at, bit) = Self::pool_bit(offset);
            self.words[at] |= bit;
        }
    }

    /// Whether a literal load has named the word at `offset`; it is forgotten then.
    pub(crate) fn take_literal(&mut self, offset: u32) -> bool {
        let (at, bit) = Self::pool_bit(offset);
        let named = self.words[at] & bit != 0;
        self.words[at] &= !bit;
        named
    }

    /// What an instruction has put into the upper part of a register, in the base and in the target.
    pub(crate) fn upper(&self, register: u32) -> Option<(u32, u32)> {
        let slot = self.words[(register % SLOTS) as usize];
        let (old, difference) = (slot & 0xFFFF_F000, signed(slot >> 3, 9) << 12);
        (slot & 7 == (register / SLOTS) << 1 | 1).then(|| (old, old.wrapping_add(difference)))
    }

    /// Remembers that, or forgets it.
    pub(crate) fn set_upper(&mut self, register: u32, upper: Option<(u32, u32)>) {
        let slot = &mut self.words[(register % SLOTS) as usize];
        match upper {
            Some((old, new)) => {
                let difference = new.wrapping_sub(old) >> 12 & 0x1FF;
                *slot = old & 0xFFFF_F000 | difference << 3 | (register / SLOTS) << 1 | 1;
            }
            None if *slot >> 1 & 3 == register / SLOTS => *slot = 0,
            None => {}
        }
    }

    fn pool_bit(offset: u32) -> (usize, u32) {
        let at = offset / 4 % POOL_WORDS;
        ((at / 32) as usize, 1 << (at % 32))
    }
}

impl Isa {
    /// The set with a number, if this build knows it.
    pub(crate) fn from_number(number: u32) -> Result<Self, UnknownIsa> {
        let sets = [
            Self::Words,
            Self::Thumb,
            Self::RiscV32,
            Self::RiscV64,
            Self::AArch64,
            Self::Xtensa,
            Self::Avr,
            Self::Mcs51,
        ];
        let known = sets.get(number as usize).filter(|isa| isa.is_built_in());
        known.copied().ok_or(UnknownIsa(number as u8))
    }

    /// Whether this build knows the set: the crate's feature of its name is on.
    const fn is_built_in(self) -> bool {
        match self {
            Self::Words => true,
            Self::Thumb => cfg!(feature = "thumb"),
            Self::RiscV32 | Self::RiscV64 => cfg!(feature = "riscv"),
            Self::AArch64 => cfg!(feature = "aarch64"),
            Self::Xtensa => cfg!(feature = "xtensa"),
            Self::Avr => cfg!(feature = "avr"),
            Self::Mcs51 => cfg!(feature = "mcs51"),
        }
    }

    /// The set itself, which is a built-in one. Said so that the compiler sees it, and leaves the others' code out.
    #[inline(always)]
    const fn built_in(self) -> Self {
        if self.is_built_in() { self } else { Self::Words }
    }

    /// Instructions are at multiples of this: 1 or 2.
    pub(crate) fn alignment(self) -> u32 {
        match self.built_in() {
            Self::Xtensa | Self::Mcs51 => 1,
            _ => 2,
        }
    }

    /// Whether literals know how much of an instruction is left: where instructions have two or three bytes, the offset
    /// does not tell.
    pub(crate) fn counts_bytes(self) -> bool {
        self.built_in() == Self::Xtensa
    }

    /// Bytes that an instruction has left after one more, if it had `left`, by the first byte alone; 0 in sets that do not
    /// count. With 0 the byte is the first one of an instruction.
    pub(crate) fn bytes_left(self, left: u8, byte: u8) -> u8 {
        if self.counts_bytes() {
            xtensa::bytes_left(left, byte)
        } else {
            0
        }
    }

    /// Whether instructions load literals from ahead of them.
    pub(crate) fn has_pools(self) -> bool {
        self.built_in() == Self::Thumb
    }

    /// Whether there are words of four bytes in images.
    pub(crate) fn has_words(self) -> bool {
        !matches!(self.built_in(), Self::Avr | Self::Mcs51)
    }

    /// Whether the word at the offset `source` is a literal, as far as that can be told.
    pub(crate) fn is_literal(self, trail: &mut Trail, source: u32, word: u32) -> bool {
        match self.built_in() {
            Self::Thumb => trail.take_literal(source),
            Self::Xtensa => xtensa::is_constant(word),
            _ => false,
        }
    }

    /// Whether words lie between instructions that can be anywhere, so that one may look as if it reached into a word.
    pub(crate) fn has_landmarks(self) -> bool {
        self.built_in() == Self::Xtensa
    }

    /// Whether a word is the start of something: no instruction reaches into it.
    pub(crate) fn is_landmark(self, word: u32) -> bool {
        self.is_ram(word) || xtensa::is_constant(word) || xtensa::starts_function(word)
    }

    /// Whether an address is in RAM, as far as that can be told.
    pub(crate) fn is_ram(self, address: u32) -> bool {
        match self.built_in() {
            // Where Cortex-M parts have it: 4 MiB from 0x2000_0000, and 1 MiB from 0x1000_0000, where vendors put
            // core-coupled memory.
            Self::Thumb => matches!(address >> 20, 0x100 | 0x200..=0x203),
            // The ESP32-C3.
            Self::RiscV32 => address >> 20 == 0x3FC,
            // Data, where it has addresses of its own.
            Self::Avr | Self::Mcs51 => address >> 16 == DATA >> 16,
            // Data RAM of the ESP8266 and the ESP32; the former's instruction RAM.
            Self::Xtensa => address >> 20 == 0x3FF || address >> 16 == 0x4010,
            _ => false,
        }
    }

    /// Whether a word looks like a pointer if it points into the image. Where pointers have 64 bits, small numbers do only if
    /// their upper half follows.
    pub(crate) fn is_pointer(self, ahead: &Ahead<'_>) -> bool {
        let low = ahead.word(0);
        !matches!(self.built_in(), Self::RiscV64 | Self::AArch64)
            || low >> 24 > 0
            || (low >> 12 > 0 && ahead.word(4) == 0)
    }

    /// Whether an operand counts from the instruction's own place to wherever it likes: what is outside the image stays.
    pub(crate) fn reaches_out(self, operand: &Operand) -> bool {
        matches!(self.built_in(), Self::RiscV32 | Self::RiscV64) && riscv::reaches_out(operand.field)
    }

    /// Reads the instruction at the address `at`, of which `ahead` holds the bytes.
    pub(crate) fn read(self, trail: &mut Trail, ahead: &Ahead<'_>, at: u32) -> Instruction {
        match self.built_in() {
            Self::Thumb => thumb::read(trail, ahead.word(0), at),
            Self::AArch64 => aarch64::read(trail, ahead, at),
            Self::RiscV32 | Self::RiscV64 => riscv::read(trail, ahead, at, self.built_in() == Self::RiscV64),
            Self::Xtensa => xtensa::read(trail, ahead, at),
            Self::Mcs51 => mcs51::read(trail, ahead, at),
            Self::Avr => avr::read(ahead, at),
            _ => Instruction {
                bytes: 2,
                kind: Kind::Plain,
                operand: None,
            },
        }
    }

    /// The first bytes of an instruction, for the address `at`, with `address` in its `field`; `None` when
    /// that is out of its reach.
    pub(crate) fn retarget(
        self,
        trail: &Trail,
        field: u8,
        instruction: u32,
        at: u32,
        address: u32,
    ) -> Option<u32> {
        match self.built_in() {
            Self::Thumb => thumb::retarget(field, instruction, at, address),
            Self::AArch64 => aarch64::retarget(field, instruction, at, address),
            Self::RiscV32 | Self::RiscV64 => riscv::retarget(trail, field, instruction, at, address),
            Self::Xtensa => xtensa::retarget(field, instruction, at, address),
            Self::Mcs51 => mcs51::retarget(field, instruction, at, address),
            Self::Avr => avr::retarget(field, instruction, at, address),
            _ => None,
        }
    }

    /// The address that an instruction at `at` holds in its field number `field`, if it has that field.
    pub(crate) fn address_in(self, trail: &Trail, field: u8, instruction: u32, at: u32) -> Option<u32> {
        match self.built_in() {
            Self::Thumb => thumb::address_in(field, instruction, at),
            Self::AArch64 => aarch64::address_in(trail, field, instruction, at),
            Self::RiscV32 | Self::RiscV64 => riscv::address_in(trail, field, instruction, at),
            Self::Xtensa => xtensa::address_in(field, instruction, at),
            Self::Mcs51 => mcs51::address_in(field, instruction, at),
            Self::Avr => avr::address_in(field, instruction, at),
            _ => None,
        }
    }

    /// Whether [`Self::passed`] wants to be told.
    pub(crate) fn takes_note(self) -> bool {
        matches!(self.built_in(), Self::RiscV32 | Self::RiscV64 | Self::AArch64)
    }

    /// Told of every group that was copied, in order: `old` from the address `source` became `new` at the address `target`.
    pub(crate) fn passed(self, trail: &mut Trail, old: u32, source: u32, new: u32, target: u32) {
        match self.built_in() {
            Self::AArch64 => aarch64::passed(trail, old, source, new, target),
            Self::RiscV32 | Self::RiscV64 => riscv::passed(trail, old, source, new, target),
            _ => {}
        }
    }
}

/// A multiple of `1 << scale` as a signed field of so many bits, in units of that; `None` if it does not fit.
pub(crate) fn narrowed(value: u32, bits: u32, scale: u32) -> Option<u32> {
    let units = (value.cast_signed() >> scale).cast_unsigned();
    let field = units & ((1 << bits) - 1);
    (units << scale == value && signed(field, bits) == units).then_some(field)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Images at odd places, so that upper parts and signs matter.
    const AT: u32 = 0x3FC9_0FF8;

    const SETS: [Isa; 4] = [Isa::Thumb, Isa::RiscV32, Isa::RiscV64, Isa::AArch64];

    fn bytes(words: [u32; 4]) -> [u8; AHEAD_BYTES] {
        let mut bytes = [0; AHEAD_BYTES];
        for (part, word) in bytes.chunks_mut(4).zip(words) {
            part.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn a_set_that_was_left_out_is_unknown() {
        assert_eq!(Isa::from_number(0), Ok(Isa::Words));
        assert_eq!(Isa::from_number(1).is_ok(), cfg!(feature = "thumb"));
        assert_eq!(Isa::from_number(6).is_ok(), cfg!(feature = "avr"));
        assert_eq!(Isa::from_number(8), Err(UnknownIsa(8)));
    }

    #[test]
    fn retargeting_to_the_same_place_changes_nothing() {
        for isa in SETS.into_iter().filter(|isa| isa.is_built_in()) {
            let mut trail = Trail::new();
            let mut x = 1_u32;
            let (mut at, mut seen) = (AT, [0; 12]);
            for _ in 0..400_000 {
                let words = [(); 4].map(|()| {
                    x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    (x ^ x >> 15).wrapping_mul(0x2C1B_3C6D).rotate_left(16)
                });
                let found = isa.read(&mut trail, &Ahead::new(&bytes(words)), at);
                if let Some(operand) = found.operand {
                    let same = isa.retarget(&trail, operand.field, words[0], at, operand.address);
                    // What follows AUIPC here is not what it was read with, and ADRP may reach past 32 bits.
                    let other = match isa {
                        Isa::AArch64 => {
                            operand.kind == Kind::Word && (words[0] >> 22 ^ words[0] >> 23) & 1 == 1
                        }
                        _ => operand.field == riscv::LOWER,
                    };
                    if !other {
                        let mask = if operand.bytes == 2 { 0xFFFF } else { u32::MAX };
                        assert_eq!(
                            same.map(|i| i & mask),
                            Some(words[0] & mask),
                            "{isa:?} {:08x}",
                            words[0]
                        );
                    }
                    seen[usize::from(operand.field)] += 1;
                }
                isa.passed(&mut trail, words[0], at, words[0], at);
                at = at.wrapping_add(found.bytes);
            }
            assert!(
                seen.iter().filter(|seen| **seen > 50).count() >= 4,
                "{isa:?} {seen:?}"
            );
        }
    }

    /// The address in an instruction, and the instruction for 8 bytes further on.
    #[cfg(any(feature = "riscv", feature = "aarch64"))]
    fn moved(isa: Isa, trail: &mut Trail, words: [u32; 4], at: u32) -> (Kind, u32, u32) {
        let operand = isa
            .read(trail, &Ahead::new(&bytes(words)), at)
            .operand
            .expect("an address");
        let new = isa.retarget(
            trail,
            operand.field,
            words[0],
            at,
            operand.address.wrapping_add(8),
        );
        let new = new.expect("in reach");
        isa.passed(trail, words[0], at, new, at);
        (operand.kind, operand.address, new)
    }

    #[cfg(feature = "riscv")]
    #[test]
    fn jumps_of_risc_v_are_read() {
        let cases = [
            (0x0080_00EF, Kind::Far, 108, 0x0100_00EF),  // jal ra, .+8
            (0xFE00_0EE3, Kind::Near, 96, 0x0000_0263),  // beqz zero, .-4
            (0x0000_BFFD, Kind::Near, 98, 0x0000_A019),  // c.j .-2
            (0x0000_C111, Kind::Near, 104, 0x0000_C511), // c.beqz a0, .+4
            (0x0000_2001, Kind::Far, 100, 0x0000_2021),  // c.jal .
        ];
        for (instruction, kind, address, new) in cases {
            let found = moved(Isa::RiscV32, &mut Trail::new(), [instruction, 0, 0, 0], 100);
            assert_eq!(found, (kind, address, new), "{instruction:08x}");
        }
        let compressed_addiw =
            Isa::RiscV64.read(&mut Trail::new(), &Ahead::new(&bytes([0x2001, 0, 0, 0])), 100);
        assert!(compressed_addiw.operand.is_none());
    }

    #[cfg(feature = "riscv")]
    #[test]
    fn pairs_of_risc_v_are_read() {
        // auipc ra, 1; jalr -12(ra): the upper part changes when the lower one grows out of 12 bits.
        let (auipc, jalr) = (0x0000_1097, 0x7F80_80E7);
        let mut trail = Trail::new();
        let upper = moved(Isa::RiscV64, &mut trail, [auipc, jalr, 0, 0], 100);
        assert_eq!(upper, (Kind::Word, 100 + 0x17F8, 0x0000_2097));
        let lower = moved(Isa::RiscV64, &mut trail, [jalr, 0, 0, 0], 104);
        assert_eq!(lower, (Kind::Far, 100 + 0x17F8, 0x8000_80E7));
        // lui a5, 0x3fc91; c.nop; lw a4, -8(a5); sw a4, -8(a5).
        let (lui, load, store) = (0x3FC9_17B7, 0xFF87_A703, 0xFEE7_AC23);
        let mut trail = Trail::new();
        let upper = moved(
            Isa::RiscV32,
            &mut trail,
            [lui, load << 16 | 1, load >> 16, 0],
            100,
        );
        assert_eq!(upper, (Kind::Word, 0x3FC9_0FF8, lui));
        let lower = moved(Isa::RiscV32, &mut trail, [load, 0, 0, 0], 106);
        assert_eq!(lower, (Kind::Far, 0x3FC9_0FF8, 0x0007_A703));
        let lower = moved(Isa::RiscV32, &mut trail, [store, 0, 0, 0], 110);
        assert_eq!(lower, (Kind::Far, 0x3FC9_0FF8, 0x00E7_A023));
        // c.li a5, 0 ends that.
        Isa::RiscV32.passed(&mut trail, 0x4781, 114, 0x4781, 114);
        assert!(
            Isa::RiscV32
                .read(&mut trail, &Ahead::new(&bytes([load, 0, 0, 0])), 116)
                .operand
                .is_none()
        );
    }

    #[cfg(feature = "aarch64")]
    #[test]
    fn addresses_of_aarch64_are_read() {
        let cases = [
            (0x9400_0002, Kind::Far, 108, 0x9400_0004),  // bl .+8
            (0x54FF_FFE0, Kind::Near, 96, 0x5400_0020),  // b.eq .-4
            (0xB400_0040, Kind::Near, 108, 0xB400_0080), // cbz x0, .+8
            (0x3600_0020, Kind::Near, 104, 0x3600_0060), // tbz w0, #0, .+4
            (0x5800_0040, Kind::Near, 108, 0x5800_0080), // ldr x0, .+8
            (0x3000_0000, Kind::Far, 101, 0x3000_0040),  // adr x0, .+1
        ];
        for (instruction, kind, address, new) in cases {
            let found = moved(Isa::AArch64, &mut Trail::new(), [instruction, 0, 0, 0], 100);
            assert_eq!(found, (kind, address, new), "{instruction:08x}");
        }
        // adrp x0, .+1 page; add x0, x0, #0xff8; then the same with ldr x1, [x0, #0xff8].
        let adrp = 0xB000_0000;
        for (lower, changed) in [(0x913F_E000, 0x9100_0000), (0xF947_FC01, 0xF940_0001)] {
            let mut trail = Trail::new();
            let upper = moved(Isa::AArch64, &mut trail, [adrp, lower, 0, 0], 100);
            assert_eq!(upper, (Kind::Word, 0x1FF8, 0xD000_0000));
            let lower = moved(Isa::AArch64, &mut trail, [lower, 0, 0, 0], 104);
            assert_eq!(lower, (Kind::Far, 0x1FF8, changed));
        }
    }
}
