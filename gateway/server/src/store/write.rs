//! From a [`Change`] to rows. Statements are prepared once per connection.

use gateway_core::{
    ArtefactRecord, Change, ClassId, Counters, DeviceRecord, DeviceReport, ImageRecord, LinkEvents,
    UpdateRecord, UpdateState,
};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::key::{build_key_bytes, selector_bytes};
use super::{StoreError, identity, statement};
use crate::sealing::SealingKey;

/// Writes one change inside the caller's transaction.
pub(super) fn apply(connection: &Connection, key: &SealingKey, change: &Change) -> Result<(), StoreError> {
    let change = match change {
        Change::Identity(change) => return identity::apply(connection, key, change),
        other => other,
    };
    Ok(apply_row(connection, change)?)
}

fn apply_row(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    let db = Writer { connection };
    match change {
        Change::Image(image) => db.image(image),
        Change::ImageRemoved(image) => db.run("DELETE FROM image WHERE digest = ?", [blob(&image.0)]),
        Change::Anchors(set) => db.run(
            "INSERT OR REPLACE INTO anchors VALUES (?, ?, ?, ?)",
            [
                scope(set.class),
                number(set.number.into()),
                blob(&set.envelope),
                number(set.imported_unix_s),
            ],
        ),
        Change::AnchorsRemoved(class, of) => db.run(
            "DELETE FROM anchors WHERE class = ? AND number = ?",
            [scope(*class), number((*of).into())],
        ),
        Change::Pinned(image) => db.run("INSERT OR IGNORE INTO pin VALUES (?)", [blob(&image.0)]),
        Change::Unpinned(image) => db.run("DELETE FROM pin WHERE image = ?", [blob(&image.0)]),
        Change::Statement(record) => statement::write(connection, record),
        Change::Artefact(artefact) => db.artefact(artefact),
        Change::ArtefactRemoved { target, base, digest } => db.run(
            "DELETE FROM artefact WHERE digest = ? AND target = ? AND base = ?",
            [
                blob(&digest.0),
                blob(&target.0),
                blob(base.as_ref().map_or(&[], |base| &base.0)),
            ],
        ),
        Change::Device(device) => db.device(device),
        Change::Labelled(id, label) => db.run(
            "INSERT OR REPLACE INTO device_label VALUES (?, ?)",
            [blob(id.as_bytes()), text(label.as_str())],
        ),
        Change::Unlabelled(id) => db.run("DELETE FROM device_label WHERE device = ?", [blob(id.as_bytes())]),
        // Taken by the caller.
        Change::Identity(_) => Ok(()),
        Change::DeviceForgotten(id) => {
            let id = blob(id.as_bytes());
            db.run("DELETE FROM device_label WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM device_name WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM retired WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM member WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM device_traffic WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM report WHERE device = ?", [id.clone()])?;
            db.run("DELETE FROM device WHERE id = ?", [id])
        }
        Change::GroupCreated(name) => db.run(
            "INSERT OR IGNORE INTO device_group VALUES (?)",
            [text(name.as_str())],
        ),
        Change::GroupRemoved(name) => {
            db.run("DELETE FROM member WHERE group_name = ?", [text(name.as_str())])?;
            db.run("DELETE FROM device_group WHERE name = ?", [text(name.as_str())])
        }
        Change::MemberAdded(name, id) => db.run(
            "INSERT OR IGNORE INTO member VALUES (?, ?)",
            [text(name.as_str()), blob(id.as_bytes())],
        ),
        Change::MemberRemoved(name, id) => db.run(
            "DELETE FROM member WHERE group_name = ? AND device = ?",
            [text(name.as_str()), blob(id.as_bytes())],
        ),
        Change::Assigned(assignment) => db.run(
            "INSERT OR REPLACE INTO assignment VALUES (?, ?, ?, ?, ?)",
            [
                blob(&selector_bytes(&assignment.selector)),
                blob(&assignment.image.0),
                number(assignment.assigned_unix_s),
                number(assignment.terms.severity.code().into()),
                optional(assignment.terms.defer_s_max.map(|seconds| number(seconds.into()))),
            ],
        ),
        Change::Unassigned(selector) => db.run(
            "DELETE FROM assignment WHERE selector = ?",
            [blob(&selector_bytes(selector))],
        ),
        Change::Paused(unix_s) => db.run("INSERT OR REPLACE INTO paused VALUES (0, ?)", [number(*unix_s)]),
        Change::Resumed => db.run("DELETE FROM paused", []),
        Change::Offered(offer) => db.run(
            "INSERT OR REPLACE INTO offer VALUES (?, ?, ?, ?, ?)",
            [
                text(offer.path.as_str()),
                blob(offer.device.as_bytes()),
                blob(&offer.artefact.0),
                blob(&offer.image.0),
                number(offer.offered_unix_s),
            ],
        ),
        Change::OfferWithdrawn(path) => {
            db.run("DELETE FROM served WHERE path = ?", [text(path.as_str())])?;
            db.run("DELETE FROM offer WHERE path = ?", [text(path.as_str())])
        }
        Change::Update(update) => db.update(update),
        Change::UpdateForgotten(device, image) => db.run(
            "DELETE FROM device_update WHERE device = ? AND image = ?",
            [blob(device.as_bytes()), blob(&image.0)],
        ),
        Change::Built(key) => db.run(
            "INSERT OR IGNORE INTO finished_build VALUES (?)",
            [blob(&build_key_bytes(key))],
        ),
        Change::BuildFailed {
            key,
            reason,
            failed_unix_s,
        } => db.run(
            "INSERT OR REPLACE INTO failed_build VALUES (?, ?, ?)",
            [blob(&build_key_bytes(key)), text(reason), number(*failed_unix_s)],
        ),
        Change::BuildForgotten(key) => db.run(
            "DELETE FROM finished_build WHERE build = ?",
            [blob(&build_key_bytes(key))],
        ),
        Change::BuildReleased(key) => db.run(
            "DELETE FROM failed_build WHERE build = ?",
            [blob(&build_key_bytes(key))],
        ),
        Change::LinkCounters {
            link,
            total,
            unattributed,
            events,
        } => {
            let LinkEvents {
                deferred,
                paced,
                dropped,
                repeated,
            } = *events;
            let head = [text(&link.0)]
                .into_iter()
                .chain(counters(total))
                .chain(counters(unattributed));
            db.upsert(
                &LINK_TRAFFIC,
                head.chain([deferred, paced, dropped, repeated].map(number)),
            )
        }
        Change::DeviceCounters {
            device,
            counters: total,
            last_seen_unix_s,
        } => db.upsert(
            &DEVICE_TRAFFIC,
            [blob(device.as_bytes()), number(*last_seen_unix_s)]
                .into_iter()
                .chain(counters(total)),
        ),
        Change::Served { path, progress } => db.upsert(
            &SERVED,
            [
                text(path.as_str()),
                number(progress.served_to.0),
                number(progress.first_unix_s),
                number(progress.last_unix_s),
            ],
        ),
    }
}

