//! What things cost, in fractions of a bit: measured while a parse is encoded, asked for when the next one is planned.

use std::convert::Infallible;

use wire_patch::{BitCoder, Triple};

use crate::range::RangeEncoder;

/// Costs are integers, so that every machine plans the same parse: this many stand for a bit.
pub(crate) const BIT: u32 = 1 << 12;

/// A coder that writes and counts.
#[derive(Debug)]
pub(crate) struct Meter {
    pub(crate) encoder: RangeEncoder,
    spent: u64,
}

impl Meter {
    pub(crate) fn new() -> Self {
        Self {
            encoder: RangeEncoder::new(),
            spent: 0,
        }
    }

    /// What was spent since the last call.
    pub(crate) fn take(&mut self) -> u64 {
        std::mem::take(&mut self.spent)
    }
}

impl BitCoder for Meter {
    type Error = Infallible;

    fn code(&mut self, bit: bool, p1: u16) -> Result<bool, Infallible> {
        let p = if bit { p1 } else { u16::MAX - p1 };
        self.spent += u64::from(BIT_COSTS[usize::from(p >> 4)]);
        self.encoder.code(bit, p1)
    }
}

/// The cost of a bit whose probability, in steps of 1/4096, is the index and a half.
static BIT_COSTS: [u32; 4096] = {
    let mut costs = [0; 4096];
    let mut at = 0;
    while at < 4096 {
        costs[at] = log2(8192) - log2(2 * at as u64 + 1);
        at += 1;
    }
    costs
};

/// log2 in units of 1/[`BIT`], rounded down: a digit for every squaring.
const fn log2(x: u64) -> u32 {
    let whole = x.ilog2();
    let mut log = whole;
    let mut mantissa = (x << 31) >> whole;
    let mut digits = 0;
    while digits < BIT.ilog2() {
        mantissa = (mantissa * mantissa) >> 31;
        let digit = mantissa >> 32;
        mantissa >>= digit;
        log = log << 1 | digit as u32;
        digits += 1;
    }
    log
}

/// Predicted bytes in a row since literals or the last misprediction, by their logarithm.
const RUNS: usize = 14;

/// log2 of the run from which on there are blocks.
const BLOCK_RUN_LOG2: usize = 7;

/// The sum of what some events cost and their number, which starts with a guess that weighs as much as `WEIGHT` events.
#[derive(Clone, Copy, Debug)]
struct Mean {
    cost: u64,
    events: u64,
}

impl Mean {
    fn guess(cost: u32, weight: u64) -> Self {
        Self {
            cost: u64::from(cost) * weight,
            events: weight,
        }
    }

    fn add(&mut self, cost: u64, events: u64) {
        self.cost += cost;
        self.events += events;
    }

    fn get(self) -> u32 {
        (self.cost / self.events) as u32
    }

    /// Divides once: from here on the mean is that of one event.
    fn freeze(&mut self) {
        *self = Self::guess(self.get(), 1);
    }

    /// The mean, once it is frozen.
    fn frozen(self) -> u32 {
        debug_assert_eq!(self.events, 1);
        self.cost as u32
    }
}

/// Of the last 16 groups, how many were not as predicted: 0, 1, 2 to 3, 4 to 7, 8 and more.
const RECENT: usize = 5;

/// Sizes of groups: 1, 2 to 3 and 4 bytes.
const SIZES: usize = 3;

/// Kinds of groups, and what may be known of an address.
const KINDS: usize = 8;
const TRUSTS: usize = 16;

/// Predicted and actual bytes of a group, as a planner and an encoder see them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Guess {
    /// Predicted bytes in a row before it.
    pub(crate) run: u32,
    /// Of the last 16 groups, how many were not as predicted.
    pub(crate) misses: u32,
    pub(crate) bytes: u32,
    /// Kind and trust of a doubtful group.
    pub(crate) doubt: Option<(u8, u8)>,
    /// Actual minus predicted byte, for each; 0 past its bytes.
    pub(crate) differences: [u8; 4],
    /// The difference before each at the same alignment.
    pub(crate) before: [u8; 4],
}

impl Guess {
    pub(crate) fn wrong(&self) -> u32 {
        self.differences
            .iter()
            .filter(|difference| **difference != 0)
            .count() as u32
    }

