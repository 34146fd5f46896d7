//! Devices get keys: one by one, from a factory's list, other ones, none any more. And nobody else gets to see a secret.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gateway_core::Credentials;
use support::device::Device;
use support::{Site, firmware, hex};

const A: &str = "52:54:00:00:00:01";
const A_HEX: &str = "525400000001";

/// A list of `count` devices with keys of their own, behind the first `skip`.
fn list(skip: u32, count: u32) -> String {
    let mut text = "device,kid,secret,label,serial,group\n".to_owned();
    for number in skip..skip + count {
        let secret = hex(&support::sha256(&number.to_be_bytes())[..16]);
        writeln!(
            text,
            "70b3d5{number:010x},{number:06x},{secret},,SN-{number},pumps"
        )
        .unwrap();
    }
    text
}

fn secret_of(record: &Path) -> [u8; 16] {
    let credentials = Credentials::decode(&fs::read(record).unwrap()).unwrap();
    *credentials.secret.expose()
}

#[test]
fn one_device_is_enrolled_with_a_file_for_its_flasher_and_a_code_for_a_camera() {
    let site = Site::started();
    let done = site.done(&format!(
        "device enrol {A} --label roof-3 --imei 356938035643809 --serial A-1 --out roof3.dgc --show"
    ));
    let file = site.path().join("roof3.dgc");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let record = fs::read(&file).unwrap();
    let credentials = Credentials::decode(&record).unwrap();
    assert_eq!(credentials.kid.to_string(), "0000");
    let lines: Vec<&str> = done.lines().collect();
    assert!(lines.len() <= 23, "{done}");
    assert!(lines.iter().all(|line| line.chars().count() <= 100), "{done}");
    assert_eq!(lines[19], hex(&record).to_uppercase());
    assert!(
        done.contains("enrolled device 525400000001 with key 0000"),
        "{done}"
    );

    // Without a terminal nothing is shown.
    let rotated = site.done("device rotate roof-3");
    let next = site.path().join("525400000001-0001.dgc");
    let secret = hex(&secret_of(&next)).to_uppercase();
    assert!(
        !rotated.to_uppercase().contains(&secret) && rotated.lines().count() == 2,
        "{rotated}"
    );
    let shown = site.done("device show 356938035643809");
    assert!(
        shown.contains("key 0000 until it uses 0001, at most until "),
        "{shown}"
    );
    assert!(shown.contains("IMEI 356938035643809; serial A-1"), "{shown}");
    let found = site.json("device find A-1");
    assert_eq!(found["devices"][0]["identity"]["kids"][1], "0001");
}

/// Most devices that speak coaps:// have their key already; it comes in a file, or one is drawn and goes out in one.
#[test]
fn a_device_of_dtls_gets_an_identity_with_a_key_that_it_has_or_is_given() {
    let site = Site::started();
    let key = "00112233445566778899aabbccddeeff";
    fs::write(site.path().join("key"), format!("{key}\n")).unwrap();
    let done = site.done(&format!(
        "device enrol {A} --psk urn:dev:1 --psk-key key --label roof-3"
    ));
    assert_eq!(done, "enrolled device 525400000001 with PSK identity urn:dev:1\n");
    let shown = site.done("device show roof-3");
    assert!(shown.contains("PSK urn:dev:1, not used yet"), "{shown}");
    // It may have a key of OSCORE, too, but never the same bytes.
    let list = format!("device,kid,secret\n{A},01,{key}\n");
    fs::write(site.path().join("list.csv"), list).unwrap();
    let refused = site.run("device import list.csv");
    assert!(
        refused
            .stdout
            .contains("line 2: secret: device 525400000001 has this very secret"),
        "{refused:?}"
    );
    site.done(&format!("device enrol {A}"));
    // Another one is drawn, and what is written down is what a list has.
    let done = site.done("device rotate roof-3 --psk 0x00ff");
    let file = site.path().join("roof-3-0x00ff.psk.csv");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let written = fs::read_to_string(&file).unwrap();
    let drawn = written.trim_end().rsplit(',').next().unwrap();
    assert!(drawn.len() == 32 && !done.contains(drawn), "{done}");
    assert!(
        done.contains("gave device 525400000001 PSK identity 0x00ff; its old one counts until it uses this"),
        "{done}"
    );
    let shown = site.done("device show roof-3");
    assert!(
        shown.contains("key 0000, PSK urn:dev:1 until it uses 0x00ff, at most until "),
        "{shown}"
    );
    let again = written
        .replace("roof-3", "525400000002")
        .replace("0x00ff", "0x00fe");
    fs::write(site.path().join("again.csv"), again).unwrap();
    let refused = site.run("device import again.csv");
    assert!(
        refused
            .stdout
            .contains("line 2: psk: device 525400000001 has this very pre-shared key"),
        "{refused:?}"
    );
    for (arguments, problem) in [
        (
            format!("enrol {A} --psk other"),
            "device 525400000001 has a pre-shared key already",
        ),
        (
            "enrol 5254 --psk urn:dev:1".to_owned(),
            "PSK identity urn:dev:1 is that of device 525400000001",
        ),
        (
            "enrol 5254 --psk x --psk-key gateway.toml".to_owned(),
            "gateway.toml holds no key of 32 to 64 hex digits",
        ),
        (
            "enrol 5254 --psk x --psk-key key".to_owned(),
            "device 525400000001 has this very pre-shared key",
        ),
    ] {
        let refused = site.run(&format!("device {arguments}"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(problem), "{refused:?}");
        assert!(!refused.stderr.contains(&key[..8]), "{refused:?}");
    }
    let files = fs::read_dir(site.path()).unwrap();
    let names = files.map(|file| file.unwrap().file_name().to_string_lossy().into_owned());
    assert_eq!(names.filter(|name| name.ends_with(".psk.csv")).count(), 1);
    let trail = site.done("audit");
    assert!(
        trail.contains("device-enrol-psk") && trail.contains("device-rotate-psk"),
        "{trail}"
    );
    assert!(!trail.contains(drawn) && !trail.contains(&key[..8]), "{trail}");
}

/// Files for a flasher.
fn records(site: &Site) -> usize {
    let entries = fs::read_dir(site.path()).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "dgc"))
        .count()
}

