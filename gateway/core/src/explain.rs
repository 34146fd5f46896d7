//! Why a device gets what it gets, in words: one causal chain and one next step.

use crate::config::LinkConfig;
use crate::decision::{Decision, PATCH_MEMORY_MIN, Target};
use crate::deferral::DeferralView;
use crate::identities::Retirement;
use crate::records::{DeviceRecord, ImageRecord, Selector};
use crate::remedy::Remedy;
use crate::views::{NextStep, TransferView};
use wire_checkin::Format;
use wire_coap::BlockSize;

/// One causal chain, first cause first.
pub(crate) fn chain(
    paused: bool,
    running: Option<&ImageRecord>,
    device: &DeviceRecord,
    link: &LinkConfig,
    decision: &Decision<'_>,
    transfer: Option<&TransferView>,
    deferral: Option<&DeferralView>,
) -> Vec<String> {
    let mut chain = vec![who(device, link)];
    if let Some(report) = &device.report {
        chain.push(match running {
            Some(image) => format!("it runs {}", named(image)),
            None => format!(
                "it runs an image {} with sequence number {} that was never imported here",
                report.running, report.sequence_number
            ),
        });
        chain.extend(report.in_place.map(|reach| match reach.0 {
            0 => "it has a single slot, and no room beside that image to update it in place".into(),
            bytes => format!("it has a single slot: updates are patches with a reach of at most {bytes} bytes, applied in place"),
        }));
        if report.formats.contains(Format::Patch) && report.decoder_memory < PATCH_MEMORY_MIN {
            chain.push(format!(
                "it gives a decoder {} bytes of memory, and the smallest patch needs {}",
                report.decoder_memory.0, PATCH_MEMORY_MIN.0
            ));
        }
        if report.on_trial {
            chain.push("that image is on trial until the device gets the answer to its check-in".into());
        }
    }
    chain.extend(freshness(device));
    if let Some(target) = target_in(decision) {
        let by = &target.by.selector;
        chain.push(format!(
            "by the assignment for {by} it should run {}",
            named(target.goal)
        ));
        chain.extend(by_way_of(target));
    }
    chain.extend(reasons(device, decision));
    chain.extend(transfer.map(|transfer| {
        let (served, size) = (transfer.progress.served_to.0, transfer.size.0);
        format!(
            "it was told to fetch /{} and got {served} of {size} bytes",
            transfer.path
        )
    }));
    if paused && matches!(decision, Decision::Offer { .. }) {
        chain.push("updates are paused, so no block is served".into());
    }
    if let Some(deferral) = deferral {
        chain.push(Remedy::of_deferral(deferral.reason).what.into());
        chain.push(waits(deferral));
    }
    chain
}

/// What it says of the latest release, when it says that something is amiss.
fn freshness(device: &DeviceRecord) -> Vec<String> {
    let Some(said) = device.report.as_ref().and_then(|report| report.freshness) else {
        return Vec::new();
    };
    let number = said.number;
    let stale = format!(
        "it says that its publisher's last word, statement {number}, is too old: no newer one came to it"
    );
    let behind = format!(
        "it says that by statement {number} there is a newer release than it runs, and nobody offered it one"
    );
    let all = [(said.is_stale, stale), (said.is_behind, behind)];
    all.into_iter()
        .filter(|(is_so, _)| *is_so)
        .map(|(_, text)| text)
        .collect()
}

fn who(device: &DeviceRecord, link: &LinkConfig) -> String {
    let claimed = if device.claimed { "claimed" } else { "not claimed" };
    match &device.report {
        Some(report) => format!(
            "device {} is {claimed}, of class {}, and was last heard on link {}",
            device.id, report.class, link.name
        ),
        None => format!("device {} is {claimed} and was never heard", device.id),
    }
}

/// Why a device is listed that is served no more.
pub(crate) fn retired(retirement: Retirement) -> String {
    match retirement.successor {
        Some(successor) => format!("it is retired: device {successor} took its place"),
        None => "it is retired: its keys are destroyed and it is served no updates".into(),
    }
}

fn named(image: &ImageRecord) -> String {
    let version = if image.version.is_empty() {
        "unnamed"
    } else {
        &image.version
    };
    format!(
        "{version} (image {}, sequence number {})",
        image.digest.short_hex(),
        image.sequence_number
    )
}

fn target_in<'d, 'a>(decision: &'d Decision<'a>) -> Option<&'d Target<'a>> {
    match decision {
        Decision::UpToDate(target) | Decision::WrongKind(target) | Decision::Distrusted(target, _) => {
            Some(target)
        }
        Decision::NotNewer { target, .. }
        | Decision::NoWay { target, .. }
        | Decision::Withheld { target, .. }
        | Decision::NeedsBuilds { target, .. }
        | Decision::BuildFailed { target, .. }
        | Decision::NothingFits { target, .. }
        | Decision::Offer { target, .. } => Some(target),
        Decision::Unclaimed | Decision::Unheard | Decision::ClassConflict { .. } | Decision::NoTarget => None,
    }
}

