//! Which devices need a person: where waiting does not help, in the words of the decision that a check-in acts on.

use crate::contact::{self, ClockView, Contact, ContactView};
use crate::decision;
use crate::deferral::DeferralView;
use crate::explain;
use crate::gateway::Gateway;
use crate::label::Label;
use crate::records::DeviceRecord;
use crate::stand::Stand;
use crate::units::Now;
use crate::views::NextStep;
use wire_checkin::DeviceId;

/// A device that a person should see to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NeedView {
    /// The device.
    pub device: DeviceId,
    /// What people call it.
    pub label: Option<Label>,
    /// What is wrong, in one clause.
    pub why: String,
    /// What to do about it.
    pub step: NextStep,
}

impl Gateway {
    /// Every claimed device that needs a person, by id.
    pub fn needs(&self, now: Now) -> Vec<NeedView> {
        let devices = self.journal.state().devices.values();
        devices
            .filter(|device| device.claimed)
            .filter_map(|device| self.need(now, device))
            .collect()
    }

    /// How long a device has been silent, and what that means. `None`: there is no such device.
    pub fn contact(&self, now: Now, id: DeviceId) -> Option<ContactView> {
        let device = self.journal.state().devices.get(&id)?;
        Some(self.contact_of(now, device))
    }

    /// What the wall clock is worth.
    pub fn clock(&self, now: Now) -> ClockView {
        ClockView::of(now)
    }

    /// What people call a device.
    pub fn label(&self, id: DeviceId) -> Option<Label> {
        self.journal.state().labels.get(&id).cloned()
    }

    fn contact_of(&self, now: Now, device: &DeviceRecord) -> ContactView {
        let counters = self.journal.state().device_counters.get(&device.id);
        let last_seen_unix_s = counters.map_or(0, |row| row.last_seen_unix_s);
        let listening_ms = now.monotonic_ms.saturating_sub(self.started_ms);
        let link = &self.links.of_device(self.journal.state(), device);
        contact::judge(
            now,
            listening_ms,
            last_seen_unix_s,
            self.config.check_in_interval_s,
            link,
        )
    }

    /// What stands in the way of an update comes before silence: a silent device cannot be told of either.
    fn need(&self, now: Now, device: &DeviceRecord) -> Option<NeedView> {
        let link = &self.links.of_device(self.journal.state(), device);
        let decision = decision::decide(self.journal.state(), device, link);
        let deferral = DeferralView::in_decision(device, &decision, self.config.deferral_patience_s);
        let Stand::Stuck(step) = Stand::of(device, &decision, deferral.as_ref()) else {
            return self.missing(now, device);
        };
        Some(NeedView {
            device: device.id,
            label: self.label(device.id),
            why: match deferral {
                Some(deferral) => explain::waits(&deferral),
                None => explain::end(device, &decision),
            },
            step,
        })
    }

    fn missing(&self, now: Now, device: &DeviceRecord) -> Option<NeedView> {
        let Contact::Missing { check_ins } = self.contact_of(now, device).contact else {
            return None;
        };
        let link = self.links.of_device(self.journal.state(), device).name.clone();
        Some(NeedView {
            device: device.id,
            label: self.label(device.id),
            why: format!("it is missing: {check_ins} check-ins did not come"),
            step: NextStep {
                why: "see to its power and its radio; whether others on its link are heard".into(),
                command: format!("deltagate link show {link}"),
            },
        })
    }
}
