//! What holds for a whole patch, coded before anything else.

use crate::coder::BitCoder;
use crate::isa::{ISA_BITS, Isa, UnknownIsa};
use crate::layout::Layout;
use crate::relocate::Relocation;

/// What the encoder chose for the whole patch; the first thing in the coded stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether and how addresses are moved.
    pub relocation: Option<Relocation>,
    /// log2 of the shortest copy that enters the map.
    pub map_copy_bytes_log2: u32,
    /// How much of the hashed cells copies get, an index below 4 of 36, 9, 18 and 45 parts of 64; literals have the rest.
    pub copies_share: u32,
}

impl Setup {
    /// Codes the setup with even odds, in place. The outer error is the coder's, the inner one names an instruction set that
    /// is not known.
    pub(crate) fn code<C: BitCoder>(&mut self, coder: &mut C) -> Result<Result<(), UnknownIsa>, C::Error> {
        self.copies_share = plain_bits(coder, self.copies_share, 2)?;
        if plain_bits(coder, self.relocation.is_some().into(), 1)? == 0 {
            self.map_copy_bytes_log2 = 0;
            return Ok(Ok(()));
        }
        let named = self.relocation.get_or_insert(NO_RELOCATION);
        self.map_copy_bytes_log2 = plain_bits(coder, self.map_copy_bytes_log2, 4)?;
        named.isa = match Isa::from_number(plain_bits(coder, named.isa as u32, ISA_BITS)?) {
            Ok(isa) => isa,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let differs = named.target != named.base;
        named.base.code(coder)?;
        if plain_bits(coder, differs.into(), 1)? == 0 {
            named.target = named.base;
            return Ok(Ok(()));
        }
        named.target.code(coder)?;
        Ok(Ok(()))
    }
}

/// What a decoder starts with: nothing of it is coded.
const NO_RELOCATION: Relocation = Relocation {
    isa: Isa::Words,
    base: Layout::flat(0),
    target: Layout::flat(0),
};

impl Layout {
    /// Codes how many parts an image has, and where each of them is and runs.
    #[inline(never)]
    fn code<C: BitCoder>(&mut self, coder: &mut C) -> Result<(), C::Error> {
        let more = plain_bits(coder, self.segments().len() as u32 - 1, 3)?;
        let segments = self.resized(more as usize + 1);
        let mut before = None;
        let mut ascending = true;
        for segment in segments {
            if before.is_some() {
                segment.offset = plain_bits(coder, segment.offset >> 2, 22)? << 2;
            }
            ascending &= before < Some(segment.offset);
            before = Some(segment.offset);
            segment.address = address(coder, segment.address)?;
        }
        if !ascending {
            self.resized(1);
        }
        Ok(())
    }
}

/// Codes the lowest `bits` of a value, the highest of them first.
// Once in the program: the setup is read once.
#[inline(never)]
fn plain_bits<C: BitCoder>(coder: &mut C, value: u32, bits: u32) -> Result<u32, C::Error> {
    let mut decoded = 0;
    for index in (0..bits).rev() {
        decoded = decoded << 1 | u32::from(coder.code(value >> index & 1 == 1, 0x8000)?);
    }
    Ok(decoded)
}

/// Codes an address that is a multiple of 4: how many zero bits it ends with, then the others.
fn address<C: BitCoder>(coder: &mut C, value: u32) -> Result<u32, C::Error> {
    let zeros = plain_bits(coder, value.trailing_zeros().min(31), 5)?.max(2);
    Ok(plain_bits(coder, value >> zeros, 32 - zeros)? << zeros)
}
