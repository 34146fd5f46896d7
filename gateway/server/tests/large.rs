//! Images at the edges: two mebibytes, one byte over the slot, none at all, and the one that runs already.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::decode::apply;
use support::device::Device;
use support::{Site, firmware};
use wire_checkin::Format;
use wire_coap::BlockSize;

/// Two images of 2 MiB: the second has functions that grew, constants that changed and a table at another place.
fn large() -> (Vec<u8>, Vec<u8>) {
    let v1 = firmware(1, 2 << 20);
    let mut v2 = v1.clone();
    for at in (1_000..v2.len() - 1_000).step_by(50_000) {
        v2[at] ^= 0x55;
    }
    let table: Vec<u8> = v2.drain(700_000..760_000).collect();
    v2.splice(1_500_000..1_500_000, table);
    v2.splice(300_000..300_000, *b"twelve bytes");
    v2.truncate(2 << 20);
    (v1, v2)
}

#[test]
fn californium_889_an_image_of_two_mebibytes_is_imported_and_comes_as_a_delta() {
    let site = Site::started();
    let (v1, v2) = large();
    site.import("v1", &v1, 1);
    let digest = site.import("v2", &v2, 2);
    let mut device = Device::running(1, &v1, 1);
    device.check_in.slot_capacity_bytes = (2 << 20) + (128 << 10);
    device.check_in(site.address());
    site.done(&format!(
        "update assign {} --device {}",
        &digest[..16],
        device.id()
    ));
    let (job, _) = device.job(&site);
    assert_eq!(job.format, Format::Patch);
    let (payload, _) = device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B1024);
    assert!(payload.len() < 4_096, "{} bytes for 45 changes", payload.len());
    assert_eq!(apply(&v1, &payload), v2);
}

#[test]
fn an_image_one_byte_over_the_slot_is_not_assigned() {
    let site = Site::started();
    let image = firmware(2, 50_001);
    let digest = site.import("v2", &image, 2);
    let mut device = Device::running(1, &firmware(1, 50_000), 1);
    device.check_in.slot_capacity_bytes = 50_000;
    device.check_in(site.address());
    let assign = format!("update assign {} --device {}", &digest[..16], device.id());
    let refused = site.run(&assign);
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("has 50001 bytes, and the slot of device"),
        "{}",
        refused.stderr
    );
    assert!(refused.stderr.contains("holds 50000"), "{}", refused.stderr);
    assert!(device.check_in(site.address()).job.is_none());
    let refused = site.run(
        "image sign v2.bin --vendor example.com --class thermometer --version 3.0 --sequence 3 --key publisher.key \
         --out v3.suit --slot-bytes 50000",
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("image has 50001 bytes, and the slot 50000"),
        "{}",
        refused.stderr
    );
    assert!(!site.path().join("v3.suit").exists());
    device.check_in.slot_capacity_bytes = 50_001;
    device.check_in(site.address());
    site.done(&assign);
    let (job, _) = device.job(&site);
    assert_eq!(job.format, Format::Full, "it needs no room to stage");
}

#[test]
fn an_empty_image_is_not_signed() {
    let site = Site::new();
    std::fs::write(site.path().join("empty.bin"), b"").unwrap();
    let refused = site.run(
        "image sign empty.bin --vendor example.com --class thermometer --version 1.0 --sequence 1 --key publisher.key \
         --out v1.suit",
    );
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused.stderr.contains("it has no bytes to load"),
        "{}",
        refused.stderr
    );
    assert!(!site.path().join("v1.suit").exists());
}

#[test]
fn a_device_that_runs_the_image_already_gets_nothing_and_is_up_to_date() {
    let site = Site::started();
    let image = firmware(1, 50_000);
    let digest = site.import("v1", &image, 1);
    let mut device = Device::running(1, &image, 1);
    device.check_in(site.address());
    site.done(&format!(
        "update assign {} --device {}",
        &digest[..16],
        device.id()
    ));
    assert!(device.check_in(site.address()).job.is_none());
    let updates = site.json("update status");
    assert_eq!(updates["updates"][0]["stage"], "up to date");
    assert_eq!(site.json("status")["building"], 0);
    assert_eq!(
        site.files("artefacts").len(),
        2,
        "full and lz4, and no patch to itself"
    );
}