#[test]
fn what_fails_leaves_no_file_and_no_device() {
    let mut site = Site::new();
    let alone = site.run(&format!("device enrol {A}"));
    assert_eq!((alone.code, records(&site)), (Some(1), 0), "{alone:?}");
    site.start();
    site.done(&format!("device enrol {A} --serial A-1"));
    for (arguments, problem) in [
        (format!("enrol {A}"), "device 525400000001 has a key already"),
        (
            "enrol 525400000002 --serial A-1".to_owned(),
            "serial A-1 is that of device 525400000001",
        ),
        (
            "enrol 525400000002 --imei 123".to_owned(),
            "\"123\" is not an IMEI of 15 digits",
        ),
        ("enrol roof".to_owned(), "\"roof\" is not an identifier"),
        (
            "enrol 525400000002 --out gateway.toml".to_owned(),
            "gateway.toml is there already",
        ),
        (
            "rotate 525400000002".to_owned(),
            "device 525400000002 is not known",
        ),
    ] {
        let refused = site.run(&format!("device {arguments}"));
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(refused.stderr.contains(problem), "{refused:?}");
        assert!(refused.stderr.contains("nothing changed\nhint: "), "{refused:?}");
    }
    assert_eq!(records(&site), 1);
    assert_eq!(site.json("device list")["devices"].as_array().unwrap().len(), 1);
}

#[test]
fn a_thousand_devices_come_in_whole_or_not_at_all_within_a_minute() {
    let site = Site::started();
    site.done("group create pumps");
    site.done(&format!("device enrol {A}"));
    let mut spoiled: Vec<String> = list(256, 1_000).lines().map(str::to_owned).collect();
    spoiled[17] = spoiled[16].clone();
    spoiled[40] = spoiled[40].replace(",SN-", ",x,SN-");
    spoiled[99] = spoiled[99].replace("0000000162,", "000000016g,");
    spoiled[500] = spoiled[500].replace("pumps", "nowhere");
    fs::write(site.path().join("spoiled.csv"), spoiled.join("\r\n")).unwrap();
    fs::write(site.path().join("factory.csv"), list(256, 1_000)).unwrap();

    let refused = site.run("device import spoiled.csv");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    let said: Vec<&str> = refused.stdout.lines().collect();
    assert_eq!(
        said,
        [
            "line 18: device: 70b3d5000000010f is on line 17 already",
            "line 41: line: it has 7 fields, and the head line 6",
            "line 100: device: it is not 2 to 32 hex digits, an even number of them",
            "line 501: group: group nowhere does not exist",
            "enrolled nobody: 4 lines cannot be imported",
        ]
    );
    assert!(
        refused
            .stderr
            .contains("nothing changed\nhint: correct them, or leave them out: --skip-bad")
    );
    assert_eq!(site.json("device list")["devices"].as_array().unwrap().len(), 1);

    let began = Instant::now();
    let done = site.done("device import factory.csv");
    let took = began.elapsed();
    assert_eq!(done, "enrolled 1000 devices\n");
    assert!(took < Duration::from_secs(60), "{took:?}");
    println!("1,000 devices imported in {took:?}");
    assert_eq!(site.done("device import factory.csv"), "nothing to do\n");
    assert_eq!(
        site.json("group list")["groups"][0]["members"]
            .as_array()
            .unwrap()
            .len(),
        1_000
    );
    let trail = site.json("audit --device 70b3d50000000101");
    assert_eq!(trail["entries"][0]["what"], "device-enrol", "{trail:#}");

    let rest = site.run("device import spoiled.csv --skip-bad");
    assert_eq!(rest.code, Some(0), "{rest:?}");
}

