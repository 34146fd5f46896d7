//! The suffix array of an image: all places in it, in the order of the bytes from there to its end.

use std::ops::Not;

/// A text shorter than this is sorted without divsufsort, whose table of pairs of bytes takes 256 KiB whatever is sorted:
/// more than four bytes a byte.
const SHORT_BYTES: usize = 1 << 16;

/// So many bytes of each suffix are compared before ranks are.
const PREFIX_BYTES: usize = 16;

/// The places of a text of at most 16 MiB; a suffix that another one begins with comes before it.
pub(crate) fn sorted(text: &[u8]) -> Vec<i32> {
    if text.len() < SHORT_BYTES {
        return sorted_by_doubling(text);
    }
    let mut suffixes = vec![0; text.len()];
    divsufsort::sort_in_place(text, &mut suffixes);
    suffixes
}

/// Sorts by the first bytes, then those that are alike by the ranks of what follows, which doubles the bytes compared (after
/// Larsson and Sadakane, "Faster suffix sorting", 2007). Takes eight bytes for each of the text, the result included.
fn sorted_by_doubling(text: &[u8]) -> Vec<i32> {
    let prefix = |place: i32| {
        let suffix = &text[place as usize..];
        &suffix[..suffix.len().min(PREFIX_BYTES)]
    };
    let mut suffixes: Vec<i32> = (0..text.len() as i32).collect();
    suffixes.sort_unstable_by(|a, b| prefix(*a).cmp(prefix(*b)));
    // Suffixes that are alike so far have one rank, that of the last of them.
    let mut ranks = vec![0; text.len()];
    mark_ends(&mut suffixes, |a, b| prefix(a) == prefix(b));
    rank(&mut suffixes, 0, &mut ranks);

    let mut compared = PREFIX_BYTES;
    let mut is_sorted = false;
    while !is_sorted {
        is_sorted = true;
        let mut begin = 0;
        while let Some(first) = suffixes.get(begin) {
            let end = ranks[*first as usize] as usize + 1;
            let alike = &mut suffixes[begin..end];
            if alike.len() > 1 {
                is_sorted = false;
                let following = |place: i32| ranks.get(place as usize + compared).copied().unwrap_or(-1);
                alike.sort_unstable_by_key(|place| following(*place));
                mark_ends(alike, |a, b| following(a) == following(b));
                rank(alike, begin, &mut ranks);
            }
            begin = end;
        }
        compared *= 2;
    }
    suffixes
}

/// Inverts the last of each group of places that are alike, so that it is negative: ranks may not change while they are compared.
fn mark_ends(places: &mut [i32], are_alike: impl Fn(i32, i32) -> bool) {
    for at in 0..places.len() {
        let is_end = places
            .get(at + 1)
            .is_none_or(|next| !are_alike(places[at], *next));
        if is_end {
            places[at] = places[at].not();
        }
    }
}

/// Gives each group up to a marked end its rank and takes the marks away.
fn rank(places: &mut [i32], begin: usize, ranks: &mut [i32]) {
    let mut end = begin + places.len();
    for (at, place) in places.iter_mut().enumerate().rev() {
        if *place < 0 {
            *place = place.not();
            end = begin + at;
        }
        ranks[*place as usize] = end as i32;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn by_divsufsort(text: &[u8]) -> Vec<i32> {
        let mut suffixes = vec![0; text.len()];
        divsufsort::sort_in_place(text, &mut suffixes);
        suffixes
    }

    #[test]
    fn long_repetitions_are_sorted() {
        for period in [1, 2, 7, 15, 16, 17, 1_000] {
            let text: Vec<u8> = (0..9_999).map(|at| (at % period) as u8).collect();
            assert_eq!(sorted_by_doubling(&text), by_divsufsort(&text), "period {period}");
        }
    }

    proptest! {
        #[test]
        fn both_ways_sort_alike(text in prop::collection::vec(0..3_u8, 0..600)) {
            prop_assert_eq!(sorted_by_doubling(&text), by_divsufsort(&text));
        }
    }
}
