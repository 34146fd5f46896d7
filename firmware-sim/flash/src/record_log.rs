//! An append-only log of small records over two banks: whole after a power cut at any byte, and of one mind afterwards.
//!
//! ```text
//! bank     whole sectors, at least 3,072 bytes; of a larger one the first 256 cells are used
//! cell     64 bytes, then one program unit: the mark, 0x00 throughout once the 64 bytes are known to be whole
//! cell 0   0 "DGL2"   4 generation u32   8 count u16   10 0xFF…   60 crc32 of the 60 bytes before it
//! cell 1…  0 kind u8   1 length u8   2 serial u16   4 payload 0..=56   0xFF…   60 crc32 of the 60 bytes before it
//! ```
//!
//! Atomic is not enough. Power that goes away while a cell is programmed may leave bits that read differently each time, so
//! that a record is there at one boot and gone at the next, or comes back from the dead when decisions were made without it.
//! Therefore:
//!
//! - Serials count from 0 in each bank. Read from the newest cell down, a record counts whose serial is lower than that of
//!   the one that counted before. What was given up is written over by a record of the same serial behind it, and stays
//!   given up, whatever its cell reads later.
//! - The mark says that the newest record is firm: its program operation began only after the record's was over. The newest
//!   record without one is in doubt, and so is one that cannot be read. [`RecordLog::settle`] decides: it writes the newest
//!   that it could read once more. Whoever acts on a log settles it first, once after each restart.
//! - A bank counts when its header, written last, is whole, and has its mark or cells behind the `count` that came with
//!   the header. Of two that count the one with the higher generation is the log.
//! - The cell after the newest one is left out when the log was opened anew: a program operation cut at its first byte may
//!   have left no trace that shows, and no bit to rely on. It gets its mark, and nothing else, before the cell behind it is
//!   begun: else the power could go away there without a trace as well, and that cell would be the next one again.
//! - A cell that cannot be programmed sends the log to the other bank: its erase leaves nothing in doubt. So does a left-out cell
//!   that cannot be marked, where even that was begun before and a part does not bear it twice.
//! - When no cell is free, the other bank is erased, gets the live records and the new one, and at last its header. Until
//!   that is whole, the old bank is the log; from then on it is stale.
//! - Each cell is read back once written: a worn part may say that it programmed what it did not.
//! - No unit is programmed twice between two erases, which parts with ECC do not bear.
//! - The generation grows with each compaction. A sector wears out four orders of magnitude before 32 bits do.

use core::fmt;

use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};

use crate::layout::log_bank_bytes;
use crate::{CRC, FlashError, Region, put, word};

/// A record as stored, without its mark: a multiple of every program unit we know of.
pub const RECORD_BYTES: usize = 64;
/// What a record can carry: its bytes without kind, length, serial and CRC-32.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = BODY_BYTES - PAYLOAD_AT;
/// How many live records may survive a compaction: leaves almost half of the smallest bank for what comes after it.
pub const RECORD_LIVE_MAX: usize = 16;

const BODY_BYTES: usize = RECORD_BYTES - 4;
const PAYLOAD_AT: usize = 4;
const MAGIC: [u8; 4] = *b"DGL2";
/// A record that only says that the cells below it with its serial do not count.
const VOID: u8 = 0;
/// How many cells of a bank are used: with more, opening a log in sectors of 64 KiB would take long.
const CELLS_MAX: u32 = 256;

/// One record: a kind from 1 to 255, whose meaning is the caller's, and up to 56 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    kind: u8,
    length: u8,
    payload: [u8; RECORD_PAYLOAD_BYTES_MAX],
}

impl Record {
    /// A record of `kind` carrying `payload`; `None` if it is longer than [`RECORD_PAYLOAD_BYTES_MAX`], or of kind 0.
    #[must_use]
    pub fn new(kind: u8, payload: &[u8]) -> Option<Self> {
        (kind != VOID).then(|| Self::of_kind(kind, payload)).flatten()
    }

