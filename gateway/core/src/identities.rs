//! Who holds which key: rows, and the only way to alter them.
//!
//! | credentials of a device | it is | leads on |
//! |---|---|---|
//! | none | not enrolled | enrol: one `Current` |
//! | one `Current` | enrolled | rotate: it is `Leaving`, and beside it one `Next` |
//! | one `Leaving`, one `Next` | rotating | first message under `Next`, or the bound passes: `Next` is `Current`, the other destroyed; rotate: another `Next`, the same bound |
//! | any | | retire, swap, forget: all destroyed |

use crate::credentials::{Credentials, Kid};
use crate::device_name::{DeviceName, NameKind};
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::DeviceId;

/// Key id and secret of a device, and how far they count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CredentialRecord {
    /// Whose they are.
    pub device: DeviceId,
    /// What they are.
    pub credentials: Credentials,
    /// How far they count.
    pub phase: Phase,
    /// Since when the gateway has them.
    pub enrolled_unix_s: u64,
}

/// How far credentials count. All of them do, until they are destroyed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The device's only ones.
    Current,
    /// Others replace them when the device first uses those, or at this time by a clock that is set.
    Leaving {
        /// When.
        until_unix_s: u64,
    },
    /// The device was not heard under them yet.
    Next,
}

/// A device that is listed and never served again, unless it is enrolled anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retirement {
    /// When.
    pub at_unix_s: u64,
    /// What took its place.
    pub successor: Option<DeviceId>,
}

/// One row written or removed; see [`crate::Change`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityChange {
    /// Key: kid. Holds a secret: whoever stores it seals it.
    Credentials(CredentialRecord),
    /// Removes credentials, so that nothing of them can be read again.
    Destroyed(Kid),
    /// Key: device and kind of name.
    Named(DeviceId, DeviceName),
    /// Removes a name.
    Unnamed(DeviceId, NameKind),
    /// Key: device.
    Retired(DeviceId, Retirement),
    /// Removes that row.
    Unretired(DeviceId),
}

/// The rows, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    credentials: BTreeMap<Kid, CredentialRecord>,
    kids_of: BTreeSet<(DeviceId, Kid)>,
    names: BTreeMap<(DeviceId, NameKind), DeviceName>,
    named: BTreeMap<DeviceName, DeviceId>,
    retired: BTreeMap<DeviceId, Retirement>,
    /// Devices with credentials that are leaving, and when those go at the latest.
    leaving: BTreeSet<(u64, DeviceId)>,
}

impl Identities {
    /// Writes or removes one row.
    pub(crate) fn apply(&mut self, change: IdentityChange) {
        match change {
            IdentityChange::Credentials(record) => {
                let (kid, device) = (record.credentials.kid, record.device);
                self.destroy(kid);
                self.kids_of.insert((device, kid));
                if let Phase::Leaving { until_unix_s } = record.phase {
                    self.leaving.insert((until_unix_s, device));
                }
                self.credentials.insert(kid, record);
            }
            IdentityChange::Destroyed(kid) => self.destroy(kid),
            IdentityChange::Named(device, name) => {
                self.unname(device, name.kind());
                self.named.insert(name.clone(), device);
                self.names.insert((device, name.kind()), name);
            }
            IdentityChange::Unnamed(device, kind) => self.unname(device, kind),
            IdentityChange::Retired(device, retirement) => {
                self.retired.insert(device, retirement);
            }
            IdentityChange::Unretired(device) => {
                self.retired.remove(&device);
            }
        }
    }

    /// What goes with a device's own row. Its credentials are removed by changes of their own.
    pub(crate) fn forget(&mut self, device: DeviceId) {
        self.retired.remove(&device);
        for kind in NameKind::ALL {
            self.unname(device, kind);
        }
    }

    fn destroy(&mut self, kid: Kid) {
        if let Some(old) = self.credentials.remove(&kid) {
            self.kids_of.remove(&(old.device, kid));
            if let Phase::Leaving { until_unix_s } = old.phase {
                self.leaving.remove(&(until_unix_s, old.device));
            }
        }
    }

    fn unname(&mut self, device: DeviceId, kind: NameKind) {
        if let Some(old) = self.names.remove(&(device, kind)) {
            self.named.remove(&old);
        }
    }

