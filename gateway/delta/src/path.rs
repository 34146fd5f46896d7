//! The ways that a planner has gone: copies and literals, each after another one.

use wire_patch::Triple;

/// Steps past which a planner decides for its cheapest lane, when that is alone, and in any case. They take 24 bytes each.
const STEPS_ALONE: usize = 1 << 12;
const STEPS_MAX: usize = 1 << 20;

/// A step, in the order in which they were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StepId(u32);

/// A copy or literals, up to the next step.
#[derive(Clone, Copy, Debug)]
struct Step {
    before: Option<StepId>,
    at: u32,
    /// Source minus target offset; `None` for literals.
    shift: Option<i64>,
}

#[derive(Debug, Default)]
pub(crate) struct Path {
    /// Steps that are decided.
    done: Vec<Step>,
    steps: Vec<Step>,
}

impl Path {
    /// The literals, perhaps none, that everything begins with.
    pub(crate) fn start(&mut self) -> StepId {
        self.push(Step {
            before: None,
            at: 0,
            shift: None,
        })
    }

    /// A step from place `at` of the target on, after another one.
    pub(crate) fn step(&mut self, before: StepId, at: u32, shift: Option<i64>) -> StepId {
        self.push(Step {
            before: Some(before),
            at,
            shift,
        })
    }

    fn push(&mut self, step: Step) -> StepId {
        self.steps.push(step);
        StepId(self.steps.len() as u32 - 1)
    }

    pub(crate) fn is_literals(&self, step: StepId) -> bool {
        self.steps[step.0 as usize].shift.is_none()
    }

    /// Whether it is time to settle.
    pub(crate) fn is_long(&self, alone: bool) -> bool {
        self.steps.len() > if alone { STEPS_ALONE } else { STEPS_MAX }
    }

    /// Decides for the way to `step`, which gets a new number, and forgets all others.
    pub(crate) fn settle(&mut self, step: StepId) -> StepId {
        let way = std::iter::successors(Some(step), |step| self.steps[step.0 as usize].before);
        let way: Vec<Step> = way.map(|step| self.steps[step.0 as usize]).collect();
        self.done.extend(way[1..].iter().rev());
        self.steps.clear();
        self.push(Step {
            before: None,
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
                (None, Some(last)) => last.extra_bytes += bytes,
                (shift, _) => triples.push(Triple {
                    source: (i64::from(step.at) + shift.unwrap_or(0)) as u32,
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
