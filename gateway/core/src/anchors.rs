//! Sets of trust anchors: which one is in force for a class, what it lets through, who may sign the next, and which a device gets.
//!
//! `docs/anchors.md` is the specification. The gateway judges as a device does that has the keys of its `trust` from the factory:
//!
//! | question | answer |
//! |---|---|
//! | which set is in force for a class | of those for it and those for every class the one with the highest number |
//! | which keys sign the next one | recovery keys in force that are in `trust`, as many as it says; without a set any one of `trust` |
//! | whose releases count | release keys in force, as many as it says, up to its highest sequence number; without a set `trust` |
//! | which set does a device get | the highest that the keys it believes signed; it may be two sets behind, and need the one between |
//!
//! A set that nobody signed who may is not kept, so what is kept counts.

use crate::config::{BLOCK_OVERHEAD_BYTES_MAX, LinkConfig};
use crate::gateway::Gateway;
use crate::identity::ClassId;
use crate::records::{DeviceRecord, ImageRecord};
use crate::state::State;
use crate::views::AnchorsView;
use crate::words::count;
use core::fmt;
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::{ANSWER_BYTES_MAX, DeviceId, DigestPrefix};
use wire_manifest::{AnchorSet, Envelope, KeyId, Roles, TrustAnchors, verify};

/// Sets kept for a scope; with one more the oldest goes. Devices that are further behind get the newest, if they believe it.
const SETS_PER_SCOPE_MAX: usize = 8;
/// Scopes: every class, and classes by name.
const SCOPES_MAX: usize = 64;

/// A set that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorsRecord {
    /// Its number.
    pub number: u16,
    /// The one class that it is for; `None`: every class that has its recovery keys.
    pub class: Option<ClassId>,
    /// Its envelope, as devices get it: at most 512 bytes.
    pub envelope: Vec<u8>,
    /// When it was imported.
    pub imported_unix_s: u64,
}

impl AnchorsRecord {
    /// What an envelope holds, checked by nobody; `None`: no set.
    pub fn read(envelope: &[u8], imported_unix_s: u64) -> Option<AnchorsRecord> {
        let parsed = Envelope::parse(envelope).ok()?;
        let set = AnchorSet::read(parsed.manifest_bytes())?;
        let class = <[u8; 16]>::try_from(set.class_id).ok().map(ClassId);
        let is_short = envelope.len() <= wire_manifest::ENVELOPE_BYTES_MAX;
        is_short.then(|| AnchorsRecord {
            number: set.number,
            class,
            envelope: envelope.to_vec(),
            imported_unix_s,
        })
    }

    /// What it says.
    pub fn content(&self) -> AnchorsContent {
        let parsed = Envelope::parse(&self.envelope).ok();
        let set = parsed.and_then(|envelope| AnchorSet::read(envelope.manifest_bytes()));
        let keys = set.iter().flat_map(AnchorSet::keys);
        AnchorsContent {
            release_min: set.map_or(1, |set| set.release_min),
            recovery_min: set.map_or(1, |set| set.recovery_min),
            sequence_max: set.map_or(0, |set| set.sequence_max),
            keys: keys.map(|(roles, key)| (roles, *key)).collect(),
        }
    }

    /// Whether so many of these recovery keys signed it.
    fn is_signed_by(&self, keys: &[[u8; 32]], least: u8) -> bool {
        let Ok(envelope) = Envelope::parse(&self.envelope) else {
            return false;
        };
        let class = self.class.map_or([0; 16], |class| class.0);
        AnchorSet::read(envelope.manifest_bytes())
            .is_some_and(|set| set.is_signed_by(&envelope, &class, keys, least))
    }
}

/// What a set says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnchorsContent {
    /// How many release keys have to sign a release.
    pub release_min: u8,
    /// How many recovery keys have to sign a set.
    pub recovery_min: u8,
    /// The highest sequence number that a release may have.
    pub sequence_max: u32,
    /// Its keys, with what each may do.
    pub keys: Vec<(Roles, [u8; 32])>,
}

impl AnchorsContent {
    /// Whether the key of this id is a release key, and one is enough.
    pub fn releases_by(&self, key_id: &[u8; 8]) -> bool {
        let keys = self.with(Roles::RELEASE);
        self.release_min == 1 && keys.iter().any(|key| KeyId::of(key).0 == *key_id)
    }

    fn with(&self, role: Roles) -> Vec<[u8; 32]> {
        let keys = self.keys.iter().filter(|(roles, _)| roles.has(role));
        keys.map(|(_, key)| *key).collect()
    }
}

