//! The audit trail as an operator reads it: who, what, when, what came of it.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use serde_json::Value;
use support::{Site, firmware};

fn entries(site: &Site, arguments: &str) -> Vec<Value> {
    let trail = site.json(&format!("audit {arguments}"));
    trail["entries"].as_array().unwrap().clone()
}

/// What, device, detail and outcome.
fn told(entry: &Value) -> [&str; 4] {
    ["what", "device", "detail", "outcome"].map(|key| entry[key].as_str().unwrap_or("-"))
}

/// The user who runs this test, as `id` names them.
fn me() -> String {
    let id = |flag| {
        let output = std::process::Command::new("id").arg(flag).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    format!("{} (uid {})", id("-un"), id("-u"))
}

#[test]
fn every_deed_leaves_an_entry_with_its_doer_and_a_question_leaves_none() {
    let site = Site::started();
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    site.done("device claim 52540000AA01");
    site.done("device claim 52540000AA01");
    site.done("group create roof");
    site.done(&format!("update assign {} --group roof", &digest[..8]));
    assert_eq!(site.run("update retry --device 52540000aa01").code, Some(1));
    site.json("status");
    site.json("device list");
    site.done("device find 52540000aa01");
    site.done(&format!("update plan {} --group roof", &digest[..8]));
    let entries = entries(&site, "");
    let key = site.json("image list")["images"][0]["key_id"].clone();
    let key = key.as_str().unwrap();
    let import = format!("image={digest} version=1.0 sequence=1 key={key}");
    let assign = format!("image={} severity=1 group=roof", &digest[..8]);
    let expected = [
        ["trust-add", "-", key, "images that it signed may be imported"],
        ["image-import", "-", &import, "image imported"],
        ["device-claim", "52540000aa01", "", "done"],
        ["group-create", "-", "group=roof", "done"],
        ["update-assign", "-", &assign, "assigned to 0 devices"],
        [
            "update-retry",
            "52540000aa01",
            "",
            "refused: device 52540000aa01 has nothing to retry",
        ],
    ];
    assert_eq!(entries.iter().map(told).collect::<Vec<_>>(), expected);
    assert_eq!(entries[0]["who"], "gateway.toml");
    assert!(entries[1..].iter().all(|entry| entry["who"] == me().as_str()));
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    for entry in &entries {
        let ago = now.as_secs() - entry["at_unix_s"].as_u64().unwrap();
        assert!(ago < 600, "{entry}");
        let clock = entry["clock"].as_str().unwrap();
        assert!(["synced", "unknown", "unset"].contains(&clock), "{entry}");
    }
}

#[test]
fn a_changed_configuration_of_keys_is_written_at_the_start_and_only_once() {
    let mut site = Site::started();
    let trust = |site: &Site| -> Vec<String> {
        let of_trust = |entry: &&Value| entry["what"].as_str().unwrap().starts_with("trust-");
        let entries = entries(site, "");
        entries
            .iter()
            .filter(of_trust)
            .map(|entry| entry["what"].to_string())
            .collect()
    };
    assert_eq!(trust(&site), ["\"trust-add\""]);
    site.terminate();
    site.start();
    assert_eq!(trust(&site).len(), 1);
    site.terminate();
    site.done("key generate --out other");
    std::fs::copy(site.path().join("other.pub"), site.path().join("publisher.pub")).unwrap();
    site.start();
    assert_eq!(
        trust(&site),
        ["\"trust-add\"", "\"trust-add\"", "\"trust-remove\""]
    );
}

#[test]
fn the_trail_is_read_by_device_and_age_and_exported_line_by_line() {
    let site = Site::started();
    site.done("device claim 525400000001");
    site.done("device claim 525400000002");
    assert_eq!(entries(&site, "--device 525400000002").len(), 1);
    assert_eq!(entries(&site, "--since 1h").len(), 3);
    let exported = site.done("audit --export");
    let lines: Vec<Value> = exported
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().all(|line| line["version"] == 1));
    assert_eq!(lines[2]["device"], "525400000002");
    let text = site.done("audit");
    let last = text.lines().last().unwrap();
    assert!(
        last.ends_with(&format!(" {}: device-claim 525400000002: done", me())),
        "{last}"
    );
}

#[test]
fn a_device_is_the_same_in_the_trail_by_whatever_name_it_was_called() {
    let site = Site::started();
    site.done("device claim 525400000001");
    site.done("device label 525400000001 roof-3");
    let digest = site.import("v1", &firmware(1, 20_000), 1);
    site.done(&format!("update assign {} --device ROOF-3", &digest[..8]));
    assert_eq!(site.run("update retry --device roof-3").code, Some(1));
    site.done("device label roof-3 --remove");
    let deeds = [
        "device-claim",
        "device-label",
        "update-assign",
        "update-retry",
        "device-label",
    ];
    let by = |name: &str| -> Vec<String> {
        let entries = entries(&site, &format!("--device {name}"));
        assert!(
            entries.iter().all(|entry| entry["device"] == "525400000001"),
            "{entries:?}"
        );
        entries
            .iter()
            .map(|entry| entry["what"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(by("525400000001"), deeds);
    // Nobody is called so any more, and then somebody else is.
    let gone = site.run("audit --device roof-3");
    assert_eq!(gone.code, Some(1));
    assert!(
        gone.stderr.contains("hint: deltagate device find \"roof-3\""),
        "{}",
        gone.stderr
    );
    site.done("device label 525400000001 cellar");
    assert_eq!(by("Cellar").len(), deeds.len() + 1);
    let shown = site.done("logs CELLAR");
    assert!(shown.lines().count() >= deeds.len(), "{shown}");
    assert!(shown.lines().all(|line| line.contains("525400000001")), "{shown}");
    // Who was forgotten is still in the trail.
    site.done("device forget cellar");
    assert_eq!(by("525400000001").last().unwrap(), "device-forget");
}

/// Whoever can write the file can lift the triggers; not unseen.
#[test]
fn a_trail_that_was_touched_is_found_out() {
    let mut site = Site::started();
    site.done("device claim 525400000001");
    site.done("device claim 525400000002");
    let verified = site.done("audit --verify");
    assert!(
        verified.starts_with("3 entries, none altered; newest link "),
        "{verified}"
    );
    site.terminate();
    let database = rusqlite::Connection::open(site.state().join("gateway.db")).unwrap();
    database
        .execute_batch("DROP TRIGGER audit_is_append_only_1; UPDATE audit SET who = 'nobody' WHERE id = 2;")
        .unwrap();
    drop(database);
    site.start();
    let found = site.run("audit --verify");
    assert_eq!(found.code, Some(1));
    assert!(
        found
            .stderr
            .starts_with("error: audit trail was altered: entry 2 "),
        "{}",
        found.stderr
    );
    assert!(found.stderr.contains("hint: compare "), "{}", found.stderr);
}
