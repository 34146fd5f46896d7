//! The decoder: a state machine that stops whenever its budget is used up.

use crate::coder::{BitReader, RangeDecoder};
use crate::control::{self, Control, Triple};
use crate::error::DecodeError;
use crate::header::{HEADER_BYTES, Header};
use crate::io::{Output, ReadAt};
use crate::models::{Models, Number, Predicted};
use crate::source::{Window, Written};

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up; call [`Decoder::step`] again.
    More,
    /// The whole result was appended and its CRC-32 is the header's. Calling again is harmless.
    Done,
}

/// Applies one patch, sequentially. The struct itself stays below [`DECODER_BYTES_MAX`] bytes.
///
/// | phase | a step does | then |
/// |---|---|---|
/// | `Start` | checks the base's length, starts the range decoder | `Control`, or `Finish` for an empty result |
/// | `Control` | decodes a triple | `Copy` |
/// | `Copy` | a run length, or one byte | `Copy`, `Extra` |
/// | `Extra` | one byte | `Extra`, `Control`, `Finish` when the result is complete |
/// | `Finish` | appends the last piece, checks the end of the patch and the CRC-32 | `Done` |
/// | any | meets an error | `Failed` |
#[derive(Debug)]
pub struct Decoder<'m> {
    header: Header,
    models: Models<'m>,
    bits: RangeDecoder,
    control: Control,
    window: Window,
    written: Written,
    phase: Phase,
    /// The triple in work: what is left of it.
    triple: Triple,
}

/// Upper bound of the size of [`Decoder`], besides the memory it is given.
pub const DECODER_BYTES_MAX: usize = 384;

