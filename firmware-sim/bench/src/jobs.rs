//! What to decode, as it lies in memory.
//!
//! | bytes | field |
//! |---|---|
//! | 4 | magic `dGjb` |
//! | 4 | number of jobs |
//! | | then for each: |
//! | 32 | name, filled with zeros |
//! | 12 | bytes of base, of patch, of target |
//! | … | base, patch, target, each filled with zeros to a multiple of 4 |
//!
//! Numbers little-endian.

const MAGIC: [u8; 4] = *b"dGjb";

/// One patch to decode.
pub(crate) struct Job<'a> {
    pub(crate) name: &'a str,
    pub(crate) base: &'a [u8],
    pub(crate) patch: &'a [u8],
    pub(crate) target: &'a [u8],
}

/// The jobs in order; ends at the first that is not complete.
pub(crate) struct Jobs<'a> {
    rest: &'a [u8],
    left: u32,
}

impl<'a> Jobs<'a> {
    /// `None` if no jobs were loaded.
    pub(crate) fn new(bytes: &'a [u8]) -> Option<Self> {
        let mut jobs = Self { rest: bytes, left: 0 };
        if jobs.bytes(4)? != MAGIC {
            return None;
        }
        jobs.left = jobs.number()?;
        Some(jobs)
    }

    fn bytes(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(bytes)?;
        self.rest = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes(4)?.try_into().ok()?))
    }

    fn part(&mut self, bytes: u32) -> Option<&'a [u8]> {
        let filled = self.bytes(bytes.next_multiple_of(4) as usize)?;
        filled.get(..bytes as usize)
    }

    fn job(&mut self) -> Option<Job<'a>> {
        let name = core::str::from_utf8(self.bytes(32)?).ok()?;
        let (base, patch, target) = (self.number()?, self.number()?, self.number()?);
        Some(Job {
            name: name.trim_end_matches('\0'),
            base: self.part(base)?,
            patch: self.part(patch)?,
            target: self.part(target)?,
        })
    }
}

impl<'a> Iterator for Jobs<'a> {
    type Item = Job<'a>;

    fn next(&mut self) -> Option<Job<'a>> {
        self.left = self.left.checked_sub(1)?;
        self.job()
    }
}
