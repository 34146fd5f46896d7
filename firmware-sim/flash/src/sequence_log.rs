//! How far a device has counted its messages: no number is used twice, whatever the power does.
//!
//! ```text
//! kind          payload
//! 1 Reserved    0 end u64     numbers below it may have been used, under the keys of the credentials
//! 2 Renewed     0 end u64     the same, under keys that were made anew (RFC 8613 Appendix B.2)
//!               8 of u32      what tells the credentials that they were made of
//!              12 id_context [16]
//! ```
//!
//! A [`RecordLog`] in the two banks behind the credentials. A record is written *before* the first number below its end is used;
//! after a restart the device goes on at the highest end, and what was reserved and not used is lost (RFC 8613 Appendix B.1.1). The
//! count belongs to the device and not to its keys: with new keys it goes on.
//!
//! Damage does not turn it back. An end counts wherever it is read, and where newer ones may have been, as many numbers are left out as
//! those can have reserved: they are cheap. So that a bank that lost its header is missed, the log is compacted twice before its first
//! number is used: from then on both banks have one. What is lost with both banks, who opens it has to know from elsewhere. A sector
//! that reads erased is found out where a bank is one sector.
//!
//! With 128 numbers to a record and 45 records to a bank of 3,072 bytes, an erase stands for 5,760 messages: two banks that bear
//! 10,000 erases each last for 115 million.

use embedded_storage::nor_flash::NorFlash;

use crate::layout::log_bank_bytes;
use crate::{AppendError, FlashError, Record, RecordLog, Region, put};

/// How many numbers a record reserves, at most.
pub const SEQUENCE_CHUNK: u32 = 128;

const RESERVED: u8 = 1;
const RENEWED: u8 = 2;
/// From this generation on a bank without a header is one that was lost.
const GENERATION_MIN: u32 = 3;

/// Which keys were made anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Renewed {
    /// What tells the credentials that they were made of.
    pub of: u32,
    /// What takes the place of the credentials' own.
    pub id_context: [u8; 16],
}

/// What a record says.
#[derive(Clone, Copy)]
struct Counted {
    end: u64,
    renewed: Option<Renewed>,
}

/// The log.
pub struct SequenceLog<'f, F> {
    records: RecordLog<'f, F>,
    counted: Counted,
}

impl<'f, F: NorFlash> SequenceLog<'f, F> {
    /// Opens the log of the partition that begins with the credentials. Leaves out what damage may have taken, and settles what a power
    /// cut left in doubt: call it before a number is used.
    ///
    /// # Errors
    /// The flash failed, or the partition is too short; no number may be used.
    pub fn open(partition: Region<'f, F>) -> Result<Self, AppendError> {
        let mut records = RecordLog::open(banks(partition)?)?;
        let mut counted = Counted {
            end: 0,
            renewed: None,
        };
        for record in records.traces() {
            if let Some(found) = decode(&record?).filter(|found| found.end > counted.end) {
                counted = found;
            }
        }
        let missing = u64::from(records.missing_max()?);
        if missing > 0 && counted.end > 0 {
            counted.end += missing * u64::from(SEQUENCE_CHUNK);
            records.rewrite(&[counted.record()])?;
        } else {
            records.settle(&[counted.record()])?;
        }
        Ok(Self { records, counted })
    }

    /// Erases a log that is lost, as far as it is not: for keys that were never used.
    ///
    /// # Errors
    /// The flash's.
    pub fn erase(partition: Region<'f, F>) -> Result<(), FlashError> {
        let banks = banks(partition)?;
        banks.erase(0, 2 * log_bank_bytes(Region::<F>::SECTOR_BYTES))
    }

    /// Numbers below it may have been used.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.counted.end
    }

    /// Which keys were made anew, if they were.
    #[must_use]
    pub const fn renewed(&self) -> Option<Renewed> {
        self.counted.renewed
    }

    /// Writes that the numbers below `end` may be used, with these keys; writes nothing if that is known already.
    ///
    /// # Errors
    /// The flash failed: none of them may be used.
    pub fn reserve(&mut self, end: u64, renewed: Option<Renewed>) -> Result<(), AppendError> {
        if end <= self.counted.end {
            return Ok(());
        }
        let counted = Counted { end, renewed };
        let live = [counted.record()];
        self.records.append(&live[0], &[self.counted.record()])?;
        while self.records.generation() < GENERATION_MIN {
            self.records.rewrite(&live)?;
        }
        self.counted = counted;
        Ok(())
    }
}

