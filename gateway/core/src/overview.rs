//! Views made from the same decision that a check-in acts on.

use crate::assign;
use crate::choice::{self, Candidate};
use crate::config::{Access, LinkConfig, LinkName};
use crate::credentials::Kid;
use crate::decision::{self, Decision};
use crate::deferral::DeferralView;
use crate::device_name::{DeviceName, NameKind};
use crate::explain;
use crate::gateway::Gateway;
use crate::identity::ImageDigest;
use crate::keep;
use crate::label::Label;
use crate::pause;
use crate::records::{
    DeviceRecord, GroupName, ImageRecord, Offer, OfferPath, Progress, Selector, UpdateState,
};
use crate::stand::Stand;
use crate::state::State;
use crate::turned_away::TurnedAway;
use crate::units::Bytes;
use crate::views::{
    DeviceView, GroupView, ImageView, LinkView, Stage, StatusView, TargetView, TransferView, UpdateView,
};
use wire_checkin::DeviceId;

impl Gateway {
    fn open_links(&self) -> Vec<LinkName> {
        let links = self.links.iter().map(|link| &link.config);
        let open = links.filter(|link| link.access == Access::Open);
        open.map(|link| link.name.clone()).collect()
    }

    /// Who was turned away, with what is known of it now.
    fn turned_away(&self) -> Vec<TurnedAway> {
        let identities = &self.journal.state().identities;
        let now = |row: &TurnedAway| TurnedAway {
            has_key: identities.has_key(row.device),
            ..row.clone()
        };
        self.door.rows().map(now).collect()
    }

    /// Every device, claimed ones and others, by id.
    pub fn devices(&self) -> Vec<DeviceView> {
        self.state()
            .devices
            .values()
            .map(|device| self.view(device))
            .collect()
    }

    /// One device.
    pub fn device(&self, id: DeviceId) -> Option<DeviceView> {
        self.state().devices.get(&id).map(|device| self.view(device))
    }

    /// Every device with what people call it and what is printed on it, by id.
    pub fn names(&self) -> impl Iterator<Item = (DeviceId, Option<&Label>, Vec<&DeviceName>)> {
        let state = self.state();
        let names = |id| state.identities.names_of(id).collect();
        let devices = state.devices.keys();
        devices.map(move |id| (*id, state.labels.get(id), names(*id)))
    }

    /// The device that people call so, or that has this printed on it; case does not count in a label.
    pub fn device_called(&self, text: &str) -> Option<DeviceId> {
        let state = self.state();
        let mut labels = state.labels.iter();
        let labelled = labels.find(|(_, label)| label.is_like(text)).map(|(id, _)| *id);
        let names = NameKind::ALL.into_iter();
        let mut names = names.filter_map(|kind| DeviceName::new(kind, text));
        labelled.or_else(|| names.find_map(|name| state.identities.named(&name)))
    }

    /// What devices that have keys of their own know this gateway by.
    pub fn own_key(&self) -> Option<&wire_edhoc::PublicKey> {
        let own = self.journal.state().identities.own_key();
        own.map(wire_edhoc::PrivateKey::public)
    }

    /// A key id that no device of this gateway has.
    pub fn free_kid(&self) -> Kid {
        self.state().identities.free_kid()
    }

    /// Every image, by digest.
    pub fn images(&self) -> Vec<ImageView> {
        self.state()
            .images
            .values()
            .map(|image| self.image_view(image))
            .collect()
    }

    /// One image.
    pub fn image(&self, digest: ImageDigest) -> Option<ImageView> {
        self.state()
            .images
            .get(&digest)
            .map(|image| self.image_view(image))
    }

    /// Every group, by name.
    pub fn groups(&self) -> Vec<GroupView> {
        self.state()
            .groups
            .iter()
            .map(|(name, members)| self.group_view(name, members.iter().copied()))
            .collect()
    }

    /// Every link, the default first.
    pub fn links(&self) -> Vec<LinkView> {
        self.links
            .iter()
            .map(|link| self.link_view(&link.config, link.queued()))
            .collect()
    }

    /// The update of every claimed device that has a target, by device.
    pub fn updates(&self) -> Vec<UpdateView> {
        self.state()
            .devices
            .values()
            .filter_map(|device| self.update_view(device))
            .collect()
    }

    /// The open offer of a path.
    pub fn offer(&self, path: OfferPath) -> Option<&Offer> {
        self.state().offers.get(&path)
    }

    /// What a device is offered that becomes this image.
    pub fn offer_of(&self, device: DeviceId, image: ImageDigest) -> Option<&Offer> {
        self.state().offers_of(device).find(|offer| offer.image == image)
    }

    /// Payload bytes of what is offered; `None` when it is gone.
    pub fn artefact_bytes(&self, offer: &Offer) -> Option<Bytes> {
        self.state().artefact_of(offer).map(|artefact| artefact.size)
    }

