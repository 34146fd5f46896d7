//! Everything that survives a restart. It is altered by [`State::apply`] and by nothing else, live as well as when it
//! is restored, so that a restored gateway cannot differ from the one that wrote the changes.

use crate::anchors::{AnchorSets, Distrust};
use crate::change::Change;
use crate::config::LinkName;
use crate::effect::BuildKey;
use crate::identities::Identities;
use crate::identity::{ArtefactDigest, ClassId, ImageDigest, VendorId};
use crate::label::Label;
use crate::records::{
    ArtefactRecord, Assignment, Counters, DeviceRecord, GroupName, ImageRecord, LinkEvents, Offer, OfferPath,
    Progress, Selector, UpdateRecord,
};
use crate::statements::StatementRecord;
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::{DeviceId, DigestPrefix, Format};
use wire_manifest::KeyId;

/// Artefacts in an order that keeps those of one target together.
type ArtefactKey = (ImageDigest, Option<ImageDigest>, ArtefactDigest);

/// The rows, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct State {
    pub(crate) images: BTreeMap<ImageDigest, ImageRecord>,
    pub(crate) pinned: BTreeSet<ImageDigest>,
    pub(crate) statements: BTreeMap<(VendorId, ClassId), StatementRecord>,
    artefacts: BTreeMap<ArtefactKey, ArtefactRecord>,
    pub(crate) devices: BTreeMap<DeviceId, DeviceRecord>,
    /// How many of the devices are claimed: asked at every check-in of a stranger, so not counted each time.
    claimed: usize,
    pub(crate) labels: BTreeMap<DeviceId, Label>,
    pub(crate) identities: Identities,
    pub(crate) groups: BTreeMap<GroupName, BTreeSet<DeviceId>>,
    pub(crate) assignments: BTreeMap<Selector, Assignment>,
    /// Since when no block is served.
    pub(crate) paused_unix_s: Option<u64>,
    pub(crate) offers: BTreeMap<OfferPath, Offer>,
    offers_of: BTreeSet<(DeviceId, OfferPath)>,
    pub(crate) updates: BTreeMap<(DeviceId, ImageDigest), UpdateRecord>,
    pub(crate) built: BTreeSet<BuildKey>,
    pub(crate) failed_builds: BTreeMap<BuildKey, String>,
    pub(crate) progress: BTreeMap<OfferPath, Progress>,
    pub(crate) device_counters: BTreeMap<DeviceId, DeviceCounters>,
    pub(crate) link_counters: BTreeMap<LinkName, LinkCounters>,
    /// Not a row but configuration: see [`CoreConfig::trusted_keys`](crate::CoreConfig::trusted_keys).
    trusted_keys: Option<BTreeSet<[u8; 8]>>,
    /// Sets of trust anchors, over the keys of [`CoreConfig::factory_keys`](crate::CoreConfig::factory_keys).
    pub(crate) anchors: AnchorSets,
    /// Images that the set in force for their class does not let through: their signatures are checked when either comes.
    distrusted: BTreeMap<ImageDigest, Distrust>,
}

/// Live values behind [`Change::DeviceCounters`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct DeviceCounters {
    pub(crate) counters: Counters,
    pub(crate) last_seen_unix_s: u64,
}

/// Live values behind [`Change::LinkCounters`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct LinkCounters {
    pub(crate) total: Counters,
    pub(crate) unattributed: Counters,
    pub(crate) events: LinkEvents,
}

impl State {
    /// No rows, in a gateway that trusts these keys, and whose devices have those from the factory.
    pub(crate) fn trusting(trusted_keys: Option<BTreeSet<[u8; 8]>>, factory: Vec<[u8; 32]>) -> State {
        State {
            trusted_keys,
            anchors: AnchorSets::of_factory(factory),
            ..State::default()
        }
    }

    /// Whether who signed an image is trusted still.
    pub(crate) fn trusts(&self, image: &ImageRecord) -> bool {
        self.distrust(image).is_none()
    }

    /// Whether what this key signed for a class counts still. With a set of trust anchors for it the configuration has no say.
    pub(crate) fn trusts_key(&self, class: ClassId, key_id: &[u8; 8]) -> bool {
        match (self.anchors.in_force(class), &self.trusted_keys) {
            (Some(set), _) => set.content().releases_by(key_id),
            (None, Some(keys)) => keys.contains(key_id),
            (None, None) => true,
        }
    }

