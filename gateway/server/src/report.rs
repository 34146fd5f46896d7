//! The documents a gateway answers with, which `--json` prints as they are.
//!
//! Described in `docs/cli-json.md`. Every document carries `version`; a key is only ever added, and a change of
//! meaning is a new version. Digests and identifiers are lower-case hex, UUIDs are written as usual, times are seconds since 1970 UTC.

mod convert;
mod identity;
mod plan;
#[cfg(test)]
mod schema;
mod statement;

pub use identity::{BadRow, Enrolled, EnrolledPsk, GatewayKey, IdentityRow, ImportedDevices};
pub use plan::{Plan, PlanLinkRow, PlanRow};
pub use statement::{FreshnessRow, StatementRow};

use serde::{Deserialize, Serialize};

pub use crate::audit::AuditRow;

/// Version of every document.
pub const VERSION: u32 = 1;

/// A document: its version beside its content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[cfg_attr(test, schemars(rename = "{T}Document"))]
pub struct Document<T> {
    /// [`VERSION`].
    pub version: u32,
    /// What it says.
    #[serde(flatten)]
    pub content: T,
}

impl<T> Document<T> {
    /// A document of this version.
    pub fn new(content: T) -> Document<T> {
        Document {
            version: VERSION,
            content,
        }
    }
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Done {
    /// One clause.
    pub done: String,
    /// The image that was imported.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageRow>,
    /// Those that do not get what was assigned to them, the most frequent reason first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOutRow>,
}

impl Done {
    /// Of a command that says no more than that.
    pub fn new(done: impl Into<String>) -> Done {
        Done {
            done: done.into(),
            image: None,
            left_out: Vec::new(),
        }
    }
}

/// Devices that do not get what was assigned to them, for one reason.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LeftOutRow {
    /// The reason, in one clause.
    pub why: String,
    /// How many.
    pub devices: usize,
    /// One of them.
    pub first: String,
    /// What helps that one.
    pub next_step: Step,
}

/// `audit`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditPage {
    /// Oldest first; over the socket at most [`crate::store::AUDIT_PAGE_MAX`] at a time.
    pub entries: Vec<AuditRow>,
}

/// `logs`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LogPage {
    /// Oldest first: `timestamp`, `level`, `target`, `message` and each line's own fields.
    pub lines: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// `anchors list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Anchors {
    /// By class and number.
    pub sets: Vec<AnchorsRow>,
    /// Claimed devices without the set in force for them.
    pub behind: Vec<String>,
}

/// One set of trust anchors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AnchorsRow {
    /// Its number.
    pub number: u16,
    /// UUID of the one class that it is for; absent: every class.
    pub class_id: Option<String>,
    /// Whether it is the one in force.
    pub in_force: bool,
    /// How many release keys have to sign a release.
    pub release_min: u8,
    /// How many recovery keys have to sign the next set.
    pub recovery_min: u8,
    /// The highest sequence number of a release.
    pub sequence_max: u32,
    /// Its keys.
    pub keys: Vec<AnchorRow>,
    /// Claimed devices that have it.
    pub devices: usize,
    /// When it was imported.
    pub imported_unix_s: u64,
}

/// A key of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AnchorRow {
    /// The `kid` of its signatures.
    pub key_id: String,
    /// What it may do: `release`, `recovery`, `retired`, `operator`.
    pub roles: Vec<String>,
}

/// `image list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Images {
    /// Oldest import first.
    pub images: Vec<ImageRow>,
}

/// One image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageRow {
    /// SHA-256 of the raw image.
    pub digest: String,
    /// Its size.
    pub size_bytes: u64,
    /// UUID of the vendor.
    pub vendor_id: String,
    /// UUID of the class.
    pub class_id: String,
    /// From the signed manifest.
    pub sequence_number: u64,
    /// From the signed manifest: the lowest sequence number that it may follow; 0: any.
    #[serde(default)]
    pub predecessor_min: u64,
    /// From the publisher's text; may be empty.
    pub image_version: String,
    /// From the publisher's text; may be empty.
    pub description: String,
    /// Key that signed it.
    pub key_id: String,
    /// Every key that says it signed. Those were checked that were trusted at import.
    #[serde(default)]
    pub signatures: Vec<String>,
    /// Why it is offered to nobody, when who signed it is not trusted any more.
    #[serde(default)]
    pub distrusted: Option<String>,
    /// When it was imported.
    pub imported_unix_s: u64,
    /// Whether it is kept whatever happens.
    #[serde(default)]
    pub pinned: bool,
}

