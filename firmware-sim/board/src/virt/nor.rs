//! The second flash bank: a CFI part with the Intel command set (JEDEC JESD68.01, JEP137), two chips of 16 bits side by
//! side on a bus of 32.
//!
//! Every command goes to both chips at once, and both answer: one in each half of the word. While a command runs, the bank
//! reads as status, not as content; each operation ends with the bank back in read mode. The bootloader runs from the first
//! bank, so that this one may be busy.
//!
//! The emulated part stores what it is told to program; a real one can only clear bits. So the driver looks first, and
//! refuses what would have to set one.

use embedded_storage::nor_flash::{ErrorType, NorFlash, ReadNorFlash};

use crate::words::{self, NorFault, WORD_BYTES, check, set_word, word};

pub(crate) const FLASH_AT: usize = 0x2200_0000;
pub(crate) const FLASH_BYTES: usize = 32 * 1024 * 1024;
/// Of both chips together, as they are erased.
const SECTOR_BYTES: usize = 256 * 1024;
const CHIPS: usize = 2;
/// What is programmed with one command: less than the smaller of the buffers this command set comes with on wide buses.
const BUFFER_BYTES: usize = 512;

/// Commands of the Intel set (JEP137: 0x0001), for both chips.
const READ_ARRAY: u32 = both(0xFF);
const QUERY: u32 = both(0x98);
const CLEAR_STATUS: u32 = both(0x50);
const ERASE_SETUP: u32 = both(0x20);
const BUFFERED_PROGRAM: u32 = both(0xE8);
const CONFIRM: u32 = both(0xD0);

/// Status: ready; erasing failed, programming failed, voltage too low, block locked.
const READY: u32 = both(0x80);
const FAILED: u32 = both(0x20 | 0x10 | 0x08 | 0x02);
/// How often the status is read before the part counts as broken. A sector takes a second on real parts, a read of
/// the bus 100 ns.
const PATIENCE: u32 = 20_000_000;

/// JESD68.01, words of the query table: "QRY", command set, size, buffer, first erase region.
const QUERY_AT: usize = 0x55;
const QUERY_QRY: [(usize, u8); 3] = [(0x10, b'Q'), (0x11, b'R'), (0x12, b'Y')];
const QUERY_COMMAND_SET: usize = 0x13;
const QUERY_SIZE_LOG2: usize = 0x27;
const QUERY_BUFFER_LOG2: usize = 0x2A;
const QUERY_SECTOR_256: usize = 0x2F;

const fn both(chip: u32) -> u32 {
    chip << 16 | chip
}

/// The flash: 32 MiB in sectors of 256 KiB, programmed by words.
pub struct Nor {
    /// The part was asked what it is.
    known: bool,
}

impl Nor {
    pub(crate) const fn new() -> Self {
        Self { known: false }
    }

    /// Before the first command that changes anything: whether this is the part.
    fn identify(&mut self) -> Result<(), NorFault> {
        if !self.known {
            set_word(QUERY_AT * WORD_BYTES, QUERY);
            self.known = is_the_part();
            set_word(0, READ_ARRAY);
        }
        if self.known {
            Ok(())
        } else {
            Err(NorFault::UnknownPart)
        }
    }

    /// Programs at most a buffer that does not cross a multiple of its size.
    ///
    /// The count is written to where the words begin: any address of the sector would do for a real part, but QEMU 9 and
    /// those patched like it find out from this one which buffer is meant.
    fn program_buffer(&mut self, start: usize, words: &[[u8; WORD_BYTES]]) -> Result<(), NorFault> {
        let Some(last) = words.len().checked_sub(1) else {
            return Ok(());
        };
        command(|| {
            set_word(start, BUFFERED_PROGRAM);
            wait(start)?;
            set_word(start, both(last as u32));
            for (at, &bytes) in (start..).step_by(WORD_BYTES).zip(words) {
                set_word(at, u32::from_le_bytes(bytes));
            }
            set_word(start, CONFIRM);
            wait(start)
        })
    }
}

/// Brackets a command: errors of the one before are forgotten, and content can be read again whatever becomes of it.
fn command(run: impl FnOnce() -> Result<(), NorFault>) -> Result<(), NorFault> {
    set_word(0, CLEAR_STATUS);
    let done = run();
    set_word(0, READ_ARRAY);
    done
}

/// Until both chips are ready, in the sector of `at`.
fn wait(at: usize) -> Result<(), NorFault> {
    let mut status = (0..PATIENCE).map(|_| word(at));
    match status.find(|status| status & READY == READY) {
        Some(status) if status & FAILED == 0 => Ok(()),
        _ => Err(NorFault::Failed),
    }
}

/// In query mode: whether both chips say what this driver takes for granted.
fn is_the_part() -> bool {
    let says = |at: usize, value: u8| word(at * WORD_BYTES) == both(u32::from(value));
    let chip = |at: usize| (word(at * WORD_BYTES) & 0xFF) as usize;
    let pair = |at: usize| chip(at + 1) << 8 | chip(at);
    let log2 = |at: usize| 1_usize.checked_shl(chip(at) as u32).unwrap_or(0);
    QUERY_QRY.iter().all(|&(at, value)| says(at, value))
        && pair(QUERY_COMMAND_SET) == 1
        && log2(QUERY_SIZE_LOG2) == FLASH_BYTES / CHIPS
        && log2(QUERY_BUFFER_LOG2) >= BUFFER_BYTES / CHIPS
        && pair(QUERY_SECTOR_256) * 256 == SECTOR_BYTES / CHIPS
}

impl ErrorType for Nor {
    type Error = NorFault;
}

impl ReadNorFlash for Nor {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), NorFault> {
        words::read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        FLASH_BYTES
    }
}

impl NorFlash for Nor {
    const WRITE_SIZE: usize = WORD_BYTES;
    const ERASE_SIZE: usize = SECTOR_BYTES;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), NorFault> {
        let bytes = to.checked_sub(from).ok_or(NorFault::OutOfBounds)? as usize;
        let at = check(from, bytes, SECTOR_BYTES)?;
        self.identify()?;
        for sector in (at..at + bytes).step_by(SECTOR_BYTES) {
            command(|| {
                set_word(sector, ERASE_SETUP);
                set_word(sector, CONFIRM);
                wait(sector)
            })?;
        }
        Ok(())
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), NorFault> {
        let mut at = check(offset, bytes.len(), WORD_BYTES)?;
        self.identify()?;
        let (mut words, _) = bytes.as_chunks::<WORD_BYTES>();
        for (at, &bytes) in (at..).step_by(WORD_BYTES).zip(words) {
            let (old, new) = (word(at), u32::from_le_bytes(bytes));
            if old & new != new {
                return Err(NorFault::BitNotErased);
            }
        }
        while !words.is_empty() {
            let room = (BUFFER_BYTES - at % BUFFER_BYTES) / WORD_BYTES;
            let (now, later) = words.split_at(room.min(words.len()));
            self.program_buffer(at, now)?;
            at += now.len() * WORD_BYTES;
            words = later;
        }
        Ok(())
    }
}
