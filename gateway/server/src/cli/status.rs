//! `status`: the gateway in a few lines, who needs a person, and every update under way.

use std::io::{self, Write};

use gateway_core::count;

use super::colour::{Colour, Paint};
use super::commands::Style;
use super::device::called;
use super::lists;
use super::screen::{SCREEN_ROWS, bytes, clock_date, duration, rows_of, write_table};
use crate::report::{NeedRow, Status, UpdateRow};

/// Rows for devices that need a person: three at the least, as each takes two lines or three.
const NEED_ROWS_MAX: usize = 9;

pub(super) fn show(status: &Status, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let paint = Paint::for_stdout();
    out.write_all(screen(status, !style.all, paint)?.as_bytes())
}

/// What moves comes first, so that it is on the screen however many devices there are.
pub(super) fn screen(status: &Status, bounded: bool, paint: Paint) -> io::Result<String> {
    let mut text = Vec::new();
    let rows_max = if bounded { NEED_ROWS_MAX } else { usize::MAX };
    summary(status, rows_max, paint, &mut text)?;
    if status.updates.is_empty() {
        writeln!(text, "nothing is assigned")?;
        return Ok(String::from_utf8_lossy(&text).into_owned());
    }
    let taken: usize = String::from_utf8_lossy(&text).lines().map(rows_of).sum();
    let mut updates: Vec<&UpdateRow> = status.updates.iter().collect();
    updates.sort_by_key(|update| (update.settled, update.transfer.is_none()));
    // The table's head, a remark and the prompt take a row each.
    let room = (SCREEN_ROWS - 3).saturating_sub(taken).max(1);
    let shown = if bounded {
        updates.len().min(room)
    } else {
        updates.len()
    };
    let rows: Vec<UpdateRow> = updates
        .iter()
        .take(shown)
        .map(|update| (*update).clone())
        .collect();
    write_table(&mut text, &lists::UPDATE_HEADS, &lists::update_rows(&rows))?;
    if shown < updates.len() {
        writeln!(text, "… {} more; --all shows them", updates.len() - shown)?;
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// What is so, and what is not as it should be.
fn summary(status: &Status, rows_max: usize, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let running = duration(status.now_unix_s.saturating_sub(status.started_unix_s));
    let running = if status.clock_is_set {
        format!(", running {running}")
    } else {
        String::new()
    };
    writeln!(out, "gateway on coap://{}{running}", status.coap)?;
    writeln!(
        out,
        "{}, {} unclaimed; {}, {}, {} building, {} failed",
        count(status.claimed_devices, "device", "devices"),
        status.unclaimed_devices,
        count(status.images, "image", "images"),
        count(status.artefacts, "payload", "payloads"),
        status.building,
        status.failed_builds
    )?;
    if !status.clock_is_set {
        let date = clock_date(status.now_unix_s);
        let line = format!("clock is not set ({date}): nothing is decided by time,");
        writeln!(out, "{}", paint.with(Colour::Warning, &line))?;
        writeln!(out, "  so nobody is called late; updates go on. See: timedatectl")?;
    }
    if let Some(paused_unix_s) = status.paused_unix_s {
        let line = format!(
            "updates are paused since {}: no block is served",
            clock_date(paused_unix_s)
        );
        writeln!(out, "{}", paint.with(Colour::Warning, &line))?;
        writeln!(out, "  deltagate update resume")?;
    }
    if let Some(max) = status.disk_bytes_max
        && status.disk_bytes > max
    {
        let (taken, max) = (bytes(status.disk_bytes), bytes(max));
        let line = format!("disk: images and payloads take {taken}, and may take {max}:");
        writeln!(out, "{}", paint.with(Colour::Warning, &line))?;
        writeln!(out, "  deltagate image list, deltagate image remove")?;
    }
    if status.unclaimed_dropped > 0 {
        let dropped = count(status.unclaimed_dropped, "check-in", "check-ins");
        writeln!(
            out,
            "{dropped} of strangers not listed: deltagate device list --unclaimed"
        )?;
    }
    needs(status, rows_max, paint, out)
}

fn needs(status: &Status, rows_max: usize, paint: Paint, out: &mut dyn Write) -> io::Result<()> {
    let (needs, all) = (status.needs.len(), status.claimed_devices);
    if needs == 0 {
        return match all {
            0 => Ok(()),
            _ => writeln!(out, "no device needs you"),
        };
    }
    let verb = if needs == 1 { "needs" } else { "need" };
    let line = format!("{needs} of {all} {verb} you:");
    writeln!(out, "{}", paint.with(Colour::Warning, &line))?;
    let mut rows = 0;
    let mut named = 0;
    for NeedRow {
        device,
        label,
        why,
        next_step,
    } in &status.needs
    {
        let called = called(label.as_deref());
        let lines = [
            format!("  {device}{called}: {why}"),
            format!("    {}", next_step.command),
        ];
        rows += lines.iter().map(|line| rows_of(line)).sum::<usize>();
        if rows > rows_max {
            break;
        }
        named += 1;
        lines.iter().try_for_each(|line| writeln!(out, "{line}"))?;
    }
    match needs - named {
        0 => Ok(()),
        more => writeln!(out, "  … {more} more; --all shows them"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Step;

    fn status(needs: usize, updates: usize) -> Status {
        let need = NeedRow {
            device: "525400000001".to_owned(),
            label: None,
            why: "the device reported \"reverted: watchdog\", so the image is withheld".to_owned(),
            next_step: Step {
                why: String::new(),
                command: "deltagate update retry --device 525400000001 --image 16b32f3c65b73d7f".to_owned(),
            },
        };
        let update = UpdateRow {
            device: "525400000001".to_owned(),
            image: "16b32f3c65b73d7f".to_owned(),
            image_version: "2".to_owned(),
            stage: "withheld".to_owned(),
            settled: true,
            offers: 1,
            transfer: None,
            deferral: None,
        };
        Status {
            coap: "[::]:5683".to_owned(),
            started_unix_s: 1_793_491_200,
            claimed_devices: 212,
            unclaimed_devices: 3,
            unclaimed_dropped: 7,
            images: 2,
            artefacts: 3,
            disk_bytes: 1_000,
            disk_bytes_max: None,
            building: 0,
            failed_builds: 0,
            datagram_errors: 0,
            overdue_deferrals: 0,
            now_unix_s: 1_793_494_800,
            clock_is_set: true,
            paused_unix_s: None,
            needs: vec![need; needs],
            updates: vec![update; updates],
        }
    }

    fn text(status: &Status) -> String {
        screen(status, true, Paint::Plain).unwrap()
    }

    #[test]
    fn the_few_that_need_a_person_are_named_with_their_command() {
        let shown = text(&status(1, 1));
        assert!(
            shown.contains(
                "1 of 212 needs you:\n  525400000001: the device reported \"reverted: watchdog\", so the image is \
                 withheld\n    deltagate update retry --device 525400000001 --image 16b32f3c65b73d7f\n"
            ),
            "{shown}"
        );
        assert!(text(&status(0, 1)).contains("no device needs you\n"));
    }

    #[test]
    fn however_bad_the_day_the_screen_has_24_rows() {
        let mut bad = status(40, 200);
        bad.clock_is_set = false;
        bad.paused_unix_s = Some(1);
        bad.now_unix_s = 125;
        let shown = text(&bad);
        let taken: usize = shown.lines().map(rows_of).sum();
        assert!(taken < SCREEN_ROWS, "{taken} rows: {shown}");
        assert!(shown.contains("40 of 212 need you:"), "{shown}");
        assert!(shown.contains("… 37 more; --all shows them"), "{shown}");
        assert!(screen(&bad, false, Paint::Plain).unwrap().lines().count() > 280);
    }

    #[test]
    fn a_clock_that_is_not_set_is_said_with_what_it_suspends() {
        let mut unset = status(0, 0);
        unset.clock_is_set = false;
        unset.now_unix_s = 125;
        let shown = text(&unset);
        assert!(
            shown.contains(
                "clock is not set (1970-01-01 00:02 UTC): nothing is decided by time,\n  so nobody is called late;"
            ),
            "{shown}"
        );
        assert!(!shown.contains("running"), "{shown}");
        let coloured = screen(&unset, true, Paint::Coloured).unwrap();
        assert!(coloured.contains("\x1b[33mclock is not set"), "{coloured}");
        assert!(!shown.contains('\x1b'));
    }
}
