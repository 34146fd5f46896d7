//! Metrics, health and readiness as a Prometheus and a supervisor fetch them.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

mod support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};

use deltagate::observe::DEVICE_LABELS_MAX;
use support::device::Device;
use support::{Site, firmware};

/// A site that serves metrics, and where.
fn observed() -> (Site, SocketAddr) {
    let mut site = Site::new();
    site.configure("127.0.0.1:0", "metrics = \"127.0.0.1:0\"\n");
    site.start();
    let text = std::fs::read_to_string(site.state().join("metrics.addr")).unwrap();
    (site, text.trim().parse().unwrap())
}

/// Status, head and body of what is answered to `request`.
fn exchange(to: SocketAddr, request: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_owned(), body.to_owned())
}

fn get(to: SocketAddr, path: &str) -> (u16, String) {
    let (status, head, body) = exchange(to, &format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n"));
    assert!(
        head.contains(&format!("Content-Length: {}\r\n", body.len())),
        "{head}"
    );
    (status, body)
}

/// What the client library of Prometheus reads in a page, which it refuses when a name, a unit or a type breaks a rule:
/// sample with its labels → value.
fn parsed(page: &str) -> BTreeMap<String, f64> {
    let python = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.build/venv-prometheus/bin/python");
    assert!(
        python.exists(),
        "run scripts/interop-tools: {} is missing",
        python.display()
    );
    let mut child = Command::new(python)
        .args(["-c", PARSER])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{complaint}\n{page}");
    let text = String::from_utf8(output.stdout).unwrap();
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.to_owned(), value.parse().unwrap())
    };
    text.lines().map(sample).collect()
}

const PARSER: &str = "
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation, family.name
    assert family.name.startswith('deltagate_'), family.name
    for sample in family.samples:
        labels = ','.join(f'{k}={v}' for k, v in sorted(sample.labels.items()))
        print(f'{sample.name}{{{labels}}} {float(sample.value)}')
";

#[test]
fn an_update_is_seen_in_the_metrics() {
    let (site, metrics) = observed();
    let (v1, v2) = (firmware(1, 20_000), firmware(2, 20_000));
    let (mut device, _) = Device::assigned(&site, &v1, &v2);
    device.job(&site);
    let (status, page) = get(metrics, "/metrics");
    assert_eq!(status, 200);
    let samples = parsed(&page);
    let sample = |name: &str| {
        *samples
            .get(name)
            .unwrap_or_else(|| panic!("no {name} in\n{page}"))
    };
    assert_eq!(sample("deltagate_devices{state=claimed}"), 1.0);
    assert_eq!(sample("deltagate_images{}"), 2.0);
    assert_eq!(sample("deltagate_updates{stage=offered}"), 1.0);
    assert_eq!(sample("deltagate_updates{stage=withheld}"), 0.0);
    assert_eq!(sample("deltagate_update_transitions_total{state=offered}"), 1.0);
    assert_eq!(sample("deltagate_builds_finished_total{result=failed}"), 0.0);
    assert!(sample("deltagate_builds_finished_total{result=ready}") >= 3.0);
    assert!(sample("deltagate_store_commit_seconds_count{}") >= 3.0);
    assert_eq!(sample("deltagate_database_writable{}"), 1.0);
    assert!(sample("deltagate_process_resident_bytes{}") > 1e6);
    let id = device.id();
    let up = sample(&format!(
        "deltagate_device_bytes_total{{device={id},direction=up}}"
    ));
    assert!(up > 0.0);
    assert_eq!(
        sample("deltagate_link_bytes_total{direction=up,link=default}"),
        up
    );
    assert!(sample("deltagate_link_airtime_seconds_total{direction=up,link=default}") > 0.0);
    assert_eq!(sample("deltagate_link_rate_bits_per_second{link=default}"), 1e7);
    let documented = include_str!("../../../docs/operations.md");
    for name in samples.keys().map(|sample| sample.split('{').next().unwrap()) {
        let family = ["_bucket", "_count", "_sum"]
            .iter()
            .find_map(|end| name.strip_suffix(end));
        let family = format!("`{}`", family.unwrap_or(name));
        assert!(documented.contains(&family), "docs/operations.md lacks {family}");
    }
}

