//! Credentials come, change and go.

use std::collections::BTreeMap;

use super::Operator;
use crate::change::Change;
use crate::command::{Refusal, Reply};
use crate::contact::ClockView;
use crate::credentials::{Credentials, Kid};
use crate::device_name::DeviceName;
use crate::enrolment::{BadLine, Enrolment, IdentityCommand, IdentityRefusal, Import, ImportReport};
use crate::identities::{CREDENTIALS_MAX, CredentialRecord, IdentityChange, Phase, Retirement};
use crate::journal::Journal;
use crate::label::Label;
use crate::offers;
use crate::records::{Assignment, DeviceRecord, GroupName, Selector, UpdateRecord};
use crate::units::Now;
use wire_checkin::DeviceId;

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
        let (id, kid) = (enrolment.device, enrolment.credentials.kid);
        let identities = &self.state().identities;
        let others = |by: &DeviceId| *by != id;
        let has_them = match identities.get(kid) {
            Some(known) if known.device != id => {
                return Err(IdentityRefusal::KidTaken {
                    kid,
                    by: known.device,
                }
                .into());
            }
            Some(known) => known.credentials == enrolment.credentials,
            None => false,
        };
        if !has_them && identities.is_enrolled(id) {
            return Err(IdentityRefusal::Enrolled(id).into());
        }
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
        if !has_them && identities.all().count() >= CREDENTIALS_MAX {
            return Err(Refusal::TooMany {
                what: "keys",
                max: CREDENTIALS_MAX,
            });
        }
        Ok(has_them && self.is_called(enrolment))
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
        if self.state().identities.retirement(id).is_some() {
            self.note(IdentityChange::Unretired(id));
        }
        self.claim(id);
        self.note(IdentityChange::Credentials(CredentialRecord {
            device: id,
            credentials: enrolment.credentials,
            phase: Phase::Current,
            enrolled_unix_s: self.now.unix_s,
        }));
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
                enrolled.push((enrolment.device, enrolment.credentials.kid));
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
        let until_unix_s = self.now.unix_s.saturating_add(old_valid_s.into());
        for record in records {
            match record.phase {
                Phase::Current => self.note(IdentityChange::Credentials(CredentialRecord {
                    phase: Phase::Leaving { until_unix_s },
                    ..record
                })),
                // Whoever rotates again does not prolong what is to go.
                Phase::Leaving { .. } => {}
                Phase::Next => self.note(IdentityChange::Destroyed(record.credentials.kid)),
            }
        }
        self.note(IdentityChange::Credentials(CredentialRecord {
            device: id,
            credentials,
            phase: Phase::Next,
            enrolled_unix_s: self.now.unix_s,
        }));
        Ok(Reply::Done)
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
        let report = known.and_then(|new| new.report);
        self.let_go(old, Some(new));
        self.journal.record(Change::Device(DeviceRecord {
            id: new,
            claimed: true,
            class: leaving.class.or(report.as_ref().map(|report| report.class)),
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
        offers::release_open(self.journal, self.now, id);
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
            self.note(IdentityChange::Destroyed(kid));
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

/// What the lines of a list before this one have taken.
#[derive(Default)]
struct Seen {
    lines: BTreeMap<(&'static str, String), usize>,
}

impl Seen {
    fn check(&mut self, line: usize, enrolment: &Enrolment) -> Result<(), BadLine> {
        let mut takes = vec![
            ("device", enrolment.device.to_string()),
            ("kid", enrolment.credentials.kid.to_string()),
        ];
        let names = enrolment.names.iter();
        takes.extend(names.map(|name| (name.kind().name(), name.as_str().to_owned())));
        takes.extend(enrolment.label.iter().map(|label| ("label", folded(label))));
        let before = takes
            .iter()
            .find_map(|key| Some((key, *self.lines.get(key)?)))
            .map(|((what, text), before)| BadLine {
                line,
                what: (*what).to_owned(),
                why: format!("{text} is on line {before} already"),
            });
        // What a bad line has taken counts, too: which of two is wrong is not ours to say.
        for key in takes {
            self.lines.entry(key).or_insert(line);
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

fn folded(label: &Label) -> String {
    label.as_str().to_lowercase()
}

/// Ends rotations whose bound has passed, by a clock that is set.
pub(crate) fn end_rotations(journal: &mut Journal, now: Now) {
    if !ClockView::of(now).is_set {
        return;
    }
    let identities = &journal.state().identities;
    let over: Vec<DeviceId> = identities.leaving_until(now.unix_s).collect();
    for id in over {
        end_rotation(journal, id);
    }
}

/// What the device holds now is all that counts.
pub(crate) fn end_rotation(journal: &mut Journal, id: DeviceId) {
    let records: Vec<CredentialRecord> = journal.state().identities.of(id).cloned().collect();
    for record in records {
        let change = match record.phase {
            Phase::Leaving { .. } => IdentityChange::Destroyed(record.credentials.kid),
            Phase::Next => IdentityChange::Credentials(CredentialRecord {
                phase: Phase::Current,
                ..record
            }),
            Phase::Current => continue,
        };
        journal.record(Change::Identity(change));
    }
}