    fn of_kind(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0xFF; RECORD_PAYLOAD_BYTES_MAX];
        if payload.len() > bytes.len() {
            return None;
        }
        put(&mut bytes, 0, payload);
        Some(Self {
            kind,
            length: payload.len() as u8,
            payload: bytes,
        })
    }

    /// A record of `kind` whose payload fits by its type.
    pub(crate) const fn of<const N: usize>(kind: u8, payload: [u8; N]) -> Self {
        const { assert!(N <= RECORD_PAYLOAD_BYTES_MAX) };
        let mut bytes = [0xFF; RECORD_PAYLOAD_BYTES_MAX];
        bytes.split_at_mut(N).0.copy_from_slice(&payload);
        Self {
            kind,
            length: N as u8,
            payload: bytes,
        }
    }

    pub(crate) const fn void() -> Self {
        Self {
            kind: VOID,
            length: 0,
            payload: [0xFF; RECORD_PAYLOAD_BYTES_MAX],
        }
    }

    /// What kind of record it is.
    #[must_use]
    pub const fn kind(&self) -> u8 {
        self.kind
    }

    /// What it carries.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.get(..usize::from(self.length)).unwrap_or_default()
    }

    /// The same, and 0xFF behind it: for who knows what lies where, and that it is there.
    #[must_use]
    pub const fn padded(&self) -> &[u8; RECORD_PAYLOAD_BYTES_MAX] {
        &self.payload
    }

    fn encode(&self, serial: u16) -> [u8; RECORD_BYTES] {
        let mut bytes = [0xFF; RECORD_BYTES];
        let [low, high] = serial.to_le_bytes();
        put(&mut bytes, 0, &[self.kind, self.length, low, high]);
        put(&mut bytes, PAYLOAD_AT, &self.payload);
        seal(&mut bytes);
        bytes
    }

    fn decode(bytes: &[u8; RECORD_BYTES]) -> Option<(u16, Self)> {
        let length = usize::from(bytes[1]);
        let payload = bytes.get(PAYLOAD_AT..BODY_BYTES)?.get(..length)?;
        let record = is_sealed(bytes).then(|| Self::of_kind(bytes[0], payload));
        Some((u16::from_le_bytes([bytes[2], bytes[3]]), record.flatten()?))
    }
}

impl fmt::Debug for Record {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Record")
            .field("kind", &self.kind)
            .field("payload", &self.payload())
            .finish()
    }
}

/// Why a record was not appended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AppendError {
    /// Misuse: more than [`RECORD_LIVE_MAX`] live records, so more than a compaction keeps.
    TooManyLive,
    /// The flash failed; the log is as it was, or already has the record; opening it again tells.
    Flash(FlashError),
}

impl From<FlashError> for AppendError {
    fn from(error: FlashError) -> Self {
        Self::Flash(error)
    }
}

impl fmt::Display for AppendError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooManyLive => formatter.write_str("too many live records for one bank"),
            Self::Flash(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for AppendError {}

/// The log in a region of two banks. Opened where it is needed: opening reads and writes nothing.
pub struct RecordLog<'f, F> {
    region: Region<'f, F>,
    /// The bank that holds the log; `None` on a blank part.
    active: Option<Active>,
    /// The other bank has a header that counts now and then.
    rival: bool,
    /// The other bank has no header.
    is_alone: bool,
}

#[derive(Clone, Copy)]
struct Active {
    bank: u32,
    generation: u32,
    /// The cells that count, one bit each.
    counted: CellSet,
    /// The newest record that counts, as it was read when the log was opened: it may read differently later.
    newest: Option<Newest>,
    /// Whether the newest cell is that record, and firm.
    is_firm: bool,
    /// The cell written next; the cell count or more if none is free.
    next: u32,
    /// The cell below it shows that it is used, whatever becomes of the next one.
    shows: bool,
}

#[derive(Clone, Copy)]
struct Newest {
    cell: u32,
    serial: u16,
    record: Record,
}

/// A set of cells of a bank.
#[derive(Clone, Copy)]
struct CellSet([u32; CELLS_MAX as usize / 32]);

impl CellSet {
    const NONE: Self = Self([0; CELLS_MAX as usize / 32]);

    fn insert(&mut self, cell: u32) {
        if let Some(word) = self.0.get_mut(cell as usize / 32) {
            *word |= 1 << (cell % 32);
        }
    }

