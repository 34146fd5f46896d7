//! `update pause`: no new block leaves until `update resume`.
//!
//! | a device that | meanwhile |
//! |---|---|
//! | was told of nothing | is answered as if there were nothing to do |
//! | was told of an update | is told of the same at each check-in, because an answer without it would take the update back (it would drop what it has); its blocks are answered with 5.03 |
//! | has everything | applies, restarts and confirms itself: its check-ins are answered as ever, so that no trial ends for want of contact |

use crate::change::Change;
use crate::command::Reply;
use crate::decision::Decision;
use crate::journal::Journal;
use crate::records::{ArtefactRecord, Offer, UpdateState};
use crate::state::State;
use crate::units::{Bytes, Now};
use crate::views::{NextStep, TransferView};
use wire_checkin::DeviceId;

/// Seconds after which a device asks again for a block: what a pause costs a device that waits is one exchange in five
/// minutes, and what it costs the operator is as long a wait after it.
pub const PAUSE_MAX_AGE_S: u32 = 300;

pub(crate) fn pause(journal: &mut Journal, now: Now) -> Reply {
    if journal.state().paused_unix_s.is_some() {
        return Reply::Unchanged;
    }
    journal.record(Change::Paused(now.unix_s));
    let (waiting, applying) = under_way(journal.state());
    Reply::Paused { waiting, applying }
}

pub(crate) fn resume(journal: &mut Journal) -> Reply {
    if journal.state().paused_unix_s.is_none() {
        return Reply::Unchanged;
    }
    journal.record(Change::Resumed);
    let (waiting, _) = under_way(journal.state());
    Reply::Resumed { waiting }
}

/// Whether a device is not to be told of this artefact now.
pub(crate) fn holds_back(state: &State, id: DeviceId, artefact: &ArtefactRecord) -> bool {
    state.paused_unix_s.is_some() && !state.offers_of(id).any(|offer| offer.artefact == artefact.digest)
}

/// Ends the pause, where that is what an update waits for.
pub(crate) fn next_step(
    state: &State,
    decision: &Decision<'_>,
    transfer: Option<&TransferView>,
) -> Option<NextStep> {
    let has_everything = transfer.is_some_and(|transfer| transfer.progress.served_to >= transfer.size);
    let waits = matches!(decision, Decision::Offer { .. }) && !has_everything;
    (state.paused_unix_s.is_some() && waits).then(|| NextStep {
        why: "end the pause when it has served its purpose".into(),
        command: "deltagate update resume".into(),
    })
}

/// Devices that were told and lack blocks, and devices that have everything.
fn under_way(state: &State) -> (usize, usize) {
    let is_open = |offer: &&Offer| {
        let update = state.updates.get(&(offer.device, offer.image));
        update.is_some_and(|update| update.state == UpdateState::Offered { path: offer.path })
    };
    let has_everything = |offer: &Offer| {
        let size = state
            .artefact_of(offer)
            .map_or(Bytes(u64::MAX), |artefact| artefact.size);
        let progress = state.progress.get(&offer.path);
        progress.is_some_and(|progress| progress.served_to >= size)
    };
    let open: Vec<&Offer> = state.offers.values().filter(is_open).collect();
    let applying = open.iter().filter(|offer| has_everything(offer)).count();
    (open.len() - applying, applying)
}