#[test]
fn hardware_is_swapped_and_retired_and_both_are_in_the_trail() {
    let mut site = Site::started();
    let old = Device::running(1, &firmware(1, 30_000), 1);
    site.done(&format!("device enrol {} --label roof-3", old.id()));
    site.done("device enrol 525400000002 --serial B-2");
    assert_eq!(site.done("device swap roof-3 525400000002"), "done\n");
    let shown = site.done("device show roof-3");
    assert!(shown.starts_with("device 525400000002 (roof-3) "), "{shown}");
    assert!(
        shown.contains("serial B-2; in the place of 525400000001"),
        "{shown}"
    );
    let listed = site.done("device list");
    assert!(listed.contains("525400000001  -       retired"), "{listed}");
    for id in ["525400000001", "525400000002"] {
        let trail = site.json(&format!("audit --device {id}"));
        let what: Vec<&str> = trail["entries"]
            .as_array()
            .unwrap()
            .iter()
            .map(|entry| entry["what"].as_str().unwrap())
            .collect();
        assert!(what.contains(&"device-swap"), "{id}: {trail:#}");
    }
    site.done("device retire 525400000002");
    site.terminate();
    site.start();
    let devices = site.json("device list");
    for (at, successor) in [(0, "525400000002".into()), (1, serde_json::Value::Null)] {
        let identity = &devices["devices"][at]["identity"];
        assert_eq!(identity["kids"].as_array().unwrap().len(), 0);
        assert_eq!(identity["successor"], successor);
        assert!(identity["retired_unix_s"].is_u64(), "{identity}");
    }
    let refused = site.run("device claim 525400000002");
    assert!(
        refused
            .stderr
            .contains("hint: deltagate device enrol 525400000002"),
        "{refused:?}"
    );
}

#[test]
fn a_gateway_that_lost_its_key_says_so_and_goes_on_when_it_is_back() {
    let mut site = Site::started();
    site.done(&format!("device enrol {A}"));
    site.terminate();
    let key = site.state().join("identity.key");
    let kept = site.path().join("elsewhere.key");
    fs::rename(&key, &kept).unwrap();
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("identity.key is gone, and the keys of 1 devices are sealed with it"),
        "{refused:?}"
    );
    assert!(refused.stderr.contains("hint: put back the key"), "{refused:?}");
    assert!(!key.exists());
    fs::rename(&kept, &key).unwrap();
    site.start();
    assert_eq!(
        site.json(&format!("device show {A_HEX}"))["device"]["identity"]["kids"][0],
        "0000"
    );
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digit = |chunk: &[u8], at: usize| {
        let word = chunk
            .iter()
            .fold(0_u32, |word, byte| word << 8 | u32::from(*byte));
        char::from(DIGITS[(word >> (18 - 6 * at) & 63) as usize])
    };
    let whole = bytes.chunks_exact(3);
    whole
        .flat_map(|chunk| (0..4).map(move |at| digit(chunk, at)))
        .collect()
}

/// How a secret might be written: raw, in hex, in base64 at each of the three alignments.
fn spellings(secret: &[u8; 16]) -> Vec<Vec<u8>> {
    let lower = hex(secret);
    let mut all = vec![
        secret.to_vec(),
        lower.to_uppercase().into_bytes(),
        lower.into_bytes(),
    ];
    for from in 0..3 {
        all.push(base64(&secret[from..]).into_bytes());
        all.push(
            base64(&secret[from..])
                .replace('+', "-")
                .replace('/', "_")
                .into_bytes(),
        );
    }
    // As a list of numbers, which is how derived code prints bytes.
    all.push(format!("{secret:?}").trim_matches(['[', ']']).as_bytes().to_vec());
    all
}

/// By the beginning of each spelling, so that a file is gone through once.
struct Search(BTreeMap<[u8; 8], Vec<Vec<u8>>>);

impl Search {
    fn new(secrets: &[[u8; 16]]) -> Search {
        let mut by_beginning = BTreeMap::<_, Vec<_>>::new();
        for spelled in secrets.iter().flat_map(spellings) {
            let beginning = *spelled.first_chunk().unwrap();
            by_beginning.entry(beginning).or_default().push(spelled);
        }
        Search(by_beginning)
    }

