//! Matches: where in the result the last byte, and the last two, were seen before, and so what may come next.
//!
//! The result itself is the memory; a cell only holds the lower half of a position.

use super::Models;
use super::context::scramble;
use super::literals::Shares;
use crate::checkpoint::Fields;
use crate::header::IMAGE_BYTES_MAX;

/// Bytes that a match is verified with, and from which on no other is looked for.
const VERIFIED_BYTES: u32 = 8;
/// One for the last byte, one for the last two.
pub(super) const MATCHES: usize = 2;
/// Longer matches have the same confidence as this one.
const LENGTH_MAX: u32 = 15;

/// Cells of the counters of how often each match, of each length, is right.
pub(super) const CONFIDENCE_CELLS: u32 = MATCHES as u32 * (LENGTH_MAX + 1);

/// A match in use.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Match {
    /// Offset in the result of the byte that is expected to come again; 0 for none.
    at: u32,
    /// Bytes before it that were as expected or verified.
    bytes: u32,
}

impl Match {
    /// Which counter says how far to trust match number `which`; `None` without a match.
    pub(super) fn confidence(self, which: usize) -> Option<u32> {
        (self.at > 0).then_some(which as u32 * (LENGTH_MAX + 1) + self.bytes)
    }

    pub(super) fn saved(&mut self, fields: &mut Fields) {
        let Self { at, bytes } = self;
        fields.at_most(at, IMAGE_BYTES_MAX, 3);
        fields.at_most(bytes, LENGTH_MAX, 1);
    }

    /// Goes on to the next byte, after one that was as expected or not.
    pub(super) fn advance(&mut self, right: bool) {
        if self.at > 0 {
            self.at += 1;
            self.bytes = if right {
                (self.bytes + 1).min(LENGTH_MAX)
            } else {
                0
            };
        }
    }
}

impl Models<'_> {
    /// Remembers the position for the byte and for the two bytes before it.
    pub(super) fn remember_position(&mut self) {
        for cell in self.position_cells(&Shares::of(self.literals)) {
            self.cells.write(cell, self.history.position as u16);
        }
    }

    /// The bytes that the matches say are next, after looking for better ones; 0 without a match. Remembers the position, too.
    pub(super) fn matched_bytes<E>(
        &mut self,
        shares: &Shares,
        past: &mut impl FnMut(u32) -> Result<u8, E>,
    ) -> Result<[u32; MATCHES], E> {
        let position = self.history.position;
        let mut expected = [0; MATCHES];
        let places = self.position_cells(shares).into_iter().enumerate();
        for (((which, cell), matched), expected) in places.zip(&mut self.matched).zip(&mut expected) {
            let seen = u32::from(self.cells.read(cell));
            self.cells.write(cell, position as u16);
            if matched.bytes < VERIFIED_BYTES {
                let back = position.wrapping_sub(seen) & 0xFFFF;
                let bytes = if back > 0 && back < position {
                    common(position, position - back, past)?
                } else {
                    0
                };
                if bytes > matched.bytes.max(which as u32) {
                    let at = position - back;
                    *matched = Match { at, bytes };
                }
            }
            if matched.at > 0 {
                *expected = u32::from(past(matched.at)?);
            }
        }
        Ok(expected)
    }

    fn position_cells(&self, shares: &Shares) -> [usize; MATCHES] {
        let [of_one, of_two] = shares.positions;
        let last = self.history.last;
        [
            of_one.cell(scramble(last & 0xFF)),
            of_two.cell(scramble(last & 0xFFFF)),
        ]
    }
}

/// How many bytes before two positions are the same, the second position being the lower one.
fn common<E>(one: u32, other: u32, past: &mut impl FnMut(u32) -> Result<u8, E>) -> Result<u32, E> {
    let mut bytes = 0;
    while bytes < VERIFIED_BYTES.min(other) && past(one - 1 - bytes)? == past(other - 1 - bytes)? {
        bytes += 1;
    }
    Ok(bytes)
}
