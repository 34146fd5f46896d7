//! `status`: the gateway in a few lines, who needs a person, and every update under way.

use std::io::{self, Write};

use gateway_core::count;

use super::colour::{Colour, Paint};
use super::commands::Style;
use super::device::called;
use super::lists;
use super::screen::{SCREEN_ROWS, bytes, clock_date, duration, rows_of, write_table};
use crate::report::{NeedRow, StatementRow, Status, UpdateRow};

/// Rows for devices that need a person: three at the least, as each takes two lines or three.
const NEED_ROWS_MAX: usize = 11;
/// Of which the latest device that was turned away takes so many.
const TURNED_AWAY_ROWS: usize = 3;
/// And who is believed without a key, or had to prove where it is, so many each.
const UNPROVEN_ROWS: usize = 1;
/// And what is amiss with the first statement so many.
const STATEMENT_ROWS: usize = 2;

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
    let rows_max = unproven(status, rows_max, out)?;
    let rows_max = challenged(status, rows_max, out)?;
    let rows_max = turned_away(status, rows_max, paint, out)?;
    let rows_max = statements(status, rows_max, paint, out)?;
    needs(status, rows_max, paint, out)
}

/// Who is believed on a mere word. Gives the rows that are left for others.
fn unproven(status: &Status, rows_max: usize, out: &mut dyn Write) -> io::Result<usize> {
    let (unproven, links) = (status.unproven_devices, status.open_links.len());
    if unproven == 0 || links == 0 {
        return Ok(rows_max);
    }
    let all = count(status.claimed_devices, "device", "devices");
    let links = count(links, "link is", "links are");
    writeln!(
        out,
        "{unproven} of {all} without a key, taken at their word: {links} open"
    )?;
    Ok(rows_max - UNPROVEN_ROWS)
}

/// Who had to prove where it is. Gives the rows that are left for others.
fn challenged(status: &Status, rows_max: usize, out: &mut dyn Write) -> io::Result<usize> {
    if status.challenges == 0 {
        return Ok(rows_max);
    }
    let requests = count(status.challenges, "request", "requests");
    writeln!(
        out,
        "{requests} to be echoed first; clients that cannot: trusted_prefixes"
    )?;
    Ok(rows_max - UNPROVEN_ROWS)
}

/// Who asked without a key where one is needed. Whoever asks gets a row, so on a bounded screen only the latest is named. Gives the
/// rows that are left for others.
fn turned_away(status: &Status, rows_max: usize, paint: Paint, out: &mut dyn Write) -> io::Result<usize> {
    let rows = &status.turned_away;
    if rows.is_empty() {
        return Ok(rows_max);
    }
    let requests = count(status.turned_away_requests, "request", "requests");
    let named = count(rows.len(), "device", "devices");
    let line = format!("{requests} refused for want of a key, in the name of {named}:");
    writeln!(out, "{}", paint.with(Colour::Warning, &line))?;
    let shown = if rows_max == usize::MAX { rows.len() } else { 1 };
    for row in rows.iter().take(shown) {
        let times = count(row.times, "time", "times");
        writeln!(
            out,
            "  {} (link {}, from {}, {times}): {}",
            row.device, row.link, row.from, row.next_step.why
        )?;
        writeln!(out, "    {}", row.next_step.command)?;
    }
    Ok(rows_max - TURNED_AWAY_ROWS)
}

/// What publishers have released and is not here, or when they should have spoken again. On a bounded screen the first. Gives the rows
/// that are left for others.
fn statements(status: &Status, rows_max: usize, paint: Paint, out: &mut dyn Write) -> io::Result<usize> {
    let amiss: Vec<_> = status.statements.iter().filter_map(StatementRow::amiss).collect();
    if amiss.is_empty() {
        return Ok(rows_max);
    }
    let shown = if rows_max == usize::MAX { amiss.len() } else { 1 };
    let more = match amiss.len() - shown {
        0 => String::new(),
        more => format!(" ({more} more: --all)"),
    };
    for (why, what_helps) in amiss.iter().take(shown) {
        writeln!(out, "{}:", paint.with(Colour::Warning, why))?;
        writeln!(out, "  {what_helps}{more}")?;
    }
    Ok(rows_max.saturating_sub(STATEMENT_ROWS))
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
    use crate::report::{Step, TurnedAwayRow};

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
            open_links: vec!["default".into()],
            unproven_devices: 0,
            challenges: 0,
            anchors_behind: 0,
            anchors_behind_first: None,
            turned_away_requests: 0,
            turned_away: Vec::new(),
            statements: Vec::new(),
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

    fn stranger() -> TurnedAwayRow {
        TurnedAwayRow::from(&gateway_core::TurnedAway {
            device: "525400000009".parse().unwrap(),
            has_key: false,
            link: gateway_core::LinkName("nb-iot".into()),
            from: "10.20.0.9".parse().unwrap(),
            times: 3,
        })
    }

    /// That the latest is 7.
    fn statement(held: Option<u64>, old: Option<bool>) -> StatementRow {
        StatementRow {
            vendor_id: String::new(),
            class_id: "532f086b-6656-57a3-984f-8857610e9d52".to_owned(),
            number: 3,
            latest: 7,
            issued_unix_s: 1_793_491_200,
            valid_s: 86_400,
            key_id: String::new(),
            imported_unix_s: 0,
            held,
            behind: held.is_none_or(|held| held < 7),
            old,
            stale_devices: 0,
            behind_devices: 0,
        }
    }

    #[test]
    fn a_release_that_is_not_here_and_a_publisher_who_is_silent_are_named() {
        let shown = |held, old| {
            let mut status = status(0, 0);
            status.statements = vec![statement(held, old)];
            text(&status)
        };
        let text = shown(Some(6), Some(true));
        assert!(
            text.contains(
                "class 532f086b-6656-57a3-984f-8857610e9d52: 7 is the latest, 6 the newest here:\n  get it"
            ),
            "{text}"
        );
        let text = shown(None, None);
        assert!(
            text.contains("7 is the latest, and no image is here:\n"),
            "{text}"
        );
        let text = shown(Some(7), Some(true));
        assert!(
            text.contains("statement 3 was meant until 2026-11-02 00:00:\n"),
            "{text}"
        );
        let well = shown(Some(7), Some(false));
        assert_eq!(well, shown(Some(8), None), "and nothing is said");
        assert!(!well.contains("latest"), "{well}");
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
        bad.unproven_devices = 12;
        bad.challenges = 7_000;
        bad.turned_away_requests = 9_000;
        bad.turned_away = vec![stranger(); 32];
        bad.statements = vec![statement(Some(6), None); 3];
        let shown = text(&bad);
        let taken: usize = shown.lines().map(rows_of).sum();
        assert!(taken < SCREEN_ROWS, "{taken} rows: {shown}");
        assert!(shown.contains("40 of 212 need you:"), "{shown}");
        assert!(
            shown.contains(
                "9000 requests refused for want of a key, in the name of 32 devices:\n  \
                 525400000009 (link nb-iot, from 10.20.0.9, 3 times): it asks without a key\n    \
                 deltagate device enrol 525400000009; or access = \"open\" for link nb-iot\nclass 532f"
            ),
            "{shown}"
        );
        let word = "12 of 212 devices without a key, taken at their word: 1 link is open\n";
        assert!(shown.contains(word), "{shown}");
        assert!(shown.contains("… 39 more; --all shows them"), "{shown}");
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
