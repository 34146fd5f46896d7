//! Control triples: what to copy, what follows it, and where the next copy starts.

use crate::coder::BitCoder;
use crate::error::DecodeError;
use crate::models::{Models, Number, TooLarge};

/// One control triple, in bsdiff's sense with the seek first: a copy with differences, then extra bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Triple {
    /// Where the copy starts: below the base's length in the base, from there on in the result.
    pub source: u32,
    /// Bytes of the copy.
    pub copy_bytes: u32,
    /// Bytes after it that have no source.
    pub extra_bytes: u32,
}

/// Codes the triples, each relative to the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Where a copy starts if nothing was inserted or left out: after the last copy and as many bytes as its extra.
    expected: u32,
}

impl Control {
    /// Codes one triple. The outer error is the coder's, the inner one names a triple that is not a legal number.
    pub fn triple<C: BitCoder>(
        &mut self,
        coder: &mut C,
        models: &mut Models<'_>,
        triple: Triple,
    ) -> Result<Result<Triple, TooLarge>, C::Error> {
        let copy_bytes = models.number(coder, Number::CopyBytes, triple.copy_bytes)?;
        let extra_bytes = models.number(coder, Number::ExtraBytes, triple.extra_bytes)?;
        let (Ok(copy_bytes), Ok(extra_bytes)) = (copy_bytes, extra_bytes) else {
            return Ok(Err(TooLarge));
        };
        let mut source = self.expected;
        if copy_bytes > 0 {
            let seek = triple.source.wrapping_sub(self.expected);
            let Ok(zigzag) = models.number(coder, Number::Seek, zigzag(seek))? else {
                return Ok(Err(TooLarge));
            };
            source = self.expected.wrapping_add(unzigzag(zigzag));
        }
        self.expected = source.wrapping_add(copy_bytes).wrapping_add(extra_bytes);
        Ok(Ok(Triple {
            source,
            copy_bytes,
            extra_bytes,
        }))
    }
}

/// 0, -1, 1, -2, 2, … become 0, 1, 2, 3, 4, …
fn zigzag(x: u32) -> u32 {
    (x << 1) ^ ((x.cast_signed() >> 31).cast_unsigned())
}

fn unzigzag(x: u32) -> u32 {
    (x >> 1) ^ (x & 1).wrapping_neg()
}

/// Refuses a triple that would loop, read outside its source or write too much.
///
/// `base_bytes` and `produced` are below 2^24 and the numbers below 2^26, so nothing here overflows.
pub(crate) fn check(triple: Triple, base_bytes: u32, produced: u32, left: u32) -> Result<(), DecodeError> {
    if triple.copy_bytes == 0 && triple.extra_bytes == 0 {
        return Err(DecodeError::EmptyTriple);
    }
    if triple.copy_bytes > left || triple.extra_bytes > left - triple.copy_bytes {
        return Err(DecodeError::OutputOverrun);
    }
    if triple.copy_bytes == 0 {
        return Ok(());
    }
    let legal = if triple.source < base_bytes {
        triple.copy_bytes <= base_bytes - triple.source
    } else {
        // A copy from the result may run into the bytes that it makes itself.
        triple.source - base_bytes < produced
    };
    if legal {
        Ok(())
    } else {
        Err(DecodeError::SourceOutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zigzag_keeps_every_small_number() {
        for x in (-70_000..70_000_i32).map(i32::cast_unsigned) {
            assert_eq!(unzigzag(zigzag(x)), x);
        }
        assert_eq!(zigzag((-1_i32).cast_unsigned()), 1);
        assert_eq!(zigzag(1), 2);
    }

    #[test]
    fn illegal_triples_are_named() {
        let triple = |source, copy_bytes, extra_bytes| Triple {
            source,
            copy_bytes,
            extra_bytes,
        };
        assert_eq!(check(triple(0, 0, 0), 10, 0, 10), Err(DecodeError::EmptyTriple));
        assert_eq!(
            check(triple(0, 10, 1), 10, 0, 10),
            Err(DecodeError::OutputOverrun)
        );
        assert_eq!(
            check(triple(1, 10, 0), 10, 0, 10),
            Err(DecodeError::SourceOutOfRange)
        );
        assert_eq!(
            check(triple(10, 1, 0), 10, 0, 10),
            Err(DecodeError::SourceOutOfRange)
        );
        assert_eq!(
            check(triple(10, 9, 0), 10, 1, 9),
            Ok(()),
            "a copy of the result may overlap itself"
        );
        assert_eq!(
            check(triple(u32::MAX, 1, 0), 10, 0, 10),
            Err(DecodeError::SourceOutOfRange)
        );
        assert_eq!(check(triple(0, 10, 0), 10, 0, 10), Ok(()));
    }
}
