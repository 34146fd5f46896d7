//! From an assignment to a confirmed image; what never happens again by itself; what a killed gateway still knows.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use support::decode::apply;
use support::device::Device;
use support::{Site, firmware, sha256};
use wire_checkin::{DigestPrefix, Format, Formats, Outcome};
use wire_coap::{BlockSize, Code};
use wire_manifest::{Anchor, TrustAnchors, verify};

/// Two images of 60,000 bytes that differ in a few places.
fn images() -> (Vec<u8>, Vec<u8>) {
    let v1 = firmware(1, 60_000);
    let mut v2 = v1.clone();
    v2.splice(30_000..30_004, *b"inserted text");
    v2[50_000] ^= 0x55;
    (v1, v2)
}

/// A site where a device that runs v1 is assigned v2, whose digest is given too.
fn assigned() -> (Site, Device, String) {
    let site = Site::started();
    let (v1, v2) = images();
    let (device, digest) = Device::assigned(&site, &v1, &v2);
    (site, device, digest)
}

fn anchor(site: &Site) -> Anchor {
    deltagate::publisher::load_anchors(&[site.path().join("publisher.pub")]).unwrap()[0]
}

#[test]
fn an_unknown_device_is_listed_and_gets_nothing() {
    let site = Site::started();
    let (v1, v2) = images();
    let digest = site.import("v2", &v2, 2);
    let mut device = Device::running(1, &v1, 1);
    site.done(&format!(
        "update assign {} --class {}",
        &digest[..16],
        class(&site)
    ));
    let told = device.check_in(site.address());
    assert!(told.job.is_none());
    assert_eq!(told.next_check_in_s, 3_600);
    let listed = site.json("device list --unclaimed");
    assert_eq!(listed["devices"][0]["device"], device.id().as_str());
    assert_eq!(listed["devices"][0]["claimed"], false);
    site.done(&format!("device claim {}", device.id()));
    assert!(
        site.json("device list --unclaimed")["devices"]
            .as_array()
            .unwrap()
            .is_empty()
    );
    device.job(&site);
}

fn class(site: &Site) -> String {
    site.json("image list")["images"][0]["class_id"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn an_assigned_device_gets_a_delta_that_makes_the_image_and_confirms_it() {
    let (site, mut device, digest) = assigned();
    let (v1, v2) = images();
    let (job, envelope) = device.job(&site);
    assert_eq!(job.format, Format::Patch);
    assert_eq!(job.sequence_number, 2);
    let manifest = verify(&envelope, &TrustAnchors::new(&[anchor(&site)])).unwrap();
    assert_eq!(manifest.image_digest, sha256(&v2));

    let (payload, etag) = device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B64);
    assert_eq!(payload.len(), job.payload_bytes as usize);
    assert_eq!(etag, job.etag());
    assert_eq!(sha256(&payload)[..16], job.artefact_digest);
    assert_eq!(apply(&v1, &payload), v2);

    device.check_in.running_digest = DigestPrefix::of(&sha256(&v2));
    device.check_in.sequence_number = 2;
    device.check_in.on_trial = true;
    assert!(device.check_in(site.address()).job.is_none());
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["updates"][0]["image"], digest.as_str());
    assert_eq!(shown["updates"][0]["state"], "confirmed");
    assert_eq!(shown["updates"][0]["sequence_number"], 2);
    assert_eq!(site.json("update status")["updates"][0]["stage"], "up to date");
    assert_eq!(site.run("status --watch --until-done").code, Some(0));
    let text = site.done(&format!("device show {}", device.id()));
    assert!(text.lines().count() <= 24, "{text}");
}

#[test]
fn a_device_with_a_single_slot_gets_a_patch_to_be_applied_in_place() {
    let (site, mut device, _) = assigned();
    let (v1, v2) = images();
    device.job(&site);
    device.check_in.formats = Formats::of(&[Format::Patch]);
    device.check_in.staging_bytes = Some(8_192);
    device.check_in.decoder_memory_bytes = 4_096;
    device.check_in.in_place_reach_bytes = Some(12_300);
    let (job, _) = device.job(&site);
    let (payload, _) = device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B64);
    let header = wire_patch::Header::parse(&payload).unwrap();
    assert_eq!(header.in_place.map(|reach| reach.bytes()), Some(12_288));
    assert_eq!(apply(&v1, &payload), v2);
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["device"]["in_place_reach_bytes"], 12_300);
    let text = site.done(&format!("device show {}", device.id()));
    assert!(text.contains("it has a single slot"), "{text}");
    assert!(text.contains("cannot be applied in place"), "{text}");

    // What the device says is kept, and what was built is not built again.
    drop(device);
    let image = site.json(&format!("image show {}", sha256_hex(&v2)));
    let reaches = image["artefacts"].as_array().unwrap().iter();
    let reaches: Vec<_> = reaches.map(|row| row["in_place_reach_bytes"].as_u64()).collect();
    assert_eq!(reaches.iter().flatten().collect::<Vec<_>>(), [&12_288]);
}

