//! What a day of ordinary service writes: an SD card bears only so much. The core and the store are the gateway's own, the
//! day is simulated: every device checks in every hour, and its round trip is never twice the same.
//!
//! `scripts/bench-writes` runs this on a file system of its own and counts what that writes, its journal included.
#![expect(clippy::unwrap_used, reason = "a test that meets the unexpected has failed")]

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use deltagate::serve::core_config;
use deltagate::store::{Store, path_in};
use gateway_core::{ArtefactDigest, Command, Effect, Gateway, Now, PayloadError, Payloads};
use wire_checkin::{CHECK_IN_BYTES_MAX, CheckIn, DeviceId, DigestPrefix, Format, Formats};
use wire_coap::{Code, ContentFormat, Kind, MessageId, Token, Writer};

const DEVICES: u32 = 1_000;
const CHECK_IN_INTERVAL_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * CHECK_IN_INTERVAL_MS;

/// 50 MB a day: a card of 8 GB that bears 1,000 writes of each cell, and writes ten times what it is told to, lasts 40 years.
const BYTES_MAX: u64 = 50_000_000;

/// A gateway without a socket, on virtual time.
struct Site {
    core: Gateway,
    store: Store,
    now_ms: u64,
    commits: u64,
    changes: usize,
}

/// Nobody fetches anything on this day.
struct Nothing;

impl Payloads for Nothing {
    fn read(&self, _: &ArtefactDigest, _: u64, _: &mut [u8]) -> Result<usize, PayloadError> {
        Ok(0)
    }
}

impl Site {
    fn open(directory: &Path) -> Site {
        let path = directory.join("gateway.toml");
        let text = "state_dir = \"state\"\ntrust = []\naccess = \"open\"\nunclaimed_max = 0\n";
        let config = deltagate::config::Config::parse(text, &path).unwrap();
        let (store, _) = Store::open(&path_in(directory), None).unwrap();
        Site {
            core: Gateway::new(core_config(&config)),
            store,
            now_ms: 0,
            commits: 0,
            changes: 0,
        }
    }

    fn now(&self) -> Now {
        Now {
            monotonic_ms: self.now_ms,
            unix_s: 1_800_000_000 + self.now_ms / 1_000,
        }
    }

    /// Lets the core's timers run to this instant.
    async fn pass_to(&mut self, at_ms: u64) {
        while let Some(due_ms) = self.core.poll_timeout().filter(|due_ms| *due_ms <= at_ms) {
            self.now_ms = self.now_ms.max(due_ms);
            self.core.handle_timeout(self.now());
            self.carry_out().await;
        }
        self.now_ms = at_ms;
    }

    /// As the engine does: one commit for what one batch changes, none when it changes nothing.
    async fn carry_out(&mut self) {
        let mut changes = Vec::new();
        while let Some(effect) = self.core.poll_effect() {
            if let Effect::Store(change) = effect {
                changes.push(change);
            }
        }
        while self.core.poll_transmit().is_some() {}
        if !changes.is_empty() {
            (self.commits, self.changes) = (self.commits + 1, self.changes + changes.len());
            self.store.commit(changes, Vec::new()).await.unwrap();
        }
    }

    async fn claim(&mut self, number: u32) {
        let claimed = self
            .core
            .handle_command(self.now(), Command::ClaimDevice(id(number)));
        claimed.unwrap();
        self.carry_out().await;
    }

    async fn check_in(&mut self, number: u32, hour: u32) {
        let peer = SocketAddr::from(([10, 0, (number >> 8) as u8, number as u8], 5_683));
        let datagram = check_in(number, hour);
        self.core.handle_datagram(self.now(), peer, &datagram, &Nothing);
        self.carry_out().await;
    }

    /// Every device checks in once an hour, evenly spread, and in each hour in another order: neighbours in time that are
    /// neighbours in a table would share the writing of a page.
    async fn hours(&mut self, hours: std::ops::Range<u32>) {
        for hour in hours {
            let mut order: Vec<u32> = (0..DEVICES).collect();
            order.sort_by_key(|number| scrambled(number * 25 + hour));
            for (place, number) in order.into_iter().enumerate() {
                let phase_ms = CHECK_IN_INTERVAL_MS * place as u64 / u64::from(DEVICES);
                let hour_ms = u64::from(hour) * CHECK_IN_INTERVAL_MS;
                self.pass_to(hour_ms + phase_ms).await;
                self.check_in(number, hour).await;
            }
        }
    }
}

