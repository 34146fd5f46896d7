//! What a device is to be told, as a pure function of what is known. A check-in acts on it and an operator is shown it,
//! so the two cannot disagree.

use crate::anchors::Distrust;
use crate::assign;
use crate::chain::{self, MissingStone};
use crate::choice::{self, Candidate};
use crate::config::LinkConfig;
use crate::effect::{BuildFormats, BuildKey};
use crate::identity::{ClassId, ImageDigest};
use crate::records::{
    ArtefactRecord, Assignment, DeviceRecord, DeviceReport, ImageRecord, UpdateRecord, UpdateState,
};
use crate::state::State;
use crate::units::Bytes;
use wire_checkin::{DeviceId, Format, Outcome};

/// What to tell a device, with the facts that led there.
#[derive(Debug)]
pub(crate) enum Decision<'a> {
    /// Nobody claimed it.
    Unclaimed,
    /// It was claimed and never heard.
    Unheard,
    /// It names another class than the one on record.
    ClassConflict { recorded: ClassId, said: ClassId },
    /// Nothing is assigned to it.
    NoTarget,
    /// It runs what it should.
    UpToDate(Target<'a>),
    /// The target is for another class or vendor; possible when it was assigned before the device was ever heard.
    WrongKind(Target<'a>),
    /// It runs the same or a higher sequence number; the next release of its class could have `next`.
    NotNewer {
        target: Target<'a>,
        running: u64,
        next: u64,
    },
    /// Who signed the target is not trusted any more.
    Distrusted(Target<'a>, Distrust),
    /// The target may not follow what it runs, and neither may any image that would lead there.
    NoWay {
        target: Target<'a>,
        missing: MissingStone,
    },
    /// It refused or reverted the image that is next.
    Withheld {
        target: Target<'a>,
        outcome: Outcome,
        detail: Option<u32>,
    },
    /// Artefacts are missing; these builds give them.
    NeedsBuilds {
        target: Target<'a>,
        builds: Vec<BuildKey>,
    },
    /// A build that the device depends on failed.
    BuildFailed { target: Target<'a>, reason: &'a str },
    /// There are artefacts, and it can take none.
    NothingFits {
        target: Target<'a>,
        candidates: Vec<Candidate>,
    },
    /// It gets this one.
    Offer {
        target: Target<'a>,
        artefact: &'a ArtefactRecord,
        candidates: Vec<Candidate>,
    },
}

/// What a device should run, and who said so.
#[derive(Clone, Debug)]
pub(crate) struct Target<'a> {
    /// The image that is next for it: the one assigned, or a stepping stone on the way there.
    pub(crate) image: &'a ImageRecord,
    /// The image assigned.
    pub(crate) goal: &'a ImageRecord,
    /// What it gets before that, next one first.
    pub(crate) stones: Vec<&'a ImageRecord>,
    pub(crate) by: &'a Assignment,
    /// What the device runs, when it was imported.
    pub(crate) running: Option<&'a ImageRecord>,
}

/// Decides for one device as it last reported, over the link it was last heard on.
pub(crate) fn decide<'a>(state: &'a State, device: &DeviceRecord, link: &LinkConfig) -> Decision<'a> {
    if !device.claimed {
        return Decision::Unclaimed;
    }
    let Some(report) = &device.report else {
        return Decision::Unheard;
    };
    if let (Some(said), Some(recorded)) = (device.class_conflict(), device.class) {
        return Decision::ClassConflict { recorded, said };
    }
    let Some(mut target) = target(state, device, report) else {
        return Decision::NoTarget;
    };
    let image = target.image;
    if report.running.matches(&image.digest.0) {
        return Decision::UpToDate(target);
    }
    if image.class != report.class || image.vendor != report.vendor {
        return Decision::WrongKind(target);
    }
    if image.sequence_number <= report.sequence_number {
        return Decision::NotNewer {
            target,
            running: report.sequence_number,
            next: state.next_sequence(image.class, report.sequence_number),
        };
    }
    if let Some(why) = state.distrust(image) {
        return Decision::Distrusted(target, why);
    }
    match chain::way(state, device, report, image) {
        Err(missing) => return Decision::NoWay { target, missing },
        Ok(mut way) => {
            way.pop();
            target.image = way.first().copied().unwrap_or(image);
            target.stones = way;
        }
    }
    let update = state.updates.get(&(device.id, target.image.digest));
    if let Some(UpdateState::Withheld { outcome, detail }) = update.map(|update| update.state) {
        return Decision::Withheld {
            target,
            outcome,
            detail,
        };
    }
    artefact(state, target, report, link, update)
}

/// The image that is next for a device, whether or not it can have it now.
pub(crate) fn next_image(state: &State, id: DeviceId) -> Option<ImageDigest> {
    let device = state.devices.get(&id)?;
    let assigned = assign::assignment(state, device)?.image;
    let way = device.report.as_ref().and_then(|report| {
        let goal = state.images.get(&assigned)?;
        chain::way(state, device, report, goal).ok()
    });
    let first = way.and_then(|way| way.first().map(|image| image.digest));
    Some(first.unwrap_or(assigned))
}