    /// The credentials that a message names.
    pub(crate) fn get(&self, kid: Kid) -> Option<&CredentialRecord> {
        self.credentials.get(&kid)
    }

    /// Every one of a device.
    pub(crate) fn of(&self, device: DeviceId) -> impl Iterator<Item = &CredentialRecord> {
        let kids = self.kids_of.range((device, Kid::FIRST)..);
        kids.take_while(move |(other, _)| *other == device)
            .filter_map(|(_, kid)| self.credentials.get(kid))
    }

    /// Devices whose old credentials have had their time.
    pub(crate) fn leaving_until(&self, unix_s: u64) -> impl Iterator<Item = DeviceId> {
        let over = self.leaving.iter().take_while(move |(until, _)| *until <= unix_s);
        over.map(|(_, device)| *device)
    }

    /// Whether any credentials are leaving.
    pub(crate) fn is_any_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    pub(crate) fn is_enrolled(&self, device: DeviceId) -> bool {
        self.of(device).next().is_some()
    }

    /// Every one there is, by key id.
    pub(crate) fn all(&self) -> impl Iterator<Item = &CredentialRecord> {
        self.credentials.values()
    }

    pub(crate) fn names_of(&self, device: DeviceId) -> impl Iterator<Item = &DeviceName> {
        let kinds = NameKind::ALL.into_iter();
        kinds.filter_map(move |kind| self.names.get(&(device, kind)))
    }

    /// Whose name this is.
    pub(crate) fn named(&self, name: &DeviceName) -> Option<DeviceId> {
        self.named.get(name).copied()
    }

    pub(crate) fn retirement(&self, device: DeviceId) -> Option<Retirement> {
        self.retired.get(&device).copied()
    }

    pub(crate) fn retired_count(&self) -> usize {
        self.retired.len()
    }

    /// What a device took the place of, the latest if there were several.
    pub(crate) fn predecessor(&self, device: DeviceId) -> Option<DeviceId> {
        let before = self.retired.iter();
        let before = before.filter(|(_, retirement)| retirement.successor == Some(device));
        let latest = before.max_by_key(|(_, retirement)| retirement.at_unix_s);
        latest.map(|(old, _)| *old)
    }

    /// A key id that nothing has: of two bytes, which name more devices than a gateway claims, behind the highest one.
    pub(crate) fn free_kid(&self) -> Kid {
        let two_bytes = |number: u16| Kid::new(&number.to_be_bytes()).expect("two bytes are a key id");
        let number = |kid: &Kid| <[u8; 2]>::try_from(kid.as_bytes()).ok().map(u16::from_be_bytes);
        let highest = self.credentials.keys().filter_map(number).max();
        let first = highest.map_or(0, |highest| highest.wrapping_add(1));
        (0..=u16::MAX)
            .map(|step| two_bytes(first.wrapping_add(step)))
            .find(|kid| !self.credentials.contains_key(kid))
            .expect("CREDENTIALS_MAX is less than there are key ids of two bytes")
    }
}

/// Credentials of one gateway: two for each device that can be claimed, while all of them rotate.
pub(crate) const CREDENTIALS_MAX: usize = 40_000;
const _: () = assert!(CREDENTIALS_MAX < 1 << 16);

/// What an operator is shown of a device's identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct IdentityView {
    /// Key ids, the current one first.
    pub kids: Vec<Kid>,
    /// Until when the current one counts, while the device has another one.
    pub leaving_unix_s: Option<u64>,
    /// What else it is called.
    pub names: Vec<DeviceName>,
    /// Whether it is retired.
    pub retired: Option<Retirement>,
    /// What it took the place of.
    pub predecessor: Option<DeviceId>,
}

impl Identities {
    pub(crate) fn view(&self, device: DeviceId) -> IdentityView {
        let mut records: Vec<&CredentialRecord> = self.of(device).collect();
        records.sort_by_key(|record| record.phase == Phase::Next);
        let leaving = records.iter().find_map(|record| match record.phase {
            Phase::Leaving { until_unix_s } => Some(until_unix_s),
            _ => None,
        });
        IdentityView {
            kids: records.iter().map(|record| record.credentials.kid).collect(),
            leaving_unix_s: leaving,
            names: self.names_of(device).cloned().collect(),
            retired: self.retirement(device),
            predecessor: self.predecessor(device),
        }
    }
}
