//! Control triples: what to copy, what follows it, and where the next copy starts.

use crate::checkpoint::Fields;
use crate::coder::BitCoder;
use crate::error::DecodeError;
use crate::header::Header;
use crate::models::{Models, Number, TooLarge, unzigzag, zigzag};

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

/// Bytes of the base that are learned from beyond those that literals replace.
const TRAINING_MARGIN_BYTES: u32 = 64;

impl Triple {
    /// Bytes of the base, from the end of the copy on, that the literal models learn from before the extra bytes. Not
    /// more than the triple yields, so that the work stays bounded.
    pub fn training_bytes(self) -> u32 {
        if self.copy_bytes == 0 || self.extra_bytes == 0 {
            return 0;
        }
        self.extra_bytes
            .saturating_add(self.copy_bytes.min(TRAINING_MARGIN_BYTES))
    }
}

/// Codes the triples, each relative to the one before.
#[derive(Clone, Copy, Debug, Default)]
pub struct Control {
    /// Where a copy starts if nothing was inserted or left out: after the last copy and as many bytes as its extra.
    expected: u32,
    /// Bytes of the target that the triples so far yield.
    target: u32,
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
            // As multiples of 4 and what is left over: code keeps its alignment when it moves.
            let shift = triple.source.wrapping_sub(self.target);
            let expected = self.expected.wrapping_sub(self.target);
            let low = models.low_bits(coder, expected & 3, shift & 3)?;
            let words = (shift & !3).wrapping_sub(expected & !3).cast_signed() >> 2;
            let seek = models.number(coder, Number::Seek, zigzag(words.cast_unsigned()))?;
            let Ok(seek) = seek else {
                return Ok(Err(TooLarge));
            };
            let shift = (expected & !3).wrapping_add(unzigzag(seek) << 2) | low;
            source = self.target.wrapping_add(shift);
        }
        self.target = self.target.wrapping_add(copy_bytes).wrapping_add(extra_bytes);
        self.expected = source.wrapping_add(copy_bytes).wrapping_add(extra_bytes);
        Ok(Ok(Triple {
            source,
            copy_bytes,
            extra_bytes,
        }))
    }
}

impl Control {
    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self { expected, target } = self;
        fields.u32(expected);
        fields.u32(target);
    }
}

impl Triple {
    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            source,
            copy_bytes,
            extra_bytes,
        } = self;
        fields.u32(source);
        fields.u32(copy_bytes);
        fields.u32(extra_bytes);
    }
}

/// Refuses a triple that would loop, read outside its source or write too much.
///
/// Lengths and `produced` are below 2^24 and the numbers below 2^26, so nothing here overflows.
pub(crate) fn check(triple: Triple, header: &Header, produced: u32) -> Result<(), DecodeError> {
    let (base_bytes, left) = (header.base_bytes, header.target_bytes - produced);
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
        // Both ends of a copy move on together, so that its beginning decides.
        let reach = header.in_place;
        if reach.is_some_and(|reach| !reach.allows(triple.source, produced)) {
            return Err(DecodeError::SourceOutOfReach);
        }
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
    use crate::header::{MemoryClass, Reach};

    #[test]
    fn zigzag_keeps_every_small_number() {
        for x in (-70_000..70_000_i32).map(i32::cast_unsigned) {
            assert_eq!(unzigzag(zigzag(x)), x);
        }
        assert_eq!(zigzag((-1_i32).cast_unsigned()), 1);
        assert_eq!(zigzag(1), 2);
    }

    const HEADER: Header = Header {
        memory: MemoryClass::MIN,
        target_bytes: 10,
        base_bytes: 10,
        base_digest_prefix: [0; 8],
        target_crc: 0,
        in_place: None,
    };

    fn triple(source: u32, copy_bytes: u32, extra_bytes: u32) -> Triple {
        Triple {
            source,
            copy_bytes,
            extra_bytes,
        }
    }

    #[test]
    fn illegal_triples_are_named() {
        let check = |triple, produced| check(triple, &HEADER, produced);
        assert_eq!(check(triple(0, 0, 0), 0), Err(DecodeError::EmptyTriple));
        assert_eq!(check(triple(0, 10, 1), 0), Err(DecodeError::OutputOverrun));
        assert_eq!(check(triple(1, 10, 0), 0), Err(DecodeError::SourceOutOfRange));
        assert_eq!(check(triple(10, 1, 0), 0), Err(DecodeError::SourceOutOfRange));
        assert_eq!(
            check(triple(10, 9, 0), 1),
            Ok(()),
            "a copy of the result may overlap itself"
        );
        assert_eq!(
            check(triple(u32::MAX, 1, 0), 0),
            Err(DecodeError::SourceOutOfRange)
        );
        assert_eq!(check(triple(0, 10, 0), 0), Ok(()));
    }

    #[test]
    fn copies_from_behind_the_reach_are_named() {
        let header = Header {
            base_bytes: 1_000,
            target_bytes: 2_000,
            in_place: Reach::within(256),
            ..HEADER
        };
        let check = |triple| check(triple, &header, 1_000);
        assert_eq!(check(triple(748, 252, 0)), Ok(()));
        assert_eq!(check(triple(747, 1, 0)), Err(DecodeError::SourceOutOfReach));
        assert_eq!(check(triple(747, 0, 1)), Ok(()), "nothing is copied");
        assert_eq!(check(triple(1_000, 1, 0)), Ok(()), "the result stays");
    }
}
