//! Who holds which key: rows, and the only way to alter them.
//!
//! | credentials of a device | it is | leads on |
//! |---|---|---|
//! | none | not enrolled | enrol: one `Current` |
//! | one `Current` | enrolled | rotate: it is `Leaving`, and beside it one `Next` |
//! | one `Leaving`, one `Next` | rotating | first message under `Next`, or the bound passes: `Next` is `Current`, the other destroyed; rotate: another `Next`, the same bound |
//! | any | | retire, swap, forget: all destroyed, a public key, too |
//! | any, and a public key | | a handshake (RFC 9528): without credentials as enrol, else as rotate |

use crate::credentials::{Credentials, Kid};
use crate::device_name::{DeviceName, NameKind};
use crate::effect::DTLS_OVERHEAD_BYTES;
use crate::oscore::{KeyState, MESSAGE_OVERHEAD_BYTES};
use crate::psk::{PskIdentity, PskKey, PskRecord};
use crate::psks::Psks;
use crate::secret::Secret;
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::DeviceId;
use wire_edhoc::{PrivateKey, PublicKey};

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
    /// Removes credentials, so that nothing of them can be read again, and what was made anew of them.
    Destroyed(Kid),
    /// Key: device and kind of name.
    Named(DeviceId, DeviceName),
    /// Removes a name.
    Unnamed(DeviceId, NameKind),
    /// Key: device.
    Retired(DeviceId, Retirement),
    /// Removes that row.
    Unretired(DeviceId),
    /// Key: kid. It stays when the credentials go.
    KeyState(Kid, KeyState),
    /// Key: identity. Holds a secret: whoever stores it seals it.
    Psk(PskRecord),
    /// Removes a key of DTLS, so that nothing of it can be read again.
    PskDestroyed(PskIdentity),
    /// Key: device. What it proves with in a handshake who it is.
    PublicKey(DeviceId, PublicKey),
    /// Removes a public key.
    PublicKeyRemoved(DeviceId),
    /// The one key of the gateway itself. Whoever stores it seals it.
    OwnKey(PrivateKey),
}

