//! `/metrics`: OpenMetrics text, made from one snapshot. docs/operations.md has the same list for people.
//!
//! Names follow the rules of Prometheus: a prefix, base units, `_total` on what only grows. Labels are bounded: links by
//! the configuration, stages and states by their enums, devices by [`DEVICE_LABELS_MAX`].

use std::sync::atomic::AtomicU64;

use gateway_core::{Counters, DeviceView, LinkView, Stage, Traffic};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

use super::host::Host;
use super::http::Response;
use super::{DEVICE_LABELS_MAX, Snapshot};
use crate::clock::ClockState;
use crate::dtls::DtlsCounters;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The page.
pub(super) fn response(snapshot: &Snapshot, host: &Host, clock: ClockState) -> Response {
    let mut page = Page {
        registry: Registry::with_prefix("deltagate"),
    };
    page.gateway(snapshot, clock);
    page.updates(snapshot);
    page.links(&snapshot.links);
    page.devices(snapshot);
    page.host(host);
    page.dtls(snapshot.dtls);
    page.meters(snapshot);
    let mut body = String::new();
    match encode(&mut body, &page.registry) {
        Ok(()) => Response {
            status: 200,
            content_type: CONTENT_TYPE,
            body,
        },
        Err(error) => Response::text(503, format!("metrics cannot be written: {error}\n")),
    }
}

