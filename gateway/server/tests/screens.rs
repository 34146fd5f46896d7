//! What a technician is shown when things are not as they should be: on one screen, with the next command.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::device::Device;
use support::{Site, firmware};
use wire_checkin::{Deferral, DeferralReason, DeferralStage, Formats, Outcome};
use wire_coap::{BlockSize, Code};

/// The smallest terminal that anybody uses.
const ROWS: usize = 24;

fn assert_is_a_screen(text: &str) {
    assert!(text.lines().count() < ROWS, "{text}");
    assert!(!text.contains('\x1b'), "{text}");
}

/// A site where these devices run v1 and are assigned v2, and the digest of that.
fn site_with(devices: &mut [Device]) -> (Site, String) {
    let mut site = Site::new();
    site.configure("127.0.0.1:0", "check_in_interval_s = 86400\n");
    site.start();
    site.import("v1", &firmware(1, 30_000), 1);
    let digest = site.import("v2", &firmware(2, 30_000), 2);
    for device in devices {
        device.check_in(site.address());
        site.done(&format!(
            "update assign {} --device {}",
            &digest[..16],
            device.id()
        ));
    }
    site.wait_until_built();
    (site, digest)
}

fn device(id: u8) -> Device {
    Device::running(id, &firmware(1, 30_000), 1)
}

#[test]
fn status_names_the_few_devices_that_need_a_person_with_the_command_for_each() {
    let mut devices: Vec<Device> = (1..=30).map(device).collect();
    let (site, digest) = site_with(&mut devices);
    let shown = site.done("status");
    assert!(shown.contains("30 devices, 0 unclaimed"), "{shown}");
    assert!(shown.contains("\nno device needs you\n"), "{shown}");
    assert_is_a_screen(&shown);

    for device in &mut devices[..6] {
        device.check_in(site.address());
        device.report(site.address(), 2, Outcome::RevertedWatchdog);
    }
    let shown = site.done("status");
    let (id, image) = (devices[0].id(), &digest[..16]);
    assert!(
        shown.contains(&format!(
            "6 of 30 need you:\n  {id}: the device reported \"reverted: watchdog\", so the image is withheld\n    \
             deltagate update retry --device {id} --image {image}\n"
        )),
        "{shown}"
    );
    assert!(shown.contains("  … 3 more; --all shows them\n"), "{shown}");
    assert_is_a_screen(&shown);
    assert_eq!(site.json("status")["needs"].as_array().unwrap().len(), 6);
    let all = site.done("status --all");
    assert!(
        devices[..6]
            .iter()
            .all(|device| all.matches(&device.id()).count() >= 3),
        "{all}"
    );

    // The command that is named works.
    site.done(&format!("update retry --device {id} --image {image}"));
    assert!(site.done("status").contains("5 of 30 need you:"));
}

#[test]
fn a_device_that_is_late_is_told_from_one_that_failed() {
    let mut devices = [device(1)];
    let (mut site, _) = site_with(&mut devices);
    let [device] = &mut devices;
    device.check_in.formats = Formats::of(&[wire_checkin::Format::Full]);
    let (job, _) = device.job(&site);
    for number in 0..12 {
        device.block(site.address(), job.path.as_str(), number, BlockSize::B1024);
    }
    let show = format!("device show {}", device.id());
    let shown = site.done(&show);
    assert!(
        shown.contains("silent 0 s; expected every 24 h ± 2 h: on time; next chance ~"),
        "{shown}"
    );

    age_last_seen(&mut site, 26 * 3_600 + 60);
    let shown = site.done(&show);
    let line = shown.lines().nth(1).unwrap();
    assert!(
        line.starts_with("silent 26 h; expected every 24 h ± 2 h: late, not failed; next chance ~"),
        "{shown}"
    );
    assert!(line.ends_with(" UTC; last: 40 % of 2.0"), "{shown}");
    assert_is_a_screen(&shown);
    let contact = &site.json(&show)["contact"];
    assert_eq!(contact["state"], "late");
    assert_eq!(contact["interval_s"], 86_400);
    assert_eq!(contact["tolerance_s"], 7_200);
    assert!(site.done("status").contains("no device needs you"));

    // Heard in the future, by a clock that was wrong: nothing is concluded from it.
    age_last_seen(&mut site, -90_000);
    let shown = site.done(&show);
    assert!(shown.contains("silent for an unknown time"), "{shown}");
    assert!(shown.contains("not judged"), "{shown}");
}

