//! `device show`: one device on one screen.

use std::io::{self, Write};

use serde_json::Value;

use super::commands::{Style, print_json, understood};
use super::failure::{Failure, REFUSED};
use super::lists::{self, left, runs};
use super::screen::{SCREEN_ROWS, ago, bar, bytes, clock_date, clock_time, rows_of, short, span};
use super::show::traffic;
use crate::report::{CandidateRow, ContactRow, DeviceDetail, Found, HistoryRow, IdentityRow};

/// Lines that choices and history get whatever else there is to say; with them the screen can only be too long when the
/// chain of causes is.
const LIST_ROWS_MIN: usize = 2;

/// One causal chain with one next step, and behind it what the choice was made from. What does not fit a screen is counted.
pub(super) fn show(detail: &DeviceDetail, style: Style, out: &mut dyn Write) -> io::Result<()> {
    let mut head = head(detail);
    let mut counters = Vec::new();
    traffic("traffic", &detail.traffic, &mut counters)?;
    let counters = String::from_utf8_lossy(&counters).trim_end().to_owned();
    let taken: usize = head.iter().chain([&counters]).map(|line| rows_of(line)).sum();
    let room = if style.all {
        usize::MAX
    } else {
        // One row is the prompt's.
        (SCREEN_ROWS - 1).saturating_sub(taken)
    };
    let history: Vec<String> = detail.updates.iter().rev().map(history).collect();
    let candidates: Vec<String> = detail.candidates.iter().map(candidate).collect();
    // What happened matters more to a technician than what was not chosen, and is kept first.
    let candidates_room = room.saturating_sub(history.len().min(LIST_ROWS_MIN));
    let before = head.len();
    head.extend(fitting(candidates, candidates_room));
    let used: usize = head[before..].iter().map(|line| rows_of(line)).sum();
    head.extend(fitting(history, room.saturating_sub(used)));
    head.push(counters);
    head.iter().try_for_each(|line| writeln!(out, "{line}"))
}

/// `device find`: what was found; nothing found is a failure, and the nearest ones its hint.
pub(super) fn found(answer: Value, style: Style, out: &mut dyn Write) -> Result<(), Failure> {
    let found: Found = understood(answer.clone())?;
    if style.json {
        print_json(&answer, out)?;
    } else if !found.devices.is_empty() {
        lists::device_table(&found.devices, style, out)?;
        out.flush()?;
    }
    if found.found {
        return Ok(());
    }
    let problem = format!("no device has \"{}\"", found.text);
    Err(match found.devices.as_slice() {
        [] => Failure::new(REFUSED, problem).hint("deltagate device list"),
        [nearest, ..] => {
            let problem = format!("{problem}; these are the nearest");
            Failure::new(REFUSED, problem).hint(format!("deltagate device show {}", nearest.device))
        }
    })
}

/// ` (roof 3)`, behind an identifier.
pub(super) fn called(label: Option<&str>) -> String {
    label.map_or(String::new(), |label| format!(" ({label})"))
}

/// Everything that is shown whatever it takes.
fn head(detail: &DeviceDetail) -> Vec<String> {
    let row = &detail.device;
    let seen = ago(row.last_seen_unix_s);
    let called = called(row.label.as_deref());
    let mut lines = vec![format!(
        "device {}{called} runs {}, seen {seen}",
        row.device,
        runs(row)
    )];
    lines.extend(detail.contact.as_ref().map(|contact| silence(contact, detail)));
    lines.extend(identity(&row.identity));
    if row.claimed && row.running.is_some() && !row.is_proven {
        lines.push("said without a key: anybody on its link may have said so".to_owned());
    }
    lines.extend(detail.trust.as_ref().map(|trust| format!("trust: {trust}")));
    if !detail.groups.is_empty() {
        lines.push(format!("groups: {}", detail.groups.join(", ")));
    }
    lines.extend(detail.chain.iter().map(|cause| format!("  → {cause}")));
    match &detail.next_step {
        Some(step) => lines.extend([format!("next step: {}", step.why), format!("  {}", step.command)]),
        None => lines.push("next step: none, waiting is enough".to_owned()),
    }
    lines.extend(detail.transfer.as_ref().map(|transfer| {
        format!(
            "{} {} % of {} as {}, time to go: {}",
            bar(transfer.percent, 20),
            transfer.percent,
            bytes(transfer.size_bytes),
            transfer.format,
            left(transfer)
        )
    }));
    lines
}

