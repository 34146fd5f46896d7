//! What a copy will bring: groups of base bytes, with the addresses in them moved to where their targets went.

use crate::cells::{Cells, Region};
use crate::map::{Map, Moved};
use crate::thumb::{Field, is_wide};

/// How the addresses in the images are to be understood. Wrong ones cost bytes, never correctness.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Relocation {
    /// The address of the base's first byte, a multiple of 4.
    pub base_address: u32,
    /// The address of the target's first byte, a multiple of 4.
    pub target_address: u32,
}

/// Why the bytes of a group are the predicted ones. Its number is part of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// As in the base.
    Plain,
    /// The first halfword of a 32-bit instruction, or the second, as in the base.
    Wide,
    /// A branch or literal load of 16 bits, or a conditional branch or literal load of 32.
    Near,
    /// BL or B.W.
    Far,
    /// A word that points into the image.
    Pointer,
    /// A word of a literal pool that points into RAM.
    Ram,
    /// Another word of a literal pool.
    Word,
    /// From the target itself.
    Repeat,
}

/// What is predicted at once: 1, 2 or 4 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The predicted bytes, the first lowest.
    pub(crate) bytes: u32,
    /// How many.
    pub(crate) len: u32,
    pub(crate) kind: Kind,
    /// How much is known: 0 no entry, 1 near an entry, 2 inside one, 3 in the copy itself, 4 seen before.
    pub(crate) trust: u32,
    /// The bytes in the base, and those that follow them.
    pub(crate) old: u32,
    /// The old address that was followed.
    pub(crate) key: u32,
}

impl Group {
    /// How many bytes it stands for.
    pub fn count(&self) -> u32 {
        self.len
    }

    /// The predicted bytes; those past [`Self::count`] mean nothing.
    pub fn predicted(&self) -> [u8; 4] {
        self.bytes.to_le_bytes()
    }
}

/// The copy in progress.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    /// Where in the base the next byte is.
    pub source: u32,
    /// Where in the target it will be.
    pub target: u32,
    /// Bytes left of the copy.
    pub left: u32,
}

/// Whether an address is where Cortex-M parts have RAM: 4 MiB from 0x2000_0000, and 1 MiB from 0x1000_0000, where vendors
/// put core-coupled memory.
fn is_ram(address: u32) -> bool {
    matches!(address >> 20, 0x100 | 0x200..=0x203)
}

/// Cells of a lesson: 8 bits to check the address, 24 bits of shift.
const LESSON_CELLS: u32 = 2;

/// RAM addresses whose shifts are remembered.
const RAM_SHIFTS: u32 = 16;
const RAM_SHIFT_CELLS: u32 = 4;

/// Words ahead of the instruction that a literal load can reach, as bits.
const POOL_WORDS: u32 = 256;

/// The tables in the decoder memory and the state of the walk through the base.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Relocator {
    relocation: Option<Relocation>,
    base_bytes: u32,
    pub(crate) map: Map,
    lessons: Region,
    ram_shifts: Region,
    ram_next: u32,
    walk: Walk,
}

/// What the walk through the base knows. Copied when the encoder looks ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    /// One bit for each word of the base, modulo [`POOL_WORDS`]: a literal load has named it.
    pool: [u32; (POOL_WORDS / 32) as usize],
    /// The source offset at which the halfword is the second of two.
    second_at: u32,
    /// The copy in progress, as an entry of the map.
    copy: Moved,
}

impl Relocator {
    /// Tables from cell `first` on, with the map at the end of them.
    pub(crate) fn new(
        relocation: Option<Relocation>,
        base_bytes: u32,
        first: u32,
        memory_bytes: u32,
        entries_max: u32,
    ) -> Self {
        let ram_shifts = Region {
            first,
            len: RAM_SHIFTS * RAM_SHIFT_CELLS,
        };
        let lessons = Region {
            first: ram_shifts.first + ram_shifts.len,
            len: memory_bytes / 16 / 2,
        };
        Self {
            relocation,
            base_bytes,
            map: Map::new(lessons.first + lessons.len, entries_max),
            lessons,
            ram_shifts,
            ram_next: 0,
            walk: Walk {
                pool: [0; (POOL_WORDS / 32) as usize],
                second_at: u32::MAX,
                copy: Moved {
                    source: 0,
                    bytes: 0,
                    shift: 0,
                },
            },
        }
    }

