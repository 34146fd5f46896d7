//! Alignment by bsdiff's method over a suffix array: a first guess at which parts of the target come from where, and the
//! matches from which better ones are planned.

use wire_patch::{Reach, Triple};

use crate::suffixes;

/// Matches longer than this are not measured further: the parse continues them on its own.
const MATCH_BYTES_MAX: usize = 1_024;

/// Suffixes before and after a place in their order that are looked at for a near one.
const NEIGHBOURS: usize = 8;

/// In place of a rank.
const NOT_SEARCHED: u32 = u32::MAX;

/// In place of a rank: no match that may be used.
const NO_MATCH: u32 = u32::MAX - 1;

/// Suffixes before and after the longest match that are looked at for one within reach, if that is not.
const WITHIN_REACH_MAX: usize = 256;

/// A stretch of the base that looks like the target is followed so far.
const STRETCH_BYTES_MAX: usize = 4_096;

/// And no further than to where its score is so far below the best: some 120 wrong bytes behind the last right ones.
const STRETCH_DROP: i64 = 400;

/// A stretch of the base that equals the target at some place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) source: u32,
    pub(crate) bytes: u32,
}

/// The base, sorted, and the longest match at every place of the target that was asked for so far.
pub(crate) struct Aligner<'a> {
    base: &'a [u8],
    target: &'a [u8],
    suffixes: Vec<i32>,
    /// How far behind the target the base may be copied from.
    reach: Option<Reach>,
    /// The ranks of the matches found, so that several parses cost one search.
    found: Vec<u32>,
}

impl<'a> Aligner<'a> {
    pub(crate) fn new(base: &'a [u8], target: &'a [u8], reach: Option<Reach>) -> Self {
        Self {
            base,
            target,
            suffixes: suffixes::sorted(base),
            reach,
            found: vec![NOT_SEARCHED; target.len()],
        }
    }

    /// The triples of one parse. A new place in the base must explain at least `gain` bytes more than the old one.
    pub(crate) fn parse(&mut self, gain: usize) -> Vec<Triple> {
        let mut parse = Parse {
            triples: Vec::new(),
            done: 0,
            source: 0,
        };
        let mut scan = 0;
        let mut last = Match::default();
        while scan < self.target.len() {
            let (start, found, known) = self.next_anchor(scan + last.bytes as usize, &parse, gain);
            scan = start;
            last = found;
            if found.bytes as usize != known || scan >= self.target.len() {
                self.close(&mut parse, scan, found);
            }
        }
        parse
            .triples
            .retain(|triple| triple.copy_bytes + triple.extra_bytes > 0);
        // Kept through the next alignment, where most memory is in use.
        parse.triples.shrink_to_fit();
        parse.triples
    }

    /// Walks on from `scan` to a place where another part of the base explains clearly more than the current one.
    /// Returns the place, the match there and how many of its bytes the current one explains.
    fn next_anchor(&mut self, mut scan: usize, parse: &Parse, gain: usize) -> (usize, Match, usize) {
        let (mut counted, mut known) = (scan, 0);
        while scan < self.target.len() {
            let found = self.longest(scan);
            let bytes = found.bytes as usize;
            while counted < scan + bytes {
                known += usize::from(parse.explains(self, counted));
                counted += 1;
            }
            if (bytes == known && bytes != 0) || bytes > known + gain {
                return (scan, found, known);
            }
            known -= usize::from(counted > scan && parse.explains(self, scan));
            counted = counted.max(scan + 1);
            scan += 1;
        }
        (scan, Match::default(), known)
    }

