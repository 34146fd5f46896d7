//! Who holds which key, as documents. No secret is part of any.

use gateway_core::{IdentityView, NameKind};
use serde::{Deserialize, Serialize};

/// `device enrol`, `device rotate`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Enrolled {
    /// One clause.
    pub done: String,
    /// The device.
    pub device: String,
    /// The id of its new key.
    pub kid: String,
    /// Where its credentials were written.
    #[serde(default)]
    pub file: Option<String>,
}

/// `device import`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImportedDevices {
    /// One clause.
    pub done: String,
    /// Devices that were enrolled.
    pub enrolled: usize,
    /// Lines of devices that had these keys already.
    pub unchanged: usize,
    /// Lines that cannot be imported, in their order. Unless they may be left out nothing was.
    pub bad: Vec<BadRow>,
}

/// A line that cannot be imported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct BadRow {
    /// Its number, from 1; the head line has the first.
    pub line: usize,
    /// Which column, or `line`.
    pub what: String,
    /// Why, in one clause.
    pub why: String,
}

/// A device's keys, what is printed on it, and whether it is retired.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct IdentityRow {
    /// Ids of its keys: none when it is not enrolled; two while it rotates, the old one first.
    pub kids: Vec<String>,
    /// Until when the old one counts at most, while it rotates.
    pub rotates_until_unix_s: Option<u64>,
    /// Its EUI, where that is not its identifier.
    pub eui: Option<String>,
    /// Its IMEI.
    pub imei: Option<String>,
    /// Its serial number.
    pub serial: Option<String>,
    /// Since when it is retired.
    pub retired_unix_s: Option<u64>,
    /// What took its place.
    pub successor: Option<String>,
    /// What it took the place of.
    pub predecessor: Option<String>,
}

impl From<&IdentityView> for IdentityRow {
    fn from(view: &IdentityView) -> IdentityRow {
        let name = |kind| {
            let found = view.names.iter().find(|name| name.kind() == kind);
            found.map(|name| name.as_str().to_owned())
        };
        let successor = view.retired.and_then(|retired| retired.successor);
        IdentityRow {
            kids: view.kids.iter().map(ToString::to_string).collect(),
            rotates_until_unix_s: view.leaving_unix_s,
            eui: name(NameKind::Eui),
            imei: name(NameKind::Imei),
            serial: name(NameKind::Serial),
            retired_unix_s: view.retired.map(|retired| retired.at_unix_s),
            successor: successor.map(|id| id.to_string()),
            predecessor: view.predecessor.map(|id| id.to_string()),
        }
    }
}
