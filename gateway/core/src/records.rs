//! What the gateway knows: one struct per stored row.

use crate::config::LinkName;
use crate::identity::{ArtefactDigest, ClassId, ImageDigest, VendorId};
use crate::units::{AirTime, Bytes};
use core::fmt;
use wire_checkin::{Deferral, DeviceId, DigestPrefix, Format, Formats, Freshness, Outcome, Severity};

/// A verified image. The raw bytes are with the shell; the envelope is small and kept here, to be served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageRecord {
    /// Its identity.
    pub digest: ImageDigest,
    /// Size of the raw image.
    pub size: Bytes,
    /// From the signed manifest.
    pub vendor: VendorId,
    /// From the signed manifest.
    pub class: ClassId,
    /// From the signed manifest; what anti-rollback compares.
    pub sequence_number: u64,
    /// From the signed manifest: the lowest sequence number that it may follow; 0: any.
    pub predecessor_min: u64,
    /// From the severable text; may be empty.
    pub version: String,
    /// From the severable text; may be empty.
    pub description: String,
    /// The signed envelope with its text severed, as devices get it: at most 512 bytes.
    pub envelope: Vec<u8>,
    /// Which trust anchor verified it.
    pub key_id: [u8; 8],
    /// When it was imported.
    pub imported_unix_s: u64,
}

/// A payload that is ready: bytes which, decoded on top of `base`, give `target`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArtefactRecord {
    /// Its identity.
    pub digest: ArtefactDigest,
    /// What it becomes.
    pub target: ImageDigest,
    /// What the device must run to decode it; `None` for `full` and `lz4`.
    pub base: Option<ImageDigest>,
    /// How it is decoded.
    pub format: Format,
    /// Size of the payload.
    pub size: Bytes,
    /// What the decoder needs on the device; 0 for `full`.
    pub decoder_memory: Bytes,
    /// Of a patch that devices with a single slot apply in place, its reach; `None` for everything else.
    pub in_place: Option<Bytes>,
    /// When it was built.
    pub built_unix_s: u64,
}

/// What a device said at its last check-in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceReport {
    /// The class it claims to be of.
    pub class: ClassId,
    /// The vendor it claims to be from.
    pub vendor: VendorId,
    /// Leading bytes of the digest of the image it runs.
    pub running: DigestPrefix,
    /// Sequence number of the image it runs.
    pub sequence_number: u64,
    /// Image bytes its spare slot can hold.
    pub slot_capacity: Bytes,
    /// A staging area of its own; `None` when patches are staged in the free tail of the spare slot.
    pub staging: Option<Bytes>,
    /// Erase unit of its flash.
    pub sector: Bytes,
    /// Largest block it takes, as SZX.
    pub block_szx: u8,
    /// Its estimate of the round trip, 0 when unknown.
    pub round_trip_ms: u32,
    /// Memory it can give to a decoder.
    pub decoder_memory: Bytes,
    /// Formats it decodes.
    pub formats: Formats,
    /// Whether the running image is not confirmed yet.
    pub on_trial: bool,
    /// What it says of an update that it puts off.
    pub deferral: Option<Deferral>,
    /// Of a device with a single slot, the longest reach of a patch that it can apply in place to what it runs; `None`: it has
    /// two slots.
    pub in_place: Option<Bytes>,
    /// What it knows of the latest release by its publisher's word; `None`: it says nothing, which is well.
    pub freshness: Option<Freshness>,
    /// The set of trust anchors in force on it, 0 for the factory's keys; `None`: it takes none.
    pub anchors: Option<u16>,
    /// A newer set that it keeps until an image has come that starts under it.
    pub anchors_waiting: Option<u16>,
    /// The link it was heard on.
    pub link: LinkName,
}

/// A device in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRecord {
    /// Its identity.
    pub id: DeviceId,
    /// Whether an operator named it. Only claimed devices are served updates.
    pub claimed: bool,
    /// The class on record: what it had named when it was claimed, or what it names first under its key. A claimed device that
    /// later names another class is reported and gets nothing until it is forgotten and claimed again.
    pub class: Option<ClassId>,
    /// Its last check-in; `None` when it was claimed before it was ever heard.
    pub report: Option<DeviceReport>,
}

impl DeviceRecord {
    /// The class it is served as: the one on record, else what it names now.
    pub(crate) fn class(&self) -> Option<ClassId> {
        self.class.or(self.report.as_ref().map(|report| report.class))
    }

    /// The class that the device names now, when it is not the one on record.
    pub fn class_conflict(&self) -> Option<ClassId> {
        let said = self.report.as_ref()?.class;
        (self.claimed && self.class.is_some_and(|recorded| recorded != said)).then_some(said)
    }
}

/// A group's name: 1 to 32 characters of `[A-Za-z0-9._-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupName(String);

