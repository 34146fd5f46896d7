//! A store with a thousand images, a budget, and a disk that is full.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;
use std::path::PathBuf;

use deltagate::client::Client;
use deltagate::publisher::key::PrivateKey;
use deltagate::publisher::sign::{Statement, sign};
use support::device::Device;
use support::{CLASS, Site, VENDOR, firmware, hex, sha256};
use wire_coap::BlockSize;

/// Bytes in a directory of the state.
fn bytes_in(site: &Site, directory: &str) -> u64 {
    let entries = fs::read_dir(site.state().join(directory)).unwrap();
    entries
        .map(|entry| entry.unwrap().metadata().unwrap().len())
        .sum()
}

/// Every image has its file and every file its image, and nothing is half-written.
fn assert_consistent(site: &Site) {
    let images = site.json("image list")["images"].as_array().unwrap().len();
    let files = site.files("images");
    assert_eq!(files.len(), images, "{files:?}");
    let is_partial = |name: &String| name.contains('.');
    assert!(!files.iter().any(is_partial) && !site.files("artefacts").iter().any(is_partial));
}

/// Signs and imports without a process for each.
fn import(site: &Site, image: &[u8], sequence_number: u32) -> String {
    let key = PrivateKey::load(&site.path().join("publisher.key")).unwrap();
    let statement = Statement {
        vendor: VENDOR,
        class: CLASS,
        version: "1",
        description: None,
        sequence_number,
        follows: None,
    };
    let file = site.path().join("image.suit");
    fs::write(&file, sign(&statement, image, false, &key).unwrap()).unwrap();
    let client = Client::new(site.state().join("admin.sock"));
    client.import(&file, None).unwrap();
    hex(&sha256(image))
}