    /// Ends the running copy and starts the next one at `scan`, both stretched as far as it pays.
    fn close(&self, parse: &mut Parse, scan: usize, found: Match) {
        let pos = found.source as usize;
        let gap = scan - parse.done;
        let of_gap = &self.target[parse.done..scan];
        let running = self.base.get(parse.source..).unwrap_or_default();
        let mut forward = best_stretch(differences(of_gap, running), i64::MAX);
        let mut backward = 0;
        if scan < self.target.len() {
            backward = best_stretch(differences_before(of_gap, &self.base[..pos]), i64::MAX);
        }
        if forward + backward > gap {
            let overlap = forward + backward - gap;
            let keep = self.split(parse, scan, pos, forward, backward, overlap);
            forward = forward - overlap + keep;
            backward -= keep;
        }
        parse.triples.push(Triple {
            source: parse.source as u32,
            copy_bytes: forward as u32,
            extra_bytes: (gap - forward - backward) as u32,
        });
        parse.done = scan - backward;
        parse.source = pos - backward;
    }

    /// How many of the `overlap` bytes that both copies claim are better left to the first.
    fn split(
        &self,
        parse: &Parse,
        scan: usize,
        pos: usize,
        forward: usize,
        backward: usize,
        overlap: usize,
    ) -> usize {
        let (mut score, mut best, mut keep) = (0_i64, 0_i64, 0);
        for at in 0..overlap {
            let ahead = forward - overlap + at;
            score += i64::from(self.target[parse.done + ahead] == self.base[parse.source + ahead]);
            score -= i64::from(self.target[scan - backward + at] == self.base[pos - backward + at]);
            if score > best {
                (best, keep) = (score, at + 1);
            }
        }
        keep
    }

    pub(crate) fn target(&self) -> &[u8] {
        self.target
    }

    /// How far a copy may go that begins with a match, and how many bytes before it, at most `back_bytes_max`, it may
    /// begin.
    pub(crate) fn stretches(&self, at: usize, source: usize, back_bytes_max: usize) -> (usize, usize) {
        let end = self.target.len().min(at + STRETCH_BYTES_MAX);
        let forward = differences(&self.target[at..end], &self.base[source..]);
        let start = at.saturating_sub(back_bytes_max);
        let back = differences_before(&self.target[start..at], &self.base[..source]);
        (
            best_stretch(forward, STRETCH_DROP),
            best_stretch(back, STRETCH_DROP),
        )
    }

    /// The longest match at a place of the target, of those within reach.
    pub(crate) fn longest(&mut self, at: usize) -> Match {
        let needle = &self.target[at..self.target.len().min(at + MATCH_BYTES_MAX)];
        if self.found[at] == NOT_SEARCHED {
            let (rank, found) = self.search(needle);
            let (rank, found) = if found.bytes == 0 || self.is_within_reach(found.source, at) {
                (rank, found)
            } else {
                self.longest_within_reach(rank as usize, at, needle)
            };
            self.found[at] = rank;
            return found;
        }
        self.match_of(self.found[at], needle)
    }

    fn match_of(&self, rank: u32, needle: &[u8]) -> Match {
        let Some(source) = self.suffixes.get(rank as usize).map(|source| *source as u32) else {
            return Match::default();
        };
        let bytes = common_bytes(&self.base[source as usize..], needle) as u32;
        Match { source, bytes }
    }

    fn is_within_reach(&self, source: u32, at: usize) -> bool {
        self.reach.is_none_or(|reach| reach.allows(source, at as u32))
    }

    /// Rank and place of the longest match within reach among those that are sorted next to the longest of all, which has this
    /// rank. The further away, the shorter they are.
    fn longest_within_reach(&self, rank: usize, at: usize, needle: &[u8]) -> (u32, Match) {
        let is_near = |rank: &usize| self.is_within_reach(self.suffixes[*rank] as u32, at);
        let before = (rank.saturating_sub(WITHIN_REACH_MAX)..rank).rev().find(is_near);
        let after = (rank + 1..self.suffixes.len().min(rank + 1 + WITHIN_REACH_MAX)).find(is_near);
        let matches = [before, after].into_iter().flatten();
        let matches = matches.map(|rank| (rank as u32, self.match_of(rank as u32, needle)));
        let longest = matches.max_by_key(|(_, found)| found.bytes);
        longest
            .filter(|(_, found)| found.bytes > 0)
            .unwrap_or((NO_MATCH, Match::default()))
    }

