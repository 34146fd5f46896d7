//! An append-only log of small records over two sectors, whole after a power cut at any byte.
//!
//! ```text
//! sector   cell 0: "DGL1" generation u32 crc32 0xFF…   the sector counts only with this, written last
//!          cell 1…: kind u8  length u8  payload 0..=58  0xFF…  crc32 of the 60 bytes before it
//! ```
//!
//! - Of two sectors with a valid cell 0 the one with the higher generation holds the log.
//! - A cell of 0xFF throughout is free; the first one after the last used cell is written next. A cell that is
//!   neither free nor valid was torn: it is skipped, and never written again.
//! - When no cell is free, the other sector is erased, gets the live records and the new one, and at last its cell 0.
//!   Until that cell is whole, the old sector is the log; from then on it is stale. Nothing else has to be repaired.
//! - Each cell is read back once written: a worn part may say that it programmed what it did not.
//! - The generation grows with each compaction. A sector wears out four orders of magnitude before 32 bits do.

use core::fmt;

use embedded_storage::nor_flash::{NorFlash, NorFlashErrorKind};

use crate::{CRC, FlashError, Region, word};

/// One cell, in bytes. A multiple of every program unit we know of, and 4,096-byte sectors hold 63 records.
pub const RECORD_CELL_BYTES: usize = 64;
/// What a record can carry: a cell without kind, length and CRC-32.
pub const RECORD_PAYLOAD_BYTES_MAX: usize = RECORD_CELL_BYTES - 2 - CRC_BYTES;
/// How many live records may survive a compaction: leaves most of a 4,096-byte sector for what comes after it.
pub const RECORD_LIVE_MAX: usize = 16;

const CRC_BYTES: usize = 4;
const BODY_BYTES: usize = RECORD_CELL_BYTES - CRC_BYTES;
const CELL: u32 = RECORD_CELL_BYTES as u32;
const MAGIC: [u8; 4] = *b"DGL1";

/// One record: a kind, whose meaning is the caller's, and up to 58 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Record {
    kind: u8,
    length: u8,
    payload: [u8; RECORD_PAYLOAD_BYTES_MAX],
}

impl Record {
    /// A record of `kind` carrying `payload`; `None` if it is longer than [`RECORD_PAYLOAD_BYTES_MAX`].
    #[must_use]
    pub fn new(kind: u8, payload: &[u8]) -> Option<Self> {
        let mut bytes = [0xFF; RECORD_PAYLOAD_BYTES_MAX];
        bytes.get_mut(..payload.len())?.copy_from_slice(payload);
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

    fn encode(&self) -> [u8; RECORD_CELL_BYTES] {
        let mut cell = [0xFF; RECORD_CELL_BYTES];
        cell[0] = self.kind;
        cell[1] = self.length;
        cell[2..BODY_BYTES].copy_from_slice(&self.payload);
        seal(&mut cell);
        cell
    }

    fn decode(cell: &[u8; RECORD_CELL_BYTES]) -> Option<Self> {
        let length = usize::from(cell[1]);
        let payload = cell.get(2..BODY_BYTES)?.get(..length)?;
        is_sealed(cell).then(|| Self::new(cell[0], payload)).flatten()
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
    /// Misuse: more than [`RECORD_LIVE_MAX`] live records, or more than a sector holds beside the new one.
    TooManyLive,
    /// The flash failed; the log is as it was, or already has the record.
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
            Self::TooManyLive => formatter.write_str("too many live records for one sector"),
            Self::Flash(error) => error.fmt(formatter),
        }
    }
}

impl core::error::Error for AppendError {}

/// The log in a region of two sectors. Opened where it is needed: opening reads one sector and writes nothing.
pub struct RecordLog<'f, F> {
    region: Region<'f, F>,
    /// The sector that holds the log, with its generation; `None` on a blank part.
    active: Option<Active>,
}

#[derive(Clone, Copy)]
struct Active {
    sector: u32,
    generation: u32,
    /// The cell written next; the cell count if none is free.
    next: u32,
}

impl<'f, F: NorFlash> RecordLog<'f, F> {
    const CELLS: u32 = {
        assert!(
            F::ERASE_SIZE.is_multiple_of(RECORD_CELL_BYTES)
                && RECORD_CELL_BYTES.is_multiple_of(F::WRITE_SIZE)
        );
        assert!(F::ERASE_SIZE / RECORD_CELL_BYTES > RECORD_LIVE_MAX + 1);
        Region::<F>::SECTOR_BYTES / CELL
    };

    /// Finds the log in `region`, whose first two sectors it uses. A blank region is an empty log.
    ///
    /// # Errors
    /// The part's own error, or a region of less than two sectors.
    pub fn open(region: Region<'f, F>) -> Result<Self, FlashError> {
        let newest = match (generation(region, 0)?, generation(region, 1)?) {
            (Some(first), Some(second)) if second > first => Some((1, second)),
            (Some(first), _) => Some((0, first)),
            (None, Some(second)) => Some((1, second)),
            (None, None) => None,
        };
        let active = match newest {
            Some((sector, generation)) => Some(Active {
                sector,
                generation,
                next: Self::free_cell(region, sector)?,
            }),
            None => None,
        };
        Ok(Self { region, active })
    }

