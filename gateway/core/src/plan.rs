//! A dry run: what each device would be sent, over which link, at what cost, and why. Of a new assignment as well: it is carried
//! out on a copy of the state by the same code that would carry it out in earnest, so that it is refused for the same
//! reasons and decided the same way.

use crate::assign;
use crate::choice;
use crate::command::{Command, Refusal, Reply};
use crate::config::{LinkConfig, LinkName};
use crate::decision::{self, Decision};
use crate::explain;
use crate::gateway::Gateway;
use crate::identity::ImageDigest;
use crate::journal::Journal;
use crate::label::Label;
use crate::links::Links;
use crate::operator;
use crate::overview;
use crate::records::{DeviceRecord, Selector, Terms};
use crate::stand::Stand;
use crate::state::State;
use crate::units::{AirTime, Bytes, Now};
use crate::views::NextStep;
use std::collections::BTreeMap;
use wire_checkin::{DeviceId, Format};

/// What one device would be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanView {
    /// The device.
    pub device: DeviceId,
    /// What people call it.
    pub label: Option<Label>,
    /// The link it was last heard on.
    pub link: LinkName,
    /// What it should run.
    pub image: ImageDigest,
    /// What it is sent, if it is sent anything.
    pub payload: Option<PlannedPayload>,
    /// The last clause of its causal chain.
    pub why: String,
}

/// What a device would fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlannedPayload {
    /// How it is encoded.
    pub format: Format,
    /// Payload bytes still to be fetched, at most.
    pub size: Bytes,
    /// The same on the air, both ways, without loss.
    pub on_air: Bytes,
    /// The least time that takes at the link's rate.
    pub air_time: AirTime,
    /// Whether that is an upper bound, because a delta is not built yet.
    pub is_bound: bool,
}

/// Devices that do not get what was assigned to them, for one reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    /// The reason, in one clause.
    pub why: String,
    /// How many devices.
    pub devices: usize,
    /// The first of them.
    pub first: DeviceId,
    /// What helps it.
    pub step: NextStep,
}

/// Who of those that a selector covers is left out of its assignment, the most frequent reason first.
pub(crate) fn left_out(
    state: &State,
    links: &Links,
    selector: &Selector,
    covered: &[DeviceId],
) -> Vec<LeftOut> {
    let mut rows: BTreeMap<String, LeftOut> = BTreeMap::new();
    for device in covered.iter().filter_map(|id| state.devices.get(id)) {
        let Some((why, step)) = obstacle(state, links, selector, device) else {
            continue;
        };
        let row = rows.entry(why.clone()).or_insert(LeftOut {
            why,
            devices: 0,
            first: device.id,
            step,
        });
        row.devices += 1;
    }
    let mut rows: Vec<LeftOut> = rows.into_values().collect();
    rows.sort_by_key(|row| core::cmp::Reverse(row.devices));
    rows
}

fn obstacle(
    state: &State,
    links: &Links,
    selector: &Selector,
    device: &DeviceRecord,
) -> Option<(String, NextStep)> {
    let by = &assign::assignment(state, device)?.selector;
    if by != selector {
        let step = NextStep {
            why: "end that assignment, if this one is to decide".into(),
            command: format!("deltagate update cancel --{}", explain::option(by)),
        };
        let why = match by {
            Selector::Device(_) => "an assignment to the device itself decides".into(),
            other => format!("the assignment to {other} decides"),
        };
        return Some((why, step));
    }
    let decision = decision::decide(state, device, &links.of_device(state, device));
    match Stand::of(device, &decision, None) {
        Stand::Stuck(step) => Some((explain::end(device, &decision), step)),
        Stand::Waits | Stand::Open(_) => None,
    }
}

impl Gateway {
    /// What every device with a target would be sent; with an assignment, what every device that it covers would be sent after
    /// it. Nothing changes.
    pub fn plan(&self, now: Now, assign: Option<(Selector, ImageDigest)>) -> Result<Vec<PlanView>, Refusal> {
        let Some((selector, image)) = assign else {
            let state = self.journal.state();
            let devices = state.devices.values();
            return Ok(devices.filter_map(|device| self.planned(state, device)).collect());
        };
        let mut copy = Journal::of(self.journal.state().clone());
        let command = Command::Assign(selector.clone(), image, Terms::default());
        operator::handle(&mut copy, &self.config, &self.links, now, command)?;
        let state = copy.state();
        let covered = assign::covered(state, &selector);
        let devices = covered.iter().filter_map(|id| state.devices.get(id));
        Ok(devices.filter_map(|device| self.planned(state, device)).collect())
    }

    /// Whether a command would be carried out; nothing changes.
    pub fn check_command(&self, now: Now, command: Command) -> Result<Reply, Refusal> {
        let mut copy = Journal::of(self.journal.state().clone());
        operator::handle(&mut copy, &self.config, &self.links, now, command)
    }

    fn planned(&self, state: &State, device: &DeviceRecord) -> Option<PlanView> {
        let image = assign::assignment(state, device)?.image;
        let link = &self.links.of_device(state, device);
        let decision = decision::decide(state, device, link);
        let payload = payload(state, device, link, &decision);
        let has_everything = payload.is_some_and(|payload| payload.size.0 == 0);
        Some(PlanView {
            device: device.id,
            label: state.labels.get(&device.id).cloned(),
            link: link.name.clone(),
            image,
            payload: payload.filter(|_| !has_everything),
            why: match has_everything {
                true => "it has everything and installs".into(),
                false => explain::end(device, &decision),
            },
        })
    }
}

/// What a decision has a device fetch, without what it has been served of it.
fn payload(
    state: &State,
    device: &DeviceRecord,
    link: &LinkConfig,
    decision: &Decision<'_>,
) -> Option<PlannedPayload> {
    let block = choice::block_size(device.report.as_ref()?, link);
    let of = |format, size, is_bound| {
        let on_air = choice::on_air(size, block, link);
        PlannedPayload {
            format,
            size,
            on_air,
            air_time: link.rate.air_time(on_air),
            is_bound,
        }
    };
    match decision {
        Decision::Offer { artefact, .. } => {
            let open = state
                .offers_of(device.id)
                .find(|offer| offer.artefact == artefact.digest);
            let progress = open.and_then(|offer| state.progress.get(&offer.path));
            let served = progress.map_or(Bytes(0), |progress| progress.served_to);
            Some(of(artefact.format, artefact.size.saturating_sub(served), false))
        }
        Decision::NeedsBuilds { target, .. } => {
            let candidates = overview::candidates(state, device, link, decision);
            let ready = candidates
                .iter()
                .find(|candidate| candidate.verdict.is_takeable());
            Some(match ready {
                Some(ready) => of(ready.format, ready.size, true),
                None => of(Format::Full, target.image.size, true),
            })
        }
        _ => None,
    }
}