    pub(crate) fn is_on(&self) -> bool {
        self.relocation.is_some()
    }

    pub(crate) fn clear(&self, cells: &mut Cells<'_>) {
        cells.fill(self.lessons, 0);
        cells.fill(self.ram_shifts, 0);
    }

    pub(crate) fn walk(&self) -> Walk {
        self.walk
    }

    pub(crate) fn set_walk(&mut self, walk: Walk) {
        self.walk = walk;
    }

    pub(crate) fn begin_copy(&mut self, place: Place) {
        self.walk.copy = Moved {
            source: place.source,
            bytes: place.left,
            shift: place.target.wrapping_sub(place.source) & 0x00FF_FFFF,
        };
    }

    /// What comes next in a copy from the base, of which `old` holds the next bytes, as many as there are.
    pub(crate) fn group(&mut self, cells: &Cells<'_>, old: u32, place: Place) -> Group {
        let plain = Group {
            bytes: old,
            len: 1,
            kind: Kind::Plain,
            trust: 0,
            old,
            key: 0,
        };
        if place.target & 1 == 1 || place.left == 1 {
            return plain;
        }
        let plain = Group { len: 2, ..plain };
        let Some(relocation) = self.relocation else {
            return plain;
        };
        if place.source & 1 == 1 {
            return plain;
        }
        let whole = place.left >= 4 && place.source + 4 <= self.base_bytes;
        if whole
            && (place.source | place.target) & 3 == 0
            && let Some(group) = self.word(cells, relocation, old, place.source)
        {
            return group;
        }
        self.instruction(cells, plain, place, whole)
    }

    fn word(&mut self, cells: &Cells<'_>, relocation: Relocation, old: u32, source: u32) -> Option<Group> {
        let in_pool = self.in_pool(source);
        let offset = old.wrapping_sub(relocation.base_address);
        let group = Group {
            bytes: old,
            len: 4,
            kind: Kind::Word,
            trust: 0,
            old,
            key: old,
        };
        if offset < self.base_bytes {
            let (target, trust) = self.follow(cells, offset, old);
            return Some(Group {
                bytes: target.wrapping_add(relocation.target_address),
                kind: Kind::Pointer,
                trust,
                ..group
            });
        }
        let lesson = self.lesson(cells, old);
        if is_ram(old) && (in_pool || lesson.is_some()) {
            let (shift, trust) = lesson.map_or_else(|| self.ram_shift(cells, old), |shift| (shift, 4));
            return Some(Group {
                bytes: old.wrapping_add(shift),
                kind: Kind::Ram,
                trust,
                ..group
            });
        }
        in_pool.then_some(group)
    }

    fn instruction(&mut self, cells: &Cells<'_>, plain: Group, place: Place, whole: bool) -> Group {
        let Place { source, target, .. } = place;
        if self.walk.second_at == source {
            return Group {
                kind: Kind::Wide,
                ..plain
            };
        }
        if is_wide(plain.old) {
            self.walk.second_at = source + 2;
        }
        let usual = if is_wide(plain.old) {
            Group {
                kind: Kind::Wide,
                ..plain
            }
        } else {
            plain
        };
        let Some(field) = Field::of(plain.old) else {
            return usual;
        };
        if field.bytes() == 4 && !whole {
            return usual;
        }
        let key = field.target(plain.old, source);
        if matches!(field, Field::Literal8 | Field::Literal12) {
            self.mark_pool(source, key);
        }
        if key >= self.base_bytes {
            return usual;
        }
        let relocation = self.relocation.unwrap_or_default();
        let (moved, trust) = if field == Field::Branch24 {
            self.follow(cells, key, key.wrapping_add(relocation.base_address))
        } else {
            self.moved(cells, key)
        };
        let Some(bytes) = field.retarget(plain.old, target, moved) else {
            return usual;
        };
        Group {
            bytes,
            len: field.bytes(),
            kind: if field == Field::Branch24 {
                Kind::Far
            } else {
                Kind::Near
            },
            trust,
            old: plain.old,
            key: key.wrapping_add(relocation.base_address),
        }
    }