    fn contains(&self, cell: u32) -> bool {
        let word = self.0.get(cell as usize / 32);
        word.is_some_and(|word| word >> (cell % 32) & 1 == 1)
    }
}

/// What of a log still matters, at most [`RECORD_LIVE_MAX`] records: all of them at once would be a kilobyte of stack.
pub trait Live {
    /// Gives each record, oldest first; the same ones every time.
    fn each(&self, put: &mut dyn FnMut(&Record));
}

impl Live for &[Record] {
    fn each(&self, put: &mut dyn FnMut(&Record)) {
        self.iter().for_each(put);
    }
}

/// A bank's header, and what lies behind it.
#[derive(Clone, Copy)]
struct Bank {
    generation: u32,
    /// Cells that came with the header, itself included.
    count: u32,
    /// The last cell that is not free; a free one below it was torn too early to show, or left out.
    last: u32,
    counts: bool,
}

impl<'f, F: NorFlash> RecordLog<'f, F> {
    const BANK_BYTES: u32 = log_bank_bytes(Region::<F>::SECTOR_BYTES);
    const CELL_BYTES: u32 = (RECORD_BYTES + F::WRITE_SIZE) as u32;
    const CELLS: u32 = {
        assert!(RECORD_BYTES.is_multiple_of(F::WRITE_SIZE));
        let cells = Self::BANK_BYTES / Self::CELL_BYTES;
        assert!(cells > RECORD_LIVE_MAX as u32 + 2);
        if cells < CELLS_MAX { cells } else { CELLS_MAX }
    };

    /// Finds the log in `region`, whose first two banks it uses. A blank region is an empty log.
    ///
    /// # Errors
    /// The part's own error, or a region of less than two banks.
    pub fn open(region: Region<'f, F>) -> Result<Self, FlashError> {
        let banks = [Self::bank(&region, 0)?, Self::bank(&region, 1)?];
        let generation = |bank: Option<Bank>| bank.filter(|bank| bank.counts).map(|bank| bank.generation);
        let newest = u32::from(generation(banks[1]) > generation(banks[0]));
        let [found, other] = if newest == 0 { banks } else { [banks[1], banks[0]] };
        let mut log = Self {
            region,
            active: None,
            rival: false,
            is_alone: other.is_none(),
        };
        if let Some(found) = found.filter(|bank| bank.counts) {
            log.rival = other.is_some_and(|other| other.generation > found.generation);
            log.activate(newest, found)?;
        }
        Ok(log)
    }

    /// Appends `record`, atomically: after a power cut it is in the log or it is not, and all before it is.
    ///
    /// `live` is what of the log so far still matters, oldest first, without `record`: all that is kept when the
    /// bank is full.
    ///
    /// # Errors
    /// [`AppendError`]; what the log held is still there.
    pub fn append(&mut self, record: &Record, live: &[Record]) -> Result<(), AppendError> {
        self.append_keeping(record, &live)
    }

    /// As [`RecordLog::append`], for live records that come one at a time.
    ///
    /// # Errors
    /// As [`RecordLog::append`].
    pub fn append_keeping(&mut self, record: &Record, live: &dyn Live) -> Result<(), AppendError> {
        let newest = self.active.and_then(|active| active.newest);
        // Serials begin at 0 in each bank and rise by one with a cell at most, of which there are `CELLS_MAX`.
        self.write_next(record, newest.map_or(0, |newest| newest.serial + 1))
            .or_else(|_| self.compact(record, live))
    }

    /// Makes up its mind about a newest record in doubt, and writes that down: from then on the log says the same at every
    /// boot. Writes nothing otherwise. `live` as for [`RecordLog::append`], with the newest record.
    ///
    /// # Errors
    /// [`AppendError`]: the log may still be in doubt, and says for now what it said.
    pub fn settle(&mut self, live: &[Record]) -> Result<(), AppendError> {
        self.settle_keeping(&live)
    }

