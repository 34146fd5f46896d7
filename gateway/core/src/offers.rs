//! Offers: the path of a payload, and what became of an image on a device.

use crate::change::Change;
use crate::decision;
use crate::identity::{ArtefactDigest, ImageDigest};
use crate::journal::Journal;
use crate::records::{ArtefactRecord, Offer, OfferPath, UpdateRecord, UpdateState};
use crate::state::State;
use crate::units::Now;
use sha2::{Digest, Sha256};
use wire_checkin::{DeviceId, LastUpdate, Outcome};

/// Makes or repeats the offer of an artefact. A device has one offer at a time: older ones are withdrawn.
pub(crate) fn offer(journal: &mut Journal, now: Now, id: DeviceId, artefact: &ArtefactRecord) -> OfferPath {
    let path = path(journal.state(), id, artefact);
    let others: Vec<OfferPath> = journal
        .state()
        .offers_of(id)
        .map(|offer| offer.path)
        .filter(|other| *other != path)
        .collect();
    others
        .into_iter()
        .for_each(|other| journal.record(Change::OfferWithdrawn(other)));
    if !journal.state().offers.contains_key(&path) {
        journal.record(Change::Offered(Offer {
            path,
            device: id,
            artefact: artefact.digest,
            image: artefact.target,
            offered_unix_s: now.unix_s,
        }));
    }
    let offers = match journal.state().updates.get(&(id, artefact.target)) {
        Some(update) if matches!(update.state, UpdateState::Offered { .. }) => update.offers,
        Some(update) => update.offers.saturating_add(1),
        None => 1,
    };
    set(
        journal,
        now,
        id,
        artefact.target,
        UpdateState::Offered { path },
        offers,
    );
    path
}

/// Notes that a device runs an image that it was offered.
pub(crate) fn running(journal: &mut Journal, now: Now, id: DeviceId, image: ImageDigest) {
    let update = journal.state().updates.get(&(id, image)).cloned();
    if let Some(update) = update
        && matches!(update.state, UpdateState::Offered { .. } | UpdateState::Released)
    {
        set(journal, now, id, image, UpdateState::Confirmed, update.offers);
    }
}

/// Takes what a device says of its last update.
///
/// After `update retry` the same words, repeated because our answer was lost, change nothing until a new offer was made.
pub(crate) fn outcome(journal: &mut Journal, now: Now, id: DeviceId, last: LastUpdate) {
    let Some(update) = meant(journal.state(), id, last.sequence_number) else {
        return;
    };
    let (image, offers) = (update.image, update.offers);
    if matches!(update.state, UpdateState::Released | UpdateState::Withheld { .. })
        || last.outcome == Outcome::Confirmed
    {
        return;
    }
    let tired = matches!(update.state, UpdateState::Offered { .. }) && offers >= OFFERS_WITHOUT_RESULT_MAX;
    if last.outcome.withholds() || tired {
        let state = UpdateState::Withheld {
            outcome: last.outcome,
            detail: last.detail,
        };
        withdraw(journal, id, image);
        set(journal, now, id, image, state, offers);
    } else if matches!(update.state, UpdateState::Offered { .. }) {
        withdraw(journal, id, image);
        set(journal, now, id, image, UpdateState::Released, offers);
    }
}

/// Withdraws the open offers of a device that no assignment stands for any more.
pub(crate) fn reconcile(journal: &mut Journal, now: Now, id: DeviceId) {
    let target = decision::next_image(journal.state(), id);
    let orphans = journal
        .state()
        .updates_of(id)
        .filter(|update| Some(update.image) != target);
    let orphans = orphans.cloned().collect();
    release_open(journal, now, orphans);
}

/// Withdraws every open offer of a device that is to have none.
pub(crate) fn withdraw_all(journal: &mut Journal, now: Now, id: DeviceId) {
    let all = journal.state().updates_of(id).cloned().collect();
    release_open(journal, now, all);
}

/// Withdraws the open offers of images whose publisher is not trusted any more: what is fetched of them ends with 4.04.
pub(crate) fn withdraw_distrusted(journal: &mut Journal, now: Now) {
    let state = journal.state();
    let is_distrusted = |update: &&UpdateRecord| {
        let image = state.images.get(&update.image);
        image.is_some_and(|image| !state.trusts(image))
    };
    let distrusted = state.updates.values().filter(is_distrusted).cloned().collect();
    release_open(journal, now, distrusted);
}

