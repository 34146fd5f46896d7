//! How one key of a device takes another's place: by a rotation, a handshake, or its first use; and how one is destroyed.

use crate::change::Change;
use crate::contact::ClockView;
use crate::credentials::{Credentials, Kid};
use crate::identities::{CredentialRecord, IdentityChange, Phase};
use crate::journal::Journal;
use crate::oscore::KeyState;
use crate::psk::{PskIdentity, PskRecord};
use crate::units::Now;
use wire_checkin::DeviceId;

/// Gives a device credentials that count from their first use on; those before count until then, and at most for so long.
pub(super) fn supersede(
    journal: &mut Journal,
    now: Now,
    id: DeviceId,
    credentials: Credentials,
    old_valid_s: u32,
) {
    let records: Vec<CredentialRecord> = journal.state().identities.of(id).cloned().collect();
    let until_unix_s = now.unix_s.saturating_add(old_valid_s.into());
    for record in records {
        match record.phase {
            Phase::Current => {
                let record = CredentialRecord {
                    phase: Phase::Leaving { until_unix_s },
                    ..record
                };
                journal.record(Change::Identity(IdentityChange::Credentials(record)));
            }
            // Whoever rotates again does not prolong what is to go.
            Phase::Leaving { .. } => {}
            Phase::Next => destroy(journal, record.credentials.kid),
        }
    }
    journal.record(Change::Identity(IdentityChange::Credentials(CredentialRecord {
        device: id,
        credentials,
        phase: Phase::Next,
        enrolled_unix_s: now.unix_s,
    })));
}

/// Gives a device the credentials that it established by a handshake: its only ones if it had none, else as a rotation does, so that
/// one that does not learn how the handshake ended goes on with those it has.
pub(crate) fn established(journal: &mut Journal, now: Now, id: DeviceId, credentials: Credentials) {
    if journal.state().identities.is_enrolled(id) {
        supersede(journal, now, id, credentials, OLD_VALID_S);
        return;
    }
    journal.record(Change::Identity(IdentityChange::Credentials(CredentialRecord {
        device: id,
        credentials,
        phase: Phase::Current,
        enrolled_unix_s: now.unix_s,
    })));
}

/// As `device rotate` has it where nothing is said.
const OLD_VALID_S: u32 = 30 * 86_400;

/// Ends rotations whose bound has passed, by a clock that is set.
pub(crate) fn end_rotations(journal: &mut Journal, now: Now) {
    if !ClockView::of(now).is_set {
        return;
    }
    let identities = &journal.state().identities;
    let over: Vec<DeviceId> = identities.leaving_until(now.unix_s).collect();
    let psks_over = identities.psks.leaving_until(now.unix_s);
    for id in over {
        end_rotation(journal, id);
    }
    for id in psks_over {
        end_psk_rotation(journal, id);
    }
}

/// The new key of DTLS is all that counts. A device that has proved who it is has to go on doing so.
fn end_psk_rotation(journal: &mut Journal, id: DeviceId) {
    let psks = &journal.state().identities.psks;
    let used_unix_s = psks.used_since(id);
    let records: Vec<PskRecord> = psks.of(id).into_iter().cloned().collect();
    for record in records {
        let change = match record.phase {
            Phase::Leaving { .. } => IdentityChange::PskDestroyed(record.psk.identity),
            Phase::Next => IdentityChange::Psk(PskRecord {
                phase: Phase::Current,
                used_unix_s,
                ..record
            }),
            Phase::Current => continue,
        };
        journal.record(Change::Identity(change));
    }
}

/// Notes that a device proved to have a key of DTLS: a rotation to that key is done.
pub(crate) fn psk_used(journal: &mut Journal, now: Now, identity: PskIdentity) {
    let psks = &journal.state().identities.psks;
    let Some(record) = psks.get(identity).cloned() else {
        return;
    };
    let (device, phase) = (record.device, record.phase);
    if record.used_unix_s.is_none() {
        let used_unix_s = Some(now.unix_s);
        let record = PskRecord {
            used_unix_s,
            ..record
        };
        journal.record(Change::Identity(IdentityChange::Psk(record)));
    }
    if phase == Phase::Next {
        end_psk_rotation(journal, device);
    }
}

/// The new credentials are all that counts. A device that has proved who it is has to go on doing so.
fn end_rotation(journal: &mut Journal, id: DeviceId) {
    let identities = &journal.state().identities;
    let used_unix_s = identities.view(id).used_unix_s;
    let records: Vec<CredentialRecord> = identities.of(id).cloned().collect();
    for record in records {
        let kid = record.credentials.kid;
        match record.phase {
            Phase::Leaving { .. } => destroy(journal, kid),
            Phase::Next => {
                let credentials = CredentialRecord {
                    phase: Phase::Current,
                    ..record
                };
                journal.record(Change::Identity(IdentityChange::Credentials(credentials)));
                set_used(journal, kid, used_unix_s);
            }
            Phase::Current => {}
        }
    }
}

/// Notes that a device proved to have a key: a rotation to that key is done.
pub(crate) fn used(journal: &mut Journal, now: Now, kid: Kid) {
    let identities = &journal.state().identities;
    let Some(record) = identities.get(kid) else {
        return;
    };
    let (device, phase) = (record.device, record.phase);
    if identities.key_state(kid).used_unix_s.is_none() {
        set_used(journal, kid, Some(now.unix_s));
    }
    if phase == Phase::Next {
        end_rotation(journal, device);
    }
}

fn set_used(journal: &mut Journal, kid: Kid, used_unix_s: Option<u64>) {
    let state = journal.state().identities.key_state(kid);
    let wanted = KeyState { used_unix_s, ..state };
    if wanted != state {
        journal.record(Change::Identity(IdentityChange::KeyState(kid, wanted)));
    }
}

/// What is known of whether it was used goes with a key; which numbers were used under it does not, for it may come back.
pub(super) fn destroy(journal: &mut Journal, kid: Kid) {
    set_used(journal, kid, None);
    journal.record(Change::Identity(IdentityChange::Destroyed(kid)));
}