    /// The whole gateway in numbers.
    pub fn status(&self) -> StatusView {
        let (state, updates) = (self.state(), self.updates());
        let overdue = |update: &&UpdateView| update.deferral.is_some_and(|deferral| deferral.is_overdue());
        let unproven = |device: &&DeviceRecord| {
            device.claimed && device.report.is_some() && !state.identities.is_proven(device.id)
        };
        StatusView {
            disk: keep::used(state),
            disk_max: self.config.disk_bytes_max,
            claimed: state.claimed_count(),
            unclaimed: state.unclaimed_count(),
            unclaimed_dropped: self.unclaimed_dropped,
            open_links: self.open_links(),
            unproven: state.devices.values().filter(unproven).count(),
            challenges: self.reach.challenges(),
            turned_away_requests: self.door.requests(),
            turned_away: self.turned_away(),
            images: state.images.len(),
            artefacts: state.artefact_count(),
            anchors_behind: self.anchors_behind(),
            building: self.journal.building().len(),
            failed_builds: state.failed_builds.len(),
            assignments: state.assignments.values().cloned().collect(),
            paused_unix_s: state.paused_unix_s,
            overdue: updates.iter().filter(overdue).count(),
            updates,
        }
    }

    fn state(&self) -> &State {
        self.journal.state()
    }

    fn view(&self, device: &DeviceRecord) -> DeviceView {
        let state = self.state();
        let link = &self.links.of_device(self.state(), device);
        let decision = decision::decide(state, device, link);
        let (target, running) = (target_of(state, device), running(state, device));
        let transfer = self.transfer(device, link);
        let counters = state.device_counters.get(&device.id).copied().unwrap_or_default();
        let deferral = DeferralView::in_decision(device, &decision, self.config.deferral_patience_s);
        let identity = state.identities.view(device.id);
        let mut chain = explain::chain(
            state.paused_unix_s.is_some(),
            running,
            device,
            link,
            &decision,
            transfer.as_ref(),
            deferral.as_ref(),
        );
        let small = self.passage.limit(device.id, link.block_size());
        chain.extend(small.map(explain::small_blocks));
        if let Some(retirement) = identity.retired {
            chain.truncate(1);
            chain.push(explain::retired(retirement));
        }
        let next_step = Stand::of(device, &decision, deferral.as_ref())
            .next_step()
            .filter(|_| identity.retired.is_none())
            .or_else(|| pause::next_step(state, &decision, transfer.as_ref()));
        DeviceView {
            is_proven: device.report.is_some() && state.identities.is_proven(device.id),
            label: state.labels.get(&device.id).cloned(),
            identity,
            running: running.map(|image| image.digest),
            groups: state.groups_of(device.id).cloned().collect(),
            anchors: self.anchors_of(device, link),
            chain,
            next_step: next_step.or_else(|| small.map(|_| explain::set_mtu(link))),
            candidates: candidates(state, device, link, &decision),
            updates: state.updates_of(device.id).cloned().collect(),
            counters: counters.counters,
            last_seen_unix_s: counters.last_seen_unix_s,
            device: device.clone(),
            target,
            transfer,
            deferral,
        }
    }

    /// The open offer, with how far it came.
    fn transfer(&self, device: &DeviceRecord, link: &LinkConfig) -> Option<TransferView> {
        let state = self.state();
        let is_open = |offer: &&Offer| {
            let update = state.updates.get(&(device.id, offer.image));
            update.is_some_and(|update| update.state == UpdateState::Offered { path: offer.path })
        };
        let offer = state.offers_of(device.id).find(is_open)?;
        let artefact = state.artefact_of(offer)?;
        let progress = state.progress.get(&offer.path).copied().unwrap_or_default();
        let left = artefact.size.saturating_sub(progress.served_to);
        let size = device
            .report
            .as_ref()
            .map_or(link.block_size(), |report| choice::block_size(report, link));
        let on_air = if left.0 == 0 {
            Bytes(0)
        } else {
            choice::on_air(left, size, link)
        };
        Some(TransferView {
            path: offer.path,
            image: offer.image,
            format: artefact.format,
            size: artefact.size,
            progress,
            least_left: link.rate.air_time(on_air),
            expected_left_s: expected_left_s(progress, left),
        })
    }

    fn update_view(&self, device: &DeviceRecord) -> Option<UpdateView> {
        let state = self.state();
        let image = target_of(state, device)?.image;
        let link = &self.links.of_device(self.state(), device);
        let transfer = self.transfer(device, link);
        let decision = decision::decide(state, device, link);
        let deferral = DeferralView::in_decision(device, &decision, self.config.deferral_patience_s);
        let stage = match deferral {
            Some(_) => Stage::Deferred,
            None => stage(&decision, transfer.as_ref(), state.paused_unix_s.is_some()),
        };
        let offers = state
            .updates
            .get(&(device.id, image))
            .map_or(0, |update| update.offers);
        Some(UpdateView {
            device: device.id,
            image,
            stage,
            offers,
            transfer,
            deferral,
        })
    }