/// Withdraws those of these updates that are offered; each may be offered again.
fn release_open(journal: &mut Journal, now: Now, updates: Vec<UpdateRecord>) {
    let is_open = |update: &UpdateRecord| matches!(update.state, UpdateState::Offered { .. });
    for UpdateRecord {
        device,
        image,
        offers,
        ..
    } in updates.into_iter().filter(is_open)
    {
        withdraw(journal, device, image);
        set(journal, now, device, image, UpdateState::Released, offers);
    }
}

/// Lets a withheld image be offered again; says whether it was withheld.
pub(crate) fn release(journal: &mut Journal, now: Now, id: DeviceId, image: ImageDigest) -> bool {
    let update = journal.state().updates.get(&(id, image)).cloned();
    match update {
        Some(update) if matches!(update.state, UpdateState::Withheld { .. }) => {
            set(journal, now, id, image, UpdateState::Released, update.offers);
            true
        }
        _ => false,
    }
}

/// Removes everything known of updates on a device.
pub(crate) fn forget(journal: &mut Journal, id: DeviceId) {
    let paths: Vec<OfferPath> = journal.state().offers_of(id).map(|offer| offer.path).collect();
    paths
        .into_iter()
        .for_each(|path| journal.record(Change::OfferWithdrawn(path)));
    let images: Vec<ImageDigest> = journal
        .state()
        .updates_of(id)
        .map(|update| update.image)
        .collect();
    images
        .into_iter()
        .for_each(|image| journal.record(Change::UpdateForgotten(id, image)));
}

/// The update an outcome speaks of: devices name the sequence number, of which their class has one image only.
///
/// Without an update on record (a gateway that lost its store) one is made, so that what was refused is withheld all
/// the same.
fn meant(state: &State, id: DeviceId, sequence_number: u64) -> Option<UpdateRecord> {
    let class = state.devices.get(&id)?.class()?;
    let image = state.image_numbered(class, sequence_number)?.digest;
    let known = state.updates.get(&(id, image)).cloned();
    Some(known.unwrap_or(UpdateRecord {
        device: id,
        image,
        state: UpdateState::Confirmed,
        offers: 0,
        changed_unix_s: 0,
    }))
}

fn withdraw(journal: &mut Journal, id: DeviceId, image: ImageDigest) {
    let of_image = journal.state().offers_of(id).filter(|offer| offer.image == image);
    let paths: Vec<OfferPath> = of_image.map(|offer| offer.path).collect();
    paths
        .into_iter()
        .for_each(|path| journal.record(Change::OfferWithdrawn(path)));
}

fn set(journal: &mut Journal, now: Now, id: DeviceId, image: ImageDigest, state: UpdateState, offers: u32) {
    let update = UpdateRecord {
        device: id,
        image,
        state,
        offers,
        changed_unix_s: now.unix_s,
    };
    let same = journal
        .state()
        .updates
        .get(&(id, image))
        .is_some_and(|old| old.state == state);
    if !same {
        journal.record(Change::Update(update));
    }
}

/// The path of an artefact for a device: derived, so that it comes out the same after a restart, and salted until it
/// means nothing else.
fn path(state: &State, id: DeviceId, artefact: &ArtefactRecord) -> OfferPath {
    let free = |path: &OfferPath| {
        state.offers.get(path).is_none_or(|offer| {
            offer.device == id && offer.artefact == artefact.digest && offer.image == artefact.target
        })
    };
    let mut candidates = (0..=u32::MAX).map(|salt| derive_path(id, artefact.digest, salt));
    candidates
        .find(free)
        .expect("2^32 salts cannot all collide with the offers in memory")
}

/// SHA-256 of device id, artefact digest and salt (u32, little-endian); its first 8 bytes, big-endian, modulo 62^7, as
/// 7 digits of base 62, the highest first.
fn derive_path(id: DeviceId, artefact: ArtefactDigest, salt: u32) -> OfferPath {
    let digest = Sha256::new()
        .chain_update(id.as_bytes())
        .chain_update(artefact.0)
        .chain_update(salt.to_le_bytes())
        .finalize();
    let mut number = digest
        .iter()
        .take(8)
        .fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
    let mut path = [b'0'; OfferPath::LENGTH];
    for digit in path.iter_mut().rev() {
        *digit = BASE_62[(number % 62) as usize];
        number /= 62;
    }
    OfferPath(path)
}

const BASE_62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Offers that end with "cancelled" or "payload gone" before the image is withheld, so that a payload the device never
/// gets whole is not fetched for ever.
const OFFERS_WITHOUT_RESULT_MAX: u32 = 5;
