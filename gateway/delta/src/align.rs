//! Alignment by bsdiff's method over a suffix array: a first guess at which parts of the target come from where, and the
//! matches from which better ones are planned.

use wire_patch::Triple;

/// Matches longer than this are not measured further: the parse continues them on its own.
const MATCH_BYTES_MAX: usize = 1_024;

/// Suffixes before and after a place in their order that are looked at for a near one.
const NEIGHBOURS: usize = 8;

/// In place of a rank.
const NOT_SEARCHED: u32 = u32::MAX;

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
    /// The ranks of the matches found, so that several parses cost one search.
    found: Vec<u32>,
}

impl<'a> Aligner<'a> {
    pub(crate) fn new(base: &'a [u8], target: &'a [u8]) -> Self {
        let mut suffixes = vec![0; base.len()];
        divsufsort::sort_in_place(base, &mut suffixes);
        Self {
            base,
            target,
            suffixes,
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
        let mut forward = best_stretch(
            (0..gap).map_while(|at| Some(*self.base.get(parse.source + at)? == self.target[parse.done + at])),
        );
        let mut backward = 0;
        if scan < self.target.len() {
            backward =
                best_stretch((1..=gap.min(pos)).map(|at| self.base[pos - at] == self.target[scan - at]));
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
        let forward = self.target[at..].iter().zip(&self.base[source..]);
        let back = self.target[..at]
            .iter()
            .rev()
            .zip(self.base[..source].iter().rev());
        (
            best_stretch_within(forward.take(STRETCH_BYTES_MAX).map(|(a, b)| a == b), STRETCH_DROP),
            best_stretch(back.take(back_bytes_max).map(|(a, b)| a == b)),
        )
    }

    /// The longest match at a place of the target.
    pub(crate) fn longest(&mut self, at: usize) -> Match {
        let needle = &self.target[at..self.target.len().min(at + MATCH_BYTES_MAX)];
        let rank = self.found[at];
        if rank == NOT_SEARCHED {
            let (rank, found) = self.search(needle);
            self.found[at] = rank;
            return found;
        }
        let Some(source) = self.suffixes.get(rank as usize).map(|source| *source as u32) else {
            return Match::default();
        };
        let bytes = common_bytes(&self.base[source as usize..], needle) as u32;
        Match { source, bytes }
    }

    /// Of the suffixes that are sorted next to the longest match at a place and share at least `bytes_min` with it, the
    /// one nearest to an `expected` source. Short matches are many, and seeks to near ones are cheap.
    pub(crate) fn nearest(&mut self, at: usize, expected: u32, bytes_min: u32) -> Option<u32> {
        if self.found[at] == NOT_SEARCHED {
            self.longest(at);
        }
        let rank = self.found[at] as usize;
        let needle = &self.target[at..self.target.len().min(at + bytes_min as usize)];
        let around = rank.saturating_sub(NEIGHBOURS)..self.suffixes.len().min(rank + NEIGHBOURS);
        let sources = self.suffixes[around].iter().map(|source| *source as u32);
        sources
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

/// The length of the prefix with the best score. bsdiff asks for half of the bytes to agree; here two of five are
/// enough (measured: a wrong prediction still helps the models more than none).
fn best_stretch(agreements: impl Iterator<Item = bool>) -> usize {
    best_stretch_within(agreements, i64::MAX)
}

/// The same, looked for up to where the score is `drop` below the best.
fn best_stretch_within(agreements: impl Iterator<Item = bool>, drop: i64) -> usize {
    let (mut score, mut best, mut stretch) = (0_i64, 0_i64, 0);
    for (at, agrees) in agreements.enumerate() {
        score += if agrees { 3 } else { -2 };
        if score > best {
            (best, stretch) = (score, at + 1);
        } else if best - score > drop {
            break;
        }
    }
    stretch
}

/// How many bytes two slices begin with in common, eight at a time.
pub(crate) fn common_bytes(a: &[u8], b: &[u8]) -> usize {
    let words = a.as_chunks::<8>().0.iter().zip(b.as_chunks::<8>().0);
    let same = 8 * words.take_while(|(a, b)| a == b).count();
    let rest = a[same..].iter().zip(&b[same..]);
    same + rest.take_while(|(a, b)| a == b).count()
}