    /// Wrong bytes: what they differ by, and whether they do so as before.
    fn changes(&self) -> impl Iterator<Item = (u8, bool)> {
        let pairs = self.differences.into_iter().zip(self.before);
        pairs
            .filter(|(now, _)| *now != 0)
            .map(|(now, before)| (now, now == before))
    }

    fn recent(&self) -> usize {
        if bucket(self.run) >= BLOCK_RUN_LOG2 {
            return 0;
        }
        ((2 * self.misses).max(1).ilog2() as usize).min(RECENT - 1)
    }

    fn size(&self) -> usize {
        self.bytes.ilog2() as usize
    }
}

/// How often bytes differ by what.
#[derive(Clone, Debug)]
struct Differences {
    seen: [u32; 256],
    total: u32,
    as_before: u32,
    others: u32,
}

impl Differences {
    const GUESS: Self = Self {
        seen: [1; 256],
        total: 256,
        as_before: 2,
        others: 4,
    };

    fn add(&mut self, guess: &Guess) {
        for (difference, as_before) in guess.changes() {
            if as_before {
                self.as_before += 1;
            } else {
                self.others += 1;
                self.seen[usize::from(difference)] += 4;
                self.total += 4;
            }
        }
    }

    fn costs(&self) -> DifferenceCosts {
        let all = self.as_before + self.others;
        let other = share(self.others, all);
        DifferenceCosts {
            as_before: share(self.as_before, all),
            others: self.seen.map(|seen| other + share(seen, self.total)),
        }
    }
}

/// What differences cost. Planners ask too often for logarithms each time.
#[derive(Clone, Debug)]
struct DifferenceCosts {
    as_before: u32,
    others: [u32; 256],
}

impl DifferenceCosts {
    fn get(&self, guess: &Guess) -> u32 {
        let cost = |(difference, as_before)| {
            if as_before {
                self.as_before
            } else {
                self.others[usize::from(difference)]
            }
        };
        guess.changes().map(cost).sum()
    }
}

fn share(part: u32, whole: u32) -> u32 {
    log2(whole.into()) - log2(part.into())
}

/// What copies cost: from the base, or from the result itself.
#[derive(Clone, Debug)]
pub(crate) struct CopyCosts {
    /// Of a predicted byte.
    hits: [[[Mean; SIZES]; RUNS]; RECENT],
    /// Of a group with so many wrong bytes, beside their differences.
    misses: [[[[Mean; 4]; SIZES]; RUNS]; RECENT],
    /// Of a doubtful group by kind and trust: as predicted, and not.
    doubtful: [[[Mean; 2]; TRUSTS]; KINDS],
    /// Known from [`Self::finish`] on.
    differences: DifferenceCosts,
    /// Groups not as predicted and what was spent on each, until [`Self::finish`].
    events: Vec<(Guess, u32)>,
    /// Spent on a block that turned out not to be all predicted.
    owed: u64,
}

/// What a predicted byte of a copy from the base may cost: where there are blocks, one as long as the run half a bit.
fn hit_guess(run: usize) -> u32 {
    BIT >> if run < BLOCK_RUN_LOG2 {
        run / 2 + 1
    } else {
        run + 1
    }
}

/// The same of a copy from the result, which is hardly ever wrong: no more than that.
const REPEAT_HIT_GUESS: u32 = BIT / 32;

impl CopyCosts {
    fn new(hit_guess: impl Fn(usize) -> u32) -> Self {
        let hit = |run| Mean::guess(hit_guess(run), 4);
        let miss = |run: usize, wrong: usize| Mean::guess(BIT * (3 + run as u32 / 2 + wrong as u32), 2);
        Self {
            hits: [std::array::from_fn(|run| [hit(run); SIZES]); RECENT],
            misses: [std::array::from_fn(|run| [std::array::from_fn(|wrong| miss(run, wrong)); SIZES]);
                RECENT],
            doubtful: [[[Mean::guess(BIT / 2, 4), Mean::guess(BIT * 14, 2)]; TRUSTS]; KINDS],
            differences: Differences::GUESS.costs(),
            events: Vec::new(),
            owed: 0,
        }
    }