    /// Of the suffixes that are sorted next to the longest match at a place and share at least `bytes_min` with it, the
    /// one nearest to an `expected` source. Short matches are many, and seeks to near ones are cheap.
    pub(crate) fn nearest(&mut self, at: usize, expected: u32, bytes_min: u32) -> Option<u32> {
        if self.found[at] == NOT_SEARCHED {
            self.longest(at);
        }
        if self.found[at] == NO_MATCH {
            return None;
        }
        let rank = self.found[at] as usize;
        let needle = &self.target[at..self.target.len().min(at + bytes_min as usize)];
        let around = rank.saturating_sub(NEIGHBOURS)..self.suffixes.len().min(rank + NEIGHBOURS);
        let sources = self.suffixes[around].iter().map(|source| *source as u32);
        sources
            .filter(|source| self.is_within_reach(*source, at))
            .filter(|source| self.base[*source as usize..].starts_with(needle))
            .min_by_key(|source| (source.abs_diff(expected), *source))
    }

    /// Rank and place of the longest prefix of `needle` in the base, by binary search; what both borders share is not compared again.
    fn search(&self, needle: &[u8]) -> (u32, Match) {
        let (mut low, mut high) = (0, self.suffixes.len());
        let (mut low_common, mut high_common) = (0, 0);
        let (mut rank, mut best) = (0, Match::default());
        while low < high {
            let middle = usize::midpoint(low, high);
            let source = self.suffixes[middle] as usize;
            let skip = low_common.min(high_common);
            let common = skip + common_bytes(&self.base[source + skip..], &needle[skip..]);
            if common > best.bytes as usize {
                rank = middle as u32;
                best = Match {
                    source: source as u32,
                    bytes: common as u32,
                };
            }
            if common == needle.len() {
                break;
            }
            if self
                .base
                .get(source + common)
                .is_none_or(|byte| *byte < needle[common])
            {
                (low, low_common) = (middle + 1, common);
            } else {
                (high, high_common) = (middle, common);
            }
        }
        (rank, best)
    }
}

/// The triples so far and where the running copy stands.
struct Parse {
    triples: Vec<Triple>,
    /// Target bytes that the triples yield: the running copy starts here.
    done: usize,
    /// Where in the base the running copy starts.
    source: usize,
}

impl Parse {
    /// Whether the running copy is right about the target byte `at`.
    fn explains(&self, aligner: &Aligner<'_>, at: usize) -> bool {
        aligner.base.get(self.source + (at - self.done)) == Some(&aligner.target[at])
    }
}

/// What an equal byte and a different one add to the score of a stretch. bsdiff asks for half of the bytes to agree; here two
/// of five are enough (measured: a wrong prediction still helps the models more than none).
const EQUAL: i64 = 3;
const DIFFERENT: i64 = -2;

/// What eight bytes do to a score.
#[derive(Clone, Copy)]
struct Eight {
    sum: i8,
    /// The best score of those that begin with the first byte, or 0, and how many bytes make it.
    best: i8,
    best_bytes: u8,
}

/// For each set of equal bytes, the first one being the lowest bit.
static EIGHTS: [Eight; 256] = {
    let mut eights = [Eight {
        sum: 0,
        best: 0,
        best_bytes: 0,
    }; 256];
    let mut equal = 0;
    while equal < 256 {
        let mut byte = 0;
        while byte < 8 {
            let eight = &mut eights[equal];
            eight.sum += if equal >> byte & 1 == 1 { EQUAL } else { DIFFERENT } as i8;
            byte += 1;
            if eight.sum > eight.best {
                (eight.best, eight.best_bytes) = (eight.sum, byte);
            }
        }
        equal += 1;
    }
    eights
};

