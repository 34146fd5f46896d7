//! What is kept and what may go: pins, the removal of images, and the disk budget.
//!
//! An original (the image as it was imported) goes by [`remove`] only. The gateway has it from nobody else, so it must take each for the
//! only copy there is. What was made of originals can be made again: [`evict`] lets it go when the budget is used up, the least recently
//! used first, and never what a device is fetching, is about to be told, or an operator pinned.

use crate::assign;
use crate::chain;
use crate::change::Change;
use crate::command::{Refusal, Reply};
use crate::decision;
use crate::effect::{BuildKey, File};
use crate::identity::{ArtefactDigest, ImageDigest};
use crate::journal::Journal;
use crate::records::{ArtefactRecord, DeviceRecord, ImageRecord};
use crate::state::State;
use crate::units::Bytes;
use crate::words::count;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use wire_checkin::{DeviceId, DigestPrefix};

/// What was made of a target for one base, or for none: it comes and goes together.
type Pair = (ImageDigest, Option<ImageDigest>);

/// Keeps an image and what was made of it from being removed.
pub(crate) fn pin(journal: &mut Journal, image: ImageDigest) -> Result<Reply, Refusal> {
    known(journal.state(), image)?;
    if journal.state().pinned.contains(&image) {
        return Ok(Reply::Unchanged);
    }
    journal.record(Change::Pinned(image));
    Ok(Reply::Done)
}

/// Ends that.
pub(crate) fn unpin(journal: &mut Journal, image: ImageDigest) -> Result<Reply, Refusal> {
    known(journal.state(), image)?;
    if !journal.state().pinned.contains(&image) {
        return Ok(Reply::Unchanged);
    }
    journal.record(Change::Unpinned(image));
    Ok(Reply::Done)
}

/// Removes an image nobody needs, with everything that was made of it or for it.
pub(crate) fn remove(journal: &mut Journal, image: ImageDigest) -> Result<Reply, Refusal> {
    known(journal.state(), image)?;
    check_unneeded(journal, image)?;
    let with = |pair: &Pair| pair.0 == image || pair.1 == Some(image);
    let failed = journal.state().failed_builds.keys();
    let failed: Vec<BuildKey> = failed
        .filter(|key| with(&(key.target, key.base)))
        .copied()
        .collect();
    for key in failed {
        journal.record(Change::BuildReleased(key));
    }
    let pairs: BTreeSet<Pair> = pairs(journal.state()).into_keys().filter(with).collect();
    for pair in pairs {
        discard(journal, pair);
    }
    if journal.state().pinned.contains(&image) {
        journal.record(Change::Unpinned(image));
    }
    journal.record(Change::ImageRemoved(image));
    journal.discard(File::Image(image));
    Ok(Reply::Done)
}

/// Whether an original of this size, and what is made of it at once, will fit when all that may go has gone.
pub(crate) fn check_room(
    state: &State,
    building: &BTreeSet<BuildKey>,
    budget: Option<Bytes>,
    image: &ImageRecord,
) -> Result<(), Refusal> {
    let Some(max) = budget else { return Ok(()) };
    let needed = needed(state, building);
    let kept = pairs(state).into_iter().filter(|(pair, _)| needed.contains(pair));
    let kept = kept.fold(originals(state), |sum, (_, made)| sum + made.size);
    // The original, and as much again for the plain payload.
    let needs = Bytes(kept.0.saturating_add(image.size.0.saturating_mul(2)));
    match needs > max {
        true => Err(Refusal::DiskBudget {
            image: image.digest,
            needs,
            max,
        }),
        false => Ok(()),
    }
}

/// Lets go of what is not needed until the rest is within the budget.
pub(crate) fn evict(journal: &mut Journal, budget: Option<Bytes>) {
    let Some(max) = budget else { return };
    let mut used = used(journal.state());
    if used <= max {
        return;
    }
    let state = journal.state();
    let needed = needed(state, journal.building());
    let touched = touched(state);
    let made = pairs(state)
        .into_iter()
        .filter(|(pair, _)| !needed.contains(pair));
    let last_use =
        |(target, _): &Pair, made: &Made| made.built_unix_s.max(touched.get(target).copied().unwrap_or(0));
    let mut evictable: Vec<(u64, Pair, Bytes)> = made
        .map(|(pair, made)| (last_use(&pair, &made), pair, made.size))
        .collect();
    evictable.sort_unstable();
    for (_, pair, size) in evictable {
        if used <= max {
            break;
        }
        discard(journal, pair);
        used = used.saturating_sub(size);
    }
}

/// What originals and artefacts take on the disk at most: an original is counted as long as it is, and lies compressed.
pub(crate) fn used(state: &State) -> Bytes {
    state
        .artefacts()
        .fold(originals(state), |sum, artefact| sum + artefact.size)
}

/// Images whose plain payloads are wanted whether or not a device asks.
pub(crate) fn wanted_images(state: &State) -> BTreeSet<ImageDigest> {
    let assigned = state.assignments.values().map(|assignment| assignment.image);
    assigned.chain(state.pinned.iter().copied()).collect()
}

fn originals(state: &State) -> Bytes {
    state
        .images
        .values()
        .fold(Bytes(0), |sum, image| sum + image.size)
}

/// What was made for one pair.
#[derive(Default)]
struct Made {
    size: Bytes,
    built_unix_s: u64,
}