/// `image show`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ImageDetail {
    /// The image.
    pub image: ImageRow,
    /// Payloads that are ready.
    pub artefacts: Vec<ArtefactRow>,
    /// Builds under way, one clause each.
    pub building: Vec<String>,
    /// Builds that failed, one clause each.
    pub failed: Vec<String>,
    /// Claimed devices that run it.
    pub running_devices: usize,
    /// Assignments that name it, such as `group roof`.
    pub assigned: Vec<String>,
}

/// One payload.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ArtefactRow {
    /// SHA-256 of the payload.
    pub digest: String,
    /// `full`, `lz4`, `bsdiff` or `patch`.
    pub format: String,
    /// Digest of the image it is applied to; absent when it needs none.
    pub base: Option<String>,
    /// Payload bytes.
    pub size_bytes: u64,
    /// What its decoder needs.
    pub decoder_memory_bytes: u64,
    /// Of a patch that is applied in place, its reach.
    #[serde(default)]
    pub in_place_reach_bytes: Option<u64>,
}

/// `device list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Devices {
    /// In order of their identifiers.
    pub devices: Vec<DeviceRow>,
}

/// `device find`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Found {
    /// What was looked for.
    pub text: String,
    /// Whether the devices hold the text; else they are the nearest to it.
    pub found: bool,
    /// Best first.
    pub devices: Vec<DeviceRow>,
}

/// One device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeviceRow {
    /// Its identifier.
    pub device: String,
    /// What people call it.
    #[serde(default)]
    pub label: Option<String>,
    /// Its keys, what is printed on it, and whether it is retired.
    #[serde(default)]
    pub identity: IdentityRow,
    /// Whether it may be served.
    pub claimed: bool,
    /// Whether what it says of itself came under its key; otherwise it was said in its name, on a link that is open.
    #[serde(default)]
    pub is_proven: bool,
    /// UUID of its class; absent before it was heard.
    pub class_id: Option<String>,
    /// Leading hex digits of the digest of what it runs.
    pub running: Option<String>,
    /// Version of what it runs, when that image was imported.
    pub running_version: Option<String>,
    /// Sequence number of what it runs.
    pub sequence_number: Option<u64>,
    /// Whether what it runs is on trial.
    pub on_trial: bool,
    /// The longest reach of a patch that a device with a single slot can take; absent for one with two.
    #[serde(default)]
    pub in_place_reach_bytes: Option<u64>,
    /// What it says of the latest release; absent while it says nothing, which is well.
    #[serde(default)]
    pub freshness: Option<FreshnessRow>,
    /// Number of the set of trust anchors in force on it, 0 for the factory's keys; absent: it takes none, or was not heard.
    #[serde(default)]
    pub anchors: Option<u16>,
    /// Number of a set that it keeps until an image has come that starts under it.
    #[serde(default)]
    pub anchors_waiting: Option<u16>,
    /// The link it was heard on.
    pub link: Option<String>,
    /// When it was last heard; 0 never.
    pub last_seen_unix_s: u64,
    /// Digest of what it should run.
    pub target: Option<String>,
}

/// `device show`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeviceDetail {
    /// The device.
    pub device: DeviceRow,
    /// How it stands to the set of trust anchors in force for it; absent without one.
    #[serde(default)]
    pub trust: Option<String>,
    /// Groups it is in.
    pub groups: Vec<String>,
    /// The assignment that decides what it should run, such as `group roof`.
    pub target_by: Option<String>,
    /// Causes, first one first.
    pub chain: Vec<String>,
    /// What to do; absent when there is nothing to do but wait.
    pub next_step: Option<Step>,
    /// Version of what it should run.
    #[serde(default)]
    pub target_version: Option<String>,
    /// Its silence, and what that means.
    #[serde(default)]
    pub contact: Option<ContactRow>,
    /// Payloads considered, cheapest first.
    pub candidates: Vec<CandidateRow>,
    /// The open transfer.
    pub transfer: Option<TransferRow>,
    /// Why the device puts the update off.
    #[serde(default)]
    pub deferral: Option<DeferralRow>,
    /// Every image ever offered.
    pub updates: Vec<HistoryRow>,
    /// Bytes and airtime.
    pub traffic: TrafficRow,
}

