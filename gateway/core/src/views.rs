//! What an operator is shown. Plain data; the shell prints it or turns it into JSON.

use crate::anchors::{AnchorsContent, AnchorsRecord, AnchorsStand};
use crate::choice::Candidate;
use crate::config::{LinkConfig, LinkName};
use crate::deferral::DeferralView;
use crate::effect::BuildKey;
use crate::identities::IdentityView;
use crate::identity::ImageDigest;
use crate::label::Label;
use crate::records::{
    ArtefactRecord, Assignment, Counters, DeviceRecord, GroupName, ImageRecord, LinkEvents, OfferPath,
    Progress, Selector, UpdateRecord,
};
use crate::turned_away::TurnedAway;
use crate::units::{AirTime, Bytes};
use core::fmt;
use wire_checkin::{DeviceId, Format};

/// One device, with the reason for what it is offered or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceView {
    /// What is known of it.
    pub device: DeviceRecord,
    /// What people call it.
    pub label: Option<Label>,
    /// Its keys, what else it is called, and whether it is retired.
    pub identity: IdentityView,
    /// Whether what is known of what it runs came under its key, and is not just said in its name.
    pub is_proven: bool,
    /// The image it runs, when that image was imported.
    pub running: Option<ImageDigest>,
    /// Groups it is in.
    pub groups: Vec<GroupName>,
    /// How it stands to the set of trust anchors in force for it; `None` without a set, or before it was heard.
    pub anchors: Option<AnchorsStand>,
    /// What it should run and because of which assignment.
    pub target: Option<TargetView>,
    /// The causal chain, first cause first, each one clause. The last says where it ends.
    pub chain: Vec<String>,
    /// The one thing to do next; `None` when there is nothing to do but wait.
    pub next_step: Option<NextStep>,
    /// Every artefact considered, cheapest first, with what became of it.
    pub candidates: Vec<Candidate>,
    /// The open transfer.
    pub transfer: Option<TransferView>,
    /// Why it puts the update off.
    pub deferral: Option<DeferralView>,
    /// Every image ever offered to it.
    pub updates: Vec<UpdateRecord>,
    /// Bytes and airtime.
    pub counters: Counters,
    /// Its last datagram that named it, 0 when it was never heard.
    pub last_seen_unix_s: u64,
}

/// What a device should run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetView {
    /// The image.
    pub image: ImageDigest,
    /// The assignment that decided.
    pub by: Selector,
}

/// One thing an operator can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStep {
    /// Why, in one clause.
    pub why: String,
    /// The command, as typed.
    pub command: String,
}

/// A transfer under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferView {
    /// Its path.
    pub path: OfferPath,
    /// What it becomes.
    pub image: ImageDigest,
    /// How it is encoded.
    pub format: Format,
    /// Payload bytes in all.
    pub size: Bytes,
    /// How far it came.
    pub progress: Progress,
    /// The least time left that the link allows.
    pub least_left: AirTime,
    /// The time left at the pace of this transfer so far, in seconds; `None` before a second block was served.
    pub expected_left_s: Option<u64>,
}

impl TransferView {
    /// Hundredths of the payload served, 0 to 100.
    pub fn percent(&self) -> u8 {
        let served = self.progress.served_to.0.min(self.size.0);
        served.saturating_mul(100).checked_div(self.size.0).unwrap_or(100) as u8
    }
}

/// One image with its artefacts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageView {
    /// What is known of it.
    pub image: ImageRecord,
    /// Payloads that are ready and give this image.
    pub artefacts: Vec<ArtefactRecord>,
    /// Builds under way.
    pub building: Vec<BuildKey>,
    /// Builds that failed, with the reason.
    pub failed: Vec<(BuildKey, String)>,
    /// Claimed devices that run it.
    pub running: usize,
    /// Assignments that name it.
    pub assigned: Vec<Selector>,
    /// Whether it is to be kept whatever happens.
    pub is_pinned: bool,
    /// Why it is offered to nobody, in one clause, when who signed it is not trusted any more.
    pub distrusted: Option<String>,
}

