//! One thing in detail, on one screen.

use std::io::{self, Write};

use gateway_core::count;

use super::commands::Style;
use super::screen::{ROWS_MAX, ago, bytes, or_dash, rows_of, short, table};
use crate::report::{Done, ImageDetail, LinkDetail, TrafficRow};

/// Rows of any one part of a screen, so that the parts together stay within 24 lines.
const PART_ROWS_MAX: usize = 5;

pub(super) fn image(detail: &ImageDetail, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let image = &detail.image;
    writeln!(out, "image     {}", image.digest)?;
    writeln!(
        out,
        "version   {}, sequence {}",
        or_dash(Some(image.image_version.clone())),
        image.sequence_number
    )?;
    if image.predecessor_min > 0 {
        writeln!(out, "follows   sequence {} or higher", image.predecessor_min)?;
    }
    if !image.description.is_empty() {
        writeln!(out, "about     {}", image.description)?;
    }
    writeln!(out, "size      {}", bytes(image.size_bytes))?;
    writeln!(out, "vendor    {}\nclass     {}", image.vendor_id, image.class_id)?;
    writeln!(
        out,
        "signed by key {}, imported {}",
        image.key_id,
        ago(image.imported_unix_s)
    )?;
    for other in image.signatures.iter().filter(|key| **key != image.key_id) {
        writeln!(out, "signed by key {other}")?;
    }
    if let Some(why) = &image.distrusted {
        writeln!(out, "offered   to nobody: {why}")?;
    }
    writeln!(
        out,
        "runs on   {}",
        count(detail.running_devices, "device", "devices")
    )?;
    if image.pinned {
        writeln!(out, "pinned    kept until deltagate image unpin")?;
    }
    for selector in detail.assigned.iter().take(PART_ROWS_MAX) {
        writeln!(out, "assigned  to {selector}")?;
    }
    for build in detail.building.iter().take(PART_ROWS_MAX) {
        writeln!(out, "building  {build}")?;
    }
    for failed in detail.failed.iter().take(PART_ROWS_MAX) {
        writeln!(out, "failed    {failed}")?;
    }
    let row = |artefact: &crate::report::ArtefactRow| {
        vec![
            match artefact.in_place_reach_bytes {
                Some(_) => format!("{} in place", artefact.format),
                None => artefact.format.clone(),
            },
            or_dash(artefact.base.as_deref().map(short)),
            bytes(artefact.size_bytes),
            bytes(artefact.decoder_memory_bytes),
        ]
    };
    let shown = if style.all {
        detail.artefacts.len()
    } else {
        PART_ROWS_MAX
    };
    let rows: Vec<_> = detail.artefacts.iter().take(shown).map(row).collect();
    if rows.is_empty() {
        return Ok(());
    }
    table(out, &["PAYLOAD", "FROM", "SIZE", "DECODER MEMORY"], &rows, true)?;
    match detail.artefacts.len() - rows.len() {
        0 => Ok(()),
        more => writeln!(out, "… {more} more; --all shows them"),
    }
}

pub(super) fn imported(done: &Done, _: Style, out: &mut dyn Write) -> io::Result<()> {
    let Some(image) = &done.image else {
        return writeln!(out, "{}", done.done);
    };
    writeln!(out, "{}: {}", done.done, image.digest)?;
    let (version, size) = (
        or_dash(Some(image.image_version.clone())),
        bytes(image.size_bytes),
    );
    writeln!(
        out,
        "version {version}, sequence {}, {size}, class {}",
        image.sequence_number, image.class_id
    )?;
    writeln!(
        out,
        "next step: deltagate update assign {} --device ID",
        short(&image.digest)
    )
}

/// What was assigned, and who is left out, with what helps the first of each kind.
pub(super) fn assigned(done: &Done, style: Style, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", done.done)?;
    let mut room = if style.all { usize::MAX } else { ROWS_MAX };
    for (shown, row) in done.left_out.iter().enumerate() {
        let who = match row.devices {
            1 => row.first.clone(),
            devices => format!("{devices} devices, such as {}", row.first),
        };
        let lines = [
            format!("  {who}: {}", row.why),
            format!("    {}: {}", row.next_step.why, row.next_step.command),
        ];
        let taken = lines.iter().map(|line| rows_of(line)).sum();
        let Some(left) = room.checked_sub(taken) else {
            let more = done.left_out.len() - shown;
            return writeln!(
                out,
                "  … {}; --all shows them",
                count(more, "more reason", "more reasons")
            );
        };
        room = left;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    Ok(())
}

pub(super) fn link(detail: &LinkDetail, _: Style, out: &mut dyn Write) -> io::Result<()> {
    let link = &detail.link;
    writeln!(out, "link          {}", link.name)?;
    writeln!(out, "prefixes      {}", or_dash(Some(link.prefixes.join(", "))))?;
    writeln!(
        out,
        "rate          {} bit/s, headers included",
        link.rate_bits_per_second
    )?;
    writeln!(out, "ACK timeout   {} ms", link.ack_timeout_ms)?;
    writeln!(
        out,
        "largest block {} bytes, packet {} bytes",
        link.block_size, link.mtu
    )?;
    writeln!(out, "devices       {}", link.devices)?;
    traffic("traffic      ", &link.traffic, out)?;
    traffic("unattributed ", &link.unattributed, out)?;
    writeln!(
        out,
        "replies       {} waiting, {} paced, {} put off, {} dropped, {} ignored",
        link.queued,
        link.paced,
        link.deferred,
        link.dropped,
        count(link.repeated, "repeat", "repeats")
    )
}

pub(super) fn traffic(name: &str, row: &TrafficRow, out: &mut dyn Write) -> io::Result<()> {
    let seconds = |ms: u64| format!("{}.{} s", ms / 1_000, ms % 1_000 / 100);
    let datagrams = |number| count(number, "datagram", "datagrams");
    writeln!(
        out,
        "{name} {} down in {} ({}), {} up in {} ({})",
        bytes(row.down_bytes),
        seconds(row.down_airtime_ms),
        datagrams(row.down_datagrams),
        bytes(row.up_bytes),
        seconds(row.up_airtime_ms),
        datagrams(row.up_datagrams)
    )
}
