//! Literals: bytes that have no source.

use super::context::hash;
use super::{Models, Tree, layout};
use crate::coder::BitCoder;

/// Contexts that predict a bit of a literal.
pub(super) const INPUTS: u32 = 6;

impl Models<'_> {
    /// Codes one or two bytes that have no source, the first lowest. Of two, the second (an instruction's upper half)
    /// is coded first.
    pub fn literal<C: BitCoder>(&mut self, coder: &mut C, bytes: u32, value: u32) -> Result<u32, C::Error> {
        let last = self.history.last;
        let align = self.history.position & 3;
        if bytes == 1 {
            let contexts = [
                hash(1, align, 0),
                hash(2, last & 0xFF, align & 1),
                hash(3, last & 0xFFFF, align & 1),
                hash(4, last & 0x00FF_FFFF, align & 1),
                hash(5, last & 0xFF00, align & 1),
                hash(6, last, 0),
            ];
            let byte = self.literal_byte(coder, contexts, 0, value)?;
            self.push_literal(byte);
            return Ok(byte);
        }
        let contexts = [
            hash(7, align, 0),
            hash(8, last & 0xFF, align),
            hash(9, last & 0xFFFF, 0),
            hash(10, last & 0x00FF_00FF, 0),
            hash(11, last, 0),
            hash(12, last & 0x00FF_FFFF, 0),
        ];
        let upper = self.literal_byte(coder, contexts, 1, value >> 8)?;
        let contexts = [
            hash(13, upper, align),
            hash(14, upper | last << 8 & 0xFF00, 0),
            hash(15, upper | last << 8 & 0x00FF_FF00, 0),
            hash(16, upper | last << 8 & 0xFF_0000, 0),
            hash(17, upper, last),
            hash(18, upper | last & 0xFF00_FF00, 0),
        ];
        let lower = self.literal_byte(coder, contexts, 2, value & 0xFF)?;
        self.push_literal(lower);
        self.push_literal(upper);
        Ok(lower | upper << 8)
    }

    /// Bytes of the next literal, when so many are left of the extra bytes.
    pub fn literal_bytes(&self, left: u32) -> u32 {
        if self.history.position & 1 == 1 {
            1
        } else {
            left.min(2)
        }
    }

    fn literal_byte<C: BitCoder>(
        &mut self,
        coder: &mut C,
        contexts: [u32; INPUTS as usize],
        set: u32,
        byte: u32,
    ) -> Result<u32, C::Error> {
        let tree = Tree {
            region: self.literals,
            weights: layout::LITERAL_WEIGHTS.first + set * 8 * INPUTS,
            inputs: INPUTS,
        };
        self.byte(coder, tree, contexts, byte)
    }

    fn push_literal(&mut self, byte: u32) {
        self.history.position = self.history.position.wrapping_add(1);
        self.history.last = self.history.last << 8 | byte & 0xFF;
        self.history.streak = 0;
    }
}