    fn finds(&self, bytes: &[u8]) -> bool {
        (0..bytes.len()).any(|at| {
            let rest = &bytes[at..];
            let candidates = rest.first_chunk().and_then(|beginning| self.0.get(beginning));
            candidates.is_some_and(|spelled| spelled.iter().any(|spelled| rest.starts_with(spelled)))
        })
    }
}

fn holds(bytes: &[u8], secrets: &[[u8; 16]]) -> bool {
    Search::new(secrets).finds(bytes)
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files_below(&path, found),
            false => found.push(path),
        }
    }
}

/// Everything that the gateway writes and every command prints is searched for every secret there was.
#[test]
fn no_secret_is_in_database_blobs_log_trail_or_any_answer() {
    let mut site = Site::started();
    let image = firmware(1, 30_000);
    site.import("v1", &image, 1);
    let mut printed = Vec::new();
    let mut run = |site: &Site, arguments: &str| {
        let ran = site.run(arguments);
        printed.push((arguments.to_owned(), [ran.stdout, ran.stderr].concat()));
    };
    run(&site, "group create pumps");
    run(
        &site,
        &format!("device enrol {A} --label roof-3 --out a.dgc --json"),
    );
    run(&site, &format!("device enrol {A} --out b.dgc"));
    run(&site, "device rotate roof-3 --out c.dgc --json");
    run(&site, "device rotate roof-3 --out d.dgc");
    let good = list(300, 3);
    fs::write(site.path().join("factory.csv"), &good).unwrap();
    let secrets_of_list: Vec<&str> = good
        .lines()
        .skip(1)
        .filter_map(|line| line.split(',').nth(2))
        .collect();
    // One digit is missing, one field is too many, one kid is taken.
    let short = good.replace(secrets_of_list[0], &secrets_of_list[0][1..]);
    fs::write(site.path().join("short.csv"), short).unwrap();
    fs::write(site.path().join("wide.csv"), good.replace(",SN", ",,SN")).unwrap();
    for name in ["short", "wide", "factory", "factory"] {
        run(&site, &format!("device import {name}.csv"));
        run(&site, &format!("device import {name}.csv --json"));
    }
    run(&site, "device enrol 525400000002 --out e.dgc");
    run(&site, "device swap roof-3 525400000002");
    run(&site, "device rotate 525400000002 --out f.dgc");
    site.terminate();
    site.start();
    for listing in [
        "status",
        "update status",
        "update plan",
        "device list",
        "device list --unclaimed",
        "group list",
        "link list",
        "image list",
        "device show roof-3",
        "device find SN-300",
        "why roof-3",
        "audit",
        "audit --export",
        "audit --verify",
        "logs",
        "doctor",
    ] {
        run(&site, listing);
        run(&site, &format!("{listing} --json"));
    }
    run(&site, "device retire roof-3");
    run(&site, "device forget 70b3d5000000012c");

    let mut secrets: Vec<[u8; 16]> = ["a", "c", "d", "e", "f"]
        .iter()
        .map(|name| secret_of(&site.path().join(format!("{name}.dgc"))))
        .collect();
    assert!(!site.path().join("b.dgc").exists());
    for number in 300..303_u32 {
        secrets.push(support::sha256(&number.to_be_bytes())[..16].try_into().unwrap());
    }
    // The search finds what is there.
    let seen = |name: &str, secret: &[u8; 16]| holds(&fs::read(site.path().join(name)).unwrap(), &[*secret]);
    assert!(seen("a.dgc", &secrets[0]) && seen("factory.csv", &secrets[5]));
    let digits = fs::read_to_string(site.state().join("identity.key")).unwrap();
    let sealing: Vec<[u8; 16]> = [0, 32]
        .map(|at| {
            u128::from_str_radix(&digits[at..at + 32], 16)
                .unwrap()
                .to_be_bytes()
        })
        .to_vec();
    assert!(holds(digits.as_bytes(), &sealing[..1]));
    secrets.extend(&sealing);

    let search = Search::new(&secrets);
    assert!(printed.len() > 40);
    for (arguments, text) in &printed {
        assert!(!search.finds(text.as_bytes()), "deltagate {arguments}: {text}");
    }
    for _ in 0..2 {
        let mut files = vec![site.path().join("gateway.log")];
        files_below(&site.state(), &mut files);
        assert!(files.len() > 5, "{files:?}");
        for path in files.iter().filter(|path| !path.ends_with("identity.key")) {
            // A socket cannot be read.
            let Ok(bytes) = fs::read(path) else { continue };
            assert!(!search.finds(&bytes), "{}", path.display());
        }
        if site.state().join("admin.sock").exists() {
            site.terminate();
        }
    }
}
