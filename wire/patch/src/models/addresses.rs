//! Addresses that are not where they were expected: how they differ from that.

use super::numbers::{unzigzag, zigzag};
use super::{Models, Number, layout};
use crate::coder::BitCoder;
use crate::relocate::{Group, Kind, Place};
use crate::shifts::SHIFTS;

/// Counters: for each kind whether it is an address; for each list, each place and whether the last was found.
pub(super) const COUNTERS: u32 = KINDS + 2 * 2 * SHIFTS;

const KINDS: u32 = 8;

impl Models<'_> {
    /// Codes the new bytes of a group whose address is not the predicted one, if they are an address of its kind; `None`
    /// if they are not, or the group has none.
    pub(super) fn address<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        actual: u32,
        place: Place,
    ) -> Result<Option<u32>, C::Error> {
        let kind = group.kind as u32;
        let Some(predicted) = self.relocator.address(group, group.bytes, place) else {
            return Ok(None);
        };
        let new = (self.relocator.address(group, actual, place)).filter(|new| {
            self.relocator.with_address(group, *new, place) == Some(actual)
                && zigzag(new.wrapping_sub(predicted)) < 1 << 25
        });
        let counter = layout::ADDRESSES.first + kind;
        if !self.cells.code(coder, counter, new.is_some())? {
            return Ok(None);
        }
        let new = new.unwrap_or_default();
        let list = u32::from(group.kind == Kind::Ram);
        let counters = layout::ADDRESSES.first + KINDS + (list * 2 + u32::from(self.shift_found)) * SHIFTS;
        let shifts = self.relocator.shifts(group);
        for at in 0..SHIFTS {
            let candidate = group.key.wrapping_add(shifts.at(&self.cells, at));
            if candidate == predicted {
                continue;
            }
            if self.cells.code(coder, counters + at, candidate == new)? {
                self.shift_found = true;
                return Ok(self.relocator.with_address(group, candidate, place));
            }
        }
        self.shift_found = false;
        let expected =
            (shifts.nearest(&self.cells, group.key)).map_or(predicted, |shift| group.key.wrapping_add(shift));
        let difference = new.wrapping_sub(expected);
        let low = self.low_bits(coder, 4 + list, difference & 3)?;
        let high = zigzag((difference.cast_signed() >> 2).cast_unsigned());
        let Ok(high) = self.number(coder, Number::Address, high)? else {
            return Ok(None);
        };
        let new = expected.wrapping_add(unzigzag(high) << 2 | low);
        Ok(self.relocator.with_address(group, new, place))
    }
}
