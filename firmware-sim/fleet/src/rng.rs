//! The one source of chance in this crate: SplitMix64, so that a run is its seed.
//!
//! Not for keys. The algorithm is Steele, Lea and Flood, "Fast splittable pseudorandom number
//! generators" (2014): a counter that advances by the golden ratio, then a finaliser.

/// A reproducible stream of numbers.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
}

impl Rng {
    /// Starts the stream of `seed`. Equal seeds give equal streams.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Starts a stream that is independent of the others of the same `seed`.
    pub fn for_stream(seed: u64, stream: u64) -> Self {
        let mut mixed = Self::new(seed ^ stream.wrapping_mul(0xd1b5_4a32_d192_ed03));
        Self::new(mixed.next_u64())
    }

    /// The next 64 bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, or zero when `bound` is zero. The bias of the multiplication is
    /// below `bound / 2^64`, which no test here can see.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// True in `per_million` of a million cases.
    pub fn happens(&mut self, per_million: u32) -> bool {
        self.below(1_000_000) < u64::from(per_million)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams() {
        let (mut a, mut b) = (Rng::new(7), Rng::new(7));
        assert!((0..100).all(|_| a.next_u64() == b.next_u64()));
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let (mut a, mut b) = (Rng::for_stream(7, 0), Rng::for_stream(7, 1));
        assert_ne!(a.next_u64(), b.next_u64());
    }

    #[test]
    fn certain_and_impossible_events_are_certain_and_impossible() {
        let mut rng = Rng::new(1);
        assert!((0..1_000).all(|_| rng.happens(1_000_000)));
        assert!((0..1_000).all(|_| !rng.happens(0)));
    }
}