#[test]
fn why_ends_in_one_action_whatever_the_matter_is() {
    let mut devices = [device(1)];
    let (mut site, digest) = site_with(&mut devices);
    let [device] = &mut devices;
    let id = device.id();
    let why = |site: &Site, cause: &str, action: &str| {
        let shown = site.done(&format!("why {id}"));
        let lines: Vec<_> = shown.lines().collect();
        assert_is_a_screen(&shown);
        let [first, causes @ .., next, command] = lines.as_slice() else {
            panic!("{shown}")
        };
        assert!(first.starts_with(&id), "{shown}");
        assert!(causes.iter().all(|line| line.starts_with("  → ")), "{shown}");
        assert!(causes.last().unwrap().contains(cause), "{shown}");
        assert!(next.starts_with("next: "), "{shown}");
        assert!(command.contains(action), "{shown}");
        let document = site.json(&format!("why {id}"));
        assert_eq!(document["chain"].as_array().unwrap().len(), causes.len());
        assert_eq!(document["next_step"]["command"], command.trim());
    };
    why(&site, "costs least", &format!("deltagate why {id}"));
    device.job(&site);
    why(&site, "it was told to fetch /", &format!("deltagate why {id}"));
    device.report(site.address(), 2, Outcome::RevertedWatchdog);
    let retry = format!("deltagate update retry --device {id} --image {}", &digest[..16]);
    why(&site, "the image is withheld", &retry);
    age_last_seen(&mut site, 27 * 3_600);
    why(
        &site,
        "it is silent for 27 h, though expected every 24 h: late, not failed",
        &retry,
    );
    site.done(&format!("update cancel --device {id}"));
    why(&site, "late, not failed", "deltagate update assign IMAGE");
    let unknown = site.run("why 525400000009");
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("is not known\nhint: "), "{unknown:?}");
}