/// What is behind the credentials.
fn banks<F: NorFlash>(partition: Region<'_, F>) -> Result<Region<'_, F>, FlashError> {
    let sector = Region::<F>::SECTOR_BYTES;
    let bytes = partition
        .bytes()
        .checked_sub(sector)
        .ok_or(FlashError::OutOfBounds)?;
    partition.sub(sector, bytes)
}

impl Counted {
    fn record(&self) -> Record {
        let end = self.end.to_le_bytes();
        let Some(Renewed { of, id_context }) = self.renewed else {
            return Record::of(RESERVED, end);
        };
        let mut payload = [0; RENEWED_BYTES];
        put(&mut payload, 0, &end);
        put(&mut payload, 8, &of.to_le_bytes());
        put(&mut payload, 12, &id_context);
        Record::of(RENEWED, payload)
    }
}

const RENEWED_BYTES: usize = 8 + 4 + 16;

fn decode(record: &Record) -> Option<Counted> {
    let (end, rest) = record.payload().split_first_chunk()?;
    let end = u64::from_le_bytes(*end);
    let renewed = match record.kind() {
        RESERVED => None,
        RENEWED => {
            let (of, id_context) = rest.split_first_chunk()?;
            Some(Renewed {
                of: u32::from_le_bytes(*of),
                id_context: *id_context.first_chunk()?,
            })
        }
        _ => return None,
    };
    Some(Counted { end, renewed })
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::*;
    use crate::sim::{Explored, Explorer, Limits, Probe, Rewrites, SimFlash, Tears};
    use crate::{Partition, credentials_bytes};

    const SECTOR: usize = 256;
    const PARTITION: Partition = Partition::new(0, credentials_bytes(SECTOR as u32));

    /// What was sent, number by number: it outlives every power cut, for it is on the air.
    type Sent = Vec<u64>;

    #[test]
    fn the_count_goes_on() {
        let flash = RefCell::new(SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once));
        for start in 0..200 {
            let mut log = SequenceLog::open(Region::new(&flash, PARTITION)).unwrap();
            assert_eq!(log.end(), start * 128);
            log.reserve((start + 1) * 128, None).unwrap();
            log.reserve(5, None).unwrap();
        }
        assert_eq!(flash.borrow().rules_broken(), 0);
    }

    #[test]
    fn a_partition_without_a_log_is_an_error() {
        let flash = RefCell::new(SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once));
        let short = Region::new(&flash, Partition::new(0, SECTOR as u32));
        assert!(SequenceLog::open(short).is_err());
    }

    const RENEWED: Renewed = Renewed {
        of: 0x0102_0304,
        id_context: [7; 16],
    };

    #[test]
    fn new_keys_are_in_every_record() {
        let flash = RefCell::new(SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once));
        let region = Region::new(&flash, PARTITION);
        SequenceLog::open(region).unwrap().reserve(128, None).unwrap();
        assert_eq!(SequenceLog::open(region).unwrap().renewed(), None);
        for end in 2..200 {
            let mut log = SequenceLog::open(region).unwrap();
            log.reserve(end * 128, Some(RENEWED)).unwrap();
            assert_eq!(SequenceLog::open(region).unwrap().renewed(), Some(RENEWED));
        }
        SequenceLog::erase(region).unwrap();
        let log = SequenceLog::open(region).unwrap();
        assert_eq!((log.end(), log.renewed()), (0, None));
    }

    /// Every cell damaged once, and each bank erased: what was reserved is never reserved again, or the log is empty, which shows.
    #[test]
    fn damage_does_not_turn_the_count_back() {
        let sector = 4_096_usize;
        let partition = Partition::new(0, credentials_bytes(sector as u32));
        let bank = log_bank_bytes(sector as u32) as usize;
        for ends in [1, 2, 5, 30, 57, 58, 59, 60, 61, 62, 90, 130] {
            let part = || {
                let part = SimFlash::<4, 4_096>::part(partition.bytes, Rewrites::Bitwise);
                let flash = RefCell::new(part);
                for end in 1..=ends {
                    // Restarts in between, of which each leaves a cell out.
                    let mut log = SequenceLog::open(Region::new(&flash, partition)).unwrap();
                    log.reserve(end * 128, None).unwrap();
                }
                flash
            };
            let mut damages = std::vec![sector..sector + bank, sector + bank..sector + 2 * bank];
            damages.extend((0..2 * bank / 68).map(|cell| {
                let at = sector + cell / (bank / 68) * bank + cell % (bank / 68) * 68;
                at..at + 20
            }));
            for (number, damage) in damages.into_iter().enumerate() {
                let flash = part();
                let fill = if number < 2 { 0xFF } else { 0x5A };
                for byte in &mut flash.borrow_mut().bytes_mut()[damage.clone()] {
                    // A sector is erased, a cell decays, unless nothing was written there.
                    *byte = if *byte == 0xFF { 0xFF } else { fill };
                }
                let mut log = SequenceLog::open(Region::new(&flash, partition)).unwrap();
                let end = log.end();
                assert!(end >= ends * 128, "{end} of {ends}, {damage:?}");
                log.reserve(end + 128, None).unwrap();
                let log = SequenceLog::open(Region::new(&flash, partition)).unwrap();
                assert_eq!(log.end(), end + 128, "{damage:?}");
            }
        }
    }

    #[test]
    fn a_worn_part_reserves_nothing() {
        let mut part = SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once);
        part.wear_out(SECTOR as u32..PARTITION.bytes);
        let flash = RefCell::new(part);
        let mut log = SequenceLog::open(Region::new(&flash, PARTITION)).unwrap();
        assert!(log.reserve(128, None).is_err());
        assert_eq!(log.end(), 0);
    }

    /// A device's uptime: opens the log, reserves, and sends what was reserved, a few times over. A write that fails ends it.
    fn uptime<const P: usize, const S: usize>(
        region: Region<'_, Probe<Sent, P, S>>,
        send: &mut dyn FnMut(u64),
    ) {
        const CHUNK: u64 = 3;
        let Ok(mut log) = SequenceLog::open(region) else {
            return;
        };
        for _ in 0..3 {
            let next = log.end();
            if log.reserve(next + CHUNK, None).is_err() {
                return;
            }
            for number in next..next + CHUNK {
                send(number);
            }
        }
    }

    /// Every cut of an uptime, of the uptime after it and of the one after that; the power may go away while a record is written,
    /// while a torn one is settled, and in the middle of a compaction, of which `filled` records before chose the moment.
    fn explore<const P: usize, const S: usize>(rewrites: Rewrites, filled: u64, tears: Tears) -> Explored {
        let partition = Partition::new(0, credentials_bytes(S as u32));
        let mut part = SimFlash::<P, S>::part(partition.bytes, rewrites);
        {
            let cell = RefCell::new(&mut part);
            let mut log = SequenceLog::open(Region::new(&cell, partition)).unwrap();
            for end in 1..=filled {
                log.reserve(end, None).unwrap();
            }
        }
        let limits = Limits {
            depth: 3,
            tears,
            states_max: None,
            deeper_max: Some(4),
            seed: filled,
        };
        let explorer = Explorer::new(limits, Sent::new());
        let (explored, _) = explorer.explore(part, |probe, forks, depth| {
            let flash = RefCell::new(probe);
            uptime(Region::new(&flash, partition), &mut |number| {
                let mut forks = forks.borrow_mut();
                assert!(number >= filled, "{number} was reserved before");
                assert!(
                    !forks.world.contains(&number),
                    "{number} was sent before, cuts {depth}"
                );
                forks.world.push(number);
            });
            let part = flash.into_inner().flash;
            assert_eq!(part.rules_broken(), 0);
            part
        });
        explored
    }

    #[test]
    fn no_number_is_used_twice_whatever_the_cut() {
        let cells = u64::from(log_bank_bytes(256)) / 68 - 1;
        let mut explored = Explored::default();
        for filled in [0, 1, cells - 4, cells - 3, cells - 2, cells - 1, cells] {
            explored = explored.and(explore::<4, 256>(Rewrites::Bitwise, filled, Tears::Few));
            explored = explored.and(explore::<8, 2_048>(Rewrites::Once, filled, Tears::Few));
        }
        std::println!("{explored:?}");
        assert!(explored.recoveries > 5_000);
    }

    #[test]
    fn nor_is_one_where_operations_are_torn_at_many_bytes() {
        explore::<4, 256>(Rewrites::Bitwise, 3, Tears::Many(9));
        explore::<32, 4_096>(Rewrites::Once, 3, Tears::Many(9));
    }
}
