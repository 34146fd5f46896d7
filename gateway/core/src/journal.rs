//! Decisions as they are made: each is applied to the state and handed to the shell in one step.

use crate::change::Change;
use crate::decision::{self, Decision};
use crate::effect::{BuildKey, BuildOutcome, BuildRequest, Effect, File};
use crate::identity::ImageDigest;
use crate::keep;
use crate::links::Links;
use crate::records::Offer;
use crate::state::State;
use crate::units::Now;
use std::collections::{BTreeSet, VecDeque};
use wire_checkin::DeviceId;

/// The state with what the shell has yet to do about it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    state: State,
    effects: VecDeque<Effect>,
    /// Builds asked for and not answered. Not stored: after a restart the next check-in asks again.
    building: BTreeSet<BuildKey>,
}

impl Journal {
    /// What comes after a state. For dry runs, on a copy.
    pub(crate) fn of(state: State) -> Journal {
        Journal {
            state,
            ..Journal::default()
        }
    }

    /// A journal of nothing that has happened yet, for a gateway that trusts these keys, and whose devices have those from the factory.
    pub(crate) fn trusting(keys: Option<BTreeSet<[u8; 8]>>, factory: Vec<[u8; 32]>) -> Journal {
        Journal {
            state: State::trusting(keys, factory),
            ..Journal::default()
        }
    }

    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// For counters, progress and what strangers say only, which are stored late and coarsely by [`crate::meter::Meter`].
    pub(crate) fn counters_mut(&mut self) -> &mut State {
        &mut self.state
    }

    /// Makes a decision.
    pub(crate) fn record(&mut self, change: Change) {
        self.state.apply(change.clone());
        self.effects.push_back(Effect::Store(change));
    }

    /// Has a file removed after what was decided before.
    pub(crate) fn discard(&mut self, file: File) {
        self.effects.push_back(Effect::Discard(file));
    }

    /// Replays a decision made before.
    pub(crate) fn restore(&mut self, change: Change) {
        self.state.apply(change);
    }

    pub(crate) fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn building(&self) -> &BTreeSet<BuildKey> {
        &self.building
    }

    /// Asks for a build once, however many devices wait for it. One that is done or has failed is not asked for.
    pub(crate) fn build(&mut self, key: BuildKey) {
        let settled = self.state.built.contains(&key) || self.state.failed_builds.contains_key(&key);
        if !settled && self.building.insert(key) {
            self.effects.push_back(Effect::Build(BuildRequest { key }));
        }
    }

    /// Asks again for builds that are done: what they gave cannot be read. One that then fails stays failed.
    pub(crate) fn build_again(&mut self, target: ImageDigest, base: Option<ImageDigest>) {
        let gave = |key: &&BuildKey| (key.target, key.base) == (target, base);
        for key in self.state.built.iter().filter(gave) {
            if !self.state.failed_builds.contains_key(key) && self.building.insert(*key) {
                self.effects.push_back(Effect::Build(BuildRequest { key: *key }));
            }
        }
    }

    /// Takes a build's result. One that nobody asked for is ignored.
    pub(crate) fn built(&mut self, now: Now, outcome: BuildOutcome) {
        let BuildOutcome { key, result } = outcome;
        if !self.building.remove(&key) {
            return;
        }
        let artefacts = result.and_then(|artefacts| {
            let fits =
                |artefact: &crate::ArtefactRecord| artefact.target == key.target && artefact.base == key.base;
            match artefacts.iter().all(fits) && !artefacts.is_empty() {
                true => Ok(artefacts),
                false => Err("the build gave no artefact for what was asked".to_string()),
            }
        });
        match artefacts {
            Ok(artefacts) => {
                artefacts
                    .into_iter()
                    .for_each(|artefact| self.record(Change::Artefact(artefact)));
                self.record(Change::Built(key));
            }
            Err(reason) => self.record(Change::BuildFailed {
                key,
                reason,
                failed_unix_s: now.unix_s,
            }),
        }
    }

    /// Asks for what is served without being asked for at a check-in, and is not there. Where disk is short, plain payloads of images
    /// that nobody is to run wait until somebody asks.
    pub(crate) fn build_lost(&mut self, links: &Links, is_disk_short: bool) {
        let images: Vec<ImageDigest> = match is_disk_short {
            true => keep::wanted_images(&self.state).into_iter().collect(),
            false => self.state.images.keys().copied().collect(),
        };
        images
            .into_iter()
            .for_each(|image| self.build(decision::baseless_build(image)));
        let is_lost = |offer: &&Offer| self.state.artefact_of(offer).is_none();
        let waiting: Vec<DeviceId> = self
            .state
            .offers
            .values()
            .filter(is_lost)
            .map(|offer| offer.device)
            .collect();
        waiting.into_iter().for_each(|id| self.plan_builds(links, id));
    }

    /// Asks for what a device's choice still lacks.
    pub(crate) fn plan_builds(&mut self, links: &Links, id: DeviceId) {
        let Some(device) = self.state.devices.get(&id) else {
            return;
        };
        let link = &links.of_device(&self.state, device);
        if let Decision::NeedsBuilds { builds, .. } = decision::decide(&self.state, device, link) {
            builds.into_iter().for_each(|key| self.build(key));
        }
    }
}
