//! Operators' commands: checked whole, then carried out. A refused command changed nothing.

pub(crate) mod enrol;

use crate::anchors::{AnchorsRecord, Judged, class_of};
use crate::assign;
use crate::change::Change;
use crate::command::{Command, Refusal, Reply};
use crate::config::CoreConfig;
use crate::decision;
use crate::effect::BuildKey;
use crate::identity::ImageDigest;
use crate::journal::Journal;
use crate::keep;
use crate::label::Label;
use crate::links::Links;
use crate::offers;
use crate::pause;
use crate::plan;
use crate::records::{
    Assignment, DeviceRecord, GroupName, ImageRecord, Selector, Terms, UpdateRecord, UpdateState,
};
use crate::state::State;
use crate::statements;
use crate::units::Now;
use wire_checkin::{DeviceId, ENVELOPE_BYTES_MAX};

/// Carries out a command.
pub(crate) fn handle(
    journal: &mut Journal,
    config: &CoreConfig,
    links: &Links,
    now: Now,
    command: Command,
) -> Result<Reply, Refusal> {
    let mut operator = Operator {
        journal,
        config,
        links,
        now,
    };
    match command {
        Command::ImportImage(image) => operator.import(image),
        Command::ImportStatement(statement) => statements::import(operator.journal, now, statement),
        Command::ImportAnchors(record) => operator.import_anchors(record),
        Command::RemoveImage(image) => keep::remove(operator.journal, image),
        Command::PinImage(image) => keep::pin(operator.journal, image),
        Command::UnpinImage(image) => keep::unpin(operator.journal, image),
        Command::ClaimDevice(id) => operator.claim_device(id),
        Command::Label(id, label) => operator.label(id, label),
        Command::ForgetDevice(id) => operator.forget(id),
        Command::CreateGroup(name) => operator.create_group(name),
        Command::RemoveGroup(name) => operator.remove_group(name),
        Command::AddToGroup(name, id) => operator.add_to_group(name, id),
        Command::RemoveFromGroup(name, id) => operator.remove_from_group(name, id),
        Command::Assign(selector, image, terms) => operator.assign(selector, image, terms),
        Command::Cancel(selector) => operator.cancel(selector),
        Command::Pause => Ok(pause::pause(operator.journal, now)),
        Command::Resume => Ok(pause::resume(operator.journal)),
        Command::Retry(id, image) => operator.retry(id, image),
        Command::Identity(command) => operator.identity(command),
    }
}

pub(crate) struct Operator<'a> {
    journal: &'a mut Journal,
    config: &'a CoreConfig,
    links: &'a Links,
    now: Now,
}

/// Images kept: at 512 bytes of envelope each, 2 MB.
const IMAGES_MAX: usize = 4_096;
/// What a signed envelope may be, and what an answer can carry, are one bound.
const _: () = assert!(ENVELOPE_BYTES_MAX == wire_manifest::ENVELOPE_BYTES_MAX);
/// Groups kept.
const GROUPS_MAX: usize = 1_024;

