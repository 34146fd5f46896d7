//! Triples to bytes: drives the shared models exactly as the decoder does.

use std::convert::Infallible;

use wire_patch::{Control, Group, Models, Place, Setup, Triple};

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
            self.extra(triple.extra_bytes);
        }
        debug_assert_eq!(self.position, self.target.len());
        self.coder.finish()
    }

    /// Setup, triples and what the decoder does before the first byte.
    fn head(&mut self, setup: Setup, triples: &[Triple]) {
        let base_bytes = self.base.len() as u32;
        sure(self.models.set_up(&mut self.coder, setup, base_bytes));
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
                let end = self.predicted_block(place, block);
                self.models.back_to(mark);
                if sure(self.models.block(&mut self.coder, end.is_some())) {
                    place = self.predicted_block(place, block).unwrap_or(place);
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

    /// Takes groups as predicted until a block is full; `None` at one that is not.
    fn predicted_block(&mut self, start: Place, bytes: u32) -> Option<Place> {
        let mut place = start;
        while place.target - start.target < bytes {
            let group = self.group(place);
            let count = group.count() as usize;
            let at = place.target as usize;
            if group.predicted()[..count] != self.target[at..at + count] {
                return None;
            }
            self.models.predicted(&group);
            place = after(place, &group);
        }
        Some(place)
    }

    fn group(&mut self, place: Place) -> Group {
        let base_bytes = self.base.len() as u32;
        if place.source < base_bytes {
            return self.models.group(word(self.base, place.source), place);
        }
        let source = place.source - base_bytes;
        let there = (place.target - source).min(2);
        self.models.repeated(word(self.target, source), there, place)
    }

    fn extra(&mut self, bytes: u32) {
        let mut left = bytes;
        while left > 0 {
            let count = self.models.literal_bytes(left);
            let value = word(self.target, self.position as u32) & if count == 1 { 0xFF } else { 0xFFFF };
            sure(self.models.literal(&mut self.coder, count, value));
            self.position += count as usize;
            left -= count;
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