/// The length of the prefix with the best score, looked for up to where the score is `drop` below the best. Eight bytes at
/// a time, as [`differences`] has them.
fn best_stretch(differences: impl Iterator<Item = u64>, drop: i64) -> usize {
    let (mut score, mut best, mut stretch) = (0, 0, 0);
    for (at, differences) in differences.enumerate() {
        let eight = EIGHTS[zero_bytes(differences)];
        if score + i64::from(eight.best) > best {
            best = score + i64::from(eight.best);
            stretch = 8 * at + usize::from(eight.best_bytes);
        }
        score += i64::from(eight.sum);
        if best - score > drop {
            break;
        }
    }
    stretch
}

/// What eight bytes each of two slices differ in, as far as both go, the first byte lowest; bytes past that differ.
fn differences(a: &[u8], b: &[u8]) -> impl Iterator<Item = u64> {
    let bytes = a.len().min(b.len());
    let ((a, a_rest), (b, b_rest)) = (a[..bytes].as_chunks::<8>(), b[..bytes].as_chunks::<8>());
    let whole = a.iter().zip(b);
    let whole = whole.map(|(a, b)| u64::from_le_bytes(*a) ^ u64::from_le_bytes(*b));
    whole.chain(of_rest(a_rest.iter().zip(b_rest)))
}

/// The same before the ends of both slices, the last byte lowest.
fn differences_before(a: &[u8], b: &[u8]) -> impl Iterator<Item = u64> {
    let bytes = a.len().min(b.len());
    let ((a_rest, a), (b_rest, b)) = (
        a[a.len() - bytes..].as_rchunks::<8>(),
        b[b.len() - bytes..].as_rchunks::<8>(),
    );
    let whole = a.iter().zip(b).rev();
    let whole = whole.map(|(a, b)| u64::from_be_bytes(*a) ^ u64::from_be_bytes(*b));
    whole.chain(of_rest(a_rest.iter().zip(b_rest).rev()))
}

/// The differences of fewer than eight bytes, if there are any.
fn of_rest<'a>(rest: impl ExactSizeIterator<Item = (&'a u8, &'a u8)>) -> Option<u64> {
    let mut differences = [u8::MAX; 8];
    let some = rest.len() > 0;
    for (difference, (a, b)) in differences.iter_mut().zip(rest) {
        *difference = a ^ b;
    }
    some.then_some(u64::from_le_bytes(differences))
}

/// A bit for each byte, the lowest for the lowest: whether it is zero.
fn zero_bytes(word: u64) -> usize {
    const LOW_SEVEN: u64 = 0x7F7F_7F7F_7F7F_7F7F;
    // The top bit of each byte that is not zero: of its own, or carried into by the others.
    let others = !(((word & LOW_SEVEN) + LOW_SEVEN) | word | LOW_SEVEN);
    // Each of these bits goes to a place of its own in the top byte.
    ((others >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56) as usize
}

/// How many bytes two slices begin with in common, eight at a time.
pub(crate) fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_of_zero_bytes_is_told() {
        for zeros in 0..256 {
            let word: [u8; 8] = std::array::from_fn(|at| if zeros >> at & 1 == 1 { 0 } else { 1 << at });
            assert_eq!(zero_bytes(u64::from_le_bytes(word)), zeros);
        }
    }

    #[test]
    fn stretches_go_over_some_wrong_bytes() {
        let a: Vec<u8> = (1..=45).collect();
        let mut b = a.clone();
        b[11..13].fill(0);
        let stretch = |a: &[u8], b: &[u8], drop| best_stretch(differences(a, b), drop);
        assert_eq!(stretch(&a, &b, 100), 45);
        // 16 bytes at a score of 38, then 8 at -16.
        b[16..24].fill(0);
        assert_eq!((stretch(&a, &b, 15), stretch(&a, &b, 16)), (16, 45));
        assert_eq!(stretch(&a, &b[..30], 100), 30);
        b[44] = 0;
        assert_eq!(stretch(&a, &b, 100), 44);
        let back: Vec<u8> = a.iter().rev().copied().collect();
        let before: Vec<u8> = b.iter().rev().copied().collect();
        assert_eq!(best_stretch(differences_before(&back, &before), 100), 44);
        assert_eq!(stretch(&a, &[], 100), 0);
    }
}
