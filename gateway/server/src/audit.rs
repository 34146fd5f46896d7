//! The audit trail: who did what, when, and what came of it. Rows are only ever added.
//!
//! An entry is made of every command that may change something and either did or was refused, and of every change of the
//! keys that the configuration trusts. The database refuses to alter or remove a row. Whoever can write the file can lift
//! that; therefore each entry also carries a link of a chain:
//!
//! ```text
//! chain(n) = SHA-256( "deltagate.audit/1" ‖ chain(n-1), 32 zero bytes before the first
//!                     ‖ id, 8 bytes ‖ at_unix_s, 8 bytes                          both big-endian
//!                     ‖ clock ‖ who ‖ what ‖ device ‖ detail ‖ outcome )          each: length, 4 bytes big-endian, then UTF-8;
//!                                                                                 an absent device is of length 0
//! ```
//!
//! An entry that was altered, removed or put between others breaks it from there on. What it cannot show is that the newest
//! entries were cut off, or that all of it was written anew: compare its head with one that was kept elsewhere.
//! Entries of databases from before the chain carry none; they can only be the first ones.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::clock::{ClockState, unix_s};

/// One entry about to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When.
    pub at_unix_s: u64,
    /// How far that may be trusted.
    pub clock: ClockState,
    /// Who: a user of this machine, or `gateway.toml`.
    pub who: String,
    /// What was asked, as the command's words: `update-assign`.
    pub what: String,
    /// The one device that it concerns.
    pub device: Option<String>,
    /// With what: `image=3f2a… group=roof`.
    pub detail: String,
    /// What came of it, one clause; what was refused begins with `refused: `.
    pub outcome: String,
}

impl Entry {
    /// An entry of this moment.
    pub fn now(who: &str, what: &str, detail: impl Into<String>, outcome: impl Into<String>) -> Entry {
        Entry {
            at_unix_s: unix_s(),
            clock: ClockState::now(),
            who: who.to_owned(),
            what: what.to_owned(),
            device: None,
            detail: detail.into(),
            outcome: outcome.into(),
        }
    }

    /// Tells the log, too.
    pub fn log(&self) {
        let Entry {
            who,
            what,
            device,
            detail,
            outcome,
            ..
        } = self;
        tracing::info!(who, what, device, detail, outcome, "audit");
    }

    /// As it will be read back under this number.
    pub fn row(&self, id: u64, previous: &Link) -> AuditRow {
        let mut row = AuditRow {
            id,
            at_unix_s: self.at_unix_s,
            clock: self.clock.to_string(),
            who: self.who.clone(),
            what: self.what.clone(),
            device: self.device.clone(),
            detail: self.detail.clone(),
            outcome: self.outcome.clone(),
            chain: None,
        };
        row.chain = Some(previous.next(&row).to_string());
        row
    }
}

/// One entry as it is kept and exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct AuditRow {
    /// Its number, from 1.
    pub id: u64,
    /// When.
    pub at_unix_s: u64,
    /// `synced`, `unknown` or `unset`: how far that may be trusted. Empty in entries from before it was noted.
    pub clock: String,
    /// A user of the gateway's machine, or `gateway.toml`.
    pub who: String,
    /// The command's words: `update-assign`.
    pub what: String,
    /// The one device that it concerns.
    pub device: Option<String>,
    /// With what.
    pub detail: String,
    /// What came of it.
    pub outcome: String,
    /// Its link of the chain, in hex; null in entries from before there was one.
    pub chain: Option<String>,
}

/// A link of the chain.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Link([u8; 32]);

impl Link {
    /// Reads 64 hex digits.
    pub fn parse(text: &str) -> Option<Link> {
        let mut link = [0; 32];
        if text.len() != 64 {
            return None;
        }
        for (byte, digits) in link.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        Some(Link(link))
    }

