//! The search for the smallest stream: bsdiff's parse first, then parses planned from what the best one so far cost.

use wire_patch::{MemoryClass, Models, Reach, Relocation, Setup, Triple};

use crate::align::Aligner;
use crate::cost::Costs;
use crate::isa;
use crate::plan::Planner;
use crate::proposals::{Proposal, Proposals};
use crate::propose;
use crate::stream::Stream;
use crate::{Effort, Options};

/// Bytes that a new place in the base must explain beyond what the old one does (bsdiff: 8). All of them propose copies.
const GAINS: [usize; 4] = [5, 3, 8, 20];

/// All are encoded if the first one makes a stream so many times smaller than the target: there the best one is hard to
/// beat, and cheap to find.
const SMALLER_FOR_ALL_GAINS: usize = 16;

/// The planner learns from no wrong group: it pays for each again.
const NO_LESSONS: u32 = u32::MAX;

/// The shortest copies that enter the map, as a power of two, if it has room for all of them.
const MAP_COPY_BYTES_LOG2: u32 = 4;

/// Decoder memory for an entry of the map: a quarter of the memory is the map's, in entries of eight bytes.
const MEMORY_BYTES_PER_ENTRY: u32 = 32;

/// Streams up to so many bytes are also tried without relocation, whose setup costs 5 bytes.
const SMALL_STREAM_BYTES: usize = 1_000;

/// What a plan of a larger stream must win so that [`Step::LastPlan`] is left out: one byte in so many.
const GREAT_WIN: usize = 50;

/// Streams from which on that is done. None of the 11 largest of the corpus lost by it, and it takes an eighth of the time.
const LARGE_STREAM_BYTES: usize = 65_536;

/// A step of the search. Each may make the best stream smaller, and none makes it larger.
#[derive(Clone, Copy)]
enum Step {
    /// Plans from the plan before. A wrong group teaches the planner if so many bytes before it were right: which number is
    /// best differs by pair; alternating wins most.
    Plan(u32),
    /// The same, unless the stream is large and the plan before won so much that it left little.
    LastPlan(u32),
    /// Tries the best parse with other shares of the memory.
    Shares,
    /// Tries the best parse with other limits for the map, relative to its own, up to the first that wins.
    MapLimits(&'static [i32]),
    /// Tries the best parse without relocation, if its stream has at most so many bytes.
    NoRelocation(usize),
}

/// What is tried. More effort begins as less does, so that its patch is never larger.
const STEPS: [Step; FAST_STEPS + DEFAULT_STEPS + BEST_STEPS] = [
    Step::Plan(NO_LESSONS),
    Step::Shares,
    Step::NoRelocation(SMALL_STREAM_BYTES),
    // Default goes on.
    Step::Plan(40),
    Step::LastPlan(NO_LESSONS),
    Step::MapLimits(&[-1, 1]),
    Step::Shares,
    Step::NoRelocation(SMALL_STREAM_BYTES),
    // Best goes on.
    Step::Plan(0),
    Step::Plan(NO_LESSONS),
    Step::Plan(12),
    Step::Plan(40),
    Step::Plan(NO_LESSONS),
    Step::MapLimits(&[-1, 1, 2, 3]),
    Step::Shares,
    Step::NoRelocation(usize::MAX),
];
const FAST_STEPS: usize = 3;
const DEFAULT_STEPS: usize = 5;
const BEST_STEPS: usize = 8;

impl Effort {
    fn steps(self) -> &'static [Step] {
        match self {
            Self::Fast => &STEPS[..FAST_STEPS],
            Self::Default => &STEPS[..FAST_STEPS + DEFAULT_STEPS],
            Self::Best => &STEPS,
        }
    }
}

pub(crate) struct Search<'a> {
    base: &'a [u8],
    target: &'a [u8],
    class: MemoryClass,
    effort: Effort,
    reach: Option<Reach>,
    /// The models' memory, made when it is first needed: not before the alignments are done, which take the most.
    memory: Vec<u8>,
    best: Option<Best>,
}

/// What the last round planned, and what it cost.
struct Plan {
    triples: Vec<Triple>,
    setup: Setup,
    costs: Costs,
}

/// The smallest stream so far.
struct Best {
    stream: Vec<u8>,
    triples: Vec<Triple>,
    setup: Setup,
    /// What it cost, until parses are planned from it.
    costs: Option<Costs>,
}

