use core::cell::RefCell;

use deltagate_flash::Layout;
use deltagate_flash::sim::{SimFlash, explore_power_cuts};
use wire_checkin::{Format, JobPath};

use super::codec::{LINK, STAGED};
use super::*;

const LAYOUT: Layout = Layout::packed(4096, 4 * 4096);

fn job(sequence_number: u64) -> Job {
    Job {
        path: JobPath::new("k3Tq9Za").unwrap(),
        format: Format::Patch,
        payload_bytes: 2_913,
        artefact_digest: core::array::from_fn(|i| i as u8),
        sequence_number,
        severity: Severity::Mandatory,
        defer_s_max: None,
    }
}

fn refusal(sequence_number: u64) -> LastUpdate {
    LastUpdate {
        sequence_number,
        outcome: Outcome::NoSpace,
        detail: Some(77),
    }
}

#[test]
fn every_record_comes_back_and_has_the_documented_layout() {
    let records = [
        JournalRecord::Link(Link {
            ack_timeout_ms: 15_000,
            round_trip_ms: 2_100,
        }),
        JournalRecord::JobStarted(job(u64::MAX)),
        JournalRecord::SmallerBlocks(BlockSize::B128),
        JournalRecord::Staged,
        JournalRecord::Verified,
        JournalRecord::Armed,
        JournalRecord::Terms(Terms {
            severity: Severity::Critical,
            defer_s_max: Some(3_600),
        }),
        JournalRecord::Terms(Terms::DEFAULT),
        JournalRecord::Deferred(Deferred {
            sequence_number: u64::MAX,
            since_ms: 77,
        }),
        JournalRecord::JobEnded,
        JournalRecord::Outcome(refusal(9)),
        JournalRecord::Outcome(LastUpdate {
            detail: None,
            ..refusal(9)
        }),
        JournalRecord::Reported(Told::of(&refusal(9))),
        JournalRecord::Started(0x0102_0304),
        JournalRecord::Mending(0x0506_0708),
        JournalRecord::Firm(0x090A_0B0C),
    ];
    let protected = Trace::from_word(0x0D0E_0F10).map(JournalRecord::Protected);
    assert_eq!(protected.is_some(), cfg!(feature = "oscore"));
    for record in records.into_iter().chain(protected) {
        assert_eq!(JournalRecord::decode(&record.encode()), Some(record));
    }
    let started = JournalRecord::JobStarted(job(2)).encode();
    assert_eq!(started.kind(), 2);
    assert_eq!(
        started.payload()[..16],
        core::array::from_fn::<u8, 16, _>(|i| i as u8)
    );
    assert_eq!(
        started.payload()[16..29],
        [3, 0x61, 0x0B, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0]
    );
    assert_eq!(&started.payload()[29..], b"k3Tq9Za");
}

#[test]
fn unknown_kinds_and_odd_lengths_are_no_records() {
    assert_eq!(JournalRecord::decode(&Record::new(99, &[]).unwrap()), None);
    assert_eq!(JournalRecord::decode(&Record::new(STAGED, &[0]).unwrap()), None);
    assert_eq!(JournalRecord::decode(&Record::new(LINK, &[0; 7]).unwrap()), None);
}

#[test]
fn arming_forgets_that_the_same_image_was_reported() {
    let told = Told {
        sequence: 2,
        code: Outcome::RevertedFault.code(),
    };
    let state = JournalState::default().after(JournalRecord::Reported(told));
    let started = state
        .after(JournalRecord::JobStarted(job(2)))
        .after(JournalRecord::Staged);
    assert_eq!(
        started.reported,
        Some(told),
        "its old revert is still in the boot log"
    );
    assert_eq!(started.after(JournalRecord::Armed).reported, None);
    let other = state
        .after(JournalRecord::JobStarted(job(3)))
        .after(JournalRecord::Armed);
    assert_eq!(other.reported, Some(told));
}

