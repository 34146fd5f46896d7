//! `fleet demo`: one update over an emulated NB-IoT link, then one that goes wrong.
//!
//! It believes nobody alone: the device runs version 2 only if its UART says so *and* the gateway's inventory says so,
//! and the bad image was offered once only if the bridge, which hears both, counted one offer. It was given the device's credentials
//! for that: all that is said is protected, by OSCORE.

mod report;
mod screen;
mod sizes;
mod table;

pub use report::{CheckIns, Cost, Grouped, PerBlock, Seconds};

use crate::board::Board;
use crate::bridge::{DeviceNumber, Seen};
use crate::firmware::Firmware;
use crate::gateway::{self, Deltagate};
use crate::link::LinkProfile;
use crate::rig::{Failure, Keys, Rig, RigConfig};
use crate::tap::Observed;
use screen::Screen;
use sizes::Sizes;
use std::path::PathBuf;
use std::time::Duration;
use table::Table;

/// What the demo needs.
#[derive(Clone, Debug, clap::Args)]
pub struct DemoConfig {
    /// The gateway's binary.
    #[arg(long)]
    deltagate: PathBuf,
    /// The folder that scripts/firmware filled.
    #[arg(long)]
    firmware: PathBuf,
    /// Chooses which packets the link loses.
    #[arg(long, default_value_t = 7)]
    seed: u64,
}

/// Longest wait for one step. The whole demo is meant to stay below five minutes.
const STEP_PATIENCE: Duration = Duration::from_secs(180);

/// Check-ins watched after the rollback, to see that the image is not offered again.
const QUIET_CHECK_INS: u32 = 2;

/// The image of the bad release.
const BAD_SEQUENCE: u32 = 3;

/// Runs the demo. An error says what was not shown.
pub fn run(config: &DemoConfig) -> Result<(), Failure> {
    let firmware = Firmware::at(&config.firmware);
    let screen = Screen::new();
    let profile = LinkProfile::NB_IOT;
    screen.say("the publisher makes a key; the operator enrols a device; it is shipped with version 1, that key and its credentials");
    let sizes = Sizes::read(&firmware)?;
    let mut rig = Rig::new(RigConfig {
        board: Board::Mps2An385,
        firmware: firmware.clone(),
        deltagate: Deltagate::at(&config.deltagate),
        profile,
        seed: config.seed,
        device: DeviceNumber(1),
        ack_timeout_ms: 5_000,
        check_in_interval_s: 10,
        keys: Keys::Shared,
    })?;
    let shown = both_updates(&screen, &mut rig);
    let cost = shown.map_err(|failure| format!("{failure}\n{}", rig.keep_files()))?;
    let table = Table {
        cost,
        per_block: PerBlock::measured(&cost.counts, cost.payload_bytes, BLOCK_BYTES)
            .ok_or("no payload crossed the link")?,
        image: firmware.read("v2.bin")?,
        sizes,
        stack: stack_line(&rig).ok_or("the device did not say how much stack it used")?,
        profile,
    };
    println!("\n{table}");
    screen
        .say("shown: version 2 runs, and the version that hangs was rolled back, reported and offered once");
    Ok(())
}

fn both_updates(screen: &Screen, rig: &mut Rig) -> Result<Cost, Failure> {
    let cost = good_update(screen, rig)?;
    bad_update(screen, rig)?;
    Ok(cost)
}

