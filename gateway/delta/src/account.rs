//! Where the bytes of a patch go: what its parts cost, and how often the predictions were right.

use wire_patch::{
    DecodeError, Decoder, Group, Header, IoFailed, Kind, Output, Progress, ReadAt, Setup, Stage, State,
    Triple,
};

/// What a patch says before its bytes: all that can be known without the base.
#[derive(Clone, Debug)]
pub struct Outline {
    /// The fixed header.
    pub header: Header,
    /// Instruction set and load addresses.
    pub setup: Setup,
    /// What is copied from where.
    pub triples: Vec<Triple>,
    /// Entries of the alignment map that are used.
    pub map_entries: u32,
    /// Entries it has room for in this memory.
    pub map_entries_max: u32,
    /// Bits of the setup.
    pub setup_bits: f64,
    /// Bits of the triples.
    pub triples_bits: f64,
}

/// What a patch consists of. Bits are -log2 of the probabilities that the range coder worked with.
#[derive(Clone, Debug)]
pub struct Account {
    /// What comes first.
    pub outline: Outline,
    /// Bits that say whether a block of groups is as predicted.
    pub block_bits: f64,
    /// Bits of the groups that are as predicted: to say so.
    pub hit_bits: f64,
    /// Bits of the groups that are not: to say so, and their bytes.
    pub miss_bits: f64,
    /// Bits of the bytes without a source.
    pub literal_bits: f64,
    /// Every kind of group that came up, in the order of their numbers.
    pub kinds: Vec<KindAccount>,
    /// Every group that was not as predicted, in the order of the target.
    pub misses: Vec<Stretch>,
    /// Every run of bytes without a source, in the same order.
    pub literals: Vec<Stretch>,
}

/// How well one kind of group is predicted.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KindAccount {
    /// Which.
    pub kind: Kind,
    /// Groups of it, in blocks too.
    pub groups: u64,
    /// Of these, as predicted.
    pub predicted: u64,
    /// Bits spent on single groups of it: whether they are as predicted, and the bytes of those that are not.
    pub bits: f64,
}

/// A stretch of the target and what it cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Where it begins in the target.
    pub target: u32,
    /// Its length.
    pub bytes: u32,
    /// Bits spent on it.
    pub bits: f64,
}

/// What can be told of a patch without its base.
pub fn outline(patch: &[u8]) -> Result<Outline, DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = vec![0; header.memory.bytes() as usize];
    let mut watched = Watched::new(header, patch, &mut memory)?;
    let mut base = Absent(header.base_bytes);
    while watched.is_outline() && watched.step(&mut base)? == Progress::More {}
    Ok(watched.account.outline)
}

/// The account of a patch that is applied to `base`. The caller knows that it is the right one.
pub fn account(mut base: &[u8], patch: &[u8]) -> Result<Account, DecodeError> {
    let header = Header::parse(patch)?;
    let mut memory = vec![0; header.memory.bytes() as usize];
    let mut watched = Watched::new(header, patch, &mut memory)?;
    while watched.step(&mut base)? == Progress::More {}
    Ok(watched.account)
}

/// The decoder, and what it was seen doing.
struct Watched<'a> {
    decoder: Decoder<'a>,
    patch: &'a [u8],
    out: Watcher,
    account: Account,
}

impl<'a> Watched<'a> {
    fn new(header: Header, patch: &'a [u8], memory: &'a mut [u8]) -> Result<Self, DecodeError> {
        Ok(Self {
            decoder: Decoder::new(header, memory)?,
            patch,
            out: Watcher::default(),
            account: Account::new(header),
        })
    }

    /// Whether the setup and the triples are still being read.
    fn is_outline(&self) -> bool {
        matches!(self.decoder.state().stage, Stage::Setup | Stage::Map)
    }

