//! Both slots destroyed: the device waits in recovery, and a technician brings an image over its serial line; with our
//! command, and with an SMP client that is not ours.

#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests are test code, which the lint does not see"
)]

#[path = "../support/mod.rs"]
mod support;

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use deltagate_flash::{Layout, Slot};
use fleet::board::Board;
use fleet::gateway::Deltagate;
use fleet::link::LinkProfile;
use fleet::rig::Rig;

/// A device that ran version 1 and has nothing to start now, at its mark in the serial log.
fn stranded() -> (Rig, usize) {
    let mut rig = support::running_rig(LinkProfile::FAST);
    rig.machine.kill();
    let mut flash = OpenOptions::new().write(true).open(rig.machine.flash()).unwrap();
    for slot in Slot::BOTH {
        // The first sectors of header and image: a part that lost its charge.
        let partition = Layout::EMULATED.slot(slot);
        flash.seek(SeekFrom::Start(partition.offset.into())).unwrap();
        flash.write_all(&[0x5A; 3 * 4096]).unwrap();
    }
    drop(flash);
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line(&rig, mark, "RECOVERY: no slot holds a valid image");
    let mark = support::line(&rig, mark, "waiting here for a signed image");
    (rig, mark)
}

fn recover(rig: &Rig, file: &Path) -> Command {
    let deltagate = Deltagate::locate().unwrap();
    let mut command = Command::new(deltagate.binary());
    command.args(["device", "recover", "--serial", &rig.machine.serial_line()]);
    command.arg(file).stdin(Stdio::null());
    command
}

fn text(output: &Output) -> String {
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    text(&output.stdout) + &text(&output.stderr)
}

/// Starts an upload and gives it back when it has come to `percent`.
fn begun(rig: &Rig, file: &Path, percent: u32) -> Child {
    let mut child = recover(rig, file)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stderr = child.stderr.as_mut().unwrap();
    let mut lines = BufReader::new(stderr).lines();
    let mut all = String::new();
    let is_there = |line: &String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        matches!(words[..], ["sent", sent, "%", ..] if sent.parse::<u32>().unwrap() >= percent)
    };
    let there = lines.by_ref().map_while(Result::ok).find(|line| {
        all += line;
        is_there(line)
    });
    if there.is_none() {
        let _ = child.wait();
        panic!("it ended early: {all}");
    }
    child
}

/// The image that was brought proves itself as after any update.
fn confirms_version_2(rig: &Rig, mark: usize) {
    let mark = support::line(rig, mark, "app: version 2");
    support::line(rig, mark, "sequence 2 confirmed");
}

/// It says where it went on, which is not at the beginning, and the device starts and confirms version 2.
fn goes_on_and_boots(rig: &Rig, mark: usize, file: &Path) {
    let output = recover(rig, file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let said = text(&output);
    let at = said
        .split("went on at byte ")
        .nth(1)
        .unwrap_or_else(|| panic!("{said}"));
    let at: u64 = at.split(' ').next().unwrap().parse().unwrap();
    assert!(at > std::fs::metadata(file).unwrap().len() / 5, "{said}");
    confirms_version_2(rig, mark);
}

/// Confirmed, and crashes at every start: without a technician it starts again and again, with one it tries what is brought.
fn crashes_until_a_technician_comes(board: Board, image: &str, sign_of_life: &str, reason: &str) {
    let mut rig = support::rig(board, LinkProfile::FAST, 2_000);
    rig.ship_instead(image).unwrap();
    support::run(&rig.gateway, &["device", "claim", &rig.device_id()]);
    rig.machine.start().unwrap();
    let mark = support::line(&rig, 0, sign_of_life);
    let mark = support::line(&rig, mark, &format!("the last run ended with: {reason}"));
    let mark = support::line(&rig, mark, "RECOVERY: the image crashed, and starts again in 5 s");
    let mark = support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    let mark = support::line(&rig, mark, sign_of_life);
    // Begun while the image runs, the command finds the seconds in which the bootloader listens.
    let file = rig.sign("v2.bin", 2).unwrap();
    let output = recover(&rig, &file).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let mark = support::line(&rig, mark, "starting slot B sequence 2, on trial, attempt 1");
    confirms_version_2(&rig, mark);
}

#[test]
fn a_confirmed_image_that_always_hangs_leaves_a_technician_time() {
    crashes_until_a_technician_comes(Board::Mps2An385, "v3-hang.bin", "app: hanging", "watchdog");
}

#[test]
fn a_confirmed_image_that_always_faults_leaves_a_technician_time() {
    crashes_until_a_technician_comes(Board::Mps2An385, "v4-fault.bin", "app: faulting", "fault");
}

#[test]
fn a_confirmed_risc_v_image_that_always_hangs_leaves_a_technician_time() {
    crashes_until_a_technician_comes(Board::Virt, "v3-hang.bin", "app: hanging", "watchdog");
}

#[test]
fn our_command_recovers_a_device_even_killed_half_way() {
    let (rig, mark) = stranded();
    let file = rig.sign("v2.bin", 2).unwrap();
    let mut killed = begun(&rig, &file, 40);
    killed.kill().unwrap();
    killed.wait().unwrap();
    goes_on_and_boots(&rig, mark, &file);
    support::line(&rig, mark, "starting slot A sequence 2, last resort");
}

#[test]
fn an_upload_that_lost_the_device_s_power_goes_on() {
    let (mut rig, _) = stranded();
    let file = rig.sign("v2.bin", 2).unwrap();
    let mut child = begun(&rig, &file, 60);
    rig.machine.kill();
    let mut complaint = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut complaint)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{complaint}");
    assert!(
        complaint.contains("hint: check cable and power, then run the same command again"),
        "{complaint}"
    );
    let mark = rig.machine.serial().mark();
    rig.machine.start().unwrap();
    let mark = support::line(&rig, mark, "waiting here for a signed image");
    goes_on_and_boots(&rig, mark, &file);
}

