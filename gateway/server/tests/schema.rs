//! What commands print with `--json`, against `docs/cli-json.schema.json`.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;
#[path = "support/schema.rs"]
mod validator;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use support::device::Device;
use support::{CLASS, Site, VENDOR, firmware};
use wire_checkin::{Deferral, DeferralReason, DeferralStage, Outcome};
use wire_coap::BlockSize;

fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli-json.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn every_command_prints_what_the_schema_says() {
    let schema = schema();
    let site = Site::started();
    let mut checked = BTreeSet::new();
    let mut holds = |command: &str, arguments: &str| {
        let ran = site.run(&format!("{command} {arguments} --json"));
        let document: Value =
            serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{command}: {ran:?}"));
        let found = validator::faults(&schema, &schema["properties"][command], &document);
        assert!(
            found.is_empty(),
            "{command} {arguments}: {found:#?}\n{document:#}"
        );
        checked.insert(command.to_owned());
    };
    let (v1, mut v2) = (firmware(1, 30_000), firmware(1, 30_000));
    v2[100..104].copy_from_slice(b"new!");
    site.import("v1", &v1, 1);
    site.sign("v2", &v2, 2, "publisher");
    holds("image import", "v2.suit");
    let digest = support::hex(&support::sha256(&v2));
    let image = &digest[..16];
    let mut devices: Vec<Device> = (1..=3).map(|id| Device::running(id, &v1, 1)).collect();
    devices
        .iter_mut()
        .for_each(|device| drop(device.check_in(site.address())));
    let id = devices[0].id();
    holds("device claim", &id);
    holds("device label", &format!("{id} roof-3"));
    holds("group create", "roof");
    holds("group add", &format!("roof {id} {}", devices[1].id()));
    holds("update plan", &format!("{image} --group roof"));
    holds("update assign", &format!("{image} --group roof"));
    site.wait_until_built();
    let job = devices[0].check_in(site.address()).job.unwrap();
    devices[0].block(site.address(), job.path.as_str(), 0, BlockSize::B64);
    devices[1].check_in.deferral = Some(Deferral {
        stage: DeferralStage::Download,
        reason: DeferralReason::Signal,
        seconds: 5,
    });
    devices[1].check_in(site.address());
    holds("update pause", "");
    // With a transfer, a deferral and a pause; then with what was withheld.
    for _ in 0..2 {
        for listing in [
            "status",
            "update status",
            "update plan",
            "device list",
            "group list",
            "link list",
            "image list",
        ] {
            holds(listing, "");
        }
        holds("device list", "--unclaimed");
        holds("device show", &id);
        holds("device show", &devices[1].id());
        holds("why", &id);
        devices[0].report(site.address(), 2, Outcome::RevertedFault);
    }
    holds("device find", "roof");
    holds("device find", "rof");
    holds("image show", image);
    holds("link show", "default");
    holds("update resume", "");
    holds("update retry", &format!("--device {id}"));
    holds(
        "probe",
        &format!(
            "{} --vendor {VENDOR} --class {CLASS} --image {image}",
            site.address()
        ),
    );
    holds(
        "probe",
        &format!(
            "{} --device {id} --vendor {VENDOR} --class {CLASS} --image {image}",
            site.address()
        ),
    );
    holds("doctor", "");
    holds("audit", "");
    holds("audit", &format!("--device {id}"));
    holds("logs", &id);
    holds("anchors list", "");
    site.done("key generate --out safe");
    site.done("anchors new --number 1 --sequence-max 99 --release publisher.pub --recovery publisher.pub --retired safe.pub --out set1");
    site.done("anchors sign set1 --key publisher.key");
    holds("anchors import", "set1");
    holds("anchors list", "");
    holds("update cancel", "--group roof");
    holds("group remove", &format!("roof {id}"));
    holds("device enrol", "52540000aa01 --label spare");
    holds("device rotate", "spare");
    holds("device enrol --psk", "urn:dev:1 52540000aa04");
    holds("device rotate --psk", "urn:dev:2 52540000aa04 --out rotated.csv");
    std::fs::write(
        site.path().join("factory.csv"),
        "device,kid,secret\n52540000aa02,0a02,000102030405060708090a0b0c0d0e0f\n52540000aa03,0a03,00\n",
    )
    .unwrap();
    let x = "bbc34960526ea4d32e940cad2a234148ddc21791a12afbcbac93622046dd44f0";
    holds("device enrol", &format!("52540000aa09 --public-key {x}"));
    holds("device gateway-key", "");
    holds("device import", "factory.csv");
    holds("device import", "factory.csv --skip-bad");
    holds("device swap", "spare 52540000aa02");
    holds("device list", "");
    holds("device retire", "52540000aa02");
    holds("device forget", &id);
    let commands: BTreeSet<String> = schema["properties"]
        .as_object()
        .unwrap()
        .keys()
        .cloned()
        .collect();
    assert_eq!(checked, commands);
}

#[test]
fn a_document_that_differs_is_noticed() {
    let schema = schema();
    let wanted = &schema["properties"]["why"];
    let good = serde_json::json!({
        "version": 1, "device": "52", "label": null, "chain": ["a"], "next_step": {"why": "b", "command": "c"}
    });
    assert_eq!(validator::faults(&schema, wanted, &good), Vec::<String>::new());
    let faulty: [fn(&mut Value); 4] = [
        |document| document["chain"] = 3.into(),
        |document| document["next_step"]["extra"] = 1.into(),
        |document| drop(document.as_object_mut().unwrap().remove("device")),
        |document| document["version"] = (-1).into(),
    ];
    for spoil in faulty {
        let mut document = good.clone();
        spoil(&mut document);
        assert_eq!(
            validator::faults(&schema, wanted, &document).len(),
            1,
            "{document}"
        );
    }
}