    pub(crate) fn spent_on_block(&mut self, cost: u64) {
        self.owed += cost;
    }

    /// A promise that so many bytes are predicted was kept.
    pub(crate) fn spent_on_promise(&mut self, run: u32, bytes: u32, cost: u64) {
        for hits in &mut self.hits[0][bucket(run)] {
            hits.add(cost, u64::from(bytes));
        }
    }

    pub(crate) fn spent(&mut self, guess: Guess, cost: u64) {
        let wrong = guess.wrong() > 0;
        if let Some((kind, trust)) = guess.doubt {
            self.doubtful[usize::from(kind)][usize::from(trust)][usize::from(wrong)].add(cost, 1);
        } else if wrong {
            let cost = cost + std::mem::take(&mut self.owed);
            self.events.push((guess, cost as u32));
        } else {
            self.hits[guess.recent()][bucket(guess.run)][guess.size()].add(cost, u64::from(guess.bytes));
        }
    }

    /// Tells the differences from the rest.
    fn finish(&mut self) {
        let events = std::mem::take(&mut self.events);
        let mut differences = Differences::GUESS;
        for (guess, _) in &events {
            differences.add(guess);
        }
        self.differences = differences.costs();
        for (guess, cost) in events {
            let rest = cost.saturating_sub(self.differences.get(&guess));
            self.misses[guess.recent()][bucket(guess.run)][guess.size()][guess.wrong() as usize - 1]
                .add(rest.into(), 1);
        }
        let all = self.hits.as_flattened_mut().as_flattened_mut().iter_mut();
        let all = all.chain(
            self.misses
                .as_flattened_mut()
                .as_flattened_mut()
                .as_flattened_mut(),
        );
        let all = all.chain(self.doubtful.as_flattened_mut().as_flattened_mut());
        all.for_each(Mean::freeze);
    }

    pub(crate) fn group(&self, guess: &Guess) -> u32 {
        if let Some((kind, trust)) = guess.doubt {
            let wrong = usize::from(guess.wrong() > 0);
            return self.doubtful[usize::from(kind)][usize::from(trust)][wrong].frozen();
        }
        let (recent, run, size) = (guess.recent(), bucket(guess.run), guess.size());
        match guess.wrong() {
            0 => self.hits[recent][run][size].frozen() * guess.bytes,
            wrong => {
                self.misses[recent][run][size][wrong as usize - 1].frozen() + self.differences.get(guess)
            }
        }
    }
}

fn bucket(run: u32) -> usize {
    ((run + 1).ilog2() as usize).min(RUNS - 1)
}

/// Bits that a number can have.
const NUMBER_BITS: usize = 30;

/// What a number costs, by its length.
#[derive(Clone, Debug)]
struct NumberCosts {
    seen: [u32; NUMBER_BITS],
}

impl NumberCosts {
    fn new() -> Self {
        Self {
            seen: [0; NUMBER_BITS],
        }
    }

    fn add(&mut self, number: u32) {
        self.seen[(number + 1).ilog2() as usize] += 1;
    }

    /// Costs of the lengths: each length is rarer by half than the one below, unless what was seen says otherwise.
    fn table(&self) -> [u32; NUMBER_BITS] {
        const GUESSES: u64 = 8;
        let total = u64::from(self.seen.iter().sum::<u32>()) + GUESSES;
        std::array::from_fn(|bits| {
            let guess = (GUESSES << 16) >> (bits / 2 + 2).min(20);
            let seen = (u64::from(self.seen[bits]) << 16) + guess;
            let below = (bits as u32).saturating_sub(1);
            log2(total << 16).saturating_sub(log2(seen)) + below * BIT
        })
    }
}

/// Literals that are made up before any are counted, times [`BIT`].
const PRIOR_LITERALS: u64 = 64 * BIT as u64;

/// Everything a planner wants to know.
#[derive(Clone, Debug)]
pub(crate) struct Costs {
    /// From the base, and from the result.
    pub(crate) copies: [CopyCosts; 2],
    /// Of each byte of the target as a literal; 0 where none was coded.
    pub(crate) literals: Vec<u16>,
    copy_bytes: [u32; NUMBER_BITS],
    extra_bytes: [u32; NUMBER_BITS],
    seek: [u32; NUMBER_BITS],
    /// Of the two lowest bits of a shift, by those of the expected one.
    low_bits: [[u32; 4]; 4],
    /// Of the cheapest seek there is.
    pub(crate) seek_min: u32,
}