/// `why`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Why {
    /// The device.
    pub device: String,
    /// What people call it.
    pub label: Option<String>,
    /// Causes, first one first.
    pub chain: Vec<String>,
    /// The one thing to do.
    pub next_step: Step,
}

/// A device's silence.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContactRow {
    /// How long nothing was heard; absent when that is not known.
    pub silent_s: Option<u64>,
    /// How often a device with nothing to do checks in.
    pub interval_s: u32,
    /// How much later than that is still on time.
    pub tolerance_s: u32,
    /// `never`, `not judged`, `on time`, `late` or `missing`.
    pub state: String,
    /// Check-ins that did not come, of a device that is missing.
    pub missed_check_ins: u64,
    /// When it can be expected next; absent when that is not known.
    pub next_unix_s: Option<u64>,
}

/// A device that a person should see to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct NeedRow {
    /// The device.
    pub device: String,
    /// What people call it.
    #[serde(default)]
    pub label: Option<String>,
    /// What is wrong.
    pub why: String,
    /// What to do about it.
    pub next_step: Step,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Step {
    /// Why.
    pub why: String,
    /// As typed.
    pub command: String,
}

/// A payload that was considered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CandidateRow {
    /// `full`, `lz4`, `bsdiff` or `patch`.
    pub format: String,
    /// Payload bytes.
    pub size_bytes: u64,
    /// Bytes on the air for the whole transfer without loss.
    pub on_air_bytes: u64,
    /// Whether the device gets this one.
    pub chosen: bool,
    /// Why, or why not.
    pub verdict: String,
}

/// A transfer under way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TransferRow {
    /// The path, without its slash.
    pub path: String,
    /// Encoding.
    pub format: String,
    /// Payload bytes in all.
    pub size_bytes: u64,
    /// End of the furthest block served.
    pub served_bytes: u64,
    /// Hundredths.
    pub percent: u8,
    /// The least time left that the link allows.
    pub least_left_ms: u64,
    /// Time left at the pace so far.
    pub expected_left_s: Option<u64>,
}

/// An update that its device puts off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct DeferralRow {
    /// `before download` or `before restart`.
    pub stage: String,
    /// `battery`, `signal`, `application`, or a later version's `reason N`.
    pub reason: String,
    /// For how long already.
    pub seconds: u32,
    /// How long the assignment lets it wait.
    pub longest_s: Option<u32>,
    /// Whether that is over.
    pub overdue: bool,
}

/// What became of an image on a device.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct HistoryRow {
    /// Digest of the image.
    pub image: String,
    /// Its sequence number; absent when the image is gone.
    pub sequence_number: Option<u64>,
    /// `offered`, `confirmed`, `withheld` or `released`.
    pub state: String,
    /// Why it is withheld.
    pub outcome: Option<String>,
    /// How often it was offered.
    pub offers: u32,
    /// Since when.
    pub changed_unix_s: u64,
}

/// Bytes on the air, IP and UDP headers included.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TrafficRow {
    /// Datagrams from the gateway.
    pub down_datagrams: u64,
    /// Bytes from the gateway.
    pub down_bytes: u64,
    /// Airtime of these.
    pub down_airtime_ms: u64,
    /// Datagrams to the gateway.
    pub up_datagrams: u64,
    /// Bytes to the gateway.
    pub up_bytes: u64,
    /// Airtime of these.
    pub up_airtime_ms: u64,
}

/// `group list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Groups {
    /// In order of their names.
    pub groups: Vec<GroupRow>,
}

/// One group.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GroupRow {
    /// Its name.
    pub group: String,
    /// Its devices.
    pub members: Vec<String>,
    /// Digest of what it should run.
    pub assigned: Option<String>,
}

/// `update status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Updates {
    /// Every claimed device that has a target.
    pub updates: Vec<UpdateRow>,
}

/// One device's update.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UpdateRow {
    /// The device.
    pub device: String,
    /// Digest of what it should run.
    pub image: String,
    /// Version of what it should run.
    pub image_version: String,
    /// `unheard`, `up to date`, `building`, `ready`, `offered`, `transferring`, `installing`, `paused`, `deferred`, `withheld`,
    /// `blocked`.
    pub stage: String,
    /// Whether waiting changes nothing any more: up to date, withheld or blocked.
    pub settled: bool,
    /// How often the image was offered to it.
    pub offers: u32,
    /// The open transfer.
    pub transfer: Option<TransferRow>,
    /// Why the device puts it off.
    #[serde(default)]
    pub deferral: Option<DeferralRow>,
}

