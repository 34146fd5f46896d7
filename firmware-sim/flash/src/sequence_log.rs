//! How far a device has counted its messages: no number is used twice, whatever the power does.
//!
//! ```text
//! kind          payload
//! 1 Reserved    0 end u64     numbers below it may have been used
//! ```
//!
//! A [`RecordLog`] in the two banks behind the credentials. A record is written *before* the first number below its end is used;
//! after a restart the device goes on at the newest end, and what was reserved and not used is lost (RFC 8613 Appendix B.1.1). The
//! count belongs to the device and not to its keys: with new keys it goes on.
//!
//! With 128 numbers to a record and 45 records to a bank of 3,072 bytes, an erase stands for 5,760 messages: two banks that bear
//! 10,000 erases each last for 115 million.

use embedded_storage::nor_flash::NorFlash;

use crate::{AppendError, FlashError, Record, RecordLog, Region};

/// How many numbers a record reserves.
pub const SEQUENCE_CHUNK: u32 = 128;

const RESERVED: u8 = 1;

/// The log.
pub struct SequenceLog<'f, F> {
    records: RecordLog<'f, F>,
    end: u64,
}

impl<'f, F: NorFlash> SequenceLog<'f, F> {
    /// Opens the log of the partition that begins with the credentials. Settles what a power cut left in doubt: call it before a
    /// number is used.
    ///
    /// # Errors
    /// The flash failed, or the partition is too short; no number may be used.
    pub fn open(partition: Region<'f, F>) -> Result<Self, AppendError> {
        let sector = Region::<F>::SECTOR_BYTES;
        let bytes = partition
            .bytes()
            .checked_sub(sector)
            .ok_or(FlashError::OutOfBounds)?;
        let mut records = RecordLog::open(partition.sub(sector, bytes)?)?;
        let mut end = 0;
        for record in records.records() {
            end = end.max(decode(&record?));
        }
        records.settle(&[reserved(end)])?;
        Ok(Self { records, end })
    }

    /// Numbers below it may have been used.
    #[must_use]
    pub const fn end(&self) -> u64 {
        self.end
    }

    /// Writes that the numbers below `end` may be used; writes nothing if that is known already.
    ///
    /// # Errors
    /// The flash failed: none of them may be used.
    pub fn reserve(&mut self, end: u64) -> Result<(), AppendError> {
        if end <= self.end {
            return Ok(());
        }
        self.records.append(&reserved(end), &[reserved(self.end)])?;
        self.end = end;
        Ok(())
    }
}

fn reserved(end: u64) -> Record {
    Record::of(RESERVED, end.to_le_bytes())
}

fn decode(record: &Record) -> u64 {
    match record.payload().first_chunk() {
        Some(end) if record.kind() == RESERVED => u64::from_le_bytes(*end),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use core::cell::RefCell;
    use std::vec::Vec;

    use super::*;
    use crate::sim::{Explored, Explorer, Limits, Probe, Rewrites, SimFlash, Tears};
    use crate::{Partition, credentials_bytes, log_bank_bytes};

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
            log.reserve((start + 1) * 128).unwrap();
            log.reserve(5).unwrap();
        }
        assert_eq!(flash.borrow().rules_broken(), 0);
    }

    #[test]
    fn a_partition_without_a_log_is_an_error() {
        let flash = RefCell::new(SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once));
        let short = Region::new(&flash, Partition::new(0, SECTOR as u32));
        assert!(SequenceLog::open(short).is_err());
    }

    #[test]
    fn a_worn_part_reserves_nothing() {
        let mut part = SimFlash::<4, SECTOR>::part(PARTITION.bytes, Rewrites::Once);
        part.wear_out(SECTOR as u32..PARTITION.bytes);
        let flash = RefCell::new(part);
        let mut log = SequenceLog::open(Region::new(&flash, PARTITION)).unwrap();
        assert!(log.reserve(128).is_err());
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
            if log.reserve(next + CHUNK).is_err() {
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
                log.reserve(end).unwrap();
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
