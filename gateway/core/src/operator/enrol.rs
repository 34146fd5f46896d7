//! Credentials come, change and go.

mod rotation;

use rotation::{destroy, supersede};
pub(crate) use rotation::{end_rotations, established, psk_used, used};
use std::collections::BTreeMap;

use super::Operator;
use crate::change::Change;
use crate::command::{Refusal, Reply};
use crate::credentials::{Credentials, Kid};
use crate::device_name::DeviceName;
use crate::enrolment::{
    BadLine, EnrolledKeys, Enrolment, IdentityCommand, IdentityRefusal, Import, ImportReport,
};
use crate::identities::{CREDENTIALS_MAX, CredentialRecord, Identities, IdentityChange, Phase, Retirement};
use crate::identity::hex;
use crate::label::Label;
use crate::offers;
use crate::psk::{Psk, PskIdentity, PskRecord};
use crate::records::{Assignment, DeviceRecord, GroupName, Selector, UpdateRecord};
use sha2::{Digest, Sha256};
use wire_checkin::DeviceId;
use wire_edhoc::PublicKey;

impl Operator<'_> {
    pub(super) fn identity(&mut self, command: IdentityCommand) -> Result<Reply, Refusal> {
        match command {
            IdentityCommand::Enrol(enrolment) => self.enrol(enrolment),
            IdentityCommand::Import(import) => Ok(Reply::Imported(self.import_devices(import))),
            IdentityCommand::Rotate {
                device,
                credentials,
                old_valid_s,
            } => self.rotate(device, credentials, old_valid_s),
            IdentityCommand::RotatePsk {
                device,
                psk,
                old_valid_s,
            } => self.rotate_psk(device, psk, old_valid_s),
            IdentityCommand::Swap { old, new } => self.swap(old, new),
            IdentityCommand::Retire(id) => self.retire(id),
        }
    }

    fn enrol(&mut self, enrolment: Enrolment) -> Result<Reply, Refusal> {
        let labels = self.labels();
        if self.check_enrolment(&enrolment, &labels)? {
            return Ok(Reply::Unchanged);
        }
        self.check_claimable(enrolment.device)?;
        self.carry_out(enrolment);
        Ok(Reply::Done)
    }

    /// Lower-case labels and whose they are: [`Label::is_like`] for many.
    fn labels(&self) -> BTreeMap<String, DeviceId> {
        let labels = self.state().labels.iter();
        labels.map(|(id, label)| (folded(label), *id)).collect()
    }

    /// Whether there is nothing left to do.
    fn check_enrolment(
        &self,
        enrolment: &Enrolment,
        labels: &BTreeMap<String, DeviceId>,
    ) -> Result<bool, Refusal> {
        let id = enrolment.device;
        let others = |by: &DeviceId| *by != id;
        if enrolment.credentials.is_none() && enrolment.psk.is_none() && enrolment.public_key.is_none() {
            return Err(IdentityRefusal::NoKey(id).into());
        }
        let credentials = enrolment.credentials.as_ref();
        let has_credentials =
            credentials.map_or(Ok(true), |credentials| self.check_credentials(id, credentials))?;
        let psk = enrolment.psk.as_ref();
        let has_psk = psk.map_or(Ok(true), |psk| self.check_psk(id, psk))?;
        let both = credentials.zip(psk);
        if both.is_some_and(|(credentials, psk)| psk.key.expose() == credentials.secret.expose()) {
            return Err(IdentityRefusal::PskTaken { by: id }.into());
        }
        let key = enrolment.public_key.as_ref();
        let has_key = check_public_key(&self.state().identities, id, key)?;
        self.check_names(&enrolment.names, id)?;
        if let Some(label) = &enrolment.label
            && let Some(by) = labels.get(&folded(label)).filter(|by| others(by))
        {
            let (label, by) = (label.clone(), *by);
            return Err(Refusal::LabelTaken { by, label });
        }
        if let Some(group) = &enrolment.group
            && !self.state().groups.contains_key(group)
        {
            return Err(Refusal::UnknownGroup(group.clone()));
        }
        Ok(has_credentials && has_psk && has_key && self.is_called(enrolment))
    }

    /// Whether a device has these credentials already.
    fn check_credentials(&self, id: DeviceId, credentials: &Credentials) -> Result<bool, Refusal> {
        let (kid, identities) = (credentials.kid, &self.state().identities);
        match identities.get(kid) {
            Some(known) if known.device != id => {
                let by = known.device;
                return Err(IdentityRefusal::KidTaken { kid, by }.into());
            }
            Some(known) if known.credentials == *credentials => return Ok(true),
            _ => {}
        }
        if identities.is_enrolled(id) {
            return Err(IdentityRefusal::Enrolled(id).into());
        }
        if let Some(by) = identities.secret_of(&credentials.secret) {
            return Err(IdentityRefusal::SecretTaken { by }.into());
        }
        check_room(identities.all().count())
    }

    /// Whether a device has this key of DTLS already.
    fn check_psk(&self, id: DeviceId, psk: &Psk) -> Result<bool, Refusal> {
        let (identity, identities) = (psk.identity, &self.state().identities);
        match identities.psks.get(identity) {
            Some(known) if known.device != id => {
                let by = known.device;
                return Err(IdentityRefusal::PskIdentityTaken { identity, by }.into());
            }
            Some(known) if known.psk == *psk => return Ok(true),
            _ => {}
        }
        if !identities.psks.of(id).is_empty() {
            return Err(IdentityRefusal::PskEnrolled(id).into());
        }
        if let Some(by) = identities.psk_of(&psk.key) {
            return Err(IdentityRefusal::PskTaken { by }.into());
        }
        check_room(identities.psks.count())
    }

    fn check_names(&self, names: &[DeviceName], id: DeviceId) -> Result<(), Refusal> {
        for name in names {
            if let Some(by) = self.state().identities.named(name).filter(|by| *by != id) {
                let name = name.clone();
                return Err(IdentityRefusal::NameTaken { name, by }.into());
            }
        }
        Ok(())
    }

    /// Whether all else that an enrolment says is so already.
    fn is_called(&self, enrolment: &Enrolment) -> bool {
        let (id, state) = (enrolment.device, self.state());
        let label = state.labels.get(&id);
        let is_member = |group: &GroupName| state.groups.get(group).is_some_and(|group| group.contains(&id));
        let has = |name: &DeviceName| state.identities.named(name) == Some(id);
        enrolment.names.iter().all(has)
            && (enrolment.label.is_none() || enrolment.label.as_ref() == label)
            && enrolment.group.as_ref().is_none_or(is_member)
    }

    /// What was checked.
    fn carry_out(&mut self, enrolment: Enrolment) {
        let id = enrolment.device;
        self.forget_hearsay(id);
        if self.state().identities.retirement(id).is_some() {
            self.note(IdentityChange::Unretired(id));
        }
        self.claim(id);
        // What it has already stays as it is.
        let identities = &self.state().identities;
        let (has_credentials, has_psk) = (identities.is_enrolled(id), !identities.psks.of(id).is_empty());
        if let Some(credentials) = enrolment.credentials.filter(|_| !has_credentials) {
            self.note(IdentityChange::Credentials(CredentialRecord {
                device: id,
                credentials,
                phase: Phase::Current,
                enrolled_unix_s: self.now.unix_s,
            }));
        }
        if let Some(psk) = enrolment.psk.filter(|_| !has_psk) {
            self.note_psk(id, psk, Phase::Current, None);
        }
        if let Some(key) = enrolment.public_key {
            self.note(IdentityChange::PublicKey(id, key));
        }
        for name in enrolment.names {
            self.note(IdentityChange::Named(id, name));
        }
        if let Some(label) = enrolment.label {
            self.journal.record(Change::Labelled(id, label));
        }
        if let Some(group) = enrolment.group {
            self.journal.record(Change::MemberAdded(group, id));
        }
        self.retarget(&[id]);
    }

    /// What was said in the name of a device without a key, its class above all, does not bind the device that has one.
    fn forget_hearsay(&mut self, id: DeviceId) {
        let state = self.state();
        let heard = state.devices.get(&id).filter(|device| device.report.is_some());
        if let Some(device) = heard.filter(|_| !state.identities.is_bound(id)) {
            let unheard = DeviceRecord {
                class: None,
                report: None,
                ..device.clone()
            };
            self.journal.record(Change::Device(unheard));
        }
    }

    fn import_devices(&mut self, import: Import) -> ImportReport {
        let Import {
            lines,
            mut bad,
            skip_bad,
        } = import;
        let labels = self.labels();
        let mut seen = Seen::default();
        let (mut good, mut unchanged) = (Vec::new(), 0);
        for (line, enrolment) in lines {
            let checked = seen.check(line, &enrolment).and_then(|()| {
                let checked = self.check_enrolment(&enrolment, &labels);
                checked.map_err(|refusal| bad_line(line, &refusal))
            });
            match checked {
                Ok(false) => good.push((line, enrolment)),
                Ok(true) => unchanged += 1,
                Err(problem) => bad.push(problem),
            }
        }
        let room = self
            .config
            .claimed_max
            .saturating_sub(self.state().claimed_count());
        let mut claims = 0;
        for (line, enrolment) in &good {
            let known = self.state().devices.get(&enrolment.device);
            claims += usize::from(known.is_none_or(|device| !device.claimed));
            if claims > room {
                let max = self.config.claimed_max;
                let what = "claimed devices";
                bad.push(bad_line(*line, &Refusal::TooMany { what, max }));
                break;
            }
        }
        bad.sort_by_key(|bad| bad.line);
        let mut enrolled = Vec::new();
        if bad.is_empty() || (skip_bad && claims <= room) {
            for (_, enrolment) in good {
                enrolled.push(EnrolledKeys {
                    device: enrolment.device,
                    kid: enrolment.credentials.as_ref().map(|credentials| credentials.kid),
                    psk: enrolment.psk.as_ref().map(|psk| psk.identity),
                    has_public_key: enrolment.public_key.is_some(),
                });
                self.carry_out(enrolment);
            }
        }
        ImportReport {
            enrolled,
            unchanged,
            bad,
        }
    }

    fn rotate(&mut self, id: DeviceId, credentials: Credentials, old_valid_s: u32) -> Result<Reply, Refusal> {
        self.device(id)?;
        let kid = credentials.kid;
        let state = self.state();
        let records: Vec<CredentialRecord> = state.identities.of(id).cloned().collect();
        if records.is_empty() {
            return Err(IdentityRefusal::NotEnrolled(id).into());
        }
        if records.iter().any(|record| record.credentials == credentials) {
            return Ok(Reply::Unchanged);
        }
        if let Some(known) = state.identities.get(kid) {
            return Err(IdentityRefusal::KidTaken {
                kid,
                by: known.device,
            }
            .into());
        }
        if let Some(by) = state.identities.secret_of(&credentials.secret) {
            return Err(IdentityRefusal::SecretTaken { by }.into());
        }
        supersede(self.journal, self.now, id, credentials, old_valid_s);
        Ok(Reply::Done)
    }

    fn rotate_psk(&mut self, id: DeviceId, psk: Psk, old_valid_s: u32) -> Result<Reply, Refusal> {
        self.device(id)?;
        let identities = &self.state().identities;
        let records: Vec<PskRecord> = identities.psks.of(id).into_iter().cloned().collect();
        if records.is_empty() {
            return Err(IdentityRefusal::NoPsk(id).into());
        }
        if records.iter().any(|record| record.psk == psk) {
            return Ok(Reply::Unchanged);
        }
        if let Some(by) = identities.psk_of(&psk.key) {
            return Err(IdentityRefusal::PskTaken { by }.into());
        }
        let identity = psk.identity;
        if let Some(known) = identities.psks.get(identity) {
            if known.device != id {
                let by = known.device;
                return Err(IdentityRefusal::PskIdentityTaken { identity, by }.into());
            }
            // A handshake says which identity it is under, and not which of its keys.
            let (phase, used_unix_s) = (known.phase, known.used_unix_s);
            self.note(IdentityChange::PskDestroyed(identity));
            self.note_psk(id, psk, phase, used_unix_s);
            return Ok(Reply::Done);
        }
        let until_unix_s = self.now.unix_s.saturating_add(old_valid_s.into());
        for record in records {
            match record.phase {
                Phase::Current => self.note(IdentityChange::Psk(PskRecord {
                    phase: Phase::Leaving { until_unix_s },
                    ..record
                })),
                // Whoever rotates again does not prolong what is to go.
                Phase::Leaving { .. } => {}
                Phase::Next => self.note(IdentityChange::PskDestroyed(record.psk.identity)),
            }
        }
        self.note_psk(id, psk, Phase::Next, None);
        Ok(Reply::Done)
    }

    fn note_psk(&mut self, device: DeviceId, psk: Psk, phase: Phase, used_unix_s: Option<u64>) {
        self.note(IdentityChange::Psk(PskRecord {
            device,
            psk,
            phase,
            enrolled_unix_s: self.now.unix_s,
            used_unix_s,
        }));
    }

    fn retire(&mut self, id: DeviceId) -> Result<Reply, Refusal> {
        self.device(id)?;
        if self.state().identities.retirement(id).is_some() {
            return Ok(Reply::Unchanged);
        }
        self.check_room_to_retire()?;
        self.vacate(id);
        self.let_go(id, None);
        Ok(Reply::Done)
    }

    fn swap(&mut self, old: DeviceId, new: DeviceId) -> Result<Reply, Refusal> {
        let leaving = self.device(old)?.clone();
        if old == new {
            return Err(IdentityRefusal::Itself(old).into());
        }
        match self.state().identities.retirement(old) {
            Some(retirement) if retirement.successor == Some(new) => return Ok(Reply::Unchanged),
            Some(_) => return Err(IdentityRefusal::Retired(old).into()),
            None => {}
        }
        self.check_place(new)?;
        let known = self.state().devices.get(&new).cloned();
        if let (Some(old_class), Some(class)) = (leaving.class, known.as_ref().and_then(|new| new.class))
            && old_class != class
        {
            return Err(IdentityRefusal::OtherClass {
                new,
                class,
                old,
                old_class,
            }
            .into());
        }
        if !leaving.claimed {
            self.check_claimable(new)?;
        }
        self.check_room_to_retire()?;
        self.hand_over(&leaving, known, new);
        Ok(Reply::Done)
    }

    fn hand_over(&mut self, leaving: &DeviceRecord, known: Option<DeviceRecord>, new: DeviceId) {
        let old = leaving.id;
        let label = self.state().labels.get(&old).cloned();
        let own = Selector::Device(old);
        let assignment = self.state().assignments.get(&own).cloned();
        let groups = self.vacate(old);
        let updates: Vec<UpdateRecord> = self.state().updates_of(old).cloned().collect();
        let (class, report) = known.map_or((None, None), |new| (new.class, new.report));
        self.let_go(old, Some(new));
        self.journal.record(Change::Device(DeviceRecord {
            id: new,
            claimed: true,
            class: leaving.class.or(class),
            report,
        }));
        if let Some(label) = label {
            self.journal.record(Change::Unlabelled(old));
            self.journal.record(Change::Labelled(new, label));
        }
        for group in groups {
            self.journal.record(Change::MemberAdded(group, new));
        }
        if let Some(assignment) = assignment {
            self.journal.record(Change::Assigned(Assignment {
                selector: Selector::Device(new),
                ..assignment
            }));
        }
        for update in updates {
            self.journal.record(Change::UpdateForgotten(old, update.image));
            self.journal.record(Change::Update(UpdateRecord {
                device: new,
                ..update
            }));
        }
        self.retarget(&[new]);
    }

    /// Hardware that takes a place may be known and enrolled, and have done nothing yet.
    fn check_place(&self, new: DeviceId) -> Result<(), Refusal> {
        let state = self.state();
        let own = Selector::Device(new);
        let what = [
            (state.identities.retirement(new).is_some(), "it is retired"),
            (state.groups_of(new).next().is_some(), "it is in a group"),
            (state.assignments.contains_key(&own), "an image is assigned to it"),
            (state.updates_of(new).next().is_some(), "it was updated before"),
        ];
        match what.into_iter().find(|(has, _)| *has) {
            Some((_, what)) => Err(IdentityRefusal::HasAPlace { device: new, what }.into()),
            None => Ok(()),
        }
    }

    /// Takes a device out of its groups, ends its own assignment and withdraws what it was offered. Gives the groups.
    fn vacate(&mut self, id: DeviceId) -> Vec<GroupName> {
        let groups: Vec<GroupName> = self.state().groups_of(id).cloned().collect();
        for group in &groups {
            self.journal.record(Change::MemberRemoved(group.clone(), id));
        }
        let own = Selector::Device(id);
        if self.state().assignments.contains_key(&own) {
            self.journal.record(Change::Unassigned(own));
        }
        offers::withdraw_all(self.journal, self.now, id);
        groups
    }

    /// Destroys a device's credentials and lists it as retired.
    fn let_go(&mut self, id: DeviceId, successor: Option<DeviceId>) {
        self.destroy_credentials(id);
        if let Some(device) = self.state().devices.get(&id).filter(|device| device.claimed) {
            let device = DeviceRecord {
                claimed: false,
                ..device.clone()
            };
            self.journal.record(Change::Device(device));
        }
        let at_unix_s = self.now.unix_s;
        self.note(IdentityChange::Retired(id, Retirement { at_unix_s, successor }));
    }

    pub(super) fn destroy_credentials(&mut self, id: DeviceId) {
        let records = self.state().identities.of(id);
        let kids: Vec<Kid> = records.map(|record| record.credentials.kid).collect();
        for kid in kids {
            destroy(self.journal, kid);
        }
        let psks = self.state().identities.psks.of(id);
        let identities: Vec<PskIdentity> = psks.iter().map(|record| record.psk.identity).collect();
        for identity in identities {
            self.note(IdentityChange::PskDestroyed(identity));
        }
        if self.state().identities.public_key(id).is_some() {
            self.note(IdentityChange::PublicKeyRemoved(id));
        }
    }

    pub(super) fn check_not_retired(&self, id: DeviceId) -> Result<(), Refusal> {
        match self.state().identities.retirement(id) {
            Some(_) => Err(IdentityRefusal::Retired(id).into()),
            None => Ok(()),
        }
    }

    /// As many may be listed as may be claimed.
    fn check_room_to_retire(&self) -> Result<(), Refusal> {
        let max = self.config.claimed_max;
        match self.state().identities.retired_count() >= max {
            true => Err(Refusal::TooMany {
                what: "retired devices",
                max,
            }),
            false => Ok(()),
        }
    }

    fn note(&mut self, change: IdentityChange) {
        self.journal.record(Change::Identity(change));
    }
}

