//! The parse with the lowest estimated cost: a shortest path through the target, byte by byte.
//!
//! A *lane* is a way to the current byte that ends in a copy along one shift (source minus target offset), or in literals,
//! which remember the shift of the copy before them. Copies are judged by what the models predict there, which is why each
//! has a walk of its own. A lane dearer than the cheapest one by more than any change of lanes costs is dropped.

use std::convert::Infallible;

use wire_patch::{BitCoder, Mark, Models, Place, Triple};

use crate::cost::{BIT, Costs};
use crate::path::{Path, StepId};
use crate::proposals::{Proposal, Proposals};
use crate::stream::{Trail, group, word};

/// Lanes dearer than the cheapest by more than this are dropped: a seek and two lengths, and some doubt.
const SLACK: u64 = 48 * BIT as u64;

/// Most lanes that copy.
const COPIES_MAX: usize = 32;

/// Most lanes of literals: they differ only in what the next seek costs.
const LITERALS_MAX: usize = 16;

/// Bytes that must agree for literals to end in the copy that they interrupted.
const REJOIN_BYTES: usize = 2;

#[derive(Clone, Copy)]
struct Lane {
    cost: u64,
    /// The next byte of the target. For literals that is the current one; a group of a copy may be ahead.
    at: u32,
    /// Source minus target offset, of the copy or of the one before.
    shift: i64,
    /// Where the copy or the literals began.
    since: u32,
    /// Where the copy is thought to end.
    end: u32,
    trail: Trail,
    walk: Mark,
    step: StepId,
}

impl Lane {
    /// What lanes are chosen by; no two have the same.
    fn rank(&self) -> (u64, StepId) {
        (self.cost, self.step)
    }
}

/// Where a copy may begin: the end of a lane at the current byte.
#[derive(Clone, Copy)]
struct Departure {
    /// With what it costs to end the lane.
    cost: u64,
    step: StepId,
    trail: Trail,
    shift: i64,
    /// Whether the lane copies.
    is_copy: bool,
}

impl Departure {
    fn of(lane: &Lane, cost_to_leave: u64, is_copy: bool) -> Self {
        Self {
            cost: lane.cost + cost_to_leave,
            step: lane.step,
            trail: lane.trail,
            shift: lane.shift,
            is_copy,
        }
    }
}

/// What a plan is made from.
pub(crate) struct Planner<'a, 'm> {
    base: &'a [u8],
    target: &'a [u8],
    costs: &'a Costs,
    /// With the map of the incumbent, which tells where addresses went.
    models: Models<'m>,
    /// The copies of the parse that costs and map come from.
    incumbent: &'a [Proposal],
    /// A wrong group teaches the models about addresses if so many bytes before it were right.
    lesson_run: u32,
    copies: Vec<Lane>,
    literals: Vec<Lane>,
    /// The cheapest lane.
    cheapest: Lane,
    /// The lanes at the current byte, by cost.
    departures: Vec<Departure>,
    /// Proposals that wait for the cheapest lane.
    pending: Vec<Proposal>,
    path: Path,
}

impl<'a, 'm> Planner<'a, 'm> {
    pub(crate) fn new(
        (base, target): (&'a [u8], &'a [u8]),
        costs: &'a Costs,
        models: Models<'m>,
        incumbent: &'a [Proposal],
        lesson_run: u32,
    ) -> Self {
        let mut path = Path::default();
        let start = Lane {
            cost: 0,
            at: 0,
            shift: 0,
            since: 0,
            end: 0,
            trail: Trail::default(),
            walk: models.mark(),
            step: path.start(),
        };
        Self {
            base,
            target,
            costs,
            models,
            incumbent,
            lesson_run,
            copies: Vec::new(),
            literals: vec![start],
            cheapest: start,
            departures: Vec::new(),
            pending: Vec::new(),
            path,
        }
    }

    /// The cheapest parse with copies that begin at `proposals`, which are in the order of their places in the target.
    pub(crate) fn plan(mut self, proposals: &Proposals) -> Vec<Triple> {
        let mut proposals = proposals.iter().peekable();
        for at in 0..self.target.len() as u32 {
            while let Some(proposal) = proposals.next_if(|proposal| proposal.target <= at) {
                self.pending.push(proposal);
            }
            self.take_proposals(at);
            self.rejoin(at);
            self.advance(at);
            self.prune();
        }
        self.settle();
        self.path.triples(self.target.len() as u32)
    }