    /// Does one step and books what it read.
    fn step(&mut self, base: &mut impl ReadAt) -> Result<Progress, DecodeError> {
        let (before, target) = (self.decoder.state(), self.decoder.produced());
        let progress = self.decoder.step(base, &mut self.patch, &mut self.out, 1)?;
        let after = self.decoder.state();
        let (bytes, bits) = (self.decoder.produced() - target, read(&before, &after));
        let group = self.out.group.take();
        let account = &mut self.account;
        match before.stage {
            Stage::Setup => account.outline.add_setup(&after, bits),
            Stage::Map => account.outline.add_triple(&after, bits),
            Stage::Bytes => {
                let stretch = Stretch { target, bytes, bits };
                match group {
                    Some((group, came)) => account.add_group(&group, came, stretch),
                    None if bytes > 0 => account.add_literal(stretch),
                    None => account.block_bits += bits,
                }
            }
        }
        Ok(progress)
    }
}

/// Bits of information between two states.
fn read(before: &State, after: &State) -> f64 {
    let bits = |state: &State| f64::from(state.position) * 8.0 - f64::from(state.range).log2();
    bits(after) - bits(before)
}

/// Keeps what the decoder needs to read again, and the last group.
#[derive(Default)]
struct Watcher {
    bytes: Vec<u8>,
    group: Option<(Group, [u8; 4])>,
}

impl Output for Watcher {
    fn append(&mut self, bytes: &[u8]) -> Result<(), IoFailed> {
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    fn read_at(&mut self, offset: u32, buf: &mut [u8]) -> Result<(), IoFailed> {
        let start = offset as usize;
        let end = start.checked_add(buf.len()).ok_or(IoFailed)?;
        buf.copy_from_slice(self.bytes.get(start..end).ok_or(IoFailed)?);
        Ok(())
    }

    fn copied(&mut self, group: &Group, bytes: [u8; 4]) {
        self.group = Some((*group, bytes));
    }
}

/// A base of which only the length is known.
struct Absent(u32);

impl ReadAt for Absent {
    fn len(&self) -> u32 {
        self.0
    }

    fn read_at(&mut self, _: u32, _: &mut [u8]) -> Result<(), IoFailed> {
        Err(IoFailed)
    }
}

impl Account {
    /// An account of nothing yet.
    fn new(header: Header) -> Self {
        Self {
            outline: Outline {
                header,
                setup: Setup::default(),
                triples: Vec::new(),
                map_entries: 0,
                map_entries_max: 0,
                setup_bits: 0.0,
                triples_bits: 0.0,
            },
            block_bits: 0.0,
            hit_bits: 0.0,
            miss_bits: 0.0,
            literal_bits: 0.0,
            kinds: Vec::new(),
            misses: Vec::new(),
            literals: Vec::new(),
        }
    }

    /// Books a group of a copy and what was spent on it alone.
    fn add_group(&mut self, group: &Group, came: [u8; 4], stretch: Stretch) {
        let count = group.count() as usize;
        let is_predicted = group.predicted()[..count] == came[..count];
        if is_predicted {
            self.hit_bits += stretch.bits;
        } else {
            self.miss_bits += stretch.bits;
            self.misses.push(stretch);
        }
        let kind = group.kind();
        let at = self
            .kinds
            .partition_point(|known| (known.kind as u32) < kind as u32);
        if self.kinds.get(at).is_none_or(|known| known.kind != kind) {
            let none = KindAccount {
                kind,
                groups: 0,
                predicted: 0,
                bits: 0.0,
            };
            self.kinds.insert(at, none);
        }
        let known = &mut self.kinds[at];
        known.groups += 1;
        known.predicted += u64::from(is_predicted);
        known.bits += stretch.bits;
    }

    /// Books bytes without a source, with those right before them.
    fn add_literal(&mut self, stretch: Stretch) {
        self.literal_bits += stretch.bits;
        match self.literals.last_mut() {
            Some(last) if last.target + last.bytes == stretch.target => {
                last.bytes += stretch.bytes;
                last.bits += stretch.bits;
            }
            _ => self.literals.push(stretch),
        }
    }
}

/// Before the first bit of information the range decoder takes four bytes.
const FIRST_BITS: f64 = 32.0;

impl Outline {
    fn add_setup(&mut self, after: &State, bits: f64) {
        self.setup = after.setup;
        self.map_entries_max = after.map_entries_max;
        self.setup_bits = bits - FIRST_BITS;
    }

    fn add_triple(&mut self, after: &State, bits: f64) {
        self.triples.push(after.triple);
        self.triples_bits += bits;
        self.map_entries = after.map_entries;
    }
}
