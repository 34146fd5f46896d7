use core::cell::RefCell;
use std::vec::Vec;

use embedded_storage::nor_flash::{ErrorType, ReadNorFlash};
use proptest::prelude::*;

use super::*;
use crate::Partition;
use crate::sim::{SimFlash, SimFlashError, explore_power_cuts};

const REGION: Partition = Partition::new(0, 8192);
/// Cells of a bank of 4,096 bytes with a program unit of 4.
const CELLS: usize = 4096 / (RECORD_BYTES + 4);
/// How many records fill a bank when the log is opened anew for each: every other cell but the header's.
const FULL: usize = CELLS / 2;

fn note(number: u32) -> Record {
    Record::new(9, &number.to_le_bytes()).unwrap()
}

fn numbers(flash: &mut SimFlash) -> Vec<u32> {
    let flash = RefCell::new(flash);
    let log = RecordLog::open(Region::new(&flash, REGION)).unwrap();
    log.records()
        .map(|record| word(record.unwrap().payload(), 0))
        .collect()
}

/// Appends `number`, keeping the last `keep` records at a compaction. An error is a power cut here.
fn append(flash: &mut SimFlash, number: u32, keep: usize) -> Result<(), AppendError> {
    let flash = RefCell::new(flash);
    let mut log = RecordLog::open(Region::new(&flash, REGION))?;
    let mut live: Vec<Record> = log.records().rev().take(keep).collect::<Result<_, _>>()?;
    live.reverse();
    log.append(&note(number), &live)
}

fn filled(count: u32) -> SimFlash {
    let mut flash = SimFlash::new(8192);
    for number in 0..count {
        append(&mut flash, number, 2).unwrap();
    }
    flash
}

#[test]
fn a_blank_part_is_an_empty_log() {
    assert!(numbers(&mut SimFlash::new(8192)).is_empty());
}

#[test]
fn records_come_back_in_both_orders() {
    let mut flash = filled(5);
    assert_eq!(numbers(&mut flash), [0, 1, 2, 3, 4]);
    let cell = RefCell::new(flash);
    let log = RecordLog::open(Region::new(&cell, REGION)).unwrap();
    let newest: Vec<u32> = log
        .records()
        .rev()
        .map(|record| word(record.unwrap().payload(), 0))
        .collect();
    assert_eq!(newest, [4, 3, 2, 1, 0]);
    let mut ends = log.records();
    assert!(ends.next().is_some() && ends.next_back().is_some());
    assert_eq!(ends.count(), 3, "both ends meet");
}

#[test]
fn a_full_sector_is_compacted_to_what_is_live() {
    let mut flash = filled(FULL as u32);
    assert_eq!(numbers(&mut flash).len(), FULL);
    append(&mut flash, 1_000, 2).unwrap();
    assert_eq!(numbers(&mut flash), [28, 29, 1_000]);
}

#[test]
fn wear_is_shared_by_both_sectors() {
    let mut flash = SimFlash::new(8192);
    for number in 0..30 * 20 {
        append(&mut flash, number, 2).unwrap();
    }
    let [first, second] = flash.wear() else {
        panic!("two sectors")
    };
    assert!(first.abs_diff(*second) <= 1);
    assert!(
        first + second <= 22,
        "one erase for every thirty records: {first} + {second}"
    );
}

/// A worn part that answers "done" and did nothing, from one program operation on.
struct Worn {
    part: SimFlash,
    programs_left: u32,
}

impl ErrorType for Worn {
    type Error = SimFlashError;
}

impl ReadNorFlash for Worn {
    const READ_SIZE: usize = 1;

    fn read(&mut self, offset: u32, bytes: &mut [u8]) -> Result<(), SimFlashError> {
        self.part.read(offset, bytes)
    }

    fn capacity(&self) -> usize {
        self.part.capacity()
    }
}

impl NorFlash for Worn {
    const WRITE_SIZE: usize = <SimFlash>::WRITE_SIZE;
    const ERASE_SIZE: usize = <SimFlash>::ERASE_SIZE;

    fn erase(&mut self, from: u32, to: u32) -> Result<(), SimFlashError> {
        self.part.erase(from, to)
    }

    fn write(&mut self, offset: u32, bytes: &[u8]) -> Result<(), SimFlashError> {
        if self.programs_left == 0 {
            return Ok(());
        }
        self.programs_left -= 1;
        self.part.write(offset, bytes)
    }
}