    /// As [`RecordLog::settle`], for live records that come one at a time.
    ///
    /// # Errors
    /// As [`RecordLog::settle`].
    pub fn settle_keeping(&mut self, live: &dyn Live) -> Result<(), AppendError> {
        let Some(active) = self.active else {
            return Ok(());
        };
        if self.rival {
            let sector = Region::<F>::SECTOR_BYTES;
            self.region.erase((1 - active.bank) * Self::BANK_BYTES, sector)?;
            self.rival = false;
            self.is_alone = true;
        }
        if active.is_firm {
            return Ok(());
        }
        match active.newest {
            // Written once more, it takes the place of the first. Behind a cell that cannot be read it may be in doubt as well:
            // the power went away twice, and the second time while this was done.
            Some(newest) => self
                .write_next(&newest.record, newest.serial)
                .or_else(|_| self.compact(&Record::void(), live)),
            None => self.append_keeping(&Record::void(), live),
        }
    }

    /// Forgets all but `live`, oldest first, atomically.
    ///
    /// # Errors
    /// [`AppendError`]; what the log held is still there.
    pub fn rewrite(&mut self, live: &[Record]) -> Result<(), AppendError> {
        self.compact(&Record::void(), &live)
    }

    /// Gives the records, oldest first.
    ///
    /// # Errors
    /// The part's own error.
    pub fn each(&self, found: &mut dyn FnMut(&Record)) -> Result<(), FlashError> {
        (1..self.end()).try_for_each(|cell| self.at(cell, found))
    }

    /// The records, oldest first; from its other end, newest first.
    #[must_use]
    pub fn records(&self) -> Records<'_, 'f, F> {
        Records {
            log: self,
            next: 1,
            end: self.end(),
        }
    }

    /// The first cell that is not written yet.
    fn end(&self) -> u32 {
        let next = self.active.as_ref().map_or(1, |active| active.next);
        next.min(Self::CELLS)
    }

    /// Gives the record in a cell, if it counts.
    fn at(&self, cell: u32, found: &mut dyn FnMut(&Record)) -> Result<(), FlashError> {
        let Some(active) = self
            .active
            .as_ref()
            .filter(|active| active.counted.contains(cell))
        else {
            return Ok(());
        };
        let read;
        let record = match &active.newest {
            Some(newest) if newest.cell == cell => Some(&newest.record),
            _ => {
                read = Self::record(&self.region, active.bank, cell)?;
                read.as_ref().map(|(_, record)| record)
            }
        };
        record.filter(|record| record.kind != VOID).map(found);
        Ok(())
    }

    /// Gives every record with its mark in either bank, whether it belongs to the log, is stale, or was written before a power
    /// cut kept its bank from counting. Of use for facts that, once written, never cease to be true.
    ///
    /// # Errors
    /// The part's own error.
    pub fn remains(&self, found: &mut dyn FnMut(&Record)) -> Result<(), FlashError> {
        for bank in 0..2 {
            for cell in 1..Self::CELLS {
                if let Some((_, record)) = Self::record(&self.region, bank, cell)?
                    && Self::has_mark(&self.region, bank, cell)?
                {
                    found(&record);
                }
            }
        }
        Ok(())
    }

