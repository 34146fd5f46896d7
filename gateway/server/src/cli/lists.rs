//! Listings as text.

use std::io::{self, Write};

use gateway_core::count;

use super::commands::Style;
use super::screen::{ago, bar, bytes, duration, or_dash, short, table};
use crate::report::{Anchors, AnchorsRow, DeviceRow, Devices, Groups, Images, Links, UpdateRow, Updates};

pub(super) fn anchors(anchors: &Anchors, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if anchors.sets.is_empty() {
        writeln!(
            out,
            "no sets of trust anchors: the keys of `trust` in gateway.toml count"
        )?;
        return writeln!(
            out,
            "the next step: deltagate anchors new --help, and docs/anchors.md"
        );
    }
    let row = |set: &AnchorsRow| {
        let with = |role: &str| {
            let keys = set
                .keys
                .iter()
                .filter(|key| key.roles.iter().any(|of| of == role));
            keys.map(|key| key.key_id.clone()).collect::<Vec<_>>()
        };
        let of = |least: u8, keys: Vec<String>| format!("{least} of {}", keys.join(" "));
        vec![
            set.number.to_string(),
            if set.in_force { "in force" } else { "past" }.to_owned(),
            set.class_id.clone().unwrap_or_else(|| "every class".to_owned()),
            of(set.release_min, with("release")),
            of(set.recovery_min, with("recovery")),
            set.sequence_max.to_string(),
            set.devices.to_string(),
        ]
    };
    let rows: Vec<_> = anchors.sets.iter().map(row).collect();
    let heads = [
        "SET",
        "STATE",
        "FOR",
        "RELEASES",
        "NEXT SET",
        "SEQUENCE TO",
        "DEVICES",
    ];
    table(out, &heads, &rows, style.all)?;
    if let Some(first) = anchors.behind.first() {
        let behind = count(anchors.behind.len(), "device has", "devices have");
        writeln!(
            out,
            "{behind} not got the set in force, such as {first}: what it took away they still trust"
        )?;
        writeln!(out, "the next step: deltagate device show {first}")?;
    }
    Ok(())
}

pub(super) fn images(images: &Images, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if images.images.is_empty() {
        return writeln!(out, "no images; the next step: deltagate image import FILE");
    }
    let row = |image: &crate::report::ImageRow| {
        vec![
            short(&image.digest),
            or_dash(Some(image.image_version.clone())),
            image.sequence_number.to_string(),
            bytes(image.size_bytes),
            image.class_id.clone(),
            if image.pinned { "pinned" } else { "-" }.to_owned(),
            ago(image.imported_unix_s),
        ]
    };
    let rows: Vec<_> = images.images.iter().map(row).collect();
    table(
        out,
        &["IMAGE", "VERSION", "SEQUENCE", "SIZE", "CLASS", "PIN", "IMPORTED"],
        &rows,
        style.all,
    )
}

pub(super) fn devices(devices: &Devices, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if devices.devices.is_empty() {
        return writeln!(out, "no devices; they appear here at their first check-in");
    }
    device_table(&devices.devices, style, out)
}

/// With labels where there are any.
pub(super) fn device_table(devices: &[DeviceRow], style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut heads = vec!["DEVICE", "STATE", "RUNS", "TARGET", "LINK", "SEEN"];
    let mut rows: Vec<_> = devices.iter().map(device).collect();
    if devices.iter().any(|device| device.label.is_some()) {
        heads.insert(1, "LABEL");
        for (row, device) in rows.iter_mut().zip(devices) {
            row.insert(1, or_dash(device.label.clone()));
        }
    }
    table(out, &heads, &rows, style.all)
}

fn device(row: &DeviceRow) -> Vec<String> {
    let state = match (row.claimed, row.on_trial) {
        _ if row.identity.retired_unix_s.is_some() => "retired",
        (false, _) => "unclaimed",
        (true, true) => "on trial",
        (true, false) => "claimed",
    };
    vec![
        row.device.clone(),
        state.to_owned(),
        runs(row),
        or_dash(row.target.as_deref().map(short)),
        or_dash(row.link.clone()),
        ago(row.last_seen_unix_s),
    ]
}