/// The clause of an update that its device puts off.
pub(crate) fn waits(deferral: &DeferralView) -> String {
    format!("it waits for the device: {deferral}")
}

/// The last clause of the chain: what decided.
pub(crate) fn end(device: &DeviceRecord, decision: &Decision<'_>) -> String {
    reasons(device, decision).pop().unwrap_or_default()
}

/// The stones, where there are any.
fn by_way_of(target: &Target<'_>) -> Option<String> {
    let stones: Vec<String> = target.stones.iter().map(|stone| named(stone)).collect();
    (!stones.is_empty()).then(|| {
        let least = target.goal.predecessor_min;
        let stones = stones.join(", then ");
        format!("that image may only follow sequence number {least} or higher, so the next is {stones}")
    })
}

/// Where the chain ends.
fn reasons(device: &DeviceRecord, decision: &Decision<'_>) -> Vec<String> {
    let slot = device.report.as_ref().map(|report| report.slot_capacity);
    let target = target_in(decision);
    let longer_than_slot = slot.filter(|slot| target.is_some_and(|target| target.image.size > *slot));
    let reason = match decision {
        Decision::Unclaimed => "so it is served no updates".into(),
        Decision::Unheard => "so what it runs and needs is not known yet".into(),
        Decision::ClassConflict { recorded, said } => {
            format!("it says it is of class {said}, but class {recorded} is on record, so it gets nothing")
        }
        Decision::NoTarget => "nothing is assigned to it, its groups or its class".into(),
        Decision::UpToDate(_) => "it runs what it should".into(),
        Decision::WrongKind(target) => format!(
            "that image is for class {} of vendor {}, which the device is not",
            target.image.class, target.image.vendor
        ),
        Decision::NotNewer { running, .. } => {
            format!("it already runs sequence number {running} and would refuse one that is not higher")
        }
        Decision::Distrusted(_, why) => format!("{why}, so it is offered to nobody"),
        Decision::NoWay { target, missing } => format!(
            "that image may only follow sequence number {} or higher: {missing}",
            target.goal.predecessor_min
        ),
        Decision::Withheld { outcome, detail, .. } => match detail {
            Some(detail) => {
                format!("the device reported \"{outcome}\" (detail {detail}), so the image is withheld")
            }
            None => format!("the device reported \"{outcome}\", so the image is withheld"),
        },
        Decision::NeedsBuilds { builds, .. } => match builds.iter().any(|build| build.base.is_some()) {
            true => "its delta is not built yet".into(),
            false => "its payload is not built yet".into(),
        },
        Decision::BuildFailed { reason, .. } => format!("a build for it failed: {reason}"),
        Decision::NothingFits { target, .. } => match longer_than_slot {
            Some(slot) => format!(
                "that image has {} bytes, and the device's slot holds {}",
                target.image.size.0, slot.0
            ),
            None => "none of the artefacts can be taken by the device".into(),
        },
        Decision::Offer {
            artefact, candidates, ..
        } => {
            let on_air = candidates
                .iter()
                .find(|c| c.artefact == artefact.digest)
                .map_or(0, |c| c.on_air.0);
            format!(
                "of what it can take, {} with {} bytes costs least: {on_air} bytes on the air",
                artefact.format, artefact.size.0
            )
        }
    };
    let before = match decision {
        Decision::Offer { target, .. } if target.running.is_none() => {
            Some("no patch can be made against an image that is not known".to_string())
        }
        Decision::Withheld { outcome, .. } => Some(Remedy::of_outcome(*outcome).what.to_string()),
        _ => None,
    };
    before.into_iter().chain([reason]).collect()
}

/// How the next release is signed, on its publisher's machine; what only the publisher knows is in capitals.
pub(crate) fn sign(sequence_number: u64) -> String {
    format!(
        "deltagate image sign FILE --sequence {sequence_number} --version VERSION --vendor DOMAIN --class NAME --key FILE --out FILE"
    )
}

/// A selector as the option that names it.
pub(crate) fn option(selector: &Selector) -> String {
    match selector {
        Selector::Device(id) => format!("device {id}"),
        Selector::Group(name) => format!("group {name}"),
        Selector::Class(class) => format!("class {class}"),
    }
}

/// Why a device gets smaller blocks than its link's own.
pub(crate) fn small_blocks(size: BlockSize) -> String {
    format!(
        "larger replies did not reach it, so it gets blocks of {} bytes, which cost more on the air",
        size.bytes()
    )
}

/// What helps it.
pub(crate) fn set_mtu(link: &LinkConfig) -> NextStep {
    NextStep {
        why: format!(
            "set `mtu` of link {} in gateway.toml to the largest packet that its path carries",
            link.name
        ),
        command: format!("deltagate link show {}", link.name),
    }
}
