//! What the gateway says of a device, read from the JSON that technicians get.

use super::{CommandFailed, Gateway};
use serde::Deserialize;

/// A device as `device show --json` tells it.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct DeviceSummary {
    /// What it runs.
    pub device: Running,
    /// Every image ever offered to it.
    pub updates: Vec<UpdateSummary>,
}

/// What a device runs.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct Running {
    /// Its sequence number, once the device was heard.
    pub sequence_number: Option<u64>,
    /// Whether it is not confirmed yet.
    pub on_trial: bool,
}

/// What became of one image on one device.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct UpdateSummary {
    /// The image's sequence number.
    pub sequence_number: Option<u64>,
    /// `offered`, `confirmed`, `withheld` or `released`.
    pub state: String,
    /// Why it is withheld.
    pub outcome: Option<String>,
    /// How often it was offered.
    pub offers: u32,
}

impl DeviceSummary {
    /// The update to this sequence number.
    pub fn update(&self, sequence: u32) -> Option<&UpdateSummary> {
        self.updates
            .iter()
            .find(|update| update.sequence_number == Some(u64::from(sequence)))
    }

    /// Whether it runs this sequence number, confirmed. The check-in that confirms an image still calls it on trial, so
    /// either word will do.
    pub fn runs(&self, sequence: u32) -> bool {
        let confirmed = self
            .update(sequence)
            .is_some_and(|update| update.state == "confirmed");
        self.device.sequence_number == Some(u64::from(sequence)) && (confirmed || !self.device.on_trial)
    }
}

/// What this gateway knows of a device.
pub fn device(gateway: &Gateway, id: &str) -> Result<DeviceSummary, CommandFailed> {
    gateway.json(&["device", "show", id])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_needed_is_read() {
        let text = r#"{"version": 1, "device": {"device": "52", "sequence_number": 2, "on_trial": false},
            "updates": [{"image": "ab", "sequence_number": 3, "state": "withheld", "outcome": "reverted: watchdog",
            "offers": 1, "changed_unix_s": 5}], "groups": []}"#;
        let summary: DeviceSummary = serde_json::from_str(text).unwrap();
        assert!(summary.runs(2));
        assert_eq!(summary.update(3).unwrap().offers, 1);
        assert_eq!(summary.update(2), None);
    }

    #[test]
    fn an_image_on_trial_does_not_run_until_it_is_confirmed() {
        let mut summary = DeviceSummary {
            device: Running {
                sequence_number: Some(2),
                on_trial: true,
            },
            updates: vec![UpdateSummary {
                sequence_number: Some(2),
                state: "offered".into(),
                outcome: None,
                offers: 1,
            }],
        };
        assert!(!summary.runs(2));
        summary.updates[0].state = "confirmed".into();
        assert!(summary.runs(2));
        assert!(!summary.runs(1));
    }
}
