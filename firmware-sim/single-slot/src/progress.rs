//! What the updater says, in words, without `core::fmt`.

use deltagate_flash::say::say_number;
use deltagate_updater::JournalState;

/// Puts what the journal says now, without a prefix or an end. Nothing for what needs no line.
pub(crate) fn say(state: JournalState, put: &mut dyn FnMut(&[u8])) {
    match state {
        JournalState::Idle(None) => {}
        JournalState::Idle(Some(outcome)) => put(outcome.text().as_bytes()),
        JournalState::Requested(request) => {
            put(b"checking a patch of ");
            say_number(request.patch_bytes, false, put);
            put(b" bytes");
        }
        JournalState::Moving(_, geometry, sectors) => {
            put(b"moving up the old image, sectors left: ");
            say_number(sectors, false, put);
            put(b" of ");
            say_number(geometry.base, false, put);
        }
        JournalState::Writing(_, _, None) => put(b"writing the new image"),
        JournalState::Writing(_, _, Some(checkpoint)) => {
            put(b"writing the new image, bytes safe: ");
            say_number(checkpoint.position, false, put);
        }
        JournalState::Written => put(b"verifying the new image"),
        JournalState::Fetching(lost, ..) => {
            put(b"no image: ");
            put(lost.text().as_bytes());
        }
    }
}
