//! Repeats: what the target already had earlier becomes a copy from the result itself.

use wire_patch::Triple;

/// Half of the shortest repeat, but at most so many bytes are hashed to find one.
const KEY_BYTES_MAX: usize = 16;

/// log2 of the hash table's entries: 256 Ki places, 1 MiB.
const TABLE_BITS: u32 = 18;

const NO_PLACE: u32 = u32::MAX;

/// The same triples, but with copies from the result in place of repeats in their extra bytes, and in place of triples
/// far shorter than a repeat that starts where they do (fills, tables); `None` if there are no repeats.
///
/// Repeats of fewer than `bytes_min` bytes are left to the models.
pub(crate) fn with_repeats(
    base_bytes: usize,
    target: &[u8],
    triples: &[Triple],
    bytes_min: usize,
) -> Option<Vec<Triple>> {
    let places = Places {
        target,
        table: vec![NO_PLACE; 1 << TABLE_BITS],
        indexed: 0,
        bytes_min,
    };
    let mut cutter = Cutter {
        base_bytes,
        places,
        found: Vec::new(),
        position: 0,
        any: false,
    };
    let mut covered = 0;
    for triple in triples {
        let rest = without_first(*triple, covered);
        covered -= total(*triple) - total(rest);
        if total(rest) > 0 {
            covered += cutter.replace(rest).unwrap_or_else(|| cutter.cut(rest));
        }
    }
    cutter.any.then_some(cutter.found)
}

/// Bytes that a triple yields.
fn total(triple: Triple) -> usize {
    (triple.copy_bytes + triple.extra_bytes) as usize
}

/// What is left of a triple when its first bytes come from elsewhere.
fn without_first(triple: Triple, bytes: usize) -> Triple {
    let copy = triple.copy_bytes.min(bytes as u32);
    let extra = triple.extra_bytes.min(bytes as u32 - copy);
    Triple {
        source: triple.source + copy,
        copy_bytes: triple.copy_bytes - copy,
        extra_bytes: triple.extra_bytes - extra,
    }
}

struct Cutter<'a> {
    base_bytes: usize,
    places: Places<'a>,
    found: Vec<Triple>,
    /// Target bytes that `found` yields.
    position: usize,
    /// Whether any repeat was found.
    any: bool,
}

impl Cutter<'_> {
    /// Replaces a triple by a repeat more than twice as long. Returns how many bytes it covers beyond the triple.
    fn replace(&mut self, triple: Triple) -> Option<usize> {
        let (place, bytes) = self.places.repeat(self.position, self.places.target.len())?;
        if bytes <= 2 * total(triple) {
            return None;
        }
        let copy = self.copy_of(place, bytes);
        self.push(copy);
        Some(bytes - total(triple))
    }

    /// Takes a triple over, repeats in its extra bytes cut out. Covers nothing beyond it.
    fn cut(&mut self, triple: Triple) -> usize {
        let end = self.position + total(triple);
        let mut open = Triple {
            extra_bytes: 0,
            ..triple
        };
        loop {
            let at = self.position + total(open);
            if at >= end {
                break;
            }
            match self.places.repeat(at, end) {
                Some((place, bytes)) => {
                    self.push(open);
                    open = self.copy_of(place, bytes);
                }
                None => open.extra_bytes += 1,
            }
        }
        self.push(open);
        0
    }

    fn copy_of(&mut self, place: usize, bytes: usize) -> Triple {
        self.any = true;
        Triple {
            source: (self.base_bytes + place) as u32,
            copy_bytes: bytes as u32,
            extra_bytes: 0,
        }
    }

    fn push(&mut self, triple: Triple) {
        if total(triple) > 0 {
            self.found.push(triple);
            self.position += total(triple);
        }
    }
}

/// The latest place of every hashed key before the position.
struct Places<'a> {
    target: &'a [u8],
    table: Vec<u32>,
    indexed: usize,
    bytes_min: usize,
}

impl Places<'_> {
    /// Where the bytes from `position` (as far as `end`) were before, and how many of them.
    fn repeat(&mut self, position: usize, end: usize) -> Option<(usize, usize)> {
        while self.indexed < position {
            if let Some(slot) = self.slot(self.indexed) {
                self.table[slot] = self.indexed as u32;
            }
            self.indexed += 1;
        }
        let place = self.table[self.slot(position)?];
        if place == NO_PLACE {
            return None;
        }
        let place = place as usize;
        let bytes = (position..end)
            .take_while(|at| self.target[*at] == self.target[place + (at - position)])
            .count();
        (bytes >= self.bytes_min).then_some((place, bytes))
    }

    fn slot(&self, at: usize) -> Option<usize> {
        let key = self
            .target
            .get(at..at + (self.bytes_min / 2).min(KEY_BYTES_MAX))?;
        let hash = key.iter().fold(0_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        });
        Some((hash.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TABLE_BITS)) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_becomes_a_copy_of_the_result() {
        let mut target: Vec<u8> = (0..100).collect();
        target.extend(0..100);
        let whole = Triple {
            source: 0,
            copy_bytes: 0,
            extra_bytes: 200,
        };
        let first = Triple {
            source: 0,
            copy_bytes: 0,
            extra_bytes: 100,
        };
        let second = Triple {
            source: 7,
            copy_bytes: 100,
            extra_bytes: 0,
        };
        assert_eq!(with_repeats(7, &target, &[whole], 40), Some(vec![first, second]));
        assert_eq!(with_repeats(7, &target[..100], &[first], 40), None);
    }

    #[test]
    fn one_repeat_replaces_many_short_triples() {
        let target = vec![0xFF; 1_000];
        let short: Vec<Triple> = (0..10)
            .map(|_| Triple {
                source: 0,
                copy_bytes: 100,
                extra_bytes: 0,
            })
            .collect();
        let first = Triple {
            source: 0,
            copy_bytes: 100,
            extra_bytes: 0,
        };
        let found = with_repeats(100, &target, &short, 40).unwrap();
        assert_eq!(found[0], first);
        assert_eq!(found.len(), 2);
        assert_eq!(found[1].copy_bytes, 900);
        assert!((100..200).contains(&found[1].source));
    }
}