/// `link list`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Links {
    /// The default link, then the configured ones in their order.
    pub links: Vec<LinkRow>,
}

/// `link show`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkDetail {
    /// The link.
    pub link: LinkRow,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct LinkRow {
    /// Its name.
    pub name: String,
    /// Who is behind it.
    pub prefixes: Vec<String>,
    /// Configured rate.
    pub rate_bits_per_second: u64,
    /// Configured ACK timeout.
    pub ack_timeout_ms: u32,
    /// Largest block served on it.
    pub block_size: u32,
    /// Configured largest packet.
    pub mtu: u16,
    /// Devices last heard on it.
    pub devices: usize,
    /// Replies waiting now.
    pub queued: usize,
    /// What went over it.
    pub traffic: TrafficRow,
    /// Of that, what no device could be named for.
    pub unattributed: TrafficRow,
    /// Replies turned into 5.03.
    pub deferred: u64,
    /// Replies that waited.
    pub paced: u64,
    /// Replies dropped.
    pub dropped: u64,
    /// Repeated requests ignored while their reply waited.
    pub repeated: u64,
}

/// `status`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Status {
    /// Where CoAP is spoken.
    pub coap: String,
    /// Since when the gateway runs.
    pub started_unix_s: u64,
    /// Claimed devices.
    pub claimed_devices: usize,
    /// Devices waiting to be claimed.
    pub unclaimed_devices: usize,
    /// Check-ins of unknown devices that the full list could not take.
    pub unclaimed_dropped: u64,
    /// Links that serve devices without keys.
    #[serde(default)]
    pub open_links: Vec<String>,
    /// Claimed devices of which all that is known was said without a key.
    #[serde(default)]
    pub unproven_devices: usize,
    /// Requests answered with the demand to prove the address they came from, since the start.
    #[serde(default)]
    pub challenges: u64,
    /// Requests refused for want of a key, since the start.
    #[serde(default)]
    pub turned_away_requests: u64,
    /// Devices that checked in without their key, or without any: at most 32, the latest first.
    #[serde(default)]
    pub turned_away: Vec<TurnedAwayRow>,
    /// What publishers state to be the latest of each class.
    #[serde(default)]
    pub statements: Vec<StatementRow>,
    /// Images.
    pub images: usize,
    /// Payloads ready.
    pub artefacts: usize,
    /// What images and payloads take on the disk at most.
    #[serde(default)]
    pub disk_bytes: u64,
    /// What they may take, if that is bounded.
    #[serde(default)]
    pub disk_bytes_max: Option<u64>,
    /// Claimed devices without the set of trust anchors in force for them.
    #[serde(default)]
    pub anchors_behind: usize,
    /// One of them.
    #[serde(default)]
    pub anchors_behind_first: Option<String>,
    /// Builds under way.
    pub building: usize,
    /// Builds that failed.
    pub failed_builds: usize,
    /// Datagrams that could not be received or sent.
    pub datagram_errors: u64,
    /// Devices that put an update off for longer than they were asked.
    #[serde(default)]
    pub overdue_deferrals: usize,
    /// What the gateway's clock reads.
    #[serde(default)]
    pub now_unix_s: u64,
    /// Whether that can be right. While it cannot, nothing is decided by time.
    #[serde(default = "yes")]
    pub clock_is_set: bool,
    /// Since when updates are paused.
    #[serde(default)]
    pub paused_unix_s: Option<u64>,
    /// Claimed devices that a person should see to.
    #[serde(default)]
    pub needs: Vec<NeedRow>,
    /// Every claimed device that has a target.
    pub updates: Vec<UpdateRow>,
}

/// A device that checked in without a key where one is needed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TurnedAwayRow {
    /// What it called itself; nobody proved that.
    pub device: String,
    /// Whether that device has a key.
    pub has_key: bool,
    /// The link it asked on.
    pub link: String,
    /// The address it asked from, the last time.
    pub from: String,
    /// How often it checked in so.
    pub times: u64,
    /// What helps.
    pub next_step: Step,
}

fn yes() -> bool {
    true
}
