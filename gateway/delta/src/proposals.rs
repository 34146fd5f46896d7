//! A bounded list of places where a copy might begin.

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

/// A list with less room than this is short: 512 KiB.
const SHORT_PROPOSALS: usize = 1 << 16;

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

    /// Makes room for one in 16, or more. Lengths are tried in larger and larger steps, as all may be long.
    fn thin(&mut self) {
        self.sort();
        let most = self.most - self.most / 16;
        while self.packed.len() > most {
            if !self.are_spare_taken {
                self.bytes_min += 1 + self.bytes_min / 8;
            }
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

    /// Sorts them when all are in. A short list gives back the room that none took: beside small images the memory of the
    /// models is much. The room of a long one is never written, and making it smaller leaves a hole in the heap.
    pub(crate) fn close(&mut self) {
        self.sort();
        if self.most < SHORT_PROPOSALS {
            self.packed.shrink_to_fit();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn proposal(target: u32, bytes: u32) -> Proposal {
        Proposal {
            target,
            source: 9,
            bytes,
        }
    }

    /// The places of all that are left.
    fn places(mut proposals: Proposals) -> Vec<u32> {
        proposals.sort();
        proposals.iter().map(|proposal| proposal.target).collect()
    }

    #[test]
    fn spare_ones_go_first_and_then_those_that_go_least_far() {
        let most = PROPOSALS_MIN as u32;
        let mut proposals = Proposals::for_target(0);
        (0..most).for_each(|at| proposals.push(proposal(at, 5 + at % 2)));
        proposals.push_spare(proposal(most, 100));
        let longer: Vec<u32> = (0..most).filter(|at| at % 2 == 1).collect();
        assert_eq!(places(proposals), longer);

        let mut proposals = Proposals::for_target(0);
        (0..most / 2).for_each(|at| proposals.push(proposal(at, 4)));
        (most / 2..most).for_each(|at| proposals.push_spare(proposal(at, 100)));
        proposals.push(proposal(most, 4));
        proposals.push_spare(proposal(most + 1, 4));
        let needed: Vec<u32> = (0..most / 2).chain([most]).collect();
        assert_eq!(places(proposals), needed);
    }

    #[test]
    fn of_the_same_copy_the_shortest_is_left_and_rather_one_that_is_needed() {
        let mut proposals = Proposals::for_target(9);
        proposals.push(proposal(1, 7));
        proposals.push(proposal(1, 6));
        proposals.push_spare(proposal(1, 5));
        proposals.sort();
        assert_eq!(proposals.iter().collect::<Vec<_>>(), [proposal(1, 6)]);
    }
}