#[test]
fn the_same_under_another_path_and_terms_goes_on_where_it_is() {
    let terms = Terms {
        severity: Severity::Optional,
        defer_s_max: Some(60),
    };
    let known = [
        JournalRecord::JobStarted(job(2)),
        JournalRecord::Terms(terms),
        JournalRecord::SmallerBlocks(BlockSize::B128),
        JournalRecord::Firm(256),
        JournalRecord::Mending(128),
    ];
    let known = known
        .into_iter()
        .fold(JournalState::default(), JournalState::after);
    let elsewhere = Job {
        path: JobPath::new("elsewhr").unwrap(),
        ..job(2)
    };
    for (reached, goes_on_from) in [
        (None, Stage::Started),
        (Some(JournalRecord::Staged), Stage::Staged),
        (Some(JournalRecord::Verified), Stage::Verified),
        (Some(JournalRecord::Armed), Stage::Staged),
    ] {
        let known = reached.map_or(known, |record| known.after(record));
        let there = JournalJob {
            job: terms.on(elsewhere),
            stage: goes_on_from,
            ..known.job.unwrap()
        };
        assert_eq!(known.after(JournalRecord::JobStarted(elsewhere)).job, Some(there));
    }
    let other = known.after(JournalRecord::JobStarted(job(3))).job.unwrap();
    assert_eq!((other.job, other.stage), (job(3), Stage::Started));
    assert_eq!(
        (other.block_size, other.mending, other.firm_bytes),
        (None, None, 0)
    );
}

#[test]
fn a_report_takes_away_only_the_outcome_it_is_about() {
    let state = JournalState::default().after(JournalRecord::Outcome(refusal(4)));
    let other = Told {
        sequence: 3,
        code: refusal(4).outcome.code(),
    };
    assert_eq!(
        state.after(JournalRecord::Reported(other)).outcome,
        Some(refusal(4))
    );
    assert_eq!(
        state
            .after(JournalRecord::Reported(Told::of(&refusal(4))))
            .outcome,
        None
    );
}

/// The power may go away before JobEnded is written: then a device that said that an update was over would go on with it.
#[test]
fn an_outcome_ends_the_update_that_it_is_about() {
    let verified = [
        JournalRecord::JobStarted(job(4)),
        JournalRecord::Staged,
        JournalRecord::Verified,
    ];
    let verified = verified
        .into_iter()
        .fold(JournalState::default(), JournalState::after);
    assert_eq!(verified.after(JournalRecord::Outcome(refusal(4))).job, None);
    let other = verified.after(JournalRecord::Outcome(refusal(3)));
    assert_eq!(other.job, verified.job);
}

#[test]
fn another_try_of_an_image_outlives_a_compaction_before_the_first_is_reported() {
    let again = [
        JournalRecord::Outcome(refusal(4)),
        JournalRecord::JobStarted(job(4)),
        JournalRecord::Staged,
    ];
    let again = again
        .into_iter()
        .fold(JournalState::default(), JournalState::after);
    let mut compacted = JournalState::default();
    again.each_live(&mut |record| compacted = compacted.after(record));
    assert_eq!(compacted, again);
    assert!(again.job.is_some() && again.outcome.is_some());
}

#[test]
fn compaction_and_power_cuts_keep_the_state() {
    let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
    let region = Region::new(&flash, LAYOUT.journal);
    let mut journal = Journal::open(region).unwrap();
    journal.count_start().unwrap();
    for sequence in 0..200 {
        journal
            .append(JournalRecord::Link(Link {
                ack_timeout_ms: 1,
                round_trip_ms: sequence as u32,
            }))
            .unwrap();
        journal.append(JournalRecord::JobStarted(job(sequence))).unwrap();
        journal.append(JournalRecord::Outcome(refusal(sequence))).unwrap();
        assert_eq!(Journal::open(region).unwrap().state(), journal.state());
    }
    let before = *journal.state();
    assert_eq!(before.starts, 1);
    let initial = flash.into_inner();
    for record in [
        JournalRecord::Staged,
        JournalRecord::Reported(Told::of(&refusal(199))),
        JournalRecord::Started(2),
    ] {
        explore_power_cuts(
            &initial,
            &[0, 3, 63, 4096],
            |flash| {
                let cell = RefCell::new(flash);
                let mut journal = Journal::open(Region::new(&cell, LAYOUT.journal)).unwrap();
                let _ = journal.append(record);
            },
            |flash, _| {
                let cell = RefCell::new(flash);
                let state = *Journal::open(Region::new(&cell, LAYOUT.journal)).unwrap().state();
                assert!(state == before || state == before.after(record));
            },
        );
    }
}

#[test]
fn what_is_known_already_is_not_written_again() {
    let flash = RefCell::new(SimFlash::new(LAYOUT.end_bytes()));
    let mut journal = Journal::open(Region::new(&flash, LAYOUT.journal)).unwrap();
    journal.append(JournalRecord::JobEnded).unwrap();
    assert_eq!(flash.borrow().operations(), 0);
}
