//! Places where a copy might begin: what the planner chooses from.

use wire_patch::Triple;

use crate::align::{Aligner, common_bytes};

/// A copy might begin here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Proposal {
    pub(crate) target: u32,
    /// As in a triple.
    pub(crate) source: u32,
    /// How far it might go, for addresses inside it.
    pub(crate) bytes: u32,
}

impl Proposal {
    /// Source minus target offset.
    pub(crate) fn shift(&self) -> i64 {
        i64::from(self.source) - i64::from(self.target)
    }
}

/// Bits of a packed proposal, from the lowest: its length, whether it is spare, its source, which is in the base or in the
/// target behind it. The target's 24 bits, as [`wire_patch::IMAGE_BYTES_MAX`] says, are the rest.
const LENGTH_BITS: u32 = 14;
const SPARE: u64 = 1 << LENGTH_BITS;
const DETAIL_BITS: u32 = LENGTH_BITS + 1;
const SOURCE_BITS: u32 = 25;

/// Proposals for which there is room in any case.
const PROPOSALS_MIN: usize = 1 << 12;

/// Many proposals, eight bytes each: lengths past 16,383 bytes are cut, which tells the planner a little less.
///
/// There is room for 9 on 8 bytes of the target. If they become more, as where any four bytes are an instruction that occurs
/// everywhere, the spare ones go, and then those that go least far.
#[derive(Debug)]
pub(crate) struct Proposals {
    packed: Vec<u64>,
    most: usize,
    are_spare_taken: bool,
    /// Those that go less far are not taken.
    bytes_min: u32,
}

impl Proposals {
    /// With room for all: a list that grows is twice in memory for a while, and room that is not used is not.
    pub(crate) fn for_target(bytes: usize) -> Self {
        let most = (bytes + bytes / 8).max(PROPOSALS_MIN);
        Self {
            packed: Vec::with_capacity(most),
            most,
            are_spare_taken: true,
            bytes_min: 0,
        }
    }

    pub(crate) fn push(&mut self, proposal: Proposal) {
        self.push_packed(packed(proposal));
    }

    /// Takes one that is not needed if there are too many.
    pub(crate) fn push_spare(&mut self, proposal: Proposal) {
        self.push_packed(packed(proposal) | SPARE);
    }

    fn push_packed(&mut self, packed: u64) {
        if self.packed.len() == self.most {
            self.thin();
        }
        if self.is_taken(packed) {
            self.packed.push(packed);
        }
    }

    fn is_taken(&self, packed: u64) -> bool {
        length(packed) >= self.bytes_min && (self.are_spare_taken || packed & SPARE == 0)
    }

    /// Makes room for one in 16, or more.
    fn thin(&mut self) {
        self.sort();
        let most = self.most - self.most / 16;
        while self.packed.len() > most {
            self.bytes_min += u32::from(!self.are_spare_taken);
            self.are_spare_taken = false;
            let mut packed = std::mem::take(&mut self.packed);
            packed.retain(|packed| self.is_taken(*packed));
            self.packed = packed;
        }
    }