    /// Why an image is not to be offered to anybody.
    pub(crate) fn distrust(&self, image: &ImageRecord) -> Option<Distrust> {
        if self.anchors.in_force(image.class).is_some() {
            return self.distrusted.get(&image.digest).copied();
        }
        let is_trusted = self.trusts_key(image.class, &image.key_id);
        (!is_trusted).then_some(Distrust::Key(KeyId(image.key_id)))
    }

    fn judge_images(&mut self) {
        let judged = self.images.values();
        let judged = judged.filter_map(|image| Some((image.digest, self.anchors.distrust(image)?)));
        self.distrusted = judged.collect();
    }

    /// Writes or removes one row.
    pub(crate) fn apply(&mut self, change: Change) {
        match change {
            Change::Image(image) => {
                match self.anchors.distrust(&image) {
                    Some(why) => self.distrusted.insert(image.digest, why),
                    None => self.distrusted.remove(&image.digest),
                };
                self.images.insert(image.digest, image);
            }
            Change::ImageRemoved(image) => {
                self.images.remove(&image);
                self.distrusted.remove(&image);
            }
            Change::Anchors(set) => {
                self.anchors.insert(set);
                self.judge_images();
            }
            Change::AnchorsRemoved(class, number) => {
                self.anchors.remove(class, number);
                self.judge_images();
            }
            Change::Pinned(image) => {
                self.pinned.insert(image);
            }
            Change::Unpinned(image) => {
                self.pinned.remove(&image);
            }
            Change::Statement(statement) => {
                let of = (statement.vendor, statement.class);
                self.statements.insert(of, statement);
            }
            Change::ArtefactRemoved { target, base, digest } => {
                self.artefacts.remove(&(target, base, digest));
            }
            Change::Artefact(artefact) => {
                let key = (artefact.target, artefact.base, artefact.digest);
                self.artefacts.insert(key, artefact);
            }
            Change::Device(device) => {
                self.claimed += usize::from(device.claimed);
                let old = self.devices.insert(device.id, device);
                self.claimed -= usize::from(old.is_some_and(|old| old.claimed));
            }
            Change::Labelled(id, label) => {
                self.labels.insert(id, label);
            }
            Change::Unlabelled(id) => {
                self.labels.remove(&id);
            }
            Change::Identity(change) => self.identities.apply(change),
            Change::DeviceForgotten(id) => self.forget_device(id),
            Change::GroupCreated(name) => {
                self.groups.entry(name).or_default();
            }
            Change::GroupRemoved(name) => {
                self.groups.remove(&name);
            }
            Change::MemberAdded(name, id) => {
                self.groups.entry(name).or_default().insert(id);
            }
            Change::MemberRemoved(name, id) => {
                if let Some(members) = self.groups.get_mut(&name) {
                    members.remove(&id);
                }
            }
            Change::Assigned(assignment) => {
                self.assignments.insert(assignment.selector.clone(), assignment);
            }
            Change::Unassigned(selector) => {
                self.assignments.remove(&selector);
            }
            Change::Paused(unix_s) => self.paused_unix_s = Some(unix_s),
            Change::Resumed => self.paused_unix_s = None,
            Change::Offered(offer) => {
                self.offers_of.insert((offer.device, offer.path));
                self.offers.insert(offer.path, offer);
            }
            Change::OfferWithdrawn(path) => self.withdraw(path),
            Change::Update(update) => {
                self.updates.insert((update.device, update.image), update);
            }
            Change::UpdateForgotten(id, image) => {
                self.updates.remove(&(id, image));
            }
            Change::Built(key) => {
                self.built.insert(key);
                self.failed_builds.remove(&key);
            }
            Change::BuildFailed { key, reason, .. } => {
                self.failed_builds.insert(key, reason);
            }
            Change::BuildReleased(key) => {
                self.failed_builds.remove(&key);
            }
            Change::BuildForgotten(key) => {
                self.built.remove(&key);
            }
            Change::LinkCounters {
                link,
                total,
                unattributed,
                events,
            } => {
                self.link_counters.insert(
                    link,
                    LinkCounters {
                        total,
                        unattributed,
                        events,
                    },
                );
            }
            Change::DeviceCounters {
                device,
                counters,
                last_seen_unix_s,
            } => {
                self.device_counters.insert(
                    device,
                    DeviceCounters {
                        counters,
                        last_seen_unix_s,
                    },
                );
            }
            Change::Served { path, progress } => {
                self.progress.insert(path, progress);
            }
        }
    }

