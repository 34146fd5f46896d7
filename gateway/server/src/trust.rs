//! Whose images may come in: what the configuration says now, against what the audit trail says it was.

use wire_manifest::Anchor;

use crate::audit::Entry;

/// Who changes the trusted keys: whoever edits this file.
const CONFIGURATION: &str = "gateway.toml";

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