    /// Opens lanes for proposals. Those for which the cheapest lane is not there yet (groups are not cut) wait for it.
    fn take_proposals(&mut self, at: u32) {
        if self.pending.is_empty() {
            return;
        }
        self.find_departures(at);
        let wait = self.cheapest.at > at;
        let mut pending = std::mem::take(&mut self.pending);
        pending.retain_mut(|proposal| {
            self.open_proposed(*proposal);
            proposal.target += 1;
            proposal.source += 1;
            proposal.bytes -= 1;
            wait && proposal.bytes > 0
        });
        self.pending = pending;
    }

    fn find_departures(&mut self, at: u32) {
        let mut departures = std::mem::take(&mut self.departures);
        departures.clear();
        let literals = self.literals.iter();
        let literals = literals.map(|lane| Departure::of(lane, self.leave_literals(lane), false));
        let copies = self.copies.iter().filter(|lane| lane.at == at);
        let copies = copies.map(|lane| Departure::of(lane, self.leave_copy(lane), true));
        departures.extend(literals.chain(copies));
        departures.sort_unstable_by_key(|departure| (departure.cost, departure.step));
        self.departures = departures;
    }

    /// Opens a lane for a proposal, from the lane from which that is cheapest, unless there is a cheaper one.
    fn open_proposed(&mut self, proposal: Proposal) {
        let shift = proposal.shift();
        let rival = self.copies.iter().find(|lane| lane.shift == shift);
        let mut least = rival.map_or(u64::MAX, |lane| lane.cost);
        let mut from = None;
        for departure in &self.departures {
            if departure.cost + u64::from(self.costs.seek_min) >= least {
                break;
            }
            let cost = departure.cost + u64::from(self.costs.seek(departure.shift, shift));
            if cost < least && !(departure.is_copy && departure.shift == shift) {
                (least, from) = (cost, Some(Departure { cost, ..*departure }));
            }
        }
        if let Some(from) = from {
            self.open_copy(from, (proposal.target, shift), proposal.target + proposal.bytes);
        }
    }

    /// Opens a lane that copies, the departure's cost being that of the copy already, unless there is a cheaper one.
    fn open_copy(&mut self, from: Departure, (at, shift): (u32, i64), end: u32) {
        if let Some(rival) = self.copies.iter().position(|lane| lane.shift == shift) {
            if self.copies[rival].cost <= from.cost {
                return;
            }
            self.copies.swap_remove(rival);
        }
        let end = self.end_of(at, shift).unwrap_or(end);
        let left = end.saturating_sub(at);
        self.models.begin_copy(Place {
            left,
            ..self.place(at, shift, at)
        });
        self.copies.push(Lane {
            cost: from.cost,
            at,
            shift,
            since: at,
            end,
            trail: from.trail,
            walk: self.models.mark(),
            step: self.path.step(from.step, at, Some(shift)),
        });
    }

    /// Where the incumbent's copy along this shift ends, if it has one here.
    fn end_of(&self, at: u32, shift: i64) -> Option<u32> {
        let index = self
            .incumbent
            .partition_point(|copy| copy.target <= at)
            .checked_sub(1)?;
        let copy = self.incumbent[index];
        let end = copy.target + copy.bytes;
        (copy.shift() == shift && at < end).then_some(end)
    }

    /// Ends literals in the copy that they interrupted, where that is right again.
    fn rejoin(&mut self, at: u32) {
        for index in 0..self.literals.len() {
            let lane = self.literals[index];
            if lane.since < at && self.agrees(at, lane.shift) {
                let seek = u64::from(self.costs.seek(lane.shift, lane.shift));
                let mut from = Departure::of(&lane, self.leave_literals(&lane), false);
                from.cost += seek;
                self.open_copy(from, (at, lane.shift), lane.end);
            }
        }
    }

    /// Whether the bytes at `at` are as they are along a shift.
    fn agrees(&self, at: u32, shift: i64) -> bool {
        let Ok(source) = usize::try_from(i64::from(at) + shift) else {
            return false;
        };
        let (at, base) = (at as usize, self.base.len());
        let there = if source < base {
            self.base.get(source..source + REJOIN_BYTES)
        } else if source - base < at {
            self.target.get(source - base..source - base + REJOIN_BYTES)
        } else {
            None
        };
        there.is_some() && there == self.target.get(at..at + REJOIN_BYTES)
    }

    /// Takes every lane that is at `at` past the next byte, or group.
    fn advance(&mut self, at: u32) {
        let cheapest = self.cheapest.rank();
        for index in 0..self.copies.len() {
            if self.copies[index].at == at {
                let teaches = self.copies[index].rank() == cheapest;
                self.advance_copy(index, teaches);
            }
        }
        let literal = u64::from(self.costs.literals[at as usize]);
        for lane in &mut self.literals {
            lane.cost += literal;
            lane.at += 1;
        }
    }