    /// Puts them in the order of their places in the target. Of those that differ in length alone the shortest is left: a
    /// planner opens a lane for the first.
    pub(crate) fn sort(&mut self) {
        self.packed.sort_unstable();
        self.packed.dedup_by_key(|packed| *packed >> DETAIL_BITS);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = Proposal> {
        self.packed.iter().map(|packed| {
            let place = packed >> DETAIL_BITS;
            Proposal {
                target: (place >> SOURCE_BITS) as u32,
                source: (place & ((1 << SOURCE_BITS) - 1)) as u32,
                bytes: length(*packed),
            }
        })
    }
}

fn packed(proposal: Proposal) -> u64 {
    let place = u64::from(proposal.target) << SOURCE_BITS | u64::from(proposal.source);
    place << DETAIL_BITS | u64::from(proposal.bytes).min(SPARE - 1)
}

fn length(packed: u64) -> u32 {
    (packed & (SPARE - 1)) as u32
}

impl Extend<Proposal> for Proposals {
    fn extend<T: IntoIterator<Item = Proposal>>(&mut self, proposals: T) {
        proposals.into_iter().for_each(|proposal| self.push(proposal));
    }
}

/// Shorter matches are hardly worth a triple.
const MATCH_BYTES_MIN: u32 = 4;

/// From a match this long on, the search goes on before its end only.
const LONG_MATCH_BYTES: u32 = 64;

/// Matches are stretched backwards over wrong bytes, if at least so far.
const BACK_BYTES_MIN: usize = 4;

/// Shorter matches are spare where they are not near, and so are all that are stretched backwards: measured, the former and
/// the latter win 0.2 and 0.3 %.
const FAR_MATCH_BYTES_MIN: u32 = 5;

/// At most so far.
const BACK_BYTES_MAX: usize = 128;

/// The copies of a parse.
pub(crate) fn of_parse(triples: &[Triple]) -> Vec<Proposal> {
    let mut proposals = Vec::new();
    let mut target = 0;
    for triple in triples {
        if triple.copy_bytes > 0 {
            proposals.push(Proposal {
                target,
                source: triple.source,
                bytes: triple.copy_bytes,
            });
        }
        target += triple.copy_bytes + triple.extra_bytes;
    }
    proposals
}

/// The longest matches with the base, and matches near the copies of a parse, which lie where their seek is cheap.
pub(crate) fn of_base(aligner: &mut Aligner<'_>, copies: &[Proposal], proposals: &mut Proposals) {
    let bytes = aligner.target().len() as u32;
    let (mut at, mut last) = (0, (0, 0));
    // Shifts proposed for being near, and how far they go.
    let mut near_shifts = [(0, 0); 4];
    while at < bytes {
        let found = aligner.longest(at as usize);
        let end = at + found.bytes;
        let shift = i64::from(found.source) - i64::from(at);
        if found.bytes >= MATCH_BYTES_MIN && (shift, end) != last {
            last = (shift, end);
            propose(
                aligner,
                at,
                found.source,
                found.bytes < FAR_MATCH_BYTES_MIN,
                proposals,
            );
        }
        if (MATCH_BYTES_MIN..LONG_MATCH_BYTES).contains(&found.bytes) {
            // The copy that the place is in or behind, and the next one.
            let index = copies.partition_point(|copy| copy.target <= at);
            for copy in &copies[index.saturating_sub(1)..copies.len().min(index + 1)] {
                let expected = (i64::from(at) + copy.shift()).max(0) as u32;
                if expected == found.source {
                    continue;
                }
                let near = aligner.nearest(at as usize, expected, MATCH_BYTES_MIN);
                let Some(near) = near.filter(|near| *near != found.source) else {
                    continue;
                };
                let shift = i64::from(near) - i64::from(at);
                if near_shifts
                    .iter()
                    .all(|(known, end)| *known != shift || at >= *end)
                {
                    let end = propose(aligner, at, near, false, proposals);
                    near_shifts.rotate_right(1);
                    near_shifts[0] = (shift, end);
                }
            }
        }
        at += next_search(found.bytes);
    }
}

/// Proposes a match from where it begins, and from where it may begin if some bytes are wrong. Returns where it may end.
fn propose(aligner: &Aligner<'_>, at: u32, source: u32, is_spare: bool, proposals: &mut Proposals) -> u32 {
    let (forward, back) = aligner.stretches(at as usize, source as usize, BACK_BYTES_MAX);
    let stretched = |back: usize| Proposal {
        target: at - back as u32,
        source: source - back as u32,
        bytes: (forward + back) as u32,
    };
    if is_spare {
        proposals.push_spare(stretched(0));
    } else {
        proposals.push(stretched(0));
    }
    if back >= BACK_BYTES_MIN {
        proposals.push_spare(stretched(back));
    }
    at + forward as u32
}

/// How far from a match the next one is looked for: before its end another one may begin that goes further.
fn next_search(match_bytes: u32) -> u32 {
    if match_bytes < LONG_MATCH_BYTES {
        1
    } else {
        match_bytes - LONG_MATCH_BYTES / 2
    }
}

/// Bytes that are hashed to find repeats.
const REPEAT_KEY_BYTES: usize = 4;

/// Earlier places that are compared, the nearest first.
const REPEAT_PLACES_MAX: usize = 16;

/// Repeats are not measured further.
const REPEAT_BYTES_MAX: usize = 1_024;

/// log2 of the hash table's entries: 512 KiB.
const TABLE_BITS: u32 = 17;

const NO_PLACE: u32 = u32::MAX;

/// The longest matches with what the target had before, as copies of a result behind a base of `base_bytes`.
pub(crate) fn of_target(base_bytes: u32, target: &[u8], proposals: &mut Proposals) {
    let mut places = Places {
        target,
        heads: vec![NO_PLACE; 1 << TABLE_BITS],
        before: vec![NO_PLACE; target.len()],
    };
    let (mut next, mut last) = (0, (0, 0));
    for at in 0..target.len().saturating_sub(REPEAT_KEY_BYTES - 1) {
        places.enter(at);
        if at < next {
            continue;
        }
        let (place, bytes) = places.longest(at);
        let end = at as u32 + bytes;
        let distance = at as u32 - place;
        if bytes >= REPEAT_KEY_BYTES as u32 && (distance, end) != last {
            last = (distance, end);
            proposals.push(Proposal {
                target: at as u32,
                source: base_bytes + place,
                bytes,
            });
        }
        next = at + next_search(bytes) as usize;
    }
}

/// Earlier places by hash, each with the one before it.
struct Places<'a> {
    target: &'a [u8],
    heads: Vec<u32>,
    before: Vec<u32>,
}