    fn image_view(&self, image: &ImageRecord) -> ImageView {
        let state = self.state();
        let of_image = |target: &ImageDigest| *target == image.digest;
        let failed = state
            .failed_builds
            .iter()
            .filter(|(key, _)| of_image(&key.target));
        let runs = |device: &&DeviceRecord| {
            device.claimed
                && device
                    .report
                    .as_ref()
                    .is_some_and(|report| report.running.matches(&image.digest.0))
        };
        ImageView {
            is_pinned: state.pinned.contains(&image.digest),
            distrusted: state.distrust(image).map(|why| why.to_string()),
            artefacts: state.artefacts_of(image.digest).cloned().collect(),
            building: self
                .journal
                .building()
                .iter()
                .filter(|key| of_image(&key.target))
                .copied()
                .collect(),
            failed: failed.map(|(key, reason)| (*key, reason.clone())).collect(),
            running: state.devices.values().filter(runs).count(),
            assigned: state
                .assignments
                .values()
                .filter(|assignment| of_image(&assignment.image))
                .map(|assignment| assignment.selector.clone())
                .collect(),
            image: image.clone(),
        }
    }

    fn group_view(&self, name: &GroupName, members: impl Iterator<Item = DeviceId>) -> GroupView {
        let assignment = self.state().assignments.get(&Selector::Group(name.clone()));
        GroupView {
            name: name.clone(),
            members: members.collect(),
            assigned: assignment.map(|assignment| assignment.image),
        }
    }

    fn link_view(&self, config: &LinkConfig, queued: usize) -> LinkView {
        let state = self.state();
        let counters = state.link_counters.get(&config.name).copied().unwrap_or_default();
        let heard = |device: &&DeviceRecord| {
            device
                .report
                .as_ref()
                .is_some_and(|report| report.link == config.name)
        };
        LinkView {
            config: config.clone(),
            total: counters.total,
            unattributed: counters.unattributed,
            events: counters.events,
            queued,
            devices: state.devices.values().filter(heard).count(),
        }
    }
}

fn target_of(state: &State, device: &DeviceRecord) -> Option<TargetView> {
    let assignment = assign::assignment(state, device)?;
    Some(TargetView {
        image: assignment.image,
        by: assignment.selector.clone(),
    })
}

fn running<'a>(state: &'a State, device: &DeviceRecord) -> Option<&'a ImageRecord> {
    state.image_by_prefix(&device.report.as_ref()?.running)
}

/// The time left at the pace so far, rounded up; the first block only starts the clock.
fn expected_left_s(progress: Progress, left: Bytes) -> Option<u64> {
    let elapsed_s = progress
        .last_unix_s
        .checked_sub(progress.first_unix_s)
        .filter(|elapsed_s| *elapsed_s > 0)?;
    let served = u128::from(progress.served_to.0);
    let byte_seconds = u128::from(left.0) * u128::from(elapsed_s);
    (served > 0)
        .then(|| byte_seconds.div_ceil(served))
        .and_then(|seconds| u64::try_from(seconds).ok())
}

/// What would be considered, also while something else stands in the way.
pub(crate) fn candidates(
    state: &State,
    device: &DeviceRecord,
    link: &LinkConfig,
    decision: &Decision<'_>,
) -> Vec<Candidate> {
    let target = match decision {
        Decision::Offer { candidates, .. } | Decision::NothingFits { candidates, .. } => {
            return candidates.clone();
        }
        Decision::NeedsBuilds { target, .. }
        | Decision::BuildFailed { target, .. }
        | Decision::Withheld { target, .. } => target,
        _ => return Vec::new(),
    };
    let Some(report) = &device.report else {
        return Vec::new();
    };
    let running = target.running.map(|image| image.digest);
    choice::choose(
        target.image,
        running,
        state.artefacts_of(target.image.digest),
        report,
        link,
        None,
    )
}

fn stage(decision: &Decision<'_>, transfer: Option<&TransferView>, paused: bool) -> Stage {
    match decision {
        Decision::Unheard => Stage::Unheard,
        Decision::UpToDate(_) => Stage::UpToDate,
        Decision::Withheld { .. } => Stage::Withheld,
        Decision::NeedsBuilds { .. } => Stage::Building,
        Decision::Offer { .. } => match transfer {
            None if paused => Stage::Paused,
            None => Stage::Ready,
            Some(transfer) if transfer.progress.served_to >= transfer.size => Stage::Installing,
            Some(_) if paused => Stage::Paused,
            Some(transfer) if transfer.progress.served_to > Bytes(0) => Stage::Transferring,
            Some(_) => Stage::Offered,
        },
        Decision::Unclaimed
        | Decision::ClassConflict { .. }
        | Decision::NoTarget
        | Decision::WrongKind(_)
        | Decision::NotNewer { .. }
        | Decision::Distrusted(..)
        | Decision::NoWay { .. }
        | Decision::BuildFailed { .. }
        | Decision::NothingFits { .. } => Stage::Blocked,
    }
}