fn good_update(screen: &Screen, rig: &mut Rig) -> Result<Cost, Failure> {
    import(rig, "v1.bin", 1)?;
    screen.say(
        "the device is switched on, behind a link of 26 kbit/s down, 62 kbit/s up, 2 s round trip, 5 % loss",
    );
    rig.machine.start()?;
    let dropped = "sequence 2 dropped";
    let mark = follow(screen, rig, 0, "checked in", dropped)?;
    screen.say("version 2 is signed, imported and assigned to the device");
    assign(rig, "v2.bin", 2)?;
    let mark = follow(screen, rig, mark, "app: version 2", dropped)?;
    follow(screen, rig, mark, "sequence 2 confirmed", "reverting")?;
    let end_us = rig.bridge.now_us();
    let observed = two_counts_agree(rig)?;
    let device = gateway::device(&rig.gateway, &rig.device_id())?;
    if !device.runs(2) {
        return Err(format!("the device says that it runs version 2, the gateway says {device:?}").into());
    }
    screen.say("the gateway's inventory says so too: version 2, confirmed");
    if !observed.broken.is_empty() || observed.counts.payload_request_protection_bytes == 0 {
        return Err(format!("the channel is not what it is to be: {:?}", observed.broken).into());
    }
    screen.say("all that was said is encrypted and authenticated: the gateway serves nobody else");
    let offer = observed
        .offers
        .iter()
        .find(|offer| offer.sequence_number == 2)
        .ok_or("no offer of version 2 crossed the link")?;
    Ok(Cost {
        payload_bytes: u64::from(offer.payload_bytes),
        counts: observed.counts.since(&offer.before),
        taken: Duration::from_micros(end_us.saturating_sub(offer.asked_at_us)),
    })
}

fn bad_update(screen: &Screen, rig: &Rig) -> Result<(), Failure> {
    screen.say("now version 3, signed just as well, which hangs as soon as it runs");
    let mark = rig.machine.serial().mark();
    assign(rig, "v3-hang.bin", BAD_SEQUENCE)?;
    let confirmed = "sequence 3 confirmed";
    let mark = follow(screen, rig, mark, "app: hanging", confirmed)?;
    let mark = follow(screen, rig, mark, "app: version 2", confirmed)?;
    let mark = follow(screen, rig, mark, "sequence 3 reported", confirmed)?;
    screen.say("rolled back and reported; is it offered again?");
    let mut mark = mark;
    for _ in 0..QUIET_CHECK_INS {
        mark = follow(screen, rig, mark, "checked in", "on trial")?;
    }
    let offers = rig.bridge.seen().observed.offers_of(u64::from(BAD_SEQUENCE));
    let device = gateway::device(&rig.gateway, &rig.device_id())?;
    let update = device
        .update(BAD_SEQUENCE)
        .ok_or("the gateway does not remember the bad update")?;
    if offers != 1 || update.state != "withheld" || !device.runs(2) {
        return Err(format!("version 3 was offered {offers} times; the gateway says {device:?}").into());
    }
    screen.say(&format!(
        "no: offered {offers} time, now withheld ({}) until an operator says `update retry`",
        update.outcome.as_deref().unwrap_or("no reason")
    ));
    Ok(())
}

/// Every block but the last, on this link.
const BLOCK_BYTES: u64 = 1_024;

/// Waits for `words` of the device and fails at the words of `never`.
fn follow(screen: &Screen, rig: &Rig, from: usize, words: &str, never: &str) -> Result<usize, Failure> {
    screen.follow(rig, from, STEP_PATIENCE, words, never)
}

/// What was said over the link, once the tap and the link, which count apart, agree on the bytes. They can: the link of
/// the demo never refuses a packet, and a lost one is counted by both.
fn two_counts_agree(rig: &Rig) -> Result<Observed, Failure> {
    let agree = |seen: &Seen| seen.traffic.sent_bytes() == seen.observed.counts.bytes;
    match rig.bridge.wait_until(STEP_PATIENCE, agree) {
        Some(seen) => Ok(seen.observed),
        None => Err(format!("bytes on the air cannot be told: {:?}", rig.bridge.seen()).into()),
    }
}

/// The device's own words on its stack, at the reboot into the trial of version 2.
fn stack_line(rig: &Rig) -> Option<String> {
    let said = rig.machine.serial().lines_from(0);
    let used = said.iter().find_map(|line| line.split_once("rebooting; "))?;
    Some(used.1.to_owned())
}

fn import(rig: &Rig, image: &str, sequence: u32) -> Result<(), Failure> {
    let signed = rig.sign(image, sequence)?;
    rig.gateway
        .run(&["image", "import", &signed.display().to_string()])?;
    Ok(())
}

fn assign(rig: &Rig, image: &str, sequence: u32) -> Result<(), Failure> {
    import(rig, image, sequence)?;
    rig.gateway.run(&[
        "update",
        "assign",
        &rig.digest(image)?,
        "--device",
        &rig.device_id(),
    ])?;
    Ok(())
}
