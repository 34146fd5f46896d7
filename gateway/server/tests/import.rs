//! The only way an image gets in.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::{Site, firmware, hex, sha256};

#[test]
fn an_image_of_a_trusted_publisher_is_kept_compressed_and_listed() {
    let site = Site::started();
    let image = vec![7; 100_000];
    let digest = site.import("v1", &image, 1);
    let listed = site.json("image list");
    assert_eq!(listed["images"][0]["digest"], digest.as_str());
    assert_eq!(listed["images"][0]["image_version"], "1.0");
    assert_eq!(listed["images"][0]["size_bytes"], 100_000);
    assert_eq!(site.files("images"), [digest.as_str()]);
    let size = std::fs::metadata(site.state().join("images").join(&digest))
        .unwrap()
        .len();
    assert!(size < 10_000, "{size} bytes at rest");
    let shown = site.json(&format!("image show {}", &digest[..6]));
    assert_eq!(shown["image"]["digest"], digest.as_str());
}

#[test]
fn importing_twice_is_harmless() {
    let site = Site::started();
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    assert!(site.done("image import v1.suit").contains("imported before"));
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 1);
    assert_eq!(site.files("images"), [digest]);
}

#[test]
fn an_image_signed_by_a_stranger_leaves_an_audit_line_and_nothing_else() {
    let site = Site::started();
    site.done("key generate --out stranger");
    site.sign("bad", &firmware(1, 20_000), 1, "stranger");
    let refused = site.run("image import bad.suit");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.starts_with("error: cannot import bad.suit: "),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.contains("no signature is by a trusted key"),
        "{}",
        refused.stderr
    );
    assert!(
        refused.stderr.lines().nth(1).unwrap().starts_with("hint: "),
        "{}",
        refused.stderr
    );
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 0);
    assert!(site.files("images").is_empty());
    let audit = site.audit();
    assert_eq!(audit.len(), 1);
    assert!(audit[0].starts_with("rejected: "), "{audit:?}");
}

#[test]
fn a_damaged_file_is_refused() {
    let site = Site::started();
    site.sign("v1", &firmware(1, 20_000), 1, "publisher");
    let file = site.path().join("v1.suit");
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(site.run("image import v1.suit").code, Some(1));
    std::fs::write(&file, b"not an envelope").unwrap();
    assert_eq!(site.run("image import v1.suit").code, Some(1));
    std::fs::write(&file, b"").unwrap();
    assert_eq!(site.run("image import v1.suit").code, Some(1));
    assert!(site.files("images").is_empty());
    assert_eq!(site.audit().len(), 3);
}

#[test]
fn an_image_that_is_known_under_another_sequence_number_is_refused_and_stays_as_it_was() {
    let site = Site::started();
    let image = firmware(1, 20_000);
    let digest = site.import("v1", &image, 1);
    site.sign("again", &image, 2, "publisher");
    let refused = site.run("image import again.suit");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert_eq!(site.files("images"), [digest]);
    assert_eq!(site.json("image list")["images"][0]["sequence_number"], 1);
    assert!(site.audit()[1].starts_with("rejected: "), "{:?}", site.audit());
}

#[test]
fn a_detached_image_is_sent_beside_its_envelope() {
    let site = Site::started();
    let image = firmware(1, 20_000);
    std::fs::write(site.path().join("v1.bin"), &image).unwrap();
    site.done(
        "image sign v1.bin --vendor example.com --class c --version 1 --sequence 1 --key publisher.key \
         --out v1.suit --detached",
    );
    assert_eq!(site.run("image import v1.suit").code, Some(1));
    site.done("image import v1.suit --image v1.bin");
    assert_eq!(site.files("images"), [hex(&sha256(&image))]);
}

#[test]
fn what_an_interrupted_import_left_goes_at_the_next_start() {
    let mut site = Site::started();
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    site.kill();
    let orphan = "ab".repeat(32);
    std::fs::write(
        site.state().join("images").join(&orphan),
        b"kept, but never recorded",
    )
    .unwrap();
    site.start();
    assert_eq!(site.files("images"), [digest]);
}