/// Every name that the dashboard asks for, labels included, is one that the gateway gives.
#[test]
fn the_dashboard_asks_for_nothing_that_is_not_there() {
    let (site, metrics) = observed();
    site.done("device claim 525400000001");
    let samples = parsed(&get(metrics, "/metrics").1);
    let dashboard: serde_json::Value =
        serde_json::from_str(include_str!("../../../docs/grafana-dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().into_iter().flatten());
    let queries: Vec<&str> = targets.map(|target| target["expr"].as_str().unwrap()).collect();
    assert!(queries.len() > 15, "{queries:?}");
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    for query in queries {
        let words: Vec<&str> = query.split(|c| !is_name(c)).collect();
        let names: Vec<&&str> = words
            .iter()
            .filter(|word| word.starts_with("deltagate_"))
            .collect();
        assert!(!names.is_empty(), "{query}");
        for name in names {
            let series = samples
                .keys()
                .filter(|sample| sample.split('{').next() == Some(name));
            let series: Vec<&String> = series.collect();
            assert!(!series.is_empty(), "{query}: the gateway has no {name}");
            // Labels that a query matches or groups by; Prometheus itself adds `instance`.
            for label in [
                "state",
                "stage",
                "direction",
                "link",
                "fate",
                "result",
                "device",
                "le",
            ] {
                let asked = words.contains(&label);
                let has = |sample: &&&String| sample.contains(&format!("{label}="));
                assert!(
                    !asked || series.iter().any(|sample| has(&sample)),
                    "{query}: {name} has no {label}"
                );
            }
            for value in quoted(query).filter(|value| !value.starts_with('$')) {
                for value in value.split('|') {
                    let has = |sample: &&&String| sample.contains(&format!("={value}"));
                    assert!(
                        series.iter().any(|sample| has(&sample)),
                        "{query}: {name} has no {value}"
                    );
                }
            }
        }
    }
}

/// What stands between quotation marks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[test]
fn devices_above_the_limit_have_no_series_of_their_own() {
    let (site, metrics) = observed();
    let claim = |n: usize| site.done(&format!("device claim 5254000{n:05}"));
    for n in 0..DEVICE_LABELS_MAX {
        claim(n);
    }
    let series = || {
        let samples = parsed(&get(metrics, "/metrics").1);
        let of_devices = samples.keys().filter(|name| name.contains("device=")).count();
        (of_devices, samples["deltagate_device_series_omitted{}"])
    };
    assert_eq!(series(), (3 * DEVICE_LABELS_MAX, 0.0));
    claim(DEVICE_LABELS_MAX);
    assert_eq!(series(), (0, DEVICE_LABELS_MAX as f64 + 1.0));
}

#[test]
fn health_and_readiness_say_what_they_found() {
    let (site, metrics) = observed();
    assert_eq!(get(metrics, "/healthz"), (200, "ok\n".to_owned()));
    let (status, text) = get(metrics, "/readyz");
    assert_eq!(status, 200, "{text}");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], format!("sockets ok: coap {}", site.address()));
    assert_eq!(lines[1], "database ok: can be written");
    assert!(lines[2].starts_with("disk ok: "), "{text}");
    assert!(lines[3].starts_with("clock "), "{text}");
    assert_eq!(lines[4..], ["ready"]);
}

#[test]
fn a_database_that_cannot_be_written_is_not_ready_and_still_alive() {
    let (site, metrics) = observed();
    let database = rusqlite::Connection::open(site.state().join("gateway.db")).unwrap();
    database.execute_batch("BEGIN IMMEDIATE").unwrap();
    let (status, text) = get(metrics, "/readyz");
    assert_eq!(status, 503, "{text}");
    assert!(text.contains("database failed: "), "{text}");
    assert!(text.ends_with("not ready\n"), "{text}");
    let samples = parsed(&get(metrics, "/metrics").1);
    assert_eq!(samples["deltagate_database_writable{}"], 0.0);
    assert_eq!(get(metrics, "/healthz").0, 200);
    database.execute_batch("ROLLBACK").unwrap();
    assert_eq!(get(metrics, "/readyz").0, 200);
}

#[test]
fn what_is_no_page_is_refused_and_the_next_caller_served() {
    let (_site, metrics) = observed();
    assert_eq!(get(metrics, "/").0, 404);
    let (status, head, _) = exchange(metrics, "POST /metrics HTTP/1.1\r\n\r\n");
    assert_eq!(status, 405);
    assert!(head.contains("Allow: GET, HEAD"), "{head}");
    let (status, _, body) = exchange(metrics, "HEAD /healthz HTTP/1.1\r\n\r\n");
    assert_eq!((status, body.as_str()), (200, ""));
    let endless = format!("GET / HTTP/1.1\r\nX: {}", "y".repeat(4_096));
    assert_eq!(exchange(metrics, &endless[..4_096]).0, 431);
    // A caller who says nothing holds one place, not all.
    let silent = TcpStream::connect(metrics).unwrap();
    assert_eq!(get(metrics, "/healthz").0, 200);
    drop(silent);
}

#[test]
fn nothing_is_served_unless_configured() {
    let site = Site::started();
    assert!(!site.state().join("metrics.addr").exists());
}

#[test]
fn an_address_that_is_taken_is_named_with_the_remedy() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let site = Site::new();
    let address = taken.local_addr().unwrap();
    site.configure("127.0.0.1:0", &format!("metrics = \"{address}\"\n"));
    let refused = site.run("serve");
    assert_eq!(refused.code, Some(1));
    let problem = format!("error: cannot serve metrics on {address}: ");
    assert!(refused.stderr.contains(&problem), "{}", refused.stderr);
    assert!(
        refused.stderr.contains("hint: name a free loopback address"),
        "{}",
        refused.stderr
    );
}