    /// Remembers what an address became, if it was not foreseen.
    pub(crate) fn learn(&mut self, cells: &mut Cells<'_>, group: &Group, actual: u32, place: Place) {
        let Some(relocation) = self.relocation else {
            return;
        };
        match group.kind {
            Kind::Far if Field::of(actual) == Some(Field::Branch24) => {
                let target = Field::Branch24.target(actual, place.target);
                let shift = target
                    .wrapping_add(relocation.target_address)
                    .wrapping_sub(group.key);
                self.remember(cells, group.key, shift);
            }
            Kind::Pointer => self.remember(cells, group.key, actual.wrapping_sub(group.key)),
            Kind::Ram if is_ram(actual) => {
                let shift = actual.wrapping_sub(group.key);
                self.remember(cells, group.key, shift);
                self.remember_ram(cells, group.key, shift);
            }
            _ => {}
        }
    }

    /// Where the base's byte at `offset` went, as an offset of the target: what was learned about its `address` comes first.
    fn follow(&self, cells: &Cells<'_>, offset: u32, address: u32) -> (u32, u32) {
        let relocation = self.relocation.unwrap_or_default();
        match self.lesson(cells, address) {
            Some(shift) => (
                address
                    .wrapping_add(shift)
                    .wrapping_sub(relocation.target_address),
                4,
            ),
            None => self.moved(cells, offset),
        }
    }

    /// Where the base's byte at `offset` went by the copy in progress or the map.
    fn moved(&self, cells: &Cells<'_>, offset: u32) -> (u32, u32) {
        if self.walk.copy.covers(offset) {
            return (self.walk.copy.apply(offset), 3);
        }
        match self.map.find(cells, offset) {
            Some((moved, inside)) => (moved.apply(offset), 1 + u32::from(inside)),
            None => (offset, 0),
        }
    }

    fn pool_bit(word: u32) -> (usize, u32) {
        let at = word % POOL_WORDS;
        ((at / 32) as usize, 1 << (at % 32))
    }

    fn mark_pool(&mut self, source: u32, offset: u32) {
        if offset & 3 == 0 && offset > source && offset - source < POOL_WORDS * 4 {
            let (at, bit) = Self::pool_bit(offset / 4);
            self.walk.pool[at] |= bit;
        }
    }

    /// Whether a literal load has named the word at `source`; it is forgotten then.
    fn in_pool(&mut self, source: u32) -> bool {
        let (at, bit) = Self::pool_bit(source / 4);
        let named = self.walk.pool[at] & bit != 0;
        self.walk.pool[at] &= !bit;
        named
    }

    fn lesson_cell(&self, address: u32) -> (usize, u32) {
        // Code addresses are the same with and without the Thumb bit.
        let hash = (address & !1).wrapping_mul(0x9E37_79B1);
        let at = ((hash >> 16) * (self.lessons.len / LESSON_CELLS)) >> 16;
        (
            (self.lessons.first + at * LESSON_CELLS) as usize,
            hash >> 8 & 0xFF,
        )
    }

    fn lesson(&self, cells: &Cells<'_>, address: u32) -> Option<u32> {
        let (cell, check) = self.lesson_cell(address);
        let (low, high) = (u32::from(cells.read(cell)), u32::from(cells.read(cell + 1)));
        let shift = low | (high & 0xFF) << 16;
        (high >> 8 == check && (check | shift) != 0)
            .then_some(((shift << 8).cast_signed() >> 8).cast_unsigned())
    }

    fn remember(&self, cells: &mut Cells<'_>, address: u32, shift: u32) {
        let (cell, check) = self.lesson_cell(address);
        cells.write(cell, shift as u16);
        cells.write(cell + 1, (shift >> 16 & 0xFF) as u16 | (check as u16) << 8);
    }

    /// The shift of the remembered RAM address that is the last one not above this one.
    fn ram_shift(&self, cells: &Cells<'_>, address: u32) -> (u32, u32) {
        let mut best = None;
        for at in 0..RAM_SHIFTS {
            let cell = self.ram_shifts.first + at * RAM_SHIFT_CELLS;
            let known = cells.read_wide(cell);
            if known != 0 && known <= address && best.is_none_or(|(best, _)| known > best) {
                best = Some((known, cells.read_wide(cell + 2)));
            }
        }
        best.map_or((0, 0), |(_, shift)| (shift, 1))
    }

    fn remember_ram(&mut self, cells: &mut Cells<'_>, address: u32, shift: u32) {
        let cell = self.ram_shifts.first + self.ram_next * RAM_SHIFT_CELLS;
        cells.write_wide(cell, address);
        cells.write_wide(cell + 2, shift);
        self.ram_next = (self.ram_next + 1) % RAM_SHIFTS;
    }
}
