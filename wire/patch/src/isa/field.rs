//! Numbers in the bit fields of instructions, whose bits need not be in order.

/// A run of bits: its lowest bit in the instruction, its lowest bit in the number, and how many.
pub(crate) type Run = (u8, u8, u8);

/// Where the bits of a number are in an instruction.
#[derive(Debug)]
pub(crate) struct Scattered {
    pub(crate) runs: &'static [Run],
    /// Bits of the number, counted from bit 0 to its sign.
    pub(crate) bits: u32,
}

impl Scattered {
    /// The number in an instruction, its sign extended.
    pub(crate) fn gather(&self, instruction: u32) -> u32 {
        let number = (self.runs.iter()).fold(0, |number, &(from, to, bits)| {
            number | (instruction >> from & mask(bits)) << to
        });
        signed(number, self.bits)
    }

    /// The instruction with another number in it, if that fits.
    pub(crate) fn scatter(&self, instruction: u32, number: u32) -> Option<u32> {
        let changed = (self.runs.iter()).fold(instruction, |instruction, &(from, to, bits)| {
            instruction & !(mask(bits) << from) | (number >> to & mask(bits)) << from
        });
        (self.gather(changed) == number).then_some(changed)
    }
}

const fn mask(bits: u8) -> u32 {
    (1 << bits) - 1
}

/// The lowest `bits` of a field as a signed number.
pub(crate) fn signed(field: u32, bits: u32) -> u32 {
    ((field << (32 - bits)).cast_signed() >> (32 - bits)).cast_unsigned()
}
