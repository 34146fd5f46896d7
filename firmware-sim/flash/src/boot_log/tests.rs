use core::cell::RefCell;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::Partition;
use crate::sim::{SimFlash, explore_power_cuts};

const REGION: Partition = Partition::new(0, 8192);

fn state(flash: &mut SimFlash) -> BootLogState {
    let flash = RefCell::new(flash);
    BootLog::open(Region::new(&flash, REGION)).unwrap().state()
}

fn append(flash: &mut SimFlash, record: BootRecord) -> Result<(), AppendError> {
    let flash = RefCell::new(flash);
    BootLog::open(Region::new(&flash, REGION))?.append(record)
}

fn live(state: &BootLogState) -> Vec<BootRecord> {
    let mut records = Vec::new();
    state.each_live(&mut |record| records.push(record));
    records
}

fn fold(records: &[BootRecord]) -> BootLogState {
    records
        .iter()
        .fold(BootLogState::default(), |state, &record| state.after(record))
}

const CONFIRMED_5: BootRecord = BootRecord::Confirmed { sequence: 5 };
const TRIAL_6: BootRecord = BootRecord::Trial {
    sequence: 6,
    slot: Slot::B,
};
const ATTEMPT_6: BootRecord = BootRecord::Attempt { sequence: 6 };
const REVERTED_6: BootRecord = BootRecord::Reverted {
    sequence: 6,
    reason: RevertReason::Watchdog,
};

#[test]
fn a_trial_counts_its_own_attempts_up_to_the_limit() {
    let state = fold(&[
        CONFIRMED_5,
        TRIAL_6,
        ATTEMPT_6,
        BootRecord::Attempt { sequence: 4 },
        ATTEMPT_6,
    ]);
    assert_eq!(
        state.trial,
        Some(Trial {
            sequence: 6,
            slot: Slot::B
        })
    );
    assert_eq!(state.attempts, 2);
    assert_eq!(
        fold(&[TRIAL_6, ATTEMPT_6, ATTEMPT_6, ATTEMPT_6, ATTEMPT_6]).attempts,
        TRIAL_BOOTS_MAX
    );
}

#[test]
fn a_confirmation_ends_the_trial_and_never_goes_down() {
    let state = fold(&[
        CONFIRMED_5,
        TRIAL_6,
        ATTEMPT_6,
        BootRecord::Confirmed { sequence: 6 },
        CONFIRMED_5,
    ]);
    assert_eq!(
        state,
        BootLogState {
            confirmed: Some(6),
            ..BootLogState::default()
        }
    );
}

#[test]
fn a_revert_ends_its_trial_and_stays_to_be_reported() {
    let state = fold(&[CONFIRMED_5, TRIAL_6, ATTEMPT_6, REVERTED_6]);
    assert_eq!(state.trial, None);
    assert_eq!(
        state.reverted,
        Some(Reverted {
            sequence: 6,
            reason: RevertReason::Watchdog
        })
    );
    assert_eq!(state.confirmed, Some(5));
    let retried = state.after(TRIAL_6);
    assert_eq!(
        (retried.trial.is_some(), retried.attempts),
        (true, 0),
        "a retry starts from nothing"
    );
    assert_eq!(
        retried.after(BootRecord::Confirmed { sequence: 6 }).reverted,
        None
    );
}

/// A gateway that offers a bad image again and again, another bad one between, does not get more trials that way.
#[test]
fn an_image_is_given_up_after_so_many_trials_whatever_is_tried_between() {
    let reverted = |sequence| BootRecord::Reverted {
        sequence,
        reason: RevertReason::NoContact,
    };
    let mut state = fold(&[CONFIRMED_5, reverted(7)]);
    for count in 2..=FAILED_TRIALS_MAX {
        assert_eq!(state.given_up(), None);
        state = state.after(TRIAL_6).after(reverted(6 + u32::from(count) % 2));
    }
    assert_eq!(state.given_up(), Some(7));
    let newer = state.after(reverted(8));
    assert_eq!(
        newer.given_up(),
        None,
        "an image not known yet gets its own chance"
    );
    assert_eq!(newer.failed, Some(FailedTrials { newest: 8, count: 1 }));
    let confirmed = newer.after(BootRecord::Confirmed { sequence: 8 });
    assert_eq!((confirmed.reverted, confirmed.failed), (None, None));
}

