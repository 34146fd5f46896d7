//! Who holds which key of DTLS: rows, kept beside those of [`crate::identities`] and going the same ways.

use crate::identities::Phase;
use crate::psk::{Psk, PskIdentity, PskProof, PskRecord};
use std::collections::{BTreeMap, BTreeSet};
use wire_checkin::DeviceId;

/// The rows, by identity.
#[derive(Clone, Debug, Default)]
pub(crate) struct Psks {
    records: BTreeMap<PskIdentity, PskRecord>,
    identities_of: BTreeSet<(DeviceId, PskIdentity)>,
    /// Devices with keys that are leaving, and when those go at the latest.
    leaving: BTreeSet<(u64, DeviceId)>,
    /// How often the keys changed, so that a copy of them knows whether it is one.
    pub(crate) generation: u64,
}

impl Psks {
    pub(crate) fn insert(&mut self, record: PskRecord) {
        let (identity, device) = (record.psk.identity, record.device);
        let generation = self.generation;
        let old = self.remove(identity);
        // What is else in a row is nothing to a handshake.
        self.generation = match old {
            Some(old) if old.psk == record.psk => generation,
            _ => generation + 1,
        };
        self.identities_of.insert((device, identity));
        if let Phase::Leaving { until_unix_s } = record.phase {
            self.leaving.insert((until_unix_s, device));
        }
        self.records.insert(identity, record);
    }

    /// The record that went.
    pub(crate) fn remove(&mut self, identity: PskIdentity) -> Option<PskRecord> {
        self.generation += 1;
        let old = self.records.remove(&identity)?;
        self.identities_of.remove(&(old.device, identity));
        if let Phase::Leaving { until_unix_s } = old.phase {
            self.leaving.remove(&(until_unix_s, old.device));
        }
        Some(old)
    }

    pub(crate) fn get(&self, identity: PskIdentity) -> Option<&PskRecord> {
        self.records.get(&identity)
    }

    /// The record of the very key that a session was made under.
    pub(crate) fn proven(&self, proof: &PskProof) -> Option<&PskRecord> {
        let record = self.records.get(&proof.identity);
        record.filter(|record| record.psk.proof() == *proof)
    }

    /// Every one of a device, the current one first.
    pub(crate) fn of(&self, device: DeviceId) -> Vec<&PskRecord> {
        let identities = self.identities_of.range((device, PskIdentity::FIRST)..);
        let own = identities.take_while(|(other, _)| *other == device);
        let mut records: Vec<&PskRecord> = own
            .filter_map(|(_, identity)| self.records.get(identity))
            .collect();
        records.sort_by_key(|record| record.phase == Phase::Next);
        records
    }

    pub(crate) fn used_since(&self, device: DeviceId) -> Option<u64> {
        let records = self.of(device);
        records.iter().filter_map(|record| record.used_unix_s).min()
    }

    /// Devices whose old key has had its time.
    pub(crate) fn leaving_until(&self, unix_s: u64) -> Vec<DeviceId> {
        let over = self.leaving.iter().take_while(|(until, _)| *until <= unix_s);
        over.map(|(_, device)| *device).collect()
    }

    pub(crate) fn is_any_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    pub(crate) fn count(&self) -> usize {
        self.records.len()
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Psk> {
        self.records.values().map(|record| &record.psk)
    }
}