impl<'a> Search<'a> {
    pub(crate) fn new(base: &'a [u8], target: &'a [u8], options: &Options) -> Self {
        Self {
            base,
            target,
            class: options.memory,
            effort: options.effort,
            reach: options.in_place,
            memory: Vec::new(),
            best: None,
        }
    }

    pub(crate) fn into_stream(self) -> Vec<u8> {
        self.best.map(|best| best.stream).unwrap_or_default()
    }

    pub(crate) fn run(&mut self, relocation: Option<Relocation>) {
        if self.target.is_empty() {
            return;
        }
        let proposals = self.alignments(relocation);
        let literals = self.all_literals();
        let Some(mut plan) = self.first_plan() else { return };
        let mut was_great_win = false;
        for step in self.effort.steps() {
            match *step {
                Step::LastPlan(_) if was_great_win => {}
                Step::Plan(lesson_run) | Step::LastPlan(lesson_run) => {
                    let before = self.stream_bytes();
                    plan = self.plan(plan, &proposals, &literals, lesson_run);
                    let won = before - self.stream_bytes();
                    was_great_win = before >= LARGE_STREAM_BYTES && won * GREAT_WIN > before;
                }
                Step::Shares => self.shares(),
                Step::MapLimits(limits) => self.map_limits(limits),
                Step::NoRelocation(bytes_max) => self.no_relocation(bytes_max),
            }
        }
    }

    /// Encodes bsdiff's parses of the images, and of the images with their addresses blanked. Returns all places where
    /// copies might begin. One alignment is dropped before the next, and all before anything is encoded: they are large.
    fn alignments(&mut self, relocation: Option<Relocation>) -> Proposals {
        let mut proposals = Proposals::for_target(self.target.len());
        let mut parses = vec![alignment(
            Aligner::new(self.base, self.target, self.reach),
            &mut proposals,
        )];
        if let Some(addresses) = relocation {
            let base = isa::normalised(self.base, addresses.isa, &addresses.base);
            let target = isa::normalised(self.target, addresses.isa, &addresses.target);
            let aligner = Aligner::new(&base, &target, self.reach);
            parses.push(alignment(aligner, &mut proposals));
        }
        propose::of_target(self.base.len() as u32, self.target, &mut proposals);
        proposals.close();
        for of_images in parses.into_iter().rev() {
            self.parses(of_images, relocation);
        }
        proposals
    }

    /// Encodes the first parse, and the others if they may be better.
    fn parses(&mut self, parses: [Vec<Triple>; GAINS.len()], relocation: Option<Relocation>) {
        for triples in parses {
            if self.best.is_none() || self.is_stream_small() {
                let setup = self.setup_for(relocation, &triples);
                let (wins, costs) = self.attempt(triples, setup);
                if let Some(best) = self.best.as_mut().filter(|_| wins) {
                    best.costs = Some(costs);
                }
            }
        }
    }

    /// Of the best stream so far.
    fn stream_bytes(&self) -> usize {
        self.best.as_ref().map_or(usize::MAX, |best| best.stream.len())
    }

    fn is_stream_small(&self) -> bool {
        self.stream_bytes() < self.target.len().div_ceil(SMALLER_FOR_ALL_GAINS)
    }

    /// The best parse so far: what the first plan starts from.
    fn first_plan(&mut self) -> Option<Plan> {
        let best = self.best.as_mut()?;
        Some(Plan {
            costs: best.costs.take()?,
            triples: best.triples.clone(),
            setup: best.setup,
        })
    }

    /// Plans from the plan before, not from the best parse there is: a plan that turns out dearer than thought tells why.
    fn plan(&mut self, before: Plan, proposals: &Proposals, literals: &[u16], lesson_run: u32) -> Plan {
        let Plan {
            triples,
            setup,
            mut costs,
        } = before;
        costs.complete_literals(literals);
        let incumbent = propose::of_parse(&triples);
        let models = models(self.class, &mut self.memory);
        let models = Stream::new(self.base, self.target, models).prepared(setup, &triples);
        let images = (self.base, self.target);
        let triples = Planner::new(images, &costs, models, &incumbent, lesson_run).plan(proposals);
        drop(costs);
        let copies_share = self.best.as_ref().map_or(0, |best| best.setup.copies_share);
        let setup = Setup {
            copies_share,
            ..self.setup_for(setup.relocation, &triples)
        };
        let (_, costs) = self.attempt(triples.clone(), setup);
        Plan {
            triples,
            setup,
            costs,
        }
    }