/// Names and values that tell one series of a metric from another.
type Labels = Vec<(&'static str, String)>;

/// The one series of a metric without labels.
fn single<T>(value: T) -> [(Labels, T); 1] {
    [(Labels::new(), value)]
}

/// One label.
fn label(name: &'static str, value: impl ToString) -> Labels {
    vec![(name, value.to_string())]
}

struct Page {
    registry: Registry,
}

impl Page {
    fn gauge(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = Family::<Labels, Gauge>::default();
        for (labels, value) in rows {
            let value = i64::try_from(value).unwrap_or(i64::MAX);
            family.get_or_create(&labels).set(value);
        }
        self.register(name, unit, help, family);
    }

    fn counter(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        rows: impl IntoIterator<Item = (Labels, u64)>,
    ) {
        let family = Family::<Labels, Counter>::default();
        for (labels, value) in rows {
            family.get_or_create(&labels).inc_by(value);
        }
        self.register(name, unit, help, family);
    }

    fn register(
        &mut self,
        name: &str,
        unit: Option<Unit>,
        help: &str,
        metric: impl prometheus_client::registry::Metric,
    ) {
        match unit {
            Some(unit) => self.registry.register_with_unit(name, help, unit, metric),
            None => self.registry.register(name, help, metric),
        }
    }

    fn gateway(&mut self, snapshot: &Snapshot, clock: ClockState) {
        let version = Info::new(vec![("version", env!("CARGO_PKG_VERSION"))]);
        self.register("build", None, "Version of the gateway", version);
        let started = single(snapshot.started_unix_s);
        let help = "When the gateway started, since 1970";
        self.gauge("start_time", Some(Unit::Seconds), help, started);
        let states = ClockState::ALL.map(|state| (label("state", state), u64::from(state == clock)));
        self.gauge(
            "clock_state",
            None,
            "1 for the state that the clock is in",
            states,
        );
        let writable = single(u64::from(snapshot.database.is_ok()));
        self.gauge(
            "database_writable",
            None,
            "1 when decisions can be stored",
            writable,
        );
        let status = &snapshot.status;
        let devices = [("claimed", status.claimed), ("unclaimed", status.unclaimed)];
        let devices = devices.map(|(state, count)| (label("state", state), count as u64));
        self.gauge("devices", None, "Devices in the inventory", devices);
        let help = "Check-ins of strangers not recorded because their list was full";
        self.counter("unclaimed_dropped", None, help, single(status.unclaimed_dropped));
        let help = "Requests answered with the demand to prove the address they came from";
        self.counter("challenges", None, help, single(status.challenges));
        let help = "Requests refused for want of a key";
        self.counter("turned_away", None, help, single(status.turned_away_requests));
        let kept = &snapshot.statements;
        let old = kept.iter().filter(|view| view.is_old == Some(true)).count();
        let behind = kept.iter().filter(|view| view.is_behind()).count();
        let states = [("all", kept.len()), ("old", old), ("not_here", behind)];
        let states = states.map(|(state, count)| (label("state", state), count as u64));
        let help = "Classes of which a publisher states the latest release; those whose statement is old, or whose latest is not here";
        self.gauge("statements", None, help, states);
        let stale = kept.iter().map(|view| view.stale_devices).sum::<usize>();
        let behind = kept.iter().map(|view| view.behind_devices).sum::<usize>();
        let states = [("stale", stale), ("behind", behind)];
        let states = states.map(|(state, count)| (label("state", state), count as u64));
        let help = "Claimed devices that say that no statement comes to them, or that a release they know of is kept back";
        self.gauge("devices_withheld", None, help, states);
        self.gauge("images", None, "Images kept", single(status.images as u64));
        let help = "Payloads ready to be served";
        self.gauge("artefacts", None, help, single(status.artefacts as u64));
        let builds = [("running", status.building), ("failed", status.failed_builds)];
        let builds = builds.map(|(state, count)| (label("state", state), count as u64));
        let help = "Builds under way, and failed ones that nobody retried";
        self.gauge("builds", None, help, builds);
        let help = "Datagrams lost to errors of the socket";
        self.counter("datagram_errors", None, help, single(snapshot.datagram_errors));
    }

    fn updates(&mut self, snapshot: &Snapshot) {
        let updates = &snapshot.status.updates;
        let stages = STAGES.map(|stage| {
            let count = updates.iter().filter(|update| update.stage == stage).count();
            (label("stage", stage), count as u64)
        });
        let help = "Claimed devices that have a target, by where their update stands";
        self.gauge("updates", None, help, stages);
        let help = "Devices that put an update off for longer than they may: each needs a person";
        self.gauge(
            "deferrals_overdue",
            None,
            help,
            single(snapshot.status.overdue as u64),
        );
    }

    fn links(&mut self, links: &[LinkView]) {
        let ways = |of: fn(&Traffic) -> u64| -> Vec<(Labels, u64)> {
            let ways = |link: &LinkView| both_ways(label("link", &link.config.name), link.total, of);
            links.iter().flat_map(ways).collect()
        };
        let (bytes, datagrams) = (ways(|traffic| traffic.bytes.0), ways(|traffic| traffic.datagrams));
        let help = "What went over a link, IP and UDP headers included";
        self.counter("link", Some(Unit::Bytes), help, bytes);
        self.counter(
            "link_datagrams",
            None,
            "Datagrams that went over a link",
            datagrams,
        );
        let air_time = Family::<Labels, Counter<f64, AtomicU64>>::default();
        for (labels, micros) in ways(|traffic| traffic.air_time.micros) {
            air_time.get_or_create(&labels).inc_by(micros as f64 / 1e6);
        }
        let help = "Time that traffic took at the link's configured rate";
        self.register("link_airtime", Some(Unit::Seconds), help, air_time);
        let of_links = |of: fn(&LinkView) -> u64| -> Vec<(Labels, u64)> {
            let row = |link: &LinkView| (label("link", &link.config.name), of(link));
            links.iter().map(row).collect()
        };
        let rates = of_links(|link| link.config.rate.bits());
        let per_second = Some(Unit::Other("bits_per_second".to_owned()));
        self.gauge("link_rate", per_second, "Configured rate", rates);
        let queued = of_links(|link| link.queued as u64);
        self.gauge(
            "link_queued_replies",
            None,
            "Replies that wait for the link",
            queued,
        );
        let devices = of_links(|link| link.devices as u64);
        self.gauge("link_devices", None, "Devices last heard on a link", devices);
        let events = links.iter().flat_map(|link| {
            let events = link.events;
            let fates = [
                ("deferred", events.deferred),
                ("paced", events.paced),
                ("dropped", events.dropped),
                ("repeated", events.repeated),
            ];
            fates.map(|(fate, count)| {
                let mut labels = label("link", &link.config.name);
                labels.push(("fate", fate.to_owned()));
                (labels, count)
            })
        });
        let help = "Replies that a link could not carry at once, by what became of them";
        self.counter("link_replies", None, help, events);
    }

    fn devices(&mut self, snapshot: &Snapshot) {
        let claimed = snapshot.status.claimed;
        let omitted = if claimed > DEVICE_LABELS_MAX { claimed } else { 0 };
        let help = "Claimed devices that have no series of their own because there are too many";
        self.gauge("device_series_omitted", None, help, single(omitted as u64));
        let devices = &snapshot.devices;
        let name = |view: &DeviceView| label("device", view.device.id);
        let bytes = devices
            .iter()
            .flat_map(|view| both_ways(name(view), view.counters, |traffic| traffic.bytes.0));
        let help = "What went to and from a device, IP and UDP headers included";
        self.counter("device", Some(Unit::Bytes), help, bytes);
        let seen = devices.iter().map(|view| (name(view), view.last_seen_unix_s));
        let help = "When a device was last heard, since 1970; 0 never";
        self.gauge("device_last_seen", Some(Unit::Seconds), help, seen);
    }

    fn host(&mut self, host: &Host) {
        let bytes = || Some(Unit::Bytes);
        let rows = |value: Option<u64>| value.into_iter().flat_map(single);
        let help = "Memory of the gateway that is resident";
        self.gauge("process_resident", bytes(), help, rows(host.resident_bytes));
        let help = "What the gateway sent to storage since its start";
        self.counter("process_written", bytes(), help, rows(host.written_bytes));
        let help = "What may still be written where the state lies";
        self.gauge("disk_free", bytes(), help, rows(host.disk_free_bytes));
    }

    /// Nothing of it, where `coaps://` is not spoken.
    fn dtls(&mut self, counters: Option<DtlsCounters>) {
        let Some(dtls) = counters else { return };
        let help = "Sessions of DTLS";
        self.gauge("dtls_sessions", None, help, single(dtls.sessions));
        let help = "Handshakes of DTLS that are not complete";
        self.gauge("dtls_handshakes_open", None, help, single(dtls.handshakes));
        let of = |name: &'static str, rows: &[(&'static str, u64)]| -> Vec<(Labels, u64)> {
            rows.iter()
                .map(|(value, count)| (label(name, value), *count))
                .collect()
        };
        let ends = [
            ("completed", dtls.completed),
            ("refused", dtls.refused),
            ("timed_out", dtls.timed_out),
            ("failed", dtls.failed),
            ("crowded_out", dtls.crowded_out),
            ("unfit_version", dtls.unfit_version),
            ("unfit_suite", dtls.unfit_suite),
            ("unfit_master_secret", dtls.unfit_master_secret),
            ("broken", dtls.broken),
        ];
        let help = "Handshakes of DTLS, by what became of them";
        self.counter("dtls_handshakes", None, help, of("result", &ends));
        let ends = [
            ("replaced", dtls.replaced),
            ("evicted", dtls.evicted),
            ("closed", dtls.closed),
            ("ended", dtls.ended),
        ];
        let help = "Sessions of DTLS that ended, by why";
        self.counter("dtls_sessions_ended", None, help, of("reason", &ends));
        let lost = [
            ("malformed", dtls.malformed),
            ("strangers", dtls.strangers),
            ("late", dtls.late),
            ("undecryptable", dtls.undecryptable),
        ];
        let help = "Datagrams and records of DTLS that nothing came of, by why";
        self.counter("dtls_dropped", None, help, of("reason", &lost));
    }

    fn meters(&mut self, snapshot: &Snapshot) {
        let meters = snapshot.meters.clone();
        let help = "How long storing a batch of decisions took";
        self.register("store_commit", Some(Unit::Seconds), help, meters.commits);
        self.register("store_changes", None, "Decisions stored", meters.changes);
        self.register("builds_finished", None, "Builds that ended", meters.builds);
        let help = "Updates that entered a state";
        self.register("update_transitions", None, help, meters.updates);
    }
}

/// Down and up of the same labels.
fn both_ways(labels: Labels, counters: Counters, of: fn(&Traffic) -> u64) -> [(Labels, u64); 2] {
    [("down", counters.down), ("up", counters.up)].map(|(direction, traffic)| {
        let mut labels = labels.clone();
        labels.push(("direction", direction.to_owned()));
        (labels, of(&traffic))
    })
}

const STAGES: [Stage; 10] = [
    Stage::Unheard,
    Stage::UpToDate,
    Stage::Building,
    Stage::Ready,
    Stage::Offered,
    Stage::Transferring,
    Stage::Installing,
    Stage::Deferred,
    Stage::Withheld,
    Stage::Blocked,
];
