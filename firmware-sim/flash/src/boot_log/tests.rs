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

fn any_record() -> impl Strategy<Value = BootRecord> {
    let slot = prop_oneof![Just(Slot::A), Just(Slot::B)];
    let reason = (10u8..=13).prop_map(|code| RevertReason::from_code(code).unwrap());
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
        let live: Vec<BootRecord> = state.live().collect();
        prop_assert!(live.len() <= LIVE_MAX);
        prop_assert_eq!(fold(&live), state);
    }
}