    /// What every byte of the target costs if all are literals.
    fn all_literals(&mut self) -> Vec<u16> {
        let whole = Triple {
            extra_bytes: self.target.len() as u32,
            ..Triple::default()
        };
        let models = models(self.class, &mut self.memory);
        let encoded = Stream::new(self.base, self.target, models).encode(Setup::default(), &[whole]);
        encoded.costs.literals
    }

    fn map_limits(&mut self, limits: &[i32]) {
        if !self.is_best_relocated() {
            return; // There is no map.
        }
        for by in limits {
            let wins = self.again(|setup| Setup {
                map_copy_bytes_log2: setup.map_copy_bytes_log2.saturating_add_signed(*by).min(15),
                ..setup
            });
            if wins {
                break;
            }
        }
    }

    fn no_relocation(&mut self, bytes_max: usize) {
        if self.stream_bytes() <= bytes_max && self.is_best_relocated() {
            self.again(|_| Setup::default());
        }
    }

    fn is_best_relocated(&self) -> bool {
        let best = self.best.as_ref();
        best.is_some_and(|best| best.setup.relocation.is_some())
    }

    /// Half as much for copies, then what that suggests.
    fn shares(&mut self) {
        let share = |copies_share| {
            move |setup| Setup {
                copies_share,
                ..setup
            }
        };
        let next = if self.again(share(2)) { 1 } else { 3 };
        self.again(share(next));
    }

    /// Tries the best parse with another setup; whether that is better.
    fn again(&mut self, change: impl Fn(Setup) -> Setup) -> bool {
        let Some(best) = &self.best else { return false };
        let (triples, setup) = (best.triples.clone(), change(best.setup));
        setup != best.setup && self.attempt(triples, setup).0
    }

    /// A setup with which the map has room for the copies of a parse: short ones are left out first.
    fn setup_for(&self, relocation: Option<Relocation>, triples: &[Triple]) -> Setup {
        let entries = (self.class.bytes() / MEMORY_BYTES_PER_ENTRY) as usize;
        let base_bytes = self.base.len() as u32;
        let fits = |log2: &u32| {
            let copies = triples.iter().filter(|triple| triple.source < base_bytes);
            copies.filter(|copy| copy.copy_bytes >> *log2 > 0).count() <= entries
        };
        Setup {
            relocation,
            copies_share: 0,
            map_copy_bytes_log2: (MAP_COPY_BYTES_LOG2..15).find(fits).unwrap_or(15),
        }
    }

    /// Encodes a parse and keeps it if it is the best. Returns whether it is, and what things cost.
    fn attempt(&mut self, triples: Vec<Triple>, setup: Setup) -> (bool, Costs) {
        debug_assert!(self.is_within_reach(&triples));
        let models = models(self.class, &mut self.memory);
        let encoded = Stream::new(self.base, self.target, models).encode(setup, &triples);
        let wins = (self.best.as_ref()).is_none_or(|best| encoded.stream.len() < best.stream.len());
        if wins {
            self.best = Some(Best {
                stream: encoded.stream,
                triples,
                setup,
                costs: None,
            });
        }
        (wins, encoded.costs)
    }

    /// Whether no copy needs what a device that updates in place has overwritten.
    fn is_within_reach(&self, triples: &[Triple]) -> bool {
        let base_bytes = self.base.len() as u32;
        let allows = |copy: &Proposal| {
            copy.source >= base_bytes
                || self
                    .reach
                    .is_none_or(|reach| reach.allows(copy.source, copy.target))
        };
        propose::of_parse(triples).iter().all(allows)
    }
}

/// bsdiff's parses with all gains; they propose their copies, and the aligner its matches.
fn alignment(mut aligner: Aligner<'_>, proposals: &mut Proposals) -> [Vec<Triple>; GAINS.len()] {
    let parses = GAINS.map(|gain| aligner.parse(gain));
    for triples in &parses {
        proposals.extend(propose::of_parse(triples));
    }
    propose::of_base(&mut aligner, &propose::of_parse(&parses[0]), proposals);
    proposals.sort();
    parses
}

fn models(class: MemoryClass, memory: &mut Vec<u8>) -> Models<'_> {
    memory.resize(class.bytes() as usize, 0);
    Models::new(class, memory).expect("memory was made for its class")
}
