//! From rows back to [`Change`]s. A row that does not read back is an error: the database is damaged, and guessing
//! would withhold or offer the wrong thing.

use gateway_core::{
    AirTime, AnchorsRecord, ArtefactDigest, ArtefactRecord, Assignment, Bytes, Change, ClassId, Counters,
    DeviceRecord, DeviceReport, GroupName, ImageDigest, ImageRecord, Label, LinkEvents, LinkName, Offer,
    OfferPath, Progress, Terms, Traffic, UpdateRecord, UpdateState, VendorId,
};
use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use wire_checkin::{
    Deferral, DeferralReason, DeferralStage, DeviceId, DigestPrefix, Format, Formats, Freshness, Outcome,
    Severity,
};

use super::key::{build_key, selector};

/// Every row, in an order in which each can be replayed: what others refer to comes first.
pub(super) fn load_all(connection: &Connection) -> rusqlite::Result<Vec<Change>> {
    let mut all = Vec::new();
    let mut read = |sql: &str, from: fn(&Row<'_>) -> rusqlite::Result<Change>| -> rusqlite::Result<()> {
        let mut statement = connection.prepare(sql)?;
        for change in statement.query_map([], from)? {
            all.push(change?);
        }
        Ok(())
    };
    // First, so that each image is judged once.
    read("SELECT * FROM anchors", anchors)?;
    read("SELECT * FROM image ORDER BY imported_unix_s, digest", image)?;
    read("SELECT image FROM pin", |row| {
        Ok(Change::Pinned(ImageDigest(row.get(0)?)))
    })?;
    read("SELECT * FROM statement", super::statement::load)?;
    read("SELECT * FROM artefact", artefact)?;
    read(
        "SELECT device.id, device.claimed, device.class, report.* FROM device LEFT JOIN report ON report.device = id",
        device,
    )?;
    read("SELECT device, label FROM device_label", |row| {
        let label = Label::new(&row.get::<_, String>(1)?);
        Ok(Change::Labelled(device_id(row, 0)?, sound(1, label)?))
    })?;
    read("SELECT name FROM device_group", |row| {
        Ok(Change::GroupCreated(group(row, 0)?))
    })?;
    read("SELECT * FROM member", |row| {
        Ok(Change::MemberAdded(group(row, 0)?, device_id(row, 1)?))
    })?;
    read("SELECT * FROM assignment", assignment)?;
    read("SELECT since_unix_s FROM paused", |row| {
        Ok(Change::Paused(number(row, 0)?))
    })?;
    read("SELECT * FROM offer", offer)?;
    read("SELECT * FROM served", served)?;
    read("SELECT * FROM device_update", update)?;
    read("SELECT * FROM finished_build", |row| {
        Ok(Change::Built(sound(0, build_key(&row.get::<_, Vec<u8>>(0)?))?))
    })?;
    read("SELECT * FROM failed_build", failed_build)?;
    read("SELECT * FROM link_traffic", link_traffic)?;
    read("SELECT * FROM device_traffic", device_traffic)?;
    Ok(all)
}

fn anchors(row: &Row<'_>) -> rusqlite::Result<Change> {
    let set = AnchorsRecord::read(&row.get::<_, Vec<u8>>(2)?, number(row, 3)?);
    let set = set.filter(|set| row.get(1).is_ok_and(|number: u16| number == set.number));
    Ok(Change::Anchors(sound(2, set)?))
}

fn image(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::Image(ImageRecord {
        digest: ImageDigest(row.get(0)?),
        size: Bytes(number(row, 1)?),
        vendor: VendorId(row.get(2)?),
        class: ClassId(row.get(3)?),
        sequence_number: number(row, 4)?,
        version: row.get(5)?,
        description: row.get(6)?,
        envelope: row.get(7)?,
        key_id: row.get(8)?,
        imported_unix_s: number(row, 9)?,
        predecessor_min: number(row, 10)?,
    }))
}

fn artefact(row: &Row<'_>) -> rusqlite::Result<Change> {
    let base: Vec<u8> = row.get(2)?;
    let base = match base.is_empty() {
        true => None,
        false => Some(ImageDigest(sound(2, base.try_into().ok())?)),
    };
    Ok(Change::Artefact(ArtefactRecord {
        digest: ArtefactDigest(row.get(0)?),
        target: ImageDigest(row.get(1)?),
        base,
        format: sound(3, Format::from_code(row.get(3)?))?,
        size: Bytes(number(row, 4)?),
        decoder_memory: Bytes(number(row, 5)?),
        built_unix_s: number(row, 6)?,
        in_place: bytes(row, 7)?,
    }))
}

fn device(row: &Row<'_>) -> rusqlite::Result<Change> {
    let report = match row.get::<_, Option<Vec<u8>>>(3)? {
        Some(_) => Some(report(row)?),
        None => None,
    };
    Ok(Change::Device(DeviceRecord {
        id: device_id(row, 0)?,
        claimed: row.get(1)?,
        class: row.get::<_, Option<[u8; 16]>>(2)?.map(ClassId),
        report,
    }))
}