    /// A copy that is wrong may go on, or end in literals.
    fn advance_copy(&mut self, index: usize, teaches: bool) {
        let mut lane = self.copies[index];
        let place = self.place(lane.at, lane.shift, lane.since);
        if place.left == 0 {
            self.open_literals(lane);
            self.copies[index].cost = u64::MAX;
            return;
        }
        self.models.back_to(lane.walk);
        let group = group(&mut self.models, self.base, self.target, place);
        let actual = word(self.target, lane.at);
        let guess = lane.trail.guess(&group, actual, lane.at);
        if guess.wrong() > 0 {
            self.open_literals(self.copies[index]);
        }
        if guess.wrong() > 0 && teaches && group.is_doubtful() && guess.run >= self.lesson_run {
            let Ok(_) = self.models.copied(&mut Nothing, &group, actual, place);
        } else {
            self.models.passed(&group, actual, place);
        }
        let from_target = usize::from(place.source as usize >= self.base.len());
        lane.cost += u64::from(self.costs.copies[from_target].group(&guess));
        lane.walk = self.models.mark();
        lane.at += group.count();
        self.copies[index] = lane;
    }

    /// Lets a copy end in literals, unless literals with the same shift are cheaper.
    fn open_literals(&mut self, copy: Lane) {
        let cost = copy.cost + u64::from(self.costs.copy_length(copy.at - copy.since));
        if let Some(rival) = self.literals.iter().position(|lane| lane.shift == copy.shift) {
            if self.literals[rival].cost <= cost {
                return;
            }
            self.literals.swap_remove(rival);
        }
        let mut lane = Lane {
            cost,
            since: copy.at,
            step: self.path.step(copy.step, copy.at, None),
            ..copy
        };
        lane.trail.literal();
        self.literals.push(lane);
    }

    /// The place of a copy that began at `since`; nothing is left of one that has reached the end of the base.
    fn place(&self, at: u32, shift: i64, since: u32) -> Place {
        let source = (i64::from(at) + shift) as u32;
        let base = self.base.len() as u32;
        let mut left = self.target.len() as u32 - at;
        if i64::from(since) + shift < i64::from(base) {
            left = left.min(base - source);
        }
        Place {
            source,
            target: at,
            left,
        }
    }

    /// What it costs to end literals before a copy.
    fn leave_literals(&self, lane: &Lane) -> u64 {
        let bytes = lane.at - lane.since;
        u64::from(if bytes == 0 {
            0
        } else {
            self.costs.extra_length(bytes)
        })
    }

    /// What it costs to end a copy before another one.
    fn leave_copy(&self, lane: &Lane) -> u64 {
        u64::from(self.costs.copy_length(lane.at - lane.since) + self.costs.extra_length(0))
    }

    /// Finds the cheapest lane. Lanes that are opened from here on are no cheaper, and newer.
    fn find_cheapest(&mut self) {
        let lanes = self.copies.iter().chain(&self.literals);
        self.cheapest = *lanes
            .min_by_key(|lane| lane.rank())
            .expect("the cheapest lane is never dropped");
    }

    fn prune(&mut self) {
        self.find_cheapest();
        let limit = self.cheapest.cost + SLACK;
        for (lanes, most) in [(&mut self.copies, COPIES_MAX), (&mut self.literals, LITERALS_MAX)] {
            lanes.retain(|lane| lane.cost <= limit);
            if lanes.len() > most {
                lanes.sort_unstable_by_key(Lane::rank);
                lanes.truncate(most);
            }
        }
        if self.path.is_littered() {
            let lanes = self.copies.iter_mut().chain(&mut self.literals);
            self.path.sweep(lanes.map(|lane| &mut lane.step));
            self.find_cheapest();
        }
        let alone = self.copies.len() + self.literals.len() == 1;
        if self.path.is_long(alone) {
            self.settle();
        }
    }

    /// Decides for the cheapest lane.
    fn settle(&mut self) {
        let literals = self.path.is_literals(self.cheapest.step);
        self.cheapest.step = self.path.settle(self.cheapest.step);
        self.copies.clear();
        self.literals.clear();
        if literals {
            &mut self.literals
        } else {
            &mut self.copies
        }
        .push(self.cheapest);
    }
}

/// A coder that writes nothing, for what the models learn.
struct Nothing;

impl BitCoder for Nothing {
    type Error = Infallible;

    fn code(&mut self, bit: bool, _p1: u16) -> Result<bool, Infallible> {
        Ok(bit)
    }
}
