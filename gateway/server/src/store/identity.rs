//! Rows of who holds which key. A secret is sealed here, on its way to the disk, and opened here, on its way back.
//!
//! ```text
//! credential.sealed   the credentials record (docs/identity.md), sealed (crate::sealing) for its row:
//!                     "deltagate.credential/1" ‖ kid: length 1, bytes ‖ device: length 1, bytes
//!                     ‖ phase 1 ‖ until_unix_s 8 ‖ enrolled_unix_s 8                                   big-endian
//! credential.phase    0 current, 1 leaving (until_unix_s says when), 2 next
//! sealing.probe       nothing, sealed for "deltagate.sealing/1": tells whether a key is the right one
//! device_name.kind    1 EUI, 2 IMEI, 3 serial number
//! ```

use std::path::Path;

use gateway_core::{
    Change, CredentialRecord, Credentials, DeviceName, IdentityChange, Kid, NameKind, Phase, Retirement,
};
use rusqlite::{Connection, OptionalExtension, params};
use wire_checkin::DeviceId;

use super::StoreError;
use super::load::{device_id, number, sound};
use crate::sealing::{SealingError, SealingKey};

/// Finds the key, or makes one when nothing is sealed yet, and sees that it is the one that was used.
pub(super) fn sealing_key(
    connection: &Connection,
    state_dir: &Path,
    credentials: Option<&Path>,
) -> Result<SealingKey, StoreError> {
    let sealed: i64 = connection.query_row("SELECT count(*) FROM credential", [], |row| row.get(0))?;
    let sealed = usize::try_from(sealed).unwrap_or_default();
    let probe: Option<Vec<u8>> = connection
        .query_row("SELECT probe FROM sealing", [], |row| row.get(0))
        .optional()?;
    let key = match SealingKey::find(state_dir, credentials)? {
        Some(key) => key,
        None if sealed == 0 => SealingKey::create(state_dir)?,
        None => {
            let path = SealingKey::path_in(state_dir);
            return Err(SealingError::Lost { path, sealed }.into());
        }
    };
    let fits = probe.is_some_and(|probe| key.open(PROBE, &probe).is_some());
    if !fits && sealed > 0 {
        let path = key.path().to_owned();
        return Err(SealingError::Wrong { path, sealed }.into());
    }
    if !fits {
        let probe = key.seal(PROBE, &[])?;
        connection.execute("INSERT OR REPLACE INTO sealing VALUES (0, ?)", [probe])?;
    }
    Ok(key)
}

const PROBE: &[u8] = b"deltagate.sealing/1";

/// Writes one change inside the caller's transaction.
pub(super) fn apply(
    connection: &Connection,
    key: &SealingKey,
    change: &IdentityChange,
) -> Result<(), StoreError> {
    let run = |sql: &str, values: &[&dyn rusqlite::ToSql]| -> Result<(), StoreError> {
        connection.prepare_cached(sql)?.execute(values)?;
        Ok(())
    };
    match change {
        IdentityChange::Credentials(record) => {
            let (phase, until) = phase_columns(record.phase);
            let sealed = key.seal(&row_name(record), &record.credentials.encode())?;
            run(
                "INSERT OR REPLACE INTO credential VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    record.credentials.kid.as_bytes(),
                    record.device.as_bytes(),
                    phase,
                    until.map(u64::cast_signed),
                    record.enrolled_unix_s.cast_signed(),
                    sealed
                ],
            )
        }
        IdentityChange::Destroyed(kid) => {
            run("DELETE FROM credential WHERE kid = ?", params![kid.as_bytes()])
        }
        IdentityChange::Named(device, name) => run(
            "INSERT OR REPLACE INTO device_name VALUES (?, ?, ?)",
            params![device.as_bytes(), name.kind().code(), name.as_str()],
        ),
        IdentityChange::Unnamed(device, kind) => run(
            "DELETE FROM device_name WHERE device = ? AND kind = ?",
            params![device.as_bytes(), kind.code()],
        ),
        IdentityChange::Retired(device, retirement) => run(
            "INSERT OR REPLACE INTO retired VALUES (?, ?, ?)",
            params![
                device.as_bytes(),
                retirement.at_unix_s.cast_signed(),
                retirement.successor.as_ref().map(DeviceId::as_bytes)
            ],
        ),
        IdentityChange::Unretired(device) => {
            run("DELETE FROM retired WHERE device = ?", params![device.as_bytes()])
        }
    }
}