    fn forget_device(&mut self, id: DeviceId) {
        let old = self.devices.remove(&id);
        self.claimed -= usize::from(old.is_some_and(|old| old.claimed));
        self.labels.remove(&id);
        self.identities.forget(id);
        self.device_counters.remove(&id);
        for members in self.groups.values_mut() {
            members.remove(&id);
        }
    }

    fn withdraw(&mut self, path: OfferPath) {
        self.progress.remove(&path);
        if let Some(offer) = self.offers.remove(&path) {
            self.offers_of.remove(&(offer.device, path));
        }
    }

    /// The image a device runs, when exactly one imported image begins with what the device said.
    pub(crate) fn image_by_prefix(&self, prefix: &DigestPrefix) -> Option<&ImageRecord> {
        only(
            self.images
                .values()
                .filter(|image| prefix.matches(&image.digest.0)),
        )
    }

    /// The image of a class with this sequence number; an import makes sure that there is only one.
    pub(crate) fn image_numbered(&self, class: ClassId, sequence_number: u64) -> Option<&ImageRecord> {
        let mut images = self.images.values();
        images.find(|image| image.class == class && image.sequence_number == sequence_number)
    }

    /// The lowest sequence number above this one that is above every image's of the class, too: what the next release can have.
    pub(crate) fn next_sequence(&self, class: ClassId, above: u64) -> u64 {
        let images = self.images.values().filter(|image| image.class == class);
        let highest = images.map(|image| image.sequence_number).max();
        highest.unwrap_or(0).max(above).saturating_add(1)
    }

    /// How many devices are claimed.
    pub(crate) fn claimed_count(&self) -> usize {
        self.claimed
    }

    /// How many devices are listed though nobody claimed them. Retired ones, which somebody did, do not count.
    pub(crate) fn unclaimed_count(&self) -> usize {
        self.devices.len() - self.claimed - self.identities.retired_count()
    }

    /// The image that `/i/<16 hex digits>` names.
    pub(crate) fn image_by_short(&self, short: [u8; 8]) -> Option<&ImageRecord> {
        only(self.images.values().filter(|image| image.digest.short() == short))
    }

    /// Artefacts that give `target`, those without a base first.
    pub(crate) fn artefacts_of(&self, target: ImageDigest) -> impl Iterator<Item = &ArtefactRecord> {
        let first = (target, None, ArtefactDigest([0; 32]));
        let last = (target, Some(ImageDigest([0xFF; 32])), ArtefactDigest([0xFF; 32]));
        self.artefacts.range(first..=last).map(|(_, artefact)| artefact)
    }

    /// Every artefact.
    pub(crate) fn artefacts(&self) -> impl Iterator<Item = &ArtefactRecord> {
        self.artefacts.values()
    }

    /// How many artefacts are ready.
    pub(crate) fn artefact_count(&self) -> usize {
        self.artefacts.len()
    }

    /// The artefact that an offer serves.
    pub(crate) fn artefact_of(&self, offer: &Offer) -> Option<&ArtefactRecord> {
        self.artefacts_of(offer.image)
            .find(|artefact| artefact.digest == offer.artefact)
    }

    /// The plain payload of an image.
    pub(crate) fn full_artefact(&self, image: ImageDigest) -> Option<&ArtefactRecord> {
        self.artefacts_of(image)
            .find(|artefact| artefact.format == Format::Full)
    }

    /// Every offer that stands for a device.
    pub(crate) fn offers_of(&self, id: DeviceId) -> impl Iterator<Item = &Offer> {
        let first = (id, OfferPath([0; OfferPath::LENGTH]));
        let last = (id, OfferPath([0xFF; OfferPath::LENGTH]));
        self.offers_of
            .range(first..=last)
            .filter_map(|(_, path)| self.offers.get(path))
    }

    /// What became of images on a device.
    pub(crate) fn updates_of(&self, id: DeviceId) -> impl Iterator<Item = &UpdateRecord> {
        let range = (id, ImageDigest([0; 32]))..=(id, ImageDigest([0xFF; 32]));
        self.updates.range(range).map(|(_, update)| update)
    }

    /// Groups that a device is in.
    pub(crate) fn groups_of(&self, id: DeviceId) -> impl Iterator<Item = &GroupName> {
        self.groups
            .iter()
            .filter(move |(_, members)| members.contains(&id))
            .map(|(name, _)| name)
    }
}

fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let item = items.next()?;
    items.next().is_none().then_some(item)
}