impl Places<'_> {
    fn enter(&mut self, at: usize) {
        let key: [u8; REPEAT_KEY_BYTES] = std::array::from_fn(|index| self.target[at + index]);
        let slot = (u32::from_le_bytes(key).wrapping_mul(0x9E37_79B1) >> (32 - TABLE_BITS)) as usize;
        self.before[at] = std::mem::replace(&mut self.heads[slot], at as u32);
    }

    /// The longest match among the nearest places before `at`, and its bytes.
    fn longest(&self, at: usize) -> (u32, u32) {
        let (mut best, mut most) = (0, 0);
        let needle = &self.target[at..self.target.len().min(at + REPEAT_BYTES_MAX)];
        let mut place = self.before[at];
        for _ in 0..REPEAT_PLACES_MAX {
            if place == NO_PLACE {
                break;
            }
            let bytes = common_bytes(&self.target[place as usize..], needle);
            if bytes > most {
                (best, most) = (place, bytes);
            }
            place = self.before[place as usize];
        }
        (best, most as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeats_are_proposed_behind_the_base() {
        let target: Vec<u8> = (0..100).chain(0..100).collect();
        let proposal = Proposal {
            target: 100,
            source: 7,
            bytes: 100,
        };
        let proposed = |target: &[u8]| {
            let mut proposals = Proposals::for_target(200);
            of_target(7, target, &mut proposals);
            proposals.iter().collect::<Vec<_>>()
        };
        assert_eq!(proposed(&target), [proposal]);
        assert_eq!(proposed(&target[..100]), []);
    }

    #[test]
    fn a_match_is_proposed_once_and_stretched_backwards() {
        let base: Vec<u8> = (0..200).collect();
        let mut target = base.clone();
        target[3] = 255;
        let mut proposals = Proposals::for_target(200);
        of_base(&mut Aligner::new(&base, &target), &[], &mut proposals);
        let whole = |target: u32| Proposal {
            target,
            source: target,
            bytes: 200 - target,
        };
        proposals.sort();
        assert_eq!(proposals.iter().collect::<Vec<_>>(), [whole(0), whole(4)]);
    }
}