/// Whether what a change removes must not be readable afterwards.
pub(super) fn destroys(change: &Change) -> bool {
    matches!(change, Change::Identity(IdentityChange::Destroyed(_)))
}

/// Every row.
pub(super) fn load(connection: &Connection, key: &SealingKey) -> Result<Vec<Change>, StoreError> {
    let mut all = Vec::new();
    let mut statement = connection
        .prepare("SELECT kid, device, phase, until_unix_s, enrolled_unix_s, sealed FROM credential")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let kid = sound(0, Kid::new(&row.get::<_, Vec<u8>>(0)?))?;
        let until = row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned);
        let phase = sound(2, phase(row.get(2)?, until))?;
        let (device, enrolled_unix_s) = (device_id(row, 1)?, number(row, 4)?);
        let name = row_name_of(kid, device, phase, enrolled_unix_s);
        let opened = key.open(&name, &row.get::<_, Vec<u8>>(5)?);
        let credentials = opened.and_then(|record| Credentials::decode(&record).ok());
        let credentials = credentials.filter(|credentials| credentials.kid == kid);
        let Some(credentials) = credentials else {
            let what = format!("device {device}");
            return Err(SealingError::Altered { what }.into());
        };
        all.push(IdentityChange::Credentials(CredentialRecord {
            device,
            credentials,
            phase,
            enrolled_unix_s,
        }));
    }
    let mut statement = connection.prepare("SELECT device, kind, name FROM device_name")?;
    let names = statement.query_map([], |row| {
        let kind = sound(1, NameKind::from_code(row.get(1)?))?;
        let name = sound(2, DeviceName::new(kind, &row.get::<_, String>(2)?))?;
        Ok(IdentityChange::Named(device_id(row, 0)?, name))
    })?;
    for name in names {
        all.push(name?);
    }
    let mut statement = connection.prepare("SELECT device, at_unix_s, successor FROM retired")?;
    let retired = statement.query_map([], |row| {
        let successor = match row.get::<_, Option<Vec<u8>>>(2)? {
            Some(_) => Some(device_id(row, 2)?),
            None => None,
        };
        let at_unix_s = number(row, 1)?;
        Ok(IdentityChange::Retired(
            device_id(row, 0)?,
            Retirement { at_unix_s, successor },
        ))
    })?;
    for row in retired {
        all.push(row?);
    }
    Ok(all.into_iter().map(Change::Identity).collect())
}

fn phase_columns(phase: Phase) -> (u8, Option<u64>) {
    match phase {
        Phase::Current => (0, None),
        Phase::Leaving { until_unix_s } => (1, Some(until_unix_s)),
        Phase::Next => (2, None),
    }
}

fn phase(code: u8, until: Option<u64>) -> Option<Phase> {
    match (code, until) {
        (0, None) => Some(Phase::Current),
        (1, Some(until_unix_s)) => Some(Phase::Leaving { until_unix_s }),
        (2, None) => Some(Phase::Next),
        _ => None,
    }
}

fn row_name(record: &CredentialRecord) -> Vec<u8> {
    row_name_of(
        record.credentials.kid,
        record.device,
        record.phase,
        record.enrolled_unix_s,
    )
}

/// What a secret is sealed for: all of its row.
fn row_name_of(kid: Kid, device: DeviceId, phase: Phase, enrolled_unix_s: u64) -> Vec<u8> {
    let (phase, until) = phase_columns(phase);
    let mut name = b"deltagate.credential/1".to_vec();
    for part in [kid.as_bytes(), device.as_bytes()] {
        // At most 16.
        name.push(part.len() as u8);
        name.extend(part);
    }
    name.push(phase);
    name.extend(until.unwrap_or_default().to_be_bytes());
    name.extend(enrolled_unix_s.to_be_bytes());
    name
}
