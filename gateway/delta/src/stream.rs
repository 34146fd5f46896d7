//! Triples to bytes: drives the shared models exactly as the decoder does.

use std::convert::Infallible;

use wire_patch::{Ahead, Control, Group, Models, Place, Setup, Triple};

use crate::cost::{Costs, Guess, Meter};

/// The two images and how far the stream has come.
pub(crate) struct Stream<'a> {
    base: &'a [u8],
    target: &'a [u8],
    models: Models<'a>,
    coder: Meter,
    control: Control,
    position: usize,
    trail: Trail,
    costs: Costs,
}

/// What came of an encoding.
pub(crate) struct Encoded {
    pub(crate) stream: Vec<u8>,
    pub(crate) costs: Costs,
}

/// Takes the value out of a result that cannot be an error.
fn sure<T>(result: Result<T, Infallible>) -> T {
    match result {
        Ok(value) => value,
    }
}

impl<'a> Stream<'a> {
    pub(crate) fn new(base: &'a [u8], target: &'a [u8], models: Models<'a>) -> Self {
        Self {
            base,
            target,
            models,
            coder: Meter::new(),
            control: Control::default(),
            position: 0,
            trail: Trail::default(),
            costs: Costs::new(),
        }
    }

    /// The coded stream of `triples`, which must yield the whole target.
    pub(crate) fn encode(mut self, setup: Setup, triples: &[Triple]) -> Encoded {
        self.costs.literals = vec![0; self.target.len()];
        if !self.target.is_empty() {
            self.head(setup, triples);
        }
        for triple in triples {
            self.copy(*triple);
            self.train(*triple);
            self.extra(triple.extra_bytes);
        }
        debug_assert_eq!(self.position, self.target.len());
        self.costs.finish(triples);
        Encoded {
            stream: self.coder.encoder.finish(),
            costs: self.costs,
        }
    }

    /// The models as they are before the first byte: what they know is the map.
    pub(crate) fn prepared(mut self, setup: Setup, triples: &[Triple]) -> Models<'a> {
        self.head(setup, triples);
        self.models
    }

    /// Setup, triples and what the decoder does before the first byte.
    fn head(&mut self, setup: Setup, triples: &[Triple]) {
        let base_bytes = self.base.len() as u32;
        let set_up = sure(self.models.set_up(&mut self.coder, setup, base_bytes));
        debug_assert!(set_up.is_ok());
        let mut mapped = 0;
        for triple in triples {
            let coded = sure(self.control.triple(&mut self.coder, &mut self.models, *triple));
            debug_assert!(coded.is_ok());
            self.models.enter(*triple, mapped, base_bytes);
            mapped += triple.copy_bytes + triple.extra_bytes;
        }
        self.models.ready();
    }

    fn copy(&mut self, triple: Triple) {
        let mut place = Place {
            source: triple.source,
            target: self.position as u32,
            left: triple.copy_bytes,
        };
        if place.left > 0 {
            self.models.begin_copy(place);
        }
        let kind = usize::from(place.source as usize >= self.base.len());
        self.coder.take();
        while place.left > 0 {
            let block = self.models.block_bytes().min(place.left);
            if block > 0 {
                let mark = self.models.mark();
                let end = self.ahead(place, block);
                self.models.back_to(mark);
                let promised = sure(self.models.block(&mut self.coder, end.is_some()));
                let spent = self.coder.take();
                if promised {
                    place = self.block(place, block, kind, spent);
                    continue;
                }
                self.costs.copies[kind].spent_on_block(spent);
            }
            let group = self.group(place);
            self.coded(&group, place, kind);
            place = after(place, &group);
        }
        self.position = place.target as usize;
    }

    /// Codes a group for itself; returns whether it is as predicted.
    fn coded(&mut self, group: &Group, place: Place, kind: usize) -> bool {
        let actual = word(self.target, place.target);
        let (_, hit) = sure(self.models.copied(&mut self.coder, group, actual, place));
        let spent = self.coder.take();
        let guess = self.trail.guess(group, actual, place.target);
        self.costs.copies[kind].spent(guess, spent);
        hit
    }

    /// Takes groups as predicted until a block is full or ended by a doubtful one; `None` at another that is not.
    fn ahead(&mut self, start: Place, bytes: u32) -> Option<()> {
        let mut place = start;
        while place.target - start.target < bytes {
            let group = self.group(place);
            let count = group.count() as usize;
            let at = place.target as usize;
            if group.predicted()[..count] != self.target[at..at + count] {
                return group.is_doubtful().then_some(());
            }
            self.models.foreseen(&group, place);
            place = after(place, &group);
        }
        Some(())
    }

    /// The groups of a block that keeps its promise, up to its end. `spent` is what the promise cost.
    fn block(&mut self, start: Place, bytes: u32, kind: usize, spent: u64) -> Place {
        let mut place = start;
        let (run, mut promised) = (self.trail.run, 0);
        while place.target - start.target < bytes {
            let group = self.group(place);
            let hit = if group.is_doubtful() {
                self.coded(&group, place, kind)
            } else {
                self.models.predicted(&group, place);
                let actual = word(self.target, place.target);
                self.trail.guess(&group, actual, place.target);
                promised += group.count();
                true
            };
            place = after(place, &group);
            if !hit {
                break;
            }
        }
        self.costs.copies[kind].spent_on_promise(run, promised, spent);
        place
    }

    fn group(&mut self, place: Place) -> Group {
        group(&mut self.models, self.base, self.target, place)
    }

    /// Learns from the base's bytes that literals replace.
    fn train(&mut self, triple: Triple) {
        let start = triple.source + triple.copy_bytes;
        let end = (start + triple.training_bytes()).min(self.base.len() as u32);
        for at in start.max(4)..end {
            let last = word(self.base, at - 4).swap_bytes();
            self.models.train(self.base[at as usize], last, at);
        }
    }

    fn extra(&mut self, bytes: u32) {
        let target = self.target;
        self.coder.take();
        for _ in 0..bytes {
            let byte = target[self.position];
            sure(
                self.models
                    .literal(&mut self.coder, byte, |at| Ok(target[at as usize])),
            );
            self.costs.literals[self.position] = self.coder.take().clamp(1, u16::MAX.into()) as u16;
            self.trail.literal();
            self.position += 1;
        }
    }
}

