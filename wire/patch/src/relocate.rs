//! What a copy will bring: groups of base bytes, with the addresses in them moved to where their targets went.

mod saved;

use crate::cells::{Cells, Region};
use crate::isa::{Ahead, Isa, Operand, Trail};
use crate::layout::Layout;
use crate::lessons::Lessons;
use crate::map::{Map, Moved};
use crate::shifts::{LIST_CELLS, Shifts};

/// How the addresses in the images are to be understood. Wrong ones cost bytes, never correctness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// The instruction set of both.
    pub isa: Isa,
    /// Where the base runs.
    pub base: Layout,
    /// Where the target runs.
    pub target: Layout,
}

/// Why the bytes of a group are the predicted ones. Its number is part of contexts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// As in the base.
    Plain,
    /// A long instruction or a part of it, as in the base.
    Wide,
    /// An instruction that points to somewhere near: a short branch, a literal load.
    Near,
    /// An instruction that points anywhere in the image: a call.
    Far,
    /// A word that points into the image.
    Pointer,
    /// A word of a literal pool that points into RAM.
    Ram,
    /// Another word of a literal pool, or an instruction that holds the upper part of an address.
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
    /// The instruction's field that holds it, 0 for a word that is one.
    pub(crate) field: u8,
}

impl Group {
    /// Why these bytes are predicted.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How much is known of its address, below 16.
    pub fn trust(&self) -> u32 {
        self.trust
    }

    /// How many bytes it stands for.
    pub fn count(&self) -> u32 {
        self.len
    }

    /// Whether it is coded for itself even in a block: addresses go elsewhere, and what looks like a pointer often is none.
    pub fn is_doubtful(&self) -> bool {
        match self.kind {
            Kind::Far | Kind::Pointer | Kind::Ram | Kind::Word => true,
            Kind::Near => self.trust < 3,
            _ => false,
        }
    }

    /// The predicted bytes; those past [`Self::count`] mean nothing.
    pub fn predicted(&self) -> [u8; 4] {
        self.bytes.to_le_bytes()
    }
}

/// In place of a field: a word that is the distance from itself to an address.
const RELATIVE: u8 = u8::MAX;

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

/// The tables in the decoder memory and the state of the walk through the base.
#[derive(Debug)]
pub(crate) struct Relocator {
    relocation: Option<Relocation>,
    base_bytes: u32,
    pub(crate) map: Map,
    lessons: Lessons,
    /// The first cell of two lists of shifts: of addresses inside the image, and of those in RAM.
    shifts: u32,
    walk: Walk,
}

/// What the walk through the base knows. Copied when the encoder looks ahead.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk {
    trail: Trail,
    /// The copy in progress, as an entry of the map.
    copy: Moved,
}

impl Relocator {
    /// Tables from cell `first` on, with the map at the end of them. Nothing is moved before [`Self::set_up`].
    pub(crate) fn new(first: u32, memory_bytes: u32, entries_max: u32) -> Self {
        let lessons = Lessons::new(first + 2 * LIST_CELLS, memory_bytes);
        Self {
            relocation: None,
            base_bytes: 0,
            map: Map::new(lessons.end(), entries_max),
            lessons,
            shifts: first,
            walk: Walk {
                trail: Trail::new(),
                copy: Moved {
                    source: 0,
                    bytes: 0,
                    shift: 0,
                },
            },
        }
    }

    pub(crate) fn set_up(&mut self, relocation: Option<Relocation>, base_bytes: u32) {
        self.relocation = relocation;
        self.base_bytes = base_bytes;
    }

    pub(crate) fn relocation(&self) -> Option<&Relocation> {
        self.relocation.as_ref()
    }

    pub(crate) fn is_on(&self) -> bool {
        self.relocation.is_some()
    }

