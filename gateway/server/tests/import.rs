//! The only way an image gets in.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::device::Device;
use support::{Site, firmware, hex, sha256};
use wire_coap::{BlockSize, Code};

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
        refused.stderr.lines().nth(2).unwrap().starts_with("hint: "),
        "{}",
        refused.stderr
    );
    assert_eq!(site.json("image list")["images"].as_array().unwrap().len(), 0);
    assert!(site.files("images").is_empty());
    let audit = site.audit();
    assert_eq!(audit.len(), 1);
    assert!(audit[0].starts_with("refused: "), "{audit:?}");
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
fn an_image_signed_again_with_a_higher_sequence_number_is_the_newer_release() {
    let mut site = Site::started();
    let image = firmware(1, 20_000);
    let digest = site.import("v1", &image, 3);
    site.sign("older", &image, 2, "publisher");
    let refused = site.run("image import older.suit");
    assert_eq!(refused.code, Some(1));
    assert!(
        refused.stderr.contains("with sequence number 3"),
        "{}",
        refused.stderr
    );
    assert_eq!(site.json("image list")["images"][0]["sequence_number"], 3);

    site.sign("again", &image, 4, "publisher");
    let done = site.done("image import again.suit");
    assert!(done.contains("sequence number 4, 3 before"), "{done}");
    site.kill();
    site.start();
    let listed = site.json("image list");
    assert_eq!(listed["images"].as_array().unwrap().len(), 1);
    assert_eq!(listed["images"][0]["sequence_number"], 4);
    assert_eq!(listed["images"][0]["digest"], digest.as_str());
    assert_eq!(
        site.audit().last().unwrap(),
        "image imported again: sequence number 4, 3 before"
    );
}

#[test]
fn a_second_image_of_the_same_class_and_sequence_number_leaves_an_audit_line_and_nothing_else() {
    let site = Site::started();
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    site.sign("rival", &firmware(2, 20_000), 1, "publisher");
    let refused = site.run("image import rival.suit");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let [problem, changed, hint] = refused.stderr.lines().collect::<Vec<_>>()[..] else {
        panic!("{refused:?}");
    };
    assert!(
        problem.contains("has sequence number 1, which image "),
        "{problem}"
    );
    assert_eq!(changed, "nothing changed");
    assert!(
        hint.starts_with("hint: deltagate image sign FILE --sequence 2 --version "),
        "{hint}"
    );
    assert_eq!(site.files("images"), [digest]);
    assert!(site.audit()[1].starts_with("refused: "), "{:?}", site.audit());
}

#[test]
fn an_image_is_served_when_its_import_is_answered() {
    let site = Site::started();
    for sequence in 1..6 {
        let digest = site.import("v", &firmware(sequence, 300_000), sequence);
        let mut client = Device::running(1, b"any", 1);
        let block = client.block(
            site.address(),
            &format!("i/{}", &digest[..16]),
            0,
            BlockSize::B1024,
        );
        assert_eq!(block.code, Code::CONTENT, "image {sequence}");
    }
}

#[test]
fn importing_again_heals_an_image_that_was_lost() {
    let mut site = Site::started();
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    site.kill();
    for directory in ["images", "artefacts"] {
        std::fs::remove_dir_all(site.state().join(directory)).unwrap();
    }
    site.start();
    site.wait_until_built();
    assert_eq!(site.json("status")["failed_builds"], 1);
    assert!(site.done("image import v1.suit").contains("imported before"));
    assert_eq!(site.json("status")["failed_builds"], 0);
    let mut client = Device::running(1, b"any", 1);
    let (image, _) = client.fetch_from(
        site.address(),
        &format!("i/{}", &digest[..16]),
        0,
        BlockSize::B1024,
    );
    assert_eq!(image, firmware(1, 20_000));
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

/// One of the files in `fixtures/firmware`, copied into the site.
fn fixture(site: &Site, name: &str) {
    let fixtures = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/firmware");
    std::fs::copy(fixtures.join(name), site.path().join(name)).unwrap();
}

#[test]
fn a_firmware_file_is_told_that_it_is_not_signed() {
    let site = Site::started();
    for (name, kind) in [
        ("image.hex", "Intel HEX"),
        ("image.uf2", "UF2"),
        ("mcuboot.bin", "MCUboot"),
    ] {
        fixture(&site, name);
        let refused = site.run(&format!("image import {name}"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(kind), "{}", refused.stderr);
        assert!(
            refused.stderr.contains("hint: nothing changed; sign it first"),
            "{}",
            refused.stderr
        );
    }
    assert!(site.files("images").is_empty());
}

#[test]
fn a_detached_image_may_come_in_any_firmware_file() {
    let site = Site::started();
    fixture(&site, "image.hex");
    fixture(&site, "image.srec");
    site.done(
        "image sign image.hex --vendor example.com --class thermometer --version 1.0 --sequence 1 --key publisher.key \
         --out v1.suit --detached",
    );
    site.done("image import v1.suit --image image.srec");
    let listed = site.json("image list");
    assert_eq!(listed["images"][0]["size_bytes"], 768);
}

#[test]
fn a_file_that_cannot_be_read_or_is_nothing_signed_is_refused_with_what_to_do() {
    let site = Site::started();
    let ran = site.run("image import nowhere.suit");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "error: cannot read nowhere.suit: No such file or directory (os error 2)\nnothing changed\n\
         hint: check its name, and the directory that you are in\n"
    );
    let ran = site.run("image import gateway.toml");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(
        ran.stderr
            .contains("\nnothing changed\nhint: it is nothing that was signed: "),
        "{}",
        ran.stderr
    );
}
