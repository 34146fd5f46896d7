//! Which counters predict which bit: the contexts of numbers, hits, differences and literals.

mod addresses;
mod context;
mod copies;
mod halves;
mod layout;
mod literals;
mod matched;
mod numbers;
mod saved;
mod setup;

use context::scramble;
use layout::after;
use matched::{MATCHES, Match};
pub use numbers::{Number, TooLarge};
pub(crate) use numbers::{unzigzag, zigzag};
pub use setup::Setup;

use crate::cells::{COUNTER_START, Cells, Region};
use crate::coder::BitCoder;
use crate::control::Triple;
use crate::header::MemoryClass;
use crate::isa::{Isa, UnknownIsa};
use crate::map::{ENTRY_CELLS, Moved};
use crate::relocate::{Relocator, Walk};

/// Every weight starts at 0.29.
const WEIGHT_START: u16 = 2400;

/// A ninth of what copies get of the hashed cells, in 64ths, for each [`Setup::copies_share`].
const COPIES_PARTS: [u32; 4] = [4, 1, 2, 5];

/// The adaptive models and the history they look at. Encoder and decoder drive the same code.
#[derive(Debug)]
pub struct Models<'m> {
    cells: Cells<'m>,
    class: MemoryClass,
    /// The setup is this, the share, and the relocator's relocation.
    map_copy_bytes_log2: u8,
    copies_share: u8,
    hits: Region,
    bytes: Region,
    differences: Region,
    literals: Region,
    /// What halfwords became.
    halves: Region,
    relocator: Relocator,
    history: History,
    matched: [Match; MATCHES],
    /// The last difference at each alignment.
    difference_at: [u8; 4],
    /// The newest difference overall.
    difference: u8,
    /// The last mispredicted address had a shift that was known.
    shift_found: bool,
}

/// What was coded last.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// Bytes of the result so far: its two lowest bits are the alignment.
    position: u32,
    /// The last four bytes of the result, the newest lowest.
    last: u32,
    /// One bit per group, the newest lowest: 1 for one that was predicted.
    groups: u32,
    /// The same for the groups of each kind.
    of_kind: [u8; 8],
    /// Predicted bytes in a row.
    streak: u32,
    /// Bytes left of the instruction that the result is in, if the set counts them.
    left: u8,
    /// The same of training, which goes on where a copy ends.
    trained_left: u8,
}

/// Where the models stand between two groups, for an encoder that looks ahead.
#[derive(Clone, Copy, Debug)]
pub struct Mark {
    history: History,
    walk: Walk,
}

impl<'m> Models<'m> {
    /// Models in `memory`, of which the first `class.bytes()` are used; `None` if there are fewer. Numbers can be coded
    /// at once, [`Self::set_up`] and [`Self::ready`] make the rest ready.
    pub fn new(class: MemoryClass, memory: &'m mut [u8]) -> Option<Self> {
        if memory.len() < class.bytes() as usize {
            return None;
        }
        let none = Region { first: 0, len: 0 };
        let entries_max = class.bytes() / 4 / 2 / ENTRY_CELLS;
        let mut cells = Cells::new(memory);
        cells.fill(layout::NUMBERS, COUNTER_START);
        Some(Self {
            cells,
            class,
            map_copy_bytes_log2: 0,
            copies_share: 0,
            hits: none,
            bytes: none,
            differences: none,
            literals: none,
            halves: none,
            relocator: Relocator::new(layout::FIXED_CELLS, class.bytes(), entries_max),
            history: History::default(),
            matched: Default::default(),
            difference_at: [0; 4],
            difference: 0,
            shift_found: false,
        })
    }