/// `key 0001; serial A-1234; in the place of 52540012abcd`
fn identity(row: &IdentityRow) -> Option<String> {
    let key = match (row.kids.as_slice(), row.rotates_until_unix_s) {
        ([], _) => None,
        ([old, new, ..], Some(until)) => Some(format!(
            "key {old} until it uses {new}, at most until {}",
            clock_date(until)
        )),
        ([kid, ..], _) => Some(format!("key {kid}")),
    };
    let psk = match (row.psk_identities.as_slice(), row.psk_rotates_until_unix_s) {
        ([], _) => None,
        ([old, new, ..], Some(until)) => Some(format!(
            "PSK {old} until it uses {new}, at most until {}",
            clock_date(until)
        )),
        ([identity, ..], _) => Some(format!("PSK {identity}")),
    };
    let key = match (key, psk) {
        (Some(key), Some(psk)) => Some(format!("{key}, {psk}")),
        (key, psk) => key.or(psk),
    };
    let key = match row.proven_since_unix_s {
        None => key.map(|key| format!("{key}, not used yet")),
        Some(_) => key,
    };
    let named = |kind: &str, name: &Option<String>| name.as_ref().map(|name| format!("{kind} {name}"));
    let before = row.predecessor.as_ref();
    let own = match (&key, &row.public_key) {
        (_, None) => None,
        (Some(_), _) => Some("by a key of its own".to_owned()),
        (None, _) => Some("has a key of its own, and established none yet".to_owned()),
    };
    let parts = [
        key,
        own,
        named("EUI", &row.eui),
        named("IMEI", &row.imei),
        named("serial", &row.serial),
        before.map(|before| format!("in the place of {before}")),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// `silent 26 h; expected every 24 h ± 2 h: late, not failed; next chance ~14:10 UTC; last: 41 % of 1.4`
fn silence(contact: &ContactRow, detail: &DeviceDetail) -> String {
    let heard = match contact.silent_s {
        Some(silent_s) => format!("silent {}", span(silent_s)),
        None if contact.state == "never" => "never heard".to_owned(),
        None => "silent for an unknown time".to_owned(),
    };
    let (interval, tolerance) = (span(contact.interval_s.into()), span(contact.tolerance_s.into()));
    let verdict = match contact.state.as_str() {
        "late" => "late, not failed".to_owned(),
        "missing" => format!("missing, {} check-ins did not come", contact.missed_check_ins),
        "not judged" => "not judged, for the clock is not set or was not then".to_owned(),
        "never" => "waiting for its first check-in".to_owned(),
        other => other.to_owned(),
    };
    let mut line = format!("{heard}; expected every {interval} ± {tolerance}: {verdict}");
    if let Some(next_unix_s) = contact.next_unix_s {
        line += &format!("; next chance ~{}", clock_time(next_unix_s));
    }
    if let Some(transfer) = &detail.transfer {
        let version = detail
            .target_version
            .clone()
            .filter(|version| !version.is_empty());
        let version = version.or_else(|| detail.device.target.as_deref().map(short));
        line += &format!(
            "; last: {} % of {}",
            transfer.percent,
            version.unwrap_or_default()
        );
    }
    line
}

fn candidate(candidate: &CandidateRow) -> String {
    let mark = if candidate.chosen { "*" } else { " " };
    let (size, air) = (bytes(candidate.size_bytes), bytes(candidate.on_air_bytes));
    format!(
        "{mark} {:6} {size:>10}, {air:>10} on the air: {}",
        candidate.format, candidate.verdict
    )
}

/// With the device's own reason, when it refused or reverted the image.
fn history(update: &HistoryRow) -> String {
    let outcome = update.outcome.as_ref();
    let outcome = outcome.map_or(String::new(), |outcome| format!(": {outcome}"));
    let (image, since) = (short(&update.image), ago(update.changed_unix_s));
    let times = match update.offers {
        1 => "once".to_owned(),
        offers => format!("{offers} times"),
    };
    format!(
        "image {image} {}{outcome}, offered {times}, {since}",
        update.state
    )
}

/// The first lines that fit so many rows, the last of them saying how many do not.
fn fitting(lines: Vec<String>, room: usize) -> Vec<String> {
    let total: usize = lines.iter().map(|line| rows_of(line)).sum();
    if total <= room || room == 0 {
        let none = room == 0;
        return lines.into_iter().filter(|_| !none).collect();
    }
    let all = lines.len();
    let mut used = 1;
    let mut shown: Vec<String> = lines
        .into_iter()
        .take_while(|line| {
            used += rows_of(line);
            used <= room
        })
        .collect();
    shown.push(format!("… {} more; --all shows them", all - shown.len()));
    shown
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{DeviceRow, TrafficRow, TransferRow};

    fn detail(silent_s: Option<u64>, state: &str) -> DeviceDetail {
        DeviceDetail {
            device: DeviceRow {
                device: "525400000001".to_owned(),
                label: None,
                identity: IdentityRow::default(),
                claimed: true,
                is_proven: true,
                class_id: None,
                running: Some("3f2a3f2a3f2a3f2a".to_owned()),
                running_version: Some("1.3".to_owned()),
                sequence_number: Some(3),
                on_trial: false,
                in_place_reach_bytes: None,
                freshness: None,
                anchors: None,
                anchors_waiting: None,
                link: Some("nb-iot".to_owned()),
                last_seen_unix_s: 0,
                target: Some("0123456789abcdef0123".to_owned()),
            },
            trust: None,
            groups: Vec::new(),
            target_by: None,
            chain: vec!["a cause".to_owned(); 6],
            next_step: None,
            target_version: Some("1.4".to_owned()),
            contact: Some(ContactRow {
                silent_s,
                interval_s: 86_400,
                tolerance_s: 7_200,
                state: state.to_owned(),
                missed_check_ins: if state == "missing" { 5 } else { 0 },
                next_unix_s: silent_s.map(|_| 1_793_542_200),
            }),
            candidates: Vec::new(),
            transfer: Some(TransferRow {
                path: "k3Tq9Za".to_owned(),
                format: "patch".to_owned(),
                size_bytes: 1_000,
                served_bytes: 410,
                percent: 41,
                least_left_ms: 1_000,
                expected_left_s: None,
            }),
            deferral: None,
            updates: Vec::new(),
            traffic: TrafficRow::default(),
        }
    }

    fn silence_of(silent_s: Option<u64>, state: &str) -> String {
        let detail = detail(silent_s, state);
        silence(detail.contact.as_ref().unwrap(), &detail)
    }

    #[test]
    fn a_silence_says_what_it_means() {
        for (silent_s, state, line) in [
            (
                Some(26 * 3_600 + 60),
                "late",
                "silent 26 h; expected every 24 h ± 2 h: late, not failed; next chance ~14:10 UTC; last: 41 % of 1.4",
            ),
            (
                Some(600),
                "on time",
                "silent 10 min; expected every 24 h ± 2 h: on time; next chance ~14:10 UTC; last: 41 % of 1.4",
            ),
            (
                Some(5 * 86_400),
                "missing",
                "silent 5 d; expected every 24 h ± 2 h: missing, 5 check-ins did not come; next chance ~14:10 UTC; \
                 last: 41 % of 1.4",
            ),
            (
                None,
                "never",
                "never heard; expected every 24 h ± 2 h: waiting for its first check-in; last: 41 % of 1.4",
            ),
            (
                None,
                "not judged",
                "silent for an unknown time; expected every 24 h ± 2 h: not judged, for the clock is not set or was \
                 not then; last: 41 % of 1.4",
            ),
        ] {
            assert_eq!(silence_of(silent_s, state), line);
        }
    }

    #[test]
    fn however_much_there_is_to_say_the_screen_has_24_rows_and_counts_the_rest() {
        let mut detail = detail(Some(600), "on time");
        let update = HistoryRow {
            image: "0123456789abcdef0123".to_owned(),
            sequence_number: None,
            state: "withheld".to_owned(),
            outcome: Some("reverted: watchdog".to_owned()),
            offers: 2,
            changed_unix_s: 0,
        };
        detail.updates = vec![update; 40];
        let candidate = CandidateRow {
            format: "patch".to_owned(),
            size_bytes: 900,
            on_air_bytes: 1_000,
            chosen: false,
            verdict: "costs 12 bytes more on the air".to_owned(),
        };
        detail.candidates = vec![candidate; 40];
        let text = |all| {
            let mut out = Vec::new();
            show(&detail, Style { json: false, all }, &mut out).unwrap();
            String::from_utf8(out).unwrap()
        };
        let shown = text(false);
        let taken: usize = shown.lines().map(rows_of).sum();
        assert!(taken < SCREEN_ROWS, "{taken} rows: {shown}");
        assert!(
            shown.contains("withheld: reverted: watchdog, offered 2 times"),
            "{shown}"
        );
        assert_eq!(shown.matches("more; --all shows them").count(), 2, "{shown}");
        assert!(text(true).lines().count() > 80);
    }
}