struct Writer<'c> {
    connection: &'c Connection,
}

/// A table whose rows are written again and again.
struct Table {
    name: &'static str,
    key: &'static str,
    /// The other columns, in the order of the table.
    columns: &'static [&'static str],
}

const DEVICE: Table = Table {
    name: "device",
    key: "id",
    columns: &["claimed", "class"],
};

const REPORT: Table = Table {
    name: "report",
    key: "device",
    columns: &[
        "class",
        "vendor",
        "running",
        "sequence_number",
        "slot_capacity",
        "staging",
        "sector",
        "block_szx",
        "round_trip_ms",
        "decoder_memory",
        "formats",
        "on_trial",
        "link",
        "deferral_stage",
        "deferral_reason",
        "deferral_s",
        "in_place",
        "freshness",
        "anchors",
        "anchors_waiting",
    ],
};

const DEVICE_TRAFFIC: Table = Table {
    name: "device_traffic",
    key: "device",
    columns: &[
        "last_seen_unix_s",
        "down_datagrams",
        "down_bytes",
        "down_micros",
        "up_datagrams",
        "up_bytes",
        "up_micros",
    ],
};

const LINK_TRAFFIC: Table = Table {
    name: "link_traffic",
    key: "link",
    columns: &[
        "down_datagrams",
        "down_bytes",
        "down_micros",
        "up_datagrams",
        "up_bytes",
        "up_micros",
        "un_down_datagrams",
        "un_down_bytes",
        "un_down_micros",
        "un_up_datagrams",
        "un_up_bytes",
        "un_up_micros",
        "deferred",
        "paced",
        "dropped",
        "repeated",
    ],
};

const SERVED: Table = Table {
    name: "served",
    key: "path",
    columns: &["served_to", "first_unix_s", "last_unix_s"],
};

impl Table {
    /// Writes a row where it lies, and not at all when it says what it said: `INSERT OR REPLACE` removes the row and
    /// appends another, which writes the pages of the old place, of the new one and of the key's index.
    fn upsert(&self) -> String {
        let Table { name, key, columns } = self;
        let said = columns.join(", ");
        let list = |form: fn(&str) -> String| -> String {
            let forms: Vec<String> = columns.iter().map(|column| form(column)).collect();
            forms.join(", ")
        };
        format!(
            "INSERT INTO {name} ({key}, {said}) VALUES (?{}) ON CONFLICT ({key}) DO UPDATE SET {} \
             WHERE ({said}) IS NOT ({})",
            ", ?".repeat(columns.len()),
            list(|column| format!("{column} = excluded.{column}")),
            list(|column| format!("excluded.{column}")),
        )
    }
}