    /// Every record of either bank that can be read, also one that was given up. Of use for facts that only grow, of which too high a
    /// one does no harm.
    pub fn traces(&self) -> impl Iterator<Item = Result<Record, FlashError>> + use<'f, F> {
        let region = self.region;
        (0..2 * Self::CELLS).filter_map(move |at| {
            let found = Self::record(&region, at / Self::CELLS, at % Self::CELLS);
            found.map(|found| found.map(|(_, record)| record)).transpose()
        })
    }

    /// How often the log was compacted; 0 of one in which nothing was ever written.
    #[must_use]
    pub fn generation(&self) -> u32 {
        self.active.map_or(0, |active| active.generation)
    }

    /// How many records, at most, may have been behind the newest that can be read: cells there that are damaged, and a whole bank where
    /// the log's own may have lost its header. Of use as [`RecordLog::traces`] is: what a power cut tore counts, too. Of a log of less
    /// than three generations it cannot be known.
    ///
    /// # Errors
    /// The part's own error.
    pub fn missing_max(&self) -> Result<u32, FlashError> {
        let Some(active) = self.active else {
            return Ok(0);
        };
        let mut missing = 0;
        for cell in active.newest.map_or(0, |newest| newest.cell) + 1..Self::CELLS {
            let at = Self::cell_at(active.bank, cell);
            missing += u32::from(!self.region.is_erased(at, RECORD_BYTES as u32)?);
        }
        // From the second generation on the other bank has the header of the one before.
        if self.is_alone && active.generation > 1 {
            missing += Self::CELLS;
        }
        Ok(missing)
    }

    /// Writes a record into the next cell.
    fn write_next(&mut self, record: &Record, serial: u16) -> Result<(), FlashError> {
        let region = &self.region;
        let Some(active) = self.active.as_mut().filter(|active| active.next < Self::CELLS) else {
            return Err(FlashError::OutOfBounds);
        };
        let (bank, cell, shows) = (active.bank, active.next, active.shows);
        // Whatever becomes of the operation, the cell is used.
        active.next += 1;
        active.is_firm = false;
        if !shows {
            Self::mark(region, bank, cell - 1)?;
        }
        active.shows = false;
        Self::write_cell(region, bank, cell, &record.encode(serial))?;
        active.shows = true;
        active.is_firm = true;
        active.counted.insert(cell);
        active.newest = Some(Newest {
            cell,
            serial,
            record: *record,
        });
        Ok(())
    }

    /// Programs a cell, reads it back, and marks it.
    fn write_cell(
        region: &Region<'_, F>,
        bank: u32,
        cell: u32,
        bytes: &[u8; RECORD_BYTES],
    ) -> Result<(), FlashError> {
        let mut there = [0; RECORD_BYTES];
        let at = Self::cell_at(bank, cell);
        region.program(at, bytes)?;
        region.read(at, &mut there)?;
        if there != *bytes {
            return Err(FlashError::Device(NorFlashErrorKind::Other));
        }
        Self::mark(region, bank, cell)
    }

    /// Programs the mark of a cell and reads it back.
    fn mark(region: &Region<'_, F>, bank: u32, cell: u32) -> Result<(), FlashError> {
        let mark = [0; RECORD_BYTES];
        let at = Self::cell_at(bank, cell) + RECORD_BYTES as u32;
        region.program(at, &mark[..F::WRITE_SIZE])?;
        if Self::has_mark(region, bank, cell)? {
            Ok(())
        } else {
            Err(FlashError::Device(NorFlashErrorKind::Other))
        }
    }

    fn compact(&mut self, record: &Record, live: &dyn Live) -> Result<(), AppendError> {
        let mut count = 0;
        live.each(&mut |_| count += 1);
        if count > RECORD_LIVE_MAX {
            return Err(AppendError::TooManyLive);
        }
        let (bank, generation) = self
            .active
            .map_or((0, 1), |old| (1 - old.bank, old.generation.saturating_add(1)));
        self.region.erase(bank * Self::BANK_BYTES, Self::BANK_BYTES)?;
        let mut counted = CellSet::NONE;
        let mut cell = 0;
        let mut written = Ok(());
        let mut keep = |kept: &Record| {
            if written.is_ok() {
                cell += 1;
                written = Self::write_cell(&self.region, bank, cell, &kept.encode(cell as u16 - 1));
                counted.insert(cell);
            }
        };
        live.each(&mut keep);
        keep(record);
        written?;
        Self::write_cell(&self.region, bank, 0, &header(generation, cell as u16 + 1))?;
        self.rival = false;
        self.is_alone = self.active.is_none();
        self.active = Some(Active {
            bank,
            generation,
            counted,
            newest: Some(Newest {
                cell,
                serial: cell as u16 - 1,
                record: *record,
            }),
            is_firm: true,
            next: cell + 1,
            shows: true,
        });
        Ok(())
    }

    const fn cell_at(bank: u32, cell: u32) -> u32 {
        bank * Self::BANK_BYTES + cell * Self::CELL_BYTES
    }

    fn record(region: &Region<'_, F>, bank: u32, cell: u32) -> Result<Option<(u16, Record)>, FlashError> {
        let mut bytes = [0; RECORD_BYTES];
        region.read(Self::cell_at(bank, cell), &mut bytes)?;
        Ok(Record::decode(&bytes))
    }

    fn has_mark(region: &Region<'_, F>, bank: u32, cell: u32) -> Result<bool, FlashError> {
        let mut mark = [0xFF; RECORD_BYTES];
        let mark = &mut mark[..F::WRITE_SIZE];
        region.read(Self::cell_at(bank, cell) + RECORD_BYTES as u32, mark)?;
        Ok(mark.iter().all(|byte| *byte == 0))
    }

    /// A bank whose header is whole.
    fn bank(region: &Region<'_, F>, bank: u32) -> Result<Option<Bank>, FlashError> {
        let mut cell = [0; RECORD_BYTES];
        region.read(Self::cell_at(bank, 0), &mut cell)?;
        if cell[..4] != MAGIC || !is_sealed(&cell) {
            return Ok(None);
        }
        let count = u32::from(u16::from_le_bytes([cell[8], cell[9]])).clamp(1, Self::CELLS);
        let mut last = Self::CELLS - 1;
        while last >= count && region.is_erased(Self::cell_at(bank, last), Self::CELL_BYTES)? {
            last -= 1;
        }
        Ok(Some(Bank {
            generation: word(&cell, 4),
            count,
            last,
            counts: last >= count || Self::has_mark(region, bank, 0)?,
        }))
    }

    /// Finds out which cells count, from the newest down.
    fn activate(&mut self, bank: u32, found: Bank) -> Result<(), FlashError> {
        let active = self.active.insert(Active {
            bank,
            generation: found.generation,
            counted: CellSet::NONE,
            newest: None,
            is_firm: false,
            next: found.last + 2,
            shows: false,
        });
        let mut below = u32::MAX;
        for cell in (1..=found.last).rev() {
            let Some((serial, record)) = Self::record(&self.region, bank, cell)? else {
                continue;
            };
            if u32::from(serial) < below {
                below = serial.into();
                active.counted.insert(cell);
                if active.newest.is_none() {
                    active.newest = Some(Newest { cell, serial, record });
                }
            }
        }
        // With nothing behind what came with the header, the header itself may be in doubt.
        active.is_firm = found.last >= found.count
            && active.counted.contains(found.last)
            && Self::has_mark(&self.region, bank, found.last)?;
        Ok(())
    }
}

