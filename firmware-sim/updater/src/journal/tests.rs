//! Every record in every state, and every record's bytes.

use core::cell::RefCell;
use std::string::String;
use std::vec::Vec;

use deltagate_flash::Partition;
use deltagate_flash::sim::SimFlash;

use super::*;

const REQUEST: Request = Request {
    patch_bytes: 0x01_0203,
    patch_digest: [9; 32],
};
const GEOMETRY: Geometry = Geometry {
    base: 5,
    gap: 3,
    interval: 2,
};
const CHECKPOINT_1: Checkpoint = Checkpoint {
    position: 8_192,
    place: 1,
};

fn states() -> [(&'static str, JournalState); 9] {
    use JournalState::{Fetching, Idle, Moving, Requested, Writing, Written};
    [
        ("idle", Idle(None)),
        ("idle again", Idle(Some(Outcome::Done))),
        ("requested", Requested(REQUEST)),
        ("moving", Moving(REQUEST, GEOMETRY, 4)),
        ("writing", Writing(REQUEST, GEOMETRY, None)),
        ("writing on", Writing(REQUEST, GEOMETRY, Some(CHECKPOINT_1))),
        ("written", Written),
        ("fetching", Fetching(Lost::Digest, None, 0)),
        ("fetching on", Fetching(Lost::Digest, Some([4; 32]), 2)),
    ]
}

fn entries() -> [(&'static str, Entry); 10] {
    [
        ("Requested", Entry::Requested(REQUEST)),
        ("Began", Entry::Began(GEOMETRY)),
        ("Moved", Entry::Moved(3)),
        ("Moved all", Entry::Moved(0)),
        ("Checkpoint", Entry::Checkpoint(CHECKPOINT_1)),
        ("Written", Entry::Written),
        ("Ended", Entry::Ended(Outcome::Sequence)),
        ("Lost", Entry::Lost(Lost::Patch)),
        ("Accepted", Entry::Accepted([4; 32])),
        ("Fetched", Entry::Fetched(3)),
    ]
}

fn short(state: JournalState) -> &'static str {
    match state {
        JournalState::Idle(_) => "idle",
        JournalState::Requested(_) => "requested",
        JournalState::Moving(..) => "moving",
        JournalState::Writing(..) => "writing",
        JournalState::Written => "written",
        JournalState::Fetching(..) => "fetching",
    }
}

#[test]
fn every_record_in_every_state() {
    let mut table = String::new();
    for (name, state) in states() {
        table += &std::format!("{name:12}");
        for (_, entry) in entries() {
            let after = state.after(entry);
            let cell = if after == state { "-" } else { short(after) };
            table += &std::format!("{cell:11}");
        }
        table = String::from(table.trim_end()) + "\n";
    }
    assert_eq!(table, TABLE, "\n{table}");
}

/// In the order of [`entries`]; `-` where nothing changes.
const TABLE: &str = "\
idle        requested  -          -          -          -          -          -          fetching   -          -
idle again  requested  -          -          -          -          -          -          fetching   -          -
requested   -          moving     -          -          -          -          idle       fetching   -          -
moving      -          -          moving     writing    -          -          -          fetching   -          -
writing     -          -          -          -          writing    written    -          fetching   -          -
writing on  -          -          -          -          -          written    -          fetching   -          -
written     -          -          -          -          -          -          idle       fetching   -          -
fetching    -          -          -          -          -          -          idle       fetching   fetching   -
fetching on -          -          -          -          -          written    idle       fetching   fetching   fetching
";

#[test]
fn every_state_survives_a_compaction() {
    for (name, state) in states() {
        let again = state.live().into_iter().flatten();
        let again = again.fold(JournalState::Idle(None), JournalState::after);
        assert_eq!(again, state, "{name}");
    }
}

#[test]
fn records_have_the_documented_bytes() {
    let bytes = |entry: Entry| {
        let record = entry.encode().unwrap();
        (record.kind(), record.payload().to_vec())
    };
    let words = |words: &[u32]| {
        words
            .iter()
            .flat_map(|word| word.to_le_bytes())
            .collect::<Vec<u8>>()
    };
    let mut request = words(&[0x01_0203]);
    request.extend([9; 32]);
    assert_eq!(bytes(Entry::Requested(REQUEST)), (1, request));
    assert_eq!(bytes(Entry::Began(GEOMETRY)), (2, words(&[5, 3, 2])));
    assert_eq!(bytes(Entry::Moved(7)), (3, words(&[7])));
    let mut checkpoint = words(&[8_192]);
    checkpoint.push(1);
    assert_eq!(bytes(Entry::Checkpoint(CHECKPOINT_1)), (4, checkpoint));
    assert_eq!(bytes(Entry::Written), (5, Vec::new()));
    assert_eq!(bytes(Entry::Ended(Outcome::NoRoom)), (6, std::vec![8]));
    assert_eq!(bytes(Entry::Lost(Lost::GivenUp)), (7, std::vec![5]));
    assert_eq!(bytes(Entry::Accepted([4; 32])), (8, std::vec![4; 32]));
    assert_eq!(bytes(Entry::Fetched(2)), (9, words(&[2])));
    for (name, entry) in entries() {
        let record = entry.encode().unwrap();
        assert_eq!(Entry::decode(&record), Some(entry), "{name}");
        let longer = std::vec![7; record.payload().len() + 1];
        let other = Record::new(10 + record.kind(), record.payload()).unwrap();
        assert_eq!(Entry::decode(&other), None);
        let _ = Entry::decode(&Record::new(record.kind(), &longer).unwrap());
        let _ = Entry::decode(&Record::new(record.kind(), &[]).unwrap());
    }
}

#[test]
fn a_journal_that_runs_full_goes_on() {
    let flash = RefCell::new(SimFlash::new(2 * 4_096));
    let region = Region::new(&flash, Partition::new(0, 2 * 4_096));
    let mut journal = Journal::open(region).unwrap();
    journal.append(Entry::Requested(REQUEST)).unwrap();
    journal
        .append(Entry::Began(Geometry {
            base: 200,
            ..GEOMETRY
        }))
        .unwrap();
    for sectors in (0..200).rev() {
        journal.append(Entry::Moved(sectors)).unwrap();
        let again = Journal::open(region).unwrap();
        assert_eq!(again.state(), journal.state());
    }
    assert!(matches!(journal.state(), JournalState::Writing(REQUEST, _, None)));
}
