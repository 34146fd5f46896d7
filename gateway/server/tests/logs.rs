//! The log of a running gateway: its two formats, and the update's name on every line that is about one.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::fs;

use serde_json::Value;
use support::device::Device;
use support::{Site, firmware, hex, sha256};
use wire_checkin::{DigestPrefix, LastUpdate, Outcome};
use wire_coap::BlockSize;

/// A site that logs in this format.
fn logging(format: &str) -> Site {
    let mut site = Site::new();
    site.configure("127.0.0.1:0", &format!("log = \"{format}\"\n"));
    site.start();
    site
}

fn log(site: &Site) -> String {
    fs::read_to_string(site.path().join("gateway.log")).unwrap()
}

/// What one device's update left behind.
struct Lived {
    device: String,
    image: String,
    job: String,
    artefact: String,
}

/// One device that fetches and runs an image, and goes back.
fn an_update_and_its_end(site: &mut Site) -> Lived {
    let (v1, v2) = (firmware(1, 20_000), firmware(2, 20_000));
    let (mut device, digest) = Device::assigned(site, &v1, &v2);
    let (job, _) = device.job(site);
    let (payload, _) = device.fetch_from(site.address(), job.path.as_str(), 0, BlockSize::B1024);
    // Stores the counters, and with them how far the payload was served.
    assert_eq!(site.terminate(), Some(0));
    site.start();
    device.check_in.running_digest = DigestPrefix::of(&sha256(&v2));
    device.check_in.sequence_number = 2;
    device.check_in(site.address());
    device.check_in.running_digest = DigestPrefix::of(&sha256(&v1));
    device.check_in.sequence_number = 1;
    device.check_in.last_update = Some(LastUpdate {
        sequence_number: 2,
        outcome: Outcome::RevertedNoContact,
        detail: None,
    });
    device.check_in(site.address());
    Lived {
        device: device.id(),
        image: digest[..16].to_owned(),
        job: job.path.as_str().to_owned(),
        artefact: hex(&sha256(&payload))[..16].to_owned(),
    }
}

#[test]
fn every_line_of_an_update_carries_its_name() {
    let mut site = logging("json");
    let lived = an_update_and_its_end(&mut site);
    let text = log(&site);
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect();
    for line in &lines {
        for key in ["timestamp", "level", "target", "message"] {
            assert!(line[key].is_string(), "{key} of {line}");
        }
    }
    // Whatever names the device or its job is about the update, but for what was done by hand.
    let names = |line: &&Value| {
        let text = line.to_string();
        line["message"] != "audit" && (text.contains(&lived.device) || text.contains(&lived.job))
    };
    let about: Vec<&Value> = lines.iter().filter(names).collect();
    let update = format!("{}/{}", lived.device, lived.image);
    for line in &about {
        assert_eq!(line["update"], update.as_str(), "{line}");
        assert_eq!(line["device"], lived.device.as_str(), "{line}");
        assert_eq!(line["image"], lived.image.as_str(), "{line}");
    }
    let said = |message: &str| {
        let found = about.iter().find(|line| line["message"] == message);
        *found.unwrap_or_else(|| panic!("nothing says {message:?} in\n{text}"))
    };
    let offered = said("update offered");
    assert_eq!(offered["job"], lived.job.as_str());
    assert_eq!(offered["artefact"], lived.artefact.as_str());
    let served = said("update served to its end");
    assert_eq!(served["job"], lived.job.as_str());
    assert_eq!(served["served_bytes"], served["size_bytes"]);
    assert_eq!(said("update confirmed")["job"], lived.job.as_str());
    let withheld = said("update withheld until an operator retries it");
    assert_eq!(withheld["level"], "WARN");
    assert_eq!(
        withheld["outcome"],
        Outcome::RevertedNoContact.to_string().as_str()
    );
    // The payload that it fetched, when it was made.
    let ready =
        |line: &&Value| line["message"] == "artefact is ready" && line["artefact"] == offered["artefact"];
    let ready = lines.iter().find(ready).unwrap();
    assert_eq!(ready["image"], lived.image.as_str());
}

#[test]
fn text_is_the_default_and_carries_the_same_name() {
    let mut site = Site::started();
    let lived = an_update_and_its_end(&mut site);
    let log = log(&site);
    assert!(serde_json::from_str::<Value>(log.lines().next().unwrap()).is_err());
    let name = format!("update={}/{} ", lived.device, lived.image);
    let about: Vec<&str> = log.lines().filter(|line| line.contains(" update ")).collect();
    assert!(about.len() >= 3, "{log}");
    assert!(about.iter().all(|line| line.contains(&name)), "{about:?}");
}

#[test]
fn the_newest_lines_are_shown_to_technicians() {
    let mut site = Site::started();
    let lived = an_update_and_its_end(&mut site);
    let of_device = site.done(&format!("logs {}", lived.device));
    let last = of_device.lines().last().unwrap();
    assert!(
        last.contains(" WARN update withheld until an operator retries it "),
        "{last}"
    );
    assert!(
        last.contains(&format!(" update={}/{}", lived.device, lived.image)),
        "{last}"
    );
    assert!(
        of_device.lines().all(|line| line.contains(&lived.device)),
        "{of_device}"
    );
    let lines = site.json(&format!("logs {}", lived.job));
    let lines = lines["lines"].as_array().unwrap();
    assert!(
        lines.iter().all(|line| line["job"] == lived.job.as_str()),
        "{lines:?}"
    );
    let none = site.done("logs nothing-says-this");
    assert!(none.contains("journalctl -u deltagate"), "{none}");
}