/// The write of a confirmation reported an error and was there all the same; then the agent gave up.
#[test]
fn a_confirmed_image_is_not_reverted_any_more() {
    let confirmed = fold(&[CONFIRMED_5, TRIAL_6, BootRecord::Confirmed { sequence: 6 }]);
    assert_eq!(confirmed.after(REVERTED_6), confirmed);
}

#[test]
fn a_confirmation_is_found_behind_damaged_sector_headers() {
    let mut flash = SimFlash::new(8192);
    append(&mut flash, CONFIRMED_5).unwrap();
    for _ in 0..70 {
        append(&mut flash, TRIAL_6).unwrap();
        append(&mut flash, BootRecord::Confirmed { sequence: 6 }).unwrap();
    }
    assert!(
        flash.wear().iter().all(|erased| *erased > 0),
        "both sectors were used"
    );
    for damaged in [&[0][..], &[4096], &[0, 4096]] {
        let mut flash = flash.clone();
        for &at in damaged {
            flash.bytes_mut()[at] ^= 1;
        }
        assert_eq!(state(&mut flash).confirmed, Some(6), "{damaged:?}");
        append(&mut flash, TRIAL_6).unwrap();
        assert_eq!(
            state(&mut flash).confirmed,
            Some(6),
            "it is written anew: {damaged:?}"
        );
    }
}

#[test]
fn the_numbers_of_reasons_are_those_of_the_protocol() {
    for (reason, code) in [
        (RevertReason::NoContact, 10),
        (RevertReason::Watchdog, 11),
        (RevertReason::Fault, 12),
        (RevertReason::BootVerification, 13),
        (RevertReason::SelfTest, 16),
    ] {
        assert_eq!(reason.code(), code);
        assert_eq!(RevertReason::from_code(code), Some(reason));
    }
    assert_eq!(RevertReason::from_code(1), None);
}

#[test]
fn records_have_the_documented_layout() {
    let bytes = |record: BootRecord| {
        let record = record.encode();
        (record.kind(), record.payload().to_vec())
    };
    let sequence = 0x0403_0201;
    let slot = Slot::B;
    let reason = RevertReason::Fault;
    assert_eq!(
        bytes(BootRecord::Confirmed { sequence }),
        (1, [1, 2, 3, 4, 0].to_vec())
    );
    assert_eq!(
        bytes(BootRecord::Trial { sequence, slot }),
        (2, [1, 2, 3, 4, 1].to_vec())
    );
    assert_eq!(
        bytes(BootRecord::Attempt { sequence }),
        (3, [1, 2, 3, 4, 0].to_vec())
    );
    assert_eq!(
        bytes(BootRecord::Reverted { sequence, reason }),
        (4, [1, 2, 3, 4, 12].to_vec())
    );
}

#[test]
fn a_record_of_an_unknown_kind_or_length_is_skipped() {
    let flash = RefCell::new(SimFlash::new(8192));
    let region = Region::new(&flash, REGION);
    let mut records = RecordLog::open(region).unwrap();
    for strange in [
        Record::new(99, &[0; 5]),
        Record::new(CONFIRMED, &[1]),
        Record::new(TRIAL, &[1, 0, 0, 0, 7]),
    ] {
        records.append(&strange.unwrap(), &[]).unwrap();
    }
    assert_eq!(BootLog::open(region).unwrap().state(), BootLogState::default());
}

/// The whole life of an update, every append cut at several bytes: the state is the one before or the one after.
#[test]
fn every_record_is_atomic() {
    let story = [CONFIRMED_5, TRIAL_6, ATTEMPT_6, ATTEMPT_6, REVERTED_6];
    for told in 0..story.len() {
        let mut flash = SimFlash::new(8192);
        for &record in &story[..told] {
            append(&mut flash, record).unwrap();
        }
        let every_byte: Vec<u32> = (0..=64).collect();
        explore_power_cuts(
            &flash,
            &every_byte,
            |flash| {
                let _ = append(flash, story[told]);
            },
            |flash, cut| {
                let now = state(flash);
                assert!(
                    now == fold(&story[..told]) || now == fold(&story[..=told]),
                    "{cut:?}"
                );
            },
        );
    }
}