    /// Appends `record`, atomically: after a power cut it is in the log or it is not, and all before it is.
    ///
    /// `live` is what of the log so far still matters, oldest first, without `record`: all that is kept when the
    /// sector is full.
    ///
    /// # Errors
    /// [`AppendError`]; what the log held is still there.
    pub fn append(&mut self, record: &Record, live: &[Record]) -> Result<(), AppendError> {
        if live.len() > RECORD_LIVE_MAX {
            return Err(AppendError::TooManyLive);
        }
        match self.active {
            Some(active) if active.next < Self::CELLS => {
                // Whatever becomes of the operation, the cell is used.
                self.active = Some(Active {
                    next: active.next + 1,
                    ..active
                });
                Ok(self.write(cell_at::<F>(active.sector, active.next), &record.encode())?)
            }
            _ => self.compact(record, live),
        }
    }

    /// The records, oldest first; from its other end, newest first.
    #[must_use]
    pub fn records(&self) -> Records<'f, F> {
        let (sector, end) = self.active.map_or((0, 1), |active| (active.sector, active.next));
        Records {
            region: self.region,
            sector,
            next: 1,
            end,
        }
    }

    /// Every whole record in either sector, whether it belongs to the log, is stale, or was written before a power cut
    /// kept its sector from counting. Of use for facts that, once written, never cease to be true.
    pub fn remains(&self) -> impl Iterator<Item = Result<Record, FlashError>> {
        let region = self.region;
        (0..2).flat_map(move |sector| Records {
            region,
            sector,
            next: 1,
            end: Self::CELLS,
        })
    }

    /// Programs a cell and reads it back.
    fn write(&self, at: u32, cell: &[u8; RECORD_CELL_BYTES]) -> Result<(), FlashError> {
        let mut there = [0; RECORD_CELL_BYTES];
        self.region.program(at, cell)?;
        self.region.read(at, &mut there)?;
        if there == *cell {
            Ok(())
        } else {
            Err(FlashError::Device(NorFlashErrorKind::Other))
        }
    }

    fn compact(&mut self, record: &Record, live: &[Record]) -> Result<(), AppendError> {
        let (sector, generation) = self
            .active
            .map_or((0, 1), |old| (1 - old.sector, old.generation.saturating_add(1)));
        self.region
            .erase(sector * Region::<F>::SECTOR_BYTES, Region::<F>::SECTOR_BYTES)?;
        let mut next = 1;
        for kept in live.iter().chain([record]) {
            self.write(cell_at::<F>(sector, next), &kept.encode())?;
            next += 1;
        }
        self.write(cell_at::<F>(sector, 0), &header(generation))?;
        self.active = Some(Active {
            sector,
            generation,
            next,
        });
        Ok(())
    }

    /// One past the last cell that is not free: a free cell before a used one was torn too early to show.
    fn free_cell(region: Region<'f, F>, sector: u32) -> Result<u32, FlashError> {
        let mut next = Self::CELLS;
        while next > 1 && region.is_erased(cell_at::<F>(sector, next - 1), CELL)? {
            next -= 1;
        }
        Ok(next)
    }
}

/// The records of a [`RecordLog`], skipping torn cells.
pub struct Records<'f, F> {
    region: Region<'f, F>,
    sector: u32,
    next: u32,
    end: u32,
}

impl<F: NorFlash> Records<'_, F> {
    fn at(&self, cell: u32) -> Option<Result<Record, FlashError>> {
        let mut bytes = [0; RECORD_CELL_BYTES];
        match self.region.read(cell_at::<F>(self.sector, cell), &mut bytes) {
            Ok(()) => Record::decode(&bytes).map(Ok),
            Err(error) => Some(Err(error)),
        }
    }
}

impl<F: NorFlash> Iterator for Records<'_, F> {
    type Item = Result<Record, FlashError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            self.next += 1;
            if let Some(record) = self.at(self.next - 1) {
                return Some(record);
            }
        }
        None
    }
}

impl<F: NorFlash> DoubleEndedIterator for Records<'_, F> {
    fn next_back(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            self.end -= 1;
            if let Some(record) = self.at(self.end) {
                return Some(record);
            }
        }
        None
    }
}

const fn cell_at<F: NorFlash>(sector: u32, cell: u32) -> u32 {
    sector * F::ERASE_SIZE as u32 + cell * CELL
}

fn header(generation: u32) -> [u8; RECORD_CELL_BYTES] {
    let mut cell = [0xFF; RECORD_CELL_BYTES];
    cell[..4].copy_from_slice(&MAGIC);
    cell[4..8].copy_from_slice(&generation.to_le_bytes());
    seal(&mut cell);
    cell
}

/// The generation of a sector whose cell 0 is whole.
fn generation<F: NorFlash>(region: Region<'_, F>, sector: u32) -> Result<Option<u32>, FlashError> {
    let mut cell = [0; RECORD_CELL_BYTES];
    region.read(cell_at::<F>(sector, 0), &mut cell)?;
    Ok((cell[..4] == MAGIC && is_sealed(&cell)).then(|| word(&cell, 4)))
}

fn seal(cell: &mut [u8; RECORD_CELL_BYTES]) {
    let crc = CRC.checksum(&cell[..BODY_BYTES]);
    cell[BODY_BYTES..].copy_from_slice(&crc.to_le_bytes());
}

fn is_sealed(cell: &[u8; RECORD_CELL_BYTES]) -> bool {
    CRC.checksum(&cell[..BODY_BYTES]) == word(cell, BODY_BYTES)
}

#[cfg(test)]
mod tests;