/// What the models predict at a place.
pub(crate) fn group(models: &mut Models<'_>, base: &[u8], target: &[u8], place: Place) -> Group {
    let base_bytes = base.len() as u32;
    if place.source < base_bytes {
        return models.group(&Ahead::new(&base[place.source as usize..]), place);
    }
    let source = place.source - base_bytes;
    let there = (place.target - source).min(2);
    models.repeated(word(target, source), there, place)
}

/// What groups were like so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Trail {
    /// Predicted bytes in a row, doubtful groups that were not left out.
    run: u32,
    /// One bit for each group, the newest lowest: 1 for one that was not as predicted.
    misses: u16,
    /// The newest difference at each alignment.
    differences: [u8; 4],
}

impl Trail {
    pub(crate) fn literal(&mut self) {
        self.run = 0;
    }

    /// Compares a group with the target's bytes, and goes on behind it.
    pub(crate) fn guess(&mut self, group: &Group, actual: u32, target: u32) -> Guess {
        let mut guess = Guess {
            run: self.run,
            misses: self.misses.count_ones(),
            bytes: group.count(),
            doubt: group
                .is_doubtful()
                .then(|| (group.kind() as u8, group.trust() as u8)),
            differences: [0; 4],
            before: [0; 4],
        };
        for at in 0..group.count() as usize {
            let difference = actual.to_le_bytes()[at].wrapping_sub(group.predicted()[at]);
            let newest = &mut self.differences[(target as usize + at) % 4];
            guess.differences[at] = difference;
            guess.before[at] = *newest;
            if difference != 0 {
                *newest = difference;
            }
        }
        self.misses = self.misses << 1 | u16::from(guess.wrong() > 0);
        if guess.wrong() == 0 {
            self.run += group.count();
        } else if guess.doubt.is_none() {
            self.run = 0;
        }
        guess
    }
}

pub(crate) fn after(place: Place, group: &Group) -> Place {
    Place {
        source: place.source + group.count(),
        target: place.target + group.count(),
        left: place.left - group.count(),
    }
}

/// The four bytes of an image at `at`, the first lowest; zero past its end.
pub(crate) fn word(image: &[u8], at: u32) -> u32 {
    let at = at as usize;
    let mut bytes = [0; 4];
    let there = &image[at..image.len().min(at + 4)];
    bytes[..there.len()].copy_from_slice(there);
    u32::from_le_bytes(bytes)
}