#[test]
fn a_plan_says_what_each_device_would_be_sent_and_why_and_changes_nothing() {
    let mut site = Site::new();
    let link = "[[link]]\nname = \"slow\"\nprefixes = [\"127.0.0.0/8\"]\nrate_bits_per_second = 8_000\n\
                ack_timeout_ms = 3_000\n";
    site.configure("127.0.0.1:0", link);
    site.start();
    site.import("v1", &firmware(1, 30_000), 1);
    let mut next = firmware(1, 30_000);
    next[10_000..10_004].copy_from_slice(b"new!");
    let digest = site.import("v2", &next, 2);
    let image = &digest[..16];
    let mut devices: Vec<Device> = (1..=3).map(device).collect();
    site.done("group create roof");
    for device in &mut devices {
        device.check_in(site.address());
        site.done(&format!("group add roof {}", device.id()));
    }
    assert!(site.done("update plan").contains("nothing is assigned"));

    let shown = site.done(&format!("update plan {image} --group roof"));
    let id = devices[0].id();
    assert!(
        shown.contains(&format!("{id} to 2.0: ")) && shown.contains("at most "),
        "{shown}"
    );
    assert!(shown.contains("    its delta is not built yet\n"), "{shown}");
    assert!(
        shown.ends_with("\nnothing changed: this was a dry run\n"),
        "{shown}"
    );
    assert!(
        site.json("update status")["updates"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    assert_eq!(site.json("status")["building"], 0);

    // The same refusals as in earnest.
    let refused = site.run(&format!("update plan {image} --device 525400000009"));
    assert_eq!(refused.code, Some(1));
    assert_eq!(
        refused.stderr,
        "error: device 525400000009 is not known\nhint: deltagate device find 525400000009\n"
    );
    assert_eq!(site.run(&format!("update plan {image}")).code, Some(2));
    assert_eq!(site.run("update plan --group roof").code, Some(2));

    site.done(&format!("update assign {image} --group roof"));
    site.wait_until_built();
    let plan = site.json("update plan");
    let row = &plan["devices"][0];
    assert_eq!(
        (&row["format"], &row["at_most"]),
        (&"patch".into(), &false.into())
    );
    // 8,000 bit/s are a byte in a millisecond.
    assert_eq!(row["airtime_ms"], row["on_air_bytes"]);
    let air = row["on_air_bytes"].as_u64().unwrap();
    assert_eq!(plan["links"][0]["on_air_bytes"], 3 * air);

    // What was served is not sent again.
    let job = devices[0].check_in(site.address()).job.unwrap();
    devices[0].fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B1024);
    devices[1].report(site.address(), 2, Outcome::RefusedSignature);
    devices[1].check_in(site.address());
    devices[1].report(site.address(), 2, Outcome::RefusedSignature);
    let shown = site.done("update plan");
    assert!(
        shown.contains(&format!(
            "{id} to 2.0: nothing is sent\n    it has everything and installs\n"
        )),
        "{shown}"
    );
    assert!(
        shown.contains("    the device reported \"refused: signature\", so the image is withheld\n"),
        "{shown}"
    );
    assert!(shown.contains("\nlink slow: 1 device, "), "{shown}");
    assert_is_a_screen(&shown);
}

#[test]
fn an_assignment_names_whom_it_leaves_out_and_what_helps() {
    let site = Site::started();
    site.import("v1", &firmware(1, 30_000), 1);
    let digest = site.import("v2", &firmware(2, 30_000), 2);
    site.done("group create roof");
    for (number, sequence) in [(1, 1), (2, 7)] {
        let mut device = Device::running(number, b"somebody's own", sequence);
        device.check_in(site.address());
        site.done(&format!("group add roof {}", device.id()));
    }
    let shown = site.done(&format!("update assign {} --group roof", &digest[..16]));
    assert_eq!(
        shown,
        "assigned to 2 devices; 1 of them does not get it as things stand\n  525400000002: it already runs sequence number 7 and would refuse one that is not higher\n    \
         ask its publisher to sign a release with sequence number 8 or higher; import and assign that: \
         deltagate image sign FILE --sequence 8 --version VERSION --vendor DOMAIN --class NAME --key FILE --out FILE\n"
    );
    assert_is_a_screen(&shown);
    assert!(
        site.done("audit")
            .ends_with("1 of them does not get it as things stand\n"),
        "one clause of it is kept"
    );
}

#[test]
fn a_pause_says_what_it_stopped_and_what_it_cannot_and_lasts() {
    let mut devices: Vec<Device> = (1..=3).map(device).collect();
    let (mut site, _) = site_with(&mut devices);
    let address = site.address();
    // The first is in the middle, the second has everything, the third was told nothing.
    let first = devices[0].check_in(address).job.unwrap();
    devices[0].block(address, first.path.as_str(), 0, BlockSize::B64);
    let second = devices[1].check_in(address).job.unwrap();
    devices[1].fetch_from(address, second.path.as_str(), 0, BlockSize::B1024);
    assert_eq!(
        site.done("update pause"),
        "stopped new blocks; 1 transfer waits and goes on after update resume; 1 device is applying, safe, cannot be \
         recalled\n"
    );
    assert_eq!(site.done("update pause"), "nothing to do\n");
    assert_eq!(site.terminate(), Some(0));
    site.configure(&address.to_string(), "");
    site.start();
    let block = devices[0].block(address, first.path.as_str(), 1, BlockSize::B64);
    assert_eq!(
        (block.code, block.max_age),
        (Code::SERVICE_UNAVAILABLE, Some(300))
    );
    assert!(devices[2].check_in(address).job.is_none());
    let shown = site.done("status");
    assert!(shown.contains("\nupdates are paused since 2"), "{shown}");
    assert!(
        shown.contains("UTC: no block is served\n  deltagate update resume\n"),
        "{shown}"
    );
    assert_is_a_screen(&shown);
    let why = site.done(&format!("why {}", devices[2].id()));
    assert!(
        why.contains("  → updates are paused, so no block is served\n"),
        "{why}"
    );
    assert!(why.ends_with("\n  deltagate update resume\n"), "{why}");

    assert_eq!(
        site.done("update resume"),
        "serving blocks again; 1 transfer goes on within 300 s\n"
    );
    let block = devices[0].block(address, first.path.as_str(), 1, BlockSize::B64);
    assert_eq!(block.code, Code::CONTENT);
    assert!(site.json("status")["paused_unix_s"].is_null());
    assert!(devices[2].check_in(address).job.is_some());
}

/// Restarts the gateway with every device last heard so long ago.
fn age_last_seen(site: &mut Site, seconds: i64) {
    assert_eq!(site.terminate(), Some(0));
    let database = rusqlite::Connection::open(deltagate::store::path_in(&site.state())).unwrap();
    let changed = database.execute(
        "UPDATE device_traffic SET last_seen_unix_s = unixepoch() - ?1",
        [seconds],
    );
    assert_eq!(changed.unwrap(), 1);
    drop(database);
    site.start();
}

#[test]
fn every_refusal_and_deferral_is_named() {
    let mut devices = [device(1)];
    let (site, digest) = site_with(&mut devices);
    let [device] = &mut devices;
    device.job(&site);
    device.check_in.deferral = Some(Deferral {
        stage: DeferralStage::Restart,
        reason: DeferralReason::Battery,
        seconds: 7_260,
    });
    device.check_in(site.address());
    let show = format!("device show {}", device.id());
    let shown = site.done(&show);
    assert!(
        shown.contains("it waits for the device: battery, before restart, for 2 h"),
        "{shown}"
    );
    device.check_in.deferral = None;
    for (outcome, name) in [
        (Outcome::RefusedSignature, "refused: signature"),
        (Outcome::NoSpace, "no space"),
        (Outcome::RevertedWatchdog, "reverted: watchdog"),
        (Outcome::RevertedNoContact, "reverted: no contact"),
    ] {
        device.report(site.address(), 2, outcome);
        let shown = site.done(&show);
        let withheld = format!("image {} withheld: {name}, offered ", &digest[..16]);
        assert!(shown.contains(&withheld), "{name}: {shown}");
        assert!(
            shown.contains(&format!("the device reported \"{name}\"")),
            "{shown}"
        );
        assert_is_a_screen(&shown);
        site.done(&format!("update retry --device {}", device.id()));
        device.check_in(site.address());
    }
}

#[test]
fn a_device_is_found_by_what_a_technician_has_at_hand() {
    let site = Site::started();
    for number in 1..=3 {
        device(number).check_in(site.address());
    }
    site.done("device label 525400000002 roof-3");
    for text in ["roof-3", "ROOF", "52:54:00:00:00:02", "5054:00ff:fe00:0002"] {
        let shown = site.done(&format!("device find {text}"));
        let rows: Vec<_> = shown.lines().collect();
        assert!(
            rows[1].starts_with("525400000002  roof-3  unclaimed"),
            "{text}: {shown}"
        );
        assert_eq!(rows.len(), 2, "{text}: {shown}");
    }
    assert_eq!(
        site.json("device find 5254000000")["devices"]
            .as_array()
            .unwrap()
            .len(),
        3
    );

    let failed = site.run("device find rof-3");
    assert_eq!(failed.code, Some(1), "{failed:?}");
    assert!(failed.stdout.contains("525400000002  roof-3"), "{failed:?}");
    assert_eq!(
        failed.stderr,
        "error: no device has \"rof-3\"; these are the nearest\nhint: deltagate device show 525400000002\n"
    );
    let failed = site.run("device find submarine");
    assert_eq!(
        (failed.code, failed.stdout.as_str(), failed.stderr.as_str()),
        (
            Some(1),
            "",
            "error: no device has \"submarine\"\nhint: deltagate device list\n"
        )
    );
}

#[test]
fn a_label_stands_for_its_device_until_it_is_taken_away() {
    let mut site = Site::started();
    for number in 1..=2 {
        device(number).check_in(site.address());
    }
    site.done("device label 525400000001 Roof-3");
    let taken = site.run("device label 525400000002 roof-3");
    assert_eq!(taken.code, Some(1));
    assert_eq!(
        taken.stderr,
        "error: device 525400000001 is called \"roof-3\" already\nnothing changed\n\
         hint: deltagate device show 525400000001\n"
    );
    site.kill();
    site.start();
    site.done("device claim roof-3");
    let shown = site.done("device show roof-3");
    assert!(shown.starts_with("device 525400000001 (Roof-3) runs "), "{shown}");
    assert_eq!(site.json("device show ROOF-3")["device"]["label"], "Roof-3");

    site.done("device label roof-3 --remove");
    let gone = site.run("device show roof-3");
    assert_eq!(
        gone.stderr,
        "error: \"roof-3\" is neither an identifier of 2 to 32 hex digits nor a label\n\
         hint: deltagate device find \"roof-3\"\n"
    );
    assert_eq!(site.run("device label 525400000001").code, Some(2));
}

#[test]
fn a_failure_says_exactly_what_changed() {
    let site = Site::started();
    for number in 1..=2 {
        device(number).check_in(site.address());
    }
    site.done("group create roof");
    let failed = site.run("group add roof 525400000001 525400000002 525400000003 525400000001");
    assert_eq!(failed.code, Some(1));
    assert_eq!(
        failed.stderr,
        "error: device 525400000003 is not known\nchanged: 525400000001, 525400000002; nothing else\n\
         hint: deltagate device find 525400000003\n"
    );
    assert_eq!(
        site.json("group list")["groups"][0]["members"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let failed = site.run("group add nowhere 525400000001");
    assert_eq!(
        failed.stderr,
        "error: group nowhere does not exist\nnothing changed\nhint: deltagate group create nowhere\n"
    );
}

#[test]
fn a_gateway_that_breaks_off_leaves_it_open_whether_it_changed_anything() {
    let site = Site::new();
    let socket = std::os::unix::net::UnixListener::bind(site.path().join("broken.sock")).unwrap();
    let breaks_off = std::thread::spawn(move || drop(socket.accept().unwrap()));
    let failed = site.run("device claim 525400000001 --socket broken.sock");
    breaks_off.join().unwrap();
    assert_eq!(failed.code, Some(3), "{failed:?}");
    assert!(
        failed
            .stderr
            .contains("\nit is not known whether anything changed; the command may be repeated\n"),
        "{}",
        failed.stderr
    );
}
