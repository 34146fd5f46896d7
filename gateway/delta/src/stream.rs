//! Triples to bytes: drives the shared models exactly as the decoder does.

use std::convert::Infallible;

use wire_patch::{Ahead, Control, Group, Models, Place, Setup, Triple};

use crate::range::RangeEncoder;

/// The two images and how far the stream has come.
pub(crate) struct Stream<'a> {
    base: &'a [u8],
    target: &'a [u8],
    models: Models<'a>,
    coder: RangeEncoder,
    control: Control,
    position: usize,
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
            coder: RangeEncoder::new(),
            control: Control::default(),
            position: 0,
        }
    }

    /// The coded stream of `triples`, which must yield the whole target.
    pub(crate) fn encode(mut self, setup: Setup, triples: &[Triple]) -> Vec<u8> {
        if self.target.is_empty() {
            return self.coder.finish();
        }
        self.head(setup, triples);
        for triple in triples {
            self.copy(*triple);
            self.train(*triple);
            self.extra(triple.extra_bytes);
        }
        debug_assert_eq!(self.position, self.target.len());
        self.coder.finish()
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
        while place.left > 0 {
            let block = self.models.block_bytes().min(place.left);
            if block > 0 {
                let mark = self.models.mark();
                let end = self.ahead(place, block);
                self.models.back_to(mark);
                if sure(self.models.block(&mut self.coder, end.is_some())) {
                    place = self.block(place, block);
                    continue;
                }
            }
            let group = self.group(place);
            let actual = word(self.target, place.target);
            sure(self.models.copied(&mut self.coder, &group, actual, place));
            place = after(place, &group);
        }
        self.position = place.target as usize;
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

    /// The groups of a block that keeps its promise, up to its end.
    fn block(&mut self, start: Place, bytes: u32) -> Place {
        let mut place = start;
        while place.target - start.target < bytes {
            let group = self.group(place);
            if group.is_doubtful() {
                let actual = word(self.target, place.target);
                let (_, hit) = sure(self.models.copied(&mut self.coder, &group, actual, place));
                if !hit {
                    return after(place, &group);
                }
            } else {
                self.models.predicted(&group, place);
            }
            place = after(place, &group);
        }
        place
    }

    fn group(&mut self, place: Place) -> Group {
        let base_bytes = self.base.len() as u32;
        if place.source < base_bytes {
            let ahead = Ahead::new(&self.base[place.source as usize..]);
            return self.models.group(&ahead, place);
        }
        let source = place.source - base_bytes;
        let there = (place.target - source).min(2);
        self.models.repeated(word(self.target, source), there, place)
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
        for _ in 0..bytes {
            let byte = target[self.position];
            sure(
                self.models
                    .literal(&mut self.coder, byte, |at| Ok(target[at as usize])),
            );
            self.position += 1;
        }
    }
}

fn after(place: Place, group: &Group) -> Place {
    Place {
        source: place.source + group.count(),
        target: place.target + group.count(),
        left: place.left - group.count(),
    }
}

/// The four bytes of an image at `at`, the first lowest; zero past its end.
fn word(image: &[u8], at: u32) -> u32 {
    let at = at as usize;
    let mut bytes = [0; 4];
    let there = &image[at..image.len().min(at + 4)];
    bytes[..there.len()].copy_from_slice(there);
    u32::from_le_bytes(bytes)
}
