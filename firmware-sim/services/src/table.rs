//! The table in the bootloader's ROM: [`SERVICES_AT`] bytes behind its first, aligned to 64. Little-endian words:
//!
//! ```text
//!  0  "DGBS"
//!  4  version u16   6  bytes of the table u16, a multiple of 4, the check included
//!  8  u32  verify         (const RawQuestion *, SignedImage *) -> u32: 0, or why not
//! 12  u32  sha256_start   (Sha256 *)
//! 16  u32  sha256_update  (Sha256 *, const u8 *, size_t)
//! 20  u32  sha256_finish  (Sha256 *, u8 digest[32])
//! ..       what later versions append
//! -4  u32  check: all words of the table, this one included, add up to 0 modulo 2^32
//! ```
//!
//! Version 1 is what stands above. A later version only appends; what it has at these places does what it did.

use core::fmt;
use core::ops::Range;

/// Where the table stands, from the ROM's first byte: behind the vector table of the smallest Cortex-M.
pub const SERVICES_AT: usize = 64;
/// Its first word.
pub const MAGIC: u32 = u32::from_le_bytes(*b"DGBS");
/// The version that is written here, and the oldest that does for an image built today.
pub const VERSION: u16 = 1;
/// The bytes of a table of this version.
pub const TABLE_BYTES: u16 = 28;
/// A table without functions.
const EMPTY_BYTES: u16 = 12;
/// The longest table that is looked at: 61 functions.
pub const TABLE_BYTES_MAX: u16 = 256;

/// Where the services begin that a table of version 1 names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entries {
    /// Checks a manifest.
    pub verify: u32,
    /// Begins a hash.
    pub sha256_start: u32,
    /// Goes on with one.
    pub sha256_update: u32,
    /// Ends one.
    pub sha256_finish: u32,
}

/// Why there are no services to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoServices {
    /// There is no table: a bootloader from before there was one, or another maker's.
    Absent,
    /// The table is older than the image asks for.
    TooOld,
    /// It was altered: its words do not add up, or name a place outside the ROM.
    Damaged,
}

impl NoServices {
    /// The reason in a clause.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::Absent => "the bootloader offers no services",
            Self::TooOld => "the bootloader's services are too old",
            Self::Damaged => "the bootloader's table of services is damaged",
        }
    }
}

impl fmt::Display for NoServices {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.text())
    }
}

impl core::error::Error for NoServices {}

/// Reads a table, a word at a time by its number, and checks it. `rom` is where its functions may begin; a bit that the instruction
/// set puts into their addresses counts.
///
/// # Errors
/// [`NoServices`]: nothing of it may be called.
pub fn read(word: impl Fn(usize) -> u32, rom: Range<u32>) -> Result<Entries, NoServices> {
    if word(0) != MAGIC {
        return Err(NoServices::Absent);
    }
    let head = word(1);
    let (version, bytes) = (head as u16, (head >> 16) as u16);
    if !(EMPTY_BYTES..=TABLE_BYTES_MAX).contains(&bytes) || !bytes.is_multiple_of(4) {
        return Err(NoServices::Damaged);
    }
    let words = usize::from(bytes / 4);
    if (0..words).fold(0, |sum: u32, at| sum.wrapping_add(word(at))) != 0 {
        return Err(NoServices::Damaged);
    }
    if version < VERSION {
        return Err(NoServices::TooOld);
    }
    let entries = Entries {
        verify: word(2),
        sha256_start: word(3),
        sha256_update: word(4),
        sha256_finish: word(5),
    };
    let Entries {
        verify,
        sha256_start,
        sha256_update,
        sha256_finish,
    } = entries;
    let named = [verify, sha256_start, sha256_update, sha256_finish];
    if bytes < TABLE_BYTES || !named.iter().all(|at| rom.contains(at)) {
        return Err(NoServices::Damaged);
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    const ROM: Range<u32> = 0x100..0x1_0000;

    /// A table with these words before its check.
    fn table(version: u16, functions: &[u32]) -> Vec<u32> {
        let bytes = 4 * (functions.len() as u32 + 3);
        let mut words = Vec::from([MAGIC, u32::from(version) | bytes << 16]);
        words.extend(functions);
        let sum = words.iter().fold(0, |sum: u32, word| sum.wrapping_add(*word));
        words.push(0_u32.wrapping_sub(sum));
        words
    }

    fn read_all(words: &[u32]) -> Result<Entries, NoServices> {
        read(|at| words.get(at).copied().unwrap_or(u32::MAX), ROM)
    }

    #[test]
    fn a_table_of_this_version_or_a_later_one_is_read() {
        let entries = Entries {
            verify: 0x201,
            sha256_start: 0x301,
            sha256_update: 0x401,
            sha256_finish: 0x501,
        };
        assert_eq!(read_all(&table(1, &[0x201, 0x301, 0x401, 0x501])), Ok(entries));
        assert_eq!(
            read_all(&table(9, &[0x201, 0x301, 0x401, 0x501, 7, 8])),
            Ok(entries)
        );
        assert_eq!(table(1, &[1, 2, 3, 4]).len() * 4, usize::from(TABLE_BYTES));
    }

    #[test]
    fn what_is_no_table_is_not_one() {
        assert_eq!(read_all(&[]), Err(NoServices::Absent));
        assert_eq!(read_all(&[u32::MAX; 64]), Err(NoServices::Absent));
        assert_eq!(read_all(&[0; 64]), Err(NoServices::Absent));
    }

    #[test]
    fn an_older_table_is_not_used() {
        assert_eq!(
            read_all(&table(0, &[0x201, 0x301, 0x401, 0x501])),
            Err(NoServices::TooOld)
        );
    }

    #[test]
    fn a_table_that_is_too_short_or_points_elsewhere_is_damaged() {
        assert_eq!(
            read_all(&table(1, &[0x201, 0x301, 0x401])),
            Err(NoServices::Damaged)
        );
        assert_eq!(read_all(&table(1, &[])), Err(NoServices::Damaged));
        for outside in [0, 0xFF, 0x1_0000, u32::MAX] {
            for at in 0..4 {
                let mut functions = [0x201, 0x301, 0x401, 0x501];
                functions[at] = outside;
                assert_eq!(read_all(&table(1, &functions)), Err(NoServices::Damaged));
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let sound = table(1, &[0x201, 0x301, 0x401, 0x501]);
        for bit in 0..sound.len() * 32 {
            let mut words = sound.clone();
            words[bit / 32] ^= 1 << (bit % 32);
            assert!(read_all(&words).is_err(), "bit {bit}");
        }
    }
}