/// Version when it is known, else the digest.
pub(super) fn runs(row: &DeviceRow) -> String {
    let name = row.running_version.clone().filter(|version| !version.is_empty());
    let name = name.or_else(|| row.running.as_deref().map(short));
    let sequence = row
        .sequence_number
        .map_or(String::new(), |number| format!(" (sequence {number})"));
    name.map_or("-".to_owned(), |name| name + &sequence)
}

pub(super) fn groups(groups: &Groups, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if groups.groups.is_empty() {
        return writeln!(out, "no groups; the next step: deltagate group create NAME");
    }
    let row = |group: &crate::report::GroupRow| {
        let named: Vec<_> = group.members.iter().take(3).map(String::as_str).collect();
        let more = if group.members.len() > named.len() {
            ", …"
        } else {
            ""
        };
        vec![
            group.group.clone(),
            group.members.len().to_string(),
            or_dash(group.assigned.as_deref().map(short)),
            format!("{}{more}", named.join(", ")),
        ]
    };
    let rows: Vec<_> = groups.groups.iter().map(row).collect();
    table(
        out,
        &["GROUP", "DEVICES", "ASSIGNED", "MEMBERS"],
        &rows,
        style.all,
    )
}

pub(super) fn updates(updates: &Updates, style: Style, out: &mut dyn Write) -> io::Result<()> {
    if updates.updates.is_empty() {
        return writeln!(
            out,
            "nothing is assigned; the next step: deltagate update assign IMAGE --device ID"
        );
    }
    table(out, &UPDATE_HEADS, &update_rows(&updates.updates), style.all)
}

/// Heads of [`update_rows`].
pub(super) const UPDATE_HEADS: [&str; 5] = ["DEVICE", "TO", "STAGE", "LEFT", "PROGRESS"];
/// Cells of a bar in a row: with a device of 6 bytes and a short version the row has 80 columns.
const BAR_CELLS: usize = 10;

/// One row per device, with a bar where bytes move.
pub(super) fn update_rows(updates: &[UpdateRow]) -> Vec<Vec<String>> {
    updates.iter().map(update).collect()
}

fn update(row: &UpdateRow) -> Vec<String> {
    let to = match row.image_version.as_str() {
        "" => short(&row.image),
        version => version.to_owned(),
    };
    let (progress, left) = match &row.transfer {
        Some(transfer) => {
            let progress = format!(
                "{} {:3} % of {} {}",
                bar(transfer.percent, BAR_CELLS),
                transfer.percent,
                bytes(transfer.size_bytes),
                transfer.format
            );
            (progress, left(transfer))
        }
        None => ("-".to_owned(), "-".to_owned()),
    };
    vec![row.device.clone(), to, row.stage.clone(), left, progress]
}

/// At the pace so far, else the least that the link allows. Nothing once all was served: how long a device takes to
/// install is its own affair.
pub(super) fn left(transfer: &crate::report::TransferRow) -> String {
    if transfer.served_bytes >= transfer.size_bytes {
        return "-".to_owned();
    }
    match transfer.expected_left_s {
        Some(seconds) => duration(seconds),
        None => format!("at least {}", duration(transfer.least_left_ms.div_ceil(1_000))),
    }
}

pub(super) fn links(links: &Links, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let row = |link: &crate::report::LinkRow| {
        vec![
            link.name.clone(),
            format!("{} bit/s", link.rate_bits_per_second),
            link.devices.to_string(),
            bytes(link.traffic.down_bytes),
            bytes(link.traffic.up_bytes),
            link.queued.to_string(),
            link.deferred.to_string(),
        ]
    };
    let rows: Vec<_> = links.links.iter().map(row).collect();
    table(
        out,
        &["LINK", "RATE", "DEVICES", "DOWN", "UP", "WAITING", "PUT OFF"],
        &rows,
        style.all,
    )
}