/// One set of trust anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorsView {
    /// What is known of it.
    pub record: AnchorsRecord,
    /// What it says.
    pub content: AnchorsContent,
    /// Whether it is the one in force for whom it is for.
    pub is_in_force: bool,
    /// Claimed devices that say they have it.
    pub devices: usize,
}

/// One link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkView {
    /// Its configuration.
    pub config: LinkConfig,
    /// What went over it.
    pub total: Counters,
    /// Of that, what could not be attributed to a device.
    pub unattributed: Counters,
    /// What happened to replies.
    pub events: LinkEvents,
    /// Replies waiting now.
    pub queued: usize,
    /// Devices last heard on it.
    pub devices: usize,
}

/// One group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupView {
    /// Its name.
    pub name: GroupName,
    /// Its members.
    pub members: Vec<DeviceId>,
    /// What it should run.
    pub assigned: Option<ImageDigest>,
}

/// One device's update in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateView {
    /// The device.
    pub device: DeviceId,
    /// What it should run.
    pub image: ImageDigest,
    /// Where it stands.
    pub stage: Stage,
    /// How often the image was offered to it.
    pub offers: u32,
    /// The open transfer.
    pub transfer: Option<TransferView>,
    /// Why the device puts it off.
    pub deferral: Option<DeferralView>,
}

/// Where a device's update stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// It has not checked in since it was claimed.
    Unheard,
    /// It runs the target.
    UpToDate,
    /// Its artefact is being built.
    Building,
    /// Its artefact is ready; the next check-in gets it.
    Ready,
    /// It was told, and has not fetched anything yet.
    Offered,
    /// It is fetching.
    Transferring,
    /// Everything was served; it applies, reboots and is awaited.
    Installing,
    /// Updates are paused: it waits for `update resume`.
    Paused,
    /// The device puts it off.
    Deferred,
    /// The image is withheld until `update retry`.
    Withheld,
    /// Something that waiting does not solve: see `device show`.
    Blocked,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Stage::Unheard => "unheard",
            Stage::UpToDate => "up to date",
            Stage::Building => "building",
            Stage::Ready => "ready",
            Stage::Offered => "offered",
            Stage::Transferring => "transferring",
            Stage::Installing => "installing",
            Stage::Paused => "paused",
            Stage::Deferred => "deferred",
            Stage::Withheld => "withheld",
            Stage::Blocked => "blocked",
        })
    }
}

/// The whole gateway in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StatusView {
    /// What images and artefacts take on the disk at most.
    pub disk: Bytes,
    /// What they may take, if that is bounded.
    pub disk_max: Option<Bytes>,
    /// Claimed devices.
    pub claimed: usize,
    /// Devices waiting to be claimed.
    pub unclaimed: usize,
    /// Check-ins of unknown devices not recorded because the list was full, since the start.
    pub unclaimed_dropped: u64,
    /// Links that serve devices without keys.
    pub open_links: Vec<LinkName>,
    /// Claimed devices of which all that is known was said without a key.
    pub unproven: usize,
    /// Requests answered with the demand to prove the address they came from, since the start.
    pub challenges: u64,
    /// Requests refused for want of a key, since the start.
    pub turned_away_requests: u64,
    /// Who checked in without its key, or without any: the latest ones, the latest first.
    pub turned_away: Vec<TurnedAway>,
    /// Images.
    pub images: usize,
    /// Artefacts ready.
    pub artefacts: usize,
    /// Claimed devices without the set of trust anchors in force for them: what it took away they still trust.
    pub anchors_behind: Vec<DeviceId>,
    /// Builds under way.
    pub building: usize,
    /// Builds that failed.
    pub failed_builds: usize,
    /// Assignments.
    pub assignments: Vec<Assignment>,
    /// Claimed devices that put an update off for longer than they were asked: they need a person.
    pub overdue: usize,
    /// Since when updates are paused.
    pub paused_unix_s: Option<u64>,
    /// Updates of every claimed device that has a target.
    pub updates: Vec<UpdateView>,
}