    /// The memory back, for the next decoder.
    pub fn into_memory(self) -> &'m mut [u8] {
        self.cells.into_memory()
    }

    /// Codes the setup and makes the map ready for [`Self::enter`]. The outer error is the coder's, the inner one names an
    /// instruction set that is not known.
    pub fn set_up<C: BitCoder>(
        &mut self,
        coder: &mut C,
        mut setup: Setup,
        base_bytes: u32,
    ) -> Result<Result<(), UnknownIsa>, C::Error> {
        if let Err(unknown) = setup.code(coder)? {
            return Ok(Err(unknown));
        }
        self.map_copy_bytes_log2 = setup.map_copy_bytes_log2 as u8;
        self.copies_share = setup.copies_share as u8;
        self.relocator.set_up(setup.relocation, base_bytes);
        Ok(Ok(()))
    }

    /// Puts the copy of a triple into the map, if it belongs there.
    pub fn enter(&mut self, triple: Triple, target: u32, base_bytes: u32) {
        let long_enough = triple.copy_bytes >> self.map_copy_bytes_log2 > 0;
        if self.relocator.is_on() && long_enough && triple.source < base_bytes {
            let moved = Moved {
                source: triple.source,
                bytes: triple.copy_bytes,
                shift: target.wrapping_sub(triple.source) & 0x00FF_FFFF,
            };
            self.relocator.map.add(&mut self.cells, moved);
        }
    }

    /// What holds for the whole patch, after [`Self::set_up`].
    pub(crate) fn setup(&self) -> Setup {
        Setup {
            relocation: self.relocator.relocation().copied(),
            map_copy_bytes_log2: self.map_copy_bytes_log2.into(),
            copies_share: self.copies_share.into(),
        }
    }

    /// The instruction set; without relocation none is known.
    fn isa(&self) -> Isa {
        self.relocator
            .relocation()
            .map_or(Isa::Words, |relocation| relocation.isa)
    }

    /// Entries of the map that are used, and the most there can be; nothing without relocation.
    pub(crate) fn map_usage(&self) -> (u32, u32) {
        if self.relocator.is_on() {
            self.relocator.map.usage()
        } else {
            (0, 0)
        }
    }

    /// Resets the numbers and everything else but the map, behind which the hashed counters get what is left.
    pub fn ready(&mut self) {
        self.relocator.clear(&mut self.cells);
        let hashed = self.place_counters();
        self.cells.fill(layout::COUNTERS, COUNTER_START);
        self.cells.fill(layout::WEIGHTS, WEIGHT_START);
        self.cells.fill(hashed, COUNTER_START);
        self.cells.fill(self.halves, 0);
        for positions in literals::Shares::of(self.literals).positions {
            self.cells.fill(positions, 0);
        }
    }

    /// Gives the hashed counters their places: what the tables and the map leave.
    fn place_counters(&mut self) -> Region {
        let map = self.relocator.map.region();
        let first = if self.relocator.is_on() {
            map.first + map.len
        } else {
            layout::FIXED_CELLS
        };
        self.halves = Region {
            first,
            len: self.class.bytes() / 64,
        };
        let first = first + self.halves.len;
        let hashed = self.class.bytes() / 2 - first;
        let part = hashed * COPIES_PARTS[usize::from(self.copies_share & 3)] / 64;
        self.hits = Region { first, len: 4 * part };
        self.bytes = after(self.hits, part);
        self.differences = after(self.bytes, 4 * part);
        self.literals = after(self.differences, 0);
        self.literals.len = self.class.bytes() / 2 - self.literals.first;
        Region { first, len: hashed }
    }

    /// Where the models stand.
    pub fn mark(&self) -> Mark {
        Mark {
            history: self.history,
            walk: self.relocator.walk(),
        }
    }

    /// Goes back to `mark`, which must be of the same block.
    pub fn back_to(&mut self, mark: Mark) {
        self.history = mark.history;
        self.relocator.set_walk(mark.walk);
    }

    /// Codes the eight bits of a byte, the highest first.
    fn byte<C: BitCoder, const N: usize>(
        &mut self,
        coder: &mut C,
        tree: Tree,
        contexts: [u32; N],
        byte: u32,
    ) -> Result<u32, C::Error> {
        let mut node = 1;
        for index in 0..8 {
            let hashes = contexts.map(|context| scramble(context ^ node));
            let weights = tree.weights + index * tree.inputs;
            let bit = byte >> (7 - index) & 1 == 1;
            let bit = self.cells.code_mixed(coder, tree.region, hashes, weights, bit)?;
            node = node << 1 | u32::from(bit);
        }
        Ok(node & 0xFF)
    }
}

/// Where the counters and weights of a coded byte lie.
#[derive(Clone, Copy)]
struct Tree {
    region: Region,
    weights: u32,
    inputs: u32,
}
