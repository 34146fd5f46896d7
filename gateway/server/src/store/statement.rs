//! Rows of what publishers state to be the latest of a class.
//!
//! ```text
//! statement.vendor, .class   UUIDs, the key
//! statement.signed           80 bytes, as they go on the air: docs/freeze.md
//! statement.key_id           8 bytes, who signed it
//! ```

use gateway_core::{Change, ClassId, StatementRecord, VendorId};
use rusqlite::{Connection, Row, params};
use wire_manifest::SignedLatest;

use super::load::{number, sound};

/// Writes one row.
pub(super) fn write(connection: &Connection, statement: &StatementRecord) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT OR REPLACE INTO statement VALUES (?, ?, ?, ?, ?)")?
        .execute(params![
            statement.vendor.0,
            statement.class.0,
            statement.signed.encode(),
            statement.key_id,
            statement.imported_unix_s.cast_signed()
        ])?;
    Ok(())
}

/// One row read back.
pub(super) fn load(row: &Row<'_>) -> rusqlite::Result<Change> {
    let signed = SignedLatest::decode(&row.get::<_, Vec<u8>>(2)?);
    Ok(Change::Statement(StatementRecord {
        vendor: VendorId(row.get(0)?),
        class: ClassId(row.get(1)?),
        signed: sound(2, signed)?,
        key_id: row.get(3)?,
        imported_unix_s: number(row, 4)?,
    }))
}
