//! What publishers state to be the latest, as documents.

use gateway_core::StatementView;
use serde::{Deserialize, Serialize};
use wire_checkin::Freshness;

use crate::clock::utc_minute;
use crate::publisher::identity::uuid_text;

/// What a publisher states to be the latest of a class, and what that is worth here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct StatementRow {
    /// UUID of the vendor.
    pub vendor_id: String,
    /// UUID of the class.
    pub class_id: String,
    /// The statement's number.
    pub number: u32,
    /// Sequence number of the latest release.
    pub latest: u32,
    /// When it was signed, by the publisher's clock.
    pub issued_unix_s: u64,
    /// For how many seconds from then it is meant.
    pub valid_s: u32,
    /// Key that signed it.
    pub key_id: String,
    /// When it was imported.
    pub imported_unix_s: u64,
    /// Sequence number of the newest image of the class here; absent when there is none.
    pub held: Option<u64>,
    /// Whether the latest release is not here.
    pub behind: bool,
    /// Whether a newer statement is due; absent when the clock does not tell.
    pub old: Option<bool>,
    /// Claimed devices of the class that say that no newer one came to them in time.
    pub stale_devices: usize,
    /// Claimed devices of the class that say that nobody offered them a release that they know of.
    pub behind_devices: usize,
}

impl From<&StatementView> for StatementRow {
    fn from(view: &StatementView) -> StatementRow {
        let (statement, latest) = (&view.statement, view.statement.signed.latest);
        StatementRow {
            vendor_id: uuid_text(&statement.vendor.0),
            class_id: uuid_text(&statement.class.0),
            number: latest.number,
            latest: latest.sequence,
            issued_unix_s: latest.issued_s.into(),
            valid_s: latest.valid_s,
            key_id: wire_manifest::KeyId(statement.key_id).to_string(),
            imported_unix_s: statement.imported_unix_s,
            held: view.held,
            behind: view.is_behind(),
            old: view.is_old,
            stale_devices: view.stale_devices,
            behind_devices: view.behind_devices,
        }
    }
}

impl StatementRow {
    /// What is not as it should be, in one clause, and what helps.
    pub fn amiss(&self) -> Option<(String, String)> {
        let (number, class, latest) = (self.number, &self.class_id, self.latest);
        let until = utc_minute(self.issued_unix_s.saturating_add(self.valid_s.into()));
        match (self.held, self.behind, self.old) {
            (Some(held), true, _) => Some((
                format!("class {class}: {latest} is the latest, {held} the newest here"),
                "get it from the publisher, and deltagate image import FILE".into(),
            )),
            (None, true, _) => Some((
                format!("class {class}: {latest} is the latest, and no image is here"),
                "get it from the publisher, and deltagate image import FILE".into(),
            )),
            (_, false, Some(true)) => Some((
                format!("class {class}: statement {number} was meant until {until}"),
                "get the next one from the publisher, and deltagate image import FILE".into(),
            )),
            _ => None,
        }
    }
}

/// What a device says of the latest release, when it says anything.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct FreshnessRow {
    /// Number of the newest statement that it heard; 0: none.
    pub statement: u32,
    /// Whether that is older than it is valid for, by what the device counted.
    pub stale: bool,
    /// Whether it has known of a newer release for long, and nobody offered it one.
    pub behind: bool,
}

impl From<Freshness> for FreshnessRow {
    fn from(said: Freshness) -> FreshnessRow {
        FreshnessRow {
            statement: said.number,
            stale: said.is_stale,
            behind: said.is_behind,
        }
    }
}
