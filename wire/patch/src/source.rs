//! What a copy copies from: the base image, or the result itself, through one small window.
//!
//! The bytes as they are; `relocate` moves the addresses in them.

use crate::checkpoint::Fields;
use crate::error::Fault;
use crate::io::{OUTPUT_PIECE_BYTES, Output, ReadAt};
use crate::isa::{AHEAD_BYTES, Ahead};

/// The window moves by so many bytes.
const STEP_BYTES: u32 = 32;

/// Bytes of the base that are read at a time: what follows the last byte of a step is needed with it.
const WINDOW_BYTES: u32 = STEP_BYTES + AHEAD_BYTES as u32;

/// A window on the base image. 56 bytes.
#[derive(Debug)]
pub(crate) struct Window {
    bytes: [u8; WINDOW_BYTES as usize],
    start: u32,
    there: u32,
}

impl Window {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; WINDOW_BYTES as usize],
            start: u32::MAX,
            there: 0,
        }
    }

    /// The byte of the base at `at`, which must be inside it.
    pub(crate) fn base_byte(&mut self, base: &mut impl ReadAt, at: u32) -> Result<u8, Fault> {
        self.rest(base, at)?.first().copied().ok_or(Fault::BaseUnreadable)
    }

    /// What comes next at `at`, which must be inside the base.
    pub(crate) fn ahead(&mut self, base: &mut impl ReadAt, at: u32) -> Result<Ahead<'_>, Fault> {
        Ok(Ahead::new(self.rest(base, at)?))
    }

    /// The window from `at` on, which must be inside the base.
    #[inline(never)]
    fn rest(&mut self, base: &mut impl ReadAt, at: u32) -> Result<&[u8], Fault> {
        let start = at - at % STEP_BYTES;
        if self.start != start {
            self.there = (base.len() - start).min(WINDOW_BYTES);
            self.start = u32::MAX;
            base.read_at(start, &mut self.bytes[..self.there as usize])
                .map_err(|_| Fault::BaseUnreadable)?;
            self.start = start;
        }
        let (passed, there) = ((at % STEP_BYTES) as usize, self.there as usize);
        let rest = self.bytes[passed..].get(..there.wrapping_sub(passed));
        rest.ok_or(Fault::BaseUnreadable)
    }
}

/// The result: what was appended, and the piece that is not full yet. 80 bytes.
#[derive(Debug)]
pub(crate) struct Written {
    piece: [u8; OUTPUT_PIECE_BYTES],
    pending: usize,
    appended: u32,
    crc: u32,
}

impl Written {
    pub(crate) const fn new() -> Self {
        Self {
            piece: [0; OUTPUT_PIECE_BYTES],
            pending: 0,
            appended: 0,
            crc: CRC_START,
        }
    }

    /// Bytes appended so far.
    pub(crate) fn appended(&self) -> u32 {
        self.appended
    }

    pub(crate) fn set_appended(&mut self, bytes: u32) {
        self.appended = bytes;
    }

    pub(crate) fn saved(&mut self, fields: &mut Fields) {
        let Self {
            piece,
            pending,
            appended: _, // the checkpoint's position
            crc,
        } = self;
        fields.bytes(piece);
        let mut count = *pending as u32;
        fields.at_most(&mut count, OUTPUT_PIECE_BYTES as u32 - 1, 1);
        *pending = count as usize;
        fields.u32(crc);
    }

    /// Bytes produced so far, appended or not.
    pub(crate) fn len(&self) -> u32 {
        self.appended + self.pending as u32
    }

    /// CRC-32 of everything produced so far.
    pub(crate) fn crc(&self) -> u32 {
        !self.crc
    }

    #[inline(never)]
    pub(crate) fn push(&mut self, out: &mut impl Output, byte: u8) -> Result<(), Fault> {
        // Always fewer are pending; the remainder says it to the compiler.
        let at = self.pending % OUTPUT_PIECE_BYTES;
        self.piece[at] = byte;
        self.pending = at + 1;
        self.crc = crc_step(self.crc, byte);
        if self.pending == OUTPUT_PIECE_BYTES {
            self.flush(out)
        } else {
            Ok(())
        }
    }

    /// Appends what is pending: the last piece.
    #[inline(never)]
    pub(crate) fn flush(&mut self, out: &mut impl Output) -> Result<(), Fault> {
        if self.pending > 0 {
            out.append(&self.piece[..self.pending.min(OUTPUT_PIECE_BYTES)])
                .map_err(|_| Fault::OutputFailed)?;
            self.appended += self.pending as u32;
            self.pending = 0;
        }
        Ok(())
    }

    /// One or two bytes of the result at `at`, which must have been produced, the first lowest, and how many.
    pub(crate) fn half(&self, out: &mut impl Output, at: u32) -> Result<(u32, u32), Fault> {
        let there = (self.len() - at).min(2);
        let mut bytes = [0; 4];
        for (byte, at) in bytes[..there as usize].iter_mut().zip(at..) {
            *byte = self.byte(out, at)?;
        }
        Ok((u32::from_le_bytes(bytes), there))
    }

    /// The byte of the result at `at`, which must have been produced.
    pub(crate) fn byte(&self, out: &mut impl Output, at: u32) -> Result<u8, Fault> {
        if at >= self.appended {
            let pending = self.piece.get((at - self.appended) as usize);
            return pending.copied().ok_or(Fault::OutputFailed);
        }
        let mut byte = [0];
        out.read_at(at, &mut byte).map_err(|_| Fault::OutputFailed)?;
        Ok(byte[0])
    }
}

/// What a CRC-32 register starts with. The CRC-32 is the complement of the register.
pub(crate) const CRC_START: u32 = u32::MAX;

/// The register after these bytes.
pub(crate) fn crc_over(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, byte| crc_step(crc, *byte))
}

/// CRC-32 (ISO-HDLC: reflected 0x04C11DB7) by half bytes.
fn crc_step(crc: u32, byte: u8) -> u32 {
    let crc = crc ^ u32::from(byte);
    let crc = (crc >> 4) ^ CRC_TABLE[(crc & 15) as usize];
    (crc >> 4) ^ CRC_TABLE[(crc & 15) as usize]
}

/// The CRC-32 that belongs into [`crate::Header::target_crc`].
pub fn crc32(bytes: &[u8]) -> u32 {
    !crc_over(CRC_START, bytes)
}

const CRC_TABLE: [u32; 16] = {
    let mut table = [0; 16];
    let mut index = 0;
    while index < 16 {
        let mut crc = index as u32;
        let mut bit = 0;
        while bit < 4 {
            crc = if crc & 1 == 1 {
                (crc >> 1) ^ 0xEDB8_8320
            } else {
                crc >> 1
            };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_has_the_published_check_value() {
        assert_eq!(crc32(b"123456789"), 0xCBF4_3926);
        assert_eq!(crc32(b""), 0);
    }
}
