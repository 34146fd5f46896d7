//! `update plan` as a document.

use gateway_core::{ImageDigest, PlanView};
use serde::{Deserialize, Serialize};

/// `update plan`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Plan {
    /// Every device concerned, in order of their identifiers.
    pub devices: Vec<PlanRow>,
    /// What that comes to on each link where something is sent.
    pub links: Vec<PlanLinkRow>,
}

/// What one device would be sent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanRow {
    /// The device.
    pub device: String,
    /// What people call it.
    pub label: Option<String>,
    /// The link it was last heard on.
    pub link: String,
    /// Digest of what it should run.
    pub image: String,
    /// Version of what it should run.
    pub image_version: String,
    /// `full`, `lz4`, `bsdiff` or `patch`; absent when nothing is sent.
    pub format: Option<String>,
    /// Payload bytes still to be fetched.
    pub size_bytes: u64,
    /// The same on the air without loss.
    pub on_air_bytes: u64,
    /// The least time that takes at the link's rate.
    pub airtime_ms: u64,
    /// Whether these are upper bounds, because a delta is not built yet.
    pub at_most: bool,
    /// Why, in one clause.
    pub why: String,
}

/// What a plan comes to on one link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PlanLinkRow {
    /// The link.
    pub link: String,
    /// Devices that are sent something.
    pub devices: usize,
    /// Bytes on the air without loss.
    pub on_air_bytes: u64,
    /// The least time that takes at the link's rate, one after the other.
    pub airtime_ms: u64,
    /// Whether these are upper bounds.
    pub at_most: bool,
}

impl Plan {
    /// A plan, with each image's version.
    pub fn new(plan: &[PlanView], version: impl Fn(ImageDigest) -> Option<String>) -> Plan {
        let devices: Vec<PlanRow> = plan.iter().map(|view| row(view, &version)).collect();
        let mut links: Vec<PlanLinkRow> = Vec::new();
        for row in devices.iter().filter(|row| row.format.is_some()) {
            let at = links.iter().position(|link| link.link == row.link);
            let at = at.unwrap_or_else(|| {
                links.push(PlanLinkRow {
                    link: row.link.clone(),
                    devices: 0,
                    on_air_bytes: 0,
                    airtime_ms: 0,
                    at_most: false,
                });
                links.len() - 1
            });
            let link = &mut links[at];
            link.devices += 1;
            link.on_air_bytes += row.on_air_bytes;
            link.airtime_ms += row.airtime_ms;
            link.at_most |= row.at_most;
        }
        Plan { devices, links }
    }
}

fn row(view: &PlanView, version: &impl Fn(ImageDigest) -> Option<String>) -> PlanRow {
    let payload = view.payload;
    PlanRow {
        device: view.device.to_string(),
        label: view.label.as_ref().map(ToString::to_string),
        link: view.link.to_string(),
        image: view.image.to_string(),
        image_version: version(view.image).unwrap_or_default(),
        format: payload.map(|payload| payload.format.to_string()),
        size_bytes: payload.map_or(0, |payload| payload.size.0),
        on_air_bytes: payload.map_or(0, |payload| payload.on_air.0),
        airtime_ms: payload.map_or(0, |payload| payload.air_time.micros.div_ceil(1_000)),
        at_most: payload.is_some_and(|payload| payload.is_bound),
        why: view.why.clone(),
    }
}
