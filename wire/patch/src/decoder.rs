//! The decoder: a state machine that stops whenever its budget is used up.

mod saved;

use crate::coder::{BitReader, RangeDecoder};
use crate::control::{self, Control, Triple};
use crate::error::{DecodeError, Fault};
use crate::header::Header;
use crate::io::{Output, ReadAt};
use crate::isa::UnknownIsa;
use crate::models::{Models, Setup};
use crate::relocate::Place;
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
/// | `Start` | checks the base's length, starts the range decoder, reads the setup | `Map`, or `Finish` for an empty result |
/// | `Map` | decodes a triple into the map | `Map`, `Control` when all are known |
/// | `Control` | decodes the next triple once more | `Copy`, `Extra` |
/// | `Copy` | the offer of a block, or a group of bytes | `Copy`, `Train`, `Control`, `Finish` when the result is complete |
/// | `Train` | learns a byte of the base that literals replace | `Train`, `Extra` |
/// | `Extra` | one byte | `Extra`, `Control`, `Finish` when the result is complete |
/// | `Finish` | appends the last piece, checks the end of the patch and the CRC-32 | `Done` |
/// | any | meets an error | `Failed` |
#[derive(Debug)]
pub struct Decoder<'m> {
    header: Header,
    models: Models<'m>,
    bits: RangeDecoder,
    /// Reads the triples a second time.
    control_bits: RangeDecoder,
    control: Control,
    window: Window,
    written: Written,
    phase: Phase,
    /// The triple in work: what is left of it.
    triple: Triple,
    /// Bytes of the base to learn from between its copy and its extra bytes.
    training_bytes: u32,
}

/// Upper bound of the size of [`Decoder`], besides the memory it is given.
pub const DECODER_BYTES_MAX: usize = 576;

const _: () = assert!(size_of::<Decoder<'static>>() <= DECODER_BYTES_MAX);

/// Upper bound of what a unit of work reads of the patch. A bit costs at most 12, the least probability being 16 / 65536. A
/// triple has three numbers of up to 28 modelled bits in unary, one more, and 27 of one bit each: 141 bytes. A window more of
/// 32 is read. Other units have fewer bits.
const UNIT_PATCH_BYTES_MAX: u32 = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Start,
    /// Bytes of the target that the triples so far yield.
    Map(u32),
    Control,
    /// Bytes left of a block.
    Copy(u32),
    /// Bytes left to learn from.
    Train(u32),
    Extra,
    Finish,
    Done,
    Failed,
}

/// Where a decoder stands between two steps.
#[derive(Clone, Copy, Debug)]
pub struct State {
    /// What the next step does.
    pub stage: Stage,
    /// What holds for the whole patch, once it was read.
    pub setup: Setup,
    /// The triple that was read last; when bytes are made of it, what is left of it.
    pub triple: Triple,
    /// Entries of the map that are used.
    pub map_entries: u32,
    /// The most there can be; 0 without relocation.
    pub map_entries_max: u32,
    /// Where in the patch the range decoder takes its next byte.
    pub position: u32,
    /// Its range. The bits of information read so far are `8 × position - log2(range)` and a constant.
    pub range: u32,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reads the setup.
    Setup,
    /// Reads a triple for the map.
    Map,
    /// Makes bytes of the triples, and what belongs to that.
    Bytes,
}

impl<'m> Decoder<'m> {
    /// Starts a decoder. `memory` holds the model tables; only its first [`crate::MemoryClass::bytes`] are used, and
    /// what they contain does not matter.
    // Inlined, so that the caller's is the only copy on its stack.
    #[inline(always)]
    pub fn new(header: Header, memory: &'m mut [u8]) -> Result<Self, DecodeError> {
        let needed = header.memory.bytes();
        let given = u32::try_from(memory.len()).unwrap_or(u32::MAX);
        let models =
            Models::new(header.memory, memory).ok_or(DecodeError::MemoryTooSmall { needed, given })?;
        Ok(Self {
            header,
            models,
            bits: RangeDecoder::new(header.length()),
            control_bits: RangeDecoder::new(header.length()),
            control: Control::default(),
            window: Window::new(),
            written: Written::new(),
            phase: Phase::Start,
            triple: Triple::default(),
            training_bytes: 0,
        })
    }

    /// Does at most `budget` units of work (a control triple, a run length, a byte learned from or an output byte each), at least one.
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

    /// Bytes of the result that were appended so far.
    pub fn appended(&self) -> u32 {
        self.written.appended()
    }

    /// Bytes from the start of the patch that the next step may read; the patch may end before.
    ///
    /// For decoding while the patch still arrives: [`ReadAt::len`] is the whole length from the start on, and a step of one
    /// unit is made when so many bytes are there. With fewer, it may fail with [`DecodeError::PatchUnreadable`].
    pub fn patch_bytes_needed(&self) -> u32 {
        let position = self.bits.position().max(self.control_bits.position());
        position.saturating_add(UNIT_PATCH_BYTES_MAX)
    }