/// The columns of `report` behind the three of `device` and the repeated identifier.
fn report(row: &Row<'_>) -> rusqlite::Result<DeviceReport> {
    Ok(DeviceReport {
        class: ClassId(row.get(4)?),
        vendor: VendorId(row.get(5)?),
        running: sound(6, DigestPrefix::new(&row.get::<_, Vec<u8>>(6)?))?,
        sequence_number: number(row, 7)?,
        slot_capacity: Bytes(number(row, 8)?),
        staging: bytes(row, 9)?,
        sector: Bytes(number(row, 10)?),
        block_szx: row.get(11)?,
        round_trip_ms: row.get(12)?,
        decoder_memory: Bytes(number(row, 13)?),
        formats: Formats::from_bits(row.get(14)?),
        on_trial: row.get(15)?,
        link: LinkName(row.get(16)?),
        deferral: deferral(row)?,
        in_place: bytes(row, 20)?,
        freshness: match row.get::<_, Option<i64>>("freshness")? {
            Some(code) => Some(Freshness::from_code(sound(21, u32::try_from(code).ok())?)),
            None => None,
        },
        anchors: row.get("anchors")?,
        anchors_waiting: row.get("anchors_waiting")?,
    })
}

/// Bytes that need not be known.
fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Bytes>> {
    let bytes: Option<i64> = row.get(column)?;
    Ok(bytes.map(|bytes| Bytes(bytes.unsigned_abs())))
}

fn deferral(row: &Row<'_>) -> rusqlite::Result<Option<Deferral>> {
    let Some(stage) = row.get::<_, Option<u8>>(17)? else {
        return Ok(None);
    };
    Ok(Some(Deferral {
        stage: sound(17, DeferralStage::from_code(stage))?,
        reason: DeferralReason::from_code(row.get(18)?),
        seconds: row.get(19)?,
    }))
}

fn assignment(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::Assigned(Assignment {
        selector: sound(0, selector(&row.get::<_, Vec<u8>>(0)?))?,
        image: ImageDigest(row.get(1)?),
        assigned_unix_s: number(row, 2)?,
        terms: Terms {
            severity: sound(3, Severity::from_code(row.get(3)?))?,
            defer_s_max: row.get(4)?,
        },
    }))
}

fn offer(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::Offered(Offer {
        path: path(row, 0)?,
        device: device_id(row, 1)?,
        artefact: ArtefactDigest(row.get(2)?),
        image: ImageDigest(row.get(3)?),
        offered_unix_s: number(row, 4)?,
    }))
}

fn served(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::Served {
        path: path(row, 0)?,
        progress: Progress {
            served_to: Bytes(number(row, 1)?),
            first_unix_s: number(row, 2)?,
            last_unix_s: number(row, 3)?,
        },
    })
}

fn update(row: &Row<'_>) -> rusqlite::Result<Change> {
    let state = match row.get::<_, u8>(2)? {
        0 => UpdateState::Offered { path: path(row, 3)? },
        1 => UpdateState::Confirmed,
        2 => UpdateState::Withheld {
            outcome: Outcome::from_code(row.get(4)?),
            detail: row.get(5)?,
        },
        3 => UpdateState::Released,
        _ => return sound(2, None),
    };
    Ok(Change::Update(UpdateRecord {
        device: device_id(row, 0)?,
        image: ImageDigest(row.get(1)?),
        state,
        offers: row.get(6)?,
        changed_unix_s: number(row, 7)?,
    }))
}

fn failed_build(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::BuildFailed {
        key: sound(0, build_key(&row.get::<_, Vec<u8>>(0)?))?,
        reason: row.get(1)?,
        failed_unix_s: number(row, 2)?,
    })
}

fn link_traffic(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::LinkCounters {
        link: LinkName(row.get(0)?),
        total: counters(row, 1)?,
        unattributed: counters(row, 7)?,
        events: LinkEvents {
            deferred: number(row, 13)?,
            paced: number(row, 14)?,
            dropped: number(row, 15)?,
            repeated: number(row, 16)?,
        },
    })
}

fn device_traffic(row: &Row<'_>) -> rusqlite::Result<Change> {
    Ok(Change::DeviceCounters {
        device: device_id(row, 0)?,
        last_seen_unix_s: number(row, 1)?,
        counters: counters(row, 2)?,
    })
}

fn counters(row: &Row<'_>, first: usize) -> rusqlite::Result<Counters> {
    Ok(Counters {
        down: traffic(row, first)?,
        up: traffic(row, first + 3)?,
    })
}

fn traffic(row: &Row<'_>, first: usize) -> rusqlite::Result<Traffic> {
    Ok(Traffic {
        datagrams: number(row, first)?,
        bytes: Bytes(number(row, first + 1)?),
        air_time: AirTime {
            micros: number(row, first + 2)?,
        },
    })
}

pub(super) fn number(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    let value: i64 = row.get(column)?;
    sound(column, u64::try_from(value).ok())
}

pub(super) fn device_id(row: &Row<'_>, column: usize) -> rusqlite::Result<DeviceId> {
    sound(column, DeviceId::new(&row.get::<_, Vec<u8>>(column)?))
}

fn group(row: &Row<'_>, column: usize) -> rusqlite::Result<GroupName> {
    sound(column, GroupName::new(&row.get::<_, String>(column)?))
}

fn path(row: &Row<'_>, column: usize) -> rusqlite::Result<OfferPath> {
    sound(column, OfferPath::new(&row.get::<_, String>(column)?))
}

pub(super) fn sound<T>(column: usize, value: Option<T>) -> rusqlite::Result<T> {
    value.ok_or_else(|| {
        rusqlite::Error::FromSqlConversionFailure(column, Type::Blob, "no value this program writes".into())
    })
}