fn sha256_hex(bytes: &[u8]) -> String {
    sha256(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_manifest_can_be_fetched_beside_the_payload() {
    let (site, mut device, _) = assigned();
    let (job, envelope) = device.job(&site);
    let path = format!("{}/m", job.path);
    let (fetched, _) = device.fetch_from(site.address(), &path, 0, BlockSize::B32);
    assert_eq!(fetched, envelope);
}

#[test]
fn any_client_gets_a_full_image_by_its_digest() {
    let (site, mut device, digest) = assigned();
    let (_, v2) = images();
    let path = format!("i/{}", &digest[..16]);
    let (image, etag) = device.fetch_from(site.address(), &path, 0, BlockSize::B1024);
    assert_eq!(image, v2);
    assert_eq!(etag, sha256(&v2)[..4]);
    let unknown = device.block(site.address(), "i/0011223344556677", 0, BlockSize::B1024);
    assert_eq!(unknown.code, Code::NOT_FOUND);
}

#[test]
fn the_rest_of_a_payload_comes_from_a_gateway_that_was_killed_in_the_middle() {
    let (mut site, mut device, _) = assigned();
    let (_, v2) = images();
    device.check_in.formats = Formats::of(&[Format::Full]);
    let (job, _) = device.job(&site);
    let mut bytes = Vec::new();
    let mut etags = Vec::new();
    for number in 0..20 {
        let block = device.block(site.address(), job.path.as_str(), number, BlockSize::B512);
        bytes.extend(block.payload);
        etags.push(block.etag.unwrap());
    }
    site.kill();
    site.start();
    // No check-in in between: the device just goes on.
    let (rest, etag) = device.fetch_from(site.address(), job.path.as_str(), 20, BlockSize::B512);
    assert!(etags.iter().all(|before| *before == etag));
    bytes.extend(rest);
    assert_eq!(bytes, v2);
}

#[test]
fn artefacts_that_were_lost_are_built_again_and_the_transfer_goes_on() {
    let (mut site, mut device, digest) = assigned();
    let (job, _) = device.job(&site);
    let path = job.path.as_str();
    let (payload, etag) = device.fetch_from(site.address(), path, 0, BlockSize::B16);
    site.kill();
    for file in site.files("artefacts") {
        std::fs::remove_file(site.state().join("artefacts").join(file)).unwrap();
    }
    site.start();
    site.wait_until_built();
    let (rest, again) = device.fetch_from(site.address(), path, 1, BlockSize::B16);
    assert_eq!((rest.as_slice(), again), (&payload[16..], etag));
    let image = format!("i/{}", &digest[..16]);
    let (_, v2) = images();
    assert_eq!(
        device.fetch_from(site.address(), &image, 0, BlockSize::B1024).0,
        v2
    );
}

#[test]
fn a_garbled_or_removed_artefact_is_built_again_while_the_gateway_runs() {
    let damages: [fn(&std::path::Path); 2] = [
        |file| std::fs::remove_file(file).unwrap(),
        |file| {
            let length = std::fs::metadata(file).unwrap().len();
            std::fs::write(file, vec![0; length as usize]).unwrap();
        },
    ];
    let (v1, v2) = images();
    for damage in damages {
        let (site, mut device, _) = assigned();
        let (job, _) = device.job(&site);
        let path = job.path.as_str();
        for file in site.files("artefacts") {
            damage(&site.state().join("artefacts").join(file));
        }
        let first = device.block(site.address(), path, 0, BlockSize::B64);
        assert_eq!(first.code, Code::SERVICE_UNAVAILABLE);
        assert!(first.max_age.is_some());
        site.wait_until_built();
        let (payload, _) = device.fetch_from(site.address(), path, 0, BlockSize::B64);
        assert_eq!(apply(&v1, &payload), v2);
    }
}

#[test]
fn a_reverted_image_is_withheld_across_a_restart_until_retry() {
    let (mut site, mut device, digest) = assigned();
    device.job(&site);
    assert!(
        device
            .report(site.address(), 2, Outcome::RevertedWatchdog)
            .job
            .is_none()
    );
    site.kill();
    site.start();
    assert!(device.check_in(site.address()).job.is_none());
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["updates"][0]["state"], "withheld");
    assert_eq!(shown["updates"][0]["offers"], 1);
    let command = shown["next_step"]["command"].as_str().unwrap();
    assert!(command.contains("update retry"), "{command}");
    assert_eq!(site.run("status --watch --until-done").code, Some(1));

    site.done(&format!(
        "update retry --device {} --image {}",
        device.id(),
        &digest[..16]
    ));
    site.kill();
    site.start();
    device.job(&site);
    let shown = site.json(&format!("device show {}", device.id()));
    assert_eq!(shown["updates"][0]["offers"], 2);
}

#[test]
fn a_cancelled_update_withdraws_its_path() {
    let (site, mut device, _) = assigned();
    let (job, _) = device.job(&site);
    site.done(&format!("update cancel --device {}", device.id()));
    let block = device.block(site.address(), job.path.as_str(), 0, BlockSize::B64);
    assert_eq!(block.code, Code::NOT_FOUND);
    assert!(device.check_in(site.address()).job.is_none());
    assert!(
        site.done(&format!("update cancel --device {}", device.id()))
            .contains("nothing to do")
    );
}

#[test]
fn a_group_and_its_traffic_survive_a_clean_restart() {
    let mut site = Site::started();
    let (v1, v2) = images();
    let digest = site.import("v2", &v2, 2);
    let mut device = Device::running(1, &v1, 1);
    device.check_in(site.address());
    site.done("group create roof");
    site.done(&format!("group add roof {}", device.id()));
    site.done(&format!("update assign {} --group roof", &digest[..16]));
    let (job, _) = device.job(&site);
    device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B1024);
    let traffic = site.json(&format!("device show {}", device.id()))["traffic"].clone();
    assert!(traffic["down_bytes"].as_u64().unwrap() > 0);
    assert_eq!(site.terminate(), Some(0));
    site.start();
    assert_eq!(
        site.json(&format!("device show {}", device.id()))["traffic"],
        traffic
    );
    let groups = site.json("group list");
    assert_eq!(groups["groups"][0]["members"][0], device.id().as_str());
    assert_eq!(groups["groups"][0]["assigned"], digest.as_str());
    site.done(&format!("group remove roof {}", device.id()));
    site.done("group remove roof");
    assert!(site.json("group list")["groups"].as_array().unwrap().is_empty());
}