/// An attempt that is believed to be counted and is not would let an image that hangs be tried for ever.
#[test]
fn what_a_worn_part_only_claims_to_have_written_is_an_error() {
    for already in [1, 10, FULL as u32] {
        for programs_left in 0..6 {
            let worn = RefCell::new(Worn {
                part: filled(already),
                programs_left,
            });
            let mut log = RecordLog::open(Region::new(&worn, REGION)).unwrap();
            let result = log.append(&note(1_000), &[note(999)]);
            let mut part = worn.into_inner().part;
            let written = numbers(&mut part).contains(&1_000);
            assert!(written || result.is_err(), "{already} {programs_left}");
            assert!(written || numbers(&mut part).len() == already as usize);
        }
    }
}

#[test]
fn too_many_live_records_are_the_callers_mistake() {
    let flash = RefCell::new(SimFlash::new(8192));
    let mut log = RecordLog::open(Region::new(&flash, REGION)).unwrap();
    let live = [note(1); RECORD_LIVE_MAX + 1];
    assert_eq!(log.append(&note(2), &live), Err(AppendError::TooManyLive));
    assert_eq!(flash.borrow().operations(), 0);
}

#[test]
fn a_payload_has_a_limit() {
    assert!(Record::new(1, &[0; RECORD_PAYLOAD_BYTES_MAX]).is_some());
    assert!(Record::new(1, &[0; RECORD_PAYLOAD_BYTES_MAX + 1]).is_none());
    assert_eq!(Record::new(1, &[]).unwrap().payload(), []);
}

#[test]
fn a_cell_with_any_flipped_bit_is_skipped() {
    for bit in 0..RECORD_BYTES * 8 {
        let mut flash = filled(3);
        flash.bytes_mut()[3 * (RECORD_BYTES + 4) + bit / 8] ^= 1 << (bit % 8);
        assert_eq!(numbers(&mut flash), [0, 2], "bit {bit}");
    }
}

/// An append in the middle of a sector, cut at every byte: before and after it everything else is there.
#[test]
fn an_append_cut_at_any_byte_happened_or_did_not() {
    let every_byte: Vec<u32> = (0..=RECORD_BYTES as u32).collect();
    let mut seen = [false; 2];
    explore_power_cuts(
        &filled(3),
        &every_byte,
        |flash| {
            let _ = append(flash, 3, 2);
        },
        |flash, cut| {
            let there = numbers(flash);
            assert!(
                there == [0, 1, 2] || there == [0, 1, 2, 3],
                "{cut:?} left {there:?}"
            );
            seen[usize::from(there.len() == 4)] = true;
            append(flash, 4, 2).unwrap();
            assert_eq!(numbers(flash).last(), Some(&4), "the log goes on after {cut:?}");
        },
    );
    assert_eq!(seen, [true, true]);
}

/// A compaction cut at every operation, torn at every cell byte, and cut again while it is repeated.
#[test]
fn a_compaction_cut_twice_keeps_the_old_log_or_the_new() {
    let old: Vec<u32> = (0..FULL as u32).collect();
    let new = [28, 29, 30];
    let tears: Vec<u32> = (0..=64).chain([100, 2048, 4095, 4096]).collect();
    let operations = explore_power_cuts(
        &filled(FULL as u32),
        &tears,
        |flash| {
            let _ = append(flash, 30, 2);
        },
        |flash, first| {
            let there = numbers(flash);
            assert!(there == old || there == new, "{first:?} left {there:?}");
            if there != old {
                return;
            }
            explore_power_cuts(
                flash,
                &[0, 7, 33, 64, 4096],
                |flash| {
                    let _ = append(flash, 30, 2);
                },
                |flash, second| {
                    let there = numbers(flash);
                    assert!(
                        there == old || there == new,
                        "{first:?}, then {second:?}, left {there:?}"
                    );
                },
            );
        },
    );
    assert_eq!(
        operations, 9,
        "erase; two live records, the new one, cell 0; a mark for each"
    );
}

/// The first record of a new device: the log is empty or has it.
#[test]
fn a_cut_during_the_very_first_append_leaves_an_empty_log_or_the_record() {
    let tears: Vec<u32> = (0..=64).chain([4096]).collect();
    explore_power_cuts(
        &SimFlash::from_bytes(std::vec![0x5A; 8192]),
        &tears,
        |flash| {
            let _ = append(flash, 1, 0);
        },
        |flash, cut| {
            let there = numbers(flash);
            assert!(there.is_empty() || there == [1], "{cut:?} left {there:?}");
            append(flash, 2, 1).unwrap();
            assert_eq!(numbers(flash).last(), Some(&2));
        },
    );
}