/// The rows, by key.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identities {
    credentials: BTreeMap<Kid, CredentialRecord>,
    kids_of: BTreeSet<(DeviceId, Kid)>,
    names: BTreeMap<(DeviceId, NameKind), DeviceName>,
    named: BTreeMap<DeviceName, DeviceId>,
    retired: BTreeMap<DeviceId, Retirement>,
    states: BTreeMap<Kid, KeyState>,
    pub(crate) psks: Psks,
    public_keys: BTreeMap<DeviceId, PublicKey>,
    key_owners: BTreeMap<PublicKey, DeviceId>,
    own_key: Option<PrivateKey>,
    /// SHA-256 of every secret in use, keys of DTLS among them, and whose it is: the same one under two key ids would be two
    /// nonces in one, and in two protocols whatever those make of it.
    secrets: BTreeMap<[u8; 32], DeviceId>,
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
                self.secrets
                    .insert(fingerprint(&record.credentials.secret), device);
                if let Phase::Leaving { until_unix_s } = record.phase {
                    self.leaving.insert((until_unix_s, device));
                }
                self.credentials.insert(kid, record);
            }
            IdentityChange::Destroyed(kid) => {
                self.destroy(kid);
                if let Some(state) = self.states.get_mut(&kid) {
                    state.renewed = None;
                }
            }
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
            IdentityChange::KeyState(kid, state) => {
                self.states.insert(kid, state);
            }
            IdentityChange::Psk(record) => {
                if let Some(old) = self.psks.get(record.psk.identity) {
                    self.secrets.remove(&old.psk.key.fingerprint());
                }
                self.secrets.insert(record.psk.key.fingerprint(), record.device);
                self.psks.insert(record);
            }
            IdentityChange::PskDestroyed(identity) => self.destroy_psk(identity),
            IdentityChange::PublicKey(device, key) => {
                self.remove_public_key(device);
                self.key_owners.insert(key, device);
                self.public_keys.insert(device, key);
            }
            IdentityChange::PublicKeyRemoved(device) => self.remove_public_key(device),
            IdentityChange::OwnKey(key) => self.own_key = Some(key),
        }
    }

    fn destroy_psk(&mut self, identity: PskIdentity) {
        if let Some(old) = self.psks.remove(identity) {
            self.secrets.remove(&old.psk.key.fingerprint());
        }
    }

    /// What is kept of a key besides its credentials.
    pub(crate) fn key_state(&self, kid: Kid) -> KeyState {
        self.states.get(&kid).copied().unwrap_or_default()
    }

    /// Whether nobody is believed to be this device without a key: it has one, whether it used it or not, or was retired.
    pub(crate) fn is_bound(&self, device: DeviceId) -> bool {
        self.has_key(device) || self.retired.contains_key(&device)
    }

    /// Whether a device has shown a key that it has: what is known of it since then is its own word.
    pub(crate) fn is_proven(&self, device: DeviceId) -> bool {
        self.used_since(device).is_some()
    }

    fn used_since(&self, device: DeviceId) -> Option<u64> {
        let of_dtls = self.psks.used_since(device);
        self.kid_used_since(device).into_iter().chain(of_dtls).min()
    }

    fn kid_used_since(&self, device: DeviceId) -> Option<u64> {
        let kids = self.of(device).map(|record| record.credentials.kid);
        kids.filter_map(|kid| self.key_state(kid).used_unix_s).min()
    }

    /// How much longer messages of a device are that has proved to have a key: what it proved it with last counts not, what costs less
    /// does.
    pub(crate) fn overhead(&self, device: DeviceId) -> Option<u16> {
        let oscore = self.kid_used_since(device).map(|_| MESSAGE_OVERHEAD_BYTES);
        oscore.or_else(|| self.psks.used_since(device).map(|_| DTLS_OVERHEAD_BYTES))
    }

    /// Who has this secret.
    pub(crate) fn secret_of(&self, secret: &Secret) -> Option<DeviceId> {
        self.secrets.get(&fingerprint(secret)).copied()
    }

    /// Who has this secret, as whatever.
    pub(crate) fn psk_of(&self, key: &PskKey) -> Option<DeviceId> {
        self.secrets.get(&key.fingerprint()).copied()
    }

    /// What goes with a device's own row. Its credentials are removed by changes of their own.
    pub(crate) fn forget(&mut self, device: DeviceId) {
        self.retired.remove(&device);
        for kind in NameKind::ALL {
            self.unname(device, kind);
        }
    }

    fn remove_public_key(&mut self, device: DeviceId) {
        if let Some(old) = self.public_keys.remove(&device) {
            self.key_owners.remove(&old);
        }
    }

    fn destroy(&mut self, kid: Kid) {
        if let Some(old) = self.credentials.remove(&kid) {
            self.kids_of.remove(&(old.device, kid));
            self.secrets.remove(&fingerprint(&old.credentials.secret));
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
        !self.leaving.is_empty() || self.psks.is_any_leaving()
    }

    pub(crate) fn is_enrolled(&self, device: DeviceId) -> bool {
        self.of(device).next().is_some()
    }

    /// Whether a device has a key, of whatever kind.
    pub(crate) fn has_key(&self, device: DeviceId) -> bool {
        self.is_enrolled(device) || !self.psks.of(device).is_empty() || self.public_keys.contains_key(&device)
    }

    /// Every one there is, by key id.
    pub(crate) fn all(&self) -> impl Iterator<Item = &CredentialRecord> {
        self.credentials.values()
    }

    pub(crate) fn names_of(&self, device: DeviceId) -> impl Iterator<Item = &DeviceName> {
        let kinds = NameKind::ALL.into_iter();
        kinds.filter_map(move |kind| self.names.get(&(device, kind)))
    }

    /// What a device proves with in a handshake who it is.
    pub(crate) fn public_key(&self, device: DeviceId) -> Option<&PublicKey> {
        self.public_keys.get(&device)
    }

    /// Whose public key this is.
    pub(crate) fn owner(&self, key: &PublicKey) -> Option<DeviceId> {
        self.key_owners.get(key).copied()
    }

    /// The gateway's own key.
    pub(crate) fn own_key(&self) -> Option<&PrivateKey> {
        self.own_key.as_ref()
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

impl Identities {
    /// A key id of two bytes that nothing has and that is not `taken`, from a random one on. One that was used before goes last: whoever
    /// had it takes no answer for an answer, and would not be told that it is gone. `None` when there is none.
    pub(crate) fn kid_from(&self, first: u16, taken: impl Fn(Kid) -> bool) -> Option<Kid> {
        let free = || {
            (0..=u16::MAX)
                .filter_map(|step| Kid::new(&first.wrapping_add(step).to_be_bytes()))
                .filter(|kid| !self.credentials.contains_key(kid) && !taken(*kid))
        };
        free()
            .find(|kid| !self.states.contains_key(kid))
            .or_else(|| free().next())
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
    /// Identities of its keys of DTLS, the current one first.
    pub psks: Vec<PskIdentity>,
    /// Until when the current one of those counts, while the device has another one.
    pub psk_leaving_unix_s: Option<u64>,
    /// What else it is called.
    pub names: Vec<DeviceName>,
    /// Whether it is retired.
    pub retired: Option<Retirement>,
    /// What it took the place of.
    pub predecessor: Option<DeviceId>,
    /// Since when it proves with a key who it is; `None`: it has not done so yet.
    pub used_unix_s: Option<u64>,
    /// What it proves with in a handshake who it is.
    pub public_key: Option<PublicKey>,
}

/// In memory only.
fn fingerprint(secret: &Secret) -> [u8; 32] {
    Sha256::digest(secret.expose()).into()
}

impl Identities {
    pub(crate) fn view(&self, device: DeviceId) -> IdentityView {
        let mut records: Vec<&CredentialRecord> = self.of(device).collect();
        records.sort_by_key(|record| record.phase == Phase::Next);
        let until = |phase: Phase| match phase {
            Phase::Leaving { until_unix_s } => Some(until_unix_s),
            _ => None,
        };
        let leaving = records.iter().find_map(|record| until(record.phase));
        let psks = self.psks.of(device);
        IdentityView {
            psk_leaving_unix_s: psks.iter().find_map(|record| until(record.phase)),
            psks: psks.iter().map(|record| record.psk.identity).collect(),
            kids: records.iter().map(|record| record.credentials.kid).collect(),
            leaving_unix_s: leaving,
            names: self.names_of(device).cloned().collect(),
            retired: self.retirement(device),
            predecessor: self.predecessor(device),
            used_unix_s: self.used_since(device),
            public_key: self.public_key(device).copied(),
        }
    }
}