/// Whether the device has this public key; so, too, where none is to be given.
fn check_public_key(
    identities: &Identities,
    id: DeviceId,
    key: Option<&PublicKey>,
) -> Result<bool, IdentityRefusal> {
    let Some(key) = key else {
        return Ok(true);
    };
    if let Some(by) = identities.owner(key).filter(|by| *by != id) {
        return Err(IdentityRefusal::PublicKeyTaken { by });
    }
    match identities.public_key(id) {
        Some(known) if known != key => Err(IdentityRefusal::OtherPublicKey(id)),
        known => Ok(known.is_some()),
    }
}

/// What the lines of a list before this one have taken.
#[derive(Default)]
struct Seen {
    lines: BTreeMap<(&'static str, String), usize>,
}

impl Seen {
    fn check(&mut self, line: usize, enrolment: &Enrolment) -> Result<(), BadLine> {
        let mut takes = vec![("device", enrolment.device.to_string())];
        if let Some(credentials) = &enrolment.credentials {
            takes.push(("kid", credentials.kid.to_string()));
            takes.push(("secret", fingerprint(credentials.secret.expose())));
        }
        if let Some(psk) = &enrolment.psk {
            takes.push(("psk_identity", psk.identity.to_string()));
            takes.push(("psk", fingerprint(psk.key.expose())));
        }
        let names = enrolment.names.iter();
        takes.extend(names.map(|name| (name.kind().name(), name.as_str().to_owned())));
        takes.extend(enrolment.label.iter().map(|label| ("label", folded(label))));
        let key = enrolment.public_key.as_ref();
        takes.extend(key.map(|key| ("public_key", hex(key.as_bytes()))));
        let before = takes
            .iter()
            .find_map(|key| Some((key, *self.lines.get(&as_taken(key))?)))
            .map(|((what, text), before)| BadLine {
                line,
                what: (*what).to_owned(),
                why: match *what {
                    "secret" | "psk" => format!("it is on line {before} already"),
                    _ => format!("{text} is on line {before} already"),
                },
            });
        // What a bad line has taken counts, too: which of two is wrong is not ours to say.
        for key in takes {
            self.lines.entry(as_taken(&key)).or_insert(line);
        }
        before.map_or(Ok(()), Err)
    }
}

fn bad_line(line: usize, refusal: &Refusal) -> BadLine {
    let what = match refusal {
        Refusal::Identity(refusal) => refusal.column(),
        Refusal::LabelTaken { .. } => "label",
        Refusal::UnknownGroup(_) => "group",
        _ => "device",
    };
    BadLine {
        line,
        what: what.to_owned(),
        why: refusal.to_string(),
    }
}

/// What is a secret of one kind is none of the other.
fn as_taken((what, text): &(&'static str, String)) -> (&'static str, String) {
    let what = if *what == "psk" { "secret" } else { *what };
    (what, text.clone())
}

/// To tell secrets apart; wiped with nothing, for it tells nothing.
fn fingerprint(secret: &[u8]) -> String {
    hex(&Sha256::digest(secret))
}

fn check_room(keys: usize) -> Result<bool, Refusal> {
    match keys >= CREDENTIALS_MAX {
        true => Err(Refusal::TooMany {
            what: "keys",
            max: CREDENTIALS_MAX,
        }),
        false => Ok(false),
    }
}

fn folded(label: &Label) -> String {
    label.as_str().to_lowercase()
}