impl Operator<'_> {
    fn import(&mut self, image: ImageRecord) -> Result<Reply, Refusal> {
        let (length, max) = (image.envelope.len(), ENVELOPE_BYTES_MAX);
        if length > max {
            return Err(Refusal::EnvelopeTooLong { length, max });
        }
        let digest = image.digest;
        let reply = match self.state().images.get(&digest) {
            None => {
                self.check_new(&image)?;
                let budget = self.config.disk_bytes_max;
                keep::check_room(self.state(), self.journal.building(), budget, &image)?;
                Reply::Done
            }
            Some(known) if is_signed_anew(known, &image) => {
                let before = known.sequence_number;
                self.check_number(&image)?;
                Reply::SignedAnew {
                    before,
                    now: image.sequence_number,
                }
            }
            Some(known) if !same_identity(known, &image) => {
                return Err(Refusal::ImageKnownOtherwise {
                    image: digest,
                    known_class: known.class,
                    known: known.sequence_number,
                    class: image.class,
                    sequence_number: image.sequence_number,
                });
            }
            Some(known) if known.envelope == image.envelope => Reply::Unchanged,
            Some(_) => Reply::Done,
        };
        if reply != Reply::Unchanged {
            self.journal.record(Change::Image(image));
        }
        self.release_builds_with(digest);
        self.journal.build(decision::baseless_build(digest));
        Ok(reply)
    }

    fn import_anchors(&mut self, record: AnchorsRecord) -> Result<Reply, Refusal> {
        let removes = match self.state().anchors.judge(&record)? {
            Judged::Known => return Ok(Reply::Unchanged),
            Judged::Next { removes } => removes,
        };
        let trusted: Vec<ImageDigest> = self.trusted_images();
        let (number, class) = (record.number, record.class);
        self.journal.record(Change::Anchors(record));
        if let Some(oldest) = removes {
            self.journal.record(Change::AnchorsRemoved(class, oldest));
        }
        offers::withdraw_distrusted(self.journal, self.now);
        let still = self.trusted_images();
        let is_for =
            |device: &&DeviceRecord| device.claimed && (class.is_none() || class_of(device) == class);
        let lacks = |device: &&DeviceRecord| {
            let report = device.report.as_ref();
            report.is_some_and(|report| report.anchors.is_some_and(|has| has < number))
        };
        let behind = self.state().devices.values().filter(is_for).filter(lacks).count();
        Ok(Reply::Anchors {
            number,
            distrusted: trusted
                .into_iter()
                .filter(|image| !still.contains(image))
                .collect(),
            behind,
        })
    }

    fn trusted_images(&self) -> Vec<ImageDigest> {
        let images = self.state().images.values();
        let trusted = images.filter(|image| self.state().trusts(image));
        trusted.map(|image| image.digest).collect()
    }

    fn check_new(&self, image: &ImageRecord) -> Result<(), Refusal> {
        if self.state().images.len() >= IMAGES_MAX {
            return Err(Refusal::TooMany {
                what: "images",
                max: IMAGES_MAX,
            });
        }
        self.check_number(image)
    }

    fn check_number(&self, image: &ImageRecord) -> Result<(), Refusal> {
        match self.state().image_numbered(image.class, image.sequence_number) {
            None => Ok(()),
            Some(other) => Err(Refusal::SequenceNumberTaken {
                image: image.digest,
                class: image.class,
                sequence_number: image.sequence_number,
                by: other.digest,
                next: self.state().next_sequence(image.class, image.sequence_number),
            }),
        }
    }

    /// An import brings the image's bytes again, and with them what a build may have failed for want of.
    fn release_builds_with(&mut self, image: ImageDigest) {
        let failed = self.state().failed_builds.keys();
        let with = failed.filter(|key| key.target == image || key.base == Some(image));
        let keys: Vec<BuildKey> = with.copied().collect();
        keys.into_iter()
            .for_each(|key| self.journal.record(Change::BuildReleased(key)));
    }

    fn claim_device(&mut self, id: DeviceId) -> Result<Reply, Refusal> {
        if self.state().devices.get(&id).is_some_and(|device| device.claimed) {
            return Ok(Reply::Unchanged);
        }
        self.check_not_retired(id)?;
        self.check_room_to_claim()?;
        self.claim(id);
        self.journal.plan_builds(self.links, id);
        Ok(Reply::Done)
    }

    fn label(&mut self, id: DeviceId, label: Option<Label>) -> Result<Reply, Refusal> {
        self.device(id)?;
        if self.state().labels.get(&id) == label.as_ref() {
            return Ok(Reply::Unchanged);
        }
        let Some(label) = label else {
            self.journal.record(Change::Unlabelled(id));
            return Ok(Reply::Done);
        };
        let mut labels = self.state().labels.iter();
        if let Some((by, _)) = labels.find(|(other, taken)| **other != id && taken.is_like(label.as_str())) {
            return Err(Refusal::LabelTaken { by: *by, label });
        }
        self.journal.record(Change::Labelled(id, label));
        Ok(Reply::Done)
    }

    fn forget(&mut self, id: DeviceId) -> Result<Reply, Refusal> {
        if !self.state().devices.contains_key(&id) {
            return Ok(Reply::Unchanged);
        }
        offers::forget(self.journal, id);
        let own = Selector::Device(id);
        if self.state().assignments.contains_key(&own) {
            self.journal.record(Change::Unassigned(own));
        }
        self.destroy_credentials(id);
        self.journal.record(Change::DeviceForgotten(id));
        Ok(Reply::Done)
    }

    fn create_group(&mut self, name: GroupName) -> Result<Reply, Refusal> {
        if self.state().groups.contains_key(&name) {
            return Ok(Reply::Unchanged);
        }
        if self.state().groups.len() >= GROUPS_MAX {
            return Err(Refusal::TooMany {
                what: "groups",
                max: GROUPS_MAX,
            });
        }
        self.journal.record(Change::GroupCreated(name));
        Ok(Reply::Done)
    }

    fn remove_group(&mut self, name: GroupName) -> Result<Reply, Refusal> {
        let Some(members) = self.state().groups.get(&name) else {
            return Ok(Reply::Unchanged);
        };
        let members: Vec<DeviceId> = members.iter().copied().collect();
        let selector = Selector::Group(name.clone());
        if self.state().assignments.contains_key(&selector) {
            self.journal.record(Change::Unassigned(selector));
        }
        self.journal.record(Change::GroupRemoved(name));
        self.retarget(&members);
        Ok(Reply::Done)
    }

    fn add_to_group(&mut self, name: GroupName, id: DeviceId) -> Result<Reply, Refusal> {
        let device = self.device(id)?;
        let Some(members) = self.state().groups.get(&name) else {
            return Err(Refusal::UnknownGroup(name));
        };
        if members.contains(&id) {
            return Ok(Reply::Unchanged);
        }
        if let Some(assignment) = self.state().assignments.get(&Selector::Group(name.clone())) {
            check_kind(device, self.image(assignment.image)?)?;
        }
        self.check_not_retired(id)?;
        self.check_claimable(id)?;
        self.claim(id);
        self.journal.record(Change::MemberAdded(name, id));
        self.retarget(&[id]);
        Ok(Reply::Done)
    }

    fn remove_from_group(&mut self, name: GroupName, id: DeviceId) -> Result<Reply, Refusal> {
        let Some(members) = self.state().groups.get(&name) else {
            return Err(Refusal::UnknownGroup(name));
        };
        if !members.contains(&id) {
            return Ok(Reply::Unchanged);
        }
        self.journal.record(Change::MemberRemoved(name, id));
        self.retarget(&[id]);
        Ok(Reply::Done)
    }

    fn assign(&mut self, selector: Selector, digest: ImageDigest, terms: Terms) -> Result<Reply, Refusal> {
        self.check_assignment(&selector, self.image(digest)?)?;
        if let Selector::Device(id) = &selector {
            self.claim(*id);
        }
        let devices = assign::covered(self.state(), &selector);
        let known = self.state().assignments.get(&selector);
        if known.is_none_or(|known| (known.image, known.terms) != (digest, terms)) {
            let assigned_unix_s = self.later_than_others();
            self.journal.record(Change::Assigned(Assignment {
                selector: selector.clone(),
                image: digest,
                assigned_unix_s,
                terms,
            }));
        }
        self.retarget(&devices);
        Ok(Reply::Assigned {
            devices: devices.len(),
            left_out: plan::left_out(self.state(), self.links, &selector, &devices),
        })
    }

    /// Now, and later than every assignment before: which of two is the later one decides for devices in several groups,
    /// and must not turn on a clock that was not set or was set back.
    fn later_than_others(&self) -> u64 {
        let others = self.state().assignments.values();
        let last = others.map(|other| other.assigned_unix_s).max();
        last.map_or(self.now.unix_s, |last| {
            self.now.unix_s.max(last.saturating_add(1))
        })
    }

    fn check_assignment(&self, selector: &Selector, image: &ImageRecord) -> Result<(), Refusal> {
        match selector {
            Selector::Device(id) => {
                let device = self.device(*id)?;
                check_kind(device, image)?;
                self.check_newer(device, image)?;
                check_fits(device, image)?;
                self.check_not_retired(*id)?;
                self.check_claimable(*id)
            }
            Selector::Group(name) => {
                let members = self
                    .state()
                    .groups
                    .get(name)
                    .ok_or_else(|| Refusal::UnknownGroup(name.clone()))?;
                let mut devices = members.iter().filter_map(|id| self.state().devices.get(id));
                devices.try_for_each(|device| check_kind(device, image))
            }
            Selector::Class(class) if *class != image.class => Err(Refusal::WrongClass {
                image: image.digest,
                image_class: image.class,
                class: *class,
            }),
            Selector::Class(_) => Ok(()),
        }
    }

    fn check_newer(&self, device: &DeviceRecord, image: &ImageRecord) -> Result<(), Refusal> {
        match &device.report {
            Some(report)
                if image.sequence_number <= report.sequence_number
                    && !report.running.matches(&image.digest.0) =>
            {
                Err(Refusal::NotNewer {
                    image: image.digest,
                    image_sequence: image.sequence_number,
                    device: device.id,
                    running: report.sequence_number,
                    next: self.state().next_sequence(image.class, report.sequence_number),
                })
            }
            _ => Ok(()),
        }
    }

    fn cancel(&mut self, selector: Selector) -> Result<Reply, Refusal> {
        match &selector {
            Selector::Device(id) => {
                self.device(*id)?;
            }
            Selector::Group(name) if !self.state().groups.contains_key(name) => {
                return Err(Refusal::UnknownGroup(name.clone()));
            }
            _ => {}
        }
        if !self.state().assignments.contains_key(&selector) {
            return Ok(Reply::Unchanged);
        }
        let devices = assign::covered(self.state(), &selector);
        self.journal.record(Change::Unassigned(selector));
        self.retarget(&devices);
        Ok(Reply::Done)
    }

    fn retry(&mut self, id: DeviceId, image: Option<ImageDigest>) -> Result<Reply, Refusal> {
        self.device(id)?;
        if let Some(image) = image {
            self.image(image)?;
        }
        let asked = |update: &&UpdateRecord| image.is_none_or(|image| update.image == image);
        let updates: Vec<UpdateRecord> = self.state().updates_of(id).filter(asked).cloned().collect();
        let keys = self.failed_builds_of(id, image);
        let withheld = updates
            .iter()
            .filter(|update| offers::release(self.journal, self.now, id, update.image))
            .count();
        keys.iter()
            .for_each(|key| self.journal.record(Change::BuildReleased(*key)));
        if withheld == 0 && keys.is_empty() {
            let released = |update: &UpdateRecord| {
                matches!(update.state, UpdateState::Released | UpdateState::Offered { .. })
            };
            let retried = updates.iter().any(released) || self.is_building_for(id);
            return if retried {
                Ok(Reply::Unchanged)
            } else {
                Err(Refusal::NothingToRetry(id))
            };
        }
        self.retarget(&[id]);
        Ok(Reply::Retrying {
            images: withheld,
            builds: keys.len(),
        })
    }

    /// Failed builds of what the device should run (or of the image named) on top of what it runs, or of nothing.
    fn failed_builds_of(&self, id: DeviceId, image: Option<ImageDigest>) -> Vec<BuildKey> {
        let (running, target) = self.pair(id);
        let wanted = image.or(target);
        let failed = self.state().failed_builds.keys();
        failed
            .filter(|key| Some(key.target) == wanted && (key.base.is_none() || key.base == running))
            .copied()
            .collect()
    }

    fn is_building_for(&self, id: DeviceId) -> bool {
        let (_, target) = self.pair(id);
        self.journal
            .building()
            .iter()
            .any(|key| Some(key.target) == target)
    }

    /// What a device runs and what is next for it.
    fn pair(&self, id: DeviceId) -> (Option<ImageDigest>, Option<ImageDigest>) {
        let state = self.state();
        let device = state.devices.get(&id);
        let report = device.and_then(|device| device.report.as_ref());
        let running = report.and_then(|report| state.image_by_prefix(&report.running));
        (running.map(|image| image.digest), decision::next_image(state, id))
    }

    /// After targets may have changed: withdraws what nobody assigns any more, and asks for the builds now needed.
    fn retarget(&mut self, devices: &[DeviceId]) {
        for id in devices {
            offers::reconcile(self.journal, self.now, *id);
            self.journal.plan_builds(self.links, *id);
        }
    }

    /// Claims a device; room was checked before.
    fn claim(&mut self, id: DeviceId) {
        let known = self.state().devices.get(&id).cloned();
        let device = match known {
            Some(device) if device.claimed => return,
            Some(device) => DeviceRecord {
                claimed: true,
                ..device
            },
            None => DeviceRecord {
                id,
                claimed: true,
                class: None,
                report: None,
            },
        };
        self.journal.record(Change::Device(device));
    }

    fn check_claimable(&self, id: DeviceId) -> Result<(), Refusal> {
        let claimed = self.state().devices.get(&id).is_some_and(|device| device.claimed);
        if claimed {
            Ok(())
        } else {
            self.check_room_to_claim()
        }
    }

    fn check_room_to_claim(&self) -> Result<(), Refusal> {
        let max = self.config.claimed_max;
        if self.state().claimed_count() >= max {
            return Err(Refusal::TooMany {
                what: "claimed devices",
                max,
            });
        }
        Ok(())
    }

    fn state(&self) -> &State {
        self.journal.state()
    }

    fn device(&self, id: DeviceId) -> Result<&DeviceRecord, Refusal> {
        self.state().devices.get(&id).ok_or(Refusal::UnknownDevice(id))
    }

    fn image(&self, digest: ImageDigest) -> Result<&ImageRecord, Refusal> {
        self.state()
            .images
            .get(&digest)
            .ok_or(Refusal::UnknownImage(digest))
    }
}

