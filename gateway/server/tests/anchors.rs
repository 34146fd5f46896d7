//! Sets of trust anchors at a gateway: a key is rotated, another one is taken away, and two have to sign.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::device::Device;
use support::{Site, firmware, hex, sha256};

/// A gateway whose devices have the keys `publisher` and `safe` from the factory; `next` is new.
fn site() -> Site {
    let mut site = Site::new();
    for key in ["safe", "next"] {
        site.done(&format!("key generate --out {key}"));
    }
    trust_both(&site);
    site.start();
    site
}

/// What the devices have from the factory.
fn trust_both(site: &Site) {
    let config = site.path().join("gateway.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let both = text.replace("[\"publisher.pub\"]", "[\"publisher.pub\", \"safe.pub\"]");
    assert_ne!(both, text);
    std::fs::write(&config, both).unwrap();
}

/// A set that `safe` signed: these release keys, `safe` for recovery.
fn set(site: &Site, number: u16, release: &str, more: &str) -> String {
    let file = format!("set{number}");
    site.done(&format!(
        "anchors new --number {number} --sequence-max 100 --release {release} --recovery safe.pub {more} --out {file}"
    ));
    site.done(&format!("anchors sign {file} --key safe.key"));
    file
}

#[test]
fn a_key_that_leaked_is_taken_away_and_a_new_one_takes_its_place() {
    let site = site();
    let (old, new) = (firmware(1, 20_000), firmware(2, 20_000));
    site.import("v1", &old, 1);
    let image = site.import("v2", &new, 2);
    let set = set(&site, 1, "next.pub", "--retired publisher.pub");
    let done = site.done(&format!("anchors import {set}"));
    assert!(done.contains("set 1 of trust anchors is in force"), "{done}");
    assert!(
        done.contains("offered to nobody any more") && done.contains(&image[..16]),
        "{done}"
    );
    assert!(
        site.done(&format!("anchors import {set}"))
            .contains("nothing to do")
    );
    let shown = site.done(&format!("image show {}", &image[..8]));
    assert!(shown.contains("offered   to nobody: set 1"), "{shown}");

    site.sign("v3", &firmware(3, 20_000), 3, "publisher");
    let refused = site.run("image import v3.suit");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused
            .stderr
            .contains("set 1 of trust anchors does not let the file in"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("deltagate image cosign FILE --key KEY"),
        "{}",
        refused.stderr
    );
    site.done("image cosign v3.suit --key next.key");
    site.done("image import v3.suit");
    let shown = site.json(&format!(
        "image show {}",
        &hex(&sha256(&firmware(3, 20_000)))[..16]
    ));
    assert_eq!(shown["image"]["signatures"].as_array().unwrap().len(), 2);
    assert_eq!(shown["image"]["distrusted"], serde_json::Value::Null);

    site.sign("v101", &firmware(4, 20_000), 101, "next");
    let refused = site.run("image import v101.suit");
    assert!(
        refused.stderr.contains("no sequence number above 100"),
        "{}",
        refused.stderr
    );
    let audit = site.done("audit");
    assert!(
        audit.contains("anchors-import") && audit.contains("set 1 of trust anchors is in force"),
        "{audit}"
    );
}

#[test]
fn with_two_needed_one_signature_is_not_enough() {
    let site = site();
    let set = set(&site, 1, "publisher.pub next.pub", "--release-min 2");
    site.done(&format!("anchors import {set}"));
    site.sign("v1", &firmware(1, 20_000), 1, "publisher");
    let refused = site.run("image import v1.suit");
    assert!(
        refused.stderr.contains("not enough trusted keys signed it"),
        "{}",
        refused.stderr
    );
    site.done("image cosign v1.suit --key next.key");
    site.done("image import v1.suit");
}

#[test]
fn sets_of_strangers_and_old_ones_are_refused_and_say_why() {
    let site = site();
    site.done("anchors new --number 1 --sequence-max 9 --release next.pub --recovery next.pub --out mine");
    let unsigned = site.run("anchors import mine");
    assert_eq!(unsigned.code, Some(1));
    assert!(
        unsigned.stderr.contains("is not signed by 1 recovery key"),
        "{}",
        unsigned.stderr
    );
    assert!(unsigned.stderr.contains("nothing changed"), "{}", unsigned.stderr);
    site.done("anchors sign mine --key next.key");
    assert!(
        site.run("anchors import mine")
            .stderr
            .contains("`trust` in gateway.toml names")
    );
    let second = set(&site, 2, "next.pub", "");
    site.done(&format!("anchors import {second}"));
    let first = set(&site, 1, "next.pub", "");
    let older = site.run(&format!("anchors import {first}"));
    assert!(
        older
            .stderr
            .contains("set 1 of trust anchors is not newer than set 2"),
        "{}",
        older.stderr
    );
    site.sign("v1", &firmware(1, 20_000), 1, "next");
    let release = site.run("anchors import v1.suit");
    assert!(release.stderr.contains("v1.suit"), "{}", release.stderr);
    assert_eq!(site.json("anchors list")["sets"].as_array().unwrap().len(), 1);
}

#[test]
fn devices_get_it_and_who_has_not_is_named_also_after_a_restart() {
    let mut site = site();
    let (old, new) = (firmware(1, 20_000), firmware(2, 20_000));
    site.import("v1", &old, 1);
    let mut device = Device::running(1, &old, 1);
    device.check_in.anchors = Some(0);
    device.check_in(site.address());
    site.done(&format!("device claim {}", device.id()));
    assert!(device.check_in(site.address()).anchors.is_none());
    let file = set(&site, 1, "publisher.pub next.pub", "");
    let done = site.done(&format!("anchors import {file}"));
    assert!(
        done.contains("it goes to 1 device at the next check-in"),
        "{done}"
    );
    let doctor = site.run("doctor");
    assert!(doctor.stdout.contains("anchors"), "{doctor:?}");
    assert!(
        site.done("anchors list")
            .contains("1 device has not got the set in force")
    );
    site.kill();
    trust_both(&site);
    site.start();
    let envelope = std::fs::read(site.path().join(&file)).unwrap();
    assert_eq!(device.check_in(site.address()).anchors, Some(envelope));
    let shown = site.done(&format!("device show {}", device.id()));
    assert!(
        shown.contains("trust: the factory's trust anchors; set 1 goes"),
        "{shown}"
    );

    device.check_in.anchors = Some(1);
    assert_eq!(device.check_in(site.address()).anchors, None);
    assert!(!site.done("anchors list").contains("not got"));
    assert_eq!(site.json("anchors list")["sets"][0]["devices"], 1);
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["device"]["anchors"], 1);
    // What it lets in after a restart is what it let in before.
    site.sign("v2", &new, 2, "next");
    site.done("image import v2.suit");
}