/// States × records, in short: `c` confirmed, `t` on trial and the attempts, `r` reverted and how often.
fn table() -> std::string::String {
    use std::format;
    let short = |state: &BootLogState| {
        let part = |name: &str, value: Option<std::string::String>| {
            value.map_or(format!("{name}-"), |value| format!("{name}{value}"))
        };
        format!(
            "{} {} {}",
            part("c", state.confirmed.map(|sequence| format!("{sequence}"))),
            part(
                "t",
                state
                    .trial
                    .map(|trial| format!("{}{}*{}", trial.sequence, trial.slot, state.attempts))
            ),
            part(
                "r",
                state.reverted.zip(state.failed).map(|(reverted, failed)| {
                    format!(
                        "{}/{}*{}<={}",
                        reverted.sequence,
                        reverted.reason.code(),
                        failed.count,
                        failed.newest
                    )
                })
            ),
        )
    };
    let reverted = |sequence| BootRecord::Reverted {
        sequence,
        reason: RevertReason::NoContact,
    };
    let trial = |sequence, slot| BootRecord::Trial { sequence, slot };
    let records = [
        BootRecord::Confirmed { sequence: 4 },
        BootRecord::Confirmed { sequence: 5 },
        BootRecord::Confirmed { sequence: 6 },
        BootRecord::Confirmed { sequence: 7 },
        trial(5, Slot::A),
        trial(6, Slot::A),
        trial(6, Slot::B),
        trial(7, Slot::B),
        BootRecord::Attempt { sequence: 5 },
        ATTEMPT_6,
        BootRecord::Attempt { sequence: 7 },
        reverted(5),
        reverted(6),
        reverted(7),
    ];
    let starts: [&[BootRecord]; 3] = [&[], &[CONFIRMED_5], &[CONFIRMED_5, TRIAL_6, REVERTED_6]];
    let trials: [&[BootRecord]; 5] = [
        &[],
        &[TRIAL_6],
        &[TRIAL_6, ATTEMPT_6],
        &[TRIAL_6, ATTEMPT_6, ATTEMPT_6],
        &[TRIAL_6, ATTEMPT_6, ATTEMPT_6, ATTEMPT_6],
    ];
    let mut table = std::string::String::new();
    for start in starts {
        for trial in trials {
            let state = fold(&[start, trial].concat());
            table += &format!("{}\n", short(&state));
            for record in records {
                let name = match record {
                    BootRecord::Confirmed { sequence } => format!("Confirmed {sequence}"),
                    BootRecord::Trial { sequence, slot } => format!("Trial {sequence} in {slot}"),
                    BootRecord::Attempt { sequence } => format!("Attempt {sequence}"),
                    BootRecord::Reverted { sequence, .. } => format!("Reverted {sequence}"),
                };
                table += &format!("  {name:<13} {}\n", short(&state.after(record)));
            }
        }
    }
    table
}

/// Every cell, written down. `DELTAGATE_WRITE_TABLES=1` writes it anew.
#[test]
fn every_cell_is_as_written_down() {
    let (table, path) = (
        table(),
        concat!(env!("CARGO_MANIFEST_DIR"), "/src/boot_log/table.txt"),
    );
    if std::env::var_os("DELTAGATE_WRITE_TABLES").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let written = include_str!("table.txt");
    for (number, (now, then)) in table.lines().zip(written.lines()).enumerate() {
        assert_eq!(now, then, "line {}", number + 1);
    }
    assert_eq!((table.len(), table.lines().count()), (written.len(), 15 * 15));
}