    /// Where the decoder stands, for tools that explain a patch.
    pub fn state(&self) -> State {
        let (position, range) = self.bits.taken();
        let (map_entries, map_entries_max) = self.models.map_usage();
        State {
            stage: match self.phase {
                Phase::Start => Stage::Setup,
                Phase::Map(_) => Stage::Map,
                _ => Stage::Bytes,
            },
            setup: self.models.setup(),
            triple: self.triple,
            map_entries,
            map_entries_max,
            position,
            range,
        }
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
            Phase::Map(mapped) => self.map(mapped, patch),
            Phase::Control => self.control(patch),
            Phase::Copy(block) if self.triple.copy_bytes > 0 => Ok(self.copy(block, base, patch, out)?),
            Phase::Copy(_) if self.triple.extra_bytes > 0 => Ok(Phase::Train(self.training_bytes)),
            Phase::Copy(_) => Ok(self.after_extra()),
            Phase::Train(left) => Ok(self.train(left, base)?),
            Phase::Extra => Ok(self.extra(patch, out)?),
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
        self.begin(patch)
    }

    fn begin(&mut self, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        self.bits.start(patch)?;
        if self.header.target_bytes == 0 {
            return Ok(Phase::Finish);
        }
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        self.models
            .set_up(&mut reader, Setup::default(), self.header.base_bytes)?
            .map_err(|UnknownIsa(number)| DecodeError::UnknownInstructionSet(number))?;
        self.control_bits = self.bits.clone();
        Ok(Phase::Map(0))
    }

    fn map(&mut self, mapped: u32, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        let triple = self
            .control
            .triple(&mut reader, &mut self.models, Triple::default())?
            .map_err(|_| DecodeError::NumberTooLarge)?;
        let (base_bytes, target_bytes) = (self.header.base_bytes, self.header.target_bytes);
        control::check(triple, &self.header, mapped)?;
        self.models.enter(triple, mapped, base_bytes);
        self.triple = triple;
        let mapped = mapped + triple.copy_bytes + triple.extra_bytes;
        if mapped < target_bytes {
            return Ok(Phase::Map(mapped));
        }
        self.models.ready();
        self.control = Control::default();
        Ok(Phase::Control)
    }

    fn control(&mut self, patch: &mut impl ReadAt) -> Result<Phase, DecodeError> {
        let mut reader = BitReader {
            decoder: &mut self.control_bits,
            patch,
        };
        let triple = self
            .control
            .triple(&mut reader, &mut self.models, Triple::default())?;
        self.triple = triple.map_err(|_| DecodeError::NumberTooLarge)?;
        self.training_bytes = self.triple.training_bytes();
        control::check(self.triple, &self.header, self.written.len())?;
        Ok(if self.triple.copy_bytes > 0 {
            self.models.begin_copy(self.place());
            Phase::Copy(0)
        } else {
            Phase::Extra
        })
    }

    fn copy(
        &mut self,
        block: u32,
        base: &mut impl ReadAt,
        patch: &mut impl ReadAt,
        out: &mut impl Output,
    ) -> Result<Phase, Fault> {
        let place = self.place();
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        if block == 0 {
            let offered = self.models.block_bytes().min(self.triple.copy_bytes);
            if offered > 0 {
                let all = self.models.block(&mut reader, false)?;
                return Ok(Phase::Copy(if all { offered } else { 0 }));
            }
        }
        let group = if place.source < self.header.base_bytes {
            self.models.group(&self.window.ahead(base, place.source)?, place)
        } else {
            let (bytes, there) = self.written.half(out, place.source - self.header.base_bytes)?;
            self.models.repeated(bytes, there, place)
        };
        let promised = block > 0 && !group.is_doubtful();
        let (bytes, hit) = if promised {
            self.models.predicted(&group, place);
            (u32::from_le_bytes(group.predicted()), true)
        } else {
            self.models.copied(&mut reader, &group, 0, place)?
        };
        self.triple.source += group.count();
        self.triple.copy_bytes -= group.count();
        out.copied(&group, bytes.to_le_bytes());
        self.write(out, bytes, group.count())?;
        Ok(Phase::Copy(if hit {
            block.saturating_sub(group.count())
        } else {
            0
        }))
    }

    fn write(&mut self, out: &mut impl Output, bytes: u32, count: u32) -> Result<(), Fault> {
        for byte in bytes.to_le_bytes().into_iter().take(count as usize) {
            self.written.push(out, byte)?;
        }
        Ok(())
    }

    fn place(&self) -> Place {
        Place {
            source: self.triple.source,
            target: self.written.len(),
            left: self.triple.copy_bytes,
        }
    }

    fn extra(&mut self, patch: &mut impl ReadAt, out: &mut impl Output) -> Result<Phase, Fault> {
        let mut reader = BitReader {
            decoder: &mut self.bits,
            patch,
        };
        let written = &self.written;
        let byte = self.models.literal(&mut reader, 0, |at| written.byte(out, at))?;
        self.written.push(out, byte)?;
        self.triple.extra_bytes -= 1;
        Ok(if self.triple.extra_bytes > 0 {
            Phase::Extra
        } else {
            self.after_extra()
        })
    }

    /// Learns from the base's bytes that literals replace and some more: `left`, where the copy before would go on.
    fn train(&mut self, left: u32, base: &mut impl ReadAt) -> Result<Phase, Fault> {
        let at = self.triple.source;
        if left == 0 || at >= self.header.base_bytes {
            return Ok(Phase::Extra);
        }
        if at >= 4 {
            let last = self.window.ahead(base, at - 4)?.word(0).swap_bytes();
            let byte = self.window.base_byte(base, at)?;
            self.models.train(byte, last, at);
        }
        self.triple.source += 1;
        Ok(Phase::Train(left - 1))
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

    fn after_extra(&self) -> Phase {
        if self.written.len() < self.header.target_bytes {
            Phase::Control
        } else {
            Phase::Finish
        }
    }
}
