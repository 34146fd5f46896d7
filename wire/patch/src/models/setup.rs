//! What holds for a whole patch, coded before anything else.

use crate::coder::BitCoder;
use crate::relocate::Relocation;

/// What the encoder chose for the whole patch; the first thing in the coded stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Whether and how addresses are moved.
    pub relocation: Option<Relocation>,
    /// log2 of the shortest copy that enters the map.
    pub map_copy_bytes_log2: u32,
}

impl Setup {
    /// Codes the setup with even odds.
    pub(crate) fn code<C: BitCoder>(self, coder: &mut C) -> Result<Self, C::Error> {
        if !coder.code(self.relocation.is_some(), 0x8000)? {
            return Ok(Self::default());
        }
        let named = self.relocation.unwrap_or_default();
        let map_copy_bytes_log2 = plain_bits(coder, self.map_copy_bytes_log2, 4)?;
        let base_address = address(coder, named.base_address)?;
        let moved = coder.code(named.target_address != named.base_address, 0x8000)?;
        let target_address = if moved {
            address(coder, named.target_address)?
        } else {
            base_address
        };
        Ok(Self {
            relocation: Some(Relocation {
                base_address,
                target_address,
            }),
            map_copy_bytes_log2,
        })
    }
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