/// Why an image is offered to nobody, though somebody who was trusted once signed it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Distrust {
    /// The key is not trusted any more.
    Key(KeyId),
    /// Too few release keys of the set in force signed it.
    Signatures { set: u16, least: u8 },
    /// Its number is above what the set in force lets through.
    Sequence { set: u16, max: u32 },
}

/// `key 0707070707070707 that signed that image is not trusted here any more`
impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distrust::Key(key) => write!(f, "key {key} that signed that image is not trusted here any more"),
            Distrust::Signatures { set, least } => write!(
                f,
                "set {set} of trust anchors asks for {} on that image, and it has not got them",
                count(
                    usize::from(*least),
                    "release key's signature",
                    "release keys' signatures"
                )
            ),
            Distrust::Sequence { set, max } => write!(
                f,
                "set {set} of trust anchors lets no sequence number above {max} through"
            ),
        }
    }
}

/// Every set that is kept, over the keys of the factory.
#[derive(Clone, Debug, Default)]
pub(crate) struct AnchorSets {
    factory: Vec<[u8; 32]>,
    sets: BTreeMap<(Option<ClassId>, u16), AnchorsRecord>,
}

impl AnchorSets {
    pub(crate) fn of_factory(factory: Vec<[u8; 32]>) -> AnchorSets {
        AnchorSets {
            factory,
            sets: BTreeMap::new(),
        }
    }

    pub(crate) fn insert(&mut self, record: AnchorsRecord) {
        self.sets.insert((record.class, record.number), record);
    }

    pub(crate) fn remove(&mut self, class: Option<ClassId>, number: u16) {
        self.sets.remove(&(class, number));
    }

    fn for_class(&self, class: ClassId) -> impl Iterator<Item = &AnchorsRecord> {
        let is_for = move |set: &&AnchorsRecord| set.class.is_none_or(|of| of == class);
        self.sets.values().filter(is_for)
    }

    /// The set in force for a class; `None`: the factory's keys are.
    pub(crate) fn in_force(&self, class: ClassId) -> Option<&AnchorsRecord> {
        self.for_class(class).max_by_key(|set| set.number)
    }

    /// The set that the next one of this scope follows.
    fn before(&self, scope: Option<ClassId>) -> Option<&AnchorsRecord> {
        match scope {
            Some(class) => self.in_force(class),
            None => self
                .sets
                .values()
                .filter(|set| set.class.is_none())
                .max_by_key(|set| set.number),
        }
    }

    /// The keys that sign what follows this set, and how many of them have to.
    fn recovery(&self, before: Option<&AnchorsRecord>) -> (Vec<[u8; 32]>, u8) {
        match before.map(AnchorsRecord::content) {
            Some(content) => {
                let mut keys = content.with(Roles::RECOVERY);
                keys.retain(|key| self.factory.contains(key));
                (keys, content.recovery_min)
            }
            None => (self.factory.clone(), 1),
        }
    }

    /// Whether a set may be kept, and what has to go for it.
    pub(crate) fn judge(&self, record: &AnchorsRecord) -> Result<Judged, AnchorsRefusal> {
        let before = self.before(record.class);
        if let Some(before) = before.filter(|before| before.number >= record.number) {
            return match before.envelope == record.envelope {
                true => Ok(Judged::Known),
                false => Err(AnchorsRefusal::NotNewer {
                    number: record.number,
                    in_force: before.number,
                }),
            };
        }
        let (keys, least) = self.recovery(before);
        if !record.is_signed_by(&keys, least) {
            return Err(AnchorsRefusal::NotSigned {
                number: record.number,
                least,
                after: before.map_or(0, |before| before.number),
            });
        }
        let of_scope = self.sets.range((record.class, 0)..=(record.class, u16::MAX));
        let numbers: Vec<u16> = of_scope.map(|((_, number), _)| *number).collect();
        let scopes: BTreeSet<Option<ClassId>> = self.sets.keys().map(|(class, _)| *class).collect();
        if numbers.is_empty() && scopes.len() >= SCOPES_MAX {
            return Err(AnchorsRefusal::TooMany { max: SCOPES_MAX });
        }
        let oldest = numbers.first().copied();
        Ok(Judged::Next {
            removes: oldest.filter(|_| numbers.len() >= SETS_PER_SCOPE_MAX),
        })
    }

    /// Why an image is not let through by the set in force for its class; `None`: it is, or there is no set.
    pub(crate) fn distrust(&self, image: &ImageRecord) -> Option<Distrust> {
        let record = self.in_force(image.class)?;
        let (content, set) = (record.content(), record.number);
        let keys = content.with(Roles::RELEASE);
        let least = content.release_min;
        if verify(&image.envelope, &TrustAnchors::at_least(least, &keys)).is_err() {
            return Some(Distrust::Signatures { set, least });
        }
        let max = content.sequence_max;
        (image.sequence_number > u64::from(max)).then_some(Distrust::Sequence { set, max })
    }

