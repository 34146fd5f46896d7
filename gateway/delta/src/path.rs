//! The ways that a planner has gone: copies and literals, each after another one.

use wire_patch::Triple;

/// Steps past which a planner decides for its cheapest lane, when that is alone, and in any case. They take 12 bytes each.
const STEPS_ALONE: usize = 1 << 12;
const STEPS_MAX: usize = 1 << 17;

/// Steps past which those are forgotten that no lane has gone.
const STEPS_SWEPT: usize = 1 << 14;

/// In place of a shift, for literals.
const LITERALS: i32 = i32::MIN;

/// Before the first step.
const NONE: StepId = StepId(u32::MAX);

/// A step, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StepId(u32);

/// A copy or literals, up to the next step.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Or [`NONE`].
    before: StepId,
    at: u32,
    /// Source minus target offset, or [`LITERALS`].
    shift: i32,
}

#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Steps that are decided.
    done: Vec<Step>,
    steps: Vec<Step>,
    /// How many of them were left the last time that some were forgotten.
    swept: usize,
}

impl Path {
    /// The literals, perhaps none, that everything begins with.
    pub(crate) fn start(&mut self) -> StepId {
        self.push(Step {
            before: NONE,
            at: 0,
            shift: LITERALS,
        })
    }

    /// A step from place `at` of the target on, after another one.
    pub(crate) fn step(&mut self, before: StepId, at: u32, shift: Option<i64>) -> StepId {
        self.push(Step {
            before,
            at,
            shift: shift.map_or(LITERALS, |shift| shift as i32),
        })
    }

    fn push(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() as u32 - 1)
    }

    pub(crate) fn is_literals(&self, step: StepId) -> bool {
        self.steps[step.0 as usize].shift == LITERALS
    }

    /// Whether it is time to settle.
    pub(crate) fn is_long(&self, alone: bool) -> bool {
        self.steps.len() > if alone { STEPS_ALONE } else { STEPS_MAX }
    }

    /// Whether it is time to sweep: there are twice as many steps as the last time.
    pub(crate) fn is_littered(&self) -> bool {
        self.steps.len() > STEPS_SWEPT.max(2 * self.swept)
    }

    /// Forgets the steps that are on no way to the `ends`, which get new numbers in the same order.
    pub(crate) fn sweep<'a>(&mut self, ends: impl Iterator<Item = &'a mut StepId>) {
        let ends: Vec<&mut StepId> = ends.collect();
        // New numbers, once it is known which are kept.
        let mut numbers = vec![NONE.0; self.steps.len()];
        for end in &ends {
            numbers[end.0 as usize] = 0;
        }
        for at in (0..self.steps.len()).rev() {
            let before = self.steps[at].before;
            if numbers[at] != NONE.0 && before != NONE {
                numbers[before.0 as usize] = 0;
            }
        }
        let mut kept = 0;
        for at in 0..self.steps.len() {
            if numbers[at] == NONE.0 {
                continue;
            }
            let step = self.steps[at];
            let before = numbers.get(step.before.0 as usize).copied().unwrap_or(NONE.0);
            self.steps[kept] = Step {
                before: StepId(before),
                ..step
            };
            numbers[at] = kept as u32;
            kept += 1;
        }
        self.steps.truncate(kept);
        self.swept = kept;
        for end in ends {
            *end = StepId(numbers[end.0 as usize]);
        }
    }

    /// Decides for the way to `step`, which gets a new number, and forgets all others.
    pub(crate) fn settle(&mut self, step: StepId) -> StepId {
        let way = std::iter::successors(Some(step), |step| {
            let before = self.steps[step.0 as usize].before;
            (before != NONE).then_some(before)
        });
        let way: Vec<Step> = way.map(|step| self.steps[step.0 as usize]).collect();
        self.done.extend(way[1..].iter().rev());
        self.steps.clear();
        self.swept = 0;
        self.push(Step {
            before: NONE,
            ..way[0]
        })
    }

    /// The triples of what was settled, up to the target's end.
    pub(crate) fn triples(mut self, target_bytes: u32) -> Vec<Triple> {
        self.done.append(&mut self.steps);
        let ends = self.done.iter().skip(1).map(|step| step.at).chain([target_bytes]);
        let mut triples: Vec<Triple> = vec![Triple::default()];
        for (step, end) in self.done.iter().zip(ends) {
            let bytes = end - step.at;
            match (step.shift, triples.last_mut()) {
                (LITERALS, Some(last)) => last.extra_bytes += bytes,
                (shift, _) => triples.push(Triple {
                    source: (i64::from(step.at) + if shift == LITERALS { 0 } else { i64::from(shift) })
                        as u32,
                    copy_bytes: bytes,
                    extra_bytes: 0,
                }),
            }
        }
        triples.retain(|triple| triple.copy_bytes + triple.extra_bytes > 0);
        triples
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_keeps_the_ways_to_lanes() {
        let mut path = Path::default();
        let start = path.start();
        let dropped = path.step(start, 1, Some(9));
        let mut copy = path.step(start, 5, Some(2));
        path.step(dropped, 6, None);
        let mut literals = path.step(copy, 8, None);
        path.sweep([&mut literals, &mut copy].into_iter());
        assert_eq!((path.steps.len(), copy, literals), (3, StepId(1), StepId(2)));
        path.settle(literals);
        let triple = |source, copy_bytes, extra_bytes| Triple {
            source,
            copy_bytes,
            extra_bytes,
        };
        assert_eq!(path.triples(10), [triple(0, 0, 5), triple(7, 3, 2)]);
    }

    #[test]
    fn settled_steps_become_triples() {
        let mut path = Path::default();
        let start = path.start();
        let copy = path.step(start, 5, Some(2));
        let dropped = path.step(copy, 8, Some(-3));
        let literals = path.step(copy, 9, None);
        assert!(path.is_literals(literals) && !path.is_literals(dropped));
        let literals = path.settle(literals);
        let last = path.step(literals, 12, Some(-1));
        path.settle(last);
        let triple = |source, copy_bytes, extra_bytes| Triple {
            source,
            copy_bytes,
            extra_bytes,
        };
        assert_eq!(
            path.triples(20),
            [triple(0, 0, 5), triple(7, 4, 3), triple(11, 8, 0)]
        );
    }
}
