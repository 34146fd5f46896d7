//! Every persistent decision as a value: what the shell stores, and what it replays at start.

use crate::anchors::AnchorsRecord;
use crate::config::LinkName;
use crate::effect::BuildKey;
use crate::identities::IdentityChange;
use crate::identity::{ArtefactDigest, ClassId, ImageDigest};
use crate::label::Label;
use crate::records::{
    ArtefactRecord, Assignment, Counters, DeviceRecord, GroupName, ImageRecord, LinkEvents, Offer, OfferPath,
    Progress, Selector, UpdateRecord,
};
use crate::statements::StatementRecord;
use wire_checkin::DeviceId;

/// One row written or removed.
///
/// Each variant says its key. Writing a row replaces the one with the same key; removing one that is not there does
/// nothing. So both a log of changes in order and tables holding the latest rows restore the same state, and between
/// variants the order of [`crate::Gateway::restore`] does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Key: digest.
    Image(ImageRecord),
    /// Removes an image's row. What was made of it or for it, and its pin, are removed by changes of their own that come before this one.
    ImageRemoved(ImageDigest),
    /// Key: class and number.
    Anchors(AnchorsRecord),
    /// Removes a set of trust anchors.
    AnchorsRemoved(Option<ClassId>, u16),
    /// Key: digest. Neither the image nor what was made of it is removed.
    Pinned(ImageDigest),
    /// Removes a pin.
    Unpinned(ImageDigest),
    /// Key: vendor and class.
    Statement(StatementRecord),
    /// Key: digest, target and base.
    Artefact(ArtefactRecord),
    /// Removes an artefact's row. The build that gave it is forgotten by a change of its own that comes before this one.
    ArtefactRemoved {
        /// What it became.
        target: ImageDigest,
        /// On top of what.
        base: Option<ImageDigest>,
        /// Its payload.
        digest: ArtefactDigest,
    },
    /// Key: id.
    Device(DeviceRecord),
    /// Key: device.
    Labelled(DeviceId, Label),
    /// Removes a device's label.
    Unlabelled(DeviceId),
    /// Who holds which key, what else devices are called, and which are retired.
    Identity(IdentityChange),
    /// Removes the device's row, its label and names, its retirement, its traffic and its memberships. Its credentials, offers, assignment and updates are removed by
    /// changes of their own that come before this one.
    DeviceForgotten(DeviceId),
    /// Key: name. A group without members.
    GroupCreated(GroupName),
    /// Removes the group and its memberships.
    GroupRemoved(GroupName),
    /// Key: both.
    MemberAdded(GroupName, DeviceId),
    /// Removes a membership.
    MemberRemoved(GroupName, DeviceId),
    /// Key: selector.
    Assigned(Assignment),
    /// Removes an assignment.
    Unassigned(Selector),
    /// Updates are paused since this time. One row.
    Paused(u64),
    /// Removes that row.
    Resumed,
    /// Key: path. Stored before the device is told.
    Offered(Offer),
    /// Removes an offer and its progress: the path is answered with 4.04 from now on.
    OfferWithdrawn(OfferPath),
    /// Key: device and image.
    Update(UpdateRecord),
    /// Removes what is known of an image on a device.
    UpdateForgotten(DeviceId, ImageDigest),
    /// Key: build key. Its artefacts are stored by changes of their own that come before this one.
    /// A shell that has lost a payload restores neither its artefact nor this row: then the build is asked for again.
    Built(BuildKey),
    /// Key: build key. It stays until `update retry`.
    BuildFailed {
        /// What could not be built.
        key: BuildKey,
        /// Why, in one clause.
        reason: String,
        /// When.
        failed_unix_s: u64,
    },
    /// Removes a failed build, so that it is tried again.
    BuildReleased(BuildKey),
    /// Removes a finished build, so that it is asked for again when it is wanted.
    BuildForgotten(BuildKey),
    /// Key: link. Written at most every [`crate::CoreConfig::counters_interval_s`].
    LinkCounters {
        /// Which link.
        link: LinkName,
        /// What went over it.
        total: Counters,
        /// Of that, what could not be attributed to a device.
        unattributed: Counters,
        /// What happened to replies.
        events: LinkEvents,
    },
    /// Key: device. Written at most every [`crate::CoreConfig::counters_interval_s`].
    DeviceCounters {
        /// Which device.
        device: DeviceId,
        /// What went to and from it.
        counters: Counters,
        /// Its last datagram that named it.
        last_seen_unix_s: u64,
    },
    /// Key: path. Written at most every [`crate::CoreConfig::counters_interval_s`].
    Served {
        /// Which offer.
        path: OfferPath,
        /// How far.
        progress: Progress,
    },
}
