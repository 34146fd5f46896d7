//! Places where a copy might begin: what the planner chooses from.

use wire_patch::Triple;

use crate::align::{Aligner, common_bytes};
use crate::proposals::{Proposal, Proposals};

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

/// log2 of the hash table's entries, the fewest and the most, which take 512 KiB. Between these bounds a table has at least half
/// as many entries as the target has bytes.
const TABLE_BITS: (u32, u32) = (12, 17);

const NO_PLACE: u32 = u32::MAX;

/// The longest matches with what the target had before, as copies of a result behind a base of `base_bytes`.
pub(crate) fn of_target(base_bytes: u32, target: &[u8], proposals: &mut Proposals) {
    let bits = (target.len().max(1).ilog2()).clamp(TABLE_BITS.0, TABLE_BITS.1);
    let mut places = Places {
        target,
        bits,
        heads: vec![NO_PLACE; 1 << bits],
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
    /// log2 of the entries of `heads`.
    bits: u32,
    heads: Vec<u32>,
    before: Vec<u32>,
}

impl Places<'_> {
    fn enter(&mut self, at: usize) {
        let key: [u8; REPEAT_KEY_BYTES] = std::array::from_fn(|index| self.target[at + index]);
        let slot = (u32::from_le_bytes(key).wrapping_mul(0x9E37_79B1) >> (32 - self.bits)) as usize;
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
        of_base(&mut Aligner::new(&base, &target, None), &[], &mut proposals);
        let whole = |target: u32| Proposal {
            target,
            source: target,
            bytes: 200 - target,
        };
        proposals.sort();
        assert_eq!(proposals.iter().collect::<Vec<_>>(), [whole(0), whole(4)]);
    }
}
