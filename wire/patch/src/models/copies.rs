//! Copies: blocks, groups, and the bytes of those that are not as predicted.

use core::num::NonZeroU32;

use super::context::hash;
use super::{History, Models, Tree, layout};
use crate::coder::BitCoder;
use crate::isa::Ahead;
use crate::relocate::{Group, Kind, Place};

/// After this many predicted bytes in a row, whole blocks of them are offered.
const HITS_BEFORE_BLOCK: u32 = 128;

/// Bytes of the largest block.
const BLOCK_BYTES_MAX: u32 = 4_096;

/// Contexts that predict whether a group is the predicted one.
pub(super) const HIT_INPUTS: u32 = 7;
/// Contexts that predict whether a byte of another group is.
pub(super) const BYTE_INPUTS: u32 = 5;
/// Contexts that predict a bit of a difference.
pub(super) const DIFFERENCE_INPUTS: u32 = 7;

impl Models<'_> {
    /// A copy begins.
    pub fn begin_copy(&mut self, place: Place) {
        self.matched = Default::default();
        self.relocator.begin_copy(place);
    }

    /// What comes next in a copy from the base, of which `ahead` holds the next bytes.
    pub fn group(&mut self, ahead: &Ahead<'_>, place: Place) -> Group {
        self.relocator.group(&self.cells, ahead, place)
    }

    /// What comes next in a copy from the target, of which `old` holds up to two bytes that are there.
    pub fn repeated(&self, old: u32, there: u32, place: Place) -> Group {
        let there = there.clamp(1, 2);
        let len = if place.target & 1 == 1 {
            1
        } else {
            there.min(place.left)
        };
        Group::repeated(old & u32::MAX >> (32 - 8 * there), len)
    }

    /// Bytes of the block that comes next, or 0 if a group does.
    pub fn block_bytes(&self) -> u32 {
        if self.history.streak < HITS_BEFORE_BLOCK {
            return 0;
        }
        (1 << self.history.streak.ilog2()).min(BLOCK_BYTES_MAX)
    }

    /// Codes whether the groups of a block are predicted, up to the one that fills it or a doubtful one that is not.
    pub fn block<C: BitCoder>(&mut self, coder: &mut C, all: bool) -> Result<bool, C::Error> {
        let cell =
            layout::BLOCKS.first + self.history.streak.max(1).ilog2().min(15) * 2 + (self.history.groups & 1);
        let all = self.cells.code(coder, cell, all)?;
        if !all {
            self.history.streak = 0;
        }
        Ok(all)
    }

    /// Takes a group of a block as predicted, one that is not doubtful.
    pub fn predicted(&mut self, group: &Group, place: Place) {
        self.remember_position();
        self.foreseen(group, place);
    }

    /// The same for an encoder that looks ahead.
    pub fn foreseen(&mut self, group: &Group, place: Place) {
        self.relocator.passed(group, group.bytes, place);
        self.push_group(group, group.bytes, true);
    }

    /// Takes note of a group's bytes for those that follow, for an encoder that compares copies.
    pub fn passed(&mut self, group: &Group, actual: u32, place: Place) {
        self.relocator.passed(group, actual, place);
    }

    /// Codes a group of a copy: its bytes, the first lowest, and whether they are the predicted ones.
    pub fn copied<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        actual: u32,
        place: Place,
    ) -> Result<(u32, bool), C::Error> {
        self.remember_position();
        let actual = actual & mask(group);
        let hit = self.hit(coder, group, actual == group.bytes & mask(group))?;
        let bytes = if hit {
            group.bytes
        } else {
            self.unforeseen(coder, group, actual, place)?
        };
        self.relocator.passed(group, bytes, place);
        self.push_group(group, bytes, hit);
        Ok((bytes, hit))
    }

    /// Codes the bytes of a group that is not the predicted one: as an address, as a halfword seen before, or byte by byte.
    fn unforeseen<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        actual: u32,
        place: Place,
    ) -> Result<u32, C::Error> {
        let address = self.address(coder, group, actual, place)?;
        if address.is_none()
            && let Some(decoded) = self.half(coder, group, actual)?
        {
            return Ok(decoded);
        }
        let decoded = match address {
            Some(decoded) => decoded,
            None => self.differing(coder, group, actual)?,
        };
        self.relocator.learn(&mut self.cells, group, decoded, place);
        Ok(decoded)
    }

    /// Codes the bytes of a group of which one at least is not the predicted one.
    fn differing<C: BitCoder>(&mut self, coder: &mut C, group: &Group, actual: u32) -> Result<u32, C::Error> {
        let mut misses = 0;
        let mut decoded = 0;
        for index in 0..group.len {
            let expected = group.bytes >> (8 * index) & 0xFF;
            let byte = actual >> (8 * index) & 0xFF;
            let implied = misses == 0 && index + 1 == group.len;
            let wrong = implied || !self.byte_hit(coder, group, index, misses, byte == expected)?;
            let byte = if wrong {
                misses |= 1 << index;
                self.changed(coder, group, index, misses, byte)?
            } else {
                expected
            };
            decoded |= byte << (8 * index);
        }
        self.learn_half(group, decoded);
        Ok(decoded)
    }

    /// Codes whether a group is the predicted one.
    fn hit<C: BitCoder>(&mut self, coder: &mut C, group: &Group, hit: bool) -> Result<bool, C::Error> {
        let History {
            position,
            last,
            groups,
            of_kind,
            streak,
            ..
        } = self.history;
        let kind = group.kind as u32;
        let class = kind | group.trust << 3 | (position & 3) << 7;
        let half = group.bytes & if group.len == 1 { 0xFF } else { 0xFFFF };
        let recent = (groups | u32::MAX << 16).count_zeros();
        let hashes = [
            hash(1, class, groups & 0xFF),
            hash(2, half, class),
            hash(3, half | last << 16, kind),
            hash(
                4,
                class,
                NonZeroU32::MIN.saturating_add(streak).ilog2().min(15) | recent << 4,
            ),
            hash(5, half >> 8, class | (groups & 7) << 8),
            hash(6, group.old, kind),
            hash(7, class, u32::from(of_kind[kind as usize]) | (groups & 3) << 8),
        ];
        let weights = layout::HIT_WEIGHTS.first + kind * HIT_INPUTS;
        self.cells.code_mixed(coder, self.hits, hashes, weights, hit)
    }

    /// Codes whether a byte of a group that is not the predicted one is as predicted.
    fn byte_hit<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        index: u32,
        misses: u32,
        hit: bool,
    ) -> Result<bool, C::Error> {
        let ahead = group.bytes >> (8 * index) & 0xFFFF;
        let at = index | misses << 2 | (group.kind as u32) << 6;
        let align = (self.history.position + index) & 3;
        let hashes = [
            hash(1, at, align),
            hash(2, at, ahead & 0xFF),
            hash(3, at, ahead),
            hash(4, at, u32::from(self.difference_at[align as usize])),
            hash(5, at, self.history.groups & 0xF),
        ];
        let set = index | u32::from(misses != 0) << 2;
        let weights = layout::BYTE_WEIGHTS.first + set * BYTE_INPUTS;
        self.cells.code_mixed(coder, self.bytes, hashes, weights, hit)
    }

    /// Codes a byte of a copy that is not the predicted one, as its difference to it.
    fn changed<C: BitCoder>(
        &mut self,
        coder: &mut C,
        group: &Group,
        index: u32,
        misses: u32,
        byte: u32,
    ) -> Result<u32, C::Error> {
        let expected = group.bytes >> (8 * index) & 0xFF;
        let next = group.bytes >> (8 * index) >> 8 & 0xFF;
        let align = (self.history.position + index) & 3;
        let at = index | misses << 2 | (group.kind as u32) << 6;
        let here = u32::from(self.difference_at[align as usize]);
        let contexts = [
            hash(1, here, align & 1),
            hash(2, expected, align & 1),
            hash(3, u32::from(self.difference), at),
            hash(4, expected | (self.history.last & 0xFF) << 8, 0),
            hash(5, expected | next << 8, here),
            hash(6, align, self.history.groups & 0xF),
            hash(7, at, 0),
        ];
        let tree = Tree {
            region: self.differences,
            weights: layout::DIFFERENCE_WEIGHTS.first,
            inputs: DIFFERENCE_INPUTS,
        };
        let difference = byte.wrapping_sub(expected) & 0xFF;
        let difference = self.byte(coder, tree, contexts, difference)?;
        self.difference = difference as u8;
        self.difference_at[align as usize] = difference as u8;
        Ok(expected.wrapping_add(difference) & 0xFF)
    }

    fn push_group(&mut self, group: &Group, bytes: u32, hit: bool) {
        let isa = self.isa();
        let history = &mut self.history;
        for index in 0..group.len {
            let byte = bytes >> (8 * index) & 0xFF;
            history.last = history.last << 8 | byte;
            history.left = isa.bytes_left(history.left, byte as u8);
        }
        history.trained_left = history.left;
        history.position = history.position.wrapping_add(group.len);
        history.groups = history.groups << 1 | u32::from(hit);
        let of_kind = &mut history.of_kind[group.kind as usize];
        *of_kind = *of_kind << 1 | u8::from(hit);
        if hit {
            history.streak = history.streak.saturating_add(group.len);
        } else if !group.is_doubtful() {
            history.streak = 0;
        }
    }
}

/// The bits of a group's bytes.
fn mask(group: &Group) -> u32 {
    u32::MAX >> (32 - 8 * group.len)
}

impl Group {
    /// A group of bytes that the target has had before.
    pub(crate) fn repeated(old: u32, len: u32) -> Self {
        Self {
            bytes: old,
            len,
            kind: Kind::Repeat,
            trust: 0,
            old,
            key: 0,
            field: 0,
        }
    }
}
