//! What a device should run.

use crate::records::{Assignment, DeviceRecord, Selector};
use crate::state::State;
use wire_checkin::DeviceId;

/// The assignment that decides for a device: its own, else that of a group, else that of its class. Of several groups
/// the one assigned last decides, and of those the first by name.
pub(crate) fn assignment<'a>(state: &'a State, device: &DeviceRecord) -> Option<&'a Assignment> {
    if !device.claimed {
        return None;
    }
    let own = state.assignments.get(&Selector::Device(device.id));
    own.or_else(|| of_groups(state, device.id))
        .or_else(|| of_class(state, device))
}

fn of_groups(state: &State, id: DeviceId) -> Option<&Assignment> {
    let groups = state.groups_of(id).map(|name| Selector::Group(name.clone()));
    let mut decisive: Option<&Assignment> = None;
    for assignment in groups.filter_map(|selector| state.assignments.get(&selector)) {
        if decisive.is_none_or(|earlier| assignment.assigned_unix_s > earlier.assigned_unix_s) {
            decisive = Some(assignment);
        }
    }
    decisive
}

fn of_class<'a>(state: &'a State, device: &DeviceRecord) -> Option<&'a Assignment> {
    state.assignments.get(&Selector::Class(device.class()?))
}

/// Claimed devices that a selector names, whatever other assignments they have.
pub(crate) fn covered(state: &State, selector: &Selector) -> Vec<DeviceId> {
    let claimed = state.devices.values().filter(|device| device.claimed);
    claimed
        .filter(|device| covers(state, selector, device))
        .map(|device| device.id)
        .collect()
}

fn covers(state: &State, selector: &Selector, device: &DeviceRecord) -> bool {
    match selector {
        Selector::Device(id) => device.id == *id,
        Selector::Group(name) => state
            .groups
            .get(name)
            .is_some_and(|members| members.contains(&device.id)),
        Selector::Class(class) => device.class() == Some(*class),
    }
}