    /// The set to send to a device of a class that says it has set `has` in force and keeps set `waiting`.
    pub(crate) fn next_for(&self, class: ClassId, has: u16, waiting: u16) -> Option<&AnchorsRecord> {
        let above = has.max(waiting);
        let newer = self.for_class(class).filter(|set| set.number > above);
        let mut newer: Vec<&AnchorsRecord> = newer.collect();
        newer.sort_by_key(|set| core::cmp::Reverse(set.number));
        if newer.is_empty() {
            return None;
        }
        // One that this gateway never had is judged by the device alone.
        let believed = self.for_class(class).find(|set| set.number == has);
        let (keys, least) = self.recovery(believed);
        newer.into_iter().find(|set| set.is_signed_by(&keys, least))
    }
}

/// How often each device was told of a set that it has not taken: at its first check-in, the second, the fourth, the eighth and so on.
/// One that does not believe it, or whose answers get lost, so costs a few hundred bytes ever more rarely, and its updates go on. What is
/// forgotten with a restart is a few of these.
#[derive(Debug, Default)]
pub(crate) struct AnchorOffers(BTreeMap<DeviceId, Told>);

#[derive(Debug)]
struct Told {
    /// What the device said, and what it runs: when that changes, it is counted anew.
    said: (u16, u16, DigestPrefix),
    set: u16,
    check_ins: u32,
}

impl AnchorOffers {
    /// The set that goes with the answer to this check-in.
    pub(crate) fn next(
        &mut self,
        state: &State,
        device: &DeviceRecord,
        link: &LinkConfig,
    ) -> Option<Vec<u8>> {
        let report = device.report.as_ref()?;
        let has = report
            .anchors
            .filter(|_| device.claimed && device.class_conflict().is_none())?;
        let waiting = report.anchors_waiting.unwrap_or(0);
        let set = state.anchors.next_for(report.class, has, waiting)?;
        if !fits(set, link) {
            return None;
        }
        let said = (has, waiting, report.running);
        let told = self.0.entry(device.id).or_insert(Told {
            said,
            set: set.number,
            check_ins: 0,
        });
        if (told.said, told.set) != (said, set.number) {
            (told.said, told.set, told.check_ins) = (said, set.number, 0);
        }
        told.check_ins = told.check_ins.saturating_add(1);
        told.check_ins.is_power_of_two().then(|| set.envelope.clone())
    }

    pub(crate) fn forget(&mut self, id: DeviceId) {
        self.0.remove(&id);
    }
}

/// Whether the answer with a set goes in one datagram, as it must.
fn fits(set: &AnchorsRecord, link: &LinkConfig) -> bool {
    let around = ANSWER_BYTES_MAX - wire_manifest::ENVELOPE_BYTES_MAX + BLOCK_OVERHEAD_BYTES_MAX as usize;
    set.envelope.len() + around + usize::from(link.header_bytes) <= usize::from(link.mtu)
}

impl Gateway {
    /// How a device stands to the set in force for it; `None` without a set.
    pub(crate) fn anchors_of(&self, device: &DeviceRecord, link: &LinkConfig) -> Option<AnchorsStand> {
        let set = self.journal.state().anchors.in_force(class_of(device)?)?;
        let report = device.report.as_ref()?;
        let told = self.anchor_offers.0.get(&device.id);
        let told = told.filter(|told| told.set == set.number);
        Some(AnchorsStand {
            in_force: set.number,
            has: report.anchors,
            waiting: report.anchors_waiting,
            told: told.map_or(0, |told| told.check_ins),
            fits: fits(set, link),
        })
    }

    /// Every set of trust anchors, by scope and number.
    pub fn anchors(&self) -> Vec<AnchorsView> {
        let state = self.journal.state();
        let view = |record: &AnchorsRecord| AnchorsView {
            content: record.content(),
            is_in_force: state.anchors.before(record.class) == Some(record),
            devices: self.claimed_for(record.class, |has| has == record.number).count(),
            record: record.clone(),
        };
        state.anchors.sets.values().map(view).collect()
    }

    /// Claimed devices without the set in force for them, or whatever came after it.
    pub(crate) fn anchors_behind(&self) -> Vec<DeviceId> {
        let sets = &self.journal.state().anchors;
        let lacks = |device: &&DeviceRecord| {
            let set = class_of(device).and_then(|class| sets.in_force(class));
            set.is_some_and(|set| has(device).unwrap_or(0) < set.number)
        };
        let devices = self.claimed_for(None, |_| true);
        devices.filter(lacks).map(|device| device.id).collect()
    }

