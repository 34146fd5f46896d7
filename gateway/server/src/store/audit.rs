//! The audit trail's rows.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::StoreError;
use crate::audit::{AuditRow, Entry, Link};

/// Entries in one answer: at most 4 MiB of them, were each as long as a question.
pub const AUDIT_PAGE_MAX: usize = 1_000;

/// Which entries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// Of these seconds and later.
    pub since_unix_s: u64,
    /// That concern this device.
    pub device: Option<String>,
    /// With a higher number.
    pub after: u64,
}

/// Appends an entry inside the caller's transaction.
pub(super) fn append(connection: &Connection, entry: &Entry) -> rusqlite::Result<()> {
    let newest = connection
        .prepare_cached("SELECT id, chain FROM audit ORDER BY id DESC LIMIT 1")?
        .query_row([], |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, Option<String>>(1)?))
        })
        .optional()?;
    let (last, chain) = newest.unwrap_or_default();
    let previous = chain.as_deref().and_then(Link::parse).unwrap_or_default();
    let id = last + 1;
    let row = entry.row(id.unsigned_abs(), &previous);
    connection
        .prepare_cached("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            id,
            row.at_unix_s as i64,
            row.what,
            row.detail,
            row.clock,
            row.who,
            row.device,
            row.outcome,
            row.chain
        ])?;
    Ok(())
}

/// Reads a page of entries, oldest first, through a connection of its own that cannot write.
pub fn read_audit(path: &Path, query: &AuditQuery) -> Result<Vec<AuditRow>, StoreError> {
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let mut statement = connection.prepare(
        "SELECT id, at_unix_s, what, detail, clock, who, device, outcome, chain FROM audit
         WHERE id > ?1 AND at_unix_s >= ?2 AND (?3 IS NULL OR device = ?3) ORDER BY id LIMIT ?4",
    )?;
    let AuditQuery {
        since_unix_s,
        device,
        after,
    } = query;
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let limits = params![
        signed(*after),
        signed(*since_unix_s),
        device,
        AUDIT_PAGE_MAX as i64
    ];
    let rows = statement.query_map(limits, |row| {
        Ok(AuditRow {
            id: row.get::<_, i64>(0)?.unsigned_abs(),
            at_unix_s: row.get::<_, i64>(1)?.unsigned_abs(),
            what: row.get(2)?,
            detail: row.get(3)?,
            clock: row.get(4)?,
            who: row.get(5)?,
            device: row.get(6)?,
            outcome: row.get(7)?,
            chain: row.get(8)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The keys that the trail says are trusted: what was added and not removed since.
pub(super) fn trusted_keys(connection: &Connection) -> Result<Vec<String>, StoreError> {
    let mut statement = connection
        .prepare("SELECT what, detail FROM audit WHERE what IN ('trust-add', 'trust-remove') ORDER BY id")?;
    let steps = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut keys: Vec<String> = Vec::new();
    for step in steps {
        let (what, key) = step?;
        keys.retain(|known| *known != key);
        if what == "trust-add" {
            keys.push(key);
        }
    }
    Ok(keys)
}