proptest! {
    /// Any bytes at all in the two sectors are a log that can be read and continued.
    #[test]
    fn garbage_is_survived(bytes in prop::collection::vec(any::<u8>(), 8192)) {
        let mut flash = SimFlash::from_bytes(bytes);
        let _ = numbers(&mut flash);
        append(&mut flash, 77, 2).unwrap();
        prop_assert_eq!(numbers(&mut flash).last().copied(), Some(77));
    }

    /// Whatever sequence of cuts: what was acknowledged last is never lost, and nothing is made up.
    #[test]
    fn a_life_of_power_cuts_loses_nothing_acknowledged(cuts in prop::collection::vec((0u64..6, 0u32..70), 1..200)) {
        let mut flash = SimFlash::new(8192);
        let mut acknowledged = None;
        for (number, (operation, torn_at)) in (0u32..).zip(cuts) {
            flash.restart();
            flash.cut_power_at(crate::sim::PowerCut { operation, torn_at });
            let done = append(&mut flash, number, 2).is_ok();
            flash.restart();
            let newest = settled(&mut flash).last().copied();
            if done {
                acknowledged = Some(number);
            }
            prop_assert!(newest == acknowledged || newest == Some(number));
            acknowledged = newest;
        }
    }
}

/// What a log says in a row of boots, each of which settles it first, as whoever acts on it does.
fn settled(flash: &mut SimFlash) -> Vec<u32> {
    let before = numbers(flash);
    {
        let cell = RefCell::new(&mut *flash);
        let mut log = RecordLog::open(Region::new(&cell, REGION)).unwrap();
        let live: Vec<Record> = log.records().collect::<Result<_, _>>().unwrap();
        let first = live.len().saturating_sub(3);
        log.settle(&live[first..]).unwrap();
    }
    let after = numbers(flash);
    assert!(after.ends_with(&before[before.len().saturating_sub(3)..]) || after != before);
    after
}

/// The story: a confirmation torn in its last word read as whole at one boot, so that the other slot was erased, and as
/// torn at the next.
#[test]
fn a_settled_log_says_the_same_for_ever() {
    let every_byte: Vec<u32> = (0..=4_096)
        .filter(|at| *at <= 68 && at % 3 < 2 || at % 1_365 == 0)
        .collect();
    for already in [0, 1, 2, 5, FULL as u32 - 1, FULL as u32] {
        for seed in 0..3 {
            let mut flash = filled(already);
            flash.seed(seed);
            explore_power_cuts(
                &flash,
                &every_byte,
                |flash| {
                    let _ = append(flash, 1_000, 2);
                },
                |flash, cut| {
                    let first = settled(flash);
                    for boot in 0..6 {
                        assert_eq!(settled(flash), first, "{cut:?}, seed {seed}, boot {boot}");
                    }
                    append(flash, 1_001, 2).unwrap();
                    let was_there = first.contains(&1_000);
                    for boot in 0..6 {
                        let there = settled(flash);
                        assert_eq!(
                            there.contains(&1_000),
                            was_there,
                            "{cut:?}, seed {seed}, boot {boot}"
                        );
                        assert_eq!(there.last(), Some(&1_001));
                    }
                    assert_eq!(flash.rules_broken(), 0);
                },
            );
        }
    }
}

/// Settling is cut too: nobody acted on the log yet, so either answer will do, as long as it stays.
#[test]
fn a_cut_while_a_log_is_settled_is_settled_at_the_next_boot() {
    let tears = [0, 3, 63];
    for (already, seed) in [1, 4, FULL as u32]
        .into_iter()
        .flat_map(|already| (0..24).map(move |seed| (already, seed)))
    {
        let mut flash = filled(already);
        flash.seed(seed);
        explore_power_cuts(
            &flash,
            &tears,
            |flash| {
                let _ = append(flash, 1_000, 2);
            },
            |flash, first| {
                explore_power_cuts(
                    flash,
                    &tears,
                    |flash| {
                        let cell = RefCell::new(flash);
                        let mut log = RecordLog::open(Region::new(&cell, REGION)).unwrap();
                        let newest = log.records().next_back().map(Result::unwrap);
                        let _ = log.settle(newest.as_slice());
                    },
                    |flash, second| {
                        let once = settled(flash);
                        append(flash, 1_002, 2).unwrap();
                        let once: Vec<u32> = once.into_iter().chain([1_002]).collect();
                        let once = once[once.len().saturating_sub(3)..].to_vec();
                        for _ in 0..20 {
                            assert!(settled(flash).ends_with(&once), "{first:?}, then {second:?}");
                        }
                    },
                );
            },
        );
    }
}

#[test]
fn a_settled_log_is_settled_without_writing() {
    for already in 0..=FULL as u32 + 1 {
        let mut flash = filled(already);
        settled(&mut flash);
        flash.restart();
        settled(&mut flash);
        assert_eq!(flash.operations(), 0, "{already}");
    }
}