impl Costs {
    pub(crate) fn new() -> Self {
        let numbers = NumberCosts::new().table();
        Self {
            copies: [
                CopyCosts::new(hit_guess),
                CopyCosts::new(|run| hit_guess(run).min(REPEAT_HIT_GUESS)),
            ],
            literals: Vec::new(),
            copy_bytes: numbers,
            extra_bytes: numbers,
            seek: numbers,
            low_bits: low_bits_table(&[[0; 4]; 4]),
            seek_min: 0,
        }
    }

    /// Ends the measuring of a parse.
    pub(crate) fn finish(&mut self, triples: &[Triple]) {
        self.copies.iter_mut().for_each(CopyCosts::finish);
        let (mut copies, mut extras, mut seeks) =
            (NumberCosts::new(), NumberCosts::new(), NumberCosts::new());
        let mut low_bits = [[0; 4]; 4];
        let (mut expected, mut target) = (0_i64, 0_i64);
        for triple in triples {
            copies.add(triple.copy_bytes);
            extras.add(triple.extra_bytes);
            if triple.copy_bytes > 0 {
                let (from, to) = (expected - target, i64::from(triple.source) - target);
                seeks.add(seek_number(from, to));
                low_bits[(from & 3) as usize][(to & 3) as usize] += 1;
                expected = i64::from(triple.source);
            }
            let bytes = i64::from(triple.copy_bytes + triple.extra_bytes);
            expected += bytes;
            target += bytes;
        }
        (self.copy_bytes, self.extra_bytes, self.seek) = (copies.table(), extras.table(), seeks.table());
        self.low_bits = low_bits_table(&low_bits);
        self.seek_min = least(&self.seek) + least(self.low_bits.as_flattened());
    }

    /// Fills in what bytes would cost that were no literals here: as they do where `all` are, and as much dearer as the
    /// others are here, where the models have seen fewer.
    pub(crate) fn complete_literals(&mut self, all: &[u16]) {
        // As if some literals of 7 bits instead of 5 had been seen.
        let (mut here, mut there) = (PRIOR_LITERALS * 7, PRIOR_LITERALS * 5);
        for (literal, all) in self.literals.iter().zip(all).filter(|(literal, _)| **literal > 0) {
            here += u64::from(*literal);
            there += u64::from(*all);
        }
        for (literal, all) in self
            .literals
            .iter_mut()
            .zip(all)
            .filter(|(literal, _)| **literal == 0)
        {
            *literal = (u64::from(*all) * here / there).min(u16::MAX.into()) as u16;
        }
    }

    pub(crate) fn copy_length(&self, bytes: u32) -> u32 {
        self.copy_bytes[(bytes + 1).ilog2() as usize]
    }

    pub(crate) fn extra_length(&self, bytes: u32) -> u32 {
        self.extra_bytes[(bytes + 1).ilog2() as usize]
    }

    /// Of a source with a shift of `to`, where `from` was expected.
    pub(crate) fn seek(&self, from: i64, to: i64) -> u32 {
        self.low_bits[(from & 3) as usize][(to & 3) as usize]
            + self.seek[(seek_number(from, to) + 1).ilog2() as usize]
    }
}

/// The least of costs.
fn least(costs: &[u32]) -> u32 {
    costs.iter().copied().min().unwrap_or(0)
}

/// Costs of the lowest bits: they stay, unless what was seen says otherwise.
fn low_bits_table(seen: &[[u32; 4]; 4]) -> [[u32; 4]; 4] {
    std::array::from_fn(|from| {
        let seen: [u32; 4] = std::array::from_fn(|to| 4 * seen[from][to] + if from == to { 5 } else { 1 });
        seen.map(|part| share(part, seen.iter().sum()))
    })
}

/// What stands for a seek: the difference of the shifts in words.
fn seek_number(from: i64, to: i64) -> u32 {
    let words = (to >> 2) - (from >> 2);
    (words << 1 ^ words >> 63) as u32
}