const _: () = assert!(size_of::<Decoder<'static>>() <= DECODER_BYTES_MAX);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    Control,
    Copy(Copying),
    Extra,
    Finish,
    Done,
    Failed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copying {
    /// The copy has just begun: a run length comes next.
    First,
    /// This many more unchanged bytes, then a changed one, or the copy's end.
    Run(u32),
    /// The next byte is known to be changed.
    Changed,
    /// A hit or a miss comes next, or a run length after many hits.
    Single,
}

impl<'m> Decoder<'m> {
    /// Starts a decoder. `memory` holds the model tables; only its first [`crate::MemoryClass::bytes`] are used, and
    /// what they contain does not matter.
    pub fn new(header: Header, memory: &'m mut [u8]) -> Result<Self, DecodeError> {
        let needed = header.memory.bytes();
        let given = u32::try_from(memory.len()).unwrap_or(u32::MAX);
        let models =
            Models::new(header.memory, memory).ok_or(DecodeError::MemoryTooSmall { needed, given })?;
        Ok(Self {
            header,
            models,
            bits: RangeDecoder::new(HEADER_BYTES as u32),
            control: Control::default(),
            window: Window::new(),
            written: Written::new(),
            phase: Phase::Start,
            triple: Triple::default(),
        })
    }

    /// Does at most `budget` units of work (a control triple, a run length or an output byte each), at least one.
    ///
    /// `patch` is the whole patch including its header. The three arguments must be the same storage in every call.
    /// After an error the decoder refuses to go on ([`DecodeError::Poisoned`]); output written so far is worthless.
    pub fn step(
        &mut self,
        base: &mut impl ReadAt,
        patch: &mut impl ReadAt,
        out: &mut impl Output,
        budget: u32,
    ) -> Result<Progress, DecodeError> {
        for _ in 0..budget.max(1) {
            match self.unit(base, patch, out) {
                Ok(Phase::Done) => {
                    self.phase = Phase::Done;
                    return Ok(Progress::Done);
                }
                Ok(phase) => self.phase = phase,
                Err(error) => {
                    self.phase = Phase::Failed;
                    return Err(error);
                }
            }
        }
        Ok(Progress::More)
    }

    /// Ends the decoder and gives the memory back, for the next one. Of an odd number of bytes the last is kept.
    pub fn into_memory(self) -> &'m mut [u8] {
        self.models.into_memory()
    }

    /// Bytes of the result that were decoded so far; up to a piece of them may not be appended yet.
    pub fn produced(&self) -> u32 {
        self.written.len()
    }

    /// Bytes of the whole result.
    pub fn target_bytes(&self) -> u32 {
        self.header.target_bytes
    }

    fn unit(
        &mut self,
        base: &mut impl ReadAt,
        patch: &mut impl ReadAt,
        out: &mut impl Output,
    ) -> Result<Phase, DecodeError> {
        match self.phase {
            Phase::Start => self.start(base, patch),
            Phase::Control => self.control(patch),
            Phase::Copy(copying) if self.triple.copy_bytes > 0 => self.copy(copying, base, patch, out),
            Phase::Copy(_) => Ok(self.after_copy()),
            Phase::Extra => self.extra(patch, out),
            Phase::Finish => self.finish(patch, out),
            Phase::Done => Ok(Phase::Done),
            Phase::Failed => Err(DecodeError::Poisoned),
        }
    }

    fn start(&mut self, base: &mut impl ReadAt, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        let (expected, found) = (self.header.base_bytes, base.len());
        if expected != found {
            return Err(DecodeError::BaseLength { expected, found });
        }
        self.bits.start(patch)?;
        Ok(self.after_extra())
    }

    fn control(&mut self, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        let triple = self
            .control
            .triple(&mut reader, &mut self.models, Triple::default())?;
        self.triple = triple.map_err(|_| DecodeError::NumberTooLarge)?;
        let left = self.header.target_bytes - self.written.len();
        control::check(self.triple, self.header.base_bytes, self.written.len(), left)?;
        self.models.begin_copy();
        Ok(if self.triple.copy_bytes > 0 {
            Phase::Copy(Copying::First)
        } else {
            self.after_copy()
        })
    }

    fn copy(
        &mut self,
        copying: Copying,
        base: &mut impl ReadAt,
        patch: &mut impl ReadAt,
        out: &mut impl Output,
    ) -> Result<Phase, DecodeError> {
        match copying {
            Copying::First => self.run(Number::FirstRun, patch),
            Copying::Run(0) | Copying::Changed => {
                let predicted = self.predict(base, out)?;
                let mut reader = BitReader {
                    decoder: &mut self.bits,
                    patch,
                };
                let byte = self.models.changed(&mut reader, predicted, 0)?;
                self.copied(byte, false, out)?;
                Ok(Phase::Copy(Copying::Single))
            }
            Copying::Run(left) => {
                let predicted = self.predict(base, out)?;
                self.copied(predicted.byte, true, out)?;
                Ok(Phase::Copy(Copying::Run(left - 1)))
            }
            Copying::Single if self.models.wants_run() => self.run(Number::Run, patch),
            Copying::Single => {
                let predicted = self.predict(base, out)?;
                let mut reader = BitReader {
                    decoder: &mut self.bits,
                    patch,
                };
                if !self.models.hit(&mut reader, predicted, false)? {
                    return Ok(Phase::Copy(Copying::Changed));
                }
                self.copied(predicted.byte, true, out)?;
                Ok(Phase::Copy(Copying::Single))
            }
        }
    }

    fn run(&mut self, kind: Number, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        let run = self
            .models
            .number(&mut reader, kind, 0)?
            .map_err(|_| DecodeError::NumberTooLarge)?;
        if run > self.triple.copy_bytes {
            return Err(DecodeError::OutputOverrun);
        }
        Ok(Phase::Copy(Copying::Run(run)))
    }

    fn extra(&mut self, patch: &mut impl ReadAt, out: &mut impl Output) -> Result<Phase, DecodeError> {
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        let byte = self.models.literal(&mut reader, 0)?;
        self.models.push(byte, false);
        self.written.push(out, byte)?;
        self.triple.extra_bytes -= 1;
        Ok(if self.triple.extra_bytes > 0 {
            Phase::Extra
        } else {
            self.after_extra()
        })
    }

    fn finish(&mut self, patch: &mut impl ReadAt, out: &mut impl Output) -> Result<Phase, DecodeError> {
        self.written.flush(out)?;
        self.bits.finish(patch)?;
        if self.written.crc() == self.header.target_crc {
            Ok(Phase::Done)
        } else {
            Err(DecodeError::ResultMismatch)
        }
    }

    fn after_copy(&self) -> Phase {
        if self.triple.extra_bytes > 0 {
            Phase::Extra
        } else {
            self.after_extra()
        }
    }

    fn after_extra(&self) -> Phase {
        if self.written.len() < self.header.target_bytes {
            Phase::Control
        } else {
            Phase::Finish
        }
    }

    /// What the source says at the copy's next byte; [`control::check`] has seen that it lies inside.
    fn predict(&mut self, base: &mut impl ReadAt, out: &mut impl Output) -> Result<Predicted, DecodeError> {
        let source = self.triple.source;
        if source < self.header.base_bytes {
            self.window.predict(base, source)
        } else {
            self.written.predict(out, source - self.header.base_bytes)
        }
    }

    fn copied(&mut self, byte: u8, hit: bool, out: &mut impl Output) -> Result<(), DecodeError> {
        self.models.push(byte, hit);
        self.written.push(out, byte)?;
        self.triple.source += 1;
        self.triple.copy_bytes -= 1;
        Ok(())
    }
}