    fn claimed_for(
        &self,
        class: Option<ClassId>,
        number: impl Fn(u16) -> bool,
    ) -> impl Iterator<Item = &DeviceRecord> {
        let devices = self.journal.state().devices.values();
        devices.filter(move |device| {
            let is_for = class.is_none() || class_of(device) == class;
            device.claimed && is_for && number(has(device).unwrap_or(0))
        })
    }
}

/// The class on record, or the one that a device says it is of: without a key none is recorded.
pub(crate) fn class_of(device: &DeviceRecord) -> Option<ClassId> {
    let said = device.report.as_ref().map(|report| report.class);
    device.class.or(said)
}

/// The set that a device says it has.
fn has(device: &DeviceRecord) -> Option<u16> {
    device.report.as_ref()?.anchors
}

/// What is to be done about a set that may be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Judged {
    /// It is kept.
    Known,
    /// It is the next one; of its scope this one goes.
    Next { removes: Option<u16> },
}

/// How a device stands to the set in force for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnchorsStand {
    /// The set in force.
    pub in_force: u16,
    /// The one that the device says it has; `None`: it takes none.
    pub has: Option<u16>,
    /// A newer one that it keeps until an image has come that starts under it.
    pub waiting: Option<u16>,
    /// How many check-ins ago it was told of the one in force first.
    pub told: u32,
    /// Whether its link's packets hold one.
    pub fits: bool,
}

/// `set 1 of trust anchors; set 2 goes with its next check-in`
impl fmt::Display for AnchorsStand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let AnchorsStand { in_force, told, .. } = self;
        match self.has {
            None => {
                return write!(
                    f,
                    "takes no sets of trust anchors: the keys of its factory count, whatever set {in_force} took away"
                );
            }
            Some(0) => f.write_str("the factory's trust anchors")?,
            Some(has) => write!(f, "set {has} of trust anchors")?,
        }
        match self.has {
            Some(has) if has >= *in_force => Ok(()),
            _ if self.waiting.is_some_and(|waiting| waiting >= *in_force) => {
                write!(
                    f,
                    "; it keeps set {in_force} until an image has come that starts under it: assign one"
                )
            }
            _ if !self.fits => write!(
                f,
                "; set {in_force} is longer than a packet of its link: bring it with deltagate device recover"
            ),
            _ if *told > 1 => write!(
                f,
                "; set {in_force} was first sent {told} check-ins ago and not taken: is it signed by recovery keys of its factory?"
            ),
            _ => write!(f, "; set {in_force} goes with its next check-in"),
        }
    }
}

/// Why a set of trust anchors is not taken; nothing changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AnchorsRefusal {
    /// The file is something else.
    #[error("the file is no set of trust anchors")]
    NotASet,
    /// No device that has the one in force would take it.
    #[error("set {number} of trust anchors is not newer than set {in_force}, which is in force")]
    NotNewer {
        /// Its number.
        number: u16,
        /// The highest.
        in_force: u16,
    },
    /// Whoever signed it may not, or too few did.
    #[error(
        "set {number} of trust anchors is not signed by {} that {}",
        count(usize::from(*.least), "recovery key", "recovery keys"), believed(*.after)
    )]
    NotSigned {
        /// Its number.
        number: u16,
        /// How many would have to.
        least: u8,
        /// The set in force; 0: the keys of `trust`.
        after: u16,
    },
    /// There are sets for as many classes as there may be.
    #[error("there are already sets of trust anchors for {max} classes")]
    TooMany {
        /// The limit.
        max: usize,
    },
}

fn believed(after: u16) -> String {
    match after {
        0 => "it has itself and that `trust` in gateway.toml names".into(),
        after => format!("it has itself, set {after} in force has, and `trust` in gateway.toml names"),
    }
}

impl AnchorsRefusal {
    /// What helps.
    pub fn hint(&self) -> String {
        match self {
            AnchorsRefusal::NotASet => "deltagate anchors show FILE; a release is imported with deltagate image import".into(),
            AnchorsRefusal::NotNewer { in_force, .. } => format!(
                "if it is the publisher's newest, have it made with --number {} or higher; deltagate anchors list",
                u32::from(*in_force) + 1
            ),
            AnchorsRefusal::NotSigned { .. } => {
                "have recovery keys sign it: deltagate anchors sign FILE --key KEY; `trust` names the keys that devices have from the factory".into()
            }
            AnchorsRefusal::TooMany { .. } => "use sets for every class: deltagate anchors new without --class".into(),
        }
    }
}