    /// The link of the entry that follows this one.
    pub fn next(&self, row: &AuditRow) -> Link {
        let mut hash = Sha256::new();
        hash.update(b"deltagate.audit/1");
        hash.update(self.0);
        hash.update(row.id.to_be_bytes());
        hash.update(row.at_unix_s.to_be_bytes());
        let device = row.device.as_deref().unwrap_or("");
        for text in [&row.clock, &row.who, &row.what, device, &row.detail, &row.outcome] {
            // No text is longer than a question, which is some kilobytes.
            hash.update((text.len() as u32).to_be_bytes());
            hash.update(text);
        }
        Link(hash.finalize().into())
    }
}

impl std::fmt::Display for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Follows the chain from the first entry on.
#[derive(Debug, Default)]
pub struct Check {
    head: Option<Link>,
    entries: u64,
    last_id: u64,
}

/// Where the chain does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// This entry is not the one that was written, or one before it is missing.
    #[error("entry {0} is not what was written, or an entry before it is missing")]
    At(u64),
}

impl Check {
    /// Takes the next entry.
    pub fn take(&mut self, row: &AuditRow) -> Result<(), Broken> {
        let broken = Broken::At(row.id);
        if row.id <= self.last_id {
            return Err(broken);
        }
        (self.entries, self.last_id) = (self.entries + 1, row.id);
        let link = match (&row.chain, self.head) {
            // From before there was a chain.
            (None, None) => return Ok(()),
            (None, Some(_)) => return Err(broken),
            (Some(text), _) => Link::parse(text).ok_or_else(|| broken.clone())?,
        };
        if self.head.unwrap_or_default().next(row) != link {
            return Err(broken);
        }
        self.head = Some(link);
        Ok(())
    }

    /// How many entries held, and the newest link.
    pub fn end(&self) -> (u64, Option<Link>) {
        (self.entries, self.head)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: u64) -> Vec<AuditRow> {
        let mut previous = Link::default();
        (1..=count)
            .map(|id| {
                let entry = Entry {
                    device: Some("52540012abcd".to_owned()),
                    ..Entry::now("alice (uid 1000)", "device-claim", "", "done")
                };
                let row = entry.row(id, &previous);
                previous = Link::parse(row.chain.as_ref().unwrap()).unwrap();
                row
            })
            .collect()
    }

    fn check(rows: &[AuditRow]) -> Result<u64, Broken> {
        let mut check = Check::default();
        rows.iter().try_for_each(|row| check.take(row))?;
        Ok(check.end().0)
    }

    #[test]
    fn the_chain_holds_and_breaks_where_it_was_touched() {
        let whole = rows(5);
        assert_eq!(check(&whole), Ok(5));
        let touched = |touch: fn(&mut Vec<AuditRow>)| {
            let mut rows = whole.clone();
            touch(&mut rows);
            check(&rows)
        };
        assert_eq!(touched(|rows| rows[2].who = "bob".to_owned()), Err(Broken::At(3)));
        assert_eq!(touched(|rows| rows[2].device = None), Err(Broken::At(3)));
        assert_eq!(touched(|rows| drop(rows.remove(1))), Err(Broken::At(3)));
        assert_eq!(touched(|rows| drop(rows.remove(0))), Err(Broken::At(2)));
        assert_eq!(touched(|rows| rows[3].chain = None), Err(Broken::At(4)));
        assert_eq!(touched(|rows| rows.swap(0, 1)), Err(Broken::At(2)));
        // What a chain cannot show: its documentation says so.
        assert_eq!(touched(|rows| drop(rows.pop())), Ok(4));
    }

    /// Computed with Python's hashlib from the layout above.
    #[test]
    fn a_link_is_what_its_documentation_says() {
        let row = AuditRow {
            id: 1,
            at_unix_s: 1_793_491_200,
            clock: "synced".to_owned(),
            who: "alice (uid 1000)".to_owned(),
            what: "device-claim".to_owned(),
            device: Some("52540012abcd".to_owned()),
            detail: String::new(),
            outcome: "done".to_owned(),
            chain: None,
        };
        assert_eq!(
            Link::default().next(&row).to_string(),
            "2e0ee234c35513f7b45d1b5b89f3b160f03ad5bf0e9ec2497070ae11542760bd"
        );
    }
}