fn pairs(state: &State) -> BTreeMap<Pair, Made> {
    let mut pairs: BTreeMap<Pair, Made> = BTreeMap::new();
    for artefact in state.artefacts() {
        let made = pairs.entry((artefact.target, artefact.base)).or_default();
        made.size += artefact.size;
        made.built_unix_s = made.built_unix_s.max(artefact.built_unix_s);
    }
    pairs
}

/// When something last happened with each image on any device: what is stored of it anyway.
fn touched(state: &State) -> BTreeMap<ImageDigest, u64> {
    let mut touched = BTreeMap::new();
    for update in state.updates.values() {
        let last = touched.entry(update.image).or_insert(0);
        *last = update.changed_unix_s.max(*last);
    }
    touched
}

/// What must stay: what is being fetched, what a device's next check-in will be told, and what is pinned or being made.
fn needed(state: &State, building: &BTreeSet<BuildKey>) -> BTreeSet<Pair> {
    let mut needed: BTreeSet<Pair> = building.iter().map(|key| (key.target, key.base)).collect();
    needed.extend(wanted_images(state).into_iter().map(|image| (image, None)));
    needed.extend(state.artefacts().filter_map(|artefact| {
        let is_pinned = state.pinned.contains(&artefact.target);
        is_pinned.then_some((artefact.target, artefact.base))
    }));
    let offered = state.offers.values().filter_map(|offer| state.artefact_of(offer));
    needed.extend(offered.map(|artefact| (artefact.target, artefact.base)));
    let mut running = HashMap::new();
    for device in state.devices.values() {
        needed.extend(next_of(state, device, &mut running));
    }
    needed
}

/// The pair of a device that has yet to be updated. Thousands of devices run few images: each is looked up once.
fn next_of(
    state: &State,
    device: &DeviceRecord,
    running: &mut HashMap<DigestPrefix, Option<ImageDigest>>,
) -> Option<Pair> {
    let target = decision::next_image(state, device.id)?;
    let report = device.report.as_ref()?;
    let look_up = || state.image_by_prefix(&report.running).map(|image| image.digest);
    let base = *running.entry(report.running).or_insert_with(look_up);
    (base != Some(target)).then_some((target, base))
}

fn known(state: &State, image: ImageDigest) -> Result<&ImageRecord, Refusal> {
    state.images.get(&image).ok_or(Refusal::UnknownImage(image))
}

fn check_unneeded(journal: &Journal, image: ImageDigest) -> Result<(), Refusal> {
    let state = journal.state();
    if state.pinned.contains(&image) {
        return Err(Refusal::ImagePinned(image));
    }
    if let Some(assignment) = state
        .assignments
        .values()
        .find(|assignment| assignment.image == image)
    {
        return Err(Refusal::ImageAssigned {
            image,
            by: assignment.selector.clone(),
        });
    }
    let runs = |device: &&DeviceRecord| {
        let report = device.report.as_ref();
        device.claimed && report.is_some_and(|report| report.running.matches(&image.0))
    };
    let mut running = state.devices.values().filter(runs).map(|device| device.id);
    if let Some(device) = running.next() {
        let others = running.count();
        return Err(Refusal::ImageRuns {
            image,
            device,
            others,
        });
    }
    if let Some((device, goal)) = on_the_way(state, image) {
        return Err(Refusal::ImageOnTheWay { image, device, goal });
    }
    let fetching = state.offers.values().find(|offer| is_of(state, offer, image));
    if let Some(offer) = fetching {
        return Err(Refusal::ImageFetched {
            image,
            device: offer.device,
        });
    }
    match journal
        .building()
        .iter()
        .any(|key| key.target == image || key.base == Some(image))
    {
        true => Err(Refusal::ImageBuilding(image)),
        false => Ok(()),
    }
}

/// A device that goes by this image to the one assigned to it.
fn on_the_way(state: &State, image: ImageDigest) -> Option<(DeviceId, ImageDigest)> {
    state.devices.values().find_map(|device| {
        let goal = state.images.get(&assign::assignment(state, device)?.image)?;
        let way = chain::way(state, device, device.report.as_ref()?, goal).ok()?;
        let is_on_it = way.iter().any(|stone| stone.digest == image);
        is_on_it.then_some((device.id, goal.digest))
    })
}

fn is_of(state: &State, offer: &crate::records::Offer, image: ImageDigest) -> bool {
    let base = state.artefact_of(offer).and_then(|artefact| artefact.base);
    offer.image == image || base == Some(image)
}

/// Forgets what was made for a pair, and that it was made: whoever wants it next has it made again.
fn discard(journal: &mut Journal, (target, base): Pair) {
    let gone: Vec<ArtefactRecord> = journal
        .state()
        .artefacts_of(target)
        .filter(|artefact| artefact.base == base)
        .cloned()
        .collect();
    let built = journal.state().built.iter();
    let keys: Vec<BuildKey> = built
        .filter(|key| (key.target, key.base) == (target, base))
        .copied()
        .collect();
    for key in keys {
        journal.record(Change::BuildForgotten(key));
    }
    for artefact in gone {
        journal.record(Change::ArtefactRemoved {
            target,
            base,
            digest: artefact.digest,
        });
        // The same bytes may serve another pair.
        if !is_used(journal.state(), artefact.digest) {
            journal.discard(File::Artefact(artefact.digest));
        }
    }
}

fn is_used(state: &State, digest: ArtefactDigest) -> bool {
    state.artefacts().any(|artefact| artefact.digest == digest)
}

/// How an operator is told who runs an image.
pub(crate) fn runners(device: DeviceId, others: usize) -> String {
    match others {
        0 => format!("device {device} runs"),
        _ => format!("device {device} and {} run", count(others, "other", "others")),
    }
}