    /// Forgets the lists and the lessons, which follow each other.
    pub(crate) fn clear(&self, cells: &mut Cells<'_>) {
        if !self.is_on() {
            return;
        }
        let tables = Region {
            first: self.shifts,
            len: self.lessons.end() - self.shifts,
        };
        cells.fill(tables, 0);
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

    /// What comes next in a copy from the base, of which `ahead` holds the next bytes.
    pub(crate) fn group(&mut self, cells: &Cells<'_>, ahead: &Ahead<'_>, place: Place) -> Group {
        let old = ahead.word(0);
        let plain = Group {
            bytes: old,
            len: 1,
            kind: Kind::Plain,
            trust: 0,
            old,
            key: 0,
            field: 0,
        };
        let isa = self.relocation.as_ref().map(|relocation| relocation.isa);
        // Where instructions are at any offset, none is odd.
        let odd = isa.map_or(1, |isa| isa.alignment() - 1);
        if place.target & odd != 0 || place.left == 1 {
            return plain;
        }
        let Some(isa) = isa.filter(|_| place.source & odd == 0) else {
            return Group { len: 2, ..plain };
        };
        if place.left >= 4
            && (place.source | place.target) & 3 == 0
            && isa.has_words()
            && let Some(group) = self.word(cells, &plain, ahead, place)
        {
            return group;
        }
        self.instruction(cells, &plain, ahead, place).unwrap_or(plain)
    }

    /// A pointer, or another word of a literal pool.
    fn word(&mut self, cells: &Cells<'_>, plain: &Group, ahead: &Ahead<'_>, place: Place) -> Option<Group> {
        let relocation = self.relocation.as_ref()?;
        let isa = relocation.isa;
        let in_pool = isa.is_literal(&mut self.walk.trail, place.source, plain.old);
        let group = Group {
            len: 4,
            kind: Kind::Word,
            key: plain.old,
            ..*plain
        };
        let offset = relocation.base.offset(plain.old, self.base_bytes);
        if let Some(offset) = offset.filter(|_| isa.is_pointer(ahead)) {
            let (address, trust) = self.follow(cells, relocation, plain.old, offset);
            return Some(Group {
                bytes: address,
                kind: Kind::Pointer,
                trust: trust | u32::from(in_pool) << 3,
                ..group
            });
        }
        let address = relocation.base.address(place.source).wrapping_add(plain.old);
        let offset = relocation.base.offset(address, self.base_bytes);
        if let Some(offset) = offset.filter(|offset| !relocation.base.same_part(*offset, place.source)) {
            let (new, trust) = self.follow(cells, relocation, address, offset);
            return Some(Group {
                bytes: new.wrapping_sub(relocation.target.address(place.target)),
                kind: Kind::Pointer,
                trust,
                key: address,
                field: RELATIVE,
                ..group
            });
        }
        let lesson = self.lessons.shift(cells, plain.old);
        if isa.is_ram(plain.old) && (in_pool || lesson.is_some() || !isa.has_pools()) {
            let (address, trust) = self.follow_ram(cells, plain.old);
            return Some(Group {
                bytes: address,
                kind: Kind::Ram,
                trust,
                ..group
            });
        }
        in_pool.then_some(group)
    }

    fn instruction(
        &mut self,
        cells: &Cells<'_>,
        plain: &Group,
        ahead: &Ahead<'_>,
        place: Place,
    ) -> Option<Group> {
        let relocation = self.relocation.as_ref()?;
        let at = relocation.base.address(place.source);
        if relocation.isa.has_landmarks()
            && let Some(len) = self.before_landmark(relocation, ahead, place)
        {
            return Some(Group { len, ..*plain });
        }
        let found = relocation.isa.read(&mut self.walk.trail, ahead, at);
        if let Some(operand) = found.operand.filter(|operand| operand.bytes <= place.left)
            && let Some(group) = self.moved_instruction(cells, plain, &operand, place)
        {
            return Some(group);
        }
        Some(Group {
            len: found.bytes.min(place.left),
            kind: found.kind,
            ..*plain
        })
    }

    /// Bytes before a word that no instruction reaches into, if it begins inside what would be one.
    fn before_landmark(&self, relocation: &Relocation, ahead: &Ahead<'_>, place: Place) -> Option<u32> {
        let bytes = place.source.wrapping_neg() & 3;
        let possible = matches!(bytes, 1 | 2) && (place.source ^ place.target) & 3 == 0;
        let word = ahead.word(bytes as usize);
        (possible
            && (relocation.base.offset(word, self.base_bytes).is_some() || relocation.isa.is_landmark(word)))
        .then_some(bytes)
    }

    fn moved_instruction(
        &mut self,
        cells: &Cells<'_>,
        plain: &Group,
        operand: &Operand,
        place: Place,
    ) -> Option<Group> {
        let relocation = self.relocation.as_ref()?;
        let offset = relocation.base.offset(operand.address, self.base_bytes);
        if let Some(offset) = offset.filter(|_| operand.literal) {
            self.walk.trail.mark_literal(place.source, offset);
        }
        let mut kind = operand.kind;
        let (address, trust) = match offset {
            Some(offset) if kind == Kind::Near => self.moved(cells, relocation, offset),
            Some(offset) => self.follow(cells, relocation, operand.address, offset),
            None if kind != Kind::Near && relocation.isa.is_ram(operand.address) => {
                if kind == Kind::Far {
                    kind = Kind::Ram;
                }
                self.follow_ram(cells, operand.address)
            }
            None if relocation.isa.reaches_out(operand) => (operand.address, 0),
            None => return None,
        };
        let at = relocation.target.address(place.target);
        let bytes = (relocation.isa).retarget(&self.walk.trail, operand.field, plain.old, at, address)?;
        Some(Group {
            bytes,
            len: operand.bytes,
            kind,
            trust,
            key: operand.address,
            field: operand.field,
            ..*plain
        })
    }

    /// Takes note of a group that was copied. Bytes that are not the group's count as zero.
    pub(crate) fn passed(&mut self, group: &Group, actual: u32, place: Place) {
        if let Some(relocation) = &self.relocation
            && relocation.isa.takes_note()
            && group.kind != Kind::Repeat
        {
            let mask = u32::MAX >> (32 - 8 * group.len);
            relocation.isa.passed(
                &mut self.walk.trail,
                group.old & mask,
                relocation.base.address(place.source),
                actual & mask,
                relocation.target.address(place.target),
            );
        }
    }

    /// The address that the bytes of a group hold; `None` if they are not of its kind, or that has no address.
    pub(crate) fn address(&self, group: &Group, bytes: u32, place: Place) -> Option<u32> {
        let relocation = self.relocation.as_ref()?;
        let at = relocation.target.address(place.target);
        let address = match group.field {
            0 => bytes,
            RELATIVE => bytes.wrapping_add(at),
            field => (relocation.isa).address_in(&self.walk.trail, field, bytes, at)?,
        };
        let held = match group.kind {
            Kind::Far | Kind::Pointer => true,
            Kind::Word => group.field != 0,
            Kind::Ram => relocation.isa.is_ram(address),
            _ => false,
        };
        held.then_some(address)
    }

    /// The bytes of a group if this is its address.
    pub(crate) fn with_address(&self, group: &Group, address: u32, place: Place) -> Option<u32> {
        let relocation = self.relocation.as_ref()?;
        let at = relocation.target.address(place.target);
        let bytes = match group.field {
            0 => address,
            RELATIVE => address.wrapping_sub(at),
            field => (relocation.isa).retarget(&self.walk.trail, field, group.old, at, address)?,
        };
        Some(bytes & u32::MAX >> (32 - 8 * group.len))
    }

    /// The shifts that addresses of a group's kind had.
    pub(crate) fn shifts(&self, group: &Group) -> Shifts {
        self.list(group.kind == Kind::Ram)
    }

    fn list(&self, ram: bool) -> Shifts {
        Shifts::new(self.shifts + if ram { LIST_CELLS } else { 0 })
    }

    /// Remembers what an address became, if it was not foreseen.
    pub(crate) fn learn(&mut self, cells: &mut Cells<'_>, group: &Group, actual: u32, place: Place) {
        let Some(address) = self.address(group, actual, place) else {
            return;
        };
        let shift = address.wrapping_sub(group.key);
        self.lessons.remember(cells, group.key, shift);
        self.shifts(group).remember(cells, group.key, shift);
    }

    /// What an address in the image became, and the trust in that: what was learned about it comes first, what was learned
    /// about the nearest one comes before a guess of the map.
    fn follow(&self, cells: &Cells<'_>, relocation: &Relocation, address: u32, offset: u32) -> (u32, u32) {
        if let Some(shift) = self.lessons.shift(cells, address) {
            return (address.wrapping_add(shift), 4);
        }
        let (moved, trust) = self.moved(cells, relocation, offset);
        match self.list(false).nearest(cells, address) {
            Some(shift) if trust < 2 => (address.wrapping_add(shift), trust),
            _ => (moved, trust),
        }
    }

    /// The same for an address in RAM.
    fn follow_ram(&self, cells: &Cells<'_>, address: u32) -> (u32, u32) {
        let (shift, trust) = match self.lessons.shift(cells, address) {
            Some(shift) => (shift, 4),
            None => (self.list(true).nearest(cells, address)).map_or((0, 0), |shift| (shift, 1)),
        };
        (address.wrapping_add(shift), trust)
    }

    /// The address of where the base's byte at `offset` went by the copy in progress or the map.
    fn moved(&self, cells: &Cells<'_>, relocation: &Relocation, offset: u32) -> (u32, u32) {
        let (moved, trust) = if self.walk.copy.covers(offset) {
            (self.walk.copy.apply(offset), 3)
        } else {
            match self.map.find(cells, offset) {
                Some((moved, inside)) => (moved.apply(offset), 1 + u32::from(inside)),
                None => (offset, 0),
            }
        };
        (relocation.target.address(moved), trust)
    }
}
