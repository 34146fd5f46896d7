//! Rows of who holds which key. A secret is sealed here, on its way to the disk, and opened here, on its way back.
//!
//! ```text
//! credential.sealed   the credentials record (docs/identity.md), sealed (crate::sealing) for its row:
//!                     "deltagate.credential/1" ‖ kid: length 1, bytes ‖ device: length 1, bytes
//!                     ‖ phase 1 ‖ until_unix_s 8 ‖ enrolled_unix_s 8                                   big-endian
//! credential.phase    0 current, 1 leaving (until_unix_s says when), 2 next
//! public_key.sealed   the x-coordinate, 32 bytes, sealed for "deltagate.public-key/1" ‖ device; no secret, but nobody's to alter
//! own_key.sealed      the gateway's private key, 32 bytes, sealed for "deltagate.own-key/1"
//! sealing.probe       nothing, sealed for "deltagate.sealing/1": tells whether a key is the right one
//! device_name.kind    1 EUI, 2 IMEI, 3 serial number
//! ```

use std::path::Path;

use gateway_core::{
    Change, CredentialRecord, Credentials, DeviceName, IdentityChange, KeyState, Kid, NameKind, Phase,
    PrivateKey, PublicKey, Retirement,
};
use rusqlite::{Connection, OptionalExtension, params};
use wire_checkin::DeviceId;
use zeroize::Zeroizing;

use super::load::{device_id, number, sound};
use super::{StoreError, psk};
use crate::sealing::{SealingError, SealingKey};

/// Finds the key, or makes one when nothing is sealed yet, and sees that it is the one that was used.
pub(super) fn sealing_key(
    connection: &Connection,
    state_dir: &Path,
    credentials: Option<&Path>,
) -> Result<SealingKey, StoreError> {
    let sealed: i64 = connection.query_row(SEALED_ROWS, [], |row| row.get(0))?;
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
        // Nobody was enrolled under the gateway's own key either: it is made anew.
        connection.execute("DELETE FROM own_key", [])?;
    }
    make_own_key(connection, &key)?;
    Ok(key)
}

const SEALED_ROWS: &str = "SELECT (SELECT count(*) FROM credential) + (SELECT count(*) FROM psk)
     + (SELECT count(*) FROM public_key)";

/// Draws the gateway's own key, once.
fn make_own_key(connection: &Connection, key: &SealingKey) -> Result<(), StoreError> {
    let made: i64 = connection.query_row("SELECT count(*) FROM own_key", [], |row| row.get(0))?;
    if made > 0 {
        return Ok(());
    }
    let mut seed = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *seed).map_err(|_| SealingError::Random)?;
    let own = PrivateKey::of_seed(&seed).map_err(|_| SealingError::Random)?;
    let sealed = key.seal(OWN_KEY, own.expose())?;
    connection.execute("INSERT INTO own_key VALUES (0, ?)", [sealed])?;
    Ok(())
}

const OWN_KEY: &[u8] = b"deltagate.own-key/1";

/// What a device's public key is sealed for.
fn public_key_name(device: DeviceId) -> Vec<u8> {
    [b"deltagate.public-key/1", device.as_bytes()].concat()
}

/// The gateway's own key, and those of devices.
fn load_keys(connection: &Connection, key: &SealingKey) -> Result<Vec<IdentityChange>, StoreError> {
    let mut all = Vec::new();
    let altered = |what: String| StoreError::from(SealingError::Altered { what });
    let sealed: Vec<u8> = connection.query_row("SELECT sealed FROM own_key", [], |row| row.get(0))?;
    let own = key.open(OWN_KEY, &sealed);
    let own = own.and_then(|own| PrivateKey::new(own.first_chunk()?).ok());
    all.push(IdentityChange::OwnKey(
        own.ok_or_else(|| altered("the gateway itself".to_owned()))?,
    ));
    let mut statement = connection.prepare("SELECT device, sealed FROM public_key")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let device = device_id(row, 0)?;
        let opened = key.open(&public_key_name(device), &row.get::<_, Vec<u8>>(1)?);
        let public = opened.and_then(|x| PublicKey::read(&x).ok());
        let public = public.ok_or_else(|| altered(format!("device {device}")))?;
        all.push(IdentityChange::PublicKey(device, public));
    }
    Ok(all)
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
            run(
                "UPDATE key_state SET renewed = NULL WHERE kid = ?",
                params![kid.as_bytes()],
            )?;
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
        IdentityChange::KeyState(kid, state) => run(
            "INSERT OR REPLACE INTO key_state VALUES (?, ?, ?, ?)",
            params![
                kid.as_bytes(),
                state.reserved.cast_signed(),
                state.used_unix_s.map(u64::cast_signed),
                state.renewed
            ],
        ),
        IdentityChange::PublicKey(device, public) => {
            let sealed = key.seal(&public_key_name(*device), public.as_bytes())?;
            run(
                "INSERT OR REPLACE INTO public_key VALUES (?, ?)",
                params![device.as_bytes(), sealed],
            )
        }
        IdentityChange::PublicKeyRemoved(device) => run(
            "DELETE FROM public_key WHERE device = ?",
            params![device.as_bytes()],
        ),
        IdentityChange::OwnKey(own) => {
            let sealed = key.seal(OWN_KEY, own.expose())?;
            run("INSERT OR REPLACE INTO own_key VALUES (0, ?)", params![sealed])
        }
        IdentityChange::Unretired(device) => {
            run("DELETE FROM retired WHERE device = ?", params![device.as_bytes()])
        }
        IdentityChange::Psk(record) => psk::write(connection, key, record),
        IdentityChange::PskDestroyed(identity) => {
            run("DELETE FROM psk WHERE identity = ?", params![identity.as_bytes()])
        }
    }
}

/// Whether what a change removes must not be readable afterwards.
pub(super) fn destroys(change: &Change) -> bool {
    matches!(
        change,
        Change::Identity(IdentityChange::Destroyed(_) | IdentityChange::PskDestroyed(_))
    )
}

/// Every row.
pub(super) fn load(connection: &Connection, key: &SealingKey) -> Result<Vec<Change>, StoreError> {
    let mut all = load_keys(connection, key)?;
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
    let mut statement = connection.prepare("SELECT kid, reserved, used_unix_s, renewed FROM key_state")?;
    let states = statement.query_map([], |row| {
        let kid = sound(0, Kid::new(&row.get::<_, Vec<u8>>(0)?))?;
        let state = KeyState {
            reserved: number(row, 1)?,
            used_unix_s: row.get::<_, Option<i64>>(2)?.map(i64::cast_unsigned),
            renewed: row.get(3)?,
        };
        Ok(IdentityChange::KeyState(kid, state))
    })?;
    for row in states {
        all.push(row?);
    }
    all.extend(psk::load(connection, key)?);
    Ok(all.into_iter().map(Change::Identity).collect())
}

pub(super) fn phase_columns(phase: Phase) -> (u8, Option<u64>) {
    match phase {
        Phase::Current => (0, None),
        Phase::Leaving { until_unix_s } => (1, Some(until_unix_s)),
        Phase::Next => (2, None),
    }
}

pub(super) fn phase(code: u8, until: Option<u64>) -> Option<Phase> {
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
