//! The database's shape, as the list of steps that lead to it.
//!
//! Append-only: a released step is never edited, a change is one more step. `PRAGMA user_version` counts the steps
//! taken; a database from a newer version is refused, because an older program would drop what it does not know.

use rusqlite::Connection;

use super::StoreError;

/// Step `n` takes a database from version `n` to `n + 1`.
const MIGRATIONS: [&str; 15] = [V1, V2, V3, V4, V5, V6, V7, V8, V9, V10, V11, V12, V13, V14, V15];

/// Brings a database to this program's version, all or nothing.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let found = check(connection)?;
    let transaction = connection.transaction()?;
    for step in &MIGRATIONS[found..] {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", MIGRATIONS.len() as i64)?;
    transaction.commit()?;
    Ok(())
}

/// The version of a database, which must not be newer than this program.
pub(super) fn check(connection: &Connection) -> Result<usize, StoreError> {
    let found: usize = connection.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0))? as usize;
    let known = MIGRATIONS.len();
    if found > known {
        return Err(StoreError::Newer { found, known });
    }
    Ok(found)
}

/// Digests and identifiers are blobs, times are seconds since 1970, traffic is six numbers: datagrams, bytes and
/// microseconds of airtime down, then up. A selector or a build key is one blob (see `key.rs`), because it is only
/// ever compared as a whole.
pub(super) const V1: &str = "
CREATE TABLE image (
    digest BLOB PRIMARY KEY, size INTEGER NOT NULL, vendor BLOB NOT NULL, class BLOB NOT NULL,
    sequence_number INTEGER NOT NULL, version TEXT NOT NULL, description TEXT NOT NULL,
    envelope BLOB NOT NULL, key_id BLOB NOT NULL, imported_unix_s INTEGER NOT NULL
) STRICT;
CREATE TABLE artefact (
    digest BLOB NOT NULL, target BLOB NOT NULL, base BLOB NOT NULL, format INTEGER NOT NULL,
    size INTEGER NOT NULL, decoder_memory INTEGER NOT NULL, built_unix_s INTEGER NOT NULL,
    PRIMARY KEY (digest, target, base)
) STRICT;
CREATE TABLE device (
    id BLOB PRIMARY KEY, claimed INTEGER NOT NULL, class BLOB
) STRICT;
CREATE TABLE report (
    device BLOB PRIMARY KEY, class BLOB NOT NULL, vendor BLOB NOT NULL, running BLOB NOT NULL,
    sequence_number INTEGER NOT NULL, slot_capacity INTEGER NOT NULL, staging INTEGER,
    sector INTEGER NOT NULL, block_szx INTEGER NOT NULL, round_trip_ms INTEGER NOT NULL,
    decoder_memory INTEGER NOT NULL, formats INTEGER NOT NULL, on_trial INTEGER NOT NULL, link TEXT NOT NULL
) STRICT;
CREATE TABLE device_group (name TEXT PRIMARY KEY) STRICT;
CREATE TABLE member (
    group_name TEXT NOT NULL, device BLOB NOT NULL, PRIMARY KEY (group_name, device)
) STRICT;
CREATE TABLE assignment (
    selector BLOB PRIMARY KEY, image BLOB NOT NULL, assigned_unix_s INTEGER NOT NULL
) STRICT;
CREATE TABLE offer (
    path TEXT PRIMARY KEY, device BLOB NOT NULL, artefact BLOB NOT NULL, image BLOB NOT NULL,
    offered_unix_s INTEGER NOT NULL
) STRICT;
CREATE TABLE served (
    path TEXT PRIMARY KEY, served_to INTEGER NOT NULL, first_unix_s INTEGER NOT NULL,
    last_unix_s INTEGER NOT NULL
) STRICT;
CREATE TABLE device_update (
    device BLOB NOT NULL, image BLOB NOT NULL, state INTEGER NOT NULL, path TEXT, outcome INTEGER,
    detail INTEGER, offers INTEGER NOT NULL, changed_unix_s INTEGER NOT NULL, PRIMARY KEY (device, image)
) STRICT;
CREATE TABLE finished_build (build BLOB PRIMARY KEY) STRICT;
CREATE TABLE failed_build (
    build BLOB PRIMARY KEY, reason TEXT NOT NULL, failed_unix_s INTEGER NOT NULL
) STRICT;
CREATE TABLE device_traffic (
    device BLOB PRIMARY KEY, last_seen_unix_s INTEGER NOT NULL,
    down_datagrams INTEGER NOT NULL, down_bytes INTEGER NOT NULL, down_micros INTEGER NOT NULL,
    up_datagrams INTEGER NOT NULL, up_bytes INTEGER NOT NULL, up_micros INTEGER NOT NULL
) STRICT;
CREATE TABLE link_traffic (
    link TEXT PRIMARY KEY,
    down_datagrams INTEGER NOT NULL, down_bytes INTEGER NOT NULL, down_micros INTEGER NOT NULL,
    up_datagrams INTEGER NOT NULL, up_bytes INTEGER NOT NULL, up_micros INTEGER NOT NULL,
    un_down_datagrams INTEGER NOT NULL, un_down_bytes INTEGER NOT NULL, un_down_micros INTEGER NOT NULL,
    un_up_datagrams INTEGER NOT NULL, un_up_bytes INTEGER NOT NULL, un_up_micros INTEGER NOT NULL,
    deferred INTEGER NOT NULL, paced INTEGER NOT NULL, dropped INTEGER NOT NULL, repeated INTEGER NOT NULL
) STRICT;
CREATE TABLE audit (
    id INTEGER PRIMARY KEY AUTOINCREMENT, at_unix_s INTEGER NOT NULL, what TEXT NOT NULL, detail TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_append_only_1 BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE TRIGGER audit_is_append_only_2 BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'append-only'); END;
