//! Whose images may come in: the set of trust anchors in force for a class, and where there is none what the configuration says,
//! against what the audit trail says it was.

use std::sync::{PoisonError, RwLock};

use gateway_core::{AnchorsRecord, ClassId};
use wire_manifest::{Anchor, Roles, TrustAnchors};

use crate::audit::Entry;

/// Who changes the trusted keys: whoever edits this file.
const CONFIGURATION: &str = "gateway.toml";

/// Keys of the configuration, and the sets that took their place. What the core decides from, for those who verify beside it.
#[derive(Debug)]
pub struct Trust {
    configured: Vec<Anchor>,
    sets: RwLock<Vec<AnchorsRecord>>,
}

/// Whose releases of a class count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trusted {
    /// The keys.
    pub keys: Vec<Anchor>,
    /// How many of them have to sign.
    pub least: u8,
    /// The set that says so; `None`: the configuration does.
    pub set: Option<u16>,
    /// The highest sequence number.
    pub sequence_max: u32,
}

impl Trusted {
    /// What verifies a release.
    pub fn verifier(&self) -> TrustAnchors<'_> {
        TrustAnchors::at_least(self.least, &self.keys)
    }
}

impl Trust {
    /// Keys that are configured, and sets that are kept.
    pub fn new(configured: Vec<Anchor>, sets: Vec<AnchorsRecord>) -> Trust {
        Trust {
            configured,
            sets: RwLock::new(sets),
        }
    }

    /// Takes a set that the core has taken.
    pub fn add(&self, set: AnchorsRecord) {
        let mut sets = self.sets.write().unwrap_or_else(PoisonError::into_inner);
        sets.push(set);
    }

    /// For a class; `None` when nobody knows yet which: what the configuration says.
    pub fn of(&self, class: Option<ClassId>) -> Trusted {
        let sets = self.sets.read().unwrap_or_else(PoisonError::into_inner);
        let is_for = |set: &&AnchorsRecord| class.is_some() && (set.class.is_none() || set.class == class);
        match sets.iter().filter(is_for).max_by_key(|set| set.number) {
            Some(set) => {
                let content = set.content();
                let keys = content.keys.iter().filter(|(roles, _)| roles.has(Roles::RELEASE));
                Trusted {
                    keys: keys.map(|(_, key)| Anchor { key: *key }).collect(),
                    least: content.release_min,
                    set: Some(set.number),
                    sequence_max: content.sequence_max,
                }
            }
            None => Trusted {
                keys: self.configured.clone(),
                least: 1,
                set: None,
                sequence_max: u32::MAX,
            },
        }
    }
}

/// Entries that bring a trail which names `known` keys up to `anchors`.
pub fn changes(known: &[String], anchors: &[Anchor]) -> Vec<Entry> {
    let keys: Vec<String> = anchors.iter().map(key_text).collect();
    let entry = |what, key: &String, outcome| Entry::now(CONFIGURATION, what, key, outcome);
    let added = keys.iter().filter(|key| !known.contains(key));
    let added = added.map(|key| entry("trust-add", key, "images that it signed may be imported"));
    let removed = known.iter().filter(|key| !keys.contains(key));
    let removed =
        removed.map(|key| entry("trust-remove", key, "images that it signed are refused at import"));
    added.chain(removed).collect()
}

/// As `image list` shows who signed.
fn key_text(anchor: &Anchor) -> String {
    let key = anchor.key_id();
    key.0.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_written() {
        let anchors = [Anchor { key: [1; 32] }, Anchor { key: [2; 32] }];
        let keys: Vec<String> = anchors.iter().map(key_text).collect();
        assert_eq!(changes(&keys, &anchors), []);
        let told: Vec<_> = changes(&[keys[0].clone(), "ab".to_owned()], &anchors)
            .into_iter()
            .map(|entry| (entry.what, entry.detail))
            .collect();
        let told_of = |what: &str, key: &str| (what.to_owned(), key.to_owned());
        assert_eq!(
            told,
            [told_of("trust-add", &keys[1]), told_of("trust-remove", "ab")]
        );
    }
}