/// The story: power that went away twice at the very beginning of an append, without a trace, had the same cell begun a second time.
#[test]
fn no_cell_is_begun_twice_however_often_an_append_is_cut() {
    fn cut_often<const PROGRAM: usize>(rewrites: crate::sim::Rewrites, seed: u64) -> bool {
        let mut part = SimFlash::<PROGRAM, 2_048>::part(8_192, rewrites);
        part.seed(seed);
        let mut was_cut_unseen = false;
        for number in 0..40_u32 {
            part.restart();
            let operation = u64::from(number / 2 % 3);
            if number >= 2 && number % 5 != 0 {
                part.cut_power_at(crate::sim::PowerCut {
                    operation,
                    torn_at: 0,
                });
            }
            let cell = RefCell::new(part);
            let region = Region::new(&cell, Partition::new(0, 8_192));
            let mut log = RecordLog::open(region).unwrap();
            let newest = log.records().next_back().map(Result::unwrap);
            let appended = log.append(&note(number), newest.as_slice());
            part = cell.into_inner();
            was_cut_unseen |= !part.is_powered() && operation == 0;
            assert!(
                appended.is_ok() || !part.is_powered(),
                "seed {seed}, {number}: {appended:?}"
            );
            assert_eq!(part.rules_broken(), 0, "seed {seed}, {number}");
        }
        was_cut_unseen
    }
    for seed in 0..2_000 {
        assert!(cut_often::<4>(crate::sim::Rewrites::Bitwise, seed));
        assert!(cut_often::<8>(crate::sim::Rewrites::Once, seed));
    }
}

/// Parts of every kind take a log, and none is asked for what it cannot do.
#[test]
fn a_log_lives_on_parts_of_every_geometry() {
    lives_on::<1, 256>(crate::sim::Rewrites::Bitwise);
    lives_on::<4, 1_024>(crate::sim::Rewrites::Once);
    lives_on::<8, 2_048>(crate::sim::Rewrites::Once);
    lives_on::<16, 8_192>(crate::sim::Rewrites::Once);
    lives_on::<32, 0x1_0000>(crate::sim::Rewrites::Once);
}

fn lives_on<const PROGRAM: usize, const SECTOR: usize>(rewrites: crate::sim::Rewrites) {
    let bank = log_bank_bytes(SECTOR as u32);
    let mut part = SimFlash::<PROGRAM, SECTOR>::part(2 * bank, rewrites);
    for number in 0..200 {
        part.restart();
        // The power goes away in every third append.
        if number % 3 == 2 {
            part.cut_power_at(crate::sim::PowerCut {
                operation: u64::from(number) / 3 % 2,
                torn_at: number % 64,
            });
        }
        let before = part.clone();
        let cell = RefCell::new(part);
        let region = Region::new(&cell, Partition::new(0, 2 * bank));
        let mut log = RecordLog::open(region).unwrap();
        let newest = log.records().next_back().map(Result::unwrap);
        let appended = log
            .settle(newest.as_slice())
            .and_then(|()| log.append(&note(number), newest.as_slice()));
        cell.borrow_mut().restart();
        if appended.is_ok() {
            let log = RecordLog::open(region).unwrap();
            assert_eq!(log.records().next_back().unwrap().unwrap(), note(number));
        }
        part = cell.into_inner();
        assert_eq!(part.rules_broken(), 0, "after {} operations", before.operations());
    }
    assert!(part.wear().iter().any(|erased| *erased > 0));
}

/// All cells within two bits of a sound one, 131,328 of them, and all with a burst of wrong bits up to a byte long.
#[test]
fn no_cell_with_few_bits_wrong_is_a_record() {
    let sound = note(0x0102_0304).encode(7);
    assert!(Record::decode(&sound).is_some());
    let flipped = |bits: &[usize]| {
        let mut cell = sound;
        bits.iter().for_each(|bit| cell[bit / 8] ^= 1 << (bit % 8));
        Record::decode(&cell)
    };
    for first in 0..RECORD_BYTES * 8 {
        assert_eq!(flipped(&[first]), None);
        for second in 0..first {
            assert_eq!(flipped(&[first, second]), None, "{first} {second}");
        }
    }
    for at in 0..RECORD_BYTES {
        for wrong in 1..=u8::MAX {
            let mut cell = sound;
            cell[at] ^= wrong;
            assert_eq!(Record::decode(&cell), None);
        }
    }
}

/// Every kind and every length of payload comes back with every serial that a bank can hold.
#[test]
fn every_record_comes_back() {
    for kind in 1..=u8::MAX {
        for length in 0..=RECORD_PAYLOAD_BYTES_MAX {
            let serial = u16::from(kind) ^ length as u16;
            let record = Record::new(kind, &std::vec![kind; length]).unwrap();
            assert_eq!(Record::decode(&record.encode(serial)), Some((serial, record)));
        }
    }
    assert_eq!(Record::new(VOID, &[]), None);
}