fn target<'a>(state: &'a State, device: &DeviceRecord, report: &DeviceReport) -> Option<Target<'a>> {
    let by = assign::assignment(state, device)?;
    let image = state.images.get(&by.image)?;
    Some(Target {
        image,
        goal: image,
        stones: Vec::new(),
        by,
        running: state.image_by_prefix(&report.running),
    })
}

/// Waits until every build is settled, so that the choice is the same whichever ends first. A failed patch is not
/// silently replaced by a full image: airtime is what an operator wants to be asked about. What is longer than the slot needs
/// no builds: however it is encoded, it becomes the image.
fn artefact<'a>(
    state: &'a State,
    target: Target<'a>,
    report: &DeviceReport,
    link: &LinkConfig,
    update: Option<&UpdateRecord>,
) -> Decision<'a> {
    let running = target.running.map(|image| image.digest);
    let keep = match update.map(|update| update.state) {
        Some(UpdateState::Offered { path }) => state.offers.get(&path).map(|offer| offer.artefact),
        _ => None,
    };
    let candidates = || {
        let artefacts = state.artefacts_of(target.image.digest);
        choice::choose(target.image, running, artefacts, report, link, keep)
    };
    if target.image.size > report.slot_capacity {
        let candidates = candidates();
        return Decision::NothingFits { target, candidates };
    }
    let keys = builds(target.image.digest, running, report);
    let unsettled = |key: &&BuildKey| !state.built.contains(key) && !state.failed_builds.contains_key(key);
    let missing: Vec<BuildKey> = keys.iter().filter(unsettled).copied().collect();
    if !missing.is_empty() {
        return Decision::NeedsBuilds {
            target,
            builds: missing,
        };
    }
    // The last key is the delta when there is one: what the device depends on.
    if let Some(key) = keys.last()
        && let Some(reason) = state.failed_builds.get(key)
    {
        return Decision::BuildFailed { target, reason };
    }
    let candidates = candidates();
    let chosen = candidates
        .iter()
        .find(|candidate| is_chosen(candidate))
        .map(|candidate| candidate.artefact);
    let artefact = state.artefacts_of(target.image.digest).find(|artefact| {
        Some(artefact.digest) == chosen && (artefact.base.is_none() || artefact.base == running)
    });
    match artefact {
        Some(artefact) => Decision::Offer {
            target,
            artefact,
            candidates,
        },
        None => Decision::NothingFits { target, candidates },
    }
}

fn is_chosen(candidate: &Candidate) -> bool {
    matches!(
        candidate.verdict,
        choice::Verdict::Chosen | choice::Verdict::AlreadyOffered
    )
}

/// The builds that a device's choice depends on: what needs no base, then the deltas when it runs a known image and
/// decodes any.
pub(crate) fn builds(
    target: ImageDigest,
    running: Option<ImageDigest>,
    report: &DeviceReport,
) -> Vec<BuildKey> {
    let baseless = baseless_build(target);
    let in_place = report.in_place.and_then(reach);
    let patch_memory = report
        .formats
        .contains(Format::Patch)
        .then(|| patch_memory(report.decoder_memory))
        .flatten()
        .filter(|_| report.in_place.is_none() || in_place.is_some());
    let formats = BuildFormats {
        full: false,
        lz4: false,
        bsdiff: report.in_place.is_none() && report.formats.contains(Format::Bsdiff),
        patch_memory,
        in_place,
    };
    match running {
        Some(base) if formats.bsdiff || formats.patch_memory.is_some() => {
            vec![
                baseless,
                BuildKey {
                    base: Some(base),
                    target,
                    formats,
                },
            ]
        }
        // What a device with a single slot runs is not known here, and a patch is all that it takes: one from nothing.
        None if in_place.is_some() && formats.patch_memory.is_some() => {
            vec![
                baseless,
                BuildKey {
                    base: None,
                    target,
                    formats,
                },
            ]
        }
        _ => vec![baseless],
    }
}

/// The build of payloads that any device of the class can take: started at import.
pub(crate) fn baseless_build(target: ImageDigest) -> BuildKey {
    let formats = BuildFormats {
        full: true,
        lz4: true,
        bsdiff: false,
        patch_memory: None,
        in_place: None,
    };
    BuildKey {
        base: None,
        target,
        formats,
    }
}

/// The memory a patch is made for: the device's, rounded down to a power of two and bounded, so that similar devices
/// share one patch. `None` below the smallest.
fn patch_memory(has: Bytes) -> Option<Bytes> {
    if has < PATCH_MEMORY_MIN {
        return None;
    }
    Some(Bytes(1 << has.0.ilog2()).min(PATCH_MEMORY_MAX))
}

/// The reach a patch is made for: what the device has room for, in the format's steps. `None` below the smallest.
fn reach(has: Bytes) -> Option<Bytes> {
    let whole = Bytes(has.0 - has.0 % REACH_STEP.0);
    (whole >= REACH_STEP).then_some(whole.min(REACH_MAX))
}

/// Reaches are multiples of this, and not 0.
const REACH_STEP: Bytes = Bytes(256);
/// The longest reach of the patch format: a step less than 16 MiB.
const REACH_MAX: Bytes = Bytes((16 << 20) - REACH_STEP.0);
/// The smallest decoder of the patch format.
pub(crate) const PATCH_MEMORY_MIN: Bytes = Bytes(4_096);
/// The largest decoder of the patch format.
const PATCH_MEMORY_MAX: Bytes = Bytes(131_072);
