//! What holds for a whole patch, coded before anything else.

use crate::coder::BitCoder;
use crate::isa::{ISA_BITS, Isa, UnknownIsa};
use crate::layout::{Layout, SEGMENTS_MAX, Segment};
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
    /// Codes the setup with even odds. The outer error is the coder's, the inner one names an instruction set that is not
    /// known.
    pub(crate) fn code<C: BitCoder>(self, coder: &mut C) -> Result<Result<Self, UnknownIsa>, C::Error> {
        let copies_share = plain_bits(coder, self.copies_share, 2)?;
        if !coder.code(self.relocation.is_some(), 0x8000)? {
            return Ok(Ok(Self {
                copies_share,
                ..Self::default()
            }));
        }
        let named = self.relocation.unwrap_or(NO_RELOCATION);
        let map_copy_bytes_log2 = plain_bits(coder, self.map_copy_bytes_log2, 4)?;
        let isa = match Isa::from_number(plain_bits(coder, named.isa as u32, ISA_BITS)?) {
            Ok(isa) => isa,
            Err(unknown) => return Ok(Err(unknown)),
        };
        let base = layout(coder, &named.base)?;
        let differs = coder.code(named.target != named.base, 0x8000)?;
        let target = if differs {
            layout(coder, &named.target)?
        } else {
            base
        };
        Ok(Ok(Self {
            relocation: Some(Relocation { isa, base, target }),
            map_copy_bytes_log2,
            copies_share,
        }))
    }
}

/// What a decoder starts with: nothing of it is coded.
const NO_RELOCATION: Relocation = Relocation {
    isa: Isa::Words,
    base: Layout::flat(0),
    target: Layout::flat(0),
};

/// Codes how many parts an image has, and where each of them is and runs.
fn layout<C: BitCoder>(coder: &mut C, value: &Layout) -> Result<Layout, C::Error> {
    let mut segments = [Segment::default(); SEGMENTS_MAX];
    let named = value.segments();
    let more = plain_bits(coder, named.len() as u32 - 1, 3)? as usize;
    let len = (more + 1).min(SEGMENTS_MAX);
    for (at, segment) in segments[..len].iter_mut().enumerate() {
        let named = named.get(at).copied().unwrap_or_default();
        if at > 0 {
            segment.offset = plain_bits(coder, named.offset >> 2, 22)? << 2;
        }
        segment.address = address(coder, named.address)?;
    }
    Ok(Layout::of(&segments[..len]).unwrap_or(Layout::flat(segments[0].address)))
}

/// Codes the lowest `bits` of a value, the highest of them first.
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