/// The records of a [`RecordLog`], skipping what does not count.
pub struct Records<'l, 'f, F> {
    log: &'l RecordLog<'f, F>,
    next: u32,
    end: u32,
}

impl<F: NorFlash> Records<'_, '_, F> {
    fn at(&self, cell: u32) -> Result<Option<Record>, FlashError> {
        let mut found = None;
        self.log.at(cell, &mut |record| found = Some(*record))?;
        Ok(found)
    }
}

impl<F: NorFlash> Iterator for Records<'_, '_, F> {
    type Item = Result<Record, FlashError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            self.next += 1;
            if let Some(record) = self.at(self.next - 1).transpose() {
                return Some(record);
            }
        }
        None
    }
}

impl<F: NorFlash> DoubleEndedIterator for Records<'_, '_, F> {
    fn next_back(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            self.end -= 1;
            if let Some(record) = self.at(self.end).transpose() {
                return Some(record);
            }
        }
        None
    }
}

fn header(generation: u32, count: u16) -> [u8; RECORD_BYTES] {
    let mut cell = [0xFF; RECORD_BYTES];
    put(&mut cell, 0, &MAGIC);
    put(&mut cell, 4, &generation.to_le_bytes());
    put(&mut cell, 8, &count.to_le_bytes());
    seal(&mut cell);
    cell
}

fn seal(bytes: &mut [u8; RECORD_BYTES]) {
    let crc = CRC.checksum(&bytes[..BODY_BYTES]);
    put(bytes, BODY_BYTES, &crc.to_le_bytes());
}

fn is_sealed(bytes: &[u8; RECORD_BYTES]) -> bool {
    CRC.checksum(&bytes[..BODY_BYTES]) == word(bytes, BODY_BYTES)
}

#[cfg(test)]
mod tests;
