//! What the updater says, in words, without `core::fmt`.

use deltagate_updater::JournalState;

/// Puts what the journal says now, without a prefix or an end. Nothing for what needs no line.
pub(crate) fn say(state: JournalState, put: &mut dyn FnMut(&[u8])) {
    match state {
        JournalState::Idle(None) => {}
        JournalState::Idle(Some(outcome)) => put(outcome.text().as_bytes()),
        JournalState::Requested(request) => {
            put(b"checking a patch of ");
            say_number(request.patch_bytes, put);
            put(b" bytes");
        }
        JournalState::Moving(_, geometry, sectors) => {
            put(b"moving up the old image, sectors left: ");
            say_number(sectors, put);
            put(b" of ");
            say_number(geometry.base, put);
        }
        JournalState::Writing(_, _, None) => put(b"writing the new image"),
        JournalState::Writing(_, _, Some(checkpoint)) => {
            put(b"writing the new image, bytes safe: ");
            say_number(checkpoint.position, put);
        }
        JournalState::Written => put(b"verifying the new image"),
        JournalState::Fetching(lost, ..) => {
            put(b"no image: ");
            put(lost.text().as_bytes());
        }
    }
}

/// In decimal, from the highest digit that is not zero.
fn say_number(number: u32, put: &mut dyn FnMut(&[u8])) {
    let mut unit = 1_000_000_000;
    while unit > 1 && number < unit {
        unit /= 10;
    }
    while unit > 0 {
        put(&[b'0' + (number / unit % 10) as u8]);
        unit /= 10;
    }
}
