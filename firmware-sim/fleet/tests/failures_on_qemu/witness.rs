//! What `deltagate` prints of a device, and what it tells a technician to do.

#![allow(dead_code, reason = "each test program uses its own part")]
#![allow(unreachable_pub, reason = "the module is private to each test program")]

use crate::support;
use crate::table::{Ending, Told};
use fleet::gateway::{CommandFailed, Gateway};
use fleet::rig::Rig;
use serde::Deserialize;

/// What `device show` prints of the device now.
pub fn shown(rig: &Rig) -> Told {
    shown_by(&rig.gateway, &rig.device_id())
}

/// The same of another gateway.
pub fn shown_by(gateway: &Gateway, id: &str) -> Told {
    let printed = support::run(gateway, &["device", "show", id, "--all"]);
    Told {
        ending: ending(gateway, id),
        told: next_step(&printed),
        printed,
    }
}

/// Assigns version 2, waits until the device runs it, and says what is shown then.
pub fn updated(rig: &Rig) -> Told {
    support::assign_behind_its_back(rig, || support::assign(rig, "v2.bin", 2));
    rig.bridge.mend();
    runs(rig, 0, 2)
}

/// Waits until the device runs this sequence number, and says what is shown then.
pub fn runs(rig: &Rig, from: usize, sequence: u32) -> Told {
    support::line(rig, from, &format!("sequence {sequence} confirmed"));
    let told = shown(rig);
    assert!(
        told.printed.contains(&format!("sequence {sequence}")),
        "{}",
        told.printed
    );
    told
}

/// What a command printed that was refused, with its hint as the next step.
pub fn refused(result: Result<String, CommandFailed>, code: i32, ending: Ending) -> Told {
    let refused = result.expect_err("it is refused");
    assert_eq!(refused.exit_code, Some(code), "{refused}");
    let hint = refused
        .output
        .lines()
        .find_map(|line| line.strip_prefix("hint: "));
    Told {
        ending,
        told: hint.unwrap_or_default().to_owned(),
        printed: refused.output,
    }
}

/// The lines behind `next step:` that are its reason and its command.
fn next_step(printed: &str) -> String {
    let mut lines = printed
        .lines()
        .skip_while(|line| !line.starts_with("next step: "));
    let why = lines.next().expect("there always is one");
    let why = why.trim_start_matches("next step: ");
    match lines.next().and_then(|line| line.strip_prefix("  ")) {
        Some(command) => format!("{why}: {command}"),
        None => why.to_owned(),
    }
}

/// What `update status --json` says of each device that is asked here.
#[derive(Deserialize)]
struct Status {
    updates: Vec<Update>,
}

#[derive(Deserialize)]
struct Update {
    device: String,
    stage: String,
}

/// As the simulation judges it, by the stage that is shown.
fn ending(gateway: &Gateway, id: &str) -> Ending {
    let status: Status = gateway
        .json(&["update", "status"])
        .unwrap_or_else(|failed| panic!("{failed}"));
    let of_device = status.updates.iter().find(|update| update.device == id);
    match of_device.map(|update| update.stage.as_str()) {
        Some("up to date") => Ending::Updated,
        Some("withheld") => Ending::Withheld,
        Some("blocked") => Ending::Blocked,
        _ => Ending::Open,
    }
}
