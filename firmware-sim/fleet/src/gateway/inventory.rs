//! What the gateway says of devices and images, read from the JSON that technicians get.

use super::Gateway;
use crate::rig::Result;
use serde_json::Value;

/// A device as `device show --json` tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceSummary {
    /// Sequence number it runs, once it was heard.
    pub running_sequence: Option<u64>,
    /// Whether what it runs is not confirmed yet.
    pub on_trial: bool,
    /// Every image ever offered to it.
    pub updates: Vec<UpdateSummary>,
}

/// What became of one image on one device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateSummary {
    /// The image's digest in hex.
    pub image: String,
    /// Its sequence number.
    pub sequence: u32,
    /// `offered`, `confirmed`, `withheld` or `released`.
    pub state: String,
    /// Why it is withheld; empty otherwise.
    pub outcome: String,
    /// How often it was offered.
    pub offers: u64,
}

impl DeviceSummary {
    /// The update to this sequence number.
    pub fn update(&self, sequence: u32) -> Option<&UpdateSummary> {
        self.updates.iter().find(|update| update.sequence == sequence)
    }
}

/// What this gateway knows of a device.
pub fn device(gateway: &Gateway, id: &str) -> Result<DeviceSummary> {
    let document = gateway.json(&["device", "show", id])?;
    summary(&document).ok_or_else(|| format!("device show --json has another shape: {document}").into())
}
fn summary(_d:&Value)->Option<DeviceSummary>{None}