/// A number that follows no order.
fn scrambled(number: u32) -> u32 {
    let mixed = (number ^ (number >> 16)).wrapping_mul(0x85eb_ca6b);
    let mixed = (mixed ^ (mixed >> 13)).wrapping_mul(0xc2b2_ae35);
    mixed ^ (mixed >> 16)
}

fn id(number: u32) -> DeviceId {
    let [_, a, b, c] = scrambled(number).to_be_bytes();
    DeviceId::new(&[0x52, 0x54, a, b, c, number as u8]).unwrap()
}

fn check_in(number: u32, hour: u32) -> Vec<u8> {
    let said = CheckIn {
        device_id: id(number),
        vendor_id: [1; 16],
        class_id: [2; 16],
        running_digest: DigestPrefix::of(&[3; 32]),
        sequence_number: 1,
        slot_capacity_bytes: 520_192,
        staging_bytes: None,
        erase_sector_bytes: 4_096,
        block_szx_max: 6,
        round_trip_ms: 1_000 + number % 500 + hour * 10,
        decoder_memory_bytes: 16_384,
        formats: Formats::of(&[Format::Full, Format::Patch]),
        last_update: None,
        on_trial: false,
        deferral: None,
        in_place_reach_bytes: None,
        anchors: None,
        anchors_waiting: None,
        freshness: None,
    };
    let mut body = [0; CHECK_IN_BYTES_MAX];
    let mut buffer = [0; 512];
    let message_id = MessageId((number * 24 + hour) as u16);
    let token = Token::from_u32(number + 1);
    let mut request = Writer::new(&mut buffer, Kind::Confirmable, Code::POST, message_id, token).unwrap();
    request.uri_path("c").unwrap();
    request.content_format(ContentFormat::CBOR).unwrap();
    request.payload(said.encode(&mut body).unwrap()).unwrap();
    request.finish().to_vec()
}

/// What this process told the system to write, and what that sent to storage. The latter is in whole pages, and nothing at all on
/// a file system in memory.
fn written_bytes() -> [u64; 2] {
    let text = fs::read_to_string("/proc/self/io").unwrap();
    ["wchar: ", "write_bytes: "].map(|name| {
        let value = text.lines().find_map(|line| line.strip_prefix(name));
        value.unwrap().parse().unwrap()
    })
}

#[tokio::test]
async fn a_day_of_a_thousand_devices_fits_the_card() {
    let directory = tempfile::tempdir().unwrap();
    let mut site = Site::open(directory.path());
    for number in 0..DEVICES {
        site.claim(number).await;
    }
    site.hours(0..1).await;
    mark("begin");
    let before = written_bytes();
    (site.commits, site.changes) = (0, 0);
    site.hours(1..25).await;
    site.pass_to(CHECK_IN_INTERVAL_MS + DAY_MS).await;
    site.core.handle_shutdown(site.now());
    site.carry_out().await;
    let after = written_bytes();
    mark("end");
    let [told, stored] = [after[0] - before[0], after[1] - before[1]];
    println!(
        "writes: {DEVICES} devices, one check-in an hour, 24 h: {} commits of {} rows; {told} bytes written by the gateway, \
         {stored} sent to storage for it (at most {BYTES_MAX})",
        site.commits, site.changes
    );
    assert_eq!(stored_check_ins(directory.path()), [u64::from(DEVICES) * 25; 2]);
    assert!(
        told.max(stored) <= BYTES_MAX,
        "{told} and {stored} bytes; at most {BYTES_MAX} a day"
    );
}

/// Check-ins as the database has them: counted for devices, and for the link.
fn stored_check_ins(directory: &Path) -> [u64; 2] {
    let database = rusqlite::Connection::open(path_in(directory)).unwrap();
    ["device_traffic", "link_traffic"].map(|table| {
        let sum = format!("SELECT sum(up_datagrams) FROM {table}");
        database
            .query_row(&sum, [], |row| row.get::<_, i64>(0))
            .unwrap()
            .unsigned_abs()
    })
}

/// Lets `scripts/bench-writes` read its counters: it holds the other ends of the pipes that this names.
fn mark(what: &str) {
    if let Some(pipes) = std::env::var_os("DELTAGATE_WRITES_PIPES") {
        let pipe = |end: &str| Path::new(&pipes).join(format!("{what}-{end}"));
        fs::write(pipe("reached"), "\n").unwrap();
        fs::read(pipe("go-on")).unwrap();
    }
}
