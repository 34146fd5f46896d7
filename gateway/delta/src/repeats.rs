//! Repeats: extra bytes that the target already had earlier become copies from the result itself.

use wire_patch::Triple;

/// Shorter repeats cost more than the models make of the bytes themselves.
const REPEAT_BYTES_MIN: usize = 40;

/// Bytes that are hashed to find a repeat.
const KEY_BYTES: usize = 16;

/// log2 of the hash table's entries: 256 Ki places, 1 MiB.
const TABLE_BITS: u32 = 18;

const NO_PLACE: u32 = u32::MAX;

/// The same triples with repeats cut out of their extra bytes; `None` if there are no repeats.
pub(crate) fn with_repeats(base_bytes: usize, target: &[u8], triples: &[Triple]) -> Option<Vec<Triple>> {
    let mut places = Places {
        target,
        table: vec![NO_PLACE; 1 << TABLE_BITS],
        indexed: 0,
    };
    let mut found = Vec::new();
    let mut position = 0;
    for triple in triples {
        let mut open = Triple {
            extra_bytes: 0,
            ..*triple
        };
        position += triple.copy_bytes as usize;
        let end = position + triple.extra_bytes as usize;
        while position < end {
            let repeat = places.repeat(position, end);
            if let Some((place, bytes)) = repeat {
                found.push(open);
                open = Triple {
                    source: (base_bytes + place) as u32,
                    copy_bytes: bytes as u32,
                    extra_bytes: 0,
                };
                position += bytes;
            } else {
                open.extra_bytes += 1;
                position += 1;
            }
        }
        found.push(open);
    }
    found.retain(|triple| triple.copy_bytes + triple.extra_bytes > 0);
    (found.len() > triples.len()).then_some(found)
}

/// The latest place of every hashed key before the position.
struct Places<'a> {
    target: &'a [u8],
    table: Vec<u32>,
    indexed: usize,
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
        (bytes >= REPEAT_BYTES_MIN).then_some((place, bytes))
    }

    fn slot(&self, at: usize) -> Option<usize> {
        let key = self.target.get(at..at + KEY_BYTES)?;
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
        assert_eq!(with_repeats(7, &target, &[whole]), Some(vec![first, second]));
        assert_eq!(with_repeats(7, &target[..100], &[first]), None);
    }
}