/// Whether the same bytes were signed again as a newer release, which is how a fleet goes back to an old image on purpose.
fn is_signed_anew(known: &ImageRecord, image: &ImageRecord) -> bool {
    are_for_the_same(known, image) && image.sequence_number > known.sequence_number
}

fn same_identity(a: &ImageRecord, b: &ImageRecord) -> bool {
    are_for_the_same(a, b) && a.sequence_number == b.sequence_number
}

fn are_for_the_same(a: &ImageRecord, b: &ImageRecord) -> bool {
    (a.class, a.vendor, a.size) == (b.class, b.vendor, b.size)
}

fn check_kind(device: &DeviceRecord, image: &ImageRecord) -> Result<(), Refusal> {
    if let Some(class) = device.class()
        && class != image.class
    {
        let (image, image_class) = (image.digest, image.class);
        return Err(Refusal::WrongClassOfDevice {
            image,
            image_class,
            device: device.id,
            class,
        });
    }
    match &device.report {
        Some(report) if report.vendor != image.vendor => Err(Refusal::WrongVendor {
            image: image.digest,
            image_vendor: image.vendor,
            device: device.id,
            vendor: report.vendor,
        }),
        _ => Ok(()),
    }
}

fn check_fits(device: &DeviceRecord, image: &ImageRecord) -> Result<(), Refusal> {
    match &device.report {
        Some(report) if image.size > report.slot_capacity => Err(Refusal::LongerThanSlot {
            image: image.digest,
            bytes: image.size,
            device: device.id,
            slot: report.slot_capacity,
        }),
        _ => Ok(()),
    }
}