#[test]
fn a_thousand_images_stay_within_the_budget_and_none_is_lost() {
    const IMAGES: u32 = 1_000;
    const IMAGE_BYTES: usize = 2_048;
    // The originals are 2,048,000 bytes; made of them would be as much twice.
    const BUDGET: u64 = 2_500_000;
    let mut site = Site::in_memory();
    site.configure("127.0.0.1:0", &format!("disk_bytes_max = {BUDGET}\n"));
    site.start();
    let image = |number| firmware(number, IMAGE_BYTES);
    let digests: Vec<String> = (1..=IMAGES)
        .map(|number| import(&site, &image(number), number))
        .collect();
    site.wait_until_built();
    assert_eq!(site.files("images").len(), IMAGES as usize);
    let on_disk = bytes_in(&site, "artefacts") + u64::from(IMAGES) * IMAGE_BYTES as u64;
    assert!(on_disk <= BUDGET, "{on_disk} bytes");
    assert!(
        on_disk > BUDGET / 10 * 9,
        "no more than needed goes: {on_disk} bytes"
    );
    let status = site.json("status");
    assert_eq!(status["disk_bytes_max"], BUDGET);
    assert!(status["disk_bytes"].as_u64().unwrap() <= BUDGET, "{status}");
    assert_consistent(&site);
    // What was made of the second went first; it is brought to a device all the same.
    assert_eq!(
        site.json(&format!("image show {}", digests[1]))["artefacts"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
    let mut device = Device::running(1, &image(1), 1);
    device.check_in(site.address());
    site.done(&format!("update assign {} --device {}", digests[1], device.id()));
    device.job(&site);
    // An image as long as what is left does not fit, whatever goes.
    site.sign("large", &firmware(7_777, 400_000), 2_000, "publisher");
    refused(
        &site,
        "image import large.suit",
        &[
            "does not fit the disk budget",
            "hint: remove an image that nobody needs",
        ],
    );
    assert_consistent(&site);
}

/// A command that is refused, with these words.
fn refused(site: &Site, command: &str, words: &[&str]) {
    let ran = site.run(command);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    for words in words {
        assert!(ran.stderr.contains(words), "{words:?} is not in {}", ran.stderr);
    }
}

#[test]
fn images_are_pinned_and_removed_and_refusals_say_why() {
    let site = Site::started();
    let v1 = site.import("v1", &firmware(1, 5_000), 1);
    let v2 = site.import("v2", &firmware(2, 5_000), 2);
    let mut device = Device::running(1, &firmware(1, 5_000), 1);
    device.check_in(site.address());
    site.done(&format!("update assign {v2} --device {}", device.id()));
    site.wait_until_built();
    for (image, why) in [
        (&v1, "next update is made against it"),
        (&v2, "is assigned to device"),
    ] {
        let refused = site.run(&format!("image remove {}", &image[..8]));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(
            refused
                .stderr
                .starts_with(&format!("error: cannot remove {}: ", &image[..8])),
            "{}",
            refused.stderr
        );
        assert!(refused.stderr.contains(why), "{}", refused.stderr);
    }
    site.done(&format!("update cancel --device {}", device.id()));
    site.done(&format!("image pin {v2}"));
    assert_eq!(site.json("image list")["images"][1]["pinned"], true);
    let shown = site.done("image list");
    let rows: Vec<_> = shown.lines().collect();
    assert!(!rows[1].contains(" pinned "), "{shown}");
    assert!(
        rows[2].starts_with(&v2[..16]) && rows[2].contains(" pinned "),
        "{shown}"
    );
    assert!(
        site.run(&format!("image remove {v2}"))
            .stderr
            .contains("is pinned")
    );
    site.done(&format!("image unpin {v2}"));
    site.done(&format!("image remove {v2}"));
    assert_eq!(site.files("images"), [v1]);
    // Plain payloads of v1: its 5,000 bytes, and lz4.
    assert_eq!(site.files("artefacts").len(), 2);
    assert_consistent(&site);
}

#[test]
fn what_was_removed_stays_removed_and_pins_stay_after_a_restart() {
    let mut site = Site::started();
    let v1 = site.import("v1", &firmware(1, 5_000), 1);
    let v2 = site.import("v2", &firmware(2, 5_000), 2);
    site.done(&format!("image pin {v1}"));
    site.done(&format!("image remove {v2}"));
    site.kill();
    // As if the power had gone between the commit and the removal.
    fs::write(site.state().join("images").join(&v2), b"what is left").unwrap();
    fs::write(site.state().join("artefacts").join(&v2), b"what is left").unwrap();
    site.start();
    site.wait_until_built();
    assert_eq!(site.files("images"), [v1]);
    assert!(!site.files("artefacts").contains(&v2));
    assert_eq!(site.json("image list")["images"][0]["pinned"], true);
}

/// A write that breaks off in the middle, here for a limit on the length of files, which needs no privilege: nothing of the image stays.
#[test]
fn a_write_that_breaks_off_leaves_nothing() {
    let mut site = Site::new();
    // In blocks of 512 bytes: 2 MiB, which the database does not reach and the image does.
    site.start_under("trap '' XFSZ; ulimit -f 4096; exec \"$@\"");
    let kept = site.import("small", &firmware(1, 5_000), 1);
    site.sign("large", &firmware(2, 4 << 20), 2, "publisher");
    refused(
        &site,
        "image import large.suit",
        &["cannot keep the image", "nothing changed\nhint: make room"],
    );
    assert_eq!(site.files("images"), [kept]);
    assert_consistent(&site);
    assert_eq!(site.audit().len(), 2, "one accepted, one rejected");
    site.import("after", &firmware(3, 5_000), 3);
}

/// A gateway whose state lies on a disk of its own, of so many MiB. Where a machine forbids the mount, DELTAGATE_WITHOUT_MOUNTS=1 says so, and
/// the test says that it did not run; nothing is left out by itself.
fn on_a_small_disk(mebibytes: u32) -> Option<Site> {
    if std::env::var_os("DELTAGATE_WITHOUT_MOUNTS").is_some() {
        eprintln!("not run, as DELTAGATE_WITHOUT_MOUNTS asks: a disk that is really full");
        return None;
    }
    let mut site = Site::new();
    site.configure("127.0.0.1:0", "admin_socket = \"admin.sock\"\n");
    fs::create_dir(site.state()).unwrap();
    let mount = format!("mount -t tmpfs -o size={mebibytes}m,mode=700 tmpfs state && exec \"$@\"");
    site.start_under(&format!(
        "exec unshare --user --map-root-user --mount sh -c '{mount}' sh \"$@\""
    ));
    Some(site)
}

/// The state as its gateway sees it.
fn seen_state(site: &Site) -> PathBuf {
    PathBuf::from(format!(
        "/proc/{}/root{}",
        site.process_id(),
        site.state().display()
    ))
}

#[test]
fn a_disk_without_room_is_seen_before_anything_is_written() {
    let Some(site) = on_a_small_disk(20) else { return };
    site.import("small", &firmware(1, 5_000), 1);
    site.sign("large", &firmware(2, 4 << 20), 2, "publisher");
    // Three times its length, and of 20 MiB 8 are not for images.
    refused(
        &site,
        "image import large.suit",
        &[
            "the disk has no room: 12582912 bytes are needed",
            "nothing changed\nhint: make room",
        ],
    );
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 1);
    assert_eq!(fs::read_dir(seen_state(&site).join("images")).unwrap().count(), 1);
    site.import("after", &firmware(3, 100_000), 3);
}

#[test]
fn a_disk_that_others_fill_stops_nothing_and_is_used_again_when_there_is_room() {
    let Some(mut site) = on_a_small_disk(24) else {
        return;
    };
    let (v1, v2) = (firmware(1, 50_000), firmware(2, 50_000));
    let (mut device, _) = Device::assigned(&site, &v1, &v2);
    let (job, _) = device.job(&site);
    let filler = seen_state(&site).join("filler");
    let full = fs::write(&filler, vec![7; 24 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    site.sign("large", &firmware(3, 100_000), 3, "publisher");
    refused(&site, "image import large.suit", &["and 0 may be used"]);
    // Decisions are still stored, and blocks still served.
    for number in 0..50 {
        site.done(&format!("group create g{number}"));
    }
    assert!(
        !seen_state(&site).join("reserve").exists(),
        "it went to the database"
    );
    let (payload, _) = device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B1024);
    assert_eq!(payload.len(), job.payload_bytes as usize);
    fs::remove_file(filler).unwrap();
    site.done("image import large.suit");
    assert!(seen_state(&site).join("reserve").exists(), "held again");
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 3);
    assert_eq!(site.terminate(), Some(0));
}
