//! What dimpl asks for in the middle of a handshake: the key of an identity.

use std::collections::BTreeMap;
use std::sync::Mutex;

use gateway_core::{Psk, PskIdentity, PskKey, PskProof};

/// The keys that count. dimpl wants to share them, therefore the locks; one thread at a time is here.
#[derive(Default)]
pub(super) struct Keys {
    keys: Mutex<BTreeMap<PskIdentity, PskKey>>,
    asked: Mutex<Option<PskProof>>,
}

impl Keys {
    pub(super) fn set<'a>(&self, psks: impl Iterator<Item = &'a Psk>) {
        *lock(&self.keys) = psks.map(|psk| (psk.identity, psk.key.clone())).collect();
    }

    pub(super) fn counts(&self, proof: &PskProof) -> bool {
        self.find(proof.identity).is_some_and(|psk| psk.proof() == *proof)
    }

    /// Which key was asked for since this was last called.
    pub(super) fn take_asked(&self) -> Option<PskProof> {
        lock(&self.asked).take()
    }

    fn find(&self, identity: PskIdentity) -> Option<Psk> {
        let key = lock(&self.keys).get(&identity).cloned()?;
        Some(Psk { identity, key })
    }
}

impl dimpl::PskResolver for Keys {
    /// `None` makes dimpl go on under a random key, so that the handshake ends as it does under a wrong one.
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        let psk = self.find(PskIdentity::new(identity)?)?;
        *lock(&self.asked) = Some(psk.proof());
        Some(psk.key.expose().to_vec())
    }
}

/// What is in there is whole whenever a lock is let go.
fn lock<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