#[test]
fn what_is_not_for_the_device_is_refused_with_the_next_step() {
    let (rig, mark) = stranded();
    let stranger = rig.stranger().unwrap();
    let other_class = rig.sign_as(&rig.publisher, "barometer", "v2.bin", 2).unwrap();
    let older = rig.sign("v1.bin", 0).unwrap();
    let forged = rig.sign_as(&stranger, rig.class(), "v2.bin", 3).unwrap();
    for (file, problem, hint) in [
        (
            &other_class,
            "error: the file is for class ",
            "hint: take a file that was signed for this device",
        ),
        (
            &older,
            "error: the file has sequence 0, and the device has confirmed sequence 1",
            "hint: take the release it had",
        ),
        (
            &forged,
            "error: the device refuses the file: no signature is by a trusted key",
            "hint: deltagate image inspect",
        ),
    ] {
        let output = recover(&rig, file).output().unwrap();
        let said = text(&output);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(problem) && said.contains(hint), "{said}");
    }
    assert_eq!(
        rig.machine
            .serial()
            .lines_from(mark)
            .iter()
            .filter(|line| line.contains("boot:"))
            .count(),
        0,
        "still in recovery"
    );
    // And then the right one.
    let right = rig.sign("v1.bin", 1).unwrap();
    let output = recover(&rig, &right).output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    support::line(&rig, mark, "starting slot A sequence 1, confirmed");
    support::line(&rig, mark, "app: version 1");
}

fn smp_client(rig: &Rig, file: &Path) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let python = root.join(".build/venv-smp/bin/python");
    assert!(
        python.exists(),
        "{} is missing: run scripts/interop-tools, which installs smpclient there",
        python.display()
    );
    let line = rig.machine.serial_line();
    let output = Command::new(python)
        .arg(root.join("firmware-sim/fleet/tests/recovery/smp_upload.py"))
        .arg(line.strip_prefix("unix:").unwrap())
        .arg(file)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output));
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn an_smp_client_that_is_not_ours_recovers_the_device() {
    let (rig, mark) = stranded();
    let stranger = rig.stranger().unwrap();
    let forged = rig.sign_as(&stranger, rig.class(), "v2.bin", 2).unwrap();
    assert_eq!(
        smp_client(&rig, &forged).last().unwrap(),
        "refused 11 no signature is by a trusted key"
    );
    let right = rig.sign("v2.bin", 2).unwrap();
    assert_eq!(
        smp_client(&rig, &right),
        [
            "echo hello".to_owned(),
            "bootloader deltagate no slot holds a valid image".to_owned(),
            "piece 1020".to_owned(),
            "before 0".to_owned(),
            "uploaded True".to_owned(),
            format!("after 0 2 True {}", rig.digest("v2.bin").unwrap()),
            "reset True".to_owned(),
        ]
    );
    confirms_version_2(&rig, mark);
}