impl Writer<'_> {
    fn upsert(&self, table: &Table, values: impl IntoIterator<Item = Value>) -> rusqlite::Result<()> {
        self.run(&table.upsert(), values)
    }

    fn run(&self, sql: &str, values: impl IntoIterator<Item = Value>) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached(sql)?
            .execute(params_from_iter(values))?;
        Ok(())
    }

    fn image(&self, image: &ImageRecord) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                blob(&image.digest.0),
                number(image.size.0),
                blob(&image.vendor.0),
                blob(&image.class.0),
                number(image.sequence_number),
                text(&image.version),
                text(&image.description),
                blob(&image.envelope),
                blob(&image.key_id),
                number(image.imported_unix_s),
                number(image.predecessor_min),
            ],
        )
    }

    /// A base of no bytes stands for none: a primary key must not hold NULL.
    fn artefact(&self, artefact: &ArtefactRecord) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO artefact VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                blob(&artefact.digest.0),
                blob(&artefact.target.0),
                blob(artefact.base.as_ref().map_or(&[], |base| base.0.as_slice())),
                number(artefact.format.code().into()),
                number(artefact.size.0),
                number(artefact.decoder_memory.0),
                number(artefact.built_unix_s),
                optional(artefact.in_place.map(|reach| number(reach.0))),
            ],
        )
    }

    fn device(&self, device: &DeviceRecord) -> rusqlite::Result<()> {
        let id = blob(device.id.as_bytes());
        self.upsert(
            &DEVICE,
            [
                id.clone(),
                number(device.claimed.into()),
                optional(device.class.as_ref().map(|class| blob(&class.0))),
            ],
        )?;
        match &device.report {
            Some(report) => self.report(id, report),
            None => self.run("DELETE FROM report WHERE device = ?", [id]),
        }
    }

    fn report(&self, device: Value, report: &DeviceReport) -> rusqlite::Result<()> {
        let deferral = report.deferral;
        self.upsert(
            &REPORT,
            [
                device,
                blob(&report.class.0),
                blob(&report.vendor.0),
                blob(report.running.as_bytes()),
                number(report.sequence_number),
                number(report.slot_capacity.0),
                optional(report.staging.map(|staging| number(staging.0))),
                number(report.sector.0),
                number(report.block_szx.into()),
                number(report.round_trip_ms.into()),
                number(report.decoder_memory.0),
                number(report.formats.bits().into()),
                number(report.on_trial.into()),
                text(&report.link.0),
                optional(deferral.map(|deferral| number(deferral.stage.code().into()))),
                optional(deferral.map(|deferral| number(deferral.reason.code().into()))),
                optional(deferral.map(|deferral| number(deferral.seconds.into()))),
                optional(report.in_place.map(|reach| number(reach.0))),
                optional(report.freshness.map(|said| number(said.code().into()))),
                optional(report.anchors.map(|of| number(of.into()))),
                optional(report.anchors_waiting.map(|of| number(of.into()))),
            ],
        )
    }

    fn update(&self, update: &UpdateRecord) -> rusqlite::Result<()> {
        let (state, path, outcome, detail) = match update.state {
            UpdateState::Offered { path } => (0, Some(text(path.as_str())), None, None),
            UpdateState::Confirmed => (1, None, None, None),
            UpdateState::Withheld { outcome, detail } => (
                2,
                None,
                Some(number(outcome.code().into())),
                detail.map(|detail| number(detail.into())),
            ),
            UpdateState::Released => (3, None, None, None),
        };
        self.run(
            "INSERT OR REPLACE INTO device_update VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                blob(update.device.as_bytes()),
                blob(&update.image.0),
                number(state),
                optional(path),
                optional(outcome),
                optional(detail),
                number(update.offers.into()),
                number(update.changed_unix_s),
            ],
        )
    }
}

/// Of no bytes for every class: a primary key must not hold NULL.
fn scope(class: Option<ClassId>) -> Value {
    blob(class.as_ref().map_or(&[], |class| &class.0))
}

fn counters(counters: &Counters) -> [Value; 6] {
    let Counters { down, up } = counters;
    [
        down.datagrams,
        down.bytes.0,
        down.air_time.micros,
        up.datagrams,
        up.bytes.0,
        up.air_time.micros,
    ]
    .map(number)
}

/// SQLite's integers are signed. Nothing that is counted or numbered here reaches 2^63; should it, it stays there.
fn number(value: u64) -> Value {
    Value::Integer(i64::try_from(value).unwrap_or(i64::MAX))
}

fn blob(bytes: &[u8]) -> Value {
    Value::Blob(bytes.to_vec())
}

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn optional(value: Option<Value>) -> Value {
    value.unwrap_or(Value::Null)
}
