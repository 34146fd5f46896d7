//! "Latest is N", from the publisher's command line to a device's answer, with the real gateway. `docs/freeze.md`.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::device::Device;
use support::{CLASS, Site, VENDOR, firmware};
use wire_checkin::Freshness;
use wire_manifest::SignedLatest;

fn state(site: &Site, sequence: u32, more: &str, out: &str) {
    site.done(&format!(
        "image latest --vendor {VENDOR} --class {CLASS} --sequence {sequence} {more} --key publisher.key --out {out}"
    ));
}

/// The number of the statement that a device is told which heard this one.
fn told(site: &Site, device: &mut Device, heard: u32) -> Option<u32> {
    device.check_in.freshness = Some(Freshness {
        number: heard,
        is_stale: heard == 0,
        is_behind: false,
    });
    let statement = device.check_in(site.address()).statement?;
    Some(SignedLatest::decode(&statement).unwrap().latest.number)
}

#[test]
fn what_a_publisher_states_reaches_devices_and_is_shown() {
    let mut site = Site::started();
    let old = firmware(1, 20_000);
    site.import("v1", &old, 1);
    let mut device = Device::running(1, &old, 1);
    assert_eq!(told(&site, &mut device, 0), None);
    site.done(&format!("device claim {}", device.id()));

    state(&site, 1, "--number 1", "1.suit");
    assert!(
        site.done("image import 1.suit").contains("is sequence 1"),
        "what it says is said"
    );
    assert_eq!(told(&site, &mut device, 0), Some(1));
    assert_eq!(told(&site, &mut device, 1), None);
    assert!(!site.done("status").contains("is the latest"), "all is well");
    assert!(site.done("doctor").contains("1 class is up to date"));

    // A release that is not here.
    state(&site, 2, "--after 1.suit", "2.suit");
    site.done("image import 2.suit");
    assert_eq!(told(&site, &mut device, 1), Some(2));
    let row = &site.json("status")["statements"][0];
    assert_eq!((row["latest"].as_u64(), row["held"].as_u64()), (Some(2), Some(1)));
    assert_eq!(
        (row["behind"].as_bool(), row["old"].as_bool()),
        (Some(true), Some(false))
    );
    let shown = site.done("status");
    assert!(
        shown.contains(": 2 is the latest, 1 the newest here:\n"),
        "{shown}"
    );
    let found = site.run("doctor").stdout;
    assert!(found.contains("2 is the latest, 1 the newest here"), "{found}");

    // An old one is refused, also after a restart, and leaves a trace.
    for _ in 0..2 {
        let refused = site.run("image import 1.suit");
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused.stderr.contains("is not newer than statement 2"),
            "{}",
            refused.stderr
        );
        site.kill();
        site.start();
    }
    assert_eq!(told(&site, &mut device, 1), Some(2));
    let trail = site.json("audit");
    let refused = |entry: &&serde_json::Value| {
        entry["what"] == "statement-import" && entry["outcome"].as_str().unwrap().starts_with("refused: ")
    };
    assert_eq!(
        trail["entries"]
            .as_array()
            .unwrap()
            .iter()
            .filter(refused)
            .count(),
        2
    );
    assert_eq!(
        site.json("image list")["images"].as_array().unwrap().len(),
        1,
        "no image"
    );

    // What the device says is shown.
    device.check_in.freshness = Some(Freshness {
        number: 2,
        is_stale: true,
        is_behind: true,
    });
    device.check_in(site.address());
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["device"]["freshness"]["stale"], true);
    assert!(
        shown["chain"].to_string().contains("statement 2, is too old"),
        "{shown}"
    );
    assert_eq!(site.json("status")["statements"][0]["stale_devices"], 1);

    site.import("v2", &firmware(2, 20_000), 2);
    assert!(!site.done("status").contains("is the latest"), "it is here now");
}

#[test]
fn a_stranger_states_nothing() {
    let site = Site::started();
    site.done("key generate --out stranger");
    site.done(&format!(
        "image latest --vendor {VENDOR} --class {CLASS} --sequence 9 --number 9 --key stranger.key --out 9.suit"
    ));
    let refused = site.run("image import 9.suit");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("no signature is by a trusted key"),
        "{}",
        refused.stderr
    );
    assert_eq!(site.json("status")["statements"].as_array().unwrap().len(), 0);
}
