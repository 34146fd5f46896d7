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
    /// The id of its new key; empty when it was enrolled by a key of its own.
    pub kid: String,
    /// Where its credentials were written.
    #[serde(default)]
    pub file: Option<String>,
    /// What it is to know the gateway by, when it was enrolled by a key of its own: see `device gateway-key`.
    #[serde(default)]
    pub gateway_key: Option<String>,
}

/// `device gateway-key`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GatewayKey {
    /// The x-coordinate of its point on P-256, in hex.
    pub public_key: String,
    /// The kid of its credential, in hex.
    pub kid: String,
}

/// `device enrol --psk`, `device rotate --psk`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct EnrolledPsk {
    /// One clause.
    pub done: String,
    /// The device.
    pub device: String,
    /// What its DTLS handshakes name its key by.
    pub psk_identity: String,
    /// Where identity and key were written, when the key was drawn.
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
    /// Identities of its keys of DTLS: two while it rotates, the old one first.
    pub psk_identities: Vec<String>,
    /// Until when the old one of those counts at most, while it rotates.
    pub psk_rotates_until_unix_s: Option<u64>,
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
    /// Since when it proves with a key who it is, and nobody is believed to be it without; absent before that.
    pub proven_since_unix_s: Option<u64>,
    /// The public one of a key of its own: the x-coordinate of its point on P-256, in hex.
    #[serde(default)]
    pub public_key: Option<String>,
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
            psk_identities: view.psks.iter().map(ToString::to_string).collect(),
            psk_rotates_until_unix_s: view.psk_leaving_unix_s,
            eui: name(NameKind::Eui),
            imei: name(NameKind::Imei),
            serial: name(NameKind::Serial),
            retired_unix_s: view.retired.map(|retired| retired.at_unix_s),
            successor: successor.map(|id| id.to_string()),
            predecessor: view.predecessor.map(|id| id.to_string()),
            proven_since_unix_s: view.used_unix_s,
            public_key: view.public_key.map(|key| crate::delta::hex(key.as_bytes())),
        }
    }
}