impl GroupName {
    /// `None` when the text is not a group name.
    pub fn new(text: &str) -> Option<GroupName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let fits = (1..=GROUP_NAME_CHARS_MAX).contains(&text.len()) && text.chars().all(legal);
        fits.then(|| GroupName(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Fits a table column.
const GROUP_NAME_CHARS_MAX: usize = 32;

/// Whom an assignment is for. The narrowest one that covers a device decides: device, then group, then class.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Selector {
    /// One device.
    Device(DeviceId),
    /// The members of a group.
    Group(GroupName),
    /// Every claimed device of a class.
    Class(ClassId),
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Device(id) => write!(f, "device {id}"),
            Selector::Group(name) => write!(f, "group {name}"),
            Selector::Class(class) => write!(f, "class {class}"),
        }
    }
}

/// What devices should run. One row per selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Whom it is for.
    pub selector: Selector,
    /// What they should run.
    pub image: ImageDigest,
    /// When it was assigned, moved on by seconds where the clock did not say that it was later than the others.
    pub assigned_unix_s: u64,
    /// How urgent it is.
    pub terms: Terms,
}

/// What an operator says of an update's urgency, for the devices' applications to heed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// How much it is wanted.
    pub severity: Severity,
    /// For how many seconds a device may put it off; `None`: as long as its own bounds allow.
    pub defer_s_max: Option<u32>,
}

/// The short name of a payload: 7 characters of `[0-9A-Za-z]`, one per device and artefact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferPath(pub(crate) [u8; OfferPath::LENGTH]);

impl OfferPath {
    /// With the slash in front, 8 characters.
    pub const LENGTH: usize = 7;

    /// `None` when the text is not such a name.
    pub fn new(text: &str) -> Option<OfferPath> {
        let bytes: [u8; OfferPath::LENGTH] = text.as_bytes().try_into().ok()?;
        bytes
            .iter()
            .all(u8::is_ascii_alphanumeric)
            .then_some(OfferPath(bytes))
    }

    /// The name, without a slash.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("an OfferPath holds ASCII only")
    }
}

impl fmt::Display for OfferPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for OfferPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OfferPath({})", self.as_str())
    }
}

/// An artefact promised to a device under a path. As long as the row exists, any block of it can be fetched at any time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Offer {
    /// Its identity.
    pub path: OfferPath,
    /// Whose bytes these are.
    pub device: DeviceId,
    /// What is served.
    pub artefact: ArtefactDigest,
    /// What it becomes.
    pub image: ImageDigest,
    /// When it was first offered.
    pub offered_unix_s: u64,
}

/// What became of one image on one device. One row per pair, made by the first offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpdateRecord {
    /// The device.
    pub device: DeviceId,
    /// The image.
    pub image: ImageDigest,
    /// Where it stands.
    pub state: UpdateState,
    /// How often it was offered. Repeating the same open offer does not count again.
    pub offers: u32,
    /// When the state was entered.
    pub changed_unix_s: u64,
}

/// Where one image stands on one device.
///
/// | from | event | to |
/// |---|---|---|
/// | none, `Released` | check-in, artefact ready | `Offered` |
/// | `Offered` | check-in from the image | `Confirmed` |
/// | `Offered`, `Confirmed` | outcome 2..=13 or 16..=18 | `Withheld` |
/// | `Offered` | outcome 14 or 15 (the fifth time `Withheld`), `update cancel`, another image assigned | `Released` |
/// | `Withheld` | `update retry` | `Released` |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UpdateState {
    /// The device was told to fetch this path.
    Offered {
        /// Where.
        path: OfferPath,
    },
    /// The device checked in from this image.
    Confirmed,
    /// The device refused or reverted it. It is never offered again until an operator says `update retry`.
    Withheld {
        /// Why.
        outcome: Outcome,
        /// What the device added.
        detail: Option<u32>,
    },
    /// It may be offered (again).
    Released,
}

/// What went one way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Datagrams.
    pub datagrams: u64,
    /// Bytes with IP and UDP headers.
    pub bytes: Bytes,
    /// Time these took at the link's rate.
    pub air_time: AirTime,
}

/// What went both ways.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// From the gateway.
    pub down: Traffic,
    /// To the gateway.
    pub up: Traffic,
}

/// How far a transfer came, as the gateway can tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// End of the furthest block served.
    pub served_to: Bytes,
    /// When the first block was served.
    pub first_unix_s: u64,
    /// When the latest block was served.
    pub last_unix_s: u64,
}

/// What a link did to replies that it could not carry at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkEvents {
    /// Replies turned into 5.03 because they would have waited longer than a quarter of the ACK timeout.
    pub deferred: u64,
    /// Replies that waited.
    pub paced: u64,
    /// Replies dropped because the queue was full.
    pub dropped: u64,
    /// Retransmissions ignored because the reply to the first was still waiting.
    pub repeated: u64,
}
