//! What the log of numbers is relied on for while the device runs; everything else of the channel is in `tests/oscore.rs`.

use core::cell::RefCell;

use deltagate_flash::sim::SimFlash;
use deltagate_flash::{Layout, Region, SEQUENCE_CHUNK, SequenceLog, credentials_behind};
use wire_oscore::{Context, Id};

use super::Secured;
use crate::journal::Journal;

const LAYOUT: Layout = Layout::packed(4096, 3 * 4096);

/// The numbers that are in use are the device's, whatever becomes of its log: it is not gone back by when they are stored next.
#[test]
fn a_log_that_is_lost_while_it_is_used_turns_no_number_back() {
    let partition = credentials_behind(&LAYOUT);
    let flash = RefCell::new(SimFlash::new(partition.offset + partition.bytes));
    let region = Region::new(&flash, partition);
    let mut journal = Journal::open(Region::new(&flash, LAYOUT.journal)).unwrap();
    let (own, gateway) = (Id::new(&[1]).unwrap(), Id::new(&[2]).unwrap());
    let context = Context::derive(b"a secret", b"salt", None, own, gateway).unwrap();

    let mut secured = Secured::new(context, 0);
    for number in 0..7 * u64::from(SEQUENCE_CHUNK) {
        secured.reserve(region, &mut journal).unwrap();
        assert!(secured.sequence.take().is_some(), "{number}");
        // Nothing at all is what a start notices: it makes other keys.
        let stored = SequenceLog::open(region).unwrap().end();
        assert!(stored == 0 || stored > number, "{stored} of {number}");
        if number == 5 * u64::from(SEQUENCE_CHUNK) {
            SequenceLog::erase(region).unwrap();
        }
    }
}
