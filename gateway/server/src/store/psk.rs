//! Rows of who holds which key of DTLS. A key is sealed here, on its way to the disk, and opened here, on its way back.
//!
//! ```text
//! psk.identity   what a handshake names the key by, 1 to 64 bytes
//! psk.sealed     the key, 16 to 32 bytes, sealed (crate::sealing) for its row:
//!                "deltagate.psk/1" ‖ identity: length 1, bytes ‖ device: length 1, bytes
//!                ‖ phase 1 ‖ until_unix_s 8 ‖ enrolled_unix_s 8 ‖ is used 1 ‖ used_unix_s 8                big-endian
//! psk.phase      as credential.phase
//! ```

use gateway_core::{IdentityChange, Psk, PskIdentity, PskKey, PskRecord};
use rusqlite::{Connection, params};

use super::StoreError;
use super::identity::{phase, phase_columns};
use super::load::{device_id, number, sound};
use crate::sealing::{SealingError, SealingKey};

/// Writes one row.
pub(super) fn write(connection: &Connection, key: &SealingKey, record: &PskRecord) -> Result<(), StoreError> {
    let (phase, until) = phase_columns(record.phase);
    let sealed = key.seal(&row_name(record), record.psk.key.expose())?;
    connection
        .prepare_cached("INSERT OR REPLACE INTO psk VALUES (?, ?, ?, ?, ?, ?, ?)")?
        .execute(params![
            record.psk.identity.as_bytes(),
            record.device.as_bytes(),
            phase,
            until.map(u64::cast_signed),
            record.enrolled_unix_s.cast_signed(),
            record.used_unix_s.map(u64::cast_signed),
            sealed
        ])?;
    Ok(())
}

/// Every row.
pub(super) fn load(connection: &Connection, key: &SealingKey) -> Result<Vec<IdentityChange>, StoreError> {
    let mut statement = connection.prepare(
        "SELECT identity, device, phase, until_unix_s, enrolled_unix_s, used_unix_s, sealed FROM psk",
    )?;
    let mut rows = statement.query([])?;
    let mut all = Vec::new();
    while let Some(row) = rows.next()? {
        let identity = sound(0, PskIdentity::new(&row.get::<_, Vec<u8>>(0)?))?;
        let until = row.get::<_, Option<i64>>(3)?.map(i64::cast_unsigned);
        // Nobody's key, until what names the row has opened it.
        let blank = PskKey::new(&[0; gateway_core::PSK_BYTES_MIN]).expect("it is long enough");
        let record = PskRecord {
            device: device_id(row, 1)?,
            psk: Psk { identity, key: blank },
            phase: sound(2, phase(row.get(2)?, until))?,
            enrolled_unix_s: number(row, 4)?,
            used_unix_s: row.get::<_, Option<i64>>(5)?.map(i64::cast_unsigned),
        };
        let opened = key.open(&row_name(&record), &row.get::<_, Vec<u8>>(6)?);
        let Some(key) = opened.and_then(|bytes| PskKey::new(&bytes)) else {
            let what = format!("device {}", record.device);
            return Err(SealingError::Altered { what }.into());
        };
        let psk = Psk { identity, key };
        all.push(IdentityChange::Psk(PskRecord { psk, ..record }));
    }
    Ok(all)
}

/// What a key is sealed for: all of its row.
fn row_name(record: &PskRecord) -> Vec<u8> {
    let (phase, until) = phase_columns(record.phase);
    let mut name = b"deltagate.psk/1".to_vec();
    for part in [record.psk.identity.as_bytes(), record.device.as_bytes()] {
        // At most 64.
        name.push(part.len() as u8);
        name.extend(part);
    }
    name.push(phase);
    name.extend(until.unwrap_or_default().to_be_bytes());
    name.extend(record.enrolled_unix_s.to_be_bytes());
    name.push(u8::from(record.used_unix_s.is_some()));
    name.extend(record.used_unix_s.unwrap_or_default().to_be_bytes());
    name
}