";

/// How urgent an assignment is, and what a device says of an update that it puts off.
const V2: &str = "
ALTER TABLE assignment ADD COLUMN severity INTEGER NOT NULL DEFAULT 1;
ALTER TABLE assignment ADD COLUMN defer_s_max INTEGER;
ALTER TABLE report ADD COLUMN deferral_stage INTEGER;
ALTER TABLE report ADD COLUMN deferral_reason INTEGER;
ALTER TABLE report ADD COLUMN deferral_s INTEGER;
";

/// The reach of patches that are applied in place, and of what a device with a single slot has room for.
const V3: &str = "
ALTER TABLE artefact ADD COLUMN in_place INTEGER;
ALTER TABLE report ADD COLUMN in_place INTEGER;
";

/// What people call devices.
const V4: &str = "
CREATE TABLE device_label (device BLOB PRIMARY KEY, label TEXT NOT NULL) STRICT;
";

/// Whether updates are paused: at most one row, that says since when.
const V5: &str = "
CREATE TABLE paused (id INTEGER PRIMARY KEY CHECK (id = 0), since_unix_s INTEGER NOT NULL) STRICT;
";

/// Who did it, what came of it, and the chain that shows whether the trail was touched. `INSERT OR REPLACE` removes a row
/// without asking the trigger for DELETE.
const V6: &str = "
ALTER TABLE audit ADD COLUMN clock TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN who TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN device TEXT;
ALTER TABLE audit ADD COLUMN outcome TEXT NOT NULL DEFAULT '';
ALTER TABLE audit ADD COLUMN chain TEXT;
CREATE TRIGGER audit_is_append_only_3 BEFORE INSERT ON audit
WHEN EXISTS (SELECT 1 FROM audit WHERE id = NEW.id) BEGIN SELECT RAISE(ABORT, 'append-only'); END;
CREATE INDEX audit_trust ON audit (id) WHERE what IN ('trust-add', 'trust-remove');
";

/// What an image may follow. Whoever wrote an older database refused the manifests that say so.
const V7: &str = "
ALTER TABLE image ADD COLUMN predecessor_min INTEGER NOT NULL DEFAULT 0;
";

/// Images that are kept whatever happens.
const V8: &str = "
CREATE TABLE pin (image BLOB PRIMARY KEY) STRICT;
";

/// Who holds which key, what is printed on devices, which are retired: see `identity.rs`. Secrets are sealed.
const V9: &str = "
CREATE TABLE sealing (id INTEGER PRIMARY KEY CHECK (id = 0), probe BLOB NOT NULL) STRICT;
CREATE TABLE credential (
    kid BLOB PRIMARY KEY, device BLOB NOT NULL, phase INTEGER NOT NULL, until_unix_s INTEGER,
    enrolled_unix_s INTEGER NOT NULL, sealed BLOB NOT NULL
) STRICT;
CREATE TABLE device_name (
    device BLOB NOT NULL, kind INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (device, kind)
) STRICT;
CREATE TABLE retired (device BLOB PRIMARY KEY, at_unix_s INTEGER NOT NULL, successor BLOB) STRICT;
";

/// Of each key the numbers that may have been used under it, and since when a device proves that it has it.
const V10: &str = "
CREATE TABLE key_state (kid BLOB PRIMARY KEY, reserved INTEGER NOT NULL, used_unix_s INTEGER) STRICT;
";

/// Keys of DTLS: see `psk.rs`. Secrets are sealed.
const V11: &str = "
CREATE TABLE psk (
    identity BLOB PRIMARY KEY, device BLOB NOT NULL, phase INTEGER NOT NULL, until_unix_s INTEGER,
    enrolled_unix_s INTEGER NOT NULL, used_unix_s INTEGER, sealed BLOB NOT NULL
) STRICT;
";

/// Public keys of devices, and the one key of the gateway itself. Both are sealed: see `identity.rs`.
const V12: &str = "
CREATE TABLE public_key (device BLOB PRIMARY KEY, sealed BLOB NOT NULL) STRICT;
CREATE TABLE own_key (id INTEGER PRIMARY KEY CHECK (id = 0), sealed BLOB NOT NULL) STRICT;
";

/// The ID Context of keys that a device made anew, 16 bytes: it takes the place of the credentials' own.
const V13: &str = "
ALTER TABLE key_state ADD COLUMN renewed BLOB;
";

/// What publishers state to be the latest of a class, see `statement.rs`; and what a device says of that: 4 times the number of the
/// statement it heard, 2 if it is behind, 1 if that is stale.
const V14: &str = "
CREATE TABLE statement (
    vendor BLOB NOT NULL, class BLOB NOT NULL, signed BLOB NOT NULL, key_id BLOB NOT NULL,
    imported_unix_s INTEGER NOT NULL, PRIMARY KEY (vendor, class)
) STRICT;
ALTER TABLE report ADD COLUMN freshness INTEGER;
";

/// Sets of trust anchors, a class of no bytes for every class; and which one a device has.
const V15: &str = "
CREATE TABLE anchors (
    class BLOB NOT NULL, number INTEGER NOT NULL, envelope BLOB NOT NULL, imported_unix_s INTEGER NOT NULL,
    PRIMARY KEY (class, number)
) STRICT;
ALTER TABLE report ADD COLUMN anchors INTEGER;
ALTER TABLE report ADD COLUMN anchors_waiting INTEGER;
";
