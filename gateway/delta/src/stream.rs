//! Triples to bytes: drives the shared models exactly as the decoder does.

use std::convert::Infallible;

use wire_patch::{Control, Models, Number, Predicted, Triple};

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
    pub(crate) fn encode(mut self, triples: &[Triple]) -> Vec<u8> {
        for triple in triples {
            let coded = sure(self.control.triple(&mut self.coder, &mut self.models, *triple));
            debug_assert!(coded.is_ok());
            self.models.begin_copy();
            self.copy(*triple);
            self.extra(triple.extra_bytes as usize);
        }
        debug_assert_eq!(self.position, self.target.len());
        self.coder.finish()
    }

    fn copy(&mut self, triple: Triple) {
        let (mut source, mut left) = (triple.source as usize, triple.copy_bytes as usize);
        let mut kind = Number::FirstRun;
        while left > 0 {
            if kind == Number::FirstRun || self.models.wants_run() {
                let run = (0..left).take_while(|at| self.hits(source + at, *at)).count();
                let coded = sure(self.models.number(&mut self.coder, kind, run as u32));
                debug_assert!(coded.is_ok());
                kind = Number::Run;
                for _ in 0..run {
                    self.push(true);
                }
                source += run;
                left -= run;
                if left == 0 {
                    break;
                }
            } else {
                let (predicted, hit) = (self.predict(source), self.hits(source, 0));
                sure(self.models.hit(&mut self.coder, predicted, hit));
                if hit {
                    self.push(true);
                    source += 1;
                    left -= 1;
                    continue;
                }
            }
            let predicted = self.predict(source);
            sure(
                self.models
                    .changed(&mut self.coder, predicted, self.target[self.position]),
            );
            self.push(false);
            source += 1;
            left -= 1;
        }
    }

    fn extra(&mut self, bytes: usize) {
        for _ in 0..bytes {
            sure(self.models.literal(&mut self.coder, self.target[self.position]));
            self.push(false);
        }
    }

    fn push(&mut self, hit: bool) {
        self.models.push(self.target[self.position], hit);
        self.position += 1;
    }

    /// Whether the source is right about the byte `ahead` of the position.
    fn hits(&self, source: usize, ahead: usize) -> bool {
        self.predict(source).byte == self.target[self.position + ahead]
    }

    /// What the decoder will predict: the base's byte, or behind the base the result's.
    fn predict(&self, source: usize) -> Predicted {
        let next = self.base.get(source + 1).copied().unwrap_or(0);
        match self.base.get(source) {
            Some(byte) => Predicted { byte: *byte, next },
            None => Predicted {
                byte: self.target[source - self.base.len()],
                next: 0,
            },
        }
    }
}