/// Every row of records up to four long, over three numbers, both slots and one reason: 13 kinds of records, 30,940 rows.
/// The counter never falls and only a confirmation raises it; attempts are bounded; nothing confirmed is on trial or reverted.
#[test]
fn the_rules_hold_for_all_histories_up_to_four_records() {
    let mut kinds = Vec::new();
    for sequence in [0, 1, u32::MAX] {
        kinds.push(BootRecord::Confirmed { sequence });
        kinds.push(BootRecord::Trial {
            sequence,
            slot: Slot::A,
        });
        kinds.push(BootRecord::Attempt { sequence });
        let reason = RevertReason::Fault;
        kinds.push(BootRecord::Reverted { sequence, reason });
    }
    kinds.push(BootRecord::Trial {
        sequence: 1,
        slot: Slot::B,
    });
    let mut rows = 0;
    let mut states = Vec::from([BootLogState::default()]);
    for _ in 0..4 {
        let mut longer = Vec::new();
        for state in &states {
            for &record in &kinds {
                let after = state.after(record);
                rows += 1;
                let raised = after.confirmed > state.confirmed;
                assert!(after.confirmed >= state.confirmed);
                assert!(
                    !raised
                        || matches!(record, BootRecord::Confirmed { sequence } if Some(sequence) == after.confirmed)
                );
                assert!(after.attempts <= TRIAL_BOOTS_MAX);
                assert!(after.trial.is_some() || after.attempts == 0);
                assert_eq!(after.reverted.is_some(), after.failed.is_some());
                assert!(
                    after
                        .reverted
                        .is_none_or(|reverted| Some(reverted.sequence) > after.confirmed)
                );
                assert_eq!(fold(&live(&after)), after, "a compaction forgets nothing");
                longer.push(after);
            }
        }
        states = longer;
    }
    assert_eq!(rows, 13 + 13 * 13 + 13 * 13 * 13 + 13 * 13 * 13 * 13);
}

/// Every kind, every number of one byte, every payload length up to one too many, every value of the last byte.
#[test]
fn the_codec_takes_what_it_gives_out_and_nothing_else() {
    let mut taken = 0;
    for kind in 1..=u8::MAX {
        for length in 0..=6 {
            for sequence in [0, 1, 0x0102_0304, u32::MAX] {
                for extra in 0..=u8::MAX {
                    let mut payload = [extra; 6];
                    payload[..4].copy_from_slice(&sequence.to_le_bytes());
                    let record = Record::new(kind, &payload[..length]).unwrap();
                    if let Some(decoded) = BootRecord::decode(&record) {
                        taken += 1;
                        let same = BootRecord::decode(&decoded.encode());
                        assert_eq!(same, Some(decoded));
                        assert_eq!(decoded.encode().payload()[..4], record.payload()[..4]);
                        assert_eq!((kind, length >= 5), (decoded.encode().kind(), true));
                    }
                }
            }
        }
    }
    // The last byte is free in a confirmation and in an attempt: a bootloader that did not count a confirmation because of it
    // would let an older image run. It is a slot in a trial, and one of five reasons in a revert. Four numbers each.
    // Five bytes, or more of a later version.
    assert_eq!(taken, (256 + 256 + 2 + 5) * 4 * 2);
}

fn any_record() -> impl Strategy<Value = BootRecord> {
    let slot = prop_oneof![Just(Slot::A), Just(Slot::B)];
    let reason = proptest::sample::select(&[10u8, 11, 12, 13, 16][..])
        .prop_map(|code| RevertReason::from_code(code).unwrap());
    let sequence = 0u32..6;
    prop_oneof![
        sequence
            .clone()
            .prop_map(|sequence| BootRecord::Confirmed { sequence }),
        (sequence.clone(), slot).prop_map(|(sequence, slot)| BootRecord::Trial { sequence, slot }),
        sequence
            .clone()
            .prop_map(|sequence| BootRecord::Attempt { sequence }),
        (sequence, reason).prop_map(|(sequence, reason)| BootRecord::Reverted { sequence, reason }),
    ]
}

proptest! {
    /// Compaction forgets nothing that matters: the flash says what folding every record ever written says.
    #[test]
    fn the_log_is_the_fold_of_all_that_was_written(records in prop::collection::vec(any_record(), 0..200)) {
        let mut flash = SimFlash::new(8192);
        for &record in &records {
            append(&mut flash, record).unwrap();
        }
        prop_assert_eq!(state(&mut flash), fold(&records));
    }

    #[test]
    fn the_live_records_fold_to_the_state(records in prop::collection::vec(any_record(), 0..40)) {
        let state = fold(&records);
        let live = live(&state);
        prop_assert!(live.len() <= LIVE_MAX);
        prop_assert_eq!(fold(&live), state);
    }
}
